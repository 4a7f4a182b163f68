"""The history: every run that left a folder, searched, compared, deleted, and held to what the folders say."""

import logging
from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
from sqlalchemy import ColumnElement, Connection, Row, Select, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from emoscope import claims, export
from emoscope.errors import InputError, OptionError, StorageError
from emoscope.history import folders, nearness, trends
from emoscope.history.chosen import ORDERS, Filter
from emoscope.history.database import Database
from emoscope.history.entry import Entry, Kind, Run, clean
from emoscope.history.schema import embeddings, runs
from emoscope.labels import LABELS
from emoscope.report import Report
from emoscope.results import Progress, quiet
from emoscope.timeline import Floats

log = logging.getLogger(__name__)
Value = TypeVar("Value")
Found: TypeAlias = Row[*tuple[Any, ...]]

FILE = "history.sqlite3"  # in the folder of results, where no other database is named
BLOCK = 4096  # rows at a time
LARGEST_MAP = 1000  # runs, the newest: a person sees no more
EVERYTHING = Filter()
# Both can leave alone what is there already.
INSERT: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
HOME = (runs.c.number, runs.c.id, runs.c.place, runs.c.folder)  # what tells where the files of a run are

UNKNOWN = "There is no run {id} in the history. “./run.sh history list” shows what there is."
ELSEWHERE = "The files of run {id} lie on another machine or in another folder of results. Delete it there."
NO_EMBEDDING = "Run {id} has no embedding in the history. Analyse its recording again to find others like it."


@dataclass(frozen=True)
class Similar:
    """A run that is like another one, and how much."""

    run: Run
    cosine: float  # -1 to 1


@dataclass(frozen=True, eq=False)
class Chart:
    """Runs on a map; those that one model heard, or read."""

    runs: tuple[Run, ...]
    points: Floats  # (N, 2)
    clusters: nearness.Numbers  # (N,), 0 is the largest
    kind: str  # of `nearness.MAPS`
    weights: str  # hash of the model's


@dataclass(frozen=True)
class Reconciled:
    """What did not fit together, and was put right."""

    removed: tuple[str, ...] = ()  # names of hidden folders that were left half-written or half-deleted
    taken_in: tuple[str, ...] = ()  # ids of runs that had a folder and no row, or that had moved
    dropped: tuple[str, ...] = ()  # ids of rows without a folder


