"""The database goes away under the running server, and comes back: `python -m tests.faults.database [--postgres]`.

Analyses go on, a sentence says that the row is missing, and the row follows when the database is back.
"""

import argparse
import contextlib
import sqlite3
import tempfile
from pathlib import Path

from tests import postgres
from tests.faults import sounds, whole
from tests.faults.servers import serving

CLIP = "calm.flac"


def hear(server):
    """Return the report of a recording, which is there whatever the database does."""
    with server.client() as client:
        answer = client.post("/speech", files={"file": (CLIP, sounds.clips()[CLIP])})
    assert answer.status_code == 200, answer.text
    return answer.json()


def in_fault(server, says, *, listed=503):
    """Hear a recording while the database is away; return the sentence that tells of it."""
    report = hear(server)
    found = [warning for warning in report["warnings"] if says in warning]
    assert found, report["warnings"]
    with server.client() as client:
        answer = client.get("/runs")
        assert answer.status_code == listed, answer.text
        if listed != 200:
            assert says in answer.json()["detail"], answer.text
        assert client.get(f"{server.address}/health").status_code == 200
    return found[0]


def after(server, runs, address=""):
    """Hear a recording when the database is back, and find the rows of all."""
    hear(server)
    with server.client() as client:
        total = client.get("/runs").json()["total"]
    assert total == runs, (total, runs)
    wrong = whole.problems(server.outputs, address)
    assert not wrong, wrong


def deleted(server):
    """Somebody deletes SQLite's file: it is made again from the folders, and nobody notices."""
    for file in server.outputs.glob("history.sqlite3*"):
        file.unlink()
    assert not [warning for warning in hear(server)["warnings"] if "history" in warning]
    return "made again from the folders"


def locked(server):
    """Another process writes, and does not end: it is waited for, and then said."""
    with contextlib.closing(sqlite3.connect(server.outputs / "history.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        return in_fault(server, "being written by somebody else", listed=503)


def unwritable(server):
    """The file turns into something that cannot be opened: a folder of its name."""
    file = server.outputs / "history.sqlite3"
    kept = [each.rename(each.with_name(f"kept{each.name}")) for each in server.outputs.glob("history.sqlite3*")]
    file.mkdir()
    try:
        return in_fault(server, "cannot be opened")
    finally:
        file.rmdir()
        for each in kept:
            each.rename(each.with_name(each.name.removeprefix("kept")))


def damaged(server):
    """Somebody writes over the file; once it is moved away, as the sentence says, it is made again."""
    file = server.outputs / "history.sqlite3"
    for each in server.outputs.glob("history.sqlite3-*"):
        each.unlink()
    file.unlink()
    file.write_bytes(b"this is no database at all" * 1000)
    try:
        return in_fault(server, "is damaged")
    finally:
        file.unlink()


SQLITE = (deleted, locked, unwritable, damaged)


def sqlite(home):
    """Put SQLite's file through every fault, one after another; yield the sentences."""
    with serving(home) as server:
        hear(server)
        for number, fault in enumerate(SQLITE, 1):
            yield fault.__name__, fault(server)
            after(server, 1 + 2 * number)


def stopped_server(home):
    """Stop PostgreSQL under the server, start it again; yield the sentence."""
    with contextlib.contextmanager(postgres.serve)() as database:
        address = database.fresh()
        with serving(home, EMOSCOPE_DATABASE_URL=address) as server:
            hear(server)
            database.stop()
            sentence = in_fault(server, "does not answer")
            assert postgres.PASSWORD not in server.said()
            database.start()
            after(server, 3, address)
            yield "stopped", sentence


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--postgres", action="store_true", help="a PostgreSQL server of this machine's packages instead"
    )
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        for name, sentence in (stopped_server if chosen.postgres else sqlite)(Path(home)):
            print(f"{name}: {sentence}", flush=True)


if __name__ == "__main__":
    main()
