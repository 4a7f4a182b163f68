"""A folder or a Hugging Face name becomes a TextModel, or one sentence about what is wrong with it."""

import hashlib
import logging
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from emoscope.device import find_device
from emoscope.errors import ModelError
from emoscope.results import ModelInfo
from emoscope.text.meaning import meaning
from emoscope.text.read import TextModel

log = logging.getLogger(__name__)

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
LONGEST = 512  # tokens; more is read in windows, since attention costs their square
# What transformers stumbles over when files are missing, damaged, or of another version.
DAMAGED = (
    OSError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
    ImportError,
    SafetensorError,
)
MARGIN = 2  # places that RoBERTa's kin count before the first token


def load(name: Path | str, *, device: str = "cpu", threads: int = 0, offline: bool = True) -> TextModel:
    """Open a text classifier: a folder as transformers saves it, or a name such as “owner/model” on Hugging Face.

    A name is looked up in Hugging Face's cache, and fetched when it is not there unless `offline`. Code that comes with
    a model is never run. `device` is "auto", "cpu" or "cuda"; `threads` 0 leaves PyTorch's number. Raises ModelError
    when it is no classifier of emotions that is whole, and OptionError for a device that is not there.
    """
    place = find_device(device)
    tokenizer, network, folder = _open(str(name), offline)
    config, fingerprint = network.config, _fingerprint(folder)
    if getattr(config, "sha256", fingerprint) != fingerprint:
        raise ModelError(f"The text model {name} cannot be opened: its weights are damaged. Fetch the model again.")
    labels = tuple(str(config.id2label[number]) for number in sorted(config.id2label))
    said = meaning(labels, many=config.problem_type == "multi_label_classification")
    if said.note:
        log.warning("%s: %s", name, said.note)
    if threads:
        torch.set_num_threads(threads)
    info = ModelInfo(
        name=folder.resolve().name if Path(name).is_dir() else str(name),
        kind=type(network).__name__,
        weights=fingerprint,
        precision="fp32",
        device=str(place),
        licence=str(getattr(config, "licence", "") or ""),
        note=said.note,
    )
    network.eval().requires_grad_(False)
    return TextModel(info, tokenizer, network.to(place), said, _longest(tokenizer, config))


def _open(name: str, offline: bool) -> tuple[Any, Any, Path]:
    """Return tokenizer, network and folder; raises ModelError."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer  # takes seconds to import
    from transformers.utils.hub import cached_file

    options: dict[str, Any] = {"local_files_only": offline or Path(name).is_dir(), "trust_remote_code": False}
    try:
        with _quiet():
            tokenizer = AutoTokenizer.from_pretrained(name, **options)
            network, found = AutoModelForSequenceClassification.from_pretrained(
                name, dtype=torch.float32, output_loading_info=True, **options
            )
        folder = Path(str(cached_file(name, "config.json", local_files_only=True))).parent
    except pickle.UnpicklingError:
        raise ModelError(
            f"The text model {name} cannot be opened: its weights hold something other than numbers, perhaps code that "
            "would run when they are read. Take it from its publisher."
        ) from None
    except DAMAGED as error:
        reason = str(error).strip().split("\n")[0]
        raise ModelError(f"The text model {name} cannot be opened: {reason}") from error
    if found["missing_keys"]:
        first = sorted(found["missing_keys"])[0]
        raise ModelError(f"The text model {name} was not trained to classify: “{first}” is missing. Choose another.")
    return tokenizer, network, folder


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from drawing progress bars and reporting on weights, which is done here."""
    import transformers

    chatter: Any = transformers.utils.logging
    bars, level = chatter.is_progress_bar_enabled(), chatter.get_verbosity()
    chatter.disable_progress_bar()
    chatter.set_verbosity_error()
    try:
        yield
    finally:
        chatter.set_verbosity(level)
        if bars:
            chatter.enable_progress_bar()


def _longest(tokenizer: Any, config: Any) -> int:
    """Return how many tokens the network takes at a time."""
    places = getattr(config, "max_position_embeddings", None) or LONGEST
    return int(min(LONGEST, tokenizer.model_max_length, places - MARGIN))


def _fingerprint(folder: Path) -> str:
    """Return the SHA-256 of the weights, or of the list of their parts."""
    for name in WEIGHTS:
        if (folder / name).is_file():
            with (folder / name).open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
    return ""
