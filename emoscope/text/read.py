"""From a text to its verdict: sentences, windows of what the model takes at a time, and words left out one by one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from emoscope.results import ModelInfo, Progress, Sentence, TextResult, Word, quiet
from emoscope.text.meaning import Meaning
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


@dataclass(frozen=True, eq=False)
class Answer:
    """What a network gives for N texts."""

    own: Floats  # (N, C): for its own labels
    features: Floats  # (N, D): the mean of its last hidden states

    def mean(self, shares: NDArray[np.float64]) -> "Answer":
        """Return the mean over the texts with these weights (N,), as one text."""
        return Answer(*((shares @ each).astype(np.float32)[None] for each in (self.own, self.features)))


@dataclass(frozen=True)
class TextModel:
    """A text classifier that is ready to read, and what its outputs mean."""

    info: ModelInfo
    tokenizer: Any  # of transformers
    network: Any  # input_ids (B, T), attention_mask (B, T) -> an object with logits (B, C), hidden_states
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
        [found] = self._read_windows([plan], READING, progress)
        explained = self._explain(plan, found, progress) if explain else {}
        return self._result(text, plan, found, explained)

    def read_all(self, texts: Sequence[str], *, progress: Progress = quiet) -> list[TextResult]:
        """Read many texts in batches, in the order given, without explaining words; else as `read`."""
        plans = [self._plan(clean(text)) for text in texts]
        answers = self._read_windows(plans, READING, progress)
        return [self._result(text, plan, found, {}) for text, plan, found in zip(texts, plans, answers, strict=True)]

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

    def _read_windows(self, plans: Sequence[Plan], what: str, progress: Progress) -> list["Windows"]:
        """Return for each plan what the model gives for every window."""
        places = [(number, window) for number, plan in enumerate(plans) for window in plan.windows]
        read = self._answer([plans[number].text[start:end] for number, (start, end) in places], what, progress)
        rows: list[dict[Span, int]] = [{} for _ in plans]
        for row, (number, window) in enumerate(places):
            rows[number][window] = row
        return [Windows(read, each) for each in rows]

    def _explain(self, plan: Plan, found: "Windows", progress: Progress) -> dict[Span, list[Word]]:
        """Return the words of the first windows, in the order of the sentences."""
        chosen: list[tuple[Span, Span]] = []  # window, word
        for window in (window for part in plan.parts for window in part):
            inside = words(plan.text, window, plan.cuts)
            if len(chosen) + len(inside) > EXPLAINED and chosen:
                break
            chosen += [(window, word) for word in inside[:EXPLAINED]]
        without = [plan.text[a:start] + plan.text[end:b] for (a, b), (start, end) in chosen]
        left = self.meaning.scores(self._answer(without, EXPLAINING, progress).own)  # (words, 9)
        explained: dict[Span, list[Word]] = {}
        for (window, (start, end)), scores in zip(chosen, left, strict=True):
            whole = self.meaning.scores(found.mean([window]).own[0])
            explained.setdefault(window, []).append(Word(start, end, whole - scores))
        return explained

    def _result(self, text: str, plan: Plan, found: "Windows", explained: dict[Span, list[Word]]) -> TextResult:
        whole = found.mean(plan.whole)
        read = []
        for (start, end), part in zip(plan.spans, plan.parts, strict=True):
            share = _shares(part)
            said = tuple(
                Word(word.start, word.end, word.contributions * np.float32(weight))
                for window, weight in zip(part, share, strict=True)
                for word in explained.get(window, [])
            )
            read.append(Sentence(start, end, self.meaning.scores(found.mean(part).own[0]), said))
        return TextResult(
            text,
            self.meaning.scores(whole.own[0]),
            dict(zip(self.meaning.labels, whole.own[0].astype(float).tolist(), strict=True)),
            tuple(read),
            whole.features[0],
            self.meaning.says,
            self.meaning.note,
        )

    def _answer(self, texts: Sequence[str], what: str, progress: Progress) -> Answer:
        """Return what the model gives for every text."""
        tokens = [self._tokens(text) for text in texts]
        order: list[int] = []
        parts: list[tuple[Floats, Floats]] = []
        for batch in _batches([len(row) for row in tokens]):
            progress(what, len(order) / len(texts))
            parts.append(self._forward([tokens[row] for row in batch]))
            order += batch
        progress(what, 1.0)
        back = np.argsort(order)
        logits, features = (np.concatenate(each)[back] for each in zip(*parts, strict=True))
        return Answer(self.meaning.own(logits), features)

    def _tokens(self, text: str) -> list[int]:
        found = self.tokenizer(text, truncation=True, max_length=self.longest, split_special_tokens=True)["input_ids"]
        return list(found) or [self.tokenizer.pad_token_id or 0]  # the only word of a sentence may be left out

    def _forward(self, rows: list[list[int]]) -> tuple[Floats, Floats]:
        """Read one batch: B rows of tokens -> logits (B, C), and the mean of the last hidden states (B, D)."""
        width = max(map(len, rows))
        tokens = torch.full((len(rows), width), self.tokenizer.pad_token_id or 0)
        mask = torch.zeros((len(rows), width), dtype=torch.long)
        for row, known in enumerate(rows):
            tokens[row, : len(known)] = torch.tensor(known)
            mask[row, : len(known)] = 1
        with torch.inference_mode():
            place = self.info.device
            said = self.network(input_ids=tokens.to(place), attention_mask=mask.to(place), output_hidden_states=True)
            shares = mask.to(place) / mask.to(place).sum(1, keepdim=True)
            features = torch.einsum("bt,btd->bd", shares, said.hidden_states[-1].float())
        return said.logits.float().cpu().numpy(), features.cpu().numpy()


@dataclass(frozen=True, eq=False)
class Windows:
    """What a network gave for the windows of one text."""

    answer: Answer
    rows: dict[Span, int]  # the window's place in the answer

    def mean(self, windows: Sequence[Span]) -> Answer:
        """Return the mean of some windows, by their length, as one text."""
        rows = [self.rows[window] for window in windows]
        return Answer(self.answer.own[rows], self.answer.features[rows]).mean(_shares(windows))


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
