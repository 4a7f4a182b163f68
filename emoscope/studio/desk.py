"""What every tab of the studio works with."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emoscope.access import SCOPE, Asker, known
from emoscope.report import Report
from emoscope.settings import Options, Settings

if TYPE_CHECKING:
    from emoscope.analyzer import Analyzer
    from emoscope.history import History, Keeper, Kept
    from emoscope.jobs import Jobs
    from emoscope.live import Live
    from emoscope.studio.holdings import Holdings
    from emoscope.transcript import Transcript


@dataclass(frozen=True)
class Desk:
    """The analyzer, the settings of this process, its history, and who is listened to live; for every visitor."""

    analyzer: "Analyzer"
    settings: Settings
    live: "Live"
    keeper: "Keeper"
    jobs: "Jobs | None" = None  # the queue in front of the analyzer, where there is one

    @property
    def line(self) -> "Line | Analyzer":
        """Return where an analysis is asked for: at the end of the queue."""
        return Line(self, self.jobs) if self.jobs else self.analyzer

    @property
    def asker(self) -> Asker:
        """Return who asks in the event that runs in this thread; raises AccessError where that has to be known."""
        from gradio.context import LocalContext

        # Gradio runs an event in a task that was begun before its request came, so that only this tells whose it is.
        request = LocalContext.request.get(None)
        asked: Any = getattr(request, "request", request)
        return known(asked and asked.scope.get(SCOPE), self.settings)

    @cached_property
    def holdings(self) -> "Holdings":
        """Return which files the open pages need."""
        from emoscope.studio.holdings import Holdings  # loads Gradio

        return Holdings(private=self.settings.retention.nothing)

    def keep(self, report: Report) -> "Kept":
        """Write a report's files and its row, as the settings say, as the visitor's; raises StorageError."""
        return self.keeper.keep(report, visitor=self.asker.owner)

    def history(self) -> "History":
        """Return the runs that the visitor may look through; raises StorageError."""
        return self.keeper.opened().of(self.asker.visitor)


@dataclass(frozen=True)
class Line:
    """The end of the queue, where every analysis is known as the visitor's who asks for it."""

    desk: Desk
    jobs: "Jobs"

    def analyze(self, file: Path, options: Options, **how: Any) -> Report:
        """Do what `Jobs.analyze` does."""
        return self.jobs.analyze(file, options, asker=self.desk.asker, **how)

    def read(self, text: "Transcript | str", options: Options, **how: Any) -> Report:
        """Do what `Jobs.read` does."""
        return self.jobs.read(text, options, asker=self.desk.asker, **how)
