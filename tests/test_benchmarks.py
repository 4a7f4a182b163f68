"""The benchmark against FunASR runs, small: what it measures is nothing that a test could hold to."""

import json
import subprocess
import sys

import pytest

from emoscope.settings import ROOT


@pytest.mark.slow
def test_the_speech_benchmark_runs_and_both_say_the_same(tmp_path):
    figures, plot = tmp_path / "figures.json", tmp_path / "length.png"
    parts = ["--parts", "clip", "clips", "start", "length", "--lengths", "1", "2"]
    small = ["--size", "small", "--clips", "3", "--rounds", "1", "--precisions", "fp32", "bf16"]
    files = ["--json", str(figures), "--plot", str(plot)]
    command = [sys.executable, "-m", "benchmarks.speech", *parts, *small, *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(figures.read_text("utf-8"))
    for part in ("clip", "clips"):
        assert found[part]["off"]["fp32"]["scores"] < 1e-4
        assert 0 < found[part]["off"]["bf16"]["scores"] < 0.02
    assert set(found["start"]["took"]) == {"FunASR", "fp32", "bf16"}
    assert [point["seconds"] for point in found["length"]["points"]["fp32"]] == [1, 2]
    assert all(point["peak"] > 10**8 for point in found["length"]["points"]["FunASR"])
    assert plot.stat().st_size > 10_000
