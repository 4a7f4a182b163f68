"""The model store: which folder answers when a model is asked for by name."""

from dataclasses import dataclass
from pathlib import Path

from emoscope.errors import ModelError
from emoscope.settings import ROOT

COMPACT = "compact-speech"  # in git, so that the first run needs no network
LARGE = "emotion2vec_plus_large"  # the name of the published model's folder
COMPACT_NOTE = "The compact demonstration model answered; it is far below Emotion2Vec+ Large."


@dataclass(frozen=True)
class Choice:
    """A model folder, and one sentence about why it was taken, if there is something to say."""

    folder: Path
    note: str = ""


def resolve(name: str, models: Path) -> Choice:
    """Find the speech model called `name`: "auto", "compact", or a folder with a FunASR checkpoint.

    "auto" takes Emotion2Vec+ Large when it is in the folder `models`, else the compact model. Raises ModelError when
    there is no such folder.
    """
    if name == "auto":
        large = models / LARGE
        return Choice(large) if is_model(large) else resolve("compact", models)
    if name == "compact":
        places = [models / COMPACT, ROOT / "models" / COMPACT]  # an own `EMOSCOPE_MODELS` need not hold a copy
        folder = next((place for place in places if is_model(place)), places[-1])
        note = COMPACT_NOTE
    else:
        folder, note = Path(name).expanduser(), ""
    if not is_model(folder):
        raise ModelError(
            f"There is no speech model in {folder}: a model folder holds config.yaml, tokens.txt and model.pt or "
            "model.safetensors. Give such a folder, or “auto” or “compact”."
        )
    return Choice(folder, note)


def is_model(folder: Path) -> bool:
    """Say whether the folder looks like a complete model."""
    weights = (folder / "model.safetensors", folder / "model.pt")
    return (folder / "config.yaml").is_file() and any(file.is_file() for file in weights)
