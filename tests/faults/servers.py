"""The real server, `app.py` with the compact models, as a process that can be loaded, starved, killed and measured."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parent.parent.parent
API = "/api/v1"
PAGE = os.sysconf("SC_PAGE_SIZE")  # bytes
PATIENCE = 120  # seconds that a start may take beside other work


@dataclass(frozen=True)
class Load:
    """What a process and its children hold at a moment."""

    at: float  # seconds since the process was started
    memory: int  # bytes in memory, RSS
    files: int  # open descriptors
    threads: int


class Server:
    """A server in a folder of its own: `outputs`, `tmp` for uploads, `log` for what it says."""

    def __init__(self, home, *, limits=None, **settings):
        """`settings` are environment variables; `limits` is called in the new process before anything else."""
        self.home = home
        self.outputs = Path(settings.get("EMOSCOPE_OUTPUTS", home / "outputs"))
        self.temporary = Path(settings.get("TMPDIR", home / "tmp"))
        self.log = home / "log"
        self.process = None
        self.port = free_port()
        self._limits = limits
        self._settings = {
            "EMOSCOPE_OUTPUTS": str(self.outputs),
            "TMPDIR": str(self.temporary),
            "EMOSCOPE_PORT": str(self.port),
            "EMOSCOPE_SPEECH_MODEL": "compact",
            "EMOSCOPE_OFFLINE": "1",
            **{name: str(value) for name, value in settings.items()},
        }
        self.temporary.mkdir(parents=True, exist_ok=True)

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self, state="ready"):
        """Start it, and wait until its model has loaded, or failed."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("EMOSCOPE_")}
        self.begun = time.monotonic()
        with self.log.open("ab") as said:
            self.process = subprocess.Popen(
                [sys.executable, "app.py"],
                cwd=ROOT,
                env=kept | self._settings,
                stdout=said,
                stderr=said,
                start_new_session=True,
                preexec_fn=self._limits,
            )
        wait_for(lambda: self.ready().get("state", "loading") != "loading" or self.process.poll() is not None, PATIENCE)
        assert self.process.poll() is None, self.said()
        assert self.ready()["state"] == state, self.ready()
        return self

    def ready(self):
        """What /ready says; nothing while it does not answer."""
        try:
            return httpx.get(f"{self.address}/ready", timeout=10).json()
        except httpx.TransportError:
            return {}

    def client(self, **more):
        return httpx.Client(base_url=self.address + API, timeout=more.pop("timeout", 60), **more)

    def kill(self):
        """End it as the system does when memory is short: at once, and every child."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)

    def end(self, number=signal.SIGTERM, seconds=30):
        """Ask it to stop; return the seconds that took and its exit status."""
        begun = time.monotonic()
        self.process.send_signal(number)
        return self.wait(begun, seconds)

    def wait(self, begun, seconds=30):
        """Wait for its end; return the seconds since `begun` and its exit status."""
        status = self.process.wait(seconds)
        return time.monotonic() - begun, status

    def load(self):
        """What it holds now, with all of its children."""
        found = [_load(number) for number in family(self.process.pid)]
        return Load(time.monotonic() - self.begun, *(sum(each) for each in zip(*found, strict=True)))

    def said(self):
        return self.log.read_text("utf-8", "replace")

    def left_in_temporary(self):
        """What of ours lies in the temporary folder."""
        return sorted(each.name for each in self.temporary.iterdir() if "emoscope" in each.name)


@contextmanager
def serving(home, *, state="ready", limits=None, **settings):
    """Have a server that runs, and that is gone in the end whatever happens."""
    server = Server(home, limits=limits, **settings)
    try:
        yield server.start(state)
    finally:
        if server.process is not None and server.process.poll() is None:
            server.kill()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def wait_for(condition, seconds=30):
    """Wait until something is true, and return it."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
    return found


def family(number):
    """The numbers of a process and of everything it has started."""
    children = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            after = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(after[1]), []).append(int(status.parent.name))
    found = [number]
    for each in found:
        found += children.get(each, [])
    return found


def _load(number):
    place = Path("/proc", str(number))
    try:
        memory = int((place / "statm").read_text().split()[1]) * PAGE
        return memory, len(list((place / "fd").iterdir())), len(list((place / "task").iterdir()))
    except OSError:  # it has just ended
        return 0, 0, 0
