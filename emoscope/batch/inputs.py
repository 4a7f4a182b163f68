"""What a person names becomes a list of files: files, folders, patterns, manifests, Kaldi's wav.scp."""

import csv
import glob
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emoscope import audio
from emoscope.errors import InputError

PATHS = ("path", "file", "filename", "wav", "audio", "audio_path", "audio_filepath")  # a manifest's names for the file
IDS = ("id", "utt", "utt_id", "key")  # and for what the file is called
COMMAND = "This line of wav.scp is a command, and commands are never run. Convert the recording to a file first."
ARCHIVE = "This line of wav.scp points into an archive, which is not read. Convert the recording to a file first."


@dataclass(frozen=True)
class Item:
    """One recording to be heard."""

    path: str  # as the person named it, always valid Unicode: with `id` it names the row
    file: Path  # absolute
    id: str = ""  # what a manifest calls it
    trouble: str = ""  # why it cannot be read, known before anybody tries

    @property
    def key(self) -> tuple[str, str]:
        """Return what no two rows share."""
        return self.id, self.path


def find(inputs: Iterable[str]) -> list[Item]:
    """List the recordings that the inputs name, each once, in their order; a folder's files are sorted.

    Raises InputError when a folder or pattern holds none, or a manifest cannot be understood.
    """
    found: dict[tuple[str, str], Item] = {}
    for name in inputs:
        items = list(_expand(name))
        if not items:
            raise InputError(f"There is no recording in {name}. Recordings end in {', '.join(audio.ENDINGS)}.")
        for item in items:
            found.setdefault(item.key, item)
    return list(found.values())


def _expand(name: str) -> Iterator[Item]:
    path = Path(name)
    if path.is_dir():
        yield from map(named, _walk(name))
    elif path.suffix.lower() in MANIFESTS and path.is_file():
        yield from _manifest(path)
    elif glob.has_magic(name) and not path.exists():
        yield from (named(match) for match in sorted(glob.glob(name, recursive=True)) if Path(match).is_file())  # noqa: PTH207 — patterns may be absolute
    else:
        yield named(name)


def _walk(folder: str) -> Iterator[str]:
    """Yield a folder's recordings by their endings; links to folders are not followed, hidden names are skipped."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.lower().endswith(audio.ENDINGS) and not name.startswith("."):
                yield str(Path(place, name))


def named(name: str, *, id: str = "", folder: Path | None = None, trouble: str = "") -> Item:
    """Name a file; a relative one of a manifest is looked for beside the manifest, then in the current folder."""
    beside = folder / name if folder else Path(name)
    file = beside if beside.exists() else Path(name)
    return Item(_text(os.path.normpath(name)), Path(os.path.abspath(file)), _text(id), trouble)  # noqa: PTH100 — links stay


def _text(name: str) -> str:
    """Return a file's name as Unicode; bytes that are none become escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def rows(file: Path) -> list[Item | dict[str, Any]]:
    """Read the rows of a manifest, whose ending is one of `MANIFESTS`; raises InputError."""
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read as UTF-8 text ({type(error).__name__}).") from None
    try:
        return list(MANIFESTS[file.suffix.lower()](text))
    except (ValueError, csv.Error) as error:
        raise InputError(f"{file} is no manifest: {error}.") from None


def _manifest(file: Path) -> Iterator[Item]:
    for line in rows(file):
        if isinstance(line, Item):
            yield line
            continue
        name = value(line, PATHS)
        if not name:
            raise InputError(f"{file} does not say which files it means: it needs a column “path” that is never empty.")
        yield named(name, id=value(line, IDS), folder=file.parent)


def value(line: dict[str, Any], names: tuple[str, ...]) -> str:
    """Return what a row has in the first of these columns, "" where it has none of them."""
    lower = {str(key).strip().lower(): held for key, held in line.items()}
    return next((str(lower[name]).strip() for name in names if lower.get(name) is not None), "")


def _csv(text: str) -> Iterator[dict[str, Any]]:
    """Read a table whose first line names the columns, with commas, semicolons or tabs between them."""
    heading = text.partition("\n")[0]
    delimiter = max(",;\t", key=heading.count)
    return csv.DictReader(text.splitlines(keepends=True), delimiter=delimiter)


def _jsonl(text: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            found = json.loads(line)
            if not isinstance(found, dict):
                raise ValueError(f"line {number} is no JSON object")
            yield found


def _scp(text: str) -> Iterator[Item | dict[str, Any]]:
    """Read Kaldi's list: an id, a space, and a file; what Kaldi would run or seek in is answered with a sentence."""
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        id, _, rest = line.strip().partition(" ") if " " in line.strip() else line.strip().partition("\t")
        name = rest.strip()
        if not name:
            raise ValueError(f"line {number} has no file after the id")
        if name.endswith("|"):
            yield Item(name, Path(), id, COMMAND)
        elif name.rpartition(":")[2].isdigit() and not Path(name).exists():
            yield Item(name, Path(), id, ARCHIVE)
        else:
            yield {"id": id, "path": name}


MANIFESTS: dict[str, Callable[[str], Iterator[Item | dict[str, Any]]]] = {
    ".csv": _csv,
    ".tsv": _csv,
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".scp": _scp,
}
