"""Fewer bits: which are chosen on which machine, how far the answers move, and what is refused."""

import numpy as np
import pytest
import torch
from torch import nn

from emoscope.errors import OptionError
from emoscope.results import Waveform, quiet
from emoscope.settings import PRECISIONS, ROOT, Options, Settings
from emoscope.speech import checkpoint, precision
from emoscope.speech.precision import Int8Linear, choose, lower
from tests import standins

CPU, GPU = torch.device("cpu"), torch.device("cuda")
AMX = {"amx_bf16": True, "avx512_bf16": True, "avx512_vnni": True}
ZEN4 = {"avx512_bf16": True, "avx512_vnni": True}
OLD = {"avx2": True}


@pytest.fixture
def processor(monkeypatch):
    """Pretend that the processor has these units and no others."""
    return lambda units: monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: units)


@pytest.mark.parametrize(("units", "expected"), [(AMX, "bf16"), (ZEN4, "fp32"), (OLD, "fp32")])
def test_auto_takes_what_the_processor_is_much_faster_with(processor, units, expected):
    processor(units)
    assert choose("auto", CPU, large=True) == (expected, "")
    assert choose("auto", CPU, large=False) == ("fp32", "")


@pytest.mark.parametrize(("modern", "expected"), [(True, "bf16"), (False, "fp16")])
def test_auto_takes_halves_on_a_gpu(monkeypatch, modern, expected):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: modern)
    assert choose("auto", GPU, large=True) == (expected, "")


def test_a_person_gets_what_they_ask_for_or_a_sentence(processor):
    processor(OLD)
    assert choose("fp32", CPU, large=True) == ("fp32", "")
    assert choose("bf16", CPU, large=True) == ("bf16", precision.SLOW)
    with pytest.raises(OptionError, match="VNNI"):
        choose("int8", CPU, large=True)
    with pytest.raises(OptionError, match="for GPUs"):
        choose("fp16", CPU, large=True)
    with pytest.raises(OptionError, match="for processors"):
        choose("int8", GPU, large=True)


def test_an_unknown_precision_is_refused():
    with pytest.raises(OptionError, match="Precision is auto, fp32, bf16, fp16 or int8, not “double”"):
        Options(precision="double")
    with pytest.raises(OptionError, match="EMOSCOPE_PRECISION is"):
        Settings(precision="fp64")
    assert all(Options(precision=each).precision == each for each in PRECISIONS)


def vnni():
    found = torch.cpu.get_capabilities()
    return found.get("avx512_vnni") or found.get("avx_vnni")


needs_vnni = pytest.mark.skipif(not vnni(), reason="this processor has no VNNI, so Emoscope refuses int8 on it")


@needs_vnni
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(5, 48), (2, 7, 48), (1, 48)])
def test_int8_rounds_by_half_a_step_of_each_row(bias, shape):
    torch.manual_seed(0)
    linear = nn.Linear(48, 32, bias=bias).requires_grad_(False)
    linear.weight *= torch.logspace(-3, 1, 32)[:, None]  # rows of very different size
    x = torch.randn(shape) * torch.logspace(-4, 3, shape[-2])[:, None]
    step = linear.weight.abs().amax(1) / 127 * x.abs().amax(-1, keepdim=True)  # rounding both to half a step ...
    bound = step * (0.5 * 127 + 0.5 * 127 + 0.25) * np.sqrt(48) * 0.6  # ... in 48 products, whose errors mostly cancel
    found, expected = Int8Linear(linear)(x), linear(x)
    assert found.shape == expected.shape
    assert ((found - expected).abs() <= bound).all()
    assert (found != expected).any()


@needs_vnni
def test_int8_of_nothing_is_the_bias():
    linear = nn.Linear(8, 4).requires_grad_(False)
    assert torch.equal(Int8Linear(linear)(torch.zeros(3, 8)), linear.bias.expand(3, 4))


@needs_vnni
def test_a_loud_neighbour_does_not_change_what_int8_makes_of_a_quiet_row():
    torch.manual_seed(1)
    layer = Int8Linear(nn.Linear(64, 16).requires_grad_(False))
    quiet_row = torch.randn(1, 64)
    alone = layer(quiet_row)
    assert torch.equal(layer(torch.cat([1e4 * torch.randn(5, 64), quiet_row]))[-1:], alone)


def cosines(one, other):
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return (one * other).sum(axis=1) / lengths


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    conf = standins.model_conf(**standins.SMALL)
    folder = standins.write_folder(tmp_path_factory.mktemp("small") / "small", conf, None)
    checkpoint.save_slim(standins.our_network(conf, seed=4), folder)
    return folder


@pytest.mark.parametrize(("name", "least"), [("bf16", 0.999), pytest.param("int8", 0.99, marks=needs_vnni)])
def test_features_and_scores_stay_near_those_of_float32(folder, name, least):
    with standins.one_thread():
        exact, fast = (checkpoint.load(folder, precision=each) for each in ("fp32", name))
        assert (exact.info.precision, fast.info.precision) == ("fp32", name)
        wave = Waveform(standins.clip(3))
        ours, theirs = (model.listen(wave, features=True, progress=quiet) for model in (fast, exact))
    assert cosines(ours.features, theirs.features).min() > least
    assert 0 < np.abs(ours.scores - theirs.scores).max() < 0.02
    assert ours.features.dtype == ours.timeline.logits.dtype == np.float32


@pytest.mark.parametrize("name", ["bf16", pytest.param("int8", marks=needs_vnni)])
def test_a_batch_equals_its_clips_one_by_one_in_fewer_bits_too(folder, name):
    with standins.one_thread():
        model = checkpoint.load(folder, precision=name)
        waves = [Waveform(standins.clip(seconds, seed)) for seed, seconds in enumerate((1.0, 2.5, 0.3))]
        for together, wave in zip(model.listen_many(waves), waves, strict=True):
            alone = model.listen(wave, progress=quiet)
            assert np.abs(together.scores - alone.scores).max() < 5e-3


@pytest.mark.parametrize("name", ["bf16", pytest.param("int8", marks=needs_vnni)])
def test_the_compact_model_calculates_with_fewer_bits_when_asked(name):
    compact = ROOT / "models" / "compact-speech"
    exact, fast = (checkpoint.load(compact, precision=each) for each in ("auto", name))
    assert (exact.info.precision, fast.info.precision) == ("fp32", name)
    for seed in range(3):
        wave = Waveform(standins.clip(2, seed))
        ours, theirs = (model.listen(wave, progress=quiet).scores for model in (fast, exact))
        assert np.abs(ours - theirs).max() < 0.05


def test_the_head_stays_in_float32():
    network = standins.our_network(standins.model_conf(**standins.SMALL))
    lower(network, "bf16")
    assert network.proj.weight.dtype == torch.float32
    assert network.blocks[0].fc1.weight.dtype == network.positions[0].weight.dtype == torch.bfloat16
