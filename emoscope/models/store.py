"""What is on disk: every model there is, and whether a model is whole."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from emoscope.certificate import Certificate
from emoscope.errors import ModelError, StorageError
from emoscope.models.catalogue import COMPACT, COMPACT_TEXT, HUBS, PUBLISHED, UNKNOWN, Kind, Published
from emoscope.models.choose import find, shipped
from emoscope.models.folders import State, config_of, is_model, kind_of, state_of, weight_of
from emoscope.models.manifest import Manifest, fingerprint, size_of

if TYPE_CHECKING:
    from emoscope.results import Progress


OURS, BY_HAND = "comes with Emoscope", "put there by hand"


def quiet(_what: str, _done: float) -> None:
    """Ignore progress."""


@dataclass(frozen=True)
class Entry:
    """A model that is on disk, or could be."""

    name: str  # what a person types: "large", "compact", or a path
    kind: Kind
    title: str
    folder: Path
    state: State
    bytes: int  # on disk
    licence: str
    authors: str
    source: str  # "ModelScope iic/emotion2vec_plus_large master", or where it can be had
    certificate: Literal["", "certified", "refused"] = ""  # the outcome of the comparison with FunASR


def verify(name: str, models: Path, progress: "Progress" = quiet) -> Manifest | None:
    """Compare every file of a model with the hashes of its manifest; None when it came without one.

    Raises ModelError naming the files that differ, StorageError when they cannot be read.
    """
    folder = models / PUBLISHED[name].folder if name in PUBLISHED else find(name, models)
    manifest = Manifest.read(folder)
    if manifest is None:
        find(name, models)  # says what is wrong when it is no model either
        return None
    wrong = _differing(manifest, folder, progress)
    if wrong:
        repair = f"{PUBLISHED[name].command} gets it again" if name in PUBLISHED else "Take it from its publisher again"
        raise ModelError(f"The model in {folder} is damaged ({', '.join(wrong)}). {repair}.")
    return manifest


def inventory(models: Path) -> tuple[Entry, ...]:
    """List the compact models, the models that can be downloaded, and other model folders in `models`."""
    known = {COMPACT, COMPACT_TEXT, *(model.folder for model in PUBLISHED.values())}
    others = [(folder, kind_of(folder)) for folder in sorted(models.glob("[!.]*")) if folder.name not in known]
    return (
        _own_entry("compact", "speech", "Emoscope compact", shipped(COMPACT, models), OURS),
        *(_published_entry(model, models) for model in PUBLISHED.values() if model.kind == "speech"),
        _own_entry(COMPACT_TEXT, "text", "Emoscope compact text", shipped(COMPACT_TEXT, models), OURS),
        *(_published_entry(model, models) for model in PUBLISHED.values() if model.kind != "speech"),
        *(_own_entry(str(folder), kind, folder.name, folder, BY_HAND) for folder, kind in others if kind),
    )


def _differing(manifest: Manifest, folder: Path, progress: "Progress") -> list[str]:
    """Return the paths whose size or hash is not the manifest's."""
    total = sum(int(record["bytes"]) for record in manifest.files.values()) or 1
    seen, wrong = 0, []
    for path, record in manifest.files.items():

        def tell(count: int, path: str = path) -> None:
            nonlocal seen
            seen += count
            progress(f"Checking {path}", min(seen / total, 1.0))

        try:
            whole = (
                size_of(folder / path) == record["bytes"] and fingerprint(folder / path, tell=tell) == record["sha256"]
            )
        except OSError as error:
            raise StorageError(f"{folder / path} cannot be read: {error.strerror or error}.") from error
        if not whole:
            wrong.append(path)
    return wrong


def _published_entry(model: Published, models: Path) -> Entry:
    folder, state = models / model.folder, state_of(model, models)
    source = ", ".join(f"{HUBS[hub]} {repo}" for hub, repo in model.repos.items())
    if state == "ready":
        manifest = Manifest.read(folder)
        source = f"{manifest.hub} {manifest.repo} {manifest.revision}" if manifest else BY_HAND
    size = weight_of(model.part(models) if state == "partial" else folder)
    certificate = _certificate(folder)
    return Entry(
        model.name, model.kind, model.title, folder, state, size, model.licence, model.authors, source, certificate
    )


def _own_entry(name: str, kind: Kind, title: str, folder: Path, source: str) -> Entry:
    config = config_of(folder)
    state: State = "ready" if is_model(folder, kind) else "absent"
    licence, authors = str(config.get("licence") or UNKNOWN), str(config.get("authors") or "")
    return Entry(name, kind, title, folder, state, weight_of(folder), licence, authors, source, _certificate(folder))


def _certificate(folder: Path) -> Literal["", "certified", "refused"]:
    try:
        found = Certificate.read(folder)
    except ModelError:
        return ""
    return "" if found is None else "certified" if found.certified else "refused"
