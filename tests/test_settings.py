"""Settings from the environment and options of an analysis: what is read, and how nonsense is refused."""

from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest

from emoscope.errors import OptionError
from emoscope.settings import LONGEST_SMOOTHING, ROOT, Options, Settings

READ = {
    "EMOSCOPE_HOST": ("0.0.0.0", "host", "0.0.0.0"),
    "EMOSCOPE_PORT": ("8080", "port", 8080),
    "EMOSCOPE_SPEECH_MODEL": ("compact", "speech_model", "compact"),
    "EMOSCOPE_TEXT_MODEL": ("folder/with spaces", "text_model", "folder/with spaces"),
    "EMOSCOPE_MODELS": ("weights", "models", Path("weights")),
    "EMOSCOPE_OUTPUTS": ("results", "outputs", Path("results")),
    "EMOSCOPE_HUB": ("modelscope", "hub", "modelscope"),
    "EMOSCOPE_OFFLINE": ("1", "offline", True),
    "EMOSCOPE_MAX_MINUTES": ("0.5", "max_minutes", 0.5),
    "EMOSCOPE_MAX_MB": ("20", "max_mb", 20.0),
    "EMOSCOPE_THREADS": ("2", "threads", 2),
    "EMOSCOPE_DEVICE": ("cuda:1", "device", "cuda:1"),
    "EMOSCOPE_PRECISION": ("bf16", "precision", "bf16"),
    "EMOSCOPE_FUSION": ("product", "fusion", "product"),
    "EMOSCOPE_TEXT_WEIGHT": ("0.4", "text_weight", 0.4),
    "EMOSCOPE_KEEP": ("30d,10GB", "keep", "30d,10GB"),
    "EMOSCOPE_DATABASE_URL": ("postgresql://host/name", "database_url", "postgresql://host/name"),
    "EMOSCOPE_QUEUE": ("5", "queue", 5),
    "EMOSCOPE_TOKEN": ("ana:secret1,ben:secret2", "token", "ana:secret1,ben:secret2"),
    "EMOSCOPE_OPEN": ("1", "open", True),
    "EMOSCOPE_HOSTS": ("emoscope.example.org", "hosts", "emoscope.example.org"),
}


@pytest.mark.parametrize("variable", READ)
def test_every_variable_is_read(variable):
    text, name, value = READ[variable]
    found = Settings.from_environment({variable: f" {text} "})
    assert getattr(found, name) == value
    assert type(getattr(found, name)) is type(value)
    assert {each.name for each in fields(Settings) if getattr(found, each.name) != getattr(Settings(), each.name)} == {
        name
    }


def test_the_table_above_is_complete():
    assert {name for _, name, _ in READ.values()} == {each.name for each in fields(Settings)}


def test_nothing_set_gives_the_defaults():
    assert Settings.from_environment({}) == Settings()
    assert Settings.from_environment({"EMOSCOPE_PORT": "", "EMOSCOPE_HOST": "  ", "PORT": "1"}) == Settings()
    assert Settings().host == "127.0.0.1"  # only this machine
    assert Settings().outputs == ROOT / "outputs"


@pytest.mark.parametrize(("text", "meant"), [*dict.fromkeys(("1", "true", "YES", "On"), True).items(), *dict.fromkeys(("0", "False", "no", "OFF"), False).items()])  # fmt: skip  # noqa: E501
def test_yes_and_no(text, meant):
    assert Settings.from_environment({"EMOSCOPE_OFFLINE": text}).offline is meant


def test_a_folder_may_begin_with_a_tilde(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Settings.from_environment({"EMOSCOPE_OUTPUTS": "~/results"}).outputs == tmp_path / "results"


@pytest.mark.parametrize(
    ("variable", "text", "says"),
    [
        ("EMOSCOPE_PORT", "http", "EMOSCOPE_PORT is a number such as 7860, not “http”."),
        ("EMOSCOPE_PORT", "78.5", "EMOSCOPE_PORT is a number such as 7860, not “78.5”."),
        ("EMOSCOPE_MAX_MINUTES", "two", "EMOSCOPE_MAX_MINUTES is a number such as 120.0, not “two”."),
        ("EMOSCOPE_MAX_MB", "-1", "EMOSCOPE_MAX_MB is a number from 0 to 65535, but is -1."),
        ("EMOSCOPE_THREADS", "-2", "EMOSCOPE_THREADS is a number from 0 to 65535, but is -2."),
        ("EMOSCOPE_MAX_MINUTES", "nan", "EMOSCOPE_MAX_MINUTES is a number from 0 to 65535, but is nan."),
        ("EMOSCOPE_MAX_MB", "inf", "EMOSCOPE_MAX_MB is a number from 0 to 65535, but is inf."),
        ("EMOSCOPE_PORT", "70000", "EMOSCOPE_PORT is a number from 0 to 65535, but is 70000."),
        (
            "EMOSCOPE_OUTPUTS",
            "~no-such-user/x",
            "EMOSCOPE_OUTPUTS names the home of a user who is not there: ~no-such-user/x.",
        ),
        ("EMOSCOPE_OFFLINE", "maybe", "EMOSCOPE_OFFLINE is 1 or 0, not “maybe”."),
    ],
)
def test_nonsense_is_refused_with_a_sentence(variable, text, says):
    with pytest.raises(OptionError) as refused:
        Settings.from_environment({variable: text})
    assert str(refused.value) == says


@pytest.mark.parametrize("value", [Settings(), Options()], ids=["settings", "options"])
def test_values_are_frozen(value):
    with pytest.raises(FrozenInstanceError):
        value.model = "other"


@pytest.mark.parametrize("smooth", [0, 0.0, 0.5, LONGEST_SMOOTHING])
@pytest.mark.parametrize("granularity", ["utterance", "frame"])
def test_options_that_make_sense(granularity, smooth):
    assert Options(granularity=granularity, smooth=smooth).smooth == smooth


@pytest.mark.parametrize(
    ("chosen", "says"),
    [
        ({"granularity": "word"}, "Granularity is utterance or frame, not “word”."),
        ({"smooth": -0.1}, "Smoothing goes from 0 to 10 seconds, not -0.1."),
        ({"smooth": 10.1}, "Smoothing goes from 0 to 10 seconds, not 10.1."),
        ({"smooth": float("nan")}, "Smoothing goes from 0 to 10 seconds, not nan."),
        ({"smooth": float("inf")}, "Smoothing goes from 0 to 10 seconds, not inf."),
    ],
    ids=str,
)
def test_options_that_make_none(chosen, says):
    with pytest.raises(OptionError) as refused:
        Options(**chosen)
    assert str(refused.value) == says
