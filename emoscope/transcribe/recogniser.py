"""A waveform becomes a transcript: speech is found, and each stretch of it written down."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from emoscope.results import ModelInfo, Progress, Waveform, quiet
from emoscope.timeline import Floats
from emoscope.transcribe.cut import LONGEST, SHORTEST, batches, part, pieces
from emoscope.transcribe.rich import Result, Said, language_of, parse_result
from emoscope.transcript import Seconds, Transcript

# Some sounds, 16 kHz mono -> FunASR's result for each, perhaps with "certainties": a probability for each token.
WriteDown: TypeAlias = Callable[[list[Floats]], Sequence[Result]]
FindSpeech: TypeAlias = Callable[[Floats], Sequence[Seconds]]  # a sound -> when somebody speaks

SEARCHED = 600.0  # seconds in which speech is searched at a time, so that a person can cancel
NOTHING = "No words were heard in the recording."


@dataclass(frozen=True)
class Recogniser:
    """SenseVoice, ready to write down what is said; one thread at a time."""

    info: ModelInfo
    network: WriteDown
    find_speech: FindSpeech | None = None  # without it, everything is written down, at most 30 seconds at a time
    room: float = 0.0  # seconds of sound in a batch, padding included; 0 takes one stretch at a time

    def write_down(self, wave: Waveform, progress: Progress = quiet, *, silences: Sequence[Seconds] = ()) -> Transcript:
        """Write down what is said, a line for each sentence, with times on the waveform's clock.

        `silences` are known pauses, at which a long recording is cut where nothing finds speech. `progress` may raise
        `Cancelled` between two stretches. `confidence` is the mean probability of the tokens (CTC, not calibrated).
        """
        times = self._stretches(wave, silences, progress)
        results: list[Result] = [{}] * len(times)
        done = 0
        for batch in batches(times, self.room):
            progress("Writing down what is said", done / len(times))
            answers = self.network([part(wave.samples, times[place]) for place in batch])
            for place, answer in zip(batch, answers, strict=True):
                results[place] = answer
            done += len(batch)
        progress("Writing down what is said", 1.0)
        found = [parse_result(result, time) for result, time in zip(results, times, strict=True)]
        return self._transcript(found, [each for result in results for each in result.get("certainties", ())])

    def _stretches(self, wave: Waveform, silences: Sequence[Seconds], progress: Progress) -> list[Seconds]:
        """Return when somebody speaks, at most 30 seconds at a time."""
        if self.find_speech is None:
            return pieces(wave.samples, LONGEST, silences)
        found: list[Seconds] = []
        for start, end in pieces(wave.samples, SEARCHED, silences):
            progress("Finding speech", start / wave.seconds)
            heard = self.find_speech(part(wave.samples, (start, end)))
            found += [(start + a, min(start + b, end)) for a, b in heard]
        return [
            (start + a, start + b)
            for start, end in found
            for a, b in pieces(part(wave.samples, (start, end)))
            if b - a >= SHORTEST
        ]

    def _transcript(self, found: list[Said], certainties: list[float]) -> Transcript:
        lines = tuple(line for said in found for line in said.lines)
        if not any(line.text for line in lines):
            return Transcript(lines, self.info.name, note=NOTHING)
        confidence = sum(certainties) / len(certainties) if certainties else 1.0
        return Transcript(lines, self.info.name, language_of(found), confidence)
