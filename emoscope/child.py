"""Work in a process of its own: it tells how far it is in lines of JSON, and ends when nobody listens any more.

For what a thread cannot give: an environment of its own, memory that the system gets back, and an end at any moment.
"""

import contextlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import IO, TextIO

from emoscope.errors import EmoscopeError, ModelError, StorageError
from emoscope.settings import ROOT

log = logging.getLogger(__name__)

BEAT = 0.2  # seconds between two messages; whoever listens can cancel that often
ERRORS: dict[str, type[EmoscopeError]] = {kind.__name__: kind for kind in (ModelError, StorageError)}


def run(
    module: str, job: Mapping[str, object], environment: Mapping[str, str], progress: Callable[[str, float], None]
) -> bool:
    """Let a process do a job and say whether it finished; it ends at the latest when this function does.

    What it complained of goes to the log when it did not finish. Raises its ModelError or StorageError, and whatever
    `progress` raises.
    """
    command = [sys.executable, "-m", module, json.dumps(job)]
    with (
        tempfile.TemporaryFile() as stderr,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=environment,
            cwd=ROOT,
            start_new_session=True,  # Ctrl-C is for this process, which then ends the child
        ) as process,
    ):
        try:
            finished = process.stdout is not None and listen(process.stdout, progress)
        finally:
            process.kill()
        if not finished:
            stderr.seek(0)
            log.error("%s ended early: %s", module, stderr.read().decode("utf-8", "replace")[-4000:])
    return finished


def listen(lines: IO[bytes], progress: Callable[[str, float], None]) -> bool:
    """Pass progress on and raise the child's errors; say whether it finished."""
    for line in lines:
        if not line.endswith(b"\n"):  # it was killed while it wrote
            break
        message = json.loads(line)
        if "error" in message:
            raise ERRORS[message["error"]](message["sentence"])
        if "finished" in message:
            return True
        progress(message["what"], message["done"])
    return False


def answer(work: Callable[[], None], tell: Callable[[], Mapping[str, object]], out: TextIO) -> None:
    """In the child: do the work, telling at every beat what `tell` returns, and in the end how it ended."""
    last: dict[str, object] = {"finished": True}
    with _reporting(tell, out):
        try:
            work()
        except EmoscopeError as error:
            last = {"error": type(error).__name__, "sentence": str(error)}
    _send(last, out)


@contextlib.contextmanager
def _reporting(tell: Callable[[], Mapping[str, object]], out: TextIO) -> Iterator[None]:
    """Send a message at every beat."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(BEAT):
            _send(tell(), out)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _send(message: Mapping[str, object], out: TextIO) -> None:
    try:
        out.write(json.dumps(message) + "\n")
        out.flush()
    except OSError:
        os._exit(1)  # whoever wanted the work is gone
