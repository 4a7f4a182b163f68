"""Many files: one row for each, in this process or on a Ray cluster, and a run that was killed goes on."""

import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from emoscope.analyzer import Analyzer
from emoscope.batch.cluster import on_ray
from emoscope.batch.inputs import Item, find
from emoscope.batch.job import Job, Tally, Tell, local
from emoscope.batch.rows import COLUMNS, PLACES, Keep
from emoscope.batch.store import Store
from emoscope.batch.writers import FORMATS
from emoscope.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["COLUMNS", "ENGINES", "FORMATS", "PLACES", "Item", "Job", "Keep", "Tally", "Tell", "find", "run"]

ENGINES: dict[str, Callable[..., "Generator[pa.Table, None, None]"]] = {"local": local, "ray": on_ray}


def quiet(_tally: Tally) -> None:
    """Ignore how far it is."""


def run(
    items: list[Item], job: Job, settings: Settings, *, tell: Tell = quiet, analyzer: Analyzer | None = None
) -> Tally:
    """Hear every recording and write one row for each to `job.out`; one that fails is a row with its reason.

    `tell` is told after every batch, and stops the run by raising `Cancelled`: what was told is kept, and `job.resume`
    goes on with it. `analyzer` is the local engine's, when there is one already. Raises EmoscopeError.
    """
    settled = job.settled(settings)
    start = time.perf_counter()
    with Store(settled.out, settled.options, settled.keep).opened(items, resume=settled.resume) as store:
        tally = Tally(settled.out, total=len(items), done=store.done, failed=store.failed)
        tell(tally)
        if store.todo:
            with closing(ENGINES[settled.engine](store.todo, settled, settings, analyzer=analyzer)) as tables:
                for table in tables:
                    store.add(table)
                    tally = _counted(tally, table, time.perf_counter() - start)
                    tell(tally)
        return replace(tally, out=store.finish(), elapsed=time.perf_counter() - start)


def _counted(tally: Tally, table: "pa.Table", elapsed: float) -> Tally:
    import pyarrow.compute as pc

    return replace(
        tally,
        done=tally.done + table.num_rows,
        failed=tally.failed + pc.sum(pc.not_equal(table.column("error"), "")).as_py(),
        audio=tally.audio + (pc.sum(table.column("duration")).as_py() or 0.0),
        elapsed=elapsed,
    )
