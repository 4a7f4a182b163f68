"""Windows, batches, statistics, progress: what a network hears becomes one timeline."""

import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from emoscope.errors import Cancelled, ModelError
from emoscope.results import Waveform
from emoscope.speech import listen
from emoscope.speech.compact import CompactSpeech
from emoscope.speech.listen import ALIGNED, CONTEXT, LONGEST, SpeechModel, windows
from emoscope.timeline import HOP, WINDOW, frame_count, softmax

from . import standins
from .fakes import INFO

RATE = 16_000


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    with standins.one_thread():
        yield


def quiet(_what, _done):
    pass


class Mirror(torch.nn.Module):
    """Says of every frame what its samples are, and nothing else: windows and batches must not change a number.

    Features are a frame's first sample and its mean, after the whole file's mean is taken off.
    """

    dim = 2

    def __init__(self):
        super().__init__()
        self.proj = torch.nn.Linear(2, 9)
        with torch.no_grad():
            self.proj.weight.copy_(torch.linspace(-2, 2, 18).view(9, 2))
        self.heard = []  # (clips, samples) of every pass

    def statistics(self, wave):
        return wave.double().mean()[None].float()

    def forward(self, waves, lengths, statistics):
        self.heard.append(tuple(waves.shape))
        assert lengths.max() == waves.shape[1]
        frames = (waves - statistics).unfold(1, WINDOW, HOP)  # (B, T, 400)
        features = torch.stack([frames[..., 0], frames.mean(-1)], -1)
        return features, self.proj(features)


@pytest.fixture
def mirror():
    return standins.speech_model(Mirror())


def said(network, features):
    """The frame logits that belong to features, in float64."""
    head = network.proj
    return features.astype(np.float64) @ head.weight.detach().numpy().T.astype(np.float64) + head.bias.detach().numpy()


# --- windows


@given(
    frames=st.integers(1, 6000), longest=st.integers(16, 700), share=st.floats(0, 0.45), aligned=st.sampled_from([0, 3])
)
def test_insides_follow_each_other_and_have_their_context(frames, longest, share, aligned):
    context = int(longest * share) // ALIGNED * ALIGNED + aligned
    if longest // ALIGNED * ALIGNED <= 2 * context:
        context = 0
    plan = list(windows(frames, longest, context))
    assert [window.first for window in plan] == [0, *[window.last for window in plan[:-1]]]
    assert plan[-1].last == plan[-1].stop == frames
    around = context // ALIGNED * ALIGNED
    for window in plan:
        assert window.stop - window.start <= longest
        assert window.start % ALIGNED == 0
        assert window.start <= window.first < window.last <= window.stop
        assert window.first - window.start == (around if window.start else 0)
        assert window.stop - window.last == (around if window.stop < frames else 0)


def test_half_a_minute_is_one_pass_and_an_hour_takes_linear_work():
    assert LONGEST == frame_count(30 * RATE) == 1499
    assert len(list(windows(1499))) == 1
    assert len(list(windows(1500))) == 2
    hour = frame_count(3600 * RATE)
    heard = sum(window.stop - window.start for window in windows(hour))
    assert heard < hour * LONGEST / (LONGEST - 2 * CONTEXT - ALIGNED) + LONGEST


def test_a_window_never_holds_more_than_half_a_minute(mirror):
    mirror.listen(Waveform(standins.clip(95)), progress=quiet)
    assert len(mirror.network.heard) > 3
    assert all(clips == 1 and samples <= 30 * RATE for clips, samples in mirror.network.heard)


@pytest.mark.parametrize("seconds", [0.025, 0.03, 0.5, 29.99, 30.0, 30.01, 47.3, 100])
def test_every_frame_of_a_file_is_there_once_and_in_its_place(mirror, seconds):
    samples = standins.clip(seconds) + np.float32(0.2)
    heard = mirror.listen(Waveform(samples), features=True, progress=quiet)
    frames = frame_count(len(samples))
    assert len(heard.timeline) == frames
    expected = samples[HOP * np.arange(frames)] - samples.mean(dtype=np.float64)  # of the whole file
    assert np.abs(heard.features[:, 0] - expected).max() < 1e-6
    assert np.abs(heard.timeline.logits - said(mirror.network, heard.features)).max() < 1e-5
    assert heard.timeline.start == 0
    assert not heard.timeline.silent.any()


