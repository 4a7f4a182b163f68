"""A report drawn with matplotlib: the sound above, what was heard and said below, on one time axis."""

import gc
import re
import threading
import unicodedata
from itertools import accumulate, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emoscope.labels import EMOTIONS, LABELS, emotion
from emoscope.report import Passage, Report
from emoscope.results import Verdict
from emoscope.timeline import MIN_SEGMENT, SILENCE, Floats, Segment

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

WIDTH, HEIGHT = 12.0, 6.0  # inches
DPI = 200  # 2400 pixels: sharp when shown 1200 wide on a dense screen
COLUMNS = 1200  # points along the time axis; more cannot be seen, and would only make the SVG large
MOMENTS = 300  # stretches of time that the eye can tell apart; an hour is smoothed over a 300th of itself, 12 s
LEFT, RIGHT, EDGE = 0.055, 0.825, 0.985  # of the width: where the time axis begins and ends, and where all ends
INK, QUIET, FAINT = "#1f2430", "#6b7280", "#e5e7eb"
FONT = "DejaVu Sans"  # comes with matplotlib, so that a picture is the same everywhere
PLAIN: dict[str, Any] = {"family": FONT, "parse_math": False}  # a dollar sign is a dollar sign
FALLBACKS = (  # for names of files in other scripts, where the machine has one of them
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN", "PingFang SC", "Hiragino Sans GB",
    "Microsoft YaHei", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback", "Arial Unicode MS",
    "Noto Sans Arabic", "Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Thai", "Noto Emoji",
)  # fmt: skip
LETTER = 0.078  # inches of a letter on a sentence; wide ones count twice
LEAST_TEXT = 6  # letters that are worth writing
LONG = 120.0  # seconds; from here on the axis counts minutes
TITLE_WIDTH = 92  # characters of the file's name; wide ones count twice
UNSEEN = ("Cc", "Cs", "Cn", "Co")  # Unicode's controls, halves of characters, unassigned and private ones
TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
LEFT_TO_RIGHT = "\u200e"  # an invisible mark: the line reads so even when a name in Arabic begins it
STEPS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)  # seconds

# matplotlib shares font and text caches between figures and does not promise that two threads may draw at once.
_drawing = threading.Lock()
_drawn = count(1)
FIGURES = 8  # of 12 MB each, whose parts hold each other: after so many they are looked for, else nobody does for long


def draw(report: Report, file: Path) -> None:
    """Draw a report into a file, PNG or SVG by its ending; safe to call from several threads."""
    with _drawing:
        figure(report).savefig(file, dpi=DPI, metadata={"Date": None} if file.suffix == ".svg" else None)
        if next(_drawn) % FIGURES == 0:
            gc.collect()


