"""Rows on disk: one whole part per batch while a run goes on, one file of the wished format in the end.

`rows.parquet` grows in `rows.parquet.parts/`. A part is written under a hidden name, forced to the disk and renamed, so
it is there whole or not at all; a kill at any moment loses the batches that are in flight and nothing else. In the end
the parts are joined into a hidden file that is renamed to `rows.parquet`, and only then removed. What is in the file
or in a part is done, and never heard again.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Set
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from emoscope.batch.inputs import Item
from emoscope.batch.rows import INDEX, Keep, schema
from emoscope.batch.writers import FORMATS, KEYS, Format
from emoscope.errors import ModelError, OptionError, StorageError
from emoscope.settings import Options

if TYPE_CHECKING:
    import pyarrow as pa

RUN = ".run.json"  # what a run was begun with; hidden, so that the parts are a data set for anybody
Key = tuple[str, str]


@dataclass(frozen=True)
class Store:
    """Where the rows of a run go."""

    out: Path
    options: Options
    keep: Keep

    @property
    def parts(self) -> Path:
        """Return the folder of an unfinished run."""
        return self.out.with_name(self.out.name + ".parts")

    @property
    def format(self) -> Format:
        """Return how the finished file is written; raises OptionError for an ending that means nothing."""
        try:
            return FORMATS[self.out.suffix.lower()]
        except KeyError:
            raise OptionError(f"Results end in {', '.join(FORMATS)}, not in “{self.out.name}”.") from None

    @contextmanager
    def opened(self, items: list[Item], *, resume: bool) -> Iterator["Run"]:
        """Begin a run, or go on with it; raises OptionError where there is one already, or one with other options."""
        from filelock import FileLock, Timeout

        kind = self.format
        if self.out.exists() and not resume:
            raise OptionError(f"{self.out} exists. Add --resume to go on with it, or choose another name.")
        if self.parts.exists() and not resume:
            raise OptionError(f"{self.out} was begun before. Add --resume to go on, or remove {self.parts}.")
        with explained(self.out):
            self.parts.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.parts / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise StorageError(f"Another process is writing {self.out}. Wait for it, or choose another name.") from None
        try:
            with explained(self.out):
                yield self._run(items, kind)
        finally:
            if not any(self.parts.glob("part-*")):  # nothing was heard, or everything is in the file
                shutil.rmtree(self.parts, ignore_errors=True)
            lock.release()

    def _run(self, items: list[Item], kind: Format) -> "Run":
        finished = self._finished(kind) if self.out.exists() else {}
        found = self._found(finished.keys())
        before = _read_json(self.parts / RUN) if found else {}
        chosen = {**asdict(self.options), **asdict(self.keep)}
        if before and before["options"] != chosen:
            changed = [name for name, value in chosen.items() if before["options"].get(name) != value]
            raise OptionError(f"{self.out} was begun with another {' and '.join(changed)}. Choose another name for it.")
        inputs, base = _digest(items), int(before.get("base", 0))
        if before and before["inputs"] != inputs:  # rows of other inputs keep their places, before the new ones
            base = 1 + max(part.last for part in found)
        _write_whole(self.parts / RUN, json.dumps({"options": chosen, "inputs": inputs, "base": base}).encode())
        done = set(finished).union(*(part.keys for part in found))
        failed = {key for key, row in finished.items() if row.failed}.union(*(part.failed for part in found))
        weights = [*(part.weights for part in found), *(row.weights for row in finished.values())]
        todo = [(base + index, item) for index, item in enumerate(items) if item.key not in done]
        return Run(
            self,
            todo,
            len(items) - len(todo),
            sum(item.key in failed for item in items),
            next(filter(None, weights), ""),
        )

    def _finished(self, kind: Format) -> dict[Key, "Earlier"]:
        """Read what a finished file holds."""
        try:
            if kind.columns(self.out) == columns(self.keep, self.options).names:
                return {
                    (row["id"], row["path"]): Earlier(row["weights"], bool(row["error"])) for row in kind.rows(self.out)
                }
        except (ValueError, KeyError, StopIteration):  # pyarrow's and JSON's errors are ValueErrors
            pass
        raise OptionError(f"{self.out} has other columns than this run would write. Choose another name.")

    def _found(self, finished: Set[Key]) -> list["Part"]:
        """Read what the parts hold; what a finished file holds too is left over from joining, and goes."""
        found = []
        for file in sorted(self.parts.glob("part-*.parquet")):
            part = Part.read(file)
            if part is None or part.keys <= finished:
                file.unlink()
            else:
                found.append(part)
        return found


class Earlier(NamedTuple):
    """What is kept of a row of a finished file: small, for there may be millions."""

    weights: str  # of the model that answered
    failed: bool


@dataclass(frozen=True)
class Part:
    """A file with the rows of one batch."""

    file: Path
    keys: frozenset[Key]
    failed: frozenset[Key]
    last: int  # the highest index in it
    weights: str  # of the model, empty when no recording in it could be heard

    @classmethod
    def read(cls, file: Path) -> "Part | None":
        """Read the columns that say what is done; None for a file that is damaged."""
        import pyarrow as pa
        from pyarrow import parquet

        try:
            found = parquet.read_table(file, columns=[INDEX, *KEYS], partitioning=None).to_pydict()
        except (pa.ArrowException, OSError):
            return None
        keys = list(zip(found["id"], found["path"], strict=True))
        failed = frozenset(key for key, error in zip(keys, found["error"], strict=True) if error)
        return cls(file, frozenset(keys), failed, max(found[INDEX]), next(filter(None, found["weights"]), ""))


@dataclass
class Run:
    """A run that is going on: what is left to do, and where rows go."""

    store: Store
    todo: list[tuple[int, Item]]  # index and input
    done: int  # inputs that were done before
    failed: int  # how many of those could not be heard
    weights: str = ""  # of the model that answers

    def add(self, rows: "pa.Table") -> None:
        """Keep some rows for good; raises ModelError when another model answered than before."""
        self._same_model(rows)
        rows = rows.sort_by(INDEX)
        for what, place in asdict(self.store.keep).items():
            if place == "npy":
                rows = self._npy(rows, what.removesuffix("s"))
        first = rows.column(INDEX)[0].as_py()
        _write_whole(self.store.parts / f"part-{first:012d}.parquet", _parquet(rows))

    def finish(self) -> Path:
        """Join everything into the one file that was asked for, in the order of the inputs, and return it."""
        out, kind = self.store.out, self.store.format
        files = sorted(self.store.parts.glob("part-*.parquet"))
        if files or not out.exists():
            hidden = self.store.parts / f".joined{out.suffix}"
            kind.write(
                hidden, out if out.exists() else None, _in_order(files), columns(self.store.keep, self.store.options)
            )
            _force(hidden)
            hidden.replace(out)
        shutil.rmtree(self.store.parts, ignore_errors=True)
        return out

    def _same_model(self, rows: "pa.Table") -> None:
        for weights in filter(None, rows.column("weights").unique().to_pylist()):
            self.weights = self.weights or weights
            if weights != self.weights:
                raise ModelError(
                    f"{self.store.out} was begun with other weights of the model ({self.weights[:12]}, now "
                    f"{weights[:12]}). Choose the model that it was begun with, or another name for the results."
                )

    def _npy(self, rows: "pa.Table", name: str) -> "pa.Table":
        """Write a column of arrays as one `.npy` per recording, and put the files' names in its place."""
        import pyarrow as pa

        keys = zip(rows.column("id").to_pylist(), rows.column("path").to_pylist(), strict=True)
        files = [
            self._save(key, name, value.as_py()) if value.is_valid else None
            for key, value in zip(keys, rows.column(name), strict=True)
        ]
        return rows.set_column(rows.column_names.index(name), f"{name}_file", pa.array(files, pa.string()))

    def _save(self, key: Key, name: str, value: list[Any]) -> str:
        digest = hashlib.sha256("\0".join(key).encode()).hexdigest()[:24]  # the same file for the same row, always
        folder = self.store.out.with_name(f"{self.store.out.stem}_{name}s")
        file = folder / digest[:2] / f"{digest}.npy"  # a million files in one folder make every listing slow
        file.parent.mkdir(parents=True, exist_ok=True)
        hidden = file.with_name(f".{file.name}")
        np.save(hidden, np.array(value, dtype=np.float32))
        hidden.replace(file)
        return file.relative_to(self.store.out.parent).as_posix()


