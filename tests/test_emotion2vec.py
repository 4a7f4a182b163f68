"""Our Emotion2vec network equals FunASR's own class, alone and in padded batches."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from emoscope.errors import ModelError
from emoscope.results import Waveform
from emoscope.speech import checkpoint, emotion2vec
from emoscope.speech.architecture import Architecture, parse_convolutions
from emoscope.speech.emotion2vec import alibi_slopes

from . import standins

CLOSE = 1e-4
SECONDS = (0.5, 1.0, 3.33, 7.0, 20.0)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    with standins.one_thread():
        yield


def quiet(_what, _done):
    pass


def both(folder, conf, network):
    """FunASR's model and ours, from the same folder."""
    standins.write_folder(folder, conf, network.state_dict())
    return standins.oracle(folder), checkpoint.load(folder)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return both(tmp_path_factory.mktemp("models") / "small", *standins.small_oracle())


def furthest_apart(theirs, ours, samples):
    """The largest differences of features, frame logits and utterance scores."""
    features, scores = standins.oracle_answer(theirs, samples)
    heard = ours.listen(Waveform(samples), features=True, progress=quiet)
    head = theirs.model.proj
    logits = features @ head.weight.detach().numpy().T + head.bias.detach().numpy()  # (T, D) @ (D, 9) + (9,)
    assert features.shape == heard.features.shape
    return {
        "features": np.abs(features - heard.features).max(),
        "logits": np.abs(logits - heard.timeline.logits).max(),
        "embedding": np.abs(features.mean(axis=0) - heard.embedding).max(),
        "scores": np.abs(np.array(list(scores.values())) - heard.scores).max(),
    }


@pytest.mark.parametrize("seconds", SECONDS)
def test_it_equals_funasr(pair, seconds):
    differences = furthest_apart(*pair, standins.clip(seconds, seed=int(seconds)))
    assert max(differences.values()) < CLOSE, differences


def test_the_stand_in_tells_clips_and_classes_apart(pair):
    """Else the comparisons would compare nothing."""
    first, second = (standins.oracle_answer(pair[0], standins.clip(3, seed))[1] for seed in (1, 2))
    assert 0.2 < max(first.values()) < 0.99
    assert max(abs(first[label] - second[label]) for label in first) > 0.001


def test_a_padded_batch_equals_funasr_clip_by_clip(pair):
    theirs, ours = pair
    clips = [standins.clip(seconds, seed) for seed, seconds in enumerate((2.0, 0.5, 400 / 16000, 5.01, 20.0))]
    for samples, heard in zip(clips, ours.listen_many([Waveform(clip) for clip in clips]), strict=True):
        features, scores = standins.oracle_answer(theirs, samples)
        assert np.abs(features.mean(axis=0) - heard.embedding).max() < CLOSE
        assert np.abs(np.array(list(scores.values())) - heard.scores).max() < CLOSE


@pytest.mark.parametrize(
    ("sizes", "audio", "top"),
    [
        ({"dim": 96, "heads": 12}, {}, {}),  # base and seed have 12 heads, which is no power of two
        ({}, {"conv_pos_width": 90}, {}),  # an even kernel, as FunASR allows
        ({}, {"conv_pos_depth": 2, "conv_pos_groups": 4, "num_extra_tokens": 3}, {}),
        ({"prenet": 0, "depth": 1}, {"learned_alibi_scale_per_head": False, "alibi_scale": 0.7}, {}),
        ({}, {}, {"normalize": False, "mlp_ratio": 2.5, "norm_eps": 1e-3}),
    ],
)
def test_other_settings_equal_funasr_too(sizes, audio, top):
    conf = standins.model_conf(**{**standins.SMALL, **sizes}, **audio) | top
    oracle = standins.oracle_network(conf, classes=5, seed=3)
    ours = checkpoint._network({"model": "Emotion2vec", "model_conf": conf}, 5)
    checkpoint._fill(ours, dict(checkpoint._renamed(*item) for item in oracle.state_dict().items()), "")
    wave = torch.from_numpy(standins.clip(2.2))
    with torch.inference_mode():
        source = F.layer_norm(wave, wave.shape) if conf["normalize"] else wave
        expected = oracle.extract_features(source[None])["x"]
        features, logits = ours.eval()(wave[None], torch.tensor([len(wave)]), ours.statistics(wave)[None])
        assert (features - expected).abs().max() < CLOSE
        assert (logits - oracle.proj(expected)).abs().max() < CLOSE


