"""The server is asked to stop in the middle of everything: `python -m tests.faults.stops [--situations NAME ...]`.

Each situation is begun on a server of its own, which is then sent SIGTERM, or SIGINT. It has to end within ten seconds;
whoever was answered before has a whole run, and whoever still waited is told so in a 503 problem document.
"""

import argparse
import json
import re
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np

from tests.faults import sounds, whole
from tests.faults.servers import API, serving, wait_for

MOST = 10.0  # seconds until the process has ended
HOUR = 3600
HALF = 3_000_000  # bytes of an upload that stops in the middle
PIECE = np.zeros(3200, "<i2").tobytes()  # 0.2 s for a live session


@dataclass
class Situation:
    """A server in the middle of something, and what its clients are told in the end."""

    server: object
    folder: Path
    told: list = field(default_factory=list)  # of each client: status, problem document or report
    crew: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(20))

    def send(self, file, headers=None, **data):
        """Have a client send a recording and wait for its answer."""
        self.crew.submit(self._send, file, headers or {}, data)

    def _send(self, file, headers, data):
        try:
            with self.server.client() as client, file.open("rb") as body:
                answer = client.post("/speech", files={"file": body}, data=data, headers=headers)
                self.told.append((answer.status_code, answer.json()))
        except httpx.TransportError as error:
            self.told.append((0, repr(error)))

    def running(self):
        """How many analyses run, as the server itself tells Prometheus."""
        found = re.search(
            r'^emoscope_queue\{state="running"\} (\S+)', httpx.get(f"{self.server.address}/metrics").text, re.M
        )
        return float(found[1])


def idle(_situation):
    """Nothing happens."""
    return lambda: None


def analysis(situation):
    """Somebody waits for an hour's file, and two others stand behind him."""
    hour = sounds.long_file(situation.folder, HOUR)
    for _ in range(3):
        situation.send(hour, granularity="frame")
    wait_for(situation.running)
    time.sleep(1)

    def check():
        assert len(situation.told) == 3, situation.told
        for status, document in situation.told:
            assert status in (200, 503), situation.told
            assert status == 200 or document["type"].endswith("#stopping"), document

    return check


def short(situation):
    """Somebody waits for a minute's file, which can be heard in the seconds that are left."""
    situation.send(sounds.long_file(situation.folder, 60))
    wait_for(situation.running)

    def check():
        assert [status for status, _ in situation.told] == [200], situation.told

    return check


def upload(situation):
    """Somebody has sent a half of his recording, and sends no more."""
    head = f"POST {API}/speech HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.flac"\r\n\r\n' + bytes(HALF)
    line = socket.create_connection(("127.0.0.1", situation.server.port))
    line.sendall(f"{head}Content-Length: {2 * HALF}\r\n\r\n".encode() + part)
    wait_for(lambda: any(situation.server.temporary.glob(".emoscope-uploads*/*/file")))

    def check():
        line.settimeout(1)
        answer = line.recv(10_000)
        assert b" 503 " in answer.split(b"\r\n")[0] and b"#stopping" in answer, answer
        line.close()

    return check


def events(situation):
    """Somebody follows an hour's file as server-sent events."""
    told = []

    def follow():
        hour = sounds.long_file(situation.folder, HOUR)
        with (
            situation.server.client() as client,
            hour.open("rb") as body,
            client.stream("POST", "/speech", files={"file": body}, headers={"Accept": "text/event-stream"}) as answer,
        ):
            told.extend(answer.iter_lines())

    situation.crew.submit(follow)
    wait_for(situation.running)
    time.sleep(1)

    def check():
        last = [line.partition(":")[2].strip() for line in told if line][-2:]
        assert last[0] == "problem" and json.loads(last[1])["status"] == 503, told[-4:]

    return check


def later(situation):
    """Somebody has been promised a run, and will come back for it."""
    with situation.server.client() as client:
        clip = sounds.clips()["calm.flac"]
        answer = client.post("/speech", files={"file": ("calm.flac", clip)}, headers={"Prefer": "respond-async"})
    run = answer.json()["id"]

    def check():
        kept = [json.loads(file.read_text())["id"] for file in situation.server.outputs.glob("outputs_*/result.json")]
        assert run in kept, (run, kept)

    return check


def live(situation):
    """Somebody is being listened to."""
    client = httpx.Client(base_url=situation.server.address, timeout=10)
    token = client.post("/live?rate=16000").json()["token"]
    stop = threading.Event()

    def speak():
        sent = 0
        while not stop.is_set():
            try:
                answer = client.post(f"/live/{token}?first={sent}", content=PIECE)
            except httpx.TransportError:
                return
            assert answer.status_code in (200, 410, 503), answer.text
            sent += len(PIECE) // 2
            time.sleep(0.05)

    talking = situation.crew.submit(speak)
    time.sleep(1)

    def check():
        stop.set()
        talking.result(10)
        client.close()

    return check


def page(situation):
    """Somebody's browser has the studio open: Gradio's heartbeat is an answer that never ends."""
    answer = []

    def listen():
        with httpx.stream("GET", f"{situation.server.address}/gradio_api/heartbeat/abc", timeout=30) as stream:
            answer.append(stream.status_code)
            for _ in stream.iter_raw():
                pass

    future = situation.crew.submit(listen)
    wait_for(lambda: answer)

    def check():
        assert answer == [200]
        assert future.exception(10) is None or isinstance(future.exception(), httpx.TransportError)

    return check


SITUATIONS: dict[str, Callable] = {
    each.__name__: each for each in (idle, analysis, short, upload, events, later, live, page)
}


def stop_in(name, home, number=signal.SIGTERM):
    """Stop a server in a situation; return the seconds that took, and the exit status."""
    with serving(home) as server:
        situation = Situation(server, home)
        check = SITUATIONS[name](situation)
        seconds, status = server.end(number)
        situation.crew.shutdown(wait=True)
        check()
        left = whole.problems(server.outputs) + server.left_in_temporary()
        assert not left, left
        assert seconds <= MOST, f"{name}: {seconds:.1f} s"
        said = [line for line in server.said().splitlines() if "Error" in line or "Traceback" in line]
        assert not said, server.said()
        return seconds, status


def stop_twice(home, number):
    """Send a signal twice in the middle of an hour's file; return the seconds since the second one, and the status."""
    with serving(home) as server:
        situation = Situation(server, home)
        analysis(situation)
        server.process.send_signal(number)
        time.sleep(1)
        assert server.process.poll() is None
        found = server.end(number)
        situation.crew.shutdown(wait=True)
        return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--situations", nargs="*", choices=SITUATIONS, default=list(SITUATIONS))
    chosen = parser.parse_args().situations
    for number in (signal.SIGTERM, signal.SIGINT):
        for name in chosen:
            with tempfile.TemporaryDirectory() as home:
                seconds, status = stop_in(name, Path(home), number)
                print(f"{number.name:8} {name:10} {seconds:5.1f} s, exit status {status}", flush=True)
        with tempfile.TemporaryDirectory() as home:
            seconds, status = stop_twice(Path(home), number)
            print(f"{number.name:8} twice      {seconds:5.1f} s, exit status {status}", flush=True)


if __name__ == "__main__":
    main()
