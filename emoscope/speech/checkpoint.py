"""A model folder becomes a SpeechModel: config.yaml, tokens.txt, and model.safetensors or FunASR's model.pt."""

import hashlib
import os
import pickle
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from emoscope.errors import ModelError, OptionError
from emoscope.labels import COUNT, LABELS, parse_token
from emoscope.results import ModelInfo
from emoscope.speech.architecture import Architecture
from emoscope.speech.compact import CompactSpeech
from emoscope.speech.emotion2vec import Emotion2vec
from emoscope.speech.listen import SpeechModel

State: TypeAlias = dict[str, Tensor]
SpeechNetwork: TypeAlias = Emotion2vec | CompactSpeech

SLIM, FUNASR = "model.safetensors", "model.pt"  # our own file is preferred: it is smaller, and holds no pickle
AGAIN = "Fetch the model again."  # what a person can do about a damaged file

# FunASR's names -> ours. What is not named here, and not in our network, was for training only.
AUDIO = r"^modality_encoders\.AUDIO\."
RENAMED: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"^(?:module\.|model\.|d2v_model\.)+", ""),
    (AUDIO + r"local_encoder\.conv_layers\.(\d+)\.0\.", r"convolutions.\1."),
    (AUDIO + r"local_encoder\.conv_layers\.(\d+)\.2\.1\.", r"convolutions.\1.norm."),
    (AUDIO + r"project_features\.1\.", "project_norm."),
    (AUDIO + r"project_features\.2\.", "project."),
    (AUDIO + r"relative_positional_encoder\.(\d+)\.0\.", lambda match: f"positions.{int(match[1]) - 1}."),
    (AUDIO + r"context_encoder\.norm\.", "norm."),
    (AUDIO + r"context_encoder\.blocks\.", "prenet."),
    (AUDIO + r"(extra_tokens|alibi_scale)$", r"\1"),
    (r"^((?:prenet|blocks)\.\d+)\.mlp\.", r"\1."),
)


def load(folder: Path, *, device: str = "cpu", threads: int = 0) -> SpeechModel:
    """Open a model folder; `device` is "auto", "cpu", "cuda" or "cuda:1", `threads` 0 leaves PyTorch's number.

    The weights stay mapped from the file where they can. Raises ModelError when the folder does not hold a model that
    fits together, and OptionError for a device that is not there.
    """
    config = _config(folder)
    tokens = _tokens(folder)
    columns = _columns(tokens)
    weights = next((folder / name for name in (SLIM, FUNASR) if (folder / name).is_file()), None)
    if weights is None:
        raise ModelError(f"There is neither {SLIM} nor {FUNASR} in {folder}. {AGAIN}")
    place = _device(device)
    network = _network(config, len(tokens))
    _fill(network, _state(weights), weights)
    if threads:
        torch.set_num_threads(threads)
    info = ModelInfo(
        name=str(config.get("name") or folder.resolve().name),
        kind=type(network).__name__,
        weights=_sha256(weights),
        precision="fp32",
        device=str(place),
        licence=str(config.get("licence") or ""),
    )
    return SpeechModel(info, network.to(place).eval().requires_grad_(False), columns)


def save_slim(network: nn.Module, folder: Path) -> Path:
    """Write what inference needs, and nothing else, to `model.safetensors` in `folder`; return the file.

    The file is there whole or not at all. Give it the config.yaml and tokens.txt of the checkpoint it came from.
    """
    file, unfinished = folder / SLIM, folder / f".{SLIM}.{os.getpid()}"
    state = {name: weight.detach().cpu().contiguous() for name, weight in network.state_dict().items()}
    try:
        save_file(state, unfinished, metadata={"format": "pt"})
        unfinished.chmod(0o644)  # safetensors lets nobody but the writer read it; a server runs as someone else
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)
    return file


def _config(folder: Path) -> dict[str, Any]:
    file = folder / "config.yaml"
    try:
        config = yaml.safe_load(_text(file))
    except yaml.YAMLError:
        raise ModelError(f"{file} is not readable as YAML. {AGAIN}") from None
    if not isinstance(config, dict) or not isinstance(config.get("model_conf"), dict):
        raise ModelError(f"{file} does not describe a model: it needs “model” and “model_conf”.")
    return config


