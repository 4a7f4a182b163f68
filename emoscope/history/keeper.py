"""What every door does with a report: its files, its row, and what is left of both."""

import logging
import shutil
import tempfile
import threading
import weakref
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from emoscope import claims, export
from emoscope.errors import StorageError
from emoscope.history.entry import Entry, Run
from emoscope.history.folders import is_run
from emoscope.history.store import History, Reconciled
from emoscope.report import Report
from emoscope.settings import Settings

log = logging.getLogger(__name__)

PRIVATE = "emoscope-private"  # hidden folders of the system's temporary one, which nobody else may look into
NOTHING = "EMOSCOPE_KEEP is “nothing”, so there is no history. Set it to “everything” to have one from now on."
MOST_MISSED = 10_000  # runs that wait for a database; what is older is found by its folder


@dataclass(frozen=True, eq=False)
class Kept:
    """Where a report's files are; `release` it when they have been handed over, in privacy mode they go then."""

    folder: Path
    run: Run | None = None  # its row; None in privacy mode, and while there is no database
    note: str = ""  # a sentence for the person, when there should be a row and is none
    leftovers: ExitStack | None = None  # what goes with it

    def __post_init__(self) -> None:
        if self.leftovers:  # also where a door forgets it, and when the process ends
            weakref.finalize(self, self.leftovers.close)

    @property
    def temporary(self) -> bool:
        """Say whether the files go, so that nobody finds them later."""
        return self.leftovers is not None

    def release(self) -> None:
        """Say that nobody needs the files any more; without privacy mode they stay all the same."""
        if self.leftovers:
            self.leftovers.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.release()


class Keeper:
    """Keeps reports as the settings say; the same for every door and thread of a process."""

    def __init__(self, settings: Settings, *, outputs: Path | None = None) -> None:
        """`outputs` is another folder for the files than that of the settings, whose history it is all the same."""
        self.retention = settings.retention
        self.outputs = outputs or settings.outputs
        self.history = History(settings.outputs, settings.database_url)
        self._missed: deque[Entry] = deque(maxlen=MOST_MISSED)  # written, but without a row
        self._agreed = -1  # which opening of the database was held to the folders
        self._agreeing = threading.Lock()

    def start(self) -> None:
        """Put right what a killed process left behind, and delete what is too old; a door calls it when it starts."""
        claims.sweep(Path(tempfile.gettempdir()), PRIVATE)
        if not self.retention.nothing:
            try:
                self._agree()
            except StorageError as error:
                log.warning("%s", error)

    def opened(self) -> History:
        """Return the history, held to what the folders say, to look through it; raises StorageError."""
        if self.retention.nothing and not self.history.exists:
            raise StorageError(NOTHING)
        self._agree()
        return self.history

    def close(self) -> None:
        """Let go of the database; a door calls it when it stops."""
        self.history.close()

    def keep(self, report: Report, *, visitor: str = "") -> Kept:
        """Write a report's files and its row, in this order: a folder without a row is found again, if that is all.

        Without a database the files are there all the same, and the row follows when it is back. In privacy mode the
        files are temporary, and there is no row. Raises StorageError where the files cannot be written.
        """
        if self.retention.nothing:
            return _keep_nothing(report)
        return self.enter(report, export.write(report, self.outputs, visitor=visitor))

    def enter(self, report: Report, folder: Path) -> Kept:
        """Write the row of a report whose folder is written: the second half of `keep`, for a door that cannot wait."""
        entry = Entry.of(report, folder)
        try:
            run = self.history.insert(entry)
        except StorageError as error:
            log.warning("%s", error)
            self._missed.append(entry)
            return Kept(folder, note=str(error))
        try:
            self._agree()
        except StorageError as error:  # it is kept; what should go with it goes another time
            log.warning("%s", error)
        return Kept(folder, run)

    def place(self) -> Kept:
        """Return the folder for results that are no run: that of all results, or a temporary one in privacy mode."""
        if not self.retention.nothing:
            return Kept(self.outputs)
        home, leftovers = _private_folder()
        return Kept(home, leftovers=leftovers)

    def _agree(self) -> None:
        """Store what was missed, hold rows and folders together once per opening of the database, and prune."""
        with self._agreeing:
            while self._missed:
                if is_run(self._missed[0].folder):  # nobody has deleted it since
                    self.history.insert(self._missed[0])
                self._missed.popleft()
            if self._agreed != self.history.database.openings:
                found = self.history.reconcile()
                if found != Reconciled():
                    log.info("the history was put right: %s", found)
                self._agreed = self.history.database.openings
        if self.retention.age or self.retention.bytes:
            self.history.prune(self.retention.age, self.retention.bytes)


def _keep_nothing(report: Report) -> Kept:
    """Write a report's files into a temporary folder that goes when it is released, or the process ends."""
    home, leftovers = _private_folder()
    try:
        return Kept(export.write(report, home), leftovers=leftovers)
    except BaseException:
        leftovers.close()
        raise


def _private_folder() -> tuple[Path, ExitStack]:
    """Make a temporary folder that only this user may open; return it, and what takes it away."""
    home = Path(tempfile.gettempdir()) / claims.hidden_name(PRIVATE)
    leftovers = ExitStack()
    try:
        with export.explained(home):
            leftovers.enter_context(claims.new_folder(home, mode=0o700))
            leftovers.callback(shutil.rmtree, home, ignore_errors=True)
    except BaseException:
        leftovers.close()
        raise
    return home, leftovers
