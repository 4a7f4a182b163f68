"""The database behind the history: SQLite or PostgreSQL, brought up to date when it is first used."""

import logging
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, exc, inspect, make_url, select, text
from sqlalchemy.engine import URL

from emoscope.errors import OptionError, StorageError
from emoscope.history.schema import NEWEST

log = logging.getLogger(__name__)

PATIENCE = 10  # seconds that a process waits for another one that writes, or for PostgreSQL to answer
NO_FILE = (0, 0)  # in place of what tells one file from another
LOCK = 0x656D6F73  # of PostgreSQL's advisory locks, the one that migrations hold
MIGRATIONS = Path(__file__).resolve().parent / "migrations"

ADDRESS = "EMOSCOPE_DATABASE_URL is not the address of a database. It looks like postgresql://user:password@host/name."
IN_MEMORY = "EMOSCOPE_DATABASE_URL names no file. Write it as sqlite:////folder/history.sqlite3."
NOT_OPENED = "{name} cannot be opened. Allow it, or set EMOSCOPE_DATABASE_URL to another file."
NO_ENTRY = "{name} does not let Emoscope in. Check user and password in EMOSCOPE_DATABASE_URL."
DAMAGED = "{name} is damaged. Move it away: a new one is made from the folders of results."

# What SQLite says, and what a person can do about it.
SQLITE = {
    "readonly": "{name} may not be written. Allow it, or set EMOSCOPE_DATABASE_URL to another file.",
    "is full": "There is no space left for {name}. Free some, or set EMOSCOPE_DATABASE_URL to another disk.",
    "locked": "{name} is being written by somebody else. Try again in a moment.",
    "not a database": DAMAGED,
    "malformed": DAMAGED,
    "unable to open": NOT_OPENED,
}
# What PostgreSQL says to somebody whom it does not let in; it gives no SQLSTATE then.
OUTSIDE = {
    "password authentication failed": NO_ENTRY,
    "no pg_hba.conf entry": NO_ENTRY,
    "does not exist": "{name} does not exist. Make it, or set EMOSCOPE_DATABASE_URL to another one.",
}
AWAY = "{name} does not answer. Start it, or set EMOSCOPE_DATABASE_URL to another one."
# What can be done about the rest, by the first letters of the SQLSTATE.
POSTGRESQL = {
    "25006": "{name} may only be read. Allow writing, or set EMOSCOPE_DATABASE_URL to another one.",
    "42501": "{name} does not allow that. Give the user its rights, or set EMOSCOPE_DATABASE_URL to another one.",
    "53100": "There is no space left for {name}. Free some, or set EMOSCOPE_DATABASE_URL to another one.",
}
BUSY = "{name} is busy. Try again in a moment."
OTHERWISE = "{name} cannot be used ({reason}). The log of this process says why."
NEWER = "{name} was made by a newer Emoscope. Update this one, or set EMOSCOPE_DATABASE_URL to another place."


