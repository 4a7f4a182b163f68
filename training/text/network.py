"""The network: ModernBERT, narrow and shallow, which judges the mean of all tokens; and a head for hidden words."""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import ModernBertConfig, ModernBertForSequenceClassification, PreTrainedTokenizerFast

from training.text.data import LABELS


@dataclass(frozen=True)
class Shape:
    """How large the network is. Most of the weights are the words' own: they cost no time."""

    width: int = 192
    inner: int = 384  # of the gated layer
    layers: int = 2
    heads: int = 6
    dropout: float = 0.2  # of what the classifier sees


class Reader(nn.Module):
    """A classifier of transformers, and beside it what is only needed to learn: a head that guesses hidden words.

    It computes what transformers computes, written so that torch.compile makes it twice as fast on a processor.
    """

    def __init__(self, words: int, shape: Shape) -> None:
        super().__init__()
        self.classifier = build(words, shape)
        self.shape = shape
        self.guess = nn.Sequential(nn.Linear(shape.width, shape.width), nn.GELU(), nn.LayerNorm(shape.width))

    def forward(self, words: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Words' numbers (B, T, D), what of them is text (B, T) -> logits (B, 8), features (B, T, D)."""
        network = self.classifier
        features = self.features(words, mask)
        mean = (features * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)  # (B, D), as transformers does it
        return network.classifier(network.drop(network.head(mean))), features

    def features(self, words: Tensor, mask: Tensor) -> Tensor:
        """Words' numbers (B, T, D) -> the same in context (B, T, D). Products in bfloat16, sums in float32."""
        model = self.classifier.model
        batch, length, width = words.shape
        heads, size = self.shape.heads, width // self.shape.heads
        cosine, sine = (turn.bfloat16() for turn in turns(length, size, self.classifier.config.rope_parameters))
        gaps = torch.zeros(batch, 1, 1, length).masked_fill(~mask[:, None, None], -1e4)
        x = model.embeddings.norm(words)
        for number, layer in enumerate(model.layers):
            h = x if number == 0 else layer.attn_norm(x)
            parts = product(h, layer.attn.Wqkv).view(batch, length, 3, heads, size).permute(2, 0, 3, 1, 4)
            query, key, value = parts  # (B, H, T, D / H) each
            query, key = (part * cosine + turned(part) * sine for part in (query, key))
            said = (query @ key.transpose(-1, -2)).float() / math.sqrt(size) + gaps
            heard = (said.softmax(-1).bfloat16() @ value).transpose(1, 2).reshape(batch, length, width)
            x = x + product(heard, layer.attn.Wo)
            open_, gate = product(layer.mlp_norm(x), layer.mlp.Wi).chunk(2, -1)
            x = x + product(F.gelu(open_.float()) * gate, layer.mlp.Wo)
        features: Tensor = model.final_norm(x)
        return features


def product(x: Tensor, layer: nn.Linear) -> Tensor:
    """A layer in bfloat16, which the processor multiplies several times faster."""
    return F.linear(x.bfloat16(), layer.weight.bfloat16())


def turns(length: int, size: int, parameters: dict[str, dict[str, float]]) -> tuple[Tensor, Tensor]:
    """Cosines and sines of rotary positions, (T, D / H) each."""
    pace = 1 / parameters["full_attention"]["rope_theta"] ** (torch.arange(0, size, 2) / size)
    angles = torch.outer(torch.arange(length).float(), pace)
    angles = torch.cat([angles, angles], -1)
    return angles.cos(), angles.sin()


def turned(x: Tensor) -> Tensor:
    """The second half, negated, before the first."""
    first, second = x.chunk(2, -1)
    return torch.cat([-second, first], -1)


def build(words: int, shape: Shape) -> ModernBertForSequenceClassification:
    """A fresh network whose layers, at first, change nothing."""
    config = ModernBertConfig(
        vocab_size=words,
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        max_position_embeddings=512,
        global_attn_every_n_layers=1,
        pad_token_id=0,
        bos_token_id=1,
        cls_token_id=1,
        eos_token_id=None,
        sep_token_id=None,
        classifier_pooling="mean",
        classifier_dropout=shape.dropout,
        id2label=dict(enumerate(LABELS)),
        label2id={label: number for number, label in enumerate(LABELS)},
    )
    network = ModernBertForSequenceClassification(config)
    network.set_attn_implementation("eager")  # on short texts in bfloat16, twice as fast as PyTorch's own
    with torch.no_grad():
        for layer in network.model.layers:
            layer.attn.Wo.weight.zero_()
            layer.mlp.Wo.weight.zero_()
    return network


def save(network: ModernBertForSequenceClassification, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write an ordinary transformers folder, the weights in float16. The network is in float16 afterwards."""
    network.half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)  # safetensors lets nobody but the writer read it
