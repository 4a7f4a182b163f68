"""A model folder becomes a SpeechModel, or one sentence about what is wrong with it."""

import hashlib
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from emoscope.errors import ModelError, OptionError
from emoscope.labels import COUNT, INDEX, LABELS
from emoscope.results import Waveform
from emoscope.settings import ROOT
from emoscope.speech import checkpoint
from emoscope.speech.compact import CompactSpeech

from . import standins


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    with standins.one_thread():
        yield


def quiet(_what, _done):
    pass


def hear(model, seconds=1.0):
    return model.listen(Waveform(standins.clip(seconds)), progress=quiet)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A folder as FunASR publishes it; tests must not change it."""
    conf, network = standins.small_oracle()
    return standins.write_folder(tmp_path_factory.mktemp("models") / "emotion2vec_small", conf, network.state_dict())


@pytest.fixture
def folder(published, tmp_path):
    """A copy of that folder, to change."""
    return Path(shutil.copytree(published, tmp_path / "model"))


@pytest.fixture(scope="module")
def state(published):
    return torch.load(published / "model.pt", weights_only=True)["model"]


@pytest.fixture(scope="module")
def expected(published):
    return hear(checkpoint.load(published)).timeline.logits


def test_a_published_folder_is_loaded_and_named(published):
    model = checkpoint.load(published)
    assert model.info.name == "emotion2vec_small"
    assert model.info.kind == "Emotion2vec"
    assert model.info.weights == hashlib.sha256((published / "model.pt").read_bytes()).hexdigest()
    assert (model.info.precision, model.info.device) == ("fp32", "cpu")
    assert model.columns == tuple(range(9))
    assert model.network.dim == 64
    assert not model.network.training
    assert not any(weight.requires_grad or weight.is_meta for weight in model.network.state_dict().values())


def test_the_config_may_name_the_model_and_its_licence(folder):
    with (folder / "config.yaml").open("a") as file:
        file.write("name: my own\nlicence: CC0\n")
    info = checkpoint.load(folder).info
    assert (info.name, info.licence) == ("my own", "CC0")


def test_exponents_without_a_point_are_numbers(published):
    assert "norm_eps: 1e-05" in (published / "config.yaml").read_text()
    assert checkpoint.load(published).network.norm.eps == 1e-5


def nested(state):
    return {"model": state, "optimizer": {"lr": 0.1}}


def bare(state):
    return state


def prefixed(state):
    """As the published file has it: the pre-trained part under a prefix, the head without, and training copies."""
    found = {name if name.startswith("proj.") else f"d2v_model.{name}": weight for name, weight in state.items()}
    decoder = {f"d2v_model.modality_encoders.AUDIO.decoder.blocks.{n}.0.weight": torch.zeros(3) for n in range(4)}
    return {"model": {**found, **decoder, "d2v_model._ema": torch.zeros(7), "global_step": 3}}


def lightning(state):
    return {"state_dict": {f"module.{name}": weight for name, weight in state.items()}}


def halves(state):
    return {"model": {name: weight.half() for name, weight in state.items()}}


def twice(state):
    """FunASR takes the weight under the prefix when both are there."""
    return {"model": {f"d2v_model.{name}": weight for name, weight in state.items()} | {"proj.bias": torch.zeros(9)}}


@pytest.mark.parametrize("wrap", [nested, bare, prefixed, lightning, halves, twice])
def test_the_weights_are_found_wherever_they_lie(folder, state, expected, wrap):
    torch.save(wrap(state), folder / "model.pt")
    network = checkpoint.load(folder).network
    assert {weight.dtype for weight in network.state_dict().values()} == {torch.float32}
    logits = hear(checkpoint.load(folder)).timeline.logits
    assert np.abs(logits - expected).max() < (0.1 if wrap is halves else 1e-5)


def test_a_file_in_the_old_format_is_read_without_mapping(folder, state, expected):
    torch.save({"model": state}, folder / "model.pt", _use_new_zipfile_serialization=False)
    assert np.abs(hear(checkpoint.load(folder)).timeline.logits - expected).max() < 1e-5


def test_the_slim_file_holds_what_inference_needs_and_answers_the_same(folder, state, expected):
    torch.save(prefixed(state), folder / "model.pt")
    file = checkpoint.save_slim(checkpoint.load(folder).network, folder)
    assert file == folder / "model.safetensors"
    assert file.stat().st_mode & 0o777 == 0o644
    assert sum(weight.numel() for weight in load_file(file).values()) == sum(
        weight.numel() for weight in state.values()
    )
    (folder / "model.pt").unlink()
    model = checkpoint.load(folder)
    assert model.info.weights == hashlib.sha256(file.read_bytes()).hexdigest()
    assert np.array_equal(hear(model).timeline.logits, expected)
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.yaml", "configuration.json", "model.safetensors", "tokens.txt",
    ]  # fmt: skip


def test_the_slim_file_can_be_written_over_itself(folder, expected):
    checkpoint.save_slim(checkpoint.load(folder).network, folder)
    checkpoint.save_slim(checkpoint.load(folder).network, folder)
    assert np.array_equal(hear(checkpoint.load(folder)).timeline.logits, expected)


def test_a_slim_file_that_cannot_be_written_leaves_nothing_behind(folder, monkeypatch):
    network = checkpoint.load(folder).network

    def full(_state, file, **_):
        Path(file).write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(OSError, match="No space"):
        checkpoint.save_slim(network, folder)
    assert not list(folder.glob("*safetensors*"))


def test_safetensors_under_funasrs_names_load_too(folder, state, expected):
    (folder / "model.pt").unlink()
    save_file(state, folder / "model.safetensors")
    assert np.abs(hear(checkpoint.load(folder)).timeline.logits - expected).max() < 1e-5


# --- tokens.txt


def tokens(folder, lines):
    (folder / "tokens.txt").write_text("\n".join(lines), "utf-8")
    return checkpoint.load(folder)


@pytest.mark.parametrize(
    "lines",
    [
        [token.split("/")[-1] for token in standins.TOKENS],
        ["/".join(reversed(token.split("/"))) for token in standins.TOKENS],
        [f"  {token.upper()}\r" for token in standins.TOKENS] + ["", ""],
        ["\ufeff" + standins.TOKENS[0], *standins.TOKENS[1:]],
    ],
    ids=["English only", "reversed", "untidy", "byte order mark"],
)
def test_tokens_are_read_in_every_spelling(folder, expected, lines):
    assert np.array_equal(hear(tokens(folder, lines)).timeline.logits, expected)


def test_outputs_follow_their_names_not_their_places(folder, expected):
    logits = hear(tokens(folder, standins.TOKENS[::-1])).timeline.logits
    assert np.array_equal(logits, expected[:, ::-1])


def test_an_output_that_is_not_ours_is_dropped_and_a_label_without_output_never_wins(folder, expected):
    lines = list(standins.TOKENS)
    lines[INDEX["happy"]], lines[INDEX["sad"]], lines[INDEX["other"]] = "unuse_0", "bored", "unuse_1/other"
    heard = hear(tokens(folder, lines))
    gone = [INDEX[name] for name in ("happy", "sad", "other")]
    left = [index for index in range(COUNT) if index not in gone]
    assert np.isneginf(heard.timeline.logits[:, gone]).all()
    assert np.array_equal(heard.timeline.logits[:, left], expected[:, left])
    assert (heard.scores[gone] == 0).all()
    assert heard.scores.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["a", "b"], "none of the nine emotions"),
        ([], "none of the nine emotions"),
        (["angry", *standins.TOKENS[:8]], "“angry” twice, the second time in line 2"),
        (standins.TOKENS[:5], r"proj\.weight is \(9, 64\) instead of \(5, 64\); proj\.bias"),
        ([*standins.TOKENS, "bored"], r"proj\.weight is \(9, 64\) instead of \(10, 64\)"),
    ],
)
def test_tokens_that_do_not_fit_are_a_sentence(folder, lines, sentence):
    with pytest.raises(ModelError, match=sentence):
        tokens(folder, lines)


# --- what is missing or broken


@pytest.mark.parametrize("name", ["config.yaml", "tokens.txt"])
@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00\xd8"], ids=["missing", "not text"])
def test_a_missing_or_unreadable_text_is_named(folder, name, content):
    (folder / name).unlink()
    if content:
        (folder / name).write_bytes(content)
    with pytest.raises(ModelError, match=name.replace(".", r"\.")):
        checkpoint.load(folder)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("model: [", "not readable as YAML"),
        ("just words", "does not describe a model"),
        ("model: Emotion2vec", "does not describe a model"),
        ("model: Whisper\nmodel_conf: {}", "kind “Whisper”"),
        ("model: Emotion2vec\nmodel_conf: {}", "does not say"),
        ("model: CompactSpeech\nmodel_conf: {colour: red}", "does not fit this version"),
        ("!!python/object/apply:os.system ['touch pwned']", "not readable as YAML"),
    ],
)
def test_a_config_that_describes_nothing_we_have_is_a_sentence(folder, text, sentence):
    (folder / "config.yaml").write_text(text)
    with pytest.raises(ModelError, match=sentence):
        checkpoint.load(folder)


def test_a_folder_without_weights_is_a_sentence(folder):
    (folder / "model.pt").unlink()
    with pytest.raises(ModelError, match=r"neither model\.safetensors nor model\.pt"):
        checkpoint.load(folder)


def test_missing_weights_are_named(folder, state):
    left = {name: weight for name, weight in state.items() if ".qkv." not in name and not name.startswith("proj.")}
    torch.save({"model": left}, folder / "model.pt")
    with pytest.raises(ModelError, match=r"prenet\.0\.attn\.qkv\.weight is missing; .* and 5 more"):
        checkpoint.load(folder)


@pytest.mark.parametrize("name", ["model.pt", "model.safetensors"])
@pytest.mark.parametrize(
    "content", [b"", b"no weights", b"\x80\x02X", "half"], ids=["empty", "text", "pickle", "truncated"]
)
def test_a_damaged_file_is_a_sentence(folder, name, content):
    checkpoint.save_slim(checkpoint.load(folder).network, folder)
    whole = (folder / name).read_bytes()
    for file in ("model.pt", "model.safetensors"):
        (folder / file).unlink()
    (folder / name).write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    with pytest.raises(ModelError, match=r"damaged|plain weights"):
        checkpoint.load(folder)


class Malicious:
    """Unpickled without care, it writes a file."""

    def __init__(self, file):
        self.file = str(file)

    def __reduce__(self):
        return (open, (self.file, "w"))


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_with_code_in_it_is_refused_and_the_code_does_not_run(folder, state, tmp_path, legacy):
    trap = tmp_path / "pwned"
    torch.save(
        {"model": state, "args": Malicious(trap)}, folder / "model.pt", _use_new_zipfile_serialization=not legacy
    )
    with pytest.raises(ModelError, match=r"not opened\. Take the model"):
        checkpoint.load(folder)
    assert not trap.exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_bare_pickle_with_code_in_it_is_refused_too(folder, tmp_path):
    trap = tmp_path / "pwned"
    (folder / "model.pt").write_bytes(pickle.dumps({"model": Malicious(trap)}))
    with pytest.raises(ModelError, match="not opened"):
        checkpoint.load(folder)
    assert not trap.exists()


def test_a_file_of_other_things_is_a_sentence(folder):
    torch.save([torch.zeros(3)], folder / "model.pt")
    with pytest.raises(ModelError, match="does not hold the weights"):
        checkpoint.load(folder)


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "cpu:none"])
def test_a_device_that_is_not_there_is_a_sentence(published, device):
    with pytest.raises(OptionError, match="EMOSCOPE_DEVICE"):
        checkpoint.load(published, device=device)


def test_auto_finds_a_device(published):
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert checkpoint.load(published, device="auto").info.device.startswith(expected)


def test_threads_are_set_when_asked_for(published):
    try:
        checkpoint.load(published, threads=2)
        assert torch.get_num_threads() == 2
        checkpoint.load(published)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


# --- our own network


@pytest.fixture
def compact(tmp_path):
    """A folder of the compact model's kind with random weights."""
    (tmp_path / "config.yaml").write_text("model: CompactSpeech\nmodel_conf: {}\n")
    (tmp_path / "tokens.txt").write_text("\n".join(LABELS))
    checkpoint.save_slim(CompactSpeech(), tmp_path)
    return tmp_path


def test_a_compact_model_loads_and_answers(compact):
    model = checkpoint.load(compact)
    assert model.info.kind == "CompactSpeech"
    heard = hear(model)
    assert heard.timeline.logits.shape == (49, 9)
    assert heard.embedding.shape == (model.network.dim,)


def test_a_compact_model_with_other_tokens_is_refused(compact):
    (compact / "tokens.txt").write_text("angry\nsad\n")
    with pytest.raises(ModelError, match="2 lines, but the network 9 outputs"):
        checkpoint.load(compact)


SHIPPED = ROOT / "models" / "compact-speech"


def test_the_shipped_model_loads():
    model = checkpoint.load(SHIPPED)
    assert (model.info.name, model.info.kind) == ("compact-speech", "CompactSpeech")
    assert None not in model.columns
    assert hear(model, 3.0).scores.sum() == pytest.approx(1, abs=1e-6)