class Database:
    """A database by its address, opened when it is first used, and again when it had gone away; for any thread."""

    def __init__(self, address: str | Path) -> None:
        """`address` is a file for SQLite, or a URL; raises OptionError for one that is none."""
        self._url = _parse(address)
        self.openings = 0  # how often it was opened: what was known of it before may be gone
        self._engine: Engine | None = None
        self._file: tuple[int, int] | None = None  # which file SQLite has open
        self._opening = threading.Lock()

    @property
    def name(self) -> str:
        """Return what a person knows it by, without user and password."""
        if self._url.get_backend_name() == "sqlite":
            return str(self._url.database)
        return f"PostgreSQL's “{self._url.database or ''}” on {self._url.host or 'this machine'}"

    @property
    def exists(self) -> bool:
        """Say whether there is something to open; of a server that is not known."""
        return self._identity() != NO_FILE

    def __repr__(self) -> str:
        return f"Database({self.name!r})"

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Look at one state of the database; raises StorageError."""
        with self._explained(), self._opened().connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Change it as a whole or not at all; raises StorageError."""
        with self._explained(), self._opened().execution_options(writes=True).begin() as connection:
            yield connection

    def close(self) -> None:
        """Let go of its files and connections; the next use opens it again."""
        with self._opening:
            if self._engine is not None:
                self._engine.dispose()
            self._engine = None

    def _opened(self) -> Engine:
        with self._opening:
            if self._engine is None or (self._file is not None and self._file != self._identity()):
                if self._engine is not None:
                    self._engine.dispose()  # of a file that somebody removed
                self._engine = None
                engine = self._connect()
                try:
                    _bring_up_to_date(engine, self.name)
                except BaseException:
                    engine.dispose()
                    raise
                self._engine, self._file = engine, self._identity()
                self.openings += 1
            return self._engine

    def _connect(self) -> Engine:
        if self._url.get_backend_name() == "sqlite":
            try:
                return _connect_sqlite(self._url)
            except OSError as error:
                raise StorageError(NOT_OPENED.format(name=self.name)) from error
        return create_engine(
            self._url, pool_pre_ping=True, hide_parameters=True, connect_args={"connect_timeout": PATIENCE}
        )

    def _identity(self) -> tuple[int, int] | None:
        """Return which file it is, `NO_FILE` where there is none; None for a server."""
        if self._url.get_backend_name() != "sqlite" or _by_uri(self._url):
            return None
        try:
            found = Path(str(self._url.database)).stat()
        except OSError:
            return NO_FILE
        return found.st_dev, found.st_ino

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what the database refuses into a sentence that says what to do, and that holds no password."""
        try:
            yield
        except exc.TimeoutError as error:  # every connection of this process is in use
            raise StorageError(BUSY.format(name=self.name)) from error
        except exc.DBAPIError as error:
            raise StorageError(_sentence(self.name, error)) from error


def _parse(address: str | Path) -> URL:
    if isinstance(address, Path):
        return URL.create("sqlite", database=str(address))
    scheme, _, rest = address.partition("://")
    if scheme in ("postgres", "postgresql"):
        scheme = "postgresql+psycopg"
    try:
        url = make_url(f"{scheme}://{rest}")
    except (exc.ArgumentError, ValueError):
        raise OptionError(ADDRESS) from None  # its own message would show the password
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        raise OptionError(IN_MEMORY)
    return url


def _by_uri(url: URL) -> bool:
    """Say whether SQLite itself parses the address, which may then hold more than a file."""
    return str(url.database).startswith("file:")


def _connect_sqlite(url: URL) -> Engine:
    if not _by_uri(url):
        Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": PATIENCE})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # `begin` below says when a transaction begins
        connection.execute("PRAGMA foreign_keys = ON")
        _write_ahead(connection)
        connection.execute("PRAGMA synchronous = NORMAL")  # enough for WAL; what a power cut takes is found in folders

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # Who will write says so at once: two readers that both want to write could only give up.
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _bring_up_to_date(engine: Engine, name: str) -> None:
    """Run the migrations that are missing; of several processes that begin together, one."""
    with engine.connect() as connection, connection.begin():
        if _version(connection) == NEWEST:
            return
    with engine.execution_options(writes=True).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        if _version(connection) != NEWEST:  # somebody else may have been here in the meantime
            _migrate(connection, name)


def _write_ahead(connection: Any) -> None:
    """Let readers and a writer work side by side; SQLite remembers it, and does not wait for its turn to change it."""
    for patience in (0.05, 0.2, 0.5, 1.0, 2.0, None):
        try:
            if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
                connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if patience is None or "locked" not in str(error):
                raise
            time.sleep(patience)


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(select(text("version_num")).select_from(text("alembic_version")))
    return found


def _migrate(connection: Connection, name: str) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, NEWEST)
    except CommandError as error:  # a version that is not among the migrations here
        raise StorageError(NEWER.format(name=name)) from error


def _sentence(name: str, error: exc.DBAPIError) -> str:
    reason = error.orig
    said, state = str(reason), getattr(reason, "sqlstate", None)
    if state:
        found = (sentence for begin, sentence in POSTGRESQL.items() if state.startswith(begin))
        otherwise = OTHERWISE
    elif isinstance(reason, sqlite3.Error):
        found = (sentence for mark, sentence in SQLITE.items() if mark in said)
        otherwise = OTHERWISE
    else:
        found = (sentence for mark, sentence in OUTSIDE.items() if mark in said)
        otherwise = AWAY
    sentence = next(found, otherwise)
    if sentence == OTHERWISE:
        log.warning("%s: %s", name, said)
    return sentence.format(name=name, reason=type(reason).__name__)
