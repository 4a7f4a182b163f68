"""The same on Ray Data: shards of the inputs go to actors, one for every device; the driver alone writes rows."""

import logging
import os
import pickle
import secrets
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from emoscope.analyzer import Analyzer
from emoscope.batch.decoder import Decoder, Place
from emoscope.batch.job import Job, decoders, hear
from emoscope.errors import EmoscopeError, OptionError
from emoscope.settings import ROOT, Settings

if TYPE_CHECKING:
    import pyarrow as pa

MISSING = (
    "The engine “ray” needs Ray, which is an extra: .venv/bin/pip install -c constraints.txt -r requirements-ray.txt"
)
SHARD = 4  # batches in a shard at most: enough for decoding to run ahead of the model
SHARDS = 4  # for every actor at least, so that none waits long for the last one
STORE = 500_000_000  # bytes of shared memory for a Ray of our own; rows are small

# For a Ray of our own: nothing is sent to anybody, every port is on the loopback, and only who has the key may use it.
OWN = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # what makes Ray bind 127.0.0.1, on every system
    "RAY_AUTH_MODE": "token",
}


class Ears:
    """An actor: a model, and the processes that decode for it. Every call hears a shard."""

    def __init__(self, job: Job, settings: Settings, workers: int) -> None:
        """Load the model at once: an actor that cannot answer must not take a shard."""
        self._job = job
        self._analyzer = Analyzer(settings)
        self._analyzer.load(job.options.model, job.options.precision)
        self._decoder = Decoder(settings, job.options, workers).__enter__()  # its processes end with the actor's

    def __call__(self, batch: dict[str, Any]) -> "Iterator[pa.Table]":
        """Hear the shards of a batch, and yield their rows."""
        for shard in batch["shard"]:
            yield from hear(pickle.loads(shard), self._job, self._analyzer, self._decoder)


def on_ray(
    todo: Sequence[Place], job: Job, settings: Settings, *, analyzer: Analyzer | None = None
) -> "Generator[pa.Table, None, None]":
    """Hear recordings on a Ray cluster, or on a Ray of this machine alone, and yield their rows shard by shard."""
    assert analyzer is None, "every actor has its own"
    with _connected(job.address or os.environ.get("RAY_ADDRESS", "")) as library:
        size = _Size.of(library, job.workers)
        shards = [{"shard": pickle.dumps(shard)} for shard in cut(todo, job.together, size.actors)]
        data = library.data.from_items(shards, override_num_blocks=len(shards)).map_batches(
            Ears,
            fn_constructor_args=(job, settings, decoders(size.cpus)),
            compute=library.data.ActorPoolStrategy(size=min(size.actors, len(shards))),
            batch_size=1,
            num_cpus=size.cpus,
            num_gpus=size.gpus,
        )
        try:
            yield from data.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
        except library.exceptions.RayError as error:
            raise EmoscopeError(f"Ray stopped: {_reason(error)} What is done is kept; --resume goes on.") from error


def cut(todo: Sequence[Place], together: int, actors: int) -> list[list[Place]]:
    """Cut the inputs into shards of whole batches: none lies in two shards, so its numbers are those of one machine."""
    batches: dict[int, list[Place]] = {}
    for place in todo:
        batches.setdefault(place[0] // together, []).append(place)
    step = max(1, min(SHARD, len(batches) // (SHARDS * actors)))
    whole = list(batches.values())
    return [list(chain.from_iterable(whole[start : start + step])) for start in range(0, len(whole), step)]


@dataclass(frozen=True)
class _Size:
    """How a cluster is divided: one actor for every GPU, or for every machine when there is none."""

    actors: int
    cpus: int  # for each
    gpus: int  # for each

    @classmethod
    def of(cls, library: Any, wish: int) -> "_Size":
        """Ask the cluster; `wish` is how many actors a person wants, 0 for one per device."""
        machines = [node["Resources"] for node in library.nodes() if node["Alive"] and node["Resources"].get("CPU")]
        if not machines:
            raise EmoscopeError("The Ray cluster has no machine with a processor to give. Add one, or wait for it.")
        graphics = int(sum(machine.get("GPU", 0) for machine in machines))
        actors = wish or graphics or len(machines)
        share = sum(machine["CPU"] for machine in machines) / actors
        smallest = min(machine["CPU"] for machine in machines)
        return cls(actors, max(1, int(min(share, smallest))), 1 if graphics else 0)


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    """Join a cluster by its address, or start Ray on this machine; leave it, or end it, afterwards."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what matters arrives as an exception
    if not address:
        os.environ.update(OWN)
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    try:
        import ray as library
        import ray.data
        import ray.exceptions
    except ImportError:
        raise OptionError(MISSING) from None
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    if library.is_initialized():  # a program that uses Ray itself
        yield library
        return
    own: dict[str, Any] = {"include_dashboard": False, "object_store_memory": STORE} if not address else {}
    try:
        library.init(
            address=address or "local",
            runtime_env={"env_vars": {"PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}},
            log_to_driver=False,
            logging_level=logging.ERROR,
            **own,
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise EmoscopeError(f"Ray at {address or 'this machine'} does not answer: {_reason(error)}") from error
    library.data.DataContext.get_current().enable_progress_bars = False
    try:
        yield library
    finally:
        library.shutdown()


def _reason(error: BaseException) -> str:
    """Return the last line of an error that came with a traceback from another process."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].rstrip(".") + "." if lines else f"{type(error).__name__}."
