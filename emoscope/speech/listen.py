"""From a waveform to its frames: one pass for half a minute, overlapping windows for anything longer."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emoscope.errors import ModelError
from emoscope.labels import COUNT
from emoscope.results import ModelInfo, Progress, SpeechResult, Waveform, quiet
from emoscope.timeline import HOP, RATE, WINDOW, Floats, Timeline, frame_count

LONGEST = frame_count(30 * RATE)  # frames in one pass; attention costs T² memory
CONTEXT = 120  # frames, 2.4 s, heard on either side of a window's inside; docs/windows.md says why
ALIGNED = 4  # frames: a network that pools frames by fours must pool the same ones in every window
BATCH = LONGEST  # frames in one batch: what one pass over a long file takes too
FRAME_BYTES = 200_000  # of a GPU's memory that a frame in a batch may need, four times what the arithmetic gives
FULL = "The GPU has too little free memory for this recording, so it was heard on the processor."
TOO_LITTLE = "There is too little memory for this recording. Close other programs, or use a smaller model."


class Network(Protocol):
    """What a speech network offers: `Emotion2vec` and `CompactSpeech` do."""

    dim: int  # width of the features

    def statistics(self, wave: Tensor) -> Tensor:
        """Measure what a whole file has in common: (N,) -> (K,)."""

    def __call__(self, waves: Tensor, lengths: Tensor, statistics: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N) zero-padded, (B,) samples, (B, K) -> features (B, T, D), frame logits (B, T, C)."""


@dataclass(frozen=True)
class Window:
    """One pass over a part of a file, in frames of the file."""

    start: int  # where hearing begins
    stop: int  # where it ends
    first: int  # the frames taken from it: from `first` up to `last`
    last: int


def windows(frames: int, longest: int = LONGEST, context: int = CONTEXT) -> Iterator[Window]:
    """Yield windows of at most `longest` frames whose insides follow each other from 0 to `frames` without gaps.

    What fits in one window is one window. Else every inside has `context` frames around it, but for the file's ends.
    """
    if frames <= longest:
        yield Window(0, frames, 0, frames)
        return
    context -= context % ALIGNED
    length = longest - longest % ALIGNED
    for start in range(0, frames - 2 * context, length - 2 * context):
        stop = min(start + length, frames)
        yield Window(start, stop, start + context if start else 0, stop - context if stop < frames else frames)
        if stop == frames:
            return


