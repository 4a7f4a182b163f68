"""Analyses made again: what is the same, what drifted, and what is no result."""

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from emoscope import cli, export, history
from emoscope.analyzer import Analyzer
from emoscope.errors import InputError, ModelError
from emoscope.readers import Readers
from emoscope.settings import Options, Settings
from emoscope.transcript import FILE, Line, Transcript
from emoscope.verify import drifts, verify
from tests.fakes import HalfAndHalf, Keywords

RATE = 16_000


@dataclass
class Doors:
    """An analyzer whose models can be changed, and what it analysed last."""

    settings: Settings
    hears: HalfAndHalf
    reads: Keywords
    writes: object = None

    def analyzer(self):
        readers = Readers(self.settings, load_text=lambda _: self.reads, load_recogniser=lambda: self.writes)
        return Analyzer(self.settings, load=lambda _: self.hears, readers=readers)

    def analyze(self, file, options=Options(), **how):  # noqa: B008 — it is frozen
        return export.write(self.analyzer().analyze(file, options, **how), self.settings.outputs)

    def read(self, text):
        return export.write(self.analyzer().read(text, Options()), self.settings.outputs)

    def verify(self, result, **how):
        return verify(result, self.analyzer(), **how)


@pytest.fixture
def doors(tmp_path):
    return Doors(Settings(outputs=tmp_path / "outputs"), HalfAndHalf(), Keywords())


@pytest.fixture
def clip(tmp_path):
    """Three seconds of noise in 24 bits, with silence at both ends."""
    sound = 0.3 * np.random.default_rng(0).standard_normal(3 * RATE).clip(-3, 3) / 3
    file = tmp_path / "clip.wav"
    soundfile.write(file, np.pad(sound, RATE), RATE, subtype="PCM_24")
    return file


@pytest.mark.parametrize("options", [Options(), Options("frame", trim=True, normalise=True, smooth=0.2)], ids=str)
def test_the_recording_itself_gives_the_same_to_the_last_digit(doors, clip, options):
    folder = doors.analyze(clip, options)
    found = doors.verify(folder / "result.json", recording=clip)
    assert (found.drifts, found.exact) == ((), True)
    found = doors.verify(folder)  # by the sound that the run left
    assert (found.drifts, found.exact) == ((), False)


def buzz(file, pitch):
    """Write two seconds that the compact model takes for speech."""
    seconds = np.arange(2 * RATE) / RATE
    syllables = 0.5 + 0.5 * np.sin(2 * np.pi * 4 * seconds)
    soundfile.write(file, 0.3 * syllables * np.sign(np.sin(2 * np.pi * pitch * seconds)), RATE, subtype="PCM_24")
    return file


def test_the_real_model_hears_the_same_in_16_bits(tmp_path):
    clip = buzz(tmp_path / "clip.wav", 110)
    analyzer = Analyzer(Settings(speech_model="compact", outputs=tmp_path / "outputs"))
    options = Options(precision="fp32", trim=True)
    folder = export.write(analyzer.analyze(clip, options), tmp_path / "outputs")
    assert verify(folder, analyzer, recording=clip).drifts == ()
    assert verify(folder, analyzer).drifts == ()
    buzz(folder / "processed_audio.wav", 330)
    assert verify(folder, analyzer).drifts


def test_texts_and_transcripts_are_read_again(doors, clip):
    assert doors.verify(doors.read("A joyful day. An awful night.")).drifts == ()
    said = Transcript((Line("A joyful day.", (1.0, 2.0)), Line("An awful night.", (2.0, 3.5))), FILE)
    folder = doors.analyze(clip, Options(fusion="product"), transcript=said)
    assert json.loads((folder / "result.json").read_bytes())["mode"] == "multimodal"
    assert doors.verify(folder, recording=clip).drifts == ()
    doors.reads = replace(doors.reads, info=replace(doors.reads.info, weights="9" * 64))
    (drift,) = doors.verify(folder, recording=clip).drifts
    assert str(drift) == f"text model, weights: {'2' * 64} → {'9' * 64}"


