"""Models with known answers, in place of a network."""

import re
from dataclasses import dataclass, field

import numpy as np

from emoscope.labels import INDEX, LABELS
from emoscope.results import ModelInfo, Sentence, SpeechResult, TextResult, Word, quiet
from emoscope.text.split import clean
from emoscope.timeline import Timeline, frame_count, softmax
from emoscope.transcript import Line, Transcript

INFO = ModelInfo(name="half-and-half", kind="Fake", weights="0" * 64, precision="fp32", device="cpu")
SURE = 4.0  # logit of the winner; the others have 0


@dataclass(frozen=True)
class HalfAndHalf:
    """Hears the first half angry and the second half sad, in as many steps as it is told."""

    info: ModelInfo = INFO
    steps: int = 4
    heard: list = field(default_factory=list)  # the lengths of what it was given, in samples

    def listen(self, wave, *, features=False, progress):
        self.heard.append(len(wave.samples))
        for step in range(self.steps):
            progress("Listening", step / self.steps)
        frames = frame_count(len(wave.samples))
        logits = np.zeros((frames, 9), dtype=np.float32)
        logits[: frames // 2, INDEX["angry"]] = SURE
        logits[frames // 2 :, INDEX["sad"]] = SURE
        kept = np.tile(np.arange(frames, dtype=np.float32)[:, None], (1, 6))
        return SpeechResult(Timeline(logits), embedding=kept.mean(axis=0), features=kept if features else None)

    def listen_many(self, waves):
        return [self.listen(wave, progress=quiet) for wave in waves]


READER = ModelInfo(name="keywords", kind="Fake", weights="2" * 64, precision="fp32", device="cpu")
KEYWORDS = {"joyful": "happy", "awful": "angry", "lonely": "sad"}
SAYS = np.array([label != "unknown" for label in LABELS])


@dataclass(frozen=True)
class Keywords:
    """Reads a sentence by the first keyword in it, and as neutral without one; sentences end with a full stop."""

    info: ModelInfo = READER
    read_texts: list = field(default_factory=list)  # what it was given, in calls

    def read(self, text, *, explain=True, progress=quiet):
        progress("Reading", 0.0)
        self.read_texts.append([text])
        return self._read(text, explain)

    def read_all(self, texts, *, progress=quiet):
        progress("Reading", 0.0)
        self.read_texts.append(list(texts))
        return [self._read(text, explain=False) for text in texts]

    def _read(self, text, explain):
        clean(text)
        found = []
        for match in re.finditer(r"[^.\s][^.]*\.?", text):
            keys = [word for word in re.finditer(r"\w+", match[0]) if word[0] in KEYWORDS]
            logits = np.where(SAYS, 0.0, -np.inf).astype(np.float32)
            logits[INDEX[KEYWORDS[keys[0][0]] if keys else "neutral"]] += SURE
            words = [self._word(match.start(), word) for word in re.finditer(r"\w+", match[0])] if explain else []
            found.append(Sentence(match.start(), match.end(), softmax(logits), tuple(words)))
        scores = np.mean([sentence.scores for sentence in found], axis=0, dtype=np.float32)
        return TextResult(text, scores, {"key": 1.0}, tuple(found), np.full(4, len(text), np.float32), SAYS)

    @staticmethod
    def _word(first, word):
        contributions = np.zeros(9, np.float32)
        if word[0] in KEYWORDS:
            contributions[INDEX[KEYWORDS[word[0]]]] = 0.75
        return Word(first + word.start(), first + word.end(), contributions)


@dataclass(frozen=True)
class Scribe:
    """Hears the same sentences in every recording, each in its part of the time."""

    said: tuple[str, ...] = ("I am joyful.", "I am lonely.")
    heard: list = field(default_factory=list)  # the lengths of what it was given, in samples

    def write_down(self, wave, progress):
        progress("Writing down what is said", 0.0)
        self.heard.append(len(wave.samples))
        part = wave.seconds / max(len(self.said), 1)
        lines = (Line(line, (part * place, part * (place + 1))) for place, line in enumerate(self.said))
        return Transcript(tuple(lines), "scribe", "en", 0.5, "Written down by a fake.")
