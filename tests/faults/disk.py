"""A disk that is full under the running server: `python -m tests.faults.disk`, as root, because it mounts small disks.

Once results find no room, and once what is sent. Whoever asks is told so in a sentence, nothing half-written is left,
and as soon as there is room again the next recording is heard, without a restart.
"""

import contextlib
import re
import subprocess
import tempfile
from pathlib import Path

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from tests.faults import sounds, whole
from tests.faults.servers import serving

MEGABYTES = 24  # of the small disk
CLIP = "calm.flac"
BLOCK = 4096  # bytes
FULL = re.compile("no space left|nearly full|no room")


@contextlib.contextmanager
def small_disk(place):
    """Mount a disk in memory that holds a few megabytes."""
    place.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


@contextlib.contextmanager
def filled(disk, left=0):
    """Have a disk that is full but for `left` bytes."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as out, contextlib.suppress(OSError):
        while True:
            out.write(bytes(BLOCK))
    with ballast.open("r+b") as out:
        out.truncate(max(ballast.stat().st_size - left, 0))
    try:
        yield
    finally:
        ballast.unlink()


def hear(server, **data):
    with server.client() as client:
        return client.post("/speech", files={"file": (CLIP, sounds.clips()[CLIP])}, data=data)


def results_without_room(home):
    """Fill the disk of the results, at several places of a run; return what clients were told."""
    told = []
    with small_disk(home / "outputs") as disk, serving(home) as server:
        studio = Client(server.address, verbose=False, download_files=False)
        assert hear(server).status_code == 200
        for left in (0, 8 * BLOCK, 64 * BLOCK, 100 * BLOCK):
            with filled(disk, left):
                answer = hear(server, granularity="frame", embedding="true")
                told.append(answer.json())
                assert answer.status_code == 507 and FULL.search(answer.json()["detail"]), answer.text
                with server.client() as client:
                    assert client.get("/runs").json()["total"] == 1
                told.append(
                    refused(
                        lambda: studio.predict(
                            handle_file(sounds.EXAMPLES[0]), granularity="frame", api_name="/analyze"
                        )
                    )
                )
            assert not whole.problems(disk), whole.problems(disk)
        assert hear(server, granularity="frame").status_code == 200
        assert not whole.problems(disk), whole.problems(disk)
        assert "unforeseen" not in server.said(), server.said()
    return told


def uploads_without_room(home):
    """Fill the disk of what is sent; return what clients were told."""
    told = []
    with small_disk(home / "tmp") as disk, serving(home) as server:
        assert hear(server).status_code == 200
        long = sounds.long_file(home, 300)
        studio = Client(server.address, verbose=False, download_files=False)
        for left in (0, 2 * BLOCK, 40 * BLOCK):
            with filled(disk, left), server.client() as client, long.open("rb") as body:
                answer = client.post("/speech", files={"file": body})
                told.append(answer.json())
                assert answer.status_code == 507 and FULL.search(answer.json()["detail"]), answer.text
                told.append(refused(lambda: studio.predict(handle_file(long), api_name="/analyze")))
                left_behind = list(disk.glob(".emoscope-uploads*/*"))
                assert not left_behind, left_behind
        with server.client() as client, long.open("rb") as body:
            assert client.post("/speech", files={"file": body}).status_code == 200
        studio.predict(handle_file(long), api_name="/analyze")
        assert not whole.problems(server.outputs), whole.problems(server.outputs)
        assert "unforeseen" not in server.said(), server.said()
    return told


def refused(ask):
    """Return the sentence that a program is refused with."""
    with pytest.raises((AppError, httpx.HTTPStatusError)) as error:
        ask()
    answer = getattr(error.value, "response", None)  # of the upload, where it is that which is refused
    sentence = answer.text if answer is not None else str(error.value)
    assert FULL.search(sentence), repr(error.value)
    return sentence


def main():
    for fault in (results_without_room, uploads_without_room):
        with tempfile.TemporaryDirectory() as home:
            print(fault.__name__)
            for sentence in dict.fromkeys(map(str, fault(Path(home)))):
                print(f"  {sentence}")


if __name__ == "__main__":
    main()