class History:
    """The runs of a folder of results; safe to share between threads, and with other processes.

    What `of` returns is the same history as one visitor sees it: nobody else's run is found, counted, compared or
    deleted there. Only `add`, `prune` and `reconcile` are always about all of them.
    """

    def __init__(self, outputs: Path, address: str | Path = "") -> None:
        """`address` is a file for SQLite or a URL; without one it is a file in `outputs`. Nothing is opened yet."""
        self.outputs = outputs.absolute()
        self.database = Database(address or self.outputs / FILE)
        self._visible: tuple[ColumnElement[bool], ...] = ()  # what a run has to fulfil to be seen

    def of(self, visitor: str | None) -> "History":
        """Return it as the visitor sees it whose account has this name; with None, all of it."""
        view = copy(self)
        view._visible = () if visitor is None else (runs.c.visitor == visitor,)
        return view

    def __repr__(self) -> str:
        return f"History({self.database.name!r})"

    @property
    def exists(self) -> bool:
        """Say whether there is a database, as far as that can be seen without opening one."""
        return self.database.exists

    def add(self, report: Report, folder: Path) -> Run:
        """Store a run whose folder is written; one that is there already stays as it is. Raises StorageError."""
        return self.insert(Entry.of(report, folder))

    def insert(self, entry: Entry) -> Run:
        """Store a run as `add` does."""
        self._insert(entry)
        return self.get(entry.id)

    def search(
        self, chosen: Filter = EVERYTHING, *, order: str = "newest", limit: int | None = None, offset: int = 0
    ) -> list[Run]:
        """Return the runs that are meant, in one of `ORDERS`."""
        if order not in ORDERS:
            raise OptionError(f"The order is {', '.join(ORDERS)}, not “{order}”.")
        query = self._select(runs).where(*chosen.conditions()).order_by(*ORDERS[order])
        return list(self._read(query.limit(limit).offset(offset)))

    def all(self, chosen: Filter = EVERYTHING) -> Iterator[Run]:
        """Yield the runs that are meant, the newest first, however many there are."""
        return self._read(self._select(runs).where(*chosen.conditions()).order_by(*ORDERS["newest"]))

    def count(self, chosen: Filter = EVERYTHING) -> int:
        """Return how many runs are meant."""
        query = self._select(func.count()).select_from(runs).where(*chosen.conditions())
        with self.database.reading() as connection:
            return connection.scalar(query) or 0

    def models(self) -> list[str]:
        """Return the names of the models that answered, speech and text."""
        columns = (runs.c.speech_model, runs.c.text_model)
        with self.database.reading() as connection:
            found = {name for column in columns for name in connection.scalars(self._select(column).distinct())}
        return sorted(found - {""})

    def get(self, id: str) -> Run:
        """Return a run; raises InputError where there is none with this id."""
        found = list(self._read(self._select(runs).where(runs.c.id == clean(id))))
        if not found:
            raise InputError(UNKNOWN.format(id=id))
        return found[0]

    def delete(self, ids: Iterable[str]) -> int:
        """Delete runs with all of their files, and return how many there were; on an error none goes.

        Raises StorageError, also for a run whose files are out of reach. A folder is hidden first, then its row goes,
        then its files: a run whose deletion is cut short is gone after the next `reconcile`.
        """
        place = folders.read_mark(self.outputs)
        found = self._rows(list(dict.fromkeys(map(clean, ids))))
        for row in found:
            if row.place != place:
                raise StorageError(ELSEWHERE.format(id=row.id))
        return self._take_away(found)

    def prune(self, age: timedelta | None = None, bytes: int | None = None) -> int:
        """Delete what is older than `age`, and the oldest while all files are larger than `bytes`; return how many.

        The newest run is not deleted for its size: somebody is just looking at it.
        """
        place = folders.read_mark(self.outputs)
        query = select(*HOME, runs.c.made_at, runs.c.bytes).where(runs.c.place == place)
        with self.database.reading() as connection:
            found = connection.execute(query.order_by(*ORDERS["newest"])).all()
        now, total, gone = datetime.now(UTC), 0, []
        for number, run in enumerate(found):
            total += run.bytes
            too_old = age is not None and now - run.made_at > age
            too_much = bytes is not None and total > bytes and number > 0
            if too_old or too_much:
                gone.append(run)
        return self._take_away(gone)

    def reconcile(self) -> Reconciled:
        """Make rows and folders agree: what is half-written goes, a folder gets its row, a row without folder goes.

        Run folders of other processes that are being written are left alone. Raises StorageError.
        """
        with export.explained(self.outputs):
            place = folders.mark(self.outputs)
            removed = claims.sweep(self.outputs)
            there = folders.find_runs(self.outputs)
        with self.database.reading() as connection:
            before = {row.folder: row for row in connection.execute(select(*HOME).where(runs.c.place == place))}
        taken_in = [run for folder in there if folder.name not in before and (run := self._take_in(folder))]
        lost = [row for row in before.values() if row.id not in taken_in and not folders.is_run(self._folder(row))]
        if lost:
            with self.database.writing() as connection:
                _delete(connection, [row.number for row in lost])
        for home in sorted({self._folder(row).parent for row in before.values()} - {self.outputs}):
            removed += claims.sweep(home)
        return Reconciled(tuple(removed), tuple(taken_in), tuple(row.id for row in lost))

    def trends(self, chosen: Filter = EVERYTHING) -> list[trends.Day]:
        """Return how the verdicts, their confidence and the latency were, day by day."""
        columns = (runs.c.made_at, runs.c.emotion, runs.c.confidence, runs.c.latency, runs.c.silent)
        with self.database.reading() as connection:
            found = connection.execute(self._select(*columns).where(*chosen.conditions()).order_by(*ORDERS["oldest"]))
            return trends.by_day(trends.Point(*row) for row in found)

    def similar(self, id: str, limit: int = 10, *, kind: Kind | None = None) -> list[Similar]:
        """Return the runs that are most alike to one by their embeddings, the most alike first.

        Only runs that the same model heard, or read, can be compared. Raises InputError for a run without an embedding.
        """
        run = self.get(id)
        mine = self._select(embeddings).join(runs).where(runs.c.id == run.id).order_by(embeddings.c.kind)
        if kind:
            mine = mine.where(embeddings.c.kind == kind)
        with self.database.reading() as connection:
            of = connection.execute(mine).first()
            if of is None:
                raise InputError(NO_EMBEDDING.format(id=id))
            others = (
                self._select(embeddings.c.run, embeddings.c.vector)
                .join(runs)
                .where(embeddings.c.kind == of.kind, embeddings.c.weights == of.weights, embeddings.c.run != of.run)
            )
            target = _vector(of.vector)
            found = connection.execution_options(yield_per=BLOCK).execute(others).partitions()
            best = nearness.nearest((_block(rows, len(of.vector)) for rows in found), target, limit)
        near = dict(self._numbered([number for number, _ in best]))
        return [Similar(near[number], cosine) for number, cosine in best if number in near]

    def chart(
        self,
        kind: str = "pca",
        chosen: Filter = EVERYTHING,
        *,
        of: Kind = "speech",
        clusters: int | None = None,
        progress: Progress = quiet,
    ) -> Chart:
        """Return a map of runs by their embeddings: the newest that are meant, of the model that answered last.

        `kind` is one of `nearness.MAPS`; `clusters` says how many colours there are, or None for as many as fit.
        """
        query = (
            self._select(embeddings.c.run, embeddings.c.weights, embeddings.c.vector)
            .join(runs)
            .where(embeddings.c.kind == of, *chosen.conditions())
            .order_by(*ORDERS["newest"])
        )
        with self.database.reading() as connection:
            newest = connection.execute(query.limit(1)).first()
            if newest is None:
                return Chart((), np.zeros((0, 2), np.float32), np.zeros(0, np.int64), kind, "")
            same = query.where(embeddings.c.weights == newest.weights).limit(LARGEST_MAP)
            numbers, vectors = _block(connection.execute(same).all(), len(newest.vector))
        there = dict(self._numbered(numbers.tolist()))
        kept = np.array([number in there for number in numbers.tolist()])
        vectors = vectors[kept]
        return Chart(
            runs=tuple(there[number] for number in numbers[kept].tolist()),
            points=nearness.draw(vectors, kind, progress),
            clusters=nearness.cluster(vectors, clusters),
            kind=kind,
            weights=newest.weights,
        )

    def close(self) -> None:
        """Let go of the database; the next use opens it again."""
        self.database.close()

    def _insert(self, entry: Entry) -> bool:
        """Store an entry; return whether the run's row now stands for its folder."""
        with export.explained(self.outputs):
            place = folders.mark(self.outputs)
        home = {"place": place, "folder": self._name(entry.folder)}
        with self.database.writing() as connection:
            put = INSERT[connection.dialect.name]
            taken = (runs.c.place == place) & (runs.c.folder == home["folder"])
            connection.execute(delete(runs).where(taken, runs.c.id != entry.id))  # of a folder that was replaced
            connection.execute(put(runs).values(**entry.row, **home).on_conflict_do_nothing())
            run = connection.execute(select(runs).where(runs.c.id == entry.id)).one()
            moved = (run.place, run.folder) != tuple(home.values())
            if moved and run.place == place and folders.is_run(self._folder(run)):
                return False  # a copy of a folder that is there as well
            if moved:
                connection.execute(update(runs).where(runs.c.number == run.number).values(**home))
            for vector in entry.vectors:
                row = {"run": run.number, "kind": vector.kind, "weights": vector.weights, "vector": vector.to_bytes()}
                connection.execute(put(embeddings).values(row).on_conflict_do_nothing())
        return True

    def _take_away(self, rows: list[Found]) -> int:
        """Delete folders and rows, all of them or none; return how many."""
        with (
            export.explained(self.outputs),
            folders.taken_away(self._folder(row) for row in rows),
            self.database.writing() as connection,
        ):
            _delete(connection, [row.number for row in rows])
        return len(rows)

    def _take_in(self, folder: Path) -> str:
        """Store a folder that has no row; return its id, or "" where it is a copy or not whole."""
        try:
            entry = Entry.read(folder)
        except StorageError as error:
            log.warning("%s", error)
            return ""
        return entry.id if self._insert(entry) else ""

    def _name(self, folder: Path) -> str:
        """Return how a row names a folder: below `outputs` by its name, so that all of them can move together."""
        folder = folder.absolute()
        return folder.name if folder.parent == self.outputs else str(folder)

    def _folder(self, row: Found) -> Path:
        return self.outputs / str(row.folder)

    def _select(self, *columns: Any) -> Select[Any]:
        """Begin a query of runs, or of what is joined to them, that finds nothing but what is to be seen here."""
        return select(*columns).where(*self._visible)

    def _read(self, query: Select[Any]) -> Iterator[Run]:
        return (run for _, run in self._read_numbered(query))

    def _numbered(self, numbers: list[int]) -> Iterator[tuple[int, Run]]:
        for some in _blocks(numbers):
            yield from self._read_numbered(self._select(runs).where(runs.c.number.in_(some)))

    def _read_numbered(self, query: Select[Any]) -> Iterator[tuple[int, Run]]:
        place = folders.read_mark(self.outputs)
        with self.database.reading() as connection:
            for row in connection.execution_options(yield_per=BLOCK).execute(query):
                yield row.number, self._run(row, place)

    def _run(self, row: Found, place: str) -> Run:
        columns = row._asdict()
        scores = {label: columns.pop(label) for label in LABELS}
        for name in ("number", "place", "found_by"):
            del columns[name]
        columns["folder"] = self._folder(row) if row.place == place else None
        return Run(scores=scores, **columns)

    def _rows(self, ids: list[str]) -> list[Found]:
        """Return the rows of these ids; raises InputError where there is none."""
        found: dict[str, Found] = {}
        with self.database.reading() as connection:
            for some in _blocks(ids):
                query = self._select(*HOME).where(runs.c.id.in_(some))
                found |= {row.id: row for row in connection.execute(query)}
        for id in ids:
            if id not in found:
                raise InputError(UNKNOWN.format(id=id))
        return list(found.values())


def _blocks(values: list[Value]) -> Iterator[list[Value]]:
    """Yield as many at a time as one statement may name."""
    return (values[start : start + BLOCK] for start in range(0, len(values), BLOCK))


def _delete(connection: Connection, numbers: list[int]) -> None:
    for some in _blocks(numbers):
        connection.execute(delete(runs).where(runs.c.number.in_(some)))


def _vector(stored: bytes) -> Floats:
    return np.frombuffer(stored, "<f4")


def _block(rows: Iterable[Found], size: int) -> tuple[nearness.Numbers, Floats]:
    """Return the numbers (N,) and vectors (N, D) of rows; one of another length than `size` bytes is no neighbour."""
    fitting = [row for row in rows if len(row.vector) == size]
    numbers = np.array([row.run for row in fitting], dtype=np.int64)
    return numbers, np.array([_vector(row.vector) for row in fitting]).reshape(len(fitting), size // 4)
