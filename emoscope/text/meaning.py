"""What the outputs of somebody else's classifier mean in our nine emotions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emoscope.errors import ModelError
from emoscope.labels import COUNT, INDEX, parse_foreign
from emoscope.timeline import Flags, Floats, softmax


@dataclass(frozen=True)
class Meaning:
    """Which of our emotions each output of a classifier says."""

    labels: tuple[str, ...]  # the model's own, C of them
    columns: tuple[int, ...]  # for each of them, one of our classes
    many: bool = False  # each output stands for itself (sigmoid), where otherwise they compete (softmax)
    note: str = ""  # which labels name no emotion that we know

    @property
    def says(self) -> Flags:
        """Return which of our emotions the model can say at all, (9,)."""
        return np.isin(np.arange(COUNT), self.columns)

    def own(self, logits: Floats) -> Floats:
        """Return what the model gives to its own labels: (..., C) -> (..., C)."""
        if self.many:
            fired: Floats = (0.5 * (1 + np.tanh(logits.astype(np.float64) / 2))).astype(np.float32)
            return fired
        return softmax(logits)

    def scores(self, own: Floats) -> Floats:
        """Return probabilities of our nine emotions: (..., C) -> (..., 9), sum 1.

        Labels of one emotion add up. Where each stands for itself the strongest of them counts, so that an emotion with
        twelve names has no advantage, and what comes out is divided by its sum.
        """
        found: NDArray[np.float64] = np.zeros((*own.shape[:-1], COUNT))
        for place, column in enumerate(self.columns):
            given = own[..., place]
            found[..., column] = np.maximum(found[..., column], given) if self.many else found[..., column] + given
        total = found.sum(axis=-1, keepdims=True)
        return (found / np.where(total > 0, total, 1.0)).astype(np.float32)


def meaning(labels: tuple[str, ...], *, many: bool) -> Meaning:
    """Find our emotion for every label of a model; a label that names none of ours counts as `other`, with a note.

    Raises ModelError when no label names an emotion, or when there is only one: such a model does not classify.
    """
    if len(labels) < 2:
        raise ModelError("The model has a single output, so it does not tell emotions apart. Choose a classifier.")
    found = [parse_foreign(label) for label in labels]
    strange = [label for label, column in zip(labels, found, strict=True) if column is None]
    if len(strange) == len(labels):
        raise ModelError(
            f"No label of the model names an emotion: {_listed(labels)}. Its config.json can name them (“id2label”)."
        )
    columns = tuple(INDEX["other"] if column is None else column for column in found)
    note = f"This model also says {_listed(strange)}, which counts as “other” here." if strange else ""
    return Meaning(labels, columns, many, note)


def _listed(labels: tuple[str, ...] | list[str], most: int = 8) -> str:
    """Return labels as a person would list them."""
    shown = ", ".join(f"“{label}”" for label in labels[:most])
    return shown if len(labels) <= most else f"{shown} and {len(labels) - most} more"