def test_what_a_model_wrote_down_is_written_down_again(doors, clip):
    class Scribe:
        words = "A joyful day."

        def write_down(self, wave, **_how):
            return Transcript((Line(self.words, (0.0, wave.seconds)),), "scribe")

    doors.writes = Scribe()
    folder = doors.analyze(clip, Options(transcribe=True))
    assert doors.verify(folder, recording=clip).drifts == ()
    doors.writes.words = "An awful day."
    found = doors.verify(folder, recording=clip).drifts
    assert "text: A joyful day. → An awful day." in map(str, found)
    assert any(drift.what == "words, happy" for drift in found)


def test_another_model_and_another_answer_are_told(doors, clip):
    folder = doors.analyze(clip)

    class Turned(HalfAndHalf):
        def listen(self, wave, **how):
            heard = super().listen(wave, **how)
            return replace(heard, timeline=replace(heard.timeline, logits=heard.timeline.logits[:, ::-1].copy()))

    doors.hears = Turned(replace(doors.hears.info, name="turned", precision="bf16"))
    found = [str(drift) for drift in doors.verify(folder, recording=clip).drifts]
    assert found[:2] == ["speech model, name: half-and-half → turned", "speech model, precision: fp32 → bf16"]
    assert "emotion: sad → fearful" in found
    assert sum(each.startswith("verdict, ") for each in found) == 4  # angry, sad, unknown and fearful
    assert found[-1] == "segments: 4 of them → 2 changed"  # silence stands before and after them


def test_small_differences_count_only_where_every_digit_does():
    before = {"emotion": "sad", "scores": {"sad": 1.0}, "mode": "speech", "model": {"name": "a"}, "text": None}
    before["scores"] = dict.fromkeys(("angry", "disgusted", "fearful", "happy", "neutral", "other", "surprised", "unknown"), 0.0) | {"sad": 1.0}  # fmt: skip  # noqa: E501
    after = {**before, "scores": {**before["scores"], "sad": 0.995, "happy": 0.005}, "timeline": {"segments": [1]}}
    assert drifts(before, after, tolerance=0.01) == []
    assert [drift.what for drift in drifts(before, after)] == ["verdict, happy", "verdict, sad", "segments"]
    assert [drift.what for drift in drifts(before, after, tolerance=0.004)] == ["verdict, happy", "verdict, sad"]


def test_what_cannot_be_made_again_is_said(doors, clip, tmp_path):
    folder = doors.analyze(clip)
    other = tmp_path / "other.wav"
    other.write_bytes(clip.read_bytes() + b"\0")
    with pytest.raises(InputError, match=r"other.wav is not the recording of this result\. Give the one it was made"):
        doors.verify(folder, recording=other)
    with pytest.raises(InputError, match=r"none.wav cannot be read: No such file"):
        doors.verify(folder, recording=tmp_path / "none.wav")
    with pytest.raises(InputError, match=r"result.json cannot be read: No such file"):
        doors.verify(tmp_path)
    for number, content in enumerate([b"[]", b"{", b'{"options": {}}', b'{"options": [], "source": null}', b"\xff"]):
        file = tmp_path / f"{number}.json"
        file.write_bytes(content)
        with pytest.raises(InputError, match=rf"{number}.json is no result of an analysis\. Give a result.json"):
            doors.verify(file)

    def fail(_):
        raise ModelError("The model is broken.")

    with pytest.raises(ModelError, match="The model is broken"):  # and not taken for a strange file
        verify(folder, Analyzer(doors.settings, load=fail))


# ---- at the terminal


@pytest.fixture
def terminal(doors, monkeypatch):
    """Run a command line in this process, with models whose answers are known."""
    monkeypatch.setattr("emoscope.analyzer.Analyzer", lambda _settings: doors.analyzer())
    monkeypatch.setenv("EMOSCOPE_OUTPUTS", str(doors.settings.outputs))
    monkeypatch.setenv("COLUMNS", "160")
    runner = CliRunner()
    return lambda *arguments, **how: runner.invoke(cli.app, [str(each) for each in arguments], **how)


