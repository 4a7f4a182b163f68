"""Which folder answers to which name, what is on disk, and what may be removed."""

import json
from pathlib import Path

import pytest

from emoscope import models
from emoscope.errors import ModelError, StorageError
from emoscope.models.lock import alone
from emoscope.models.manifest import fingerprint
from emoscope.settings import ROOT

SHIPPED = ROOT / "models" / models.COMPACT


def make(folder, weights="model.pt"):
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("model: Emotion2vec\nlicence: of its own\n")
    (folder / weights).write_bytes(b"x" * 1000)
    return folder


def make_published(folder):
    """A model folder with the manifest that a download leaves."""
    make(folder)
    files = {
        name: {"bytes": (folder / name).stat().st_size, "sha256": fingerprint(folder / name)}
        for name in ("config.yaml", "model.pt")
    }
    manifest = models.Manifest(folder.name, "ModelScope", f"iic/{folder.name}", "master", "2025-01-01", "L", "A", files)
    manifest.write(folder)
    return folder


@pytest.fixture
def compact(tmp_path):
    return make(tmp_path / models.COMPACT, "model.safetensors")


# ---- resolve


def test_auto_takes_the_large_model_when_it_is_there(tmp_path):
    large = make(tmp_path / models.LARGE)
    assert models.resolve("auto", tmp_path) == models.Choice(large)


@pytest.mark.skipif(not SHIPPED.exists(), reason="the compact model is not made yet")
def test_auto_falls_back_to_the_shipped_compact_model_and_says_so(tmp_path):
    choice = models.resolve("auto", tmp_path)
    assert choice.folder == SHIPPED
    assert "compact" in choice.note


def test_a_compact_model_of_ones_own_comes_first(tmp_path, compact):
    assert models.resolve("compact", tmp_path) == models.Choice(compact, models.COMPACT_NOTE)


@pytest.mark.usefixtures("compact")
def test_a_large_model_that_is_not_whole_is_not_taken_and_the_note_says_how_to_repair_it(tmp_path):
    large = make_published(tmp_path / models.LARGE)
    assert models.resolve("auto", tmp_path).folder == large
    (large / "model.pt").write_bytes(b"x" * 999)
    choice = models.resolve("auto", tmp_path)
    assert choice.folder == tmp_path / models.COMPACT
    assert "./run.sh models download large repairs it" in choice.note


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"files": 3}', b"\xff"])
def test_a_damaged_manifest_makes_a_damaged_model(tmp_path, text):
    large = make_published(tmp_path / models.LARGE)
    manifest = large / "manifest.json"
    manifest.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert not models.is_model(large)
    with pytest.raises(ModelError, match=r"manifest\.json is damaged"):
        models.verify("large", tmp_path)


def test_a_manifest_cannot_lead_out_of_its_folder(tmp_path):
    large = make_published(tmp_path / models.LARGE)
    manifest = json.loads((large / "manifest.json").read_text())
    manifest["files"]["../secret"] = {"bytes": 1, "sha256": "0"}
    (large / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match="is damaged"):
        models.verify("large", tmp_path)


@pytest.mark.parametrize("name", ["large", "base", "seed"])
def test_a_published_model_that_is_missing_is_a_sentence_with_the_command(tmp_path, name):
    with pytest.raises(
        ModelError, match=rf"Emotion2Vec\+ {name.capitalize()} is not on disk. Get it with .* download {name}"
    ):
        models.resolve(name, tmp_path)
    folder = make(tmp_path / f"emotion2vec_plus_{name}")
    assert models.resolve(name, tmp_path) == models.Choice(folder)


@pytest.mark.parametrize("name", ["typo", "", "/nowhere/at/all"])
def test_an_unknown_model_is_a_sentence_that_says_what_to_give(tmp_path, name):
    with pytest.raises(ModelError, match="Give such a folder"):
        models.resolve(name or str(tmp_path), tmp_path)


def test_a_folder_answers_to_its_path(tmp_path):
    folder = make(tmp_path / "mine")
    assert models.resolve(str(folder), tmp_path / "models") == models.Choice(folder)


# ---- other kinds


