"""A report written as files: JSON, sound, arrays, tables, drawings, and what annotation programs read."""

import csv
import errno
import html
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import numpy as np

from emoscope import claims, plots
from emoscope.cells import harmless
from emoscope.errors import StorageError
from emoscope.labels import COUNT, LABELS, emotion
from emoscope.report import Passage, Read, Report
from emoscope.timeline import NAMES, SILENCE, SILENT, Floats, Segment

RESULT, SOUND, FRAMES = "result.json", "processed_audio.wav", "frames.npz"  # what a report can be read from again
VISITOR = ".visitor"  # the account whose run it is, where there are accounts; no ZIP has it
ARCHIVE = "All of the files in one"  # what the ZIP is
DENSE = {".wav", ".npy", ".npz", ".png"}  # packing these again costs seconds and saves next to nothing
CUT_SHORT = "requested"  # of what NumPy says, without a number, when a full disk took only a part of an array
LONGEST_ID = 200  # characters of a recording's name in RTTM


@dataclass(frozen=True, eq=False)
class Reading:
    """A report, and what every writer would otherwise compute again."""

    report: Report
    probabilities: Floats  # (T, 9), smoothed as the person chose; T is 0 without a recording
    segments: tuple[Segment, ...]

    @classmethod
    def of(cls, report: Report) -> "Reading":
        """Read what the writers need off a report."""
        if report.heard is None:
            return cls(report, np.zeros((0, COUNT), np.float32), ())
        timeline, smooth = report.speech.timeline, report.options.smooth
        return cls(report, timeline.probabilities(smooth), timeline.segments(smooth))

    @property
    def sounding(self) -> Iterator[Segment]:
        """Return the segments that are not silence."""
        return (segment for segment in self.segments if segment.label != SILENCE)

    @property
    def duration(self) -> float:
        """Return the length of the uploaded file in seconds; less than 1 ms after the last segment is rounding."""
        end, duration = self.segments[-1].end, self.report.recording.quality.duration
        return duration if duration > end + 0.001 else end


def write(report: Report, outputs: Path, *, visitor: str = "") -> Path:
    """Write everything that the report's options ask for into a new folder of `outputs`, and return the folder.

    It is named after the report's local time, `outputs_YYYYMMDD_HHMMSS`, and `_2`, `_3`, … if there is one already. It
    appears complete or not at all, and so does `visitor`, whose it is. Raises StorageError.
    """
    name = f"outputs_{report.made_at.astimezone():%Y%m%d_%H%M%S}"
    with explained(outputs), hidden(outputs, name) as folder:
        reading = Reading.of(report)
        for file, writer in WRITERS.items():
            if writer.wanted(report):
                writer.write(reading, folder / file)
        archive = _pack(folder)
        if visitor:
            (folder / VISITOR).write_text(visitor, "utf-8")
        return publish(folder, archive, outputs / name)


@contextmanager
def explained(outputs: Path) -> Iterator[None]:
    """Turn what the file system refuses into a sentence that says what to do."""
    try:
        yield
    except OSError as error:
        raise StorageError(_sentence(outputs, error)) from error


def _sentence(outputs: Path, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT) or CUT_SHORT in str(error):
        return f"There is no space left for results in {outputs}. Free some, or set EMOSCOPE_OUTPUTS to another disk."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"Results may not be written to {outputs}. Allow it, or set EMOSCOPE_OUTPUTS to another folder."
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return f"{outputs} is not a folder, but a file or inside of one. Set EMOSCOPE_OUTPUTS to a folder."
    reason = error.strerror or type(error).__name__
    return f"Results cannot be written to {outputs}: {reason}. Set EMOSCOPE_OUTPUTS to another folder."


@contextmanager
def hidden(outputs: Path, name: str) -> Iterator[Path]:
    """Make a folder that nobody looks into, and leave nothing of it if it is still there in the end."""
    outputs.mkdir(parents=True, exist_ok=True)
    folder = outputs / claims.hidden_name(name)
    with claims.new_folder(folder):
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def publish(folder: Path, archive: Path, wish: Path) -> Path:
    """Give the folder, and the ZIP in it, the first free name: no run replaces another, in any thread or process."""
    for number in count(1):
        place = wish if number == 1 else wish.with_name(f"{wish.name}_{number}")
        archive = archive.rename(folder / f"{place.name}.zip")
        try:
            return folder.rename(place)  # fails where there is a folder with something in it
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise
    raise AssertionError("numbers do not end")


