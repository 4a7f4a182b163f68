"""What every test may use, and the order: quick tests, then the browser, then slow ones if asked for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # ONNX Runtime reads it when it is imported


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="also run the tests that take minutes or gigabytes")
    parser.addoption("--postgres", action="store_true", help="also run the tests that need PostgreSQL's programs")
    parser.addoption("--container", action="store_true", help="also build the image: root, buildah, debootstrap")


def pytest_collection_modifyitems(config, items):
    unasked = [name for name in ("slow", "postgres", "container") if not config.getoption(f"--{name}")]
    if unasked and not config.getoption("-m"):
        left_out = {item for item in items if any(map(item.get_closest_marker, unasked))}
        config.hook.pytest_deselected(items=list(left_out))
        items[:] = [item for item in items if item not in left_out]
    items.sort(key=_cost)  # stable: files keep their own order


def pytest_collection_finish(session):
    """Let mypy run beside the other tests: it takes half a minute of one core, and its test waits for it."""
    if any(item.name == "test_mypy_finds_nothing" for item in session.items):
        command = [sys.executable, "-m", "mypy"]
        session.config.mypy = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )


def pytest_unconfigure(config):
    process = getattr(config, "mypy", None)
    if process is not None and process.poll() is None:  # the session ended before its test
        process.kill()
        process.communicate()


def _cost(item):
    return 2 if item.get_closest_marker("slow") else 1 if item.get_closest_marker("browser") else 0


@pytest.fixture(autouse=True)
def own_environment(monkeypatch):
    """Keep a developer's EMOSCOPE_* settings out of the tests."""
    for name in [name for name in os.environ if name.startswith("EMOSCOPE_")]:
        monkeypatch.delenv(name)