def make_text(folder, weights="model.safetensors"):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"licence": "CC0"}')
    for name in ("tokenizer.json", weights):
        (folder / name).write_bytes(b"x" * 10)
    return folder


def make_transcriber(folder, network="SenseVoiceSmall"):
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(f"model: {network}\n")
    for name in ("configuration.json", "am.mvn", "model.pt"):
        (folder / name).write_bytes(b"x" * 10)
    return folder


@pytest.mark.parametrize("name", ["auto", "compact", "compact-text"])
def test_the_compact_text_model_answers_and_one_s_own_comes_first(tmp_path, name):
    shipped = SHIPPED.with_name(models.COMPACT_TEXT)
    assert models.resolve_text(name, tmp_path) == models.Choice(shipped, models.COMPACT_TEXT_NOTE)
    own = make_text(tmp_path / models.COMPACT_TEXT)
    assert models.resolve_text(name, tmp_path) == models.Choice(own, models.COMPACT_TEXT_NOTE)


def test_text_models_answer_to_their_names_everywhere(tmp_path):
    store = tmp_path / "store"
    english = make_text(store / "emotion-english-distilroberta-base", "pytorch_model.bin")
    own, elsewhere = make_text(store / "own-model"), make_text(tmp_path / "elsewhere")
    for name, folder in {
        "english": english,
        "j-hartmann/emotion-english-distilroberta-base": english,
        "somebody/own-model": own,
        str(elsewhere): elsewhere,
    }.items():
        assert models.resolve_text(name, store) == models.Choice(folder)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "chinese",
            r"Xuyuan Sentiment BERT Chinese is not on disk\. Get it with \./run\.sh models download chinese",
        ),
        ("large", "no whole text model in large"),
        ("sensevoice", "no whole text model"),
        ("somebody/model", r"no whole text model in .*/model: .*“auto”, “english” or “multilingual” or “chinese”"),
        ("/own-model", "no whole text model in /own-model"),
        ("../own-model", r"no whole text model in \.\./own-model"),
    ],
)
def test_a_text_model_that_is_missing_is_a_sentence(tmp_path, name, words):
    make(tmp_path / models.LARGE)
    make_transcriber(tmp_path / "SenseVoiceSmall")
    make_text(tmp_path / "own-model")
    with pytest.raises(ModelError, match=words):
        models.resolve_text(name, tmp_path)


def test_without_the_recogniser_a_sentence_says_what_to_do_instead(tmp_path):
    with pytest.raises(ModelError) as raised:
        models.resolve_transcriber(tmp_path)
    assert str(raised.value) == (
        "SenseVoice Small is not on disk. Get it with ./run.sh models download sensevoice, "
        "or type, paste or load a transcript instead."
    )
    voice = make_transcriber(tmp_path / "SenseVoiceSmall")
    assert models.resolve_transcriber(tmp_path) == models.Transcriber(voice, None)
    vad = make_transcriber(tmp_path / "fsmn-vad", "FsmnVADStreaming")
    assert models.resolve_transcriber(tmp_path) == models.Transcriber(voice, vad)


@pytest.mark.parametrize("name", ["sensevoice", "english", "vad"])
def test_no_other_kind_of_model_is_taken_for_speech(tmp_path, name):
    make_transcriber(tmp_path / "SenseVoiceSmall")
    make_text(tmp_path / "emotion-english-distilroberta-base")
    make_transcriber(tmp_path / "fsmn-vad", "FsmnVADStreaming")
    with pytest.raises(ModelError, match="no whole speech model"):
        models.resolve(name, tmp_path)
    assert models.find(name, tmp_path) == tmp_path / models.PUBLISHED[name].folder
    assert models.verify(name, tmp_path) is None
    assert not models.uncertified(name, tmp_path)
    assert models.remove(name, tmp_path) == tmp_path / models.PUBLISHED[name].folder
    with pytest.raises(ModelError, match=f"is not on disk. Get it with ./run.sh models download {name}."):
        models.find(name, tmp_path)