def columns(keep: Keep, options: Options) -> "pa.Schema":
    """Return the columns of the finished file: names of `.npy` files stand where arrays are not wanted."""
    import pyarrow as pa

    whole = schema(keep, frames=options.granularity == "frame")
    for what, place in asdict(keep).items():
        if place == "npy":
            name = what.removesuffix("s")
            whole = whole.set(whole.get_field_index(name), pa.field(f"{name}_file", pa.string()))
    return whole.remove(whole.get_field_index(INDEX))


def _in_order(files: Iterable[Path]) -> "Iterator[pa.Table]":
    """Yield the rows of all parts by their index, without it; only parts that overlap are in memory together.

    Parts overlap because a long recording is written before the clips around it.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import parquet

    waiting: pa.Table | None = None
    for file in files:
        part = parquet.read_table(file, partitioning=None)
        if waiting is not None:
            first = part.column(INDEX)[0]
            yield waiting.filter(pc.less(waiting.column(INDEX), first)).drop_columns([INDEX])
            rest = waiting.filter(pc.greater(waiting.column(INDEX), first))
            part = pa.concat_tables([rest, part]).sort_by(INDEX)
        waiting = part
    if waiting is not None:
        yield waiting.drop_columns([INDEX])


def _parquet(rows: "pa.Table") -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    sink = pa.BufferOutputStream()
    parquet.write_table(rows, sink, compression="zstd")
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def _write_whole(file: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, also after a loss of power."""
    hidden = file.with_name(f".{file.name}")
    hidden.write_bytes(content)
    _force(hidden)
    hidden.replace(file)


def _force(file: Path) -> None:
    """Force a file from the machine's memory to its disk."""
    with file.open("rb+") as stream:
        os.fsync(stream.fileno())


def _digest(items: Iterable[Item]) -> str:
    """Return what tells one list of inputs from another."""
    digest = hashlib.sha256()
    for item in items:
        digest.update(json.dumps(item.key).encode())
    return digest.hexdigest()


def _read_json(file: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        raise StorageError(
            f"{file} is damaged, so the run cannot go on. Choose another name for the results."
        ) from None
    return found


@contextmanager
def explained(out: Path) -> Iterator[None]:
    """Turn what the file system refuses into a sentence that says what to do."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"Results cannot be written to {out}: {error.strerror or error}. Free space, or choose another place; "
            "--resume goes on."
        ) from error
