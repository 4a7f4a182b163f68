"""Many clients at once against the real server: `python -m tests.faults.load [--clients 50] [--seconds 60] [--seed 0]`.

They send recordings and texts in every way there is; some hang up, some send rubbish, all come back. Nobody may be told
of an error of the server's own (5xx but 503), every run that a client was promised has to be whole on disk and in the
database, and memory, open files and threads must not grow once everything has been used.
"""

import argparse
import contextlib
import json
import random
import socket
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np

from tests.faults import sounds, whole
from tests.faults.servers import API, serving, wait_for

TEXT = "The sun came out at last, and everybody was happy. Then my bicycle was stolen. I am not surprised."
GONE = 0  # in place of a status where the client hung up, as it was to
PATIENT = 600  # seconds that a client waits for an answer; the queue may be long on a slow machine
ASIDE = 2.0  # seconds that a client waits at most when it is asked to come again
MOST_GROWTH = 10.0  # MB a minute over the second half that still count as flat
MINUTE = 60.0


@dataclass(frozen=True)
class Answer:
    """What a client was told."""

    what: str
    status: int
    seconds: float


@dataclass
class Crowd:
    """What all clients together have seen; `append` and `add` are safe to call from threads."""

    answers: list = field(default_factory=list)
    runs: set = field(default_factory=set)  # that a client was given a report of
    deleted: set = field(default_factory=set)
    strange: list = field(default_factory=list)  # answers that should not be, with their bodies


