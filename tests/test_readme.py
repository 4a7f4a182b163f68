"""What the README promises is true: its commands run, and its tables are complete."""

import re
import shlex
from dataclasses import fields

import numpy as np
import pytest
import soundfile

from emoscope import export
from emoscope.cli import app
from emoscope.settings import ROOT, Settings

README = (ROOT / "README.md").read_text("utf-8")
COMMANDS = re.findall(r"^\./run\.sh (?:analyze|text|--\S+).*?(?= *#|$)", README, flags=re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme_runs(command, tmp_path, monkeypatch, capfd):
    words = shlex.split(command)[1:]
    for name in (word for word in words if word.endswith((".mp3", ".wav", ".m4a"))):
        seconds = np.arange(2 * 16_000) / 16_000
        soundfile.write(tmp_path / name, 0.3 * np.sin(2 * np.pi * 200 * seconds), 16_000, format="WAV")
    for name in (word for word in words if word.endswith((".srt", ".txt"))):
        (tmp_path / name).write_text("1\n00:00:00,100 --> 00:00:01,900\nI am fine.\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EMOSCOPE_OUTPUTS", str(tmp_path / "outputs"))
    with pytest.raises(SystemExit) as end:  # in this process, where torch is imported once
        app(words, prog_name="emoscope")
    assert end.value.code == 0, capfd.readouterr().err


def test_the_readme_shows_commands_to_run():
    assert {command.split()[1] for command in COMMANDS} == {"analyze", "text", "--help"}


def test_every_setting_is_listed_and_no_other():
    listed = set(re.findall(r"`(EMOSCOPE_[A-Z_]+)`", README))
    assert listed == {f"EMOSCOPE_{field.name.upper()}" for field in fields(Settings)}


def test_every_file_that_a_run_leaves_is_listed():
    for name in export.WRITERS:
        assert f"`{name}`" in README, name


def test_links_to_files_lead_somewhere():
    for link in re.findall(r"\]\((?!https?://|#)([^)#]+)", README):
        assert (ROOT / link).exists(), link
