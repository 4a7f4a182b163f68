"""Too little memory: `python -m tests.faults.memory`. One analysis fails with a sentence, and the others go on.

The server may take only so much address space as it needs for short recordings; then it is sent an hour.
"""

import resource
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.faults import sounds, whole
from tests.faults.servers import serving, wait_for

CLIP = "calm.flac"
SPARE = 700_000_000  # bytes of address space beyond what the server has when it is warm
LENGTHS = (3600, 7140)  # seconds


def hear(server, name, body, **data):
    with server.client(timeout=300) as client:
        return client.post("/speech", files={"file": (name, body)}, data=data)


def starved(home, spare=SPARE):
    """Send hours to a server that has no memory for them, and short clips beside; return what it says."""
    with serving(home) as server:
        clip = sounds.clips()[CLIP]
        assert hear(server, CLIP, clip, granularity="frame").status_code == 200
        with server.client() as client:
            assert client.post("/text", json={"text": "The sun came out."}).status_code == 200
        limit = address_space(server.process.pid) + spare
        resource.prlimit(server.process.pid, resource.RLIMIT_AS, (limit, limit))
        told = []
        for length in LENGTHS:
            long = sounds.long_file(home, length).read_bytes()
            with ThreadPoolExecutor(4) as crew:
                hour = crew.submit(hear, server, "hour.flac", long, granularity="frame", embedding="true")
                beside = [crew.submit(hear, server, CLIP, clip) for _ in range(3)]
                answer = hour.result()
                assert all(each.result().status_code == 200 for each in beside), [each.result().text for each in beside]
            told.append((length, answer.status_code, answer.json().get("detail", "")))
            assert answer.status_code in (200, 503, 507), answer.text
            assert hear(server, CLIP, clip).status_code == 200
        assert server.process.poll() is None
        wait_for(lambda: not whole.problems(server.outputs))
        return told


def address_space(number):
    return int(Path(f"/proc/{number}/statm").read_text().split()[0]) * resource.getpagesize()


def main():
    with tempfile.TemporaryDirectory() as home:
        for length, status, sentence in starved(Path(home)):
            print(f"{length} s: {status} {sentence}")


if __name__ == "__main__":
    main()
