"""Which folder answers to which name."""

import pytest

from emoscope import models
from emoscope.errors import ModelError
from emoscope.settings import ROOT


def make(folder, weights="model.pt"):
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("model: Emotion2vec\n")
    (folder / weights).write_bytes(b"x")
    return folder


def test_auto_takes_the_large_model_when_it_is_there(tmp_path):
    large = make(tmp_path / models.LARGE)
    assert models.resolve("auto", tmp_path) == models.Choice(large)


def test_auto_falls_back_to_the_shipped_compact_model_and_says_so(tmp_path):
    choice = models.resolve("auto", tmp_path)
    assert choice.folder == ROOT / "models" / models.COMPACT
    assert "compact" in choice.note


def test_a_compact_model_of_ones_own_comes_first(tmp_path):
    own = make(tmp_path / models.COMPACT, "model.safetensors")
    assert models.resolve("compact", tmp_path).folder == own


def test_a_half_downloaded_large_model_is_not_taken(tmp_path):
    (tmp_path / models.LARGE).mkdir()
    (tmp_path / models.LARGE / "config.yaml").write_text("model: Emotion2vec\n")
    assert models.resolve("auto", tmp_path).folder != tmp_path / models.LARGE


@pytest.mark.parametrize("name", ["typo", "", "/nowhere/at/all"])
def test_an_unknown_model_is_a_sentence_that_says_what_to_give(tmp_path, name):
    with pytest.raises(ModelError, match="Give such a folder"):
        models.resolve(name or str(tmp_path), tmp_path)


def test_a_folder_answers_to_its_path(tmp_path):
    folder = make(tmp_path / "mine")
    assert models.resolve(str(folder), tmp_path / "models") == models.Choice(folder)
