"""docs/api.md: its examples run, against the whole server, and its tables are complete."""

import re
import subprocess
from unittest import mock

import httpx
import pytest

from emoscope import plots
from emoscope.api.problems import KINDS
from emoscope.settings import ROOT
from tests.api import make_analyzer, write_tone
from tests.browser.studio import serving, settings_for, wait_for
from tests.test_api import SUBTITLES
from tests.test_api_contract import ROUTES

TEXT = (ROOT / "docs/api.md").read_text("utf-8")
EXAMPLES = [(kind, code) for kind, code in re.findall(r"^```(\w+)\n(.*?)^```", TEXT, re.M | re.S) if kind != "json"]
SAYS = {  # what an example prints, by what is in it
    "-F granularity=frame": r'"probabilities":\[\[',
    "segment in report": "angry",
    "--json": '"mode":"text".*"mode":"text"',
    "-F text=": '"mode":"multimodal".*"method":"adaptive"',
    "httpx.stream": "Listening|sad",
    "-N -H": r"event: run.*event: progress.*event: report",
    "emotion=sad": r'"total":\d.*"answers":',
    "params=": r"clip.mp3 \w+ \['result.json'",
    "gradio_client": r"sad .*\.zip.*\.zip",
    "from mcp": r"\['analyze_speech', 'analyze_text'\].*sad",
}


def run_in_shell(code, _capsys):
    ran = subprocess.run(["bash", "-euo", "pipefail", "-c", code], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def run_here(code, capsys):
    exec(compile(code, "docs/api.md", "exec"), {})
    return capsys.readouterr().out


RUNNERS = {"sh": run_in_shell, "python": run_here}


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    settings = settings_for(tmp_path_factory.mktemp("docs"))
    quickly = mock.patch.object(plots, "draw", lambda _report, file: file.touch())  # drawing takes seconds
    with quickly, serving(make_analyzer(settings)[0], settings) as address:
        wait_for(lambda: httpx.get(f"{address}/ready").status_code == 200)
        yield address


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("here")
    write_tone(folder / "clip.mp3", 2)
    (folder / "clip.srt").write_text(SUBTITLES)
    return folder


@pytest.mark.parametrize(("kind", "code"), EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_runs(kind, code, address, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    printed = RUNNERS[kind](code.replace("http://localhost:7860", address), capsys)
    assert '"type": "/api/v1' not in printed  # a problem document, which curl prints as it came
    for says in [says for sign, says in SAYS.items() if sign in code] or ["sad|happy"]:
        assert re.search(says, printed, re.S), printed


def test_every_route_and_status_is_listed():
    listed = set(re.findall(r"^\| `(\w+) /api/v1(\S+)` \|", TEXT, re.M))
    assert listed == set(ROUTES)
    statuses = set(map(int, re.findall(r"^\| (\d{3}) \|", TEXT, re.M)))
    assert {status for status, _, _ in KINDS.values()} <= statuses


def test_every_kind_of_example_is_there():
    assert {kind for kind, _ in EXAMPLES} == {"sh", "python"}
    assert len(EXAMPLES) >= 15
