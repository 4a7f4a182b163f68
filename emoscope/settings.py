"""Settings of the process, read from the environment, and the options of one analysis."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from emoscope.errors import OptionError

Granularity = Literal["utterance", "frame"]
GRANULARITIES: tuple[str, ...] = get_args(Granularity)
PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8")  # fp16 is for GPUs, int8 for processors
ROOT = Path(__file__).resolve().parent.parent  # the project's own folder
MOST = 65_535  # the highest port; minutes, megabytes and threads stay below it too
LONGEST_SMOOTHING = 10.0  # seconds; more than that is one verdict, not a timeline


@dataclass(frozen=True)
class Options:
    """What a person chose for one analysis."""

    granularity: Granularity = "utterance"  # one verdict, or also the distribution every 20 ms
    embedding: bool = False  # `embedding.npy` is large for frames, so only when asked for
    smooth: float = 0.5  # seconds; about two syllables: single frames flicker
    trim: bool = False  # silence at both ends changes the verdict a little; the person decides
    denoise: bool = False  # models hear noise in training; cleaning can hurt as well as help
    normalise: bool = False  # the models normalise on their own; this is for listening
    model: str = "auto"  # as Settings.speech_model; "auto" takes what the settings say
    precision: str = "auto"  # as Settings.precision; "auto" takes what the settings say

    def __post_init__(self) -> None:
        if self.granularity not in GRANULARITIES:
            raise OptionError(f"Granularity is {' or '.join(GRANULARITIES)}, not “{self.granularity}”.")
        if not 0 <= self.smooth <= LONGEST_SMOOTHING:
            raise OptionError(f"Smoothing goes from 0 to {LONGEST_SMOOTHING:g} seconds, not {self.smooth:g}.")
        check_precision(self.precision, "Precision")


def check_precision(name: str, what: str) -> None:
    """Raise OptionError unless it is one of `PRECISIONS`; `what` is what a person calls it."""
    if name not in PRECISIONS:
        raise OptionError(f"{what} is {', '.join(PRECISIONS[:-1])} or {PRECISIONS[-1]}, not “{name}”.")


@dataclass(frozen=True)
class Settings:
    """The process's settings; each field is the environment variable `EMOSCOPE_<FIELD>`."""

    host: str = "127.0.0.1"  # only this machine; 0.0.0.0 serves the network
    port: int = 7860
    speech_model: str = "auto"  # "auto", "compact", "large", "base", "seed", or a model folder
    text_model: str = "auto"
    models: Path = ROOT / "models"
    outputs: Path = ROOT / "outputs"
    hub: str = "auto"  # where models are downloaded from: "auto" (ModelScope, else Hugging Face) or one of the two
    offline: bool = False  # never touch the network
    max_minutes: float = 120.0
    max_mb: float = 500.0
    threads: int = 0  # 0: as many as the machine has
    device: str = "auto"  # "auto", "cpu", "cuda", "cuda:1"
    precision: str = "auto"  # one of PRECISIONS; "auto" is fp32, or bf16 where the machine is much faster with it

    def __post_init__(self) -> None:
        check_precision(self.precision, "EMOSCOPE_PRECISION")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Read `EMOSCOPE_*`; an empty variable counts as not set."""
        chosen: dict[str, object] = {}
        for name, default in vars(cls()).items():
            variable = f"EMOSCOPE_{name.upper()}"
            text = environment.get(variable, "").strip()
            if text:
                chosen[name] = _parse(variable, text, default)
        return cls(**chosen)  # type: ignore[arg-type]  # every value was parsed to its default's type


def _parse(variable: str, text: str, default: object) -> object:
    """Turn the text of a variable into the type of its default."""
    if isinstance(default, bool):
        if text.lower() in ("1", "true", "yes", "on"):
            return True
        if text.lower() in ("0", "false", "no", "off"):
            return False
        raise OptionError(f"{variable} is 1 or 0, not “{text}”.")
    if isinstance(default, int | float):
        try:
            number = type(default)(text)
        except ValueError:
            raise OptionError(f"{variable} is a number such as {default}, not “{text}”.") from None
        if not 0 <= number <= MOST:
            raise OptionError(f"{variable} is a number from 0 to {MOST}, but is {text}.")
        return number
    if isinstance(default, Path):
        try:
            return Path(text).expanduser()
        except RuntimeError:
            raise OptionError(f"{variable} names the home of a user who is not there: {text}.") from None
    return text
