"""What every tab of the studio works with."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from emoscope.settings import Settings

if TYPE_CHECKING:
    from emoscope.analyzer import Analyzer
    from emoscope.jobs import Jobs
    from emoscope.live import Live


@dataclass(frozen=True)
class Desk:
    """The analyzer, the settings of this process, and who is listened to live; the same for every visitor."""

    analyzer: "Analyzer"
    settings: Settings
    live: "Live"
    jobs: "Jobs | None" = None  # the queue in front of the analyzer, where there is one

    @property
    def line(self) -> "Jobs | Analyzer":
        """Return where an analysis is asked for: at the end of the queue."""
        return self.jobs or self.analyzer
