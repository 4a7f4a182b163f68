"""The image, built from the Dockerfile and run with a read-only root; `./run.sh test --container` asks for it."""

import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import pytest

from emoscope.settings import ROOT
from tests.images import Images, read_only
from tests.test_container import STAGES, of, with_defaults

pytestmark = pytest.mark.container

CLIP = "emoscope/studio/examples/calm.flac"
TEXT = "I won the prize! And yet I am lonely."
PATIENCE = 180  # seconds until a model can answer
PAGE = 4096  # bytes
LOADED = 1  # the kind of a segment


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """The files of the image, and its configuration."""
    images = Images(tmp_path_factory.mktemp("images"))
    try:
        images.make_base(with_defaults(of("FROM", STAGES["base"])[0].split()[0]))
        images.build("emoscope", TORCH_INDEX=os.environ.get("TORCH_INDEX", ""))  # as run.sh does on this machine
        with images.tree("emoscope") as tree:
            yield tree, images.configuration("emoscope")
    finally:
        shutil.rmtree(images.folder, ignore_errors=True)  # ten gigabytes, which pytest would keep for three runs


@pytest.fixture
def outputs(image, tmp_path):
    folder = tmp_path / "outputs"
    folder.mkdir()
    os.chown(folder, *user_of(image))
    return folder


@pytest.fixture
def studio(image, outputs):
    """A studio in the image: its process, and a client that has the token which the process printed.

    It calls an address where only a server answers that is on every interface.
    """
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))
        port = listener.getsockname()[1]
    command = read_only(*image, outputs, *image[1]["Entrypoint"], EMOSCOPE_PORT=port, EMOSCOPE_OFFLINE=1)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            token = process.stdout.readline().strip().partition("/?token=")[2]
            assert token, "it printed no token"
            bearer = {"Authorization": f"Bearer {token}"}
            with httpx.Client(base_url=f"http://127.0.0.2:{port}", headers=bearer, timeout=PATIENCE) as client:
                yield process, client
        finally:
            process.kill()


def user_of(image):
    return [int(number) for number in image[1]["User"].split(":")]


def inside(image, outputs, *command, **variables):
    """What a command prints in the image."""
    done = subprocess.run(read_only(*image, outputs, *command, **variables), check=True, stdout=subprocess.PIPE)
    return done.stdout.decode()


def outside(folder, *command):
    """What the command line prints in the working tree."""
    variables = {"EMOSCOPE_OUTPUTS": str(folder), "EMOSCOPE_SPEECH_MODEL": "compact"}
    done = subprocess.run(
        [sys.executable, "-m", "emoscope.cli", *command],
        check=True,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | variables,
    )
    return done.stdout.decode()


def assert_same(found, known):
    """Hold one report to another: numbers differ in their last digits only."""
    assert found["emotion"] == known["emotion"]
    assert found["scores"].keys() == known["scores"].keys()
    assert np.allclose([found["scores"][name] for name in known["scores"]], list(known["scores"].values()), atol=1e-4)


@pytest.mark.parametrize("command", [("analyze", CLIP), ("text", TEXT)], ids=["clip", "text"])
def test_it_answers_as_the_working_tree_does(image, outputs, command):
    command = (*command, "--format", "json")
    found = json.loads(inside(image, outputs, *image[1]["Entrypoint"], *command))
    assert_same(found, json.loads(outside(outputs.with_name("outside"), *command)))
    (folder,) = (place for place in outputs.iterdir() if place.is_dir())
    assert (folder / "result.json").exists()
    assert folder.stat().st_uid == user_of(image)[0]


def test_it_serves_the_network_as_nobody_and_ends_when_asked(image, studio, outputs):
    process, client = studio
    until = time.monotonic() + PATIENCE
    while client.get("/ready", headers={"Authorization": ""}).status_code != 200:
        assert time.monotonic() < until
        assert process.poll() is None
        time.sleep(0.2)
    check = image[1]["Healthcheck"]["Test"]
    assert check[0] == "CMD"
    inside(image, outputs, *check[1:], EMOSCOPE_PORT=client.base_url.port)

    assert client.get("/", headers={"Authorization": ""}).status_code == 401
    page = client.get("/")
    assert page.status_code == 200
    assert "Emoscope" in page.text
    answer = client.post("/api/v1/speech", files={"file": (ROOT / CLIP).read_bytes()})
    assert answer.status_code == 200, answer.text
    known = outside(outputs.with_name("outside"), "analyze", CLIP, "--format", "json")
    assert_same(answer.json(), json.loads(known))

    user, group = user_of(image)
    status = Path(f"/proc/{process.pid}/status").read_text()
    assert f"Uid:\t{user}\t" in status
    assert f"Gid:\t{group}\t" in status
    assert b"run.sh" not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
    asked = time.monotonic()
    process.terminate()
    assert process.wait(10) == 0
    assert time.monotonic() - asked < 10


def test_nothing_can_be_written_beside_the_three_folders(image, outputs):
    places = ("/app", "/app/emoscope", "/app/.venv", "/bytecode", "/etc", "/home", "/models", "/outputs", "/tmp")
    program = f"for place in {' '.join(places)}; do touch $place/x 2>/dev/null && echo $place; done; true"
    assert inside(image, outputs, "sh", "-c", program).split() == ["/models", "/outputs", "/tmp"]


def test_what_nobody_needs_is_not_inside(image):
    tree = image[0]
    packages = next((tree / "app/.venv/lib").glob("python3.*/site-packages"))
    for name in ("pip", "pytest", "ray", "torch/include", "torch/test", "pandas/tests", "pyarrow/flight.py"):
        assert not (packages / name).exists(), name
    assert (packages / "torch/nn").is_dir()
    assert not (tree / "usr/bin/strip").exists()
    assert {place.name for place in (tree / "app").iterdir()} == {
        ".venv", "LICENSE", "app.py", "constraints.txt", "emoscope", "models", "requirements.txt", "run.sh",
    }  # fmt: skip


def test_no_library_was_damaged_when_it_was_stripped(image):
    """The system can map a segment only where it lies as deep in a page of the file as in a page of the memory."""
    libraries = [file for file in (image[0] / "app/.venv/lib").rglob("*.so*") if file.is_file()]
    assert len(libraries) > 300
    assert any("torch" in file.name for file in libraries)
    damaged = [file.name for file in libraries if any((place - address) % PAGE for place, address in segments(file))]
    assert not damaged


def segments(file):
    """Where the segments of a 64-bit ELF file that are loaded lie: in the file, and in memory."""
    content = file.read_bytes()
    assert content[:5] == b"\x7fELF\x02", file
    (table,), (size, count) = struct.unpack_from("<Q", content, 32), struct.unpack_from("<HH", content, 54)
    headers = (struct.unpack_from("<IIQQ", content, table + size * number) for number in range(count))
    return [(place, address) for kind, _, place, address in headers if kind == LOADED]


def test_the_bytecode_that_came_along_is_taken(image, outputs):
    program = "import torch; print(torch.__spec__.cached)"
    command = ("/app/.venv/bin/python", "-v", "-c", program)
    done = subprocess.run(read_only(*image, outputs, *command), capture_output=True, text=True)
    assert done.stdout.startswith("/bytecode/")
    assert f"# code object from '{done.stdout.strip()}'" in done.stderr
