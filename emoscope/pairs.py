"""A manifest of labelled recordings with their texts becomes a trained fusion: the work behind `train-fusion`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from emoscope.analyzer import Analyzer
from emoscope.batch import inputs
from emoscope.batch.inputs import Item
from emoscope.errors import InputError, OptionError, StorageError
from emoscope.fusion import METHODS
from emoscope.heads import FORMULAS, PREFIX, Head, Maker, training
from emoscope.labels import LABELS, parse_foreign
from emoscope.multimodal import together
from emoscope.results import Progress, quiet
from emoscope.settings import Options
from emoscope.timeline import Floats
from emoscope.transcript import Transcript

TEXTS, FILES = ("text",), ("transcript",)  # a manifest's names for the words, and for a file that holds them
EMOTIONS, SPEAKERS, SPLITS = ("label", "emotion"), ("speaker", "speaker_id"), ("split",)
PARTS = {
    "": "", "train": training.TRAIN, "training": training.TRAIN, "dev": training.DEV, "val": training.DEV,
    "valid": training.DEV, "validation": training.DEV, "test": training.TEST,
}  # fmt: skip
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")  # it is a folder's name, and an option in a command
LATE = "weighted"  # the method of `fusion` that a head is compared with


@dataclass(frozen=True)
class Pair:
    """A recording with its words and what emotion a person gave it."""

    item: Item
    transcript: Transcript
    label: int  # a place in `LABELS`
    speaker: str
    split: str


@dataclass(frozen=True)
class Skipped:
    """A row that could not be used."""

    row: str
    sentence: str


@dataclass(frozen=True, eq=False)
class Result:
    """A head that was trained and saved, and what was left out."""

    head: Head
    folder: Path
    skipped: list[Skipped]


@dataclass(frozen=True, eq=False)
class Embedded:
    """One pair with what the models gave for it; the sound itself is let go."""

    pair: Pair
    speech: Maker
    text: Maker
    embeddings: tuple[Floats, Floats]  # speech (S,), text (T,)
    scores: dict[str, Floats]  # (9,) each, of the models without any training


def train(
    manifest: Path,
    analyzer: Analyzer,
    options: Options,
    *,
    kind: str,
    name: str,
    models: Path,
    seed: int = 0,
    progress: Progress = quiet,
) -> Result:
    """Embed all pairs, train a head of this kind, compare it on pairs that were held out, and save it in `models`.

    Rows that cannot be used are skipped and named. `progress` stops the work by raising `Cancelled`. Raises
    EmoscopeError, before any model runs where that can be.
    """
    check(kind, name, models)
    pairs, skipped = read(manifest)
    training.check([pair.label for pair in pairs])
    embedded, unheard = embed(pairs, analyzer, options, progress)
    found = training.train(kind, _table(embedded), seed=seed, progress=progress)
    parts = found.parts
    figures = {
        "held_out": found.figures,
        "division": parts.how,
        "pairs": {training.TRAIN: len(parts.fit), training.DEV: len(parts.stop), training.TEST: len(parts.test)},
        "seed": seed,
    }
    head = Head(name, kind, found.labels, embedded[0].speech, embedded[0].text, found.arrays, figures)
    return Result(head, head.save(models), [*skipped, *unheard])


def check(kind: str, name: str, models: Path) -> None:
    """Raise OptionError or StorageError when a head of this kind and name cannot be made in the folder `models`."""
    if kind not in FORMULAS:
        raise OptionError(f"A trained fusion is {' or '.join(FORMULAS)}, not “{kind}”.")
    if not NAME.fullmatch(name) or name in {*METHODS, "auto"}:
        raise OptionError(
            f"“{name}” cannot be the name of a trained fusion. Take up to 40 lower-case letters, digits, - and _, but "
            f"not {', '.join(METHODS)} or auto."
        )
    if (models / f"{PREFIX}{name}").exists():
        raise StorageError(f"{models / f'{PREFIX}{name}'} is there already. Choose another --name, or remove it.")


def read(manifest: Path) -> tuple[list[Pair], list[Skipped]]:
    """Read the pairs that a manifest names, and say which rows are no pairs.

    Raises InputError when it is no manifest of labelled pairs, or has labels that nobody knows; all of them are named.
    """
    if not manifest.is_file():
        raise InputError(f"There is no file {manifest}. Give a manifest: .csv, .tsv or .jsonl.")
    if manifest.suffix.lower() not in inputs.MANIFESTS:
        raise InputError(f"{manifest} is no manifest. Give a .csv, .tsv or .jsonl file.")
    rows = [row for row in inputs.rows(manifest) if isinstance(row, dict)]
    for columns, what in ((inputs.PATHS, "path"), ((*TEXTS, *FILES), "text"), (EMOTIONS, "label")):
        if not any(inputs.value(row, columns) for row in rows):
            raise InputError(f"{manifest} needs a column “{what}”, and a row for each pair.")
    unknown = {label for row in rows if (label := inputs.value(row, EMOTIONS)) and parse_foreign(label) is None}
    if unknown:
        listed = ", ".join(f"“{label}”" for label in sorted(unknown))
        raise InputError(f"{manifest} has labels that are no known emotions: {listed}. Call them {', '.join(LABELS)}.")
    pairs, skipped = list[Pair](), list[Skipped]()
    for number, row in enumerate(rows, start=1):
        try:
            pairs.append(_pair(row, manifest.parent))
        except InputError as error:
            skipped.append(Skipped(inputs.value(row, inputs.PATHS) or f"row {number}", str(error)))
    return pairs, skipped


def embed(
    pairs: Sequence[Pair], analyzer: Analyzer, options: Options, progress: Progress = quiet
) -> tuple[list[Embedded], list[Skipped]]:
    """Let the models hear and read every pair; those of which one side cannot be used are skipped."""
    late = replace(options, fusion=LATE, text_weight=analyzer.settings.text_weight)
    found, skipped = list[Embedded](), list[Skipped]()
    for number, pair in enumerate(pairs):

        def tell(what: str, done: float, number: int = number) -> None:
            progress(f"Pair {number + 1} of {len(pairs)}: {what}", (number + done) / len(pairs))

        try:
            found.append(_embedded(pair, analyzer, late, tell))
        except OptionError:  # every pair would say the same
            raise
        except InputError as error:
            skipped.append(Skipped(pair.item.path, str(error)))
    if not found:
        raise InputError(f"Not one pair could be used. The first is {skipped[0].row}: {skipped[0].sentence}")
    return found, skipped


def _pair(row: dict[str, Any], folder: Path) -> Pair:
    """Understand one row; raises InputError."""
    name, label = inputs.value(row, inputs.PATHS), parse_foreign(inputs.value(row, EMOTIONS))
    if not name:
        raise InputError("The row names no recording.")
    if label is None:
        raise InputError("The row has no label.")
    split = inputs.value(row, SPLITS).lower()
    if split not in PARTS:
        raise InputError(f"The split is train, dev or test, not “{split}”.")
    return Pair(
        inputs.named(name, folder=folder), _transcript(row, folder), label, inputs.value(row, SPEAKERS), PARTS[split]
    )


def _transcript(row: dict[str, Any], folder: Path) -> Transcript:
    text, file = inputs.value(row, TEXTS), inputs.value(row, FILES)
    if text:
        return Transcript.typed(text)
    if not file:
        raise InputError("The row has neither a text nor a transcript.")
    from emoscope.transcribe import read_file

    return read_file(inputs.named(file, folder=folder).file)


def _embedded(pair: Pair, analyzer: Analyzer, options: Options, progress: Progress) -> Embedded:
    """Let the models hear and read one pair; raises InputError when one side cannot be used."""
    heard = analyzer.analyze(pair.item.file, options, progress=progress).heard
    if heard is None or heard.silent:
        raise InputError("It is silent from beginning to end.")
    words = analyzer.readers.read(pair.transcript, options, explain=False, progress=progress)
    return Embedded(
        pair,
        Maker.of(heard.model),
        Maker.of(words.model),
        (heard.speech.embedding, words.text.embedding),
        {
            "speech model": heard.speech.scores,
            "text model": words.text.scores,
            "late fusion": together(heard, words, options).fused.scores,
        },
    )


def _table(embedded: Sequence[Embedded]) -> training.Pairs:
    """Stack the pairs into arrays."""
    return training.Pairs(
        speech=np.stack([each.embeddings[0] for each in embedded]),
        text=np.stack([each.embeddings[1] for each in embedded]),
        labels=np.array([each.pair.label for each in embedded], np.int64),
        speakers=tuple(each.pair.speaker for each in embedded),
        splits=tuple(each.pair.split for each in embedded),
        models={who: np.stack([each.scores[who] for each in embedded]) for who in embedded[0].scores},
    )
