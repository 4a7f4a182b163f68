"""Labelled embeddings become a head: what is held out, what is fitted, and how good it is beside everything else."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from emoscope.errors import InputError
from emoscope.heads import linear
from emoscope.heads.head import FORMULAS
from emoscope.heads.linear import Labels
from emoscope.labels import COUNT, LABELS
from emoscope.results import Progress, quiet
from emoscope.timeline import Floats

Places: TypeAlias = NDArray[np.int64]
Side: TypeAlias = tuple[Floats, Floats]  # mean and scale of an embedding's numbers, (D,) each

FEWEST = 20  # pairs; with fewer nothing can be said of what is held out
SHARE = 0.2  # of the pairs is held out, and of what is left stops the training
CONSTANT = 1e-6  # a number that varies less than this share of itself says nothing
TRAIN, DEV, TEST = "train", "dev", "test"


@dataclass(frozen=True, eq=False)
class Pairs:
    """N pairs of a recording and its text: what the models gave for them, and what they are."""

    speech: Floats  # (N, S) embeddings
    text: Floats  # (N, T)
    labels: Labels  # (N,): places in `LABELS`
    speakers: tuple[str, ...]  # (N,); "" where nobody knows
    splits: tuple[str, ...]  # (N,): "train", "dev", "test"; "" where it was not said
    models: dict[str, Floats]  # (N, 9) scores without any training: "speech model", "text model", "late fusion"


@dataclass(frozen=True, eq=False)
class Parts:
    """Which pairs are for what."""

    fit: Places
    stop: Places  # decide when to stop, and how strong to regularise
    test: Places  # are not seen before the figures
    how: str  # in words


@dataclass(frozen=True, eq=False)
class Trained:
    """What training gives."""

    labels: tuple[str, ...]
    arrays: dict[str, Floats]  # as `head.SHAPES` names them
    figures: dict[str, dict[str, float]]  # who answered -> accuracy, uar, macro_f1, on the held-out part
    parts: Parts


def train(kind: str, pairs: Pairs, *, seed: int = 0, progress: Progress = quiet) -> Trained:
    """Hold out a part of the pairs, fit a head to the others, and compare both; raises InputError when there are few.

    `progress` stops the work by raising `Cancelled`.
    """
    check(pairs.labels)
    parts = divide(pairs, seed)
    said, classes = np.unique(pairs.labels, return_inverse=True)
    _check_parts(classes, parts)
    both = standard(pairs.speech[parts.fit]), standard(pairs.text[parts.fit])
    speech, text = (standardised(x, side) for x, side in zip((pairs.speech, pairs.text), both, strict=True))
    weights = FITS[kind](speech, text, classes, parts, seed, progress)
    arrays = {
        **{f"{side}.{name}": array for side, pair in zip(("speech", "text"), both, strict=True)
           for name, array in zip(("mean", "scale"), pair, strict=True)},
        **weights,
    }  # fmt: skip
    logits, _ = FORMULAS[kind](arrays, speech[parts.test], text[parts.test])
    progress("Comparing", 0.0)
    answers = {
        "head": logits.argmax(-1),
        "speech embedding alone": _regression(speech, classes, parts).logits(speech[parts.test]).argmax(-1),
        "text embedding alone": _regression(text, classes, parts).logits(text[parts.test]).argmax(-1),
        **{name: scores[parts.test][:, said].argmax(-1) for name, scores in pairs.models.items()},
        "majority": np.full(len(parts.test), np.bincount(classes[np.r_[parts.fit, parts.stop]]).argmax()),
    }
    progress("Comparing", 1.0)
    figures = {name: measure(classes[parts.test], answer) for name, answer in answers.items()}
    return Trained(tuple(LABELS[label] for label in said), arrays, figures, parts)


def _early(
    speech: Floats, text: Floats, classes: Labels, parts: Parts, _seed: int, _progress: Progress
) -> dict[str, Floats]:
    found = _regression(np.concatenate([speech, text], axis=1), classes, parts)  # of (N, S + T)
    cut = speech.shape[1]
    return {"speech.weight": found.weight[:, :cut], "text.weight": found.weight[:, cut:], "bias": found.bias}


def _regression(x: Floats, classes: Labels, parts: Parts) -> linear.Linear:
    return linear.fit(x[parts.fit], classes[parts.fit], (x[parts.stop], classes[parts.stop]))


def _gated(
    speech: Floats, text: Floats, classes: Labels, parts: Parts, seed: int, progress: Progress
) -> dict[str, Floats]:
    from emoscope.heads import gated  # torch takes a second to import

    stop = speech[parts.stop], text[parts.stop], classes[parts.stop]
    return gated.fit(speech[parts.fit], text[parts.fit], classes[parts.fit], stop, seed=seed, progress=progress)


FITS: dict[str, Callable[[Floats, Floats, Labels, Parts, int, Progress], dict[str, Floats]]] = {
    "early": _early,
    "gated": _gated,
}


def check(labels: Sequence[int] | Labels) -> None:
    """Raise InputError when a head cannot be trained on pairs with these labels (places in `LABELS`)."""
    counts = np.bincount(np.asarray(labels, np.int64), minlength=COUNT)
    if counts.sum() < FEWEST:
        raise InputError(f"{counts.sum()} pairs are too few to train on and to test with: give at least {FEWEST}.")
    if (counts > 0).sum() < 2:
        raise InputError("All pairs have the same label. Give pairs of at least two emotions.")
    if (counts == 1).any():
        single = ", ".join(LABELS[label] for label in np.flatnonzero(counts == 1))
        raise InputError(f"There is only one pair with the label {single}. Give more of it, or leave it out.")


def divide(pairs: Pairs, seed: int) -> Parts:
    """Say which pairs are for what: as `splits` says, else by speakers, else a fifth of each label."""
    splits = np.array(pairs.splits)
    speakers = np.array(pairs.speakers) if len(set(pairs.speakers)) > 1 else None
    random = np.random.default_rng(seed)
    held = "other speakers" if speakers is not None else "a fifth of each label"
    test, how = np.flatnonzero(splits == TEST), "the test part of the manifest"
    left = np.flatnonzero((splits != TEST) & (splits != DEV))
    if not len(test):
        left, test = _apart(left, pairs.labels, speakers, random)
        how = held
    stop = np.flatnonzero(splits == DEV)
    if not len(stop):
        left, stop = _apart(left, pairs.labels, speakers, random)
    if not len(stop):  # of few speakers none can be spared; what stops the training may be theirs
        left, stop = _apart(left, pairs.labels, None, random)
    return Parts(left, stop, test, how)


def _apart(
    places: Places, labels: Labels, speakers: NDArray[np.str_] | None, random: np.random.Generator
) -> tuple[Places, Places]:
    """Take a fifth of the places apart, whole speakers where there are any; every label stays with the others, too."""
    groups = _by_label(places, labels, random) if speakers is None else _by_speaker(places, speakers, random)
    room, taken = max(1, round(SHARE * len(places))), list[int]()
    most = 1.5 * room  # speakers are not of one size
    groups.sort(key=lambda group: max(len(group), most))  # one that is too large only when no other can be taken
    left = np.bincount(labels[places], minlength=COUNT)
    for group in groups:
        after = left - np.bincount(labels[group], minlength=COUNT)
        fits = len(taken) + len(group) <= most or not taken
        if len(taken) < room and fits and (after[left > 0] > 0).all():
            taken += group.tolist()
            left = after
    chosen = np.sort(np.array(taken, np.int64))
    return np.setdiff1d(places, chosen), chosen


def _by_speaker(places: Places, speakers: NDArray[np.str_], random: np.random.Generator) -> list[Places]:
    return [places[speakers[places] == speaker] for speaker in random.permutation(np.unique(speakers[places]))]


def _by_label(places: Places, labels: Labels, random: np.random.Generator) -> list[Places]:
    """Return single places so that the first of them, however many, have about the shares of the labels."""
    order = random.permutation(places)
    rank = np.empty(len(order))
    for label in np.unique(labels[order]):
        same = np.flatnonzero(labels[order] == label)
        rank[same] = (np.arange(len(same)) + 0.5) / len(same)
    return list(order[np.argsort(rank, kind="stable")][:, None])


def _check_parts(classes: Labels, parts: Parts) -> None:
    """Raise InputError when a part is empty, or asks for what the training part does not have."""
    for part, name in ((parts.fit, TRAIN), (parts.stop, DEV), (parts.test, TEST)):
        if not len(part):
            raise InputError(
                f"No pairs are left for the {name} part, because each speaker is needed for a label of its own. Give "
                "pairs of more speakers, or a column “split” with train, dev and test."
            )
    unseen = set(classes.tolist()) - set(classes[parts.fit].tolist())
    if unseen:
        raise InputError("A label of the dev or test part does not occur in the train part. Move pairs of it there.")


def standard(x: Floats) -> Side:
    """Return mean and scale (D,) that bring x (N, D) to mean 0 and standard deviation 1; constants become 0."""
    mean, scale = x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64)
    scale[scale <= CONSTANT * np.abs(mean)] = 1.0
    return mean.astype(np.float32), scale.astype(np.float32)


def standardised(x: Floats, side: Side) -> Floats:
    """Apply what `standard` returned."""
    mean, scale = side
    return (x - mean) / scale


def measure(truth: Labels, answers: Labels) -> dict[str, float]:
    """Return accuracy, unweighted average recall (UAR) and macro-F1 over the classes that occur in the truth."""
    occur = np.unique(truth)
    right = np.array([((truth == each) & (answers == each)).sum() for each in occur])
    wanted = np.array([(truth == each).sum() for each in occur])
    given = np.array([(answers == each).sum() for each in occur])
    return {
        "accuracy": float((truth == answers).mean()),
        "uar": float((right / wanted).mean()),
        "macro_f1": float((2 * right / (wanted + given)).mean()),
    }
