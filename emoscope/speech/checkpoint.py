"""A model folder becomes a SpeechModel: config.yaml, tokens.txt, and model.safetensors or FunASR's model.pt."""

import hashlib
import os
import pickle
import re
import zipfile
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from emoscope.certificate import CERTIFICATE, Certificate
from emoscope.device import find_device
from emoscope.errors import ModelError
from emoscope.labels import COUNT, LABELS, parse_token
from emoscope.results import ModelInfo
from emoscope.speech.architecture import Architecture
from emoscope.speech.compact import CompactSpeech
from emoscope.speech.emotion2vec import Emotion2vec
from emoscope.speech.listen import SpeechModel
from emoscope.speech.precision import choose, lower

if TYPE_CHECKING:
    from emoscope.speech.reference import Reference

State: TypeAlias = dict[str, Tensor]
SpeechNetwork: TypeAlias = "Emotion2vec | CompactSpeech | Reference"

SLIM, FUNASR = "model.safetensors", "model.pt"  # our own file is preferred: it is smaller, and holds no pickle
UNCERTIFIED = (
    "These weights were not compared with FunASR's own network on this machine; “./run.sh models certify” does that."
)
LARGE = 200_000_000  # bytes; what is smaller is read and not mapped, so that nobody can change it while it answers
AGAIN = "Fetch the model again."  # what a person can do about a damaged file

# FunASR's names -> ours. What is not named here, and not in our network, was for training only.
AUDIO = r"^modality_encoders\.AUDIO\."
RENAMED: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"^(?:module\.|model\.|d2v_model\.)+", ""),
    (AUDIO + r"local_encoder\.conv_layers\.(\d+)\.0\.", r"convolutions.\1.product."),
    (AUDIO + r"local_encoder\.conv_layers\.(\d+)\.2\.1\.", r"convolutions.\1.norm."),
    (AUDIO + r"project_features\.1\.", "project_norm."),
    (AUDIO + r"project_features\.2\.", "project."),
    (AUDIO + r"relative_positional_encoder\.(\d+)\.0\.", lambda match: f"positions.{int(match[1]) - 1}."),
    (AUDIO + r"context_encoder\.norm\.", "norm."),
    (AUDIO + r"context_encoder\.blocks\.", "prenet."),
    (AUDIO + r"(extra_tokens|alibi_scale)$", r"\1"),
    (r"^((?:prenet|blocks)\.\d+)\.mlp\.", r"\1."),
)


def load(
    folder: Path, *, device: str = "cpu", threads: int = 0, precision: str = "fp32", weights: Path | None = None
) -> SpeechModel:
    """Open a model folder; `device` is "auto", "cpu", "cuda" or "cuda:1", `threads` 0 leaves PyTorch's number.

    `precision` is one of `settings.PRECISIONS`; the model says which one it came to.

    Large weights stay mapped from the file where they can: replace such a file by renaming another one. FunASR's own
    network serves where a certificate says that ours differs. `weights` names another file than the folder's own, and
    then no certificate counts. Raises ModelError when the folder does not hold a model that fits together, and
    OptionError for a device that is not there or cannot calculate so.
    """
    config, tokens = _config(folder), _tokens(folder)
    columns, place = _columns(tokens), find_device(device)
    file = weights or find_weights(folder)
    fingerprint = sha256(file)
    if not weights and config.get("sha256", fingerprint) != fingerprint:
        raise ModelError(f"{file} is damaged. {AGAIN}")
    witness = None if weights else _witness(folder, file, fingerprint)
    if witness and not witness.certified:
        network: SpeechNetwork = _reference(folder, len(tokens))
    else:
        network = _network(config, len(tokens))
        _fill(network, _state(file), file)
    if threads:
        torch.set_num_threads(threads)
    chosen, remark = _precision(precision, network, place)
    notes = (witness.note if witness else UNCERTIFIED if file.name == FUNASR else "", remark)
    info = ModelInfo(
        name=str(config.get("name") or folder.resolve().name),
        kind=type(network).__name__,
        weights=fingerprint,
        precision=chosen,
        device=str(place),
        licence=str(config.get("licence") or ""),
        note=" ".join(filter(None, notes)),
    )
    network.eval().requires_grad_(False)
    lower(network, chosen)
    spare = partial(load, folder, threads=threads, precision="fp32", weights=weights)
    return SpeechModel(info, network.to(place), columns, spare=cache(spare) if place.type != "cpu" else None)


def _precision(wanted: str, network: SpeechNetwork, place: torch.device) -> tuple[str, str]:
    """Return the precision to calculate with, and what a person should know of it."""
    if isinstance(network, Emotion2vec | CompactSpeech):
        return choose(wanted, place, large=isinstance(network, Emotion2vec))
    return "fp32", "" if wanted in ("auto", "fp32") else f"FunASR's own network calculates in fp32, not in {wanted}."


def find_weights(folder: Path) -> Path:
    """Return the file that holds the weights."""
    found = next((folder / name for name in (SLIM, FUNASR) if (folder / name).is_file()), None)
    if found is None:
        raise ModelError(f"There is neither {SLIM} nor {FUNASR} in {folder}. {AGAIN}")
    return found


def _witness(folder: Path, file: Path, fingerprint: str) -> Certificate | None:
    """Return the certificate of these weights; raises ModelError when slim weights are not the certified ones."""
    certificate = Certificate.read(folder)
    if certificate is None:
        return None
    if file.name == FUNASR:
        return certificate if certificate.source.get(FUNASR) == fingerprint else None
    if (certificate.slim or {}).get("sha256") != fingerprint:
        raise ModelError(
            f"{file} is not what its {CERTIFICATE} speaks of. “./run.sh models certify” makes both anew from {FUNASR}."
        )
    return certificate


def _reference(folder: Path, classes: int) -> SpeechNetwork:
    from emoscope.speech.reference import Reference  # FunASR takes seconds to import

    return Reference(folder, classes)


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


def _network(config: Mapping[str, Any], classes: int) -> Emotion2vec | CompactSpeech:
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
    return dict(_renamed(name, weight) for name, weight in sorted(found.items(), key=lambda item: len(item[0])))


def _renamed(name: str, weight: Tensor) -> tuple[str, Tensor]:
    """Return a weight under our name, and that of a convolution as the matrix that ours multiplies with."""
    for pattern, ours in RENAMED:
        name = re.sub(pattern, ours, name)
    if name.endswith(".product.weight") and weight.dim() == 3:
        weight = weight.transpose(1, 2).flatten(1)  # (C', C, k) -> (C', k C)
    return name, weight


def _read_safetensors(file: Path) -> State:
    try:
        return load_file(file, backend="pread" if file.stat().st_size < LARGE else "mmap")
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


def sha256(file: Path) -> str:
    """Return the hash of a file in hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