def _pack(folder: Path) -> Path:
    """Put all files of a folder into a ZIP in it."""
    files = sorted(folder.iterdir())
    archive = folder / "run.zip"
    with ZipFile(archive, "w", compresslevel=1) as pack:  # six times as fast as 6, and a sixth larger
        for file in files:
            pack.write(file, file.name, compress_type=ZIP_STORED if file.suffix in DENSE else ZIP_DEFLATED)
    return archive


def to_json(value: Any) -> str:
    """Return JSON types as text that a person can read too: frames and segments take one line each."""
    return _lines(value, "\n") + "\n"


_compact = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def _lines(value: Any, margin: str) -> str:
    inner = margin + "  "
    if not isinstance(value, dict | list) or not value:
        return _compact(value)
    if isinstance(value, dict):
        entries = (f"{_compact(key)}: {_lines(entry, inner)}" for key, entry in value.items())
        return f"{{{inner}{f',{inner}'.join(entries)}{margin}}}"
    if isinstance(value[0], dict):
        return f"[{inner}{f',{inner}'.join(map(_compact, value))}{margin}]"
    if isinstance(value[0], list):  # rows of numbers, so that no text can hold what is replaced
        return f"[{inner}{_compact(value)[1:-1].replace('], [', f'],{inner}[')}{margin}]"
    return _compact(value)


def write_json(reading: Reading, file: Path) -> None:
    """Write the whole report; half a character in a file's name becomes an escape."""
    file.write_bytes(to_json(reading.report.to_dict()).encode("utf-8", "backslashreplace"))


def write_sound(reading: Reading, file: Path) -> None:
    """Write what the model heard: 16 kHz, mono, 16 bit."""
    from emoscope import audio

    audio.write_wav(reading.report.recording.wave, file)


def write_embedding(reading: Reading, file: Path) -> None:
    """Write the features of every frame, (T, D), or their mean, (D,), for utterance granularity."""
    speech = reading.report.speech
    if not _frames(reading.report):
        np.save(file, speech.embedding)
    elif speech.features is not None:
        np.save(file, speech.features)
    else:
        raise ValueError("the features of the frames were asked for, but not kept")


def write_text_embedding(reading: Reading, file: Path) -> None:
    """Write what the text model made of the text, (D,)."""
    np.save(file, _read(reading).text.embedding)


def write_sentences(reading: Reading, file: Path) -> None:
    """Write a line for every sentence: when it was said, how it reads, how it sounds, and both together.

    A text that a spreadsheet would calculate has a quote before it.
    """
    report, read = reading.report, _read(reading)
    passages = report.together.passages if report.together else (None,) * len(read.text.sentences)
    with file.open("w", encoding="utf-8", errors="backslashreplace", newline="") as out:
        table = csv.writer(out, lineterminator="\n")
        table.writerow(["start", "end", "text", "emotion", *LABELS, "sounds", "together", "distance"])
        for sentence, passage in zip(read.text.sentences, passages, strict=True):
            time = read.transcript.when(sentence.start, sentence.end)
            said = plots.one_line(read.text.text[sentence.start : sentence.end])
            table.writerow(
                [
                    *([f"{second:.3f}" for second in time] if time else ("", "")),
                    harmless(said),
                    sentence.emotion,
                    *(f"{score:.6f}" for score in sentence.scores.tolist()),
                    *(_passage_cells(passage) if passage else ("", "", "")),
                ]
            )


def _passage_cells(passage: Passage) -> tuple[str, str, str]:
    sounds = "" if passage.spoken is None else LABELS[int(passage.spoken.argmax())]
    distance = "" if passage.distance is None else f"{passage.distance:.6f}"
    return sounds, LABELS[int(passage.fused.argmax())], distance


def write_transcript(reading: Reading, file: Path) -> None:
    """Write what was said as subtitles, each with the emotion that its words have."""
    from webvtt import Caption, WebVTT

    read = _read(reading)
    captions = []
    for sentence in read.text.sentences:
        time = read.transcript.when(sentence.start, sentence.end)
        if time and time[1] - time[0] >= 0.001:
            said = plots.one_line(read.text.text[sentence.start : sentence.end])
            said = html.escape(said, quote=False)  # tags and arrows mean something in a subtitle
            captions.append(Caption(_stamp(time[0]), _stamp(time[1]), f"{emotion(sentence.emotion).emoji} {said}"))
    WebVTT(captions=captions).save(str(file))


