"""What a downloaded model consists of, written beside its weights: where it is from, and every file's size and hash."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from emoscope.errors import ModelError

MANIFEST = "manifest.json"
BLOCK = 4 * 1024 * 1024  # bytes read at a time when hashing


@dataclass(frozen=True)
class Manifest:
    """Where a model came from, and what it consists of."""

    model: str  # its published name, such as "emotion2vec_plus_large"
    hub: str
    repo: str
    revision: str
    date: str  # ISO 8601, with its time zone
    licence: str
    authors: str
    files: dict[str, dict[str, int | str]]  # path -> {"bytes": ..., "sha256": ...}

    @classmethod
    def read(cls, folder: Path) -> "Manifest | None":
        """Read the manifest of a folder; None when it has none. Raises ModelError when it is damaged."""
        file = folder / MANIFEST
        if not file.is_file():
            return None
        try:
            manifest = cls(**json.loads(file.read_text("utf-8")))
            for path, record in manifest.files.items():
                if ".." in PurePosixPath(path).parts or PurePosixPath(path).is_absolute():
                    raise ValueError(path)
                int(record["bytes"]), str(record["sha256"])
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            raise ModelError(f"{file} is damaged, so nobody can say whether the model beside it is whole.") from None
        return manifest

    def write(self, folder: Path) -> None:
        """Write the manifest into a folder, whole or not at all."""
        unfinished = folder / f".{MANIFEST}"
        unfinished.write_text(json.dumps(asdict(self), ensure_ascii=False, indent=2) + "\n", "utf-8")
        unfinished.replace(folder / MANIFEST)

    def has_sizes(self, folder: Path) -> bool:
        """Say whether every file is there with its size: quick, and enough to tell a whole model from a part of one."""
        return all(size_of(folder / path) == record["bytes"] for path, record in self.files.items())


def size_of(file: Path) -> int:
    """Return a file's size in bytes, or -1 when there is no such file."""
    try:
        return file.stat().st_size if file.is_file() else -1
    except OSError:
        return -1


def fingerprint(file: Path, kind: str = "sha256", *, tell: Callable[[int], None] = lambda _bytes: None) -> str:
    """Hash a file; `kind` is "sha256", or "git" for the name that Git gives to a file of this content."""
    digest = hashlib.sha256()
    if kind == "git":
        digest = hashlib.sha1(f"blob {file.stat().st_size}\0".encode(), usedforsecurity=False)
    with file.open("rb") as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
            tell(len(block))
    return digest.hexdigest()
