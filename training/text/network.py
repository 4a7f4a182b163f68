"""The network: ModernBERT, narrow and shallow, which judges the mean of all tokens; and a head for hidden words."""

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
    inner: int = 288  # of the gated layer
    layers: int = 4
    heads: int = 6
    dropout: float = 0.1


class Reader(nn.Module):
    """A classifier of transformers, and beside it what is only needed to learn: a head that guesses hidden words."""

    def __init__(self, words: int, shape: Shape) -> None:
        super().__init__()
        self.classifier = build(words, shape)
        self.layers = self.classifier.model.layers
        self.guess = nn.Sequential(nn.Linear(shape.width, shape.width), nn.GELU(), nn.LayerNorm(shape.width))
        self.bias = nn.Parameter(torch.zeros(words))

    def deep(self, yes: bool) -> None:
        """Use the attention layers, or let words pass them by: the mean of words alone learns fast and cheaply."""
        self.classifier.model.layers = self.layers if yes else nn.ModuleList()

    def forward(self, tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (B, T), what of them is text (B, T) -> logits (B, 8), features (B, T, D)."""
        network = self.classifier
        features = network.model(input_ids=tokens, attention_mask=mask).last_hidden_state  # (B, T, D)
        mean = (features * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)  # (B, D), as transformers does it
        return network.classifier(network.drop(network.head(mean))), features

    def words(self, features: Tensor) -> Tensor:
        """Features of hidden places (N, D) -> logits of the words that stood there (N, V)."""
        return F.linear(self.guess(features), self.classifier.get_input_embeddings().weight, self.bias)


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
        embedding_dropout=shape.dropout,
        mlp_dropout=shape.dropout,
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
