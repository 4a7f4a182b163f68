"""What every tab of the studio works with."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from emoscope.report import Report
from emoscope.settings import Settings

if TYPE_CHECKING:
    from emoscope.analyzer import Analyzer
    from emoscope.history import History, Keeper, Kept
    from emoscope.jobs import Jobs
    from emoscope.live import Live


@dataclass(frozen=True)
class Desk:
    """The analyzer, the settings of this process, its history, and who is listened to live; for every visitor."""

    analyzer: "Analyzer"
    settings: Settings
    live: "Live"
    keeper: "Keeper"
    jobs: "Jobs | None" = None  # the queue in front of the analyzer, where there is one

    @property
    def line(self) -> "Jobs | Analyzer":
        """Return where an analysis is asked for: at the end of the queue."""
        return self.jobs or self.analyzer

    def keep(self, report: Report) -> "Kept":
        """Write a report's files and its row, as the settings say; raises StorageError."""
        return self.keeper.keep(report)

    def history(self) -> "History":
        """Return the runs that may be looked through; raises StorageError."""
        return self.keeper.opened()