def test_verify_says_it_in_a_line_and_a_status(doors, clip, terminal):
    folder = doors.analyze(clip)
    run = terminal("verify", folder / "result.json", "--recording", clip)
    assert (run.exit_code, run.stdout) == (0, "Identical.\n")
    run = terminal("verify", folder)
    assert (run.exit_code, run.stdout) == (0, "The same, as far as 16 bits of sound can tell.\n")
    doors.hears = HalfAndHalf(replace(doors.hears.info, name="other"))
    run = terminal("verify", folder)
    assert (run.exit_code, run.stdout) == (1, "speech model, name: half-and-half → other\n")
    run = terminal("verify", clip)
    assert (run.exit_code, run.stdout) == (1, "")
    assert run.stderr.startswith("emoscope: ")


@pytest.fixture
def runs(doors, clip):
    """Two runs of the history: a recording and a text."""
    keeper = history.Keeper(doors.settings)
    heard = keeper.keep(doors.analyzer().analyze(clip, Options(), name="=my [red]clip.wav"))
    read = keeper.keep(doors.analyzer().read("A joyful day.", Options()))
    keeper.close()
    return heard.run, read.run


def test_past_analyses_are_listed_and_shown(terminal, runs):
    heard, read = runs
    run = terminal("history", "list")
    assert run.exit_code == 0, run.output
    assert "=my [red]clip.wav" in run.stdout
    assert "A joyful day." in run.stdout
    assert "2 of 2 runs." in run.stdout
    found = json.loads(terminal("history", "list", "--format", "json", "--mode", "text").stdout)
    assert [each["id"] for each in found] == [read.id]
    shown = json.loads(terminal("history", "show", heard.id, "--similar", "3").stdout)
    assert shown.pop("similar") == []
    assert shown == json.loads(json.dumps(heard.to_dict()))
    for arguments, count in [
        (("--emotion", "sad", "--emotion", "happy"), 2), (("--emotion", "angry"), 0), (("--search", "JOYFUL"), 1),
        (("--until", f"{heard.made_at:%Y-%m-%d}"), 2), (("--since", "2100-01-01"), 0), (("--limit", 1), 1),
    ]:  # fmt: skip
        run = terminal("history", "list", "--format", "json", *arguments)
        assert len(json.loads(run.stdout)) == count, arguments


@pytest.mark.usefixtures("runs")
def test_past_analyses_are_exported(terminal, tmp_path):
    run = terminal("history", "export", "--order", "newest")
    assert run.exit_code == 2
    printed = terminal("history", "export")
    assert printed.stdout.count("\n") >= 3
    assert "'=my [red]clip.wav" in printed.stdout
    file = tmp_path / "history.csv"
    run = terminal("history", "export", file)
    assert (run.exit_code, run.stdout) == (0, "")
    assert "2 runs are in" in run.stderr
    assert file.read_bytes().decode().splitlines() == printed.stdout.splitlines()
    run = terminal("history", "export", file)
    assert run.exit_code == 2
    assert "exists. Choose another name" in run.stderr


def test_past_analyses_are_deleted_when_that_is_meant(terminal, runs):
    heard, read = runs
    assert terminal("history", "delete").exit_code == 2
    assert terminal("history", "delete", heard.id, "--all").exit_code == 2
    run = terminal("history", "delete", heard.id, input="n\n")
    assert run.exit_code == 1
    assert heard.folder.is_dir()
    run = terminal("history", "delete", heard.id, input="y\n")
    assert (run.exit_code, run.stdout.splitlines()[-1]) == (0, "Deleted 1 runs.")
    assert not heard.folder.exists()
    run = terminal("history", "delete", "--all", "--yes")
    assert run.stdout == "Deleted 1 runs.\n"
    assert not read.folder.exists()
    run = terminal("history", "show", heard.id)
    assert (run.exit_code, run.stdout) == (1, "")
    assert f"There is no run {heard.id} in the history" in run.stderr
