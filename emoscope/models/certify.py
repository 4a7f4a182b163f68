"""Slim weights in a model's folder: one process at a time makes them, and the manifest learns what they are."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from emoscope.certificate import CERTIFICATE, Certificate
from emoscope.errors import ModelError, StorageError
from emoscope.models.catalogue import PUBLISHED, is_published
from emoscope.models.choose import resolve
from emoscope.models.folders import is_model
from emoscope.models.lock import alone
from emoscope.models.manifest import Manifest, fingerprint
from emoscope.models.store import quiet

if TYPE_CHECKING:
    from emoscope.results import Progress

# Makes slim weights and a certificate in a folder. The speech networks do it, which this layer does not know.
Convert: TypeAlias = "Callable[[Path, Progress], Certificate]"

ORIGINAL = "model.pt"
MADE = ("model.safetensors", CERTIFICATE)


def uncertified(name: str, models: Path) -> bool:
    """Say whether a published model is whole, and could be compared with FunASR's network, but never was.

    So is one that was put there by hand, or whose download ended before the comparison did.
    """
    if not is_published(name, "speech"):
        return False
    folder = models / PUBLISHED[name].folder
    comparable = is_model(folder) and (folder / ORIGINAL).is_file() and os.access(folder, os.W_OK)
    return comparable and not (folder / CERTIFICATE).exists()


def certify(
    name: str,
    models: Path,
    convert: Convert,
    progress: "Progress" = quiet,
    *,
    again: bool = True,
    slim_only: bool = False,
) -> Certificate:
    """Let `convert` make slim weights of a model on disk, and return their certificate.

    Without `again`, a certificate that is there is enough. `slim_only` removes `model.pt` after a certified conversion;
    `verify` then compares what is left. Raises ModelError, StorageError, and whatever `progress` raises.
    """
    folder = resolve(name, models).folder

    def waiting() -> None:
        progress(f"Waiting for another process that works on {folder.name}", 0.0)

    try:
        with alone(folder.parent, folder.name, waiting):
            certificate = None if again else Certificate.read(folder)
            if certificate is None:
                certificate = _convert(folder, convert, progress)
            if slim_only and certificate.certified:
                _drop_original(folder)
    except OSError as error:
        raise StorageError(f"{folder} cannot be changed: {error.strerror or error}.") from error
    return certificate


def _convert(folder: Path, convert: Convert, progress: "Progress") -> Certificate:
    if not (folder / ORIGINAL).is_file():
        raise ModelError(f"There is no {ORIGINAL} in {folder}, so there is nothing to compare with FunASR's network.")
    _record(folder, without=MADE)  # so that a conversion that is cut short does not look like a damaged model
    certificate = convert(folder, progress)
    _record(folder, made=MADE)
    return certificate


def _drop_original(folder: Path) -> None:
    _record(folder, without=(ORIGINAL,))  # first, so that the folder is whole at every moment
    (folder / ORIGINAL).unlink(missing_ok=True)


def _record(folder: Path, *, made: tuple[str, ...] = (), without: tuple[str, ...] = ()) -> None:
    """Add files to the manifest or take them out of it, if there is one."""
    manifest = Manifest.read(folder)
    if manifest is None:
        return
    files = {path: record for path, record in manifest.files.items() if path not in without}
    for path in made:
        if (folder / path).is_file():
            files[path] = {"bytes": (folder / path).stat().st_size, "sha256": fingerprint(folder / path)}
    replace(manifest, files=files).write(folder)
