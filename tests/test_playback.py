"""The compressed copy that browsers play: where its sound stands, how large it is, how long it takes."""

import time

import av
import numpy as np
import pytest

from emoscope.audio.playback import write_m4a
from emoscope.results import Waveform
from tests.sounds import RATE, syllables

CLICKS = (0.0, 1.0, 5.5, 9.3)  # seconds


def decoded(file):
    """The sound as a player hears it, without what the edit list leaves out, (N,) at 16 kHz."""
    with av.open(str(file)) as container:
        stream = container.streams.audio[0]
        frames = list(container.decode(stream))
        assert frames[0].pts == 0
        assert stream.codec_context.sample_rate == RATE
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def test_a_click_stays_where_it_is(tmp_path):
    samples = np.zeros(10 * RATE, np.float32)
    for second in CLICKS:
        samples[round(second * RATE) :][:8] = 0.9
    write_m4a(Waveform(samples), tmp_path / "clicks.m4a")
    heard = decoded(tmp_path / "clicks.m4a")
    for second in CLICKS:
        at = round(second * RATE)
        first = max(0, at - 800)
        found = first + np.abs(heard[first : at + 800]).argmax()
        assert abs(found - at) / RATE < 0.002
    assert len(heard) - len(samples) < 2 * 1024


def test_sound_beyond_full_scale_and_the_shortest_waveform_are_written(tmp_path):
    write_m4a(Waveform(np.full(400, 3.0, np.float32)), tmp_path / "short.m4a")
    assert np.abs(decoded(tmp_path / "short.m4a")).max() <= 1.3


def test_a_place_that_cannot_be_written_is_an_os_error(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        write_m4a(Waveform(np.zeros(400, np.float32)), tmp_path / "nowhere" / "sound.m4a")


@pytest.mark.slow
def test_an_hour_is_small_and_soon_there(tmp_path):
    wave = Waveform(np.tile(syllables(60)[0], 60))
    begun = time.perf_counter()
    write_m4a(wave, tmp_path / "hour.m4a")
    size = (tmp_path / "hour.m4a").stat().st_size
    print(f"\nan hour: {time.perf_counter() - begun:.1f} s to encode, {size / 1e6:.1f} MB; as WAV 115.2 MB")  # noqa: T201
    assert size < 20e6
