"""From a text to its verdict: sentences, windows of what the model takes at a time, and words left out one by one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from emoscope.results import ModelInfo, Progress, quiet
from emoscope.text.meaning import Meaning
from emoscope.text.result import Sentence, TextResult, Word
from emoscope.text.split import Span, clean, sentences, words
from emoscope.timeline import Floats

BATCH = 4096  # tokens in one batch, padding included
EXPLAINED = 300  # words of a text: each costs a pass over its sentence
PLAIN = {"add_special_tokens": False, "split_special_tokens": True}  # “[MASK]” in a text is a word like any other
SLACK = 2  # tokens that a part of a text may have more than it had within the whole
READING, EXPLAINING = "Reading", "Weighing the words"


@dataclass(frozen=True)
class Plan:
    """What has to be read of one text: each window is a span that the model takes at a time."""

    text: str
    spans: tuple[Span, ...]  # of the sentences
    parts: tuple[tuple[Span, ...], ...]  # the windows of each sentence
    whole: tuple[Span, ...]  # the windows of the whole text: as many sentences as fit
    cuts: tuple[int, ...]  # where the tokenizer's pieces begin

    @property
    def windows(self) -> list[Span]:
        """All different windows."""
        return list(dict.fromkeys([*self.whole, *(window for part in self.parts for window in part)]))


@dataclass(frozen=True)
class TextModel:
    """A text classifier that is ready to read, and what its outputs mean."""

    info: ModelInfo
    tokenizer: Any  # of transformers
    network: Any  # input_ids (B, T), attention_mask (B, T) -> an object with logits (B, C)
    meaning: Meaning
    longest: int  # tokens that the network takes at a time, its own signs included

    def read(self, text: str, *, explain: bool = True, progress: Progress = quiet) -> TextResult:
        """Read the emotion of a text, of each sentence, and with `explain` what each of the first 300 words did.

        A text over the model's length is read in windows of whole sentences, whose answers are averaged by length. A
        word's contributions are what its sentence's probabilities lose when the word is left out (occlusion).
        `progress` is told before every batch, and stops the work by raising `Cancelled`. Raises InputError when there
        is nothing to read, and TooLargeError.
        """
        plan = self._plan(clean(text))
        [own] = self._read_windows([plan], READING, progress)
        explained = self._explain(plan, own, progress) if explain else {}
        return self._result(text, plan, own, explained)

    def read_all(self, texts: Sequence[str], *, progress: Progress = quiet) -> list[TextResult]:
        """Read many texts in batches, in the order given, without explaining words; else as `read`."""
        plans = [self._plan(clean(text)) for text in texts]
        found = self._read_windows(plans, READING, progress)
        return [self._result(text, plan, own, {}) for text, plan, own in zip(texts, plans, found, strict=True)]

    def _plan(self, text: str) -> Plan:
        cuts = self._pieces(text)
        room = max(1, self.longest - self.tokenizer.num_special_tokens_to_add() - SLACK)
        spans = sentences(text)
        parts = tuple(tuple(_windows(span, cuts, room)) for span in spans)
        return Plan(text, tuple(spans), parts, tuple(_packed(parts, cuts, room)), tuple(cuts.tolist()))

    def _pieces(self, text: str) -> NDArray[np.int64]:
        """Return where the tokenizer's pieces begin, in characters; a tokenizer that cannot tell counts characters."""
        if not self.tokenizer.is_fast:
            return np.arange(len(text))
        found = self.tokenizer(text, return_offsets_mapping=True, verbose=False, **PLAIN)
        return np.array([start for start, _ in found["offset_mapping"]], np.int64)

    def _read_windows(self, plans: Sequence[Plan], what: str, progress: Progress) -> list[dict[Span, Floats]]:
        """Return for each plan what the model gives to its own labels in every window: (C,)."""
        places = [(number, window) for number, plan in enumerate(plans) for window in plan.windows]
        read = self._own([plans[number].text[start:end] for number, (start, end) in places], what, progress)
        found: list[dict[Span, Floats]] = [{} for _ in plans]
        for (number, window), own in zip(places, read, strict=True):
            found[number][window] = own
        return found

    def _explain(self, plan: Plan, own: dict[Span, Floats], progress: Progress) -> dict[Span, list[Word]]:
        """Return the words of the first windows, in the order of the sentences."""
        chosen: list[tuple[Span, Span]] = []  # window, word
        for window in (window for part in plan.parts for window in part):
            found = words(plan.text, window, plan.cuts)
            if len(chosen) + len(found) > EXPLAINED and chosen:
                break
            chosen += [(window, word) for word in found[:EXPLAINED]]
        without = [plan.text[a:start] + plan.text[end:b] for (a, b), (start, end) in chosen]
        left = self.meaning.scores(self._own(without, EXPLAINING, progress))  # (words, 9)
        explained: dict[Span, list[Word]] = {}
        for (window, (start, end)), scores in zip(chosen, left, strict=True):
            explained.setdefault(window, []).append(Word(start, end, self.meaning.scores(own[window]) - scores))
        return explained

    def _result(self, text: str, plan: Plan, own: dict[Span, Floats], explained: dict[Span, list[Word]]) -> TextResult:
        whole = _mean(plan.whole, own)
        found = []
        for (start, end), part in zip(plan.spans, plan.parts, strict=True):
            share = _shares(part)
            said = tuple(
                Word(word.start, word.end, word.contributions * np.float32(weight))
                for window, weight in zip(part, share, strict=True)
                for word in explained.get(window, [])
            )
            found.append(Sentence(start, end, self.meaning.scores(_mean(part, own)), said))
        given = {label: float(value) for label, value in zip(self.meaning.labels, whole, strict=True)}
        return TextResult(text, self.meaning.scores(whole), given, tuple(found), self.meaning.note)

    def _own(self, texts: Sequence[str], what: str, progress: Progress) -> Floats:
        """Return what the model gives to its own labels in every text: (N, C)."""
        logits = np.zeros((len(texts), len(self.meaning.labels)), np.float32)
        tokens = [self._tokens(text) for text in texts]
        done = 0
        for batch in _batches([len(row) for row in tokens]):
            progress(what, done / len(texts))
            logits[batch] = self._forward([tokens[row] for row in batch])
            done += len(batch)
        progress(what, 1.0)
        return self.meaning.own(logits)

    def _tokens(self, text: str) -> list[int]:
        found = self.tokenizer(text, truncation=True, max_length=self.longest, split_special_tokens=True)["input_ids"]
        return list(found) or [self.tokenizer.pad_token_id or 0]  # the only word of a sentence may be left out

    def _forward(self, rows: list[list[int]]) -> Floats:
        """Read one batch: B rows of tokens -> logits (B, C)."""
        width = max(map(len, rows))
        tokens = torch.full((len(rows), width), self.tokenizer.pad_token_id or 0)
        mask = torch.zeros((len(rows), width), dtype=torch.long)
        for row, known in enumerate(rows):
            tokens[row, : len(known)] = torch.tensor(known)
            mask[row, : len(known)] = 1
        with torch.inference_mode():
            place = self.info.device
            logits = self.network(input_ids=tokens.to(place), attention_mask=mask.to(place)).logits
        found: Floats = logits.float().cpu().numpy()
        return found


