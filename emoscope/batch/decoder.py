"""Decoding runs ahead of the model, in processes of its own: a file that crashes FFmpeg is a row, not the end."""

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event
from queue import SimpleQueue
from typing import TypeAlias

from emoscope.analyzer import decode
from emoscope.batch.inputs import Item
from emoscope.errors import Cancelled, EmoscopeError
from emoscope.results import Recording
from emoscope.settings import Options, Settings

log = logging.getLogger(__name__)

AHEAD = 256  # recordings decoded or waiting to be; two batches
HELD = 256_000_000  # bytes of sound, 67 minutes, waiting for the model; nothing is begun beyond it
CRASHED = "Decoding this file crashed the decoder, so it was left out. It is damaged, or made to do harm."
UNGUARDED = (
    "The decoding processes do not start. In a script of your own, call it under `if __name__ == '__main__':`, because "
    "every process reads the script again."
)

Place: TypeAlias = tuple[int, Item]  # an input's index, and what it names


@dataclass(frozen=True)
class Decoded:
    """A recording, or the sentence that says why there is none, and the seconds it took."""

    recording: Recording | None
    error: str
    seconds: float

    @property
    def bytes(self) -> int:
        """Return how much memory the sound takes."""
        return self.recording.wave.samples.nbytes if self.recording else 0


@dataclass
class Decoder:
    """Worker processes that decode; 0 workers decode in this process, when asked. Use it in a `with`.

    Memory is bounded: `HELD` bytes of sound wait for the model, and `workers` + 1 recordings are on their way, of at
    most EMOSCOPE_MAX_MINUTES each.
    """

    settings: Settings
    options: Options
    workers: int
    _pool: ProcessPoolExecutor | None = None
    _stop: Event | None = None

    def __enter__(self) -> "Decoder":
        if self.workers:
            self._stop = multiprocessing.get_context("spawn").Event()
            self._pool = self._new_pool(self.workers)
            try:
                self._pool.submit(os.getpid).result()
            except BrokenProcessPool:
                raise EmoscopeError(UNGUARDED) from None
        return self

    def __exit__(self, *_error: object) -> None:
        if self._pool and self._stop:
            self._stop.set()
            self._pool.shutdown(wait=True, cancel_futures=True)

    def ahead(self, places: Iterable[Place]) -> Iterator[tuple[Place, Decoded]]:
        """Decode in the order given, as far ahead of whoever takes the results as memory allows."""
        if not self.workers:
            yield from ((place, work(place[1], self.settings, self.options)) for place in places)
            return
        feeder = _Feeder(self, iter(places))
        threading.Thread(target=feeder.run, name="decode-ahead", daemon=True).start()
        try:
            while (entry := feeder.line.get()) is not None:
                place, future = entry
                yield place, self._result(place[1], future, feeder)
                del entry, future  # the sound is the caller's now
        finally:
            feeder.news.put(None)

    def submit(self, item: Item) -> "Future[Decoded]":
        """Hand a file to the next free process; one more try where another file has broken the pool."""
        assert self._pool is not None
        try:
            return self._pool.submit(work, item, self.settings, self.options)
        except BrokenProcessPool:
            self._pool = self._new_pool(self.workers)
            return self._pool.submit(work, item, self.settings, self.options)

    def _result(self, item: Item, future: "Future[Decoded]", feeder: "_Feeder") -> Decoded:
        try:
            decoded = future.result()
        except BrokenProcessPool:  # this file's doing, or that of one beside it
            return self._alone(item)
        feeder.news.put(decoded.bytes)
        return decoded

    def _alone(self, item: Item) -> Decoded:
        """Decode a file in a process that no other file is in, so that a crash is this file's doing."""
        start = time.perf_counter()
        with self._new_pool(1) as pool:
            try:
                return pool.submit(work, item, self.settings, self.options).result()
            except BrokenProcessPool:
                return Decoded(None, CRASHED, time.perf_counter() - start)

    def _new_pool(self, workers: int) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")  # a fork would copy the model's threads in the middle of work
        return ProcessPoolExecutor(workers, context, initializer=_prepare, initargs=(self._stop,))


@dataclass
class _Feeder:
    """Hands files to the processes in order, as fast as there is room; a thread, because the model must not wait.

    Everything it counts is its own: others only send it news.
    """

    decoder: Decoder
    places: Iterator[Place]
    line: "SimpleQueue[tuple[Place, Future[Decoded]] | None]" = field(default_factory=SimpleQueue)  # in order
    news: "SimpleQueue[Future[Decoded] | int | None]" = field(default_factory=SimpleQueue)  # done; bytes taken; stop
    unfinished: int = 0
    waiting: int = 0  # recordings that are begun and not yet taken
    held: int = 0  # bytes that are decoded and not yet taken

    def run(self) -> None:
        """Feed until the places or the listener's wishes end."""
        try:
            for place in self.places:
                if not self._room():
                    return
                future = self.decoder.submit(place[1])
                self.unfinished += 1
                self.waiting += 1
                self.line.put((place, future))
                future.add_done_callback(self.news.put)
        except RuntimeError:  # the pool was closed, because the person stopped
            log.debug("no more decoding", exc_info=True)
        finally:
            self.line.put(None)

    def _room(self) -> bool:
        """Wait until one more recording may be begun; False when nobody wants it any more."""
        while self.unfinished > self.decoder.workers or self.held >= HELD or self.waiting >= AHEAD:
            news = self.news.get()
            if news is None:
                return False
            if isinstance(news, int):
                self.held -= news
                self.waiting -= 1
                continue
            self.unfinished -= 1
            if news.cancelled() or news.exception() is not None:
                self.waiting -= 1  # it is decoded once more, alone, and takes no room here
            else:
                self.held += news.result().bytes
        return True


_stopped: Event | None = None  # in a worker process: set when nobody wants its result any more


def _prepare(stop: Event | None) -> None:
    """Make a new process leave Ctrl-C to its parent, and end when its parent ends, however that ends."""
    global _stopped
    _stopped = stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow, name="follow-parent", daemon=True).start()


def _follow() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _heed(_what: str, _done: float) -> None:
    if _stopped is not None and _stopped.is_set():
        raise Cancelled("The batch was stopped.")


def work(item: Item, settings: Settings, options: Options) -> Decoded:
    """Decode one file; whatever goes wrong with it becomes its sentence."""
    start = time.perf_counter()
    recording, error = None, item.trouble
    try:
        if not error:
            recording = decode(item.file, settings, options, progress=_heed)
    except EmoscopeError as failed:
        error = str(failed)
    except Exception as failed:  # one file must never end a batch of a million
        log.exception("%s could not be decoded", item.path)
        error = f"Decoding failed in a way nobody foresaw ({type(failed).__name__}: {failed})."
    return Decoded(recording, error, time.perf_counter() - start)
