"""A head that was trained: what it says of two embeddings, which models it belongs to, and its folder."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from emoscope.errors import ModelError, StorageError
from emoscope.labels import COUNT, INDEX
from emoscope.results import ModelInfo
from emoscope.timeline import Floats, softmax

Arrays: TypeAlias = Mapping[str, Floats]

COMMAND = "./run.sh train-fusion"
PREFIX = "fusion-"  # a head called "mine" lies in models/fusion-mine
CARD, WEIGHTS = "head.json", "weights.safetensors"
DAMAGED = (OSError, ValueError, LookupError, TypeError, AttributeError, SafetensorError)  # what reading stumbles over
SHOWN = 8  # digits of a hash that a person is shown

# Every array with its axes: C labels, S and T numbers of a speech and a text embedding, H hidden units.
STANDARD = {"speech.mean": "S", "speech.scale": "S", "text.mean": "T", "text.scale": "T"}
SHAPES = {
    "early": {**STANDARD, "speech.weight": "CS", "text.weight": "CT", "bias": "C"},
    "gated": {
        **STANDARD,
        "speech.project": "HS", "speech.bias": "H", "text.project": "HT", "text.bias": "H",
        "gate.speech": "HS", "gate.text": "HT", "gate.bias": "H",
        "weight": "CH", "bias": "C",
    },
}  # fmt: skip


def early(arrays: Arrays, speech: Floats, text: Floats) -> tuple[Floats, Floats]:
    """One linear layer over both embeddings, standardised: speech (..., S), text (..., T) -> logits (..., C), share.

    The share (...) is the speech's: how far it moves the logits apart, beside how far the text does.
    """
    heard, read = speech @ arrays["speech.weight"].T, text @ arrays["text.weight"].T  # (..., C)
    by_speech, by_text = (np.linalg.norm(each - each.mean(-1, keepdims=True), axis=-1) for each in (heard, read))
    moved = by_speech + by_text
    share = np.divide(by_speech, moved, out=np.full_like(moved, 0.5), where=moved > 0)
    return heard + read + arrays["bias"], share


def gated(arrays: Arrays, speech: Floats, text: Floats) -> tuple[Floats, Floats]:
    """A gated multimodal unit (Arevalo et al. 2017): speech (..., S), text (..., T) -> logits (..., C), share (...).

    Both sides are projected to H numbers, a gate that sees both weighs each of them, and the share is its mean.
    """
    heard = np.tanh(speech @ arrays["speech.project"].T + arrays["speech.bias"])  # (..., H)
    read = np.tanh(text @ arrays["text.project"].T + arrays["text.bias"])  # (..., H)
    opened = speech @ arrays["gate.speech"].T + text @ arrays["gate.text"].T + arrays["gate.bias"]
    gate = 0.5 + 0.5 * np.tanh(opened / 2)  # the logistic function, which cannot overflow so
    return (gate * heard + (1 - gate) * read) @ arrays["weight"].T + arrays["bias"], gate.mean(-1)


FORMULAS: dict[str, Callable[[Arrays, Floats, Floats], tuple[Floats, Floats]]] = {"early": early, "gated": gated}


@dataclass(frozen=True)
class Maker:
    """A model whose embeddings a head was trained on."""

    name: str
    weights: str  # SHA-256; "" where the model's folder has none

    @classmethod
    def of(cls, model: ModelInfo) -> "Maker":
        """Take what tells one model from another."""
        return cls(model.name, model.weights)

    def made(self, other: ModelInfo) -> bool:
        """Say whether it is this model: the same weights, whatever they are called."""
        return self.weights == other.weights if self.weights else self.name == other.name and not other.weights

    def __str__(self) -> str:
        """Name it so that two models of one name can be told apart."""
        return f"{self.name} ({self.weights[:SHOWN]})" if self.weights else self.name


@dataclass(frozen=True, eq=False)
class Head:
    """A trained fusion of speech and text: two embeddings in, nine probabilities out."""

    name: str
    kind: str  # one of `FORMULAS`
    labels: tuple[str, ...]  # (C,): the emotions that it can say; all others get 0
    speech: Maker
    text: Maker
    arrays: Arrays  # float32, as `SHAPES` names them
    figures: dict[str, Any] = field(default_factory=dict)  # JSON: how good it was on pairs that it had not seen

    def __post_init__(self) -> None:
        if self.kind not in SHAPES or set(self.arrays) != set(SHAPES[self.kind]):
            raise ValueError(f"these are not the arrays of a head of the kind “{self.kind}”")
        if len(self.labels) < 2 or not set(self.labels) <= set(INDEX):
            raise ValueError(f"a head tells at least two of the nine emotions apart, not {self.labels}")
        sizes = {"C": len(self.labels)}
        for name, axes in SHAPES[self.kind].items():
            array = self.arrays[name]
            if array.dtype != np.float32 or array.ndim != len(axes) or not np.isfinite(array).all():
                raise ValueError(f"“{name}” must be finite float32 numbers along {len(axes)} axes")
            if any(sizes.setdefault(axis, length) != length for axis, length in zip(axes, array.shape, strict=True)):
                raise ValueError(f"“{name}” does not fit to the others")
        if not all((self.arrays[f"{side}.scale"] > 0).all() for side in ("speech", "text")):
            raise ValueError("embeddings are divided by their scale, which must be over 0")

    @property
    def dimensions(self) -> dict[str, int]:
        """Return how many numbers an embedding of each side has."""
        return {side: len(self.arrays[f"{side}.mean"]) for side in ("speech", "text")}

    def check(self, speech: ModelInfo, text: ModelInfo) -> None:
        """Raise ModelError unless these are the models that the head was trained on."""
        if not self.speech.made(speech) or not self.text.made(text):
            raise ModelError(
                f"The trained fusion “{self.name}” belongs to {self.speech} and {self.text}, not to "
                f"{Maker.of(speech)} and {Maker.of(text)}. Choose those models or another fusion, or train one for "
                f"these with {COMMAND}."
            )

    def scores(self, speech: Floats, text: Floats) -> Floats:
        """Return the nine probabilities for embeddings: speech (S,) and text (T,) -> (9,); or N of each -> (N, 9)."""
        logits, _ = self._apply(speech, text)
        found = np.zeros((*logits.shape[:-1], COUNT), np.float32)
        found[..., [INDEX[label] for label in self.labels]] = softmax(logits)
        return found

    def weights(self, speech: Floats, text: Floats) -> dict[str, float]:
        """Return how much each side counted for two embeddings (S,) and (T,), sum 1.

        For a gated head that is the mean of its gate; for an early one, how far each side moved the logits apart.
        """
        _, share = self._apply(speech, text)
        return {"speech": float(share), "text": 1 - float(share)}

    def save(self, models: Path) -> Path:
        """Write it into a folder of its own in `models`, whole or not at all; return that. Raises StorageError."""
        folder = models / f"{PREFIX}{self.name}"
        unfinished = models / f".{folder.name}.unfinished"
        card = {
            "kind": self.kind,
            "name": self.name,
            "labels": list(self.labels),
            "dimensions": self.dimensions,
            "speech_model": asdict(self.speech),
            "text_model": asdict(self.text),
            "figures": self.figures,
        }
        try:
            shutil.rmtree(unfinished, ignore_errors=True)  # of a run that was killed here
            unfinished.mkdir(parents=True)
            save_file({name: np.ascontiguousarray(array) for name, array in self.arrays.items()}, unfinished / WEIGHTS)
            (unfinished / WEIGHTS).chmod(0o644)  # safetensors lets nobody but the writer read it
            (unfinished / CARD).write_text(json.dumps(card, ensure_ascii=False, indent=2) + "\n", "utf-8")
            unfinished.rename(folder)
        except OSError as error:
            shutil.rmtree(unfinished, ignore_errors=True)
            reason = error.strerror or error
            raise StorageError(f"{folder} cannot be written: {reason}. Choose another --out.") from error
        return folder

    def _apply(self, speech: Floats, text: Floats) -> tuple[Floats, Floats]:
        """Standardise both sides and apply the formula; raises ModelError when they have other sizes."""
        given = {"speech": speech.shape[-1], "text": text.shape[-1]}
        if given != self.dimensions:
            raise ModelError(
                f"The trained fusion “{self.name}” takes embeddings of {self.dimensions['speech']} and "
                f"{self.dimensions['text']} numbers, not of {given['speech']} and {given['text']}. Train one for these "
                f"models with {COMMAND}."
            )
        speech, text = (
            (side - self.arrays[f"{name}.mean"]) / self.arrays[f"{name}.scale"]
            for name, side in (("speech", speech), ("text", text))
        )
        return FORMULAS[self.kind](self.arrays, speech, text)


def names(models: Path) -> tuple[str, ...]:
    """List the heads that lie in `models`, sorted."""
    return tuple(sorted(card.parent.name.removeprefix(PREFIX) for card in models.glob(f"{PREFIX}*/{CARD}")))


def load(folder: Path) -> Head:
    """Open a head's folder, whose name is the head's; raises ModelError when it is not there, not whole or damaged."""
    name = folder.name.removeprefix(PREFIX)
    if not (folder / CARD).is_file():
        raise ModelError(f"There is no trained fusion in {folder}. Make one with {COMMAND}.")
    try:
        card = json.loads((folder / CARD).read_text("utf-8"))
        return Head(
            name=name,
            kind=card["kind"],
            labels=tuple(card["labels"]),
            speech=Maker(**card["speech_model"]),
            text=Maker(**card["text_model"]),
            arrays=load_file(folder / WEIGHTS),
            figures=card["figures"],
        )
    except DAMAGED as error:
        raise ModelError(f"The trained fusion in {folder} is not whole. Train it again with {COMMAND}.") from error
