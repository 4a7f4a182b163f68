"""A recording and its words as one answer, sentence by sentence too, and where the two disagree."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Protocol

import numpy as np

from emoscope.fusion import Fused, Side, disagreement, fuse, pool
from emoscope.report import Heard, Passage, Read, Report, Together
from emoscope.results import Quality
from emoscope.settings import Options
from emoscope.timeline import Flags, Floats, Timeline, frame_centres, softmax
from emoscope.transcript import Seconds

CLEAN = 20.0  # dB: with this signal-to-noise ratio or more, noise takes nothing from the reliability
UNMEASURED = 10.0  # dB: what counts where the ratio could not be measured, because a sound is short or steady
WORST_CLIPPING = 0.1  # share of samples; more cannot make it worse
LEAST = 0.1  # what noise, or clipping, leaves of the reliability: only silence makes a recording unusable
PAUSES = 0.5  # share of silence that fluent speech may have
WORTH_HEARING = 0.5  # distance; as far apart as 79 and 21 from 21 and 79
BY_PASSAGE = "weighted"  # the method for passages beside a trained head, which needs embeddings of both sides


class Head(Protocol):
    """A trained fusion of two embeddings."""

    @property
    def name(self) -> str:
        """What it is called among the choices of fusion."""

    def scores(self, speech: Floats, text: Floats, /) -> Floats:
        """Return (9,) probabilities for the embeddings (D,) of the speech and the text."""

    def weights(self, speech: Floats, text: Floats, /) -> dict[str, float]:
        """Return how much "speech" and "text" counted, sum 1."""


def together(heard: Heard, read: Read, options: Options, head: Head | None = None) -> Together:
    """Fuse what was heard and what was read, as a whole and for every sentence, as the settled `options` say.

    `head`, if there is one, decides the whole in place of a method. A side that does not count leaves the verdict to
    the other, with a note. Raises OptionError for an unknown method.
    """
    return _fused(heard, read, tuple(_passages(heard, read)), options, head)


def fuse_again(report: Report, *, method: str, text_weight: float, head: Head | None = None) -> Report:
    """Return the report as another method or weight would have made it; no model runs.

    Raises OptionError for an unknown method or a weight that is no share, and ValueError for a report of one side.
    """
    before = report.together
    if report.heard is None or report.read is None or before is None:
        raise ValueError("this report has nothing to fuse")
    options = replace(report.options, fusion=method, text_weight=text_weight)
    found = _fused(report.heard, report.read, before.passages, options, head)
    kept = [warning for warning in report.warnings if warning != before.fused.note]
    return replace(report, options=options, together=found, warnings=(*kept, *filter(None, [found.fused.note])))


def disagreements(report: Report) -> list[Passage]:
    """Return the passages worth listening to, the largest distance first: they read one way and sound another.

    The leading emotions differ, the other side could have said each of them, and the distance is 0.5 or more.
    """
    if report.heard is None or report.read is None or report.together is None:
        return []
    common = _heard_says(report.heard) & report.read.text.says
    found = [passage for passage in report.together.passages if _disagrees(passage, common)]
    return sorted(found, key=lambda passage: -(passage.distance or 0.0))


def _disagrees(passage: Passage, common: Flags) -> bool:
    if passage.spoken is None or passage.distance is None or passage.distance < WORTH_HEARING:
        return False
    sounds, reads = passage.spoken.argmax(), passage.written.argmax()
    return bool(sounds != reads and common[sounds] and common[reads])


def reliability(quality: Quality) -> float:
    """Return how far a recording can be relied on, 0 to 1: less with noise, with clipping, and with little sound."""
    ratio = UNMEASURED if quality.snr is None else quality.snr
    clear = np.clip(ratio / CLEAN, LEAST, 1.0)
    whole = max(1 - quality.clipped / WORST_CLIPPING, LEAST)
    sounding = min((1 - quality.silence) / (1 - PAUSES), 1.0)
    return float(clear * whole * sounding)


def _heard_says(heard: Heard) -> Flags:
    """Return the emotions that the speech model can say at all, (9,)."""
    says: Flags = np.any(heard.speech.timeline.logits > -np.inf, axis=0)
    return says


def _sides(heard: Heard, read: Read) -> tuple[Side, Side]:
    """Return both verdicts, each with its reliability."""
    trust = 0.0 if heard.silent else reliability(heard.recording.quality)
    speech = Side(heard.speech.scores, _heard_says(heard), trust)
    return speech, Side(read.text.scores, read.text.says, read.transcript.confidence)


def _passages(heard: Heard, read: Read) -> Iterator[Passage]:
    """Yield the sentences, as they read and as they sound; nothing is fused yet."""
    sentences = read.text.sentences
    times = [read.transcript.when(each.start, each.end) for each in sentences]
    for sentence, time, spoken in zip(sentences, times, _spoken(heard.speech.timeline, times), strict=True):
        yield Passage(sentence.start, sentence.end, time, sentence.scores, spoken, sentence.scores, None)


def _spoken(timeline: Timeline, times: Iterable[Seconds | None]) -> Iterator[Floats | None]:
    """Yield the scores of each time's sounding frames, those whose middle lies within; None without any."""
    middles = timeline.start + frame_centres(len(timeline))  # (T,) seconds on the clock of the uploaded file
    for time in times:
        first, last = np.searchsorted(middles, time) if time else (0, 0)
        sounding = ~timeline.silent[first:last]
        mean = timeline.logits[first:last][sounding].mean(axis=0, dtype=np.float64) if sounding.any() else None
        yield None if mean is None else softmax(mean.astype(np.float32))


def _fused(heard: Heard, read: Read, passages: tuple[Passage, ...], options: Options, head: Head | None) -> Together:
    """Fuse the whole and every passage."""
    if options.text_weight is None:
        raise ValueError("the weight of the text is not settled")
    method = BY_PASSAGE if head else options.fusion
    speech, text = _sides(heard, read)
    if head and speech.reliability > 0 and text.reliability > 0:
        embeddings = heard.speech.embedding, read.text.embedding
        fused = Fused(head.scores(*embeddings), head.name, head.weights(*embeddings))
    else:
        fused = fuse(speech, text, method=method, text_weight=options.text_weight)
    distance = None if heard.silent else float(disagreement(speech, text))
    return Together(fused, _fused_passages(passages, speech, text, method, options.text_weight), distance)


def _fused_passages(
    passages: tuple[Passage, ...], speech: Side, text: Side, method: str, text_weight: float
) -> tuple[Passage, ...]:
    """Fuse all passages at once, with the reliabilities of the whole; where nothing sounds, the words decide."""
    heard = {place: passage.spoken for place, passage in enumerate(passages) if passage.spoken is not None}
    if not heard:
        return passages
    spoken = replace(speech, scores=np.stack(list(heard.values())))  # (N, 9)
    written = replace(text, scores=np.stack([passages[place].written for place in heard]))
    scores = pool(spoken, written, method=method, text_weight=text_weight).scores.astype(np.float32)
    found = list(passages)
    for place, fused, apart in zip(heard, scores, disagreement(spoken, written).tolist(), strict=True):
        found[place] = replace(passages[place], fused=fused, distance=apart)
    return tuple(found)
