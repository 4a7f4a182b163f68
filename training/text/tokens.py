"""The tokenizer: byte-level BPE over all languages, English and Chinese counted twice."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from training.text.data import LONGEST

PAD, BEGIN, MASK = "[PAD]", "[CLS]", "[MASK]"
SPECIAL = (PAD, BEGIN, MASK)  # tokens 0, 1, 2
WORDS = 28_000  # tokens; with 192 numbers each the weights stay under 14 MB
FIRST = ("en", "zh")

log = logging.getLogger(__name__)


def make(texts: Iterator[str], words: int = WORDS) -> PreTrainedTokenizerFast:
    """Learn the tokenizer. Case and width are folded (NFKC), so that what a speech recogniser writes reads the same."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=words,
        min_frequency=5,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        max_token_length=48,  # bytes: no whole sentences in scripts without spaces
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A", special_tokens=[(BEGIN, tokenizer.token_to_id(BEGIN))]
    )
    return wrap(tokenizer)


def wrap(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    """Give a tokenizer the clothes of transformers, so that AutoTokenizer reads it back."""
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        cls_token=BEGIN,
        mask_token=MASK,
        model_max_length=LONGEST,
        padding_side="right",
        model_input_names=["input_ids", "attention_mask"],
    )


def corpus(table: pd.DataFrame) -> Iterator[str]:
    """All texts, those of the first languages twice."""
    yield from table.text
    yield from table.text[table.lang.isin(FIRST)]


def prepare(table: pd.DataFrame, *, cache: Path, words: int = WORDS) -> PreTrainedTokenizerFast:
    """Return the tokenizer of a training, learnt once."""
    folder = cache / "tokenizer"
    if not (folder / "tokenizer.json").exists():
        log.info("learning %d tokens from %d texts", words, len(table))
        made = make(corpus(table), words)
        unfinished = folder.with_suffix(f".{os.getpid()}")
        made.save_pretrained(unfinished)
        unfinished.rename(folder)
    return PreTrainedTokenizerFast.from_pretrained(folder, model_max_length=LONGEST)