def figure(report: Report) -> "Figure":
    """Return the drawing as a matplotlib figure; one thread at a time may make and save one."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(WIDTH, HEIGHT), facecolor="white")
    FigureCanvasAgg(drawing)
    timeline = report.speech.timeline
    duration = max(report.recording.quality.duration, timeline.end)
    smooth = max(report.options.smooth, duration / MOMENTS if duration > LONG else 0.0)
    segments = timeline.segments(smooth, max(MIN_SEGMENT, duration / MOMENTS))
    sentences = _timed(report)
    lower = 0.445 if sentences else 0.505  # of the height: what is left for the emotions
    sound, strip, stack = (_axes(drawing, *place, duration) for place in ((0.70, 0.135), (0.635, 0.05), (0.115, lower)))
    _draw_title(drawing, report)
    _draw_sound(sound, report)
    _draw_strip(strip, segments, duration)
    _draw_stack(stack, report, smooth)
    _draw_silences(stack, segments)
    _draw_clock(stack, duration, smooth)
    if sentences:
        said = _axes(drawing, 0.575, 0.05, duration)
        _draw_sentences(said, sentences, duration)
        for axes, what in ((strip, "voice"), (said, "words")):
            axes.set_yticks([0.47], [what], color=QUIET, fontsize=9, **PLAIN)
            axes.tick_params(axis="y", length=0, pad=6)
    _draw_legend(drawing, report)
    return drawing


def _axes(drawing: "Figure", bottom: float, height: float, duration: float) -> "Axes":
    axes = drawing.add_axes((LEFT, bottom, RIGHT - LEFT, height), facecolor="none")
    axes.set_xlim(0, duration)
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)
    return axes


def _draw_title(drawing: "Figure", report: Report) -> None:
    verdict = report.verdict
    big, small = ("Silence", "there is nothing to hear") if report.silent else _words(verdict)
    small += _sides(report)
    colour = FAINT if report.silent else emotion(verdict.emotion).colour
    drawing.add_artist(_box(LEFT, 0.885, 0.006, 0.08, colour, transform=drawing.transFigure))
    title = drawing.text(LEFT + 0.017, 0.946, big, fontsize=19, weight="bold", color=INK, va="center", **PLAIN)
    width = title.get_window_extent().width / drawing.bbox.width
    drawing.text(LEFT + 0.030 + width, 0.942, small, fontsize=11.5, color=QUIET, va="center", **PLAIN)
    line, families = drawable(_facts(report, TITLE_WIDTH))
    facts = drawing.text(
        LEFT + 0.017, 0.896, line, fontsize=10, color=QUIET, va="center", **PLAIN | {"family": families}
    )
    room = (EDGE - LEFT - 0.017) * drawing.bbox.width / facts.get_window_extent().width
    if room < 1:  # wide letters
        facts.set_text(drawable(_facts(report, int(0.8 * room * TITLE_WIDTH)))[0])


def _facts(report: Report, columns: int) -> str:
    name = _short(one_line(report.recording.source.name), columns)
    model = " + ".join(one_line(model.name) for model in report.models)
    return LEFT_TO_RIGHT + " · ".join(
        filter(None, (name, _length(report.recording.quality.duration), _short(model, columns // 2)))
    )


def _sides(report: Report) -> str:
    """Return what voice and words say on their own, where the verdict is made of both."""
    if report.read is None or report.heard is None:
        return ""
    sides = (("voice", report.heard.speech.scores), ("words", report.read.text.scores))
    return "; " + ", ".join(
        f"{what} {LABELS[int(scores.argmax())]} {scores.max():.0%}"
        for what, scores in sides
        if what == "words" or not report.heard.silent
    )


def _words(verdict: Verdict) -> tuple[str, str]:
    second = f"{verdict.runner_up} {verdict.scores[verdict.runner_up]:.0%}"
    return f"{verdict.emotion.capitalize()} {verdict.confidence:.0%}", f"{verdict.certainty}, then {second}"


def _draw_sound(axes: "Axes", report: Report) -> None:
    low, high = _envelope(report.recording.wave.samples)
    start, seconds = report.recording.offset, report.recording.wave.seconds
    middles = start + seconds * (np.arange(len(low)) + 0.5) / len(low)
    silent = report.speech.timeline.silent.all()
    peak = 1.0 if silent else max(float(high.max()), -float(low.min()), 1e-3)  # silence is not blown up
    axes.set_ylim(-peak, peak)
    axes.fill_between(middles, low, high, color=QUIET, linewidth=0.4)


def _envelope(samples: Floats) -> tuple[Floats, Floats]:
    """Return the lowest and the highest sample of up to `COLUMNS` equal stretches."""
    edges = _edges(len(samples), COLUMNS)
    return np.minimum.reduceat(samples, edges[:-1]), np.maximum.reduceat(samples, edges[:-1])


def _edges(count: int, most: int) -> NDArray[np.intp]:
    """Cut `count` things into up to `most` stretches of about the same length; (stretches + 1,)."""
    return np.unique(np.linspace(0, count, min(count, most) + 1).round().astype(np.intp))


def _draw_strip(axes: "Axes", segments: tuple[Segment, ...], duration: float) -> None:
    axes.set_ylim(0, 1)
    inch = duration / (WIDTH * (RIGHT - LEFT))  # seconds
    for start, end in ((0.0, segments[0].start), (segments[-1].end, duration)):
        if end - start > 0.7 * inch:
            axes.text((start + end) / 2, 0.47, "trimmed", fontsize=8.5, color=QUIET, ha="center", va="center", **PLAIN)
    for segment in segments:
        silence = segment.label == SILENCE
        colour = FAINT if silence else emotion(segment.label).colour
        gap = min(0.01 * inch, segment.seconds / 4)
        axes.add_patch(_box(segment.start, 0, segment.seconds - gap, 1, colour))
        if segment.seconds > (0.066 * len(segment.label) + 0.1) * inch:
            ink = QUIET if silence else _ink_on(colour)
            middle = (segment.start + segment.end) / 2
            axes.text(middle, 0.47, segment.label, fontsize=8.5, color=ink, ha="center", va="center", **PLAIN)


def _timed(report: Report) -> list[tuple[Passage, str]]:
    """Return the sentences whose times are known, each with what it says."""
    if report.together is None or report.read is None:
        return []
    text = report.read.text.text
    return [(each, one_line(text[each.start : each.end])) for each in report.together.passages if each.time]


def _draw_sentences(axes: "Axes", sentences: list[tuple[Passage, str]], duration: float) -> None:
    """Draw every sentence in the colour of its words, with as much of it as there is room for."""
    axes.set_ylim(0, 1)
    inch = duration / (WIDTH * (RIGHT - LEFT))  # seconds
    for passage, text in sentences:
        start, end = passage.time or (0.0, 0.0)
        gap = min(0.01 * inch, (end - start) / 4)
        colour = EMOTIONS[int(passage.written.argmax())].colour
        axes.add_patch(_box(start, 0, end - start - gap, 1, colour))
        columns = int(((end - start) / inch - 0.1) / LETTER)
        if columns >= LEAST_TEXT:
            cut = text if sum(map(_columns, text)) <= columns else f"{_first(text, columns - 1)}…"
            shown, families = drawable(cut)
            how = PLAIN | {"family": families, "color": _ink_on(colour), "fontsize": 8.5, "va": "center"}
            axes.text(start + 0.05 * inch, 0.47, shown, clip_on=True, **how)


def _draw_stack(axes: "Axes", report: Report, smooth: float) -> None:
    timeline = report.speech.timeline
    probabilities = timeline.probabilities(smooth)
    edges = _edges(len(timeline), COLUMNS)
    means = np.add.reduceat(probabilities, edges[:-1]) / np.diff(edges)[:, None]  # (columns, 9)
    bounds = timeline.start + (timeline.end - timeline.start) * edges / len(timeline)
    times = np.concatenate([bounds[:1], (bounds[:-1] + bounds[1:]) / 2, bounds[-1:]])  # to both ends
    means = np.concatenate([means[:1], means, means[-1:]])
    downward = EMOTIONS[::-1]  # the first emotion on top, as in the legend
    layers = means[:, [each.id for each in downward]].T  # (9, columns + 2)
    axes.stackplot(times, layers, colors=[each.colour for each in downward], linewidth=0.0)
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.5, 1], ["0%", "50%", "100%"], color=QUIET, fontsize=9, **PLAIN)
    axes.tick_params(axis="y", length=0, pad=6)
    axes.plot([timeline.start, timeline.end], [0.5, 0.5], color="white", linewidth=0.7, alpha=0.7)


def _draw_silences(axes: "Axes", segments: tuple[Segment, ...]) -> None:
    for segment in segments:
        if segment.label == SILENCE:
            veil = _box(segment.start, 0, segment.seconds, 1, "#f3f4f6", hatch="////", edgecolor="#cfd3da")
            veil.set_hatch_linewidth(0.6)
            axes.add_patch(veil)


def _draw_clock(axes: "Axes", duration: float, smooth: float) -> None:
    step = next((step for step in STEPS if duration / step <= 12), STEPS[-1])
    ticks = [step * index for index in range(int(duration / step + 1e-9) + 1)]
    axes.set_xticks(ticks, [_clock(tick, duration) for tick in ticks], color=QUIET, fontsize=9, **PLAIN)
    axes.tick_params(axis="x", length=3, color=QUIET, pad=4)
    unit = "seconds" if duration < LONG else "minutes" if duration < 3600 else "hours"
    axes.set_xlabel(f"{unit}, smoothed over {smooth:.2g} s" if smooth else unit, color=QUIET, fontsize=9, **PLAIN)


def _clock(seconds: float, duration: float) -> str:
    """Write a moment as people read it in a recording of this length: 7.5, 1:05 or 1:00:05."""
    if duration < LONG:
        return f"{seconds:g}"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if duration >= 3600 else f"{minutes}:{rest:02d}"


def _length(seconds: float) -> str:
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    return f"{seconds:.1f} s" if seconds < LONG else _clock(seconds, seconds)


def _draw_legend(drawing: "Figure", report: Report) -> None:
    scores = report.verdict.scores
    left, right, top, line = RIGHT + 0.022, EDGE, 0.595, 0.0535
    if not report.silent:
        whole = "voice and words" if report.together else "whole recording"
        drawing.text(right, 0.66, whole, fontsize=8.5, color=QUIET, va="center", ha="right", **PLAIN)
    for row, each in enumerate(EMOTIONS):
        y = top - row * line
        drawing.add_artist(_box(left, y - 0.014, 0.012, 0.028, each.colour, transform=drawing.transFigure))
        drawing.text(left + 0.020, y, each.name, fontsize=10, color=INK, va="center", **PLAIN)
        if not report.silent:
            percent = f"{scores[each.name]:.0%}"
            drawing.text(right, y, percent, fontsize=10, color=QUIET, va="center", ha="right", **PLAIN)


def _box(left: float, bottom: float, width: float, height: float, colour: str, **how: Any) -> "Rectangle":
    from matplotlib.patches import Rectangle

    return Rectangle((left, bottom), width, height, facecolor=colour, **{"linewidth": 0.0, **how})


def _ink_on(colour: str) -> str:
    """Return dark or white, whichever is read more easily on a colour."""
    red, green, blue = ((int(colour[at : at + 2], 16) / 255) ** 2.2 for at in (1, 3, 5))
    return INK if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.2 else "white"


def one_line(text: str) -> str:
    """Return text that anybody may have written as one line of characters that can be encoded and seen.

    Marks that turn the direction of writing are left out too: they would turn the text around it.
    """
    spaced = (" " if each.isspace() else each for each in unicodedata.normalize("NFC", text))
    kept = (each for each in spaced if unicodedata.category(each) not in UNSEEN and each not in TURNING)
    return " ".join("".join(kept).split())


def _short(text: str, columns: int) -> str:
    """Cut the middle out of what is too long for its line; both ends of a file's name matter."""
    if sum(map(_columns, text)) <= columns:
        return text
    return f"{_first(text, columns * 2 // 3)}…{_first(text[::-1], columns // 3)[::-1]}"


def _first(text: str, columns: int) -> str:
    ends = accumulate(map(_columns, text))
    return "".join(character for character, end in zip(text, ends, strict=True) if end <= columns)


def _columns(character: str) -> int:
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def drawable(text: str) -> tuple[str, list[str]]:
    """Return the text with "…" for what no font here can draw, and the families of the fonts that draw the rest."""
    from matplotlib.font_manager import findfont, fontManager, get_font

    installed = {entry.name for entry in fontManager.ttflist}
    missing, families = set(text), []
    for family in (FONT, *(name for name in FALLBACKS if name in installed)):
        font = get_font(findfont(family))
        drawn = {character for character in missing if font.get_char_index(ord(character))}
        if drawn:
            families.append(family)
            missing -= drawn
        if not missing:
            break
    shown = "".join("\0" if character in missing else character for character in text)
    return re.sub("\0[\0\u200d\ufe0f]*", "…", shown), families or [FONT]  # joiners have lost what they join