def _read(reading: Reading) -> Read:
    if reading.report.read is None:
        raise ValueError("there are no words in this report")
    return reading.report.read


def write_csv(reading: Reading, file: Path) -> None:
    """Write a line for every frame: start, end, nine probabilities, what dominates, and whether it is silent."""
    timeline = reading.report.speech.timeline
    starts = timeline.times.tolist()
    winners = timeline.winners(reading.probabilities).tolist()
    rows = zip(starts, [*starts[1:], timeline.end], reading.probabilities.tolist(), winners, strict=True)
    line = ",".join(["%.4f", "%.4f", *["%.6f"] * COUNT, "%s", "%d"]) + "\n"  # thrice as fast as `csv`, nothing to quote
    with file.open("w", encoding="utf-8", newline="") as out:
        out.write(",".join(["start", "end", *LABELS, "dominant", "silent"]) + "\n")
        out.writelines(line % (start, end, *row, NAMES[winner], winner == SILENT) for start, end, row, winner in rows)


def write_npz(reading: Reading, file: Path) -> None:
    """Write the numbers of every frame as NumPy arrays."""
    timeline = reading.report.speech.timeline
    arrays: dict[str, Any] = {
        "logits": timeline.logits,  # (T, 9)
        "probabilities": reading.probabilities,  # (T, 9), smoothed over `smooth` seconds
        "times": timeline.times,  # (T,), seconds
        "silent": timeline.silent,  # (T,)
        "labels": np.array(LABELS),
        "smooth": np.float64(reading.report.options.smooth),
    }
    np.savez(file, **arrays)


def write_plot(reading: Reading, file: Path) -> None:
    """Draw the sound and the timeline."""
    plots.draw(reading.report, file)


def write_textgrid(reading: Reading, file: Path) -> None:
    """Write a Praat TextGrid with a tier of emotions and one of probabilities, over the whole uploaded file."""
    from praatio.data_classes.interval_tier import IntervalTier
    from praatio.textgrid import Textgrid

    emotions = [(segment.start, segment.end, segment.label) for segment in reading.segments]
    probabilities = [(segment.start, segment.end, f"{segment.probability:.3f}") for segment in reading.sounding]
    grid = Textgrid()
    for name, intervals in (("emotion", emotions), ("probability", probabilities)):
        grid.addTier(IntervalTier(name, intervals, 0.0, reading.duration))
    grid.save(str(file), format="long_textgrid", includeBlankSpaces=True, reportingMode="error")


def write_eaf(reading: Reading, file: Path) -> None:
    """Write an ELAN document: the same two tiers, a vocabulary of the emotions, and the sound they belong to."""
    from pympi import Eaf

    report = reading.report
    document = Eaf(author="Emoscope")
    document.adocument["DATE"] = report.made_at.isoformat(timespec="seconds")
    document.remove_tier("default")
    document.remove_linguistic_type("default-lt")
    document.header.update(MEDIA_FILE="", TIME_UNITS="milliseconds")
    media = _media(reading)
    document.add_linked_file(media, f"./{media}", mimetype="audio/x-wav" if media == SOUND else "audio/*")
    document.add_property("source", plots.one_line(report.recording.source.name))
    document.add_property("model", plots.one_line(report.model.name))
    document.add_language("eng", "http://cdb.iso.org/lg/CDB-00138502-001", "English (eng)")
    document.add_controlled_vocabulary("emotions")
    for label in NAMES:
        what = "no sound" if label == SILENCE else f"{emotion(label).emoji} {emotion(label).chinese}"
        document.add_cv_entry("emotions", f"cve_{label}", [(label, "eng", what)])
    shared = {"TIME_ALIGNABLE": "true", "GRAPHIC_REFERENCES": "false"}
    vocabulary = {"CONTROLLED_VOCABULARY_REF": "emotions"}
    document.add_linguistic_type("emotion", param_dict={"LINGUISTIC_TYPE_ID": "emotion", **shared, **vocabulary})
    document.add_linguistic_type("probability", param_dict={"LINGUISTIC_TYPE_ID": "probability", **shared})
    document.add_tier("emotion", ling="emotion")
    document.add_tier("probability", ling="probability")
    for segment in reading.segments:
        span = round(1000 * segment.start), round(1000 * segment.end)  # ms
        document.add_annotation("emotion", *span, segment.label)
        if segment.label != SILENCE:
            document.add_annotation("probability", *span, f"{segment.probability:.3f}")
    document.to_file(str(file))


