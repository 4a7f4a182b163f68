"""Removing a model, and nothing but a model."""

import shutil
from pathlib import Path

from emoscope.errors import ModelError, StorageError
from emoscope.models.catalogue import COMPACT_TEXT, PUBLISHED
from emoscope.models.folders import kind_of
from emoscope.models.lock import alone


def remove(name: str, models: Path) -> Path:
    """Delete a model that lies in the folder `models`, with what was downloaded of it, and return where it was.

    Raises ModelError when there is none, when it is the compact model, or when it lies elsewhere, perhaps behind a
    link; StorageError when it is in use or cannot be deleted.
    """
    folder, part = _chosen(name, models)
    _refuse_strangers(folder, models)
    found = [place for place in (folder, part) if place.exists()]
    if not found or (name not in PUBLISHED and kind_of(folder) is None):
        raise ModelError(f"There is no model to remove in {folder}.")

    def busy() -> None:
        raise StorageError(f"{folder.name} is being downloaded or removed by another process. Stop that, or wait.")

    try:
        with alone(models, folder.name, busy):
            for place in found:
                _delete(place)
    except OSError as error:
        raise StorageError(f"{folder} cannot be removed: {error.strerror or error}.") from error
    return folder


def _chosen(name: str, models: Path) -> tuple[Path, Path]:
    """Return the model's folder and the folder of its unfinished download."""
    if name in PUBLISHED:
        return models / PUBLISHED[name].folder, PUBLISHED[name].part(models)
    if name in ("compact", "auto", COMPACT_TEXT):
        raise ModelError("The compact model comes with Emoscope and is not removed.")
    folder = Path(name).expanduser()
    return folder, models / f".{folder.name}.part"


def _refuse_strangers(folder: Path, models: Path) -> None:
    """Allow only a real folder that lies directly in `models` and is not one of Emoscope's own."""
    if folder.is_symlink():
        raise ModelError(f"{folder} is a link to somewhere else, so it is not removed. Remove the link by hand.")
    inside = folder.parent.resolve() == models.resolve() and folder.name not in ("", ".", "..")
    if not inside:
        raise ModelError(f"{folder} does not lie directly in {models}, so it is not removed. Delete it by hand.")
    if folder.name.casefold().startswith("compact-"):
        raise ModelError("The compact models come with Emoscope and are not removed.")
    if folder.name.startswith("."):
        raise ModelError(f"{folder} is no model folder, so it is not removed.")


def _delete(place: Path) -> None:
    """Delete a folder so that it never looks like a whole model on the way."""
    doomed = place.with_name(f".{place.name.lstrip('.')}.removed")
    if doomed.exists():
        shutil.rmtree(doomed)
    shutil.rmtree(place.rename(doomed))
