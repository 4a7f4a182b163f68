"""The tokens' numbers while they are learned: of each step's batch only, each token's own and those of its letters."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor
from torch.nn import functional as F

from training.text.grams import split


class Table:
    """Rows of numbers, of which a step changes only those that it has seen (Adam, lazily)."""

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight.detach()
        self.slope, self.square = torch.zeros_like(self.weight), torch.zeros_like(self.weight)

    def pick(self, rows: Tensor) -> Tensor:
        """Some rows, (R, D), to learn."""
        return self.weight[rows].requires_grad_()

    @torch.no_grad()
    def learn(self, rows: Tensor, picked: Tensor, rate: float, *, betas: tuple[float, float] = (0.9, 0.99)) -> None:
        """One step of Adam for the picked ones; both moments begin at the first slope, so none needs correction."""
        slope = picked.grad
        assert slope is not None
        square = slope * slope
        new = (self.square[rows].sum(1, keepdim=True) == 0).float()
        self.slope[rows] = torch.lerp(self.slope[rows], slope, (1 - betas[0]) * (1 - new) + new)
        self.square[rows] = torch.lerp(self.square[rows], square, (1 - betas[1]) * (1 - new) + new)
        self.weight[rows] -= rate * self.slope[rows] / (self.square[rows].sqrt() + 1e-8)

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint holds of it."""
        return vars(self)

    def resume(self, state: dict[str, Tensor]) -> None:
        """Go on with what a checkpoint held."""
        for name, value in state.items():
            getattr(self, name).copy_(value)


class Words:
    """The tokens' numbers: each one's own, and those of the stretches of letters that it shares with others."""

    def __init__(self, weight: Tensor, parts: csr_matrix, counts: NDArray[np.int64], alone: float) -> None:
        own, shared = split(weight.detach().numpy(), parts, counts)
        self.parts, self.alone = parts, alone
        self.own, self.shared = Table(torch.from_numpy(own)), Table(torch.from_numpy(shared))

    def pick(self, rows: Tensor) -> tuple[Tensor, Callable[[float], None]]:
        """Some tokens' numbers, (R, D), and how to learn from their slopes at a rate.

        Some tokens have to do without their own numbers, so that the shared ones learn as well.
        """
        chosen = self.parts[rows.numpy()]
        stretches, inverse = torch.unique(torch.from_numpy(chosen.indices).long(), return_inverse=True)
        own, shared = self.own.pick(rows), self.shared.pick(stretches)
        kept = (torch.rand(len(rows), 1) >= self.alone) | torch.from_numpy(np.diff(chosen.indptr) == 0)[:, None]
        begin, share = torch.from_numpy(chosen.indptr[:-1]).long(), torch.from_numpy(chosen.data)
        common = F.embedding_bag(inverse, shared, begin, mode="sum", per_sample_weights=share)

        def learn(rate: float) -> None:
            self.own.learn(rows, own, rate)
            self.shared.learn(stretches, shared, rate)

        return own * kept + common, learn

    def together(self) -> Tensor:
        """Every token's numbers, added up: (V, D)."""
        return self.own.weight + torch.from_numpy(self.parts @ self.shared.weight.numpy())
