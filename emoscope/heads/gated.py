"""The gated head, trained with PyTorch; `head.gated` is the same formula in numpy."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emoscope.heads.linear import Labels
from emoscope.results import Progress
from emoscope.timeline import Floats

HIDDEN = 64  # units that the gate weighs
DROPOUT = 0.3  # of the embeddings' numbers: a head of this size learns a few hundred pairs by heart without it
RATE = 3e-3  # of learning
DECAY = 1e-2  # of weights
BATCH = 64  # pairs
EPOCHS = 300
PATIENCE = 20  # epochs without a better loss, after which training ends


class Gated(nn.Module):
    """Speech (N, S) and text (N, T) -> logits (N, C); see `head.gated`."""

    def __init__(self, speech: int, text: int, classes: int) -> None:
        super().__init__()
        self.speech, self.text = nn.Linear(speech, HIDDEN), nn.Linear(text, HIDDEN)
        self.gate = nn.Linear(speech + text, HIDDEN)
        self.last = nn.Linear(HIDDEN, classes)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, speech: Tensor, text: Tensor) -> Tensor:
        """Return the logits."""
        speech, text = self.dropout(speech), self.dropout(text)
        gate = torch.sigmoid(self.gate(torch.cat([speech, text], 1)))  # (N, H)
        mixed = gate * torch.tanh(self.speech(speech)) + (1 - gate) * torch.tanh(self.text(text))  # (N, H)
        logits: Tensor = self.last(mixed)
        return logits

    def arrays(self) -> dict[str, Floats]:
        """Return the weights by the names that `head.SHAPES` gives them."""
        found = {
            "speech.project": self.speech.weight, "speech.bias": self.speech.bias,
            "text.project": self.text.weight, "text.bias": self.text.bias,
            "gate.speech": self.gate.weight[:, : self.speech.in_features],
            "gate.text": self.gate.weight[:, self.speech.in_features :],
            "gate.bias": self.gate.bias, "weight": self.last.weight, "bias": self.last.bias,
        }  # fmt: skip
        return {name: weight.detach().contiguous().numpy().copy() for name, weight in found.items()}


def fit(
    speech: Floats, text: Floats, y: Labels, stop: tuple[Floats, Floats, Labels], *, seed: int, progress: Progress
) -> dict[str, Floats]:
    """Train on standardised speech (N, S), text (N, T) and classes y (N,) until `stop` gets no better.

    `stop` is a part of the training pairs that is not trained on; the weights of its best epoch are returned. The same
    seed gives the same weights. `progress` is told before every epoch, and stops the training by raising `Cancelled`.
    """
    given, truth = (torch.from_numpy(speech), torch.from_numpy(text)), torch.from_numpy(y)
    held, held_truth = (torch.from_numpy(stop[0]), torch.from_numpy(stop[1])), torch.from_numpy(stop[2])
    with _seeded(seed), _on_one_core():
        network = Gated(speech.shape[1], text.shape[1], int(y.max()) + 1)
        optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY, fused=True)
        best, best_loss, waited = network.arrays(), float("inf"), 0
        for epoch in range(EPOCHS):
            progress("Training", epoch / EPOCHS)
            network.train()
            for batch in torch.split(torch.randperm(len(truth)), BATCH):
                optimiser.zero_grad()
                loss = F.cross_entropy(network(given[0][batch], given[1][batch]), truth[batch])
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
            network.eval()
            with torch.inference_mode():
                now = float(F.cross_entropy(network(*held), held_truth))
            if now < best_loss:
                best, best_loss, waited = network.arrays(), now, 0
            else:
                waited += 1
            if waited == PATIENCE:
                break
    progress("Training", 1.0)
    return best


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Draw the same numbers every time, and leave everybody else's as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


@contextmanager
def _on_one_core() -> Iterator[None]:
    """Compute on one core: a small network gains nothing from others, and waits for them when they are busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