def _windows(span: Span, cuts: NDArray[np.int64], room: int) -> Iterator[Span]:
    """Cut a span into stretches of at most `room` pieces, as even as can be."""
    start, end = span
    inside = cuts[np.searchsorted(cuts, start) : np.searchsorted(cuts, end)]
    count = -(-len(inside) // room) or 1
    edges = [start, *(int(inside[len(inside) * part // count]) for part in range(1, count)), end]
    yield from ((a, b) for a, b in pairwise(edges) if a < b)


def _packed(parts: Sequence[Sequence[Span]], cuts: NDArray[np.int64], room: int) -> Iterator[Span]:
    """Join the windows of sentences that follow each other, as long as they fit into one."""
    first = last = -1
    for start, end in (window for part in parts for window in part):
        if first < 0:
            first, last = start, end
        elif np.searchsorted(cuts, end) - np.searchsorted(cuts, first) <= room:
            last = end
        else:
            yield first, last
            first, last = start, end
    yield first, last


def _shares(windows: Sequence[Span]) -> NDArray[np.float64]:
    """Return how much each window counts, by its length; sum 1."""
    lengths = np.array([end - start for start, end in windows], np.float64)
    shares: NDArray[np.float64] = lengths / lengths.sum()
    return shares


def _mean(windows: Sequence[Span], own: dict[Span, Floats]) -> Floats:
    """Return the mean of what was given in windows, by their length: (C,)."""
    mean: Floats = (_shares(windows) @ np.stack([own[window] for window in windows])).astype(np.float32)
    return mean


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield places of texts of similar length, as many as fit into a batch."""
    batch: list[int] = []
    for place in np.argsort(lengths, kind="stable").tolist():
        if batch and (len(batch) + 1) * lengths[place] > BATCH:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