@dataclass(frozen=True)
class SpeechModel:
    """A speech network that is ready to listen, and which of its outputs says which emotion."""

    info: ModelInfo
    network: Network
    columns: tuple[int | None, ...]  # for each of `labels.LABELS`: the network's output, or None if it cannot say it
    longest: int = LONGEST  # frames heard in one pass
    context: int = CONTEXT  # frames around a window's inside
    spare: "Callable[[], SpeechModel] | None" = None  # the same model on the processor, when this one is on a GPU

    def listen(self, wave: Waveform, *, features: bool = False, progress: Progress) -> SpeechResult:
        """Hear the emotion of every 20 ms; with `features` keep what the network thought of them, (T, D).

        Up to 30 s are one pass. Longer sound is heard in windows: memory grows with the features that are kept only.
        `progress` is told before every window, and stops the work by raising `Cancelled`. Where a GPU has too little
        memory the processor hears it, and the result says so.
        """
        try:
            return self._listen(wave, features, progress)
        except torch.OutOfMemoryError:
            pass  # leave the block before going on: the error holds on to the memory
        if self.spare is None:
            raise ModelError(TOO_LITTLE)
        return replace(self.spare().listen(wave, features=features, progress=progress), note=FULL)

    def _listen(self, wave: Waveform, features: bool, progress: Progress) -> SpeechResult:
        samples = _tensor(wave)
        frames = frame_count(len(samples))
        logits = np.empty((frames, COUNT), dtype=np.float32)
        kept = np.empty((frames, self.network.dim), dtype=np.float32) if features else None
        total = np.zeros(self.network.dim)
        progress("Listening", 0.0)
        statistics = self._statistics(samples)
        for window in windows(frames, self.longest, self.context):
            if window.first:
                progress("Listening", window.first / frames)
            # the last window takes in the samples after the last whole frame, as one pass would
            end = len(samples) if window.stop == frames else (window.stop - 1) * HOP + WINDOW
            part = samples[window.start * HOP : end]
            [(found, said)] = self._hear([part], statistics[None])
            inside = slice(window.first - window.start, window.last - window.start)
            logits[window.first : window.last] = said[inside]
            total += found[inside].sum(axis=0, dtype=np.float64)
            if kept is not None:
                kept[window.first : window.last] = found[inside]
        progress("Listening", 1.0)
        return SpeechResult(Timeline(logits), embedding=(total / frames).astype(np.float32), features=kept)

    def listen_many(self, waves: Sequence[Waveform]) -> list[SpeechResult]:
        """Hear many clips in batches, in the order given; each result is what `listen` gives for the clip alone.

        Clips of similar length share a batch. A clip over 30 s is heard by itself, in windows.
        """
        results: dict[int, SpeechResult] = {}
        for batch in _batches([frame_count(len(wave.samples)) for wave in waves], self.longest, self._most()):
            results |= zip(batch, self._together([waves[index] for index in batch]), strict=True)
        return [results[index] for index in range(len(waves))]

    def _most(self) -> int:
        """Return how many frames may be in one batch."""
        if not self.info.device.startswith("cuda"):
            return BATCH
        free, _ = torch.cuda.mem_get_info(self.info.device)
        return max(BATCH, free // FRAME_BYTES)

    def _together(self, waves: list[Waveform]) -> list[SpeechResult]:
        """Hear clips in one batch, or in smaller ones where the memory is short."""
        if len(waves) == 1:
            return [self.listen(waves[0], progress=quiet)]
        clips = [_tensor(wave) for wave in waves]
        try:
            heard = list(self._hear(clips, torch.stack([self._statistics(clip) for clip in clips])))
        except torch.OutOfMemoryError:
            heard = []
        if not heard:
            half = len(waves) // 2
            return self._together(waves[:half]) + self._together(waves[half:])
        return [
            SpeechResult(Timeline(said), embedding=found.mean(axis=0, dtype=np.float64).astype(np.float32))
            for found, said in heard
        ]

    def _statistics(self, samples: Tensor) -> Tensor:
        with torch.inference_mode():
            return self.network.statistics(samples.to(self.info.device))

    def _hear(self, clips: list[Tensor], statistics: Tensor) -> Iterator[tuple[Floats, Floats]]:
        """Yield each clip's own features (T, D) and logits (T, 9) from one pass: B clips (N,), (B, K)."""
        device = self.info.device
        with torch.inference_mode():
            waves = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True).to(device)  # (B, N)
            lengths = torch.tensor([len(clip) for clip in clips], device=device)
            features, logits = self.network(waves, lengths, statistics)
        for clip, found, said in zip(clips, features.cpu().numpy(), logits.cpu().numpy(), strict=True):
            own = frame_count(len(clip))
            yield found[:own], self._in_order(said[:own])

    def _in_order(self, said: Floats) -> Floats:
        """Put the network's outputs in the order of our labels, -inf for what it cannot say: (T, C) -> (T, 9)."""
        if not np.isfinite(said).all():
            raise ModelError(
                f"The model {self.info.name} answered with something that is no number; its weights are damaged. "
                "Fetch the model again."
            )
        logits = np.full((len(said), COUNT), -np.inf, dtype=np.float32)
        for label, column in enumerate(self.columns):
            if column is not None:
                logits[:, label] = said[:, column]
        return logits


def _batches(frames: Sequence[int], longest: int, most: int) -> Iterator[list[int]]:
    """Yield the indices of clips that share a batch, from short to long; one that needs windows stays alone."""
    batch: list[int] = []
    order: NDArray[np.intp] = np.argsort(frames, kind="stable")
    for index in order.tolist():
        padded = frames[index] * (len(batch) + 1)  # the newcomer is the longest
        if batch and (padded > most or frames[index] > longest):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _tensor(wave: Waveform) -> Tensor:
    """Return the samples without a copy; PyTorch wants leave to write, though nothing here does."""
    samples = wave.samples if wave.samples.flags.writeable else wave.samples.copy()
    return torch.from_numpy(samples)