@pytest.fixture(scope="module")
def emotion2vec():
    return standins.our_network(standins.model_conf(**standins.SMALL))


@pytest.fixture(scope="module")
def compact():
    torch.manual_seed(0)
    return standins.randomise(CompactSpeech()).requires_grad_(False)


@pytest.fixture(params=["emotion2vec", "compact"])
def network(request):
    return request.getfixturevalue(request.param)


def test_windows_come_close_to_one_pass(network):
    """How close depends on the weights; docs/windows.md has the figures. Here: no frame is in a wrong place."""
    wave = Waveform(standins.clip(24))
    whole = standins.speech_model(network).listen(wave, features=True, progress=quiet)
    parts = standins.speech_model(network, longest=500, context=148).listen(wave, features=True, progress=quiet)
    assert parts.features.shape == whole.features.shape
    difference = np.abs(parts.timeline.probabilities() - whole.timeline.probabilities()).max(axis=1)  # (T,)
    assert difference.mean() < 0.02
    assert difference.max() < 0.1


# --- the verdict


@pytest.mark.parametrize("seconds", [0.025, 0.5, 7.77, 65.0])
def test_the_verdict_is_the_softmax_of_the_mean_frame_logits(network, seconds):
    model = standins.speech_model(network, longest=499, context=100)
    heard = model.listen(Waveform(standins.clip(seconds)), features=True, progress=quiet)
    mean = heard.timeline.logits.mean(axis=0, dtype=np.float64)
    assert np.abs(softmax(mean) - heard.scores).max() < 1e-6
    assert heard.scores.sum() == pytest.approx(1, abs=1e-6)
    # the head is linear: the mean feature says the same as the mean of what the features say
    assert np.abs(said(network, heard.embedding) - mean).max() < 1e-4
    assert np.abs(softmax(said(network, heard.embedding)) - heard.scores).max() < 1e-6
    assert np.abs(heard.features.mean(axis=0, dtype=np.float64) - heard.embedding).max() < 1e-6


@pytest.mark.parametrize("samples", ["silence", "constant", "loud", "click"])
def test_edge_sounds_are_answered(network, samples):
    sound = {
        "silence": np.zeros(RATE),
        "constant": np.full(RATE, 0.5),
        "loud": 1e4 * standins.clip(1),
        "click": np.eye(1, RATE, 8000)[0],
    }[samples].astype(np.float32)
    heard = standins.speech_model(network).listen(Waveform(sound), progress=quiet)
    assert np.isfinite(heard.timeline.logits).all()
    assert heard.scores.sum() == pytest.approx(1, abs=1e-6)


def test_features_are_kept_only_when_asked_for(mirror):
    wave = Waveform(standins.clip(40))
    assert mirror.listen(wave, progress=quiet).features is None
    assert mirror.listen(wave, features=True, progress=quiet).features.dtype == np.float32


def test_memory_does_not_grow_with_the_recording(mirror):
    def peak(seconds):
        wave = Waveform(np.zeros(round(seconds * RATE), dtype=np.float32))
        tracemalloc.start()
        mirror.listen(wave, progress=quiet)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    frames = frame_count(570 * RATE)
    assert peak(600) < peak(30) + 4 * 9 * 4 * frames  # the logits, and what a Timeline works with


def test_labels_that_the_network_cannot_say_get_nothing(mirror):
    columns = (8, 7, 6, None, 4, 3, 2, 1, None)
    model = listen.SpeechModel(mirror.info, mirror.network, columns)
    wave = Waveform(standins.clip(2))
    logits, straight = (one.listen(wave, progress=quiet).timeline.logits for one in (model, mirror))
    assert np.isneginf(logits[:, [3, 8]]).all()
    assert np.array_equal(logits[:, [0, 1, 2, 4, 5, 6, 7]], straight[:, [8, 7, 6, 4, 3, 2, 1]])


