"""What the README promises is true: its commands run, and its tables are complete."""

import re
import shlex
import subprocess
import sys
from dataclasses import fields

import numpy as np
import pytest
import soundfile

from emoscope import export
from emoscope.settings import ROOT, Settings

README = (ROOT / "README.md").read_text("utf-8")
COMMANDS = re.findall(r"^\./run\.sh (?:analyze|--\S+).*?(?= *#|$)", README, flags=re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme_runs(command, tmp_path):
    words = shlex.split(command)[1:]
    for name in (word for word in words if word.endswith((".mp3", ".wav", ".m4a"))):
        seconds = np.arange(2 * 16_000) / 16_000
        soundfile.write(tmp_path / name, 0.3 * np.sin(2 * np.pi * 200 * seconds), 16_000, format="WAV")
    environment = {"EMOSCOPE_OUTPUTS": str(tmp_path / "outputs"), "PYTHONPATH": str(ROOT), "PATH": ""}
    run = subprocess.run(
        [sys.executable, "-m", "emoscope.cli", *words], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr


def test_the_readme_shows_commands_to_run():
    assert len(COMMANDS) >= 3


def test_every_setting_is_listed_and_no_other():
    listed = set(re.findall(r"`(EMOSCOPE_[A-Z_]+)`", README))
    assert listed == {f"EMOSCOPE_{field.name.upper()}" for field in fields(Settings)}


def test_every_file_that_a_run_leaves_is_listed():
    for name in export.WRITERS:
        assert f"`{name}`" in README, name


def test_links_to_files_lead_somewhere():
    for link in re.findall(r"\]\((?!https?://|#)([^)#]+)", README):
        assert (ROOT / link).exists(), link