def _media(reading: Reading) -> str:
    """Return the name of the sound whose clock the times are on: the one beside it, or the uploaded one if trimmed."""
    recording = reading.report.recording
    if reading.duration - recording.wave.seconds <= 0.001:
        return SOUND
    return re.sub(r"[/\\:]", "_", plots.one_line(recording.source.name)) or "recording"


def write_labels(reading: Reading, file: Path) -> None:
    """Write a label track for Audacity: start, end and label with tabs between."""
    lines = (f"{segment.start:.6f}\t{segment.end:.6f}\t{segment.label}\n" for segment in reading.segments)
    file.write_text("".join(lines), "utf-8")


def write_vtt(reading: Reading, file: Path) -> None:
    """Write subtitles for players and browsers; silence has none."""
    from webvtt import Caption, WebVTT

    captions = [
        Caption(_stamp(segment.start), _stamp(segment.end), f"{_face(segment)} {segment.probability:.0%}")
        for segment in reading.sounding
    ]
    heading = f"Emotions in {reading.report.recording.source.name}, heard by {reading.report.model.name}"
    heading = plots.one_line(heading).replace("-->", "→")  # an arrow would start a subtitle
    WebVTT(captions=captions, header_comments=[heading]).save(str(file))


def _face(segment: Segment) -> str:
    return f"{emotion(segment.label).emoji} {segment.label}"


def _stamp(seconds: float) -> str:
    minutes, milliseconds = divmod(round(1000 * seconds), 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{milliseconds / 1000:06.3f}"


def write_rttm(reading: Reading, file: Path) -> None:
    """Write Rich Transcription Time Marks: the emotion stands where a speaker's name would; silence has no line."""
    name = re.sub(r"[\s/\\]+", "_", plots.one_line(reading.report.recording.source.name))
    name = name.rpartition(".")[0] or name or "recording"
    lines = (
        f"SPEAKER {name[:LONGEST_ID]} 1 {segment.start:.3f} {segment.seconds:.3f} <NA> <NA> {segment.label} "
        f"{segment.probability:.3f} <NA>\n"
        for segment in reading.sounding
    )
    file.write_text("".join(lines), "utf-8")


def _always(_report: Report) -> bool:
    return True


def _heard(report: Report) -> bool:
    return report.heard is not None


def _frames(report: Report) -> bool:
    return report.heard is not None and report.options.granularity == "frame"


def _embedding(report: Report) -> bool:
    return report.heard is not None and report.options.embedding


def _words(report: Report) -> bool:
    return report.read is not None


def _timed(report: Report) -> bool:
    return report.read is not None and report.read.transcript.timed


def _text_embedding(report: Report) -> bool:
    return report.read is not None and report.options.embedding


class Writer(NamedTuple):
    """What a file of a run is, how it is written, and when."""

    what: str  # for a person
    write: Callable[[Reading, Path], None]
    wanted: Callable[[Report], bool] = _frames


# Every file of a run by its name, in the order in which a person is shown them.
WRITERS: dict[str, Writer] = {
    RESULT: Writer("The verdict and everything measured", write_json, _always),
    SOUND: Writer("The sound that was heard: 16 kHz, mono", write_sound, _heard),
    "sentences.csv": Writer("How each sentence reads and sounds, a table", write_sentences, _words),
    "transcript.vtt": Writer("What was said as subtitles, WebVTT", write_transcript, _timed),
    "embedding.npy": Writer("The model's features, for NumPy", write_embedding, _embedding),
    "text_embedding.npy": Writer("The text model's features, for NumPy", write_text_embedding, _text_embedding),
    "timeline.csv": Writer("Nine probabilities every 20 ms, a table", write_csv),
    "timeline.png": Writer("The timeline as a picture", write_plot),
    "timeline.svg": Writer("The timeline as a drawing that scales", write_plot),
    "segments.TextGrid": Writer("The segments for Praat", write_textgrid),
    "segments.eaf": Writer("The segments for ELAN", write_eaf),
    "segments.txt": Writer("The segments as labels for Audacity", write_labels),
    "segments.vtt": Writer("The segments as subtitles, WebVTT", write_vtt),
    "segments.rttm": Writer("The segments as RTTM", write_rttm),
    FRAMES: Writer("Logits, probabilities and times, for NumPy", write_npz, _heard),
}