def hear(network, clips, *, padding=0.0):
    """Run the bare network on a batch whose padding holds `padding`; returns each clip's own frames."""
    waves = torch.full((len(clips), max(map(len, clips))), padding)
    for row, clip in zip(waves, clips, strict=True):
        row[: len(clip)] = clip
    lengths = torch.tensor([len(clip) for clip in clips])
    statistics = torch.stack([network.statistics(clip) for clip in clips])
    with torch.inference_mode():
        features, logits = network(waves, lengths, statistics)
    frames = ((lengths - 400) // 320 + 1).tolist()
    return [(feature[:own], logit[:own]) for feature, logit, own in zip(features, logits, frames, strict=True)]


@pytest.fixture(scope="module")
def network():
    return standins.our_network(standins.model_conf(**standins.SMALL))


@pytest.mark.parametrize("padding", [0.0, 100.0])
def test_nothing_leaks_from_the_padding(network, padding):
    clips = [torch.from_numpy(standins.clip(seconds, seed)) for seed, seconds in enumerate((4.0, 0.025, 1.37, 3.99))]
    for clip, together in zip(clips, hear(network, clips, padding=padding), strict=True):
        [alone] = hear(network, [clip])
        for ours, expected in zip(together, alone, strict=True):
            assert ours.shape == expected.shape
            assert (ours - expected).abs().max() < CLOSE


@pytest.mark.parametrize("stretch", [1, 7, 1000])
def test_stretches_of_the_front_end_give_what_one_pass_gives(network, monkeypatch, stretch):
    wave = torch.from_numpy(standins.clip(2.5))
    expected = network.hear(wave)
    monkeypatch.setattr(emotion2vec, "STRETCH", stretch)
    assert (network.hear(wave) - expected).abs().max() < 1e-5


def test_statistics_are_those_of_a_layer_norm_in_bounded_memory(network, monkeypatch):
    wave = torch.from_numpy(standins.clip(3)) + 0.3
    monkeypatch.setattr(emotion2vec, "CHUNK", 1001)
    mean, deviation = network.statistics(wave)
    assert ((wave - mean) / deviation - F.layer_norm(wave, wave.shape)).abs().max() < 1e-5


@pytest.mark.parametrize("heads", [1, 2, 3, 4, 8, 12, 16, 20])
def test_slopes_are_those_of_the_paper(heads):
    with standins.third_party():
        from funasr.models.emotion2vec.base import get_alibi
    assert get_alibi(2, heads)[:, 0, 1].neg().tolist() == pytest.approx(alibi_slopes(heads))


UNSUPPORTED = [
    ("layer_norm_first", True),
    ("norm_affine", False),
    ("modalities.audio.extractor_mode", "default"),
    ("modalities.audio.conv_pos_pre_ln", True),
    ("modalities.audio.use_alibi_encoder", False),
    ("modalities.audio.learned_alibi", True),
    ("modalities.audio.learned_alibi_scale_per_layer", True),
    ("modalities.audio.num_alibi_heads", 2),
    ("modalities.audio.feature_encoder_spec", "[(32, 10, 5)]"),
    ("modalities.audio.feature_encoder_spec", "__import__('os').system('true')"),
    ("modalities.audio.feature_encoder_spec", "[(32, 10, 5)] * 10 ** 9"),
    ("modalities.audio.feature_encoder_spec", "[(32, 10, 5)] * 99 * 99 * 99"),
    ("modalities.audio.feature_encoder_spec", "(" * 5000),
    ("modalities.audio.feature_encoder_spec", None),
    ("num_heads", 5),
    ("embed_dim", "wide"),
    ("embed_dim", 64.5),
    ("depth", -1),
    ("norm_eps", float("nan")),
]


@pytest.mark.parametrize(("path", "value"), UNSUPPORTED, ids=[f"{path}={value!s:.20}" for path, value in UNSUPPORTED])
def test_what_is_not_built_is_refused_by_name(path, value):
    conf = copy.deepcopy(standins.model_conf(**standins.SMALL))
    *parents, last = path.split(".")
    part = conf
    for parent in parents:
        part = part[parent]
    part[last] = value
    with pytest.raises(ModelError, match=r"config\.yaml|convolutions"):
        Architecture.from_config(conf)
    del part[last]
    with pytest.raises(ModelError, match=f"does not say {path}"):
        Architecture.from_config(conf)


def test_the_published_spelling_of_the_convolutions_is_read():
    spec = "[(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512,2,2)] + [(512,2,2)]"
    assert parse_convolutions(spec) == ((512, 10, 5), *[(512, 3, 2)] * 4, (512, 2, 2), (512, 2, 2))


@pytest.mark.slow
def test_it_equals_funasr_at_the_size_of_large(tmp_path):
    conf = standins.model_conf(**standins.LARGE)
    network = standins.oracle_network(conf, seed=7)
    assert sum(weight.numel() for weight in network.parameters()) == standins.LARGE_PARAMETERS
    theirs, ours = both(tmp_path / "large", conf, network)
    for seconds in SECONDS:
        differences = furthest_apart(theirs, ours, standins.clip(seconds, seed=int(seconds)))
        assert max(differences.values()) < CLOSE, (seconds, differences)
    clips = [torch.from_numpy(standins.clip(seconds)) for seconds in (3.0, 0.5, 2.2)]
    for clip, together in zip(clips, hear(ours.network, clips), strict=True):
        [alone] = hear(ours.network, [clip])
        apart = [(mine - expected).abs().max().item() for mine, expected in zip(together, alone, strict=True)]
        assert max(apart) < CLOSE