class Client:
    """Somebody who does one thing after another, as chance has it."""

    def __init__(self, server, crowd, seed):
        self.server, self.crowd = server, crowd
        self.chance = random.Random(seed)
        self.http = server.client(timeout=PATIENT)
        self.mine = []

    def work(self, end):
        names, weights = zip(*DOINGS.items(), strict=True)
        with self.http:
            while time.monotonic() < end:
                what = self.chance.choices(names, weights)[0]
                begun = time.monotonic()
                try:
                    status = getattr(self, what)()
                except httpx.TransportError as error:
                    self.crowd.strange.append((what, repr(error)))
                    continue
                self.crowd.answers.append(Answer(what, status, time.monotonic() - begun))
                if status in (429, 503):
                    time.sleep(self.chance.uniform(0, ASIDE))

    # what can be asked for

    def speech(self):
        return self._ask("/speech", files=self._file())

    def frame(self):
        data = {"granularity": "frame", "embedding": "true"}
        return self._ask("/speech", files=self._file(), data=data)

    def text(self):
        return self._ask("/text", json={"text": TEXT})

    def multimodal(self):
        return self._ask("/multimodal", files=self._file(), data={"text": TEXT})

    def later(self):
        answer = self._send("/speech", files=self._file(), headers={"Prefer": "respond-async"})
        if answer.status_code != 202:
            return self._judge("later", answer, (429, 503))
        place = answer.headers["location"].removeprefix(API)
        while True:
            answer = self.http.get(place)
            if answer.status_code != 200 or answer.json()["state"] not in ("waiting", "running"):
                break
            time.sleep(0.2)
        if answer.status_code == 200 and answer.json()["state"] == "done":
            self._keep(answer.json()["report"])
        return self._judge("later", answer, (200,))

    def events(self):
        with self.http.stream("POST", "/speech", files=self._file(), headers={"Accept": "text/event-stream"}) as answer:
            if answer.status_code != 200:
                answer.read()
                return self._judge("events", answer, (429, 503))
            lines = [line for line in answer.iter_lines() if line]
        name, last = (line.partition(": ")[2] for line in lines[-2:])
        if name == "report":
            self._keep(json.loads(last))
            return 200
        return json.loads(last)["status"]

    # what was before

    def listing(self):
        return self._judge("listing", self.http.get("/runs", params={"limit": 20, "text": "calm"}), (200,))

    def download(self):
        if not self.mine:
            return self.listing()
        place = f"/runs/{self.chance.choice(self.mine)}"
        answer = self.http.get(place)
        if answer.status_code == 200:
            names = [file["name"] for file in answer.json()["files"]]
            answer = self.http.get(f"{place}/files/{self.chance.choice(names)}")
        return self._judge("download", answer, (200,))

    def delete(self):
        if not self.mine:
            return self.listing()
        id = self.mine.pop()
        self.crowd.deleted.add(id)
        return self._judge("delete", self.http.delete(f"/runs/{id}"), (204,))

    # what nobody should do

    def leave(self):
        """Hang up while waiting for the answer."""
        with self._other(self.chance.uniform(0.02, 0.5)) as client, contextlib.suppress(httpx.TransportError):
            answer = client.post("/speech", files=self._file())
            if answer.status_code == 200:
                self._keep(answer.json())
            return self._judge("leave", answer, (200, 429, 503))
        return GONE

    def break_off(self):
        """Hang up in the middle of sending."""
        with socket.create_connection(("127.0.0.1", self.server.port)) as line:
            head = f"POST {API}/speech HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n"
            line.sendall(f"{head}Content-Type: multipart/form-data; boundary=b\r\n\r\n".encode())
            line.sendall(
                b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF' + bytes(5000)
            )
            time.sleep(self.chance.uniform(0, 0.3))
        return GONE

    def rubbish(self):
        """Send what cannot be meant."""
        clip = next(iter(sounds.clips().values()))
        form = {"Content-Type": "multipart/form-data; boundary=b"}
        cut = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + clip[:3000]
        sent = self.chance.choice(
            (
                {"url": "/speech", "content": cut, "headers": form},
                {"url": "/speech", "files": {"file": ("song.wav", b"This is a text, not a song. " * 50)}},
                {"url": "/speech", "files": {"file": ("cut.flac", clip[: len(clip) // 5])}},
                {"url": "/speech", "files": {"file": ("a.flac", clip)}, "data": {"granularity": "everything"}},
                {"url": "/speech", "json": {"file": "calm.flac"}},
                {"url": "/speech", "files": {"file": ("empty.wav", b"")}},
                {"url": "/text", "content": b'{"text": "never en', "headers": {"Content-Type": "application/json"}},
                {"url": "/text", "json": {"text": ["a", {"b": 1}]}},
                {"url": "/text", "content": b"\xff\xfe\x00", "headers": {"Content-Type": "application/json"}},
                {"url": "/nowhere", "json": {}},
            )
        )
        return self._judge("rubbish", self._send(sent.pop("url"), **sent), (200, 400, 404, 413, 415, 422, 429, 503))

    def _ask(self, url, **sent):
        answer = self._send(url, **sent)
        if answer.status_code == 200:
            self._keep(answer.json())
        return self._judge(url, answer, (200, 429, 503))

    def _send(self, url, **sent):
        try:
            return self.http.post(url, **sent)
        except (httpx.WriteError, httpx.RemoteProtocolError):  # a kept connection that the server has just closed
            with self._other(PATIENT) as client:
                return client.post(url, **sent)

    def _other(self, seconds):
        return self.server.client(timeout=seconds)

    def _file(self):
        name = self.chance.choice(list(sounds.clips()))
        return {"file": (name, sounds.clips()[name])}

    def _keep(self, report):
        self.mine.append(report["id"])
        self.crowd.runs.add(report["id"])

    def _judge(self, what, answer, expected):
        if answer.status_code not in expected:
            self.crowd.strange.append((what, f"{answer.status_code} {answer.text[:300]}"))
        return answer.status_code


# What clients do, and how often.
DOINGS = {
    "speech": 20,
    "frame": 6,
    "text": 12,
    "multimodal": 8,
    "later": 10,
    "events": 8,
    "listing": 6,
    "download": 8,
    "delete": 5,
    "leave": 6,
    "break_off": 5,
    "rubbish": 6,
}


def through_gradio(server, crowd, end, seed):
    """Ask as programs do that know Gradio."""
    from gradio_client import Client as Gradio
    from gradio_client import handle_file

    chance = random.Random(seed)
    client = Gradio(server.address, verbose=False, download_files=False, analytics_enabled=False)
    while time.monotonic() < end:
        begun, status = time.monotonic(), 200
        try:
            if chance.random() < 0.5:
                report, _archive = client.predict(handle_file(chance.choice(sounds.EXAMPLES)), api_name="/analyze")
                crowd.runs.add(report["id"])
            else:
                client.predict(TEXT, api_name="/text")
        except CancelledError:  # Gradio's client took a stream that was just being closed, which is for it to notice
            status = 0
        except Exception as error:  # a sentence: the queue is full
            status = 429 if "waiting already" in str(error) or "too many" in str(error).lower() else 500
            if status == 500:
                crowd.strange.append(("gradio", repr(error)))
            time.sleep(chance.uniform(0, ASIDE))
        crowd.answers.append(Answer("gradio", status, time.monotonic() - begun))


def run(server, *, clients, seconds, seed=0, gradio=3):
    """Let clients work for some seconds; return what they saw, and the server's load every second."""
    crowd, samples, over = Crowd(), [], threading.Event()

    def watch():
        while not over.wait(1.0):
            samples.append(server.load())

    watcher = threading.Thread(target=watch)
    watcher.start()
    end = time.monotonic() + seconds
    with ThreadPoolExecutor(clients) as crew:
        futures = [crew.submit(through_gradio, server, crowd, end, seed + number) for number in range(gradio)]
        for number in range(gradio, clients):
            futures.append(crew.submit(Client(server, crowd, seed + number).work, end))
    over.set()
    watcher.join()
    for future in futures:
        future.result()
    wait_for(lambda: is_at_rest(server), 60)
    return crowd, samples


def is_at_rest(server):
    said = httpx.get(f"{server.address}/metrics", timeout=30).text.splitlines()
    return {'emoscope_queue{state="waiting"} 0.0', 'emoscope_queue{state="running"} 0.0'} <= set(said)


def check(server, crowd, address=""):
    """Assert that nobody was told of an error, and that every run is whole where it should be."""
    assert not crowd.strange, crowd.strange[:10]
    told = Counter(answer.status for answer in crowd.answers)
    assert not [status for status in told if status >= 500 and status != 503], told
    wrong = whole.problems(server.outputs, address)
    assert not wrong, wrong[:10]
    kept = {json.loads(file.read_text("utf-8"))["id"] for file in server.outputs.glob("outputs_*/result.json")}
    assert crowd.runs - crowd.deleted <= kept, crowd.runs - crowd.deleted - kept
    assert not crowd.deleted & kept, crowd.deleted & kept
    left = list(server.temporary.glob(".emoscope-uploads*/*"))
    assert not left, left


def growth(samples):
    """Return how fast memory grows in the second half, in MB a minute, by a straight line through the samples."""
    half = samples[len(samples) // 2 :]
    slope = np.polyfit([each.at for each in half], [each.memory / 1e6 for each in half], 1)[0]
    return float(slope) * MINUTE


def describe(crowd):
    """Return a table of what was done: how often, what was told, and how long it took."""
    lines = ["| what | count | statuses | median s | 95 % s | 99 % s | longest s |", "| --- " * 7 + "|"]
    for what in [*DOINGS, "gradio"]:
        mine = [answer for answer in crowd.answers if answer.what == what]
        if not mine:
            continue
        told = Counter(answer.status for answer in mine)
        statuses = ", ".join(f"{status or 'hung up'}: {count}" for status, count in sorted(told.items()))
        done = [answer.seconds for answer in mine if answer.status not in (429, 503)] or [0.0]
        times = " | ".join(f"{np.percentile(done, share):.2f}" for share in (50, 95, 99, 100))
        lines.append(f"| {what} | {len(mine)} | {statuses} | {times} |")
    return "\n".join(lines)


def show(name, server, samples):
    rest = server.load()
    for when, each in (
        ("begin", samples[0]),
        ("middle", samples[len(samples) // 2]),
        ("end", samples[-1]),
        ("rest", rest),
    ):
        print(
            f"{name} {when:6}: {each.memory / 1e6:6.0f} MB, {each.files} open files, {each.threads} threads", flush=True
        )
    print(f"{name} memory: {growth(samples):+.1f} MB a minute in the second half", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--calm", type=float, default=0, help="then so many seconds with four clients, for the memory")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    sounds.clips()
    with tempfile.TemporaryDirectory() as home, serving(Path(home)) as server:
        crowd, samples = run(server, clients=chosen.clients, seconds=chosen.seconds, seed=chosen.seed)
        print(describe(crowd), flush=True)
        print(f"{len(crowd.answers)} answers, {len(crowd.runs)} runs, {len(crowd.deleted)} of them deleted again")
        show("crowd", server, samples)
        check(server, crowd)
        if chosen.calm:
            crowd, samples = run(server, clients=4, seconds=chosen.calm, seed=chosen.seed + 1000, gradio=1)
            print(describe(crowd), flush=True)
            show("calm", server, samples)
            check(server, crowd)
            assert growth(samples) <= MOST_GROWTH, growth(samples)
        print("nothing is half, nobody was told of an error")


if __name__ == "__main__":
    main()
