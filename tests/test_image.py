"""The image, built from the Dockerfile and run with a read-only root; `./run.sh test --container` asks for it."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from emoscope.settings import ROOT
from tests.images import Images, read_only
from tests.test_container import DEFAULTS, STAGES, of, with_defaults

pytestmark = pytest.mark.container

CLIP = "emoscope/studio/examples/calm.flac"
PATIENCE = 180  # seconds until a model can answer


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """The files of the image, and its configuration."""
    images = Images(tmp_path_factory.mktemp("images"))
    try:
        images.make_base(with_defaults(of("FROM", STAGES["base"])[0].split()[0]))
        images.build("emoscope", TORCH_INDEX=os.environ.get("TORCH_INDEX", DEFAULTS["TORCH_INDEX"]))
        with images.tree("emoscope") as tree:
            yield tree, images.configuration("emoscope")
    finally:
        shutil.rmtree(images.folder, ignore_errors=True)  # ten gigabytes, which pytest would keep for three runs


@pytest.fixture
def outputs(image, tmp_path):
    folder = tmp_path / "outputs"
    folder.mkdir()
    os.chown(folder, *map(int, image[1]["User"].split(":")))
    return folder


@pytest.fixture
def studio(image, outputs):
    """A studio in the image: its process, and an address where only a server answers that is on every interface."""
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))
        port = listener.getsockname()[1]
    command = read_only(*image, outputs, *image[1]["Entrypoint"], EMOSCOPE_PORT=port, EMOSCOPE_OFFLINE=1)
    with subprocess.Popen(command) as process:
        yield process, f"http://127.0.0.2:{port}"
        process.kill()


def answer(address, status, process):
    """Ask until the status is the wanted one; return the body."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5) as found:
                if found.status == status:
                    return found.read()
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.2)
    raise AssertionError(f"{address} did not answer {status}")


def test_it_hears_a_clip_as_the_working_tree_does(image, outputs):
    command = (*image[1]["Entrypoint"], "analyze", f"/app/{CLIP}", "--format", "json")
    inside = subprocess.run(read_only(*image, outputs, *command), check=True, stdout=subprocess.PIPE)
    here = [sys.executable, "-m", "emoscope.cli", "analyze", CLIP, "--format", "json", "--model", "compact"]
    outside = subprocess.run(
        here,
        check=True,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | {"EMOSCOPE_OUTPUTS": str(outputs.with_name("outside"))},
    )
    found, known = json.loads(inside.stdout), json.loads(outside.stdout)
    assert found["emotion"] == known["emotion"]
    assert found["scores"].keys() == known["scores"].keys()
    assert np.allclose([found["scores"][name] for name in known["scores"]], list(known["scores"].values()), atol=1e-4)
    (folder,) = (place for place in outputs.iterdir() if place.is_dir())
    assert (folder / "result.json").exists()
    assert folder.stat().st_uid == int(image[1]["User"].split(":")[0])


def test_it_serves_the_network_as_nobody_and_ends_when_asked(image, studio):
    process, address = studio
    answer(f"{address}/health", 200, process)
    answer(f"{address}/ready", 200, process)
    assert b"Emoscope" in answer(address, 200, process)
    status = Path(f"/proc/{process.pid}/status").read_text()
    assert f"Uid:\t{image[1]['User'].split(':')[0]}\t" in status
    assert b"run.sh" not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
    asked = time.monotonic()
    process.terminate()
    assert process.wait(10) == 0
    assert time.monotonic() - asked < 10


def test_nothing_can_be_written_beside_the_three_folders(image, outputs):
    places = ("/app", "/app/emoscope", "/app/.venv", "/bytecode", "/etc", "/home", "/outputs", "/tmp")
    command = ("sh", "-c", f"for place in {' '.join(places)}; do touch $place/x && echo $place; done")
    done = subprocess.run(read_only(*image, outputs, *command), stdout=subprocess.PIPE, text=True)
    assert done.stdout.split() == ["/outputs", "/tmp"]


def test_what_nobody_needs_is_not_inside(image):
    tree = image[0]
    packages = next((tree / "app/.venv/lib").glob("python3.*/site-packages"))
    for name in ("pip", "pytest", "ray", "torch/include", "torch/test", "pandas/tests"):
        assert not (packages / name).exists(), name
    assert (packages / "torch/nn").is_dir()
    assert {place.name for place in (tree / "app").iterdir()} == {
        ".venv", "LICENSE", "app.py", "constraints.txt", "emoscope", "models", "requirements.txt", "run.sh",
    }  # fmt: skip


def test_the_bytecode_that_came_along_is_taken(image, outputs):
    program = "import torch; print(torch.__spec__.cached)"
    command = ("/app/.venv/bin/python", "-v", "-c", program)
    done = subprocess.run(read_only(*image, outputs, *command), capture_output=True, text=True)
    assert done.stdout.startswith("/bytecode/")
    assert f"# code object from '{done.stdout.strip()}'" in done.stderr
