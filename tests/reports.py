"""Makers of reports whose answers are known, for everything that reads a report."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import numpy as np

from emoscope import multimodal
from emoscope.labels import INDEX, LABELS
from emoscope.report import Heard, Read, Report
from emoscope.results import (
    ModelInfo,
    Quality,
    Recording,
    Sentence,
    Source,
    SpeechResult,
    TextResult,
    Waveform,
    Word,
)
from emoscope.settings import Options
from emoscope.timeline import HOP, RATE, SILENCE, WINDOW, Timeline, frame_count, softmax
from emoscope.transcript import FILE, TYPED, Line, Transcript

SURE = 4.0  # logit of the winner; the others have 0, so its probability is 0.872
MADE_AT = datetime(2026, 3, 1, 14, 5, 9, tzinfo=timezone(timedelta(hours=2)))
MODEL = ModelInfo(
    name="known-answers",
    kind="Fake",
    weights="0" * 64,
    precision="fp32",
    device="cpu",
    note="A model for tests answered.",
)
TEXT_MODEL = replace(MODEL, name="known-words", weights="1" * 64, note="A text model for tests answered.")
SAYS = np.array([label != "unknown" for label in LABELS])  # what that model can say
FRAMES = Options(granularity="frame")

# What a person, or an attacker, may call a file. Each goes through every format.
HOSTILE_NAMES = {
    "quotes": 'my "best" take\'s.wav',
    "lines": "first\nsecond\r\nthird\u2028fourth\x0b.wav",
    "xml": "</MEDIA_DESCRIPTOR><!-- & ]]> <script>alert(1)</script>.wav",
    "separators": "../../etc/passwd\\..\\x:y.wav",
    "formula": '=HYPERLINK("http://example.org")\t@SUM(A1).wav',
    "maths": "$\\frac{a}{$ 100% {}.wav",
    "arrow": "a --> b.wav",
    "chinese": "我的录音 第一次.wav",
    "long": "x" * 300 + ".wav",
    "controls": "a\x00b\x1bc\x7f\ufffe\ud800.wav",
    "emoji": "😠👩‍👩‍👧 🎙️.wav",
    "arabic": "تسجيل صوتي.wav",
    "empty": "",
    "blank": " \t ",
}


def make(*plan, name="clip.wav", options=FRAMES, offset=0.0, after=0.0, noise=0.0, features=0, seed=0, made_at=MADE_AT):
    """Return the report of a recording that follows `plan`: pairs of a label, or "silence", and seconds.

    `offset` and `after` are seconds that `trim` cut off both ends; `noise` makes single frames flicker; `features` is
    the width of the features that were kept.
    """
    random = np.random.default_rng(seed)
    labels = [label for label, seconds in plan for _ in range(round(seconds * RATE / HOP))]
    samples = max(len(labels) * HOP, WINDOW)
    frames = frame_count(samples)
    labels = [*labels, *labels[-1:] * 2][:frames]  # the sound is a little longer than its frames
    logits = noise * random.standard_normal((frames, 9)).astype(np.float32)
    silent = np.array([label == SILENCE for label in labels])
    for frame, label in enumerate(labels):
        logits[frame, INDEX.get(label, INDEX["unknown"])] += SURE
    wave = Waveform(sound(samples, silent, random))
    timeline = Timeline(logits, silent=silent, start=offset, seconds=wave.seconds)
    kept = random.standard_normal((frames, features)).astype(np.float32) if features else None
    embedding = kept.mean(axis=0) if kept is not None else np.arange(6, dtype=np.float32)
    quality = Quality(
        duration=offset + wave.seconds + after, peak=0.5, clipped=0.0, snr=None if silent.all() else 21.5,
        silence=float(silent.mean()), warnings=("The recording is a test.",),
    )  # fmt: skip
    source = Source(
        name=name, sha256="ab" * 32, bytes=123, container="wav", codec="pcm_s16le", sample_rate=44_100, channels=2
    )
    return Report(
        id="0123456789abcdef",
        made_at=made_at,
        heard=Heard(Recording(wave, source, quality, offset=offset), SpeechResult(timeline, embedding, kept), MODEL),
        options=options,
        seconds={"decode": 0.0123456, "speech": 0.5},
        warnings=("The recording is a test.", MODEL.note),
    )


def altered(report, **changed):
    """The report with another recording, result or model of its speech."""
    return replace(report, heard=replace(report.heard, **changed))


def sound(samples, silent, random):
    """Return noise in syllables of 0.2 s, very quiet where frames are silent."""
    loud = np.repeat(np.where(silent, 0.001, 1.0), HOP)
    loud = np.pad(loud, (0, max(0, samples - len(loud))), mode="edge")[:samples].astype(np.float32)
    time = np.arange(samples, dtype=np.float32) / RATE
    syllables = 0.15 + 0.85 * np.sin(np.pi * time / 0.2) ** 2 * (0.6 + 0.4 * np.sin(time / 1.7))
    return (0.4 * random.standard_normal(samples, dtype=np.float32).clip(-2.5, 2.5) / 2.5 * loud * syllables).astype(
        "f4"
    )


def half_and_half(seconds=6.0, **how):
    """Angry in the first half, sad in the second."""
    return make(("angry", seconds / 2), ("sad", seconds / 2), **how)


def pause(**how):
    """Happy, then two seconds of silence, then happy, then surprised."""
    return make(("happy", 2.0), (SILENCE, 2.0), ("happy", 1.0), ("surprised", 1.0), **how)


def one_frame(**how):
    """25 ms of fear."""
    return make(("fearful", 0.02), **how)


def all_silent(seconds=2.0, **how):
    """Nothing to hear."""
    return make((SILENCE, seconds), **how)


def changing(seconds, *, seed=0, **how):
    """Moods of 0.4 to 8 s and pauses, with flickering frames: like a real recording of any length."""
    random = np.random.default_rng(seed)
    plan, total = [], 0.0
    favourites = random.permutation(9)
    while total < seconds - 0.4:
        kind = favourites[min(8, int(random.exponential(1.6)))]
        length = min(round(float(random.uniform(0.4, 8.0)), 1), seconds - total)
        plan.append((SILENCE if random.random() < 0.15 else tuple(INDEX)[kind], length))
        total += length
    return make(*plan, seed=seed, noise=2.2, **how)


def hour(**how):
    """An hour in 180,000 frames, most of them undecided: the worst that exports and drawings are given."""
    random = np.random.default_rng(0)
    frames = 180_000
    moods = np.repeat(random.normal(0, 1.5, (frames // 200, 9)), 200, axis=0)
    logits = (moods + random.normal(0, 1.5, (frames, 9))).astype(np.float32)
    silent = np.repeat(random.random(frames // 100) < 0.15, 100)
    short = make(("happy", 10.0), **how)
    wave = Waveform(np.resize(short.recording.wave.samples, frames * HOP + WINDOW - HOP))
    timeline = Timeline(logits, silent=silent, seconds=wave.seconds)
    quality = replace(short.recording.quality, duration=wave.seconds)
    recording = replace(short.recording, wave=wave, quality=quality)
    return replace(short, heard=Heard(recording, SpeechResult(timeline, short.speech.embedding), MODEL))


MIXED = (("I am so happy for you!", "happy"), ("It is a sad day.", "sad"))  # sentences, and how they read
LATER = ((0.2, 2.8), (3.2, 5.8))  # when they are said


def text_report(*plan, times=(), options=None, own=None):
    """Return the report of a text that reads as `plan` says: pairs of a sentence and its label; `MIXED` without one.

    The last word of a sentence takes 0.5 from the label's probability when it is left out, other words nothing. With
    `times`, pairs of seconds or None, each sentence is a line of subtitles; without, all are one line that was typed.
    """
    plan = plan or MIXED
    joint = "\n" if times else " "
    text = joint.join(said for said, _ in plan)
    found, first = [], 0
    for said, label in plan:
        found.append(Sentence(first, first + len(said), _reads(label), tuple(_words(said, first, label))))
        first += len(said) + 1
    lines = [Line(said, time) for (said, _), time in zip(plan, times, strict=True)] if times else [Line(text)]
    scores = np.mean([sentence.scores for sentence in found], axis=0, dtype=np.float32)
    read = TextResult(
        text, scores, own or {"JOY": 0.75, "GRIEF": 0.25}, tuple(found), np.arange(5, dtype=np.float32), SAYS
    )
    return Report(
        id="fedcba9876543210",
        made_at=MADE_AT,
        options=options or Options(fusion="weighted", text_weight=0.55),
        seconds={"text": 0.25},
        read=Read(Transcript(tuple(lines), FILE if times else TYPED), read, TEXT_MODEL),
        warnings=(TEXT_MODEL.note,),
    )


def _reads(label):
    """Return (9,) scores with 0.88 for the label, and nothing for what the text model cannot say."""
    logits = np.where(SAYS, 0.0, -np.inf).astype(np.float32)
    logits[INDEX[label]] += SURE
    return softmax(logits)


def _words(said, first, label):
    """Yield the words between spaces, on the characters of the whole text."""
    pieces = said.split()
    end = 0
    for number, piece in enumerate(pieces):
        start = said.index(piece, end)
        end = start + len(piece)
        contributions = np.zeros(9, np.float32)
        contributions[INDEX[label]] = 0.5 if number == len(pieces) - 1 else 0.0
        yield Word(first + start, first + end, contributions)


def together_report(heard=None, said=None, *, options=None):
    """Return the report of a recording and its words.

    Without others they are: angry for three seconds and sad for three, where the words read happy and then sad.
    """
    heard, said = heard or half_and_half(), said or text_report(times=LATER)
    options = options or replace(heard.options, fusion="weighted", text_weight=0.55)
    return replace(
        heard,
        options=options,
        seconds={**heard.seconds, **said.seconds},
        read=said.read,
        together=multimodal.together(heard.heard, said.read, options),
        warnings=(*heard.warnings, *said.warnings),
    )
