"""The example clips: made again from the code, and measured with Praat for what their styles promise."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import parselmouth
import pytest

from emoscope import Analyzer, Options, Settings, audio
from emoscope.labels import EMOTIONS
from emoscope.studio import examples
from emoscope.studio.examples import EXAMPLES
from emoscope.timeline import RATE
from training.examples import __main__ as maker
from training.examples import prosody
from training.examples.styles import STYLES
from training.examples.voice import STEP, speak

LIMITS = audio.Limits(seconds=60, bytes=1_000_000)
WORDS = Path(examples.__file__).parent.parent / "words" / "examples.json"
README = Path(maker.__file__).parent / "README.md"
NAMES = [example.name for example in EXAMPLES]


@pytest.fixture(scope="module")
def clips():
    """What ships, by name, as audio.load gives it."""
    return {example.name: audio.load(example.file, limits=LIMITS) for example in EXAMPLES}


@pytest.fixture(scope="module")
def sounds(clips):
    """What ships, by name, as Praat holds it."""
    return {name: parselmouth.Sound(clip.wave.samples.astype(np.float64), RATE) for name, clip in clips.items()}


def track(sound):
    """Times and Hz where Praat hears a pitch."""
    pitch = sound.to_pitch_ac(pitch_floor=60, pitch_ceiling=450, octave_jump_cost=0.9)
    hertz = pitch.selected_array["frequency"]
    return pitch.xs()[hertz > 0], hertz[hertz > 0]


def middle(sound, span, share=0.5):
    """The part of a sound around the middle of a span."""
    reach = share * (span.end - span.start) / 2
    centre = (span.start + span.end) / 2
    return sound.extract_part(centre - reach, centre + reach)


def spans_of(name, symbol):
    return [span for span in prosody.spans(STYLES[name]) if span.sound.symbol == symbol]


def decibels(sound):
    return 10 * np.log10(np.mean(sound.values**2) + 1e-10)  # soft hushes are digital silence


def test_the_code_makes_the_clips_that_ship(clips, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["training.examples", "--out", str(tmp_path)])
    maker.main()
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [f"{name}.flac" for name in STYLES]
    for name, clip in clips.items():
        again = audio.load(tmp_path / f"{name}.flac", limits=LIMITS).wave.samples
        np.testing.assert_allclose(again, clip.wave.samples, rtol=0, atol=STEP)  # one step: sums differ by machine
        assert np.mean(again == clip.wave.samples) > 0.99


def test_another_seed_is_another_clip():
    one, other = speak(STYLES["calm"]), speak(STYLES["calm"], seed=1)
    assert len(one) == len(other) and np.mean(one == other) < 0.5


def test_there_is_one_clip_per_style_and_they_are_small():
    assert list(STYLES) == NAMES
    assert sorted(example.file for example in EXAMPLES) == sorted(examples.HERE.glob("*.flac"))
    assert sum(example.file.stat().st_size for example in EXAMPLES) < 250_000


def test_each_is_named_in_both_languages_and_never_by_an_emotion():
    words = json.loads(WORDS.read_text(encoding="utf-8"))
    for example in EXAMPLES:
        english, chinese = words[example.words.removeprefix("examples.")]
        assert english and chinese and english != chinese
        for emotion in EMOTIONS:
            assert emotion.name not in english.lower() and emotion.chinese not in chinese


@pytest.mark.parametrize("name", NAMES)
def test_the_recording_is_good(clips, sounds, name):
    clip = clips[name]
    assert (clip.source.sample_rate, clip.source.channels) == (RATE, 1)
    assert 3 <= clip.wave.seconds <= 5
    assert clip.quality.warnings == () and clip.quality.clipped == 0
    assert decibels(sounds[name]) == pytest.approx(STYLES[name].level, abs=0.1)


@pytest.mark.parametrize("name", NAMES)
def test_praat_hears_the_pitch_that_was_drawn(sounds, name):
    times, hertz = track(sounds[name])
    drawn = prosody.pitch(prosody.spans(STYLES[name]), STYLES[name], times)
    off = np.abs(12 * np.log2(hertz / drawn))  # semitones
    assert len(times) > 150 and np.median(off) < 0.25 and np.mean(off < 1) > 0.95


@pytest.mark.parametrize(
    ("symbol", "f1", "f2"),
    [("AO", 610, 990), ("AE", 635, 1580), ("EH", 565, 1620), ("IY", 310, 2040), ("R", 340, 1120)],
)
def test_praat_hears_the_formants_of_the_sounds(sounds, symbol, f1, f2):
    found = []
    for span in spans_of("calm", symbol):
        formants = sounds["calm"].to_formant_burg(maximum_formant=5000, window_length=0.03)
        times = np.linspace(span.start, span.end, 11)[3:8]
        found.append([np.median([formants.get_value_at_time(k, time) for time in times]) for k in (1, 2)])
    assert np.median(found, axis=0) == pytest.approx([f1, f2], rel=0.12)


@pytest.mark.parametrize("name", NAMES)
def test_hisses_are_high_and_without_pitch(sounds, name):
    times, _ = track(sounds[name])
    for span in spans_of(name, "S"):
        assert middle(sounds[name], span).to_spectrum().get_centre_of_gravity() > 4500
        assert not np.any((times > span.start + 0.03) & (times < span.end - 0.03))


@pytest.mark.parametrize("name", NAMES)
def test_a_stop_is_a_hush_and_then_a_burst(sounds, name):
    closed, burst = spans_of(name, "T closed")[1], spans_of(name, "T burst")[0]
    hush = decibels(middle(sounds[name], closed))
    assert decibels(sounds[name].extract_part(burst.start, burst.end)) > hush + 20
    assert decibels(middle(sounds[name], spans_of(name, "OW")[0])) > hush + 30


def test_styles_differ_as_they_were_designed(sounds):
    pitch = {name: np.median(track(sound)[1]) for name, sound in sounds.items()}
    assert pitch["soft"] < pitch["calm"] < 0.75 * min(pitch["lively"], pitch["pressed"], pitch["rising"])
    swing = {
        name: np.subtract(*np.percentile(12 * np.log2(track(sound)[1]), (95, 5))) for name, sound in sounds.items()
    }
    assert swing["soft"] < swing["calm"] < swing["pressed"] < swing["lively"]
    lengths = {name: sound.duration for name, sound in sounds.items()}
    assert lengths["lively"] < lengths["calm"] < lengths["soft"]
    bright = {name: brightness(middle(sounds[name], spans_of(name, "AE")[0], 0.8)) for name in NAMES}
    assert bright["soft"] < bright["calm"] - 3 and bright["pressed"] > bright["calm"] + 1
    breath = {name: periodicity(sounds[name]) for name in NAMES}
    assert breath["soft"] < breath["calm"] - 3


def brightness(sound):
    """How far 1 to 4 kHz stand over what is below 1 kHz, in dB."""
    spectrum = sound.to_spectrum()
    return 10 * np.log10(spectrum.get_band_energy(1000, 4000) / spectrum.get_band_energy(0, 1000))


def periodicity(sound):
    """Harmonics over noise between 1500 and 5000 Hz, in dB, where there is a voice."""
    band = parselmouth.praat.call(sound, "Filter (pass Hann band)", 1500, 5000, 100)
    values = band.to_harmonicity(minimum_pitch=75).values.ravel()
    return np.mean(values[values > -100])


def test_only_one_voice_rises_at_the_end(sounds):
    for name, sound in sounds.items():
        times, hertz = track(sound)
        last = 12 * np.log2(np.median(hertz[times > times[-1] - 0.06]) / np.median(hertz))
        assert (last > 6) == (name == "rising"), (name, last)


@pytest.mark.slow
def test_the_compact_model_answers_what_is_written_down(tmp_path):
    table = re.findall(r"^\| (\w+) \| [^|]+ \| (\w+) \| (\d+) % \|$", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert [name for name, _, _ in table] == NAMES
    analyzer = Analyzer(Settings(speech_model="compact", outputs=tmp_path, offline=True))
    for example, (name, emotion, percent) in zip(EXAMPLES, table, strict=True):
        verdict = analyzer.analyze(example.file, Options()).verdict
        assert verdict.emotion == emotion, name
        assert 100 * verdict.confidence == pytest.approx(int(percent), abs=3), name