def test_damaged_weights_are_a_sentence(mirror):
    with torch.no_grad():
        mirror.network.proj.bias[2] = torch.nan
    with pytest.raises(ModelError, match="weights are damaged"):
        mirror.listen(Waveform(standins.clip(1)), progress=quiet)


def test_samples_that_must_not_be_written_are_heard_too(mirror):
    samples = standins.clip(1)
    samples.flags.writeable = False
    assert len(mirror.listen(Waveform(samples), progress=quiet).timeline) == 49


# --- progress


def test_progress_is_told_before_every_window_and_ends_at_one(mirror):
    told = []
    mirror.listen(Waveform(standins.clip(95)), progress=lambda *step: told.append(step))
    assert {what for what, _ in told} == {"Listening"}
    shares = [share for _, share in told]
    assert shares[0] == 0
    assert shares[-1] == 1
    assert shares == sorted(set(shares))
    assert len(shares) == len(mirror.network.heard) + 1


def test_a_run_stops_between_windows_and_the_next_one_starts_clean(mirror):
    wave = Waveform(standins.clip(95))

    def stop(_what, share):
        if share > 0.2:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        mirror.listen(wave, progress=stop)
    assert len(mirror.network.heard) == 1
    assert len(mirror.listen(wave, progress=quiet).timeline) == frame_count(95 * RATE)


# --- many


def test_a_batch_equals_its_clips_one_by_one(network):
    seconds = (2.0, 0.025, 12.0, 0.5, 1.999, 31.0, 2.0, 6.6)
    waves = [Waveform(standins.clip(length, seed)) for seed, length in enumerate(seconds)]
    model = standins.speech_model(network)
    for wave, together in zip(waves, model.listen_many(waves), strict=True):
        alone = model.listen(wave, progress=quiet)
        assert np.abs(together.timeline.logits - alone.timeline.logits).max() < 1e-4
        assert np.abs(together.embedding - alone.embedding).max() < 1e-4
        assert np.abs(together.scores - alone.scores).max() < 1e-5
        assert together.features is None


def test_clips_of_similar_length_share_a_batch_of_bounded_size(mirror):
    random = np.random.default_rng(0)
    waves = [Waveform(standins.clip(seconds)) for seconds in random.uniform(0.1, 12, 60)]
    assert len(mirror.listen_many(waves)) == 60
    assert 10 < len(mirror.network.heard) < 25
    assert all(clips * frame_count(samples) <= listen.BATCH for clips, samples in mirror.network.heard)


class Cramped:
    """A network on a device with room for so many samples at a time."""

    dim = 3

    def __init__(self, room):
        self.room, self.heard = room, []

    def statistics(self, _wave):
        return torch.zeros(2)

    def __call__(self, waves, _lengths, _statistics):
        if waves.numel() > self.room:
            raise torch.OutOfMemoryError("too much")
        self.heard.append(len(waves))
        shape = len(waves), frame_count(waves.shape[1])
        return torch.zeros(*shape, 3), torch.zeros(*shape, 9)


def cramped(seconds, **changed):
    return SpeechModel(INFO, Cramped(round(seconds * RATE)), tuple(range(9)), **changed)


def test_a_batch_that_does_not_fit_is_heard_in_smaller_ones():
    model = cramped(5)
    waves = [Waveform(standins.clip(2, seed)) for seed in range(7)]
    results = model.listen_many(waves)
    assert [len(result.timeline) for result in results] == [frame_count(2 * RATE)] * 7
    assert sum(model.network.heard) == 7
    assert max(model.network.heard) == 2
    assert not any(result.note for result in results)


def test_what_does_not_fit_at_all_is_heard_on_the_processor_and_says_so():
    roomy = cramped(60)
    model = cramped(1, spare=lambda: roomy)
    short, long = model.listen_many([Waveform(standins.clip(seconds)) for seconds in (0.5, 2)])
    assert not short.note
    assert long.note == listen.FULL
    assert roomy.network.heard == [1]


def test_without_a_processor_to_go_to_a_sentence_says_what_to_do():
    with pytest.raises(ModelError, match="Close other programs"):
        cramped(1).listen(Waveform(standins.clip(2)), progress=quiet)


def test_no_clips_are_no_results(mirror):
    assert mirror.listen_many([]) == []
