"""`kill -9` in the middle of twenty runs, and start again: `python -m tests.faults.kills [--rounds 10] [--postgres]`.

After each start every folder has to be whole and have its row, every row its folder, nothing is left of what was sent,
and the next recording is heard.
"""

import argparse
import contextlib
import random
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx

from emoscope.claims import HIDDEN
from tests import postgres
from tests.faults import sounds, whole
from tests.faults.servers import Server

RUNS = 20  # that clients wait for when the server is killed
TEXT = "The sun came out at last. Then my bicycle was stolen."


@dataclass(frozen=True)
class Round:
    """What a kill hit, as it lay there."""

    answered: int  # runs whose report a client has
    folders: int  # of results, new in this round
    half: int  # hidden folders that were being written, or deleted
    rowless: int  # folders whose row was not stored yet
    uploads: int  # folders of what clients had sent


def rounds(home, count, *, address="", seed=0):
    """Kill a server `count` times, and yield what each kill hit; asserts that the next start puts it right."""
    chance = random.Random(seed)
    server = Server(home, EMOSCOPE_QUEUE=RUNS, EMOSCOPE_DATABASE_URL=address)
    try:
        server.start()
        for number in range(count):
            yield _round(server, address, chance, number)
    finally:
        if server.process.poll() is None:
            server.kill()


def _round(server, address, chance, number):
    before, answered = set(_folders(server)), {}
    with ThreadPoolExecutor(RUNS) as crew:
        for turn in range(RUNS):
            crew.submit(_ask, server, chance.random(), turn, answered)
        enough = len(before) + chance.randrange(1, RUNS // 2)
        end = time.monotonic() + 60
        while len(_folders(server)) < enough and time.monotonic() < end:
            time.sleep(0.002)
        if number % 2:  # in the middle of writing
            while not _hidden(server) and time.monotonic() < end:
                time.sleep(0.0005)
        else:
            time.sleep(chance.uniform(0, 0.2))
        server.kill()
    found = Round(
        answered=len(answered),
        folders=len(set(_folders(server)) - before),
        half=len(_hidden(server)),
        rowless=sum("has no row" in each for each in whole.problems(server.outputs, address)),
        uploads=len(list(server.temporary.glob(".emoscope-uploads*/*"))),
    )
    server.start()
    with server.client() as client:
        listed = client.get("/runs")
        assert listed.status_code == 200, listed.text
        wrong = whole.problems(server.outputs, address)
        assert not wrong, f"round {number}: {wrong}"
        for id, to_be_deleted in answered.items():
            assert client.get(f"/runs/{id}").status_code in ((200, 404) if to_be_deleted else (200,)), id
        left = list(server.temporary.glob(".emoscope-uploads*/*"))
        assert not left, f"round {number}: {left}"
        again = client.post("/speech", files={"file": ("calm.flac", sounds.clips()["calm.flac"])})
        assert again.status_code == 200, again.text
    return found


def _ask(server, luck, turn, answered):
    """Send something, and sometimes delete it again; ends when the server is gone."""
    names = list(sounds.clips())
    name = names[turn % len(names)]
    files = {"file": (name, sounds.clips()[name])}
    with contextlib.suppress(httpx.TransportError, ValueError), server.client() as client:
        if luck < 0.25:
            answer = client.post("/text", json={"text": TEXT})
        elif luck < 0.4:
            answer = client.post("/multimodal", files=files, data={"text": TEXT})
        else:
            wish = {"granularity": "frame", "embedding": "true"} if luck < 0.6 else {}
            answer = client.post("/speech", files=files, data=wish)
        if answer.status_code == 200:
            id = answer.json()["id"]
            answered[id] = luck > 0.8
            if answered[id]:
                client.delete(f"/runs/{id}")


def _folders(server):
    return [each.name for each in server.outputs.glob("outputs_*")]


def _hidden(server):
    return [each for each in server.outputs.iterdir() if HIDDEN.fullmatch(each.name)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--postgres", action="store_true", help="with a PostgreSQL server of this machine's packages")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    database = contextlib.contextmanager(postgres.serve)() if chosen.postgres else contextlib.nullcontext()
    with tempfile.TemporaryDirectory() as home, database as made:
        address = made.fresh() if made else ""
        for number, found in enumerate(rounds(Path(home), chosen.rounds, address=address, seed=chosen.seed), 1):
            print(f"{number:3}  {found}", flush=True)


if __name__ == "__main__":
    main()