def test_folders_put_there_by_hand_are_of_their_kind(tmp_path):
    places = [
        make(tmp_path / "a"), make_text(tmp_path / "b"), make_transcriber(tmp_path / "c"),
        make_transcriber(tmp_path / "d", "FsmnVADStreaming"),
    ]  # fmt: skip
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "config.json").write_text("{}")
    by_hand = [entry for entry in models.inventory(tmp_path) if entry.source == "put there by hand"]
    assert [(entry.folder, entry.kind) for entry in by_hand] == [
        (place, kind) for place, kind in zip(places, ("speech", "text", "transcript", "vad"), strict=True)
    ]
    assert by_hand[1].licence == "CC0"
    for place in places:
        assert models.find(str(place), tmp_path) == place
    models.remove(str(places[1]), tmp_path)
    assert not places[1].exists()


# ---- inventory and verify


@pytest.mark.usefixtures("compact")
def test_the_inventory_tells_what_is_there_and_what_could_be(tmp_path):
    make_published(tmp_path / models.LARGE)
    mine = make(tmp_path / "mine")
    make(tmp_path / ".emotion2vec_plus_base.part", "model.pt.incomplete")
    (tmp_path / "emotion2vec_plus_seed").mkdir()
    (tmp_path / "emotion2vec_plus_seed" / "config.yaml").write_text("model: Emotion2vec\n")
    entries = {entry.name: entry for entry in models.inventory(tmp_path)}
    assert {name: entry.state for name, entry in entries.items() if entry.kind == "speech"} == {
        "compact": "ready", "large": "ready", "base": "partial", "seed": "damaged", str(mine): "ready",
    }  # fmt: skip
    assert entries["large"].source == "ModelScope iic/emotion2vec_plus_large master"
    assert entries["large"].licence == entries["base"].licence == "FunASR Model License 1.1"
    assert "Ziyang Ma" in entries["base"].authors
    assert "Hugging Face emotion2vec/emotion2vec_plus_base" in entries["base"].source
    assert entries["base"].bytes > 1000
    assert entries[str(mine)].licence == "of its own"


def test_an_empty_store_has_an_inventory(tmp_path):
    entries = models.inventory(tmp_path / "nothing")
    assert {entry.state for entry in entries if not entry.name.startswith("compact")} == {"absent"}
    assert [entry.name for entry in entries] == [
        "compact", "large", "base", "seed", "compact-text", "sensevoice", "vad", "english", "multilingual", "chinese",
    ]  # fmt: skip
    assert [(entry.licence, entry.source) for entry in entries if entry.name in ("english", "chinese")] == [
        ("not stated", "Hugging Face j-hartmann/emotion-english-distilroberta-base"),
        ("Apache-2.0", "Hugging Face touch20032003/xuyuan-trial-sentiment-bert-chinese"),
    ]


def test_verify_compares_every_byte_and_tells_how_far_it_is(tmp_path):
    large = make_published(tmp_path / models.LARGE)
    seen = []
    manifest = models.verify("large", tmp_path, lambda what, done: seen.append((what, done)))
    assert set(manifest.files) == {"config.yaml", "model.pt"}
    assert seen[-1] == ("Checking model.pt", 1.0)
    (large / "model.pt").write_bytes(b"y" * 1000)
    assert models.is_model(large)
    with pytest.raises(ModelError, match=r"damaged \(model.pt\)"):
        models.verify("large", tmp_path)
    (large / "config.yaml").unlink()
    with pytest.raises(ModelError, match=r"damaged \(config.yaml, model.pt\)"):
        models.verify("large", tmp_path)


@pytest.mark.usefixtures("compact")
def test_a_model_without_a_manifest_has_nothing_to_be_compared_with(tmp_path):
    assert models.verify("compact", tmp_path) is None
    assert models.verify(str(make(tmp_path / "mine")), tmp_path) is None
    with pytest.raises(ModelError, match="is not on disk"):
        models.verify("large", tmp_path)


# ---- remove


@pytest.mark.usefixtures("compact")
def test_remove_takes_the_model_and_what_was_downloaded_of_it(tmp_path):
    make_published(tmp_path / models.LARGE)
    make(tmp_path / f".{models.LARGE}.part")
    assert models.remove("large", tmp_path) == tmp_path / models.LARGE
    mine = make(tmp_path / "mine")
    models.remove(str(mine), tmp_path)
    left = {place.name for place in tmp_path.iterdir()}
    assert left == {models.COMPACT, f".{models.LARGE}.lock", ".mine.lock"}


