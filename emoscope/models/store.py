"""What is on disk: the folder that answers to a name, every model there is, and whether a model is whole."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from emoscope.certificate import Certificate
from emoscope.errors import ModelError, StorageError
from emoscope.models.catalogue import AUTHORS, COMPACT, LICENCE, PUBLISHED, Published
from emoscope.models.manifest import Manifest, fingerprint, size_of
from emoscope.settings import ROOT

if TYPE_CHECKING:
    from emoscope.results import Progress

UNFINISHED = ".unfinished"  # lies in a folder as long as a download grows there
COMPACT_NOTE = "This is the compact demonstration model; it is far below Emotion2Vec+ Large."


def quiet(_what: str, _done: float) -> None:
    """Ignore progress."""


@dataclass(frozen=True)
class Choice:
    """A model folder, and one sentence about why it was taken, if there is something to say."""

    folder: Path
    note: str = ""


@dataclass(frozen=True)
class Entry:
    """A model that is on disk, or could be."""

    name: str  # what a person types: "large", "compact", or a path
    title: str
    folder: Path
    state: Literal["ready", "partial", "damaged", "absent"]
    bytes: int  # on disk
    licence: str
    authors: str
    source: str  # "ModelScope iic/emotion2vec_plus_large master", or where it can be had
    certificate: Literal["", "certified", "refused"] = ""  # the outcome of the comparison with FunASR


def resolve(name: str, models: Path) -> Choice:
    """Find the speech model called `name`: "auto", "compact", "large", "base", "seed", or a folder with a checkpoint.

    "auto" takes Emotion2Vec+ Large when it is whole in the folder `models`, else the compact model. Never touches the
    network. Raises ModelError when there is no such model.
    """
    if name == "auto":
        return _best(models)
    if name in PUBLISHED:
        return _published(PUBLISHED[name], models)
    if name == "compact":
        places = [models / COMPACT, ROOT / "models" / COMPACT]  # an own `EMOSCOPE_MODELS` need not hold a copy
        folder = next((place for place in places if is_model(place)), places[-1])
        note = COMPACT_NOTE
    else:
        folder, note = Path(name).expanduser(), ""
    if not is_model(folder):
        raise ModelError(
            f"There is no whole speech model in {folder}: a model folder holds config.yaml, tokens.txt and model.pt or "
            "model.safetensors. Give such a folder, or “auto”, “compact”, “large”, “base” or “seed”."
        )
    return Choice(folder, note)


def is_model(folder: Path) -> bool:
    """Say whether the folder holds a complete model: quick, by the names and sizes of its files."""
    weights = (folder / "model.safetensors", folder / "model.pt")
    if not (folder / "config.yaml").is_file() or not any(file.is_file() for file in weights):
        return False
    try:
        manifest = Manifest.read(folder)
    except ModelError:
        return False
    return not (folder / UNFINISHED).exists() and (manifest is None or manifest.has_sizes(folder))


def verify(name: str, models: Path, progress: "Progress" = quiet) -> Manifest | None:
    """Compare every file of a model with the hashes of its manifest; None when it came without one.

    Raises ModelError naming the files that differ, StorageError when they cannot be read.
    """
    folder = models / PUBLISHED[name].folder if name in PUBLISHED else resolve(name, models).folder
    manifest = Manifest.read(folder)
    if manifest is None:
        resolve(name, models)  # says what is wrong when it is no model either
        return None
    wrong = _differing(manifest, folder, progress)
    if wrong:
        repair = f"{PUBLISHED[name].command} gets it again" if name in PUBLISHED else "Take it from its publisher again"
        raise ModelError(f"The model in {folder} is damaged ({', '.join(wrong)}). {repair}.")
    return manifest


def inventory(models: Path) -> tuple[Entry, ...]:
    """List the compact model, the models that can be downloaded, and other model folders in `models`."""
    known = {COMPACT, *(model.folder for model in PUBLISHED.values())}
    others = sorted(folder for folder in models.glob("[!.]*") if folder.name not in known and is_model(folder))
    return (
        _own_entry("compact", "Emoscope compact", _compact(models), "comes with Emoscope"),
        *(_published_entry(model, models) for model in PUBLISHED.values()),
        *(_own_entry(str(folder), folder.name, folder, "put there by hand") for folder in others),
    )


def _best(models: Path) -> Choice:
    large = PUBLISHED["large"]
    folder = models / large.folder
    if is_model(folder):
        return Choice(folder)
    compact = resolve("compact", models)
    if _weighs(folder):
        note = f"{compact.note} {large.title} in {folder} is not whole; {large.command} repairs it."
        return Choice(compact.folder, note)
    return compact


def _published(model: Published, models: Path) -> Choice:
    folder = models / model.folder
    if is_model(folder):
        return Choice(folder)
    state = (
        "not whole" if _weighs(folder) else "only partly downloaded" if _weighs(model.part(models)) else "not on disk"
    )
    raise ModelError(f"{model.title} is {state}. Get it with {model.command}, or choose “auto” or “compact”.")


def _compact(models: Path) -> Path:
    return models / COMPACT if is_model(models / COMPACT) else ROOT / "models" / COMPACT


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
    folder, part = models / model.folder, model.part(models)
    state: Literal["ready", "partial", "damaged", "absent"] = "absent"
    if is_model(folder):
        state = "ready"
    elif _weighs(folder):
        state = "damaged"
    elif _weighs(part):
        state = "partial"
    source = f"ModelScope {model.repo('modelscope')}, Hugging Face {model.repo('huggingface')}"
    if state == "ready":
        manifest = Manifest.read(folder)
        source = f"{manifest.hub} {manifest.repo} {manifest.revision}" if manifest else "put there by hand"
    size = _weighs(part if state == "partial" else folder)
    return Entry(model.name, model.title, folder, state, size, LICENCE, AUTHORS, source, _certificate(folder))


def _own_entry(name: str, title: str, folder: Path, source: str) -> Entry:
    config = _config(folder)
    return Entry(
        name,
        title,
        folder,
        "ready" if is_model(folder) else "absent",
        _weighs(folder),
        str(config.get("licence") or "not stated"),
        str(config.get("authors") or ""),
        source,
        _certificate(folder),
    )


def _certificate(folder: Path) -> Literal["", "certified", "refused"]:
    try:
        found = Certificate.read(folder)
    except ModelError:
        return ""
    return "" if found is None else "certified" if found.certified else "refused"


def _weighs(folder: Path) -> int:
    """Return the bytes of all files in a folder, 0 when there is none."""
    return sum(max(size_of(file), 0) for file in folder.rglob("*")) if folder.is_dir() else 0


def _config(folder: Path) -> dict[str, Any]:
    import yaml  # only for the licence of a model that is not in the catalogue

    try:
        config = yaml.safe_load((folder / "config.yaml").read_text("utf-8-sig"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return config if isinstance(config, dict) else {}
