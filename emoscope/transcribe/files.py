"""A transcript in a file: SRT, WebVTT, or lines of text, perhaps with the time before each."""

import codecs
import html
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from emoscope.errors import InputError, TooLargeError
from emoscope.transcript import FILE, Line, Seconds, Transcript

ENDINGS = (".srt", ".vtt", ".txt")
LARGEST = 5_000_000  # bytes; ten hours of subtitles have one
MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
HIGH, PAIR = re.compile(rb"[\x80-\xff]"), re.compile(rb"[\xa1-\xf7][\xa1-\xfe]")  # the second: usual Chinese characters
TIMING = re.compile(r"^[^\S\n]*\d+:\d+.*-->", re.MULTILINE)
TAG = re.compile(r"<[^<>]*>|\{\\[^{}]*\}")  # <i>, <v Anna>, <00:01.500>, {\an8}
MINUTES = r"(?:(\d+):)?(\d{1,2}):(\d{2}(?:[.,]\d+)?)"
BEFORE = re.compile(rf"\s*(?:\[{MINUTES}\]|\({MINUTES}\)|{MINUTES}(?=\s))\s*(?:[-–—]\s+)?(.*)")
ROLLING = 20  # rows that a cue may repeat of another; captions have two or three
PACE = 15.0  # characters a second, as subtitles are read, where no line tells how quickly is spoken
WORDY = re.compile(r"\w")


def read_file(file: Path) -> Transcript:
    """Read a transcript; what is in the file decides what it is, never its ending.

    Tags and the names of speakers in tags are left out, cues are put in order, and what rolling captions repeat is said
    once. In a text every line, or none, begins with a time such as [00:12]; a line then lasts until the next, and the
    last one as long as the pace of the others says. Raises InputError and TooLargeError.
    """
    text = _decoded(file)
    if text.lstrip().startswith("WEBVTT"):
        lines = _cues(text, "vtt")
    elif TIMING.search(text):
        lines = _cues(text, "srt")
    else:
        lines = _timed(rows := _rows(text)) or [Line(row) for row in rows]
    if not any(WORDY.search(line.text) for line in lines):
        raise InputError(f"There are no words in {file.name}. Give an SRT, VTT or TXT file with a transcript.")
    return Transcript(tuple(lines), FILE)


def _decoded(file: Path) -> str:
    try:
        size = file.stat().st_size
        if size > LARGEST:
            raise TooLargeError(
                f"{file.name} has {size / 1e6:.1f} MB; a transcript may have {LARGEST / 1e6:.0f}. Cut it."
            )
        data = file.read_bytes()
    except OSError as error:
        raise InputError(f"{file.name} cannot be opened ({error.strerror}). Check that it may be read.") from error
    for encoding in ("utf-16",) if data.startswith(MARKS) else ("utf-8-sig", _guess(data)):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:  # there are none in a text, and many in other files
            return text
    raise InputError(f"{file.name} is no text in a known encoding. Save it as UTF-8, or give another file.")


def _guess(data: bytes) -> str:
    """Return the likely encoding of what is no UTF-8: Chinese characters are pairs of bytes, accents single ones."""
    return "gb18030" if 4 * len(PAIR.findall(data)) >= len(HIGH.findall(data)) else "cp1252"


def _rows(text: str) -> list[str]:
    return [row for row in map(_plain, text.splitlines()) if row]


def _plain(text: str) -> str:
    """Return a text on one line, without tags."""
    return " ".join(html.unescape(TAG.sub("", text)).split())


def _cues(text: str, format: str) -> list[Line]:
    """Read subtitles in the order of their times; those that end before they begin are left out."""
    import webvtt

    try:
        captions = webvtt.from_buffer(text.strip().splitlines(), format=format).captions
    except (webvtt.errors.MalformedFileError, webvtt.errors.MalformedCaptionError):
        raise InputError("The subtitles cannot be read. Save them as SRT or WebVTT again.") from None
    cues = [(_span(caption), [_plain(row) for row in caption.lines]) for caption in captions]
    cues = sorted((time, list(filter(None, rows))) for time, rows in cues if time[0] <= time[1])
    return [Line(" ".join(rows), time) for time, rows in _said_once(cues) if rows]


def _span(caption: Any) -> Seconds:
    return caption.start_time.in_milliseconds() / 1000, caption.end_time.in_milliseconds() / 1000


def _said_once(cues: list[tuple[Seconds, list[str]]]) -> Iterator[tuple[Seconds, list[str]]]:
    """Drop the rows that a cue repeats from the cue that it follows without a pause."""
    shown: list[str] = []
    until = -1.0
    for time, rows in cues:
        repeated = 0
        if time[0] <= until:
            counts = range(min(len(rows), len(shown), ROLLING), 0, -1)
            repeated = next((count for count in counts if shown[-count:] == rows[:count]), 0)
        shown, until = rows, max(until, time[1])
        yield time, rows[repeated:]


def _timed(rows: list[str]) -> list[Line]:
    """Read rows that all begin with a time; nothing where one does not."""
    found = [BEFORE.fullmatch(row) for row in rows]
    matches = [match for match in found if match]
    if not matches or len(matches) < len(found):
        return []
    said = sorted((_seconds(match), match.groups()[-1]) for match in matches)
    spoken = said[-1][0] - said[0][0]
    pace = sum(len(text) for _, text in said[:-1]) / spoken if spoken else PACE
    end = said[-1][0] + len(said[-1][1]) / (pace or PACE)
    starts = pairwise([*(start for start, _ in said), end])
    return [Line(text, time) for (_, text), time in zip(said, starts, strict=True) if text]


def _seconds(match: re.Match[str]) -> float:
    hours, minutes, seconds = next(
        group for group in (match.groups()[at : at + 3] for at in (0, 3, 6)) if group[1] is not None
    )
    return int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds.replace(",", "."))