def test_nothing_to_remove_is_a_sentence(tmp_path):
    for name in ("large", str(tmp_path / "nothing")):
        with pytest.raises(ModelError, match="There is no model to remove"):
            models.remove(name, tmp_path)


def tricks(tmp_path):
    """Names that would delete something else if they were believed."""
    outside = make(tmp_path / "outside")
    store = tmp_path / "store"
    make(store / "inner" / "deep")
    make(store / models.COMPACT, "model.safetensors")
    make(store / "Compact-Text")
    make(store / ".hidden")
    (store / "link").symlink_to(outside)
    (store / models.LARGE).symlink_to(outside)
    (tmp_path / "linked-parent").symlink_to(outside.parent)
    return store, {
        "compact": "not removed",
        "auto": "not removed",
        "large": "is a link",
        str(store / "link"): "is a link",
        str(store / models.COMPACT): "come with Emoscope",
        str(store / "Compact-Text"): "come with Emoscope",
        str(store / ".hidden"): "is no model folder",
        str(store / "inner"): "There is no model to remove",
        str(store / "inner" / "deep"): "does not lie directly",
        str(store / "inner" / ".." / ".." / "outside"): "does not lie directly",
        str(tmp_path / "linked-parent" / "outside"): "does not lie directly",
        str(outside): "does not lie directly",
        str(store): "does not lie directly",
        str(store / ".."): "does not lie directly",
        str(store / "inner" / ".."): "does not lie directly",
        str(SHIPPED): "does not lie directly",
        "/": "does not lie directly",
        "~": "does not lie directly",
        "": "does not lie directly",
    }


def test_remove_deletes_nothing_but_models_of_the_store(tmp_path):
    store, names = tricks(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    for name, words in names.items():
        with pytest.raises(ModelError, match=words):
            models.remove(name, store)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_store_behind_a_link_is_still_a_store(tmp_path):
    make_published(tmp_path / "disk" / models.LARGE)
    (tmp_path / "store").symlink_to(tmp_path / "disk")
    models.remove("large", tmp_path / "store")
    assert not (tmp_path / "disk" / models.LARGE).exists()


def test_a_model_that_is_being_downloaded_is_not_removed(tmp_path):
    make(tmp_path / models.LARGE)
    with alone(tmp_path, models.LARGE, lambda: None), pytest.raises(StorageError, match="by another process"):
        models.remove("large", tmp_path)
    assert models.is_model(tmp_path / models.LARGE)


def test_removing_follows_no_links_inside(tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    large = make(tmp_path / "store" / models.LARGE)
    (large / "link").symlink_to(tmp_path)
    models.remove("large", tmp_path / "store")
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_an_interrupted_removal_is_no_model(tmp_path, monkeypatch):
    make_published(tmp_path / models.LARGE)

    def fail(_place):
        raise OSError("the disk was pulled out")

    monkeypatch.setattr("shutil.rmtree", fail)
    with pytest.raises(StorageError, match="pulled out"):
        models.remove("large", tmp_path)
    assert [entry.state for entry in models.inventory(tmp_path) if entry.name == "large"] == ["absent"]
    assert not Path(tmp_path / models.LARGE).exists()


# ---- what was never compared with FunASR's network


def test_what_could_be_compared_and_never_was(tmp_path):
    assert not models.uncertified("large", tmp_path)
    large = make(tmp_path / models.LARGE)
    assert models.uncertified("large", tmp_path)
    assert not any(models.uncertified(name, tmp_path) for name in ("auto", "compact", "base", str(large)))
    (large / "certificate.json").touch()
    assert not models.uncertified("large", tmp_path)


def test_slim_weights_alone_and_a_damaged_model_cannot_be_compared(tmp_path):
    make(tmp_path / models.PUBLISHED["base"].folder, "model.safetensors")
    seed = make_published(tmp_path / models.PUBLISHED["seed"].folder)
    assert models.uncertified("seed", tmp_path)
    (seed / "model.pt").write_bytes(b"x")
    assert not any(models.uncertified(name, tmp_path) for name in ("base", "seed"))
