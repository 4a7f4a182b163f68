"""The shape of the code: layers, homes of libraries, public names, what an import costs, types and style."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import emoscope

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "emoscope"

LAYERS = {
    "errors": 0, "labels": 0, "cells": 0, "claims": 0,
    "timeline": 1, "settings": 1, "certificate": 1, "transcript": 1, "fusion": 1,
    "results": 2, "child": 2, "device": 2, "access": 2, "room": 2,
    "report": 3,
    "plots": 4, "audio": 4, "speech": 4, "text": 4, "models": 4, "compare": 4, "multimodal": 4, "heads": 4,
    "export": 5, "transcribe": 5,
    "readers": 6, "reopen": 6,
    "analyzer": 7, "history": 7,
    "jobs": 8, "batch": 8, "live": 8, "verify": 8,
    "pairs": 9,
    "studio": 10, "api": 10, "cli": 10,
    "gate": 11,
    "server": 12,
}  # fmt: skip

HOMES = {  # third-party library -> the modules that may know it
    "av": {"audio"},
    "soxr": {"audio"},
    "pydub": {"audio"},
    "noisereduce": {"audio"},
    "pyloudnorm": {"audio"},
    "torch": {"device", "speech", "text", "heads", "transcribe"},
    "onnx_ir": {"speech"},
    "onnxruntime": {"speech"},
    "onnxscript": {"speech"},
    "safetensors": {"speech", "text", "heads"},
    "transformers": {"text"},
    "funasr": {"speech", "transcribe"},
    "gradio": {"studio"},
    "fastapi": {"studio", "api", "server"},
    "starlette": {"studio", "api", "gate"},
    "pydantic": {"api"},
    "python_multipart": {"api"},
    "prometheus_client": {"api"},
    "mcp": {"api"},
    "uvicorn": {"gate", "server"},
    "modelscope_hub": {"models"},
    "huggingface_hub": {"models"},
    "httpx2": {"models"},
    "filelock": {"models", "batch"},
    "matplotlib": {"plots"},
    "praatio": {"export"},
    "pympi": {"export"},
    "webvtt": {"export", "transcribe"},
    "pyarrow": {"batch"},
    "sqlalchemy": {"history"},
    "alembic": {"history"},
    "sklearn": {"history", "heads"},
    "threadpoolctl": {"history"},
    "ray": {"batch"},
    "typer": {"cli"},
    "rich": {"cli"},
}

FILES = sorted(PACKAGE.rglob("*.py"))


def module_of(file):
    """The part of the package that a file belongs to: `speech/checkpoint.py` -> `speech`."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(file):
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file.name} imports relatively"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def names(files):
    return [str(file.relative_to(PACKAGE)) for file in files]


@pytest.mark.parametrize("file", FILES, ids=names(FILES))
def test_imports_go_downward(file):
    here = module_of(file)
    if here == "__init__":
        return
    parts = {name.split(".")[1] for name in imports_of(file) if name.startswith("emoscope.")}
    above = {part for part in parts & LAYERS.keys() if part != here and LAYERS[part] >= LAYERS[here]}
    assert not above, f"{here} (layer {LAYERS[here]}) imports {above}"


def test_every_module_has_a_layer():
    assert {module_of(file) for file in FILES} - {"__init__"} == set(LAYERS)


def test_the_architecture_lists_every_module_with_its_layer():
    table = re.findall(r"^\| (\d+) \| `(\w+)(?:\.py|/)` \|", (ROOT / "docs/architecture.md").read_text("utf-8"), re.M)
    assert {module: int(layer) for layer, module in table} == LAYERS


@pytest.mark.parametrize("file", FILES, ids=names(FILES))
def test_each_library_has_one_home(file):
    for name in imports_of(file):
        home = HOMES.get(name.split(".")[0])
        assert home is None or module_of(file) in home, f"{file.name} imports {name}, whose home is {home}"


def test_public_names_are_complete_sorted_and_explained():
    assert emoscope.__all__ == sorted(emoscope.__all__, key=str.lower)
    assert set(emoscope.__all__) == set(emoscope._HOMES)
    for name in emoscope.__all__:
        assert getattr(emoscope, name) is not None
    with pytest.raises(AttributeError):
        emoscope.nothing_of_that_name  # noqa: B018


@pytest.mark.parametrize(
    "module", ["emoscope", *(f"emoscope.{name}" for name in ("analyzer", "audio", "batch", "cli", "export"))]
)
def test_an_import_loads_nothing_heavy(module):
    heavy = ["torch", "ray", "pyarrow", "gradio", "funasr", "matplotlib", "transformers", "pydub", "scipy", "sklearn"]
    code = f"import sys, {module}; print([name for name in {heavy!r} if name in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]", out.stdout


@pytest.mark.parametrize("file", FILES, ids=names(FILES))
def test_files_stay_small(file):
    assert len(file.read_text("utf-8").splitlines()) <= 450


def test_ruff_finds_nothing():
    for arguments in (["check", "."], ["format", "--check", "."]):
        run = subprocess.run(["ruff", *arguments], cwd=ROOT, capture_output=True, text=True, executable=tool("ruff"))
        assert run.returncode == 0, run.stdout + run.stderr


def test_mypy_finds_nothing(pytestconfig):
    process = pytestconfig.mypy  # runs since the tests were collected
    found, _ = process.communicate()
    assert process.returncode == 0, found


def tool(name):
    return str(Path(sys.executable).parent / name)


def test_requirements_are_pinned():
    for name in ("constraints.txt", *(f"requirements{extra}.txt" for extra in ("", "-test", "-ray", "-onnx", "-mcp"))):
        lines = [line.split("#")[0].strip() for line in (ROOT / name).read_text("utf-8").splitlines()]
        for line in filter(None, lines):
            assert re.fullmatch(r"[A-Za-z0-9_.-]+==[^=\s]+", line), f"{name}: {line}"
    assert "torch==2.13.0" in (ROOT / "requirements.txt").read_text("utf-8")
