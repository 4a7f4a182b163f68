"""A report is read back from its folder: the same report, whatever it is about and whatever it is called."""

import json
from dataclasses import replace

import numpy as np
import pytest

from emoscope import audio, export, multimodal, reopen
from emoscope.errors import StorageError
from emoscope.settings import Options
from emoscope.transcript import Line, Moment, Transcript
from tests import reports

UTTERANCE = Options()
KEPT = Options(granularity="frame", embedding=True)


def with_moments():
    """A report whose one line has two sentences, each said at a time of its own that its length does not tell."""
    said = reports.text_report()
    text = said.read.transcript.text
    first = len(reports.MIXED[0][0])
    moments = (Moment(0, first, 0.5, 0.9), Moment(first + 1, len(text), 4.0, 5.5))
    line = Line(text, (0.2, 5.8), "happy", ("laughter",), moments)
    transcript = Transcript((line,), "scribe", "en", 0.75)
    return reports.together_report(said=replace(said, read=replace(said.read, transcript=transcript)))


REPORTS = {
    "speech": lambda: reports.half_and_half(options=UTTERANCE),
    "frames": lambda: reports.changing(20.0),
    "features": lambda: reports.pause(options=KEPT, features=6),
    "embedding": lambda: reports.pause(options=replace(UTTERANCE, embedding=True)),
    "trimmed": lambda: reports.pause(offset=1.5, after=0.5),
    "silent": lambda: reports.all_silent(),
    "short": lambda: reports.one_frame(),
    "text": lambda: reports.text_report(),
    "text embedding": lambda: reports.text_report(options=Options(embedding=True)),
    "both": lambda: reports.together_report(),
    "untimed": lambda: reports.together_report(said=reports.text_report()),
    "silent words": lambda: reports.together_report(reports.all_silent(6.0)),
    "moments": with_moments,
}


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    """Drawings take longer than all the rest, and nothing is read from them."""
    for drawing in ("timeline.png", "timeline.svg"):
        monkeypatch.delitem(export.WRITERS, drawing)


@pytest.fixture(params=REPORTS.values(), ids=REPORTS)
def report(request):
    return request.param()


def test_a_report_comes_back_as_it_was(report, tmp_path):
    found = reopen.read(export.write(report, tmp_path))
    assert found.to_dict() == json.loads(json.dumps(report.to_dict()))
    assert found.models == report.models
    if report.heard:
        assert found.recording.offset == report.recording.offset
        assert found.recording.wave.samples == pytest.approx(report.recording.wave.samples, abs=2**-15)
        assert np.array_equal(found.speech.timeline.logits, report.speech.timeline.logits)
        assert np.array_equal(found.speech.timeline.silent, report.speech.timeline.silent)
    if report.read:
        assert np.array_equal(found.read.text.says, report.read.text.says)
    assert [each.start for each in multimodal.disagreements(found)] == [
        each.start for each in multimodal.disagreements(report)
    ]


def test_what_was_asked_for_comes_back_too(tmp_path):
    report = reports.pause(options=KEPT, features=6)
    found = reopen.read(export.write(report, tmp_path))
    assert np.array_equal(found.speech.features, report.speech.features)
    assert found.speech.embedding == pytest.approx(report.speech.embedding)
    assert reopen.read(export.write(reports.pause(), tmp_path)).speech.embedding.shape == (0,)


def test_it_is_written_again_as_the_same_files(report, tmp_path):
    first = export.write(report, tmp_path / "first")
    second = export.write(reopen.read(first), tmp_path / "second")
    assert {file.name for file in first.iterdir()} == {file.name for file in second.iterdir()}
    for file in (each for each in first.iterdir() if each.suffix in (".json", ".csv", ".vtt", ".wav", ".npy")):
        assert file.read_bytes() == (second / file.name).read_bytes(), file.name


def test_silence_is_where_it_was(tmp_path):
    (silence,) = reopen.read(export.write(reports.pause(offset=1.5), tmp_path)).recording.silences
    assert silence == pytest.approx((2.0, 4.0), abs=0.02)


@pytest.mark.parametrize("name", reports.HOSTILE_NAMES.values(), ids=reports.HOSTILE_NAMES)
def test_any_name_comes_back(name, tmp_path):
    found = reopen.read(export.write(reports.make(("happy", 0.2), name=name), tmp_path))
    assert found.name == name


@pytest.mark.parametrize("file", [export.RESULT, export.SOUND, export.FRAMES])
@pytest.mark.parametrize("harm", ["gone", "empty", "cut", "text"])
def test_what_is_not_whole_is_told_in_a_sentence(file, harm, tmp_path):
    folder = export.write(reports.half_and_half(1.0), tmp_path)
    whole = (folder / file).read_bytes()
    if harm == "gone":
        (folder / file).unlink()
    else:
        (folder / file).write_bytes({"empty": b"", "cut": whole[: len(whole) // 2], "text": b'{"a": 1}'}[harm])
    with pytest.raises(StorageError, match=rf"{folder.name}.*Analyse the recording again"):
        reopen.read(folder)


def test_a_folder_that_is_gone_is_told_in_a_sentence(tmp_path):
    with pytest.raises(StorageError, match="outputs_1 are damaged"):
        reopen.read(tmp_path / "outputs_1")


def test_only_the_sound_of_a_run_is_read(tmp_path):
    wave = reports.half_and_half(1.0).recording.wave
    audio.write_wav(wave, tmp_path / "right.wav")
    assert audio.read_wav(tmp_path / "right.wav").seconds == wave.seconds
    stereo = bytearray((tmp_path / "right.wav").read_bytes())
    stereo[22] = 2  # channels
    (tmp_path / "stereo.wav").write_bytes(stereo)
    with pytest.raises(ValueError, match="is not 16 kHz, mono"):
        audio.read_wav(tmp_path / "stereo.wav")
