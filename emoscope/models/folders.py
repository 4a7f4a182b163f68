"""What a folder of the store holds: which kind of model, and how much of it."""

from pathlib import Path
from typing import Any, Literal, TypeAlias

from emoscope.errors import ModelError
from emoscope.models.catalogue import CONTENTS, Kind, Published
from emoscope.models.manifest import Manifest, size_of

State: TypeAlias = Literal["ready", "partial", "damaged", "absent"]

UNFINISHED = ".unfinished"  # lies in a folder as long as a download grows there
OF_FUNASR: dict[str, Kind] = {"SenseVoiceSmall": "transcript", "FsmnVADStreaming": "vad"}  # by `model` of config.yaml


def is_model(folder: Path, kind: Kind = "speech") -> bool:
    """Say whether the folder holds a complete model of a kind: quick, by the names and sizes of its files."""
    if not all(any((folder / path).is_file() for path in group) for group in CONTENTS[kind].present):
        return False
    try:
        manifest = Manifest.read(folder)
    except ModelError:
        return False
    return not (folder / UNFINISHED).exists() and (manifest is None or manifest.has_sizes(folder))


def kind_of(folder: Path) -> Kind | None:
    """Return which kind of model a folder holds, or None when it holds no whole one."""
    if is_model(folder, "text"):
        return "text"
    if not is_model(folder, "speech"):
        return None
    kind = OF_FUNASR.get(str(config_of(folder).get("model")), "speech")  # FunASR's folders look alike
    return kind if is_model(folder, kind) else None


def state_of(model: Published, models: Path) -> State:
    """Return how much of a published model is on disk."""
    folder = models / model.folder
    if is_model(folder, model.kind):
        return "ready"
    return "damaged" if weight_of(folder) else "partial" if weight_of(model.part(models)) else "absent"


def weight_of(folder: Path) -> int:
    """Return the bytes of all files in a folder, 0 when there is none."""
    return sum(max(size_of(file), 0) for file in folder.rglob("*")) if folder.is_dir() else 0


def config_of(folder: Path) -> dict[str, Any]:
    """Return what a model's own config.yaml or config.json says, nothing when it cannot be read."""
    import yaml  # which reads JSON too; only for models that are not in the catalogue

    for name in ("config.yaml", "config.json"):
        try:
            config = yaml.safe_load((folder / name).read_text("utf-8-sig"))
        except (OSError, ValueError, yaml.YAMLError):
            continue
        if isinstance(config, dict):
            return config
    return {}
