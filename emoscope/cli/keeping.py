"""What `analyze` and `text` leave: a folder at once, and its row in the history when the answer has been printed.

The database takes longer to load than a short text takes to read, and nobody has to wait for it. Who ends the process
in between loses nothing: the next look at the history finds the folder.
"""

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from emoscope.cli.terminal import complain
from emoscope.errors import StorageError
from emoscope.settings import Settings

if TYPE_CHECKING:
    from emoscope.report import Report

NOT_WRITTEN = "Nothing was written, because EMOSCOPE_KEEP is “nothing”. With --out DIR there are files."
WRITTEN = "The files are in {out}, because --out says so; EMOSCOPE_KEEP is “nothing”, so no history knows of them."


class Keeping:
    """The reports of one command; `out` is where their folders go, if a person has said that."""

    def __init__(self, settings: Settings, out: Path | None) -> None:
        self.settings, self.out = settings, out
        self.private = settings.retention.nothing
        self._written: list[tuple[Report, Path]] = []  # but without a row

    def write(self, report: "Report") -> Path | None:
        """Write a report's files; return their folder, or None in privacy mode. Raises StorageError."""
        if self.private and self.out is None:
            return None
        from emoscope import export

        try:
            folder = export.write(report, self.out or self.settings.outputs)
        except StorageError as error:
            # In the terminal an option is nearer than a variable.
            raise StorageError(str(error).replace("EMOSCOPE_OUTPUTS", "--out")) from None
        self._written.append((report, folder))
        return folder

    def finish(self) -> None:
        """Write the rows, and say on stderr what a person should know of it."""
        sys.stdout.flush()  # whoever reads the answer through a pipe should not wait either
        if self.private and self.out is None:
            complain(NOT_WRITTEN)
        elif self.private and self._written:
            complain(WRITTEN.format(out=self.out))
        elif self._written:
            from emoscope.history import Keeper

            with closing(Keeper(self.settings, outputs=self.out)) as keeper:
                notes = [keeper.enter(report, folder).note for report, folder in self._written]
            for note in dict.fromkeys(filter(None, notes)):
                complain(note)
