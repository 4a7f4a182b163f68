"""One visitor's batch: its rows while they come, its reports to be opened again, and the folder it leaves."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np

from emoscope import export
from emoscope.analyzer import Analyzer, decode
from emoscope.batch.decoder import Decoder, Place
from emoscope.batch.inputs import Item
from emoscope.batch.listen import Listener
from emoscope.batch.rows import Keep, Row, table
from emoscope.batch.store import columns
from emoscope.batch.writers import write_csv
from emoscope.errors import Cancelled
from emoscope.report import Heard, Report
from emoscope.results import Progress, Recording, Waveform
from emoscope.settings import Options, Settings
from emoscope.timeline import WINDOW

TOGETHER = 8  # clips heard at once: a few, because a person watches the rows come
TABLE = "batch.csv"
PACKED = ("result.json", "timeline.csv")  # of every recording, in the ZIP; its sound is the visitor's own already
NO_SOUND = Waveform(np.zeros(WINDOW, dtype=np.float32))  # in place of what a report heard, an hour of which is 230 MB
LISTENING = "Listening"  # the analyzer's own word
LONGEST_NAME = 80  # characters of a folder in the ZIP


@dataclass(eq=False)
class Batch:
    """Some recordings, and what has been heard of them; one thread hears, others may look."""

    files: Sequence[Path]
    analyzer: Analyzer
    settings: Settings
    options: Options = Options()  # noqa: RUF009 — it is frozen
    rows: dict[int, Row] = field(default_factory=dict)  # by the file's place
    begun: int = 0  # files that were taken up, of which the last may have no row yet
    folder: Path | None = None  # where the table and the ZIP are, once it is over
    _reports: dict[int, Report] = field(default_factory=dict)  # without their sound

    def hear(self, outputs: Path, progress: Progress) -> None:
        """Hear every recording; `progress` is told the share of all of them, and may raise `Cancelled`.

        In the end there is a folder `batch_YYYYMMDD_HHMMSS` among the outputs, with the table of what was heard until
        then and a ZIP; none where that is nothing. Raises StorageError.
        """
        name = f"batch_{datetime.now():%Y%m%d_%H%M%S}"
        with export.explained(outputs), export.hidden(outputs, name) as folder:
            archive = folder / "batch.zip"
            with ZipFile(archive, "w", ZIP_DEFLATED, compresslevel=1) as pack:
                try:
                    for rows in self._rows(partial(self._keep, pack, folder), progress):
                        self.rows |= {row["index"]: row for row in rows}
                        progress(LISTENING, self._share(0.0))
                except Cancelled:
                    pass  # what is done is kept
                self._write_table(folder / TABLE)
                pack.write(folder / TABLE, TABLE)
            if self.rows:
                self.folder = export.publish(folder, archive, outputs / name)

    @property
    def heard(self) -> list[int]:
        """Return the places of the files that have a report."""
        return list(self._reports)

    def report(self, index: int) -> Report:
        """Return the report of a file that was heard, its sound decoded again; raises EmoscopeError."""
        report = self._reports[index]
        return _with(report, decode(self.files[index], self.settings, report.options))

    def _rows(self, keep: Callable[[Place, Report], None], progress: Progress) -> Iterator[list[Row]]:
        """Yield the rows of a few clips at a time, and of every long recording by itself."""

        def listen(what: str, done: float) -> None:
            progress(what, self._share(done))

        listener = Listener(self.analyzer, self.options, Keep(), TOGETHER, progress=listen, seen=keep)
        with Decoder(self.settings, self.options, workers=0) as decoder:
            yield from listener.rows(self._places(progress), decoder)

    def _places(self, progress: Progress) -> Iterator[Place]:
        """Yield the files as they are asked for, which is when they are decoded."""
        for index, file in enumerate(self.files):
            progress(LISTENING, self._share(0.0))
            self.begun = index + 1
            yield index, Item(file.name, file)

    def _share(self, of_last: float) -> float:
        """Return how much of all bytes is heard, and `of_last` of the file that was taken up last."""
        done: float = sum(self._sizes[index] for index in self.rows)
        last = self.begun - 1
        if last >= 0 and last not in self.rows:
            done += of_last * self._sizes[last]
        return done / sum(self._sizes)

    @cached_property
    def _sizes(self) -> list[int]:
        """Return the bytes of every file, none of them nothing."""
        return [max(1, file.stat().st_size) for file in self.files]

    def _keep(self, pack: ZipFile, folder: Path, place: Place, report: Report) -> None:
        """Put a report's files into the ZIP, and the report itself aside."""
        index, item = place
        reading, place_in_pack = export.Reading.of(report), f"{index + 1:03d} {_plain(item.path)}"
        for name in PACKED:
            export.WRITERS[name].write(reading, folder / name)
            pack.write(folder / name, f"{place_in_pack}/{name}")
            (folder / name).unlink()
        self._reports[index] = _with(report, replace(report.recording, wave=NO_SOUND))

    def _write_table(self, file: Path) -> None:
        rows = table([self.rows[index] for index in sorted(self.rows)], Keep(), frames=False)
        write_csv(file, None, [rows], columns(Keep(), self.options))


def _plain(name: str) -> str:
    """Return the name of a folder that every system can make."""
    return re.sub(r'[\\/:*?"<>|\x00-\x1f]', "_", Path(name).stem)[:LONGEST_NAME].strip(" .") or "recording"


def _with(report: Report, recording: Recording) -> Report:
    """Return the report with its recording replaced by another state of it."""
    return replace(report, heard=Heard(recording, report.speech, report.model))
