"""Which folder answers to which name."""

import re
from dataclasses import dataclass
from pathlib import Path

from emoscope.errors import ModelError
from emoscope.models.catalogue import COMPACT, COMPACT_TEXT, PUBLISHED, Kind, Published, is_published, names
from emoscope.models.folders import is_model, kind_of, state_of
from emoscope.settings import ROOT

COMPACT_NOTE = "This is the compact demonstration model; it is far below Emotion2Vec+ Large."
COMPACT_TEXT_NOTE = "This is the compact demonstration model for texts; it is far below models of full size."
AT_HUGGING_FACE = re.compile(r"\w[\w.-]*/(\w[\w.-]*)")  # owner/model
SHIPPED: dict[str, Kind] = {COMPACT: "speech", COMPACT_TEXT: "text"}


@dataclass(frozen=True)
class Choice:
    """A model folder, and one sentence about why it was taken, if there is something to say."""

    folder: Path
    note: str = ""


@dataclass(frozen=True)
class Transcriber:
    """What writes down what is said: SenseVoice's folder, and that of the model that finds speech, if it is there."""

    folder: Path
    vad: Path | None = None


def resolve(name: str, models: Path) -> Choice:
    """Find the speech model called `name`: "auto", "compact", "large", "base", "seed", or a folder with a checkpoint.

    "auto" takes Emotion2Vec+ Large when it is whole in the folder `models`, else the compact model. Never touches the
    network. Raises ModelError when there is no such model.
    """
    if name == "auto":
        return _best(models)
    if is_published(name, "speech"):
        advice = f"Get it with {PUBLISHED[name].command}, or choose “auto” or “compact”."
        return Choice(_published(PUBLISHED[name], models, advice))
    if name == "compact":
        folder, note = shipped(COMPACT, models), COMPACT_NOTE
    else:
        folder, note = Path(name).expanduser(), ""
    if not is_model(folder):
        raise ModelError(
            f"There is no whole speech model in {folder}: a model folder holds config.yaml, tokens.txt and model.pt or "
            "model.safetensors. Give such a folder, or “auto”, “compact”, “large”, “base” or “seed”."
        )
    return Choice(folder, note)


def resolve_text(name: str, models: Path) -> Choice:
    """Find the text model called `name`, without touching the network; raises ModelError when there is none.

    "auto" and "compact" are the compact model that comes with Emoscope; then there are the published ones, such as
    "english", a folder, and a name at Hugging Face, “owner/model”, whose files lie in the folder `model` of the store.
    """
    if is_published(name, "text"):
        advice = f"Get it with {PUBLISHED[name].command}, or choose “auto”."
        return Choice(_published(PUBLISHED[name], models, advice))
    if name in ("auto", "compact", COMPACT_TEXT):
        places, note = [shipped(COMPACT_TEXT, models)], COMPACT_TEXT_NOTE
    else:
        published = AT_HUGGING_FACE.fullmatch(name)
        places, note = [Path(name).expanduser(), *([models / published[1]] if published else [])], ""
    folder = next((place for place in places if is_model(place, "text")), None)
    if folder is None:
        raise ModelError(
            f"There is no whole text model in {places[-1]}: a model folder holds config.json, a tokenizer, and "
            f"model.safetensors or pytorch_model.bin. Give such a folder, or “auto”, {_listed(names('text'))}."
        )
    return Choice(folder, note)


def resolve_transcriber(models: Path) -> Transcriber:
    """Find the models that write down what is said, without touching the network; raises ModelError."""
    voice, vad = PUBLISHED["sensevoice"], PUBLISHED["vad"]
    advice = f"Get it with {voice.command}, or type, paste or load a transcript instead."
    folder = _published(voice, models, advice)
    return Transcriber(folder, models / vad.folder if is_model(models / vad.folder, vad.kind) else None)


def find(name: str, models: Path) -> Path:
    """Return the folder of a model of any kind by its name in the inventory; raises ModelError."""
    if name in PUBLISHED and PUBLISHED[name].kind != "speech":
        return _published(PUBLISHED[name], models, f"Get it with {PUBLISHED[name].command}.")
    folder = Path(name).expanduser()
    if name == COMPACT_TEXT or kind_of(folder) == "text":
        return resolve_text(name, models).folder
    return folder if kind_of(folder) else resolve(name, models).folder


def shipped(name: str, models: Path) -> Path:
    """Return the folder of a compact model: one's own, or else the one that comes with Emoscope."""
    own = models / name
    return own if is_model(own, SHIPPED[name]) else ROOT / "models" / name  # an own store need not hold a copy


def _best(models: Path) -> Choice:
    large = PUBLISHED["large"]
    folder = models / large.folder
    state = state_of(large, models)
    if state == "ready":
        return Choice(folder)
    compact = resolve("compact", models)
    if state == "damaged":
        note = f"{compact.note} {large.title} in {folder} is not whole; {large.command} repairs it."
        return Choice(compact.folder, note)
    return compact


def _published(model: Published, models: Path, advice: str) -> Path:
    """Return a published model's folder; `advice` is told when it is not there."""
    state = state_of(model, models)
    if state == "ready":
        return models / model.folder
    found = {"damaged": "not whole", "partial": "only partly downloaded", "absent": "not on disk"}[state]
    raise ModelError(f"{model.title} is {found}. {advice}")


def _listed(choices: list[str]) -> str:
    return " or ".join(f"“{choice}”" for choice in choices)