def _tokens(folder: Path) -> list[str]:
    """Return the names of the network's outputs in order."""
    return [line.strip() for line in _text(folder / "tokens.txt").strip().splitlines()]


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig")
    except FileNotFoundError:
        raise ModelError(f"There is no {file.name} in {file.parent}. {AGAIN}") from None
    except (OSError, UnicodeDecodeError):
        raise ModelError(f"{file} cannot be read as text. {AGAIN}") from None


def _columns(tokens: list[str]) -> tuple[int | None, ...]:
    """Find for each of our labels the output that says it; FunASR marks outputs that must never win `unuse_3`."""
    columns: list[int | None] = [None] * COUNT
    for column, token in enumerate(tokens):
        label = None if token.startswith("unuse") else parse_token(token)
        if label is None:
            continue
        if columns[label] is not None:
            raise ModelError(f"tokens.txt names “{LABELS[label]}” twice, the second time in line {column + 1}.")
        columns[label] = column
    if not any(column is not None for column in columns):
        raise ModelError(
            "tokens.txt names none of the nine emotions; one line for each output is needed, such as 生气/angry."
        )
    return tuple(columns)


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):  # PyTorch without CUDA asserts
        raise OptionError(f"The device “{name}” is not there. Set EMOSCOPE_DEVICE to auto, cpu or cuda.") from None
    return device


def _network(config: Mapping[str, Any], classes: int) -> SpeechNetwork:
    """Build the network that the config names, without weights where that saves time."""
    kind, conf = config.get("model"), config["model_conf"]
    if kind == "Emotion2vec":
        with torch.device("meta"):
            return Emotion2vec(Architecture.from_config(conf), classes)
    if kind == "CompactSpeech":
        try:
            network = CompactSpeech(**conf)
        except (TypeError, ValueError, KeyError, RuntimeError):
            raise ModelError("The config.yaml of the compact model does not fit this version of Emoscope.") from None
        if classes != network.proj.out_features:
            raise ModelError(f"tokens.txt has {classes} lines, but the network {network.proj.out_features} outputs.")
        return network
    raise ModelError(f"The model is of the kind “{kind}”; Emotion2vec and CompactSpeech are supported.")


def _state(file: Path) -> State:
    """Read the tensors of a weights file under our names."""
    found = _read_safetensors(file) if file.name == SLIM else _read_pickle(file)
    # by length, so that of two copies of a weight the one with the longer prefix counts, as FunASR has it
    return {_renamed(name): weight for name, weight in sorted(found.items(), key=lambda item: len(item[0]))}


def _renamed(name: str) -> str:
    for pattern, ours in RENAMED:
        name = re.sub(pattern, ours, name)
    return name


def _read_safetensors(file: Path) -> State:
    try:
        return load_file(file)
    except (SafetensorError, OSError, ValueError):
        raise ModelError(f"{file} is damaged. {AGAIN}") from None


def _read_pickle(file: Path) -> State:
    """Read FunASR's checkpoint, of which a pickle is a part, without running any code in it."""
    try:
        found = torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
    except pickle.UnpicklingError:
        raise ModelError(
            f"{file} holds something other than plain weights, perhaps code that would run when it is read, so it was "
            "not opened. Take the model from its publisher."
        ) from None
    except Exception:  # a damaged pickle makes PyTorch stumble in many ways: IndexError, struct.error, AssertionError
        raise ModelError(f"{file} is damaged. {AGAIN}") from None
    for key in ("state_dict", "model_state_dict", "model"):  # as FunASR looks for them
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping):
        raise ModelError(f"{file} does not hold the weights of a network. {AGAIN}")
    return {str(name): weight for name, weight in found.items() if isinstance(weight, Tensor)}


def _fill(network: nn.Module, state: State, file: Path) -> None:
    """Give the network its weights without a copy; raises ModelError naming what is missing or has another shape."""
    needed = network.state_dict()
    wrong = [f"{name} is missing" for name in needed if name not in state]
    wrong += [
        f"{name} is {tuple(state[name].shape)} instead of {tuple(weight.shape)}"
        for name, weight in needed.items()
        if name in state and state[name].shape != weight.shape
    ]
    if wrong:
        more = f"; and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise ModelError(f"{file} does not fit its config.yaml and tokens.txt: {'; '.join(wrong[:5])}{more}.")
    weights = {name: state[name].to(weight.dtype) for name, weight in needed.items()}
    network.load_state_dict(weights, assign=True)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
