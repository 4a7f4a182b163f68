"""Settings of the process, read from the environment, and the options of one analysis."""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Literal, get_args

from emoscope.errors import OptionError

Granularity = Literal["utterance", "frame"]
GRANULARITIES: tuple[str, ...] = get_args(Granularity)
PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8")  # fp16 is for GPUs, int8 for processors
ROOT = Path(__file__).resolve().parent.parent  # the project's own folder
UNITS = {"MB": 10**6, "GB": 10**9, "TB": 10**12}  # bytes
DATABASES = ("sqlite", "postgres", "postgresql", "postgresql+psycopg")  # what the address of a history may begin with
MOST = 65_535  # the highest port; minutes, megabytes and threads stay below it too
ACCOUNT = re.compile(r"[A-Za-z0-9_.-]{1,32}")  # the name of somebody who has a token of their own
TOKEN = re.compile(r"[!-+\--~]{6,200}")  # what a header may hold, but no space and no comma
HOST = re.compile(r"[A-Za-z0-9.-]{1,253}")
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
    text_model: str = "auto"  # as Settings.text_model; "auto" takes what the settings say
    transcribe: bool = False  # write down what is said, where no transcript is given
    fusion: str = "auto"  # as Settings.fusion; "auto" takes what the settings say
    text_weight: float | None = None  # of the text beside the speech, 0 to 1; None takes what the settings say

    def __post_init__(self) -> None:
        if self.granularity not in GRANULARITIES:
            raise OptionError(f"Granularity is {' or '.join(GRANULARITIES)}, not “{self.granularity}”.")
        if not 0 <= self.smooth <= LONGEST_SMOOTHING:
            raise OptionError(f"Smoothing goes from 0 to {LONGEST_SMOOTHING:g} seconds, not {self.smooth:g}.")
        check_precision(self.precision, "Precision")
        if self.text_weight is not None:
            check_weight(self.text_weight, "The weight of the text")


def check_precision(name: str, what: str) -> None:
    """Raise OptionError unless it is one of `PRECISIONS`; `what` is what a person calls it."""
    if name not in PRECISIONS:
        raise OptionError(f"{what} is {', '.join(PRECISIONS[:-1])} or {PRECISIONS[-1]}, not “{name}”.")


def check_weight(weight: float, what: str) -> None:
    """Raise OptionError unless it is a share; `what` is what a person calls it."""
    if not 0 <= weight <= 1:
        raise OptionError(f"{what} goes from 0 to 1, and what is left is the speech's; it cannot be {weight:g}.")


@dataclass(frozen=True)
class Retention:
    """What is kept of past analyses, and how long."""

    nothing: bool = False  # no file and no row is left after the answer
    age: timedelta | None = None  # what is older goes
    bytes: int | None = None  # the oldest go while all files together are larger

    @classmethod
    def parse(cls, text: str) -> "Retention":
        """Read “everything”, “nothing”, or limits such as “30d”, “10GB” or “30d,10GB”; raises OptionError."""
        if text in ("everything", "nothing"):
            return cls(nothing=text == "nothing")
        limits: dict[str, timedelta | int] = {}
        for part in text.split(","):
            limit = re.fullmatch(r"(\d{1,5})\s*(d|MB|GB|TB)", part.strip())
            kind = "age" if limit and limit[2] == "d" else "bytes"
            if limit is None or int(limit[1]) == 0 or kind in limits:
                raise OptionError(
                    "EMOSCOPE_KEEP is “everything”, “nothing”, a number of days such as 30d, a size such as 10GB, or "
                    f"both as 30d,10GB; it cannot be “{text}”."
                )
            amount = int(limit[1])
            limits[kind] = timedelta(days=amount) if kind == "age" else amount * UNITS[limit[2]]
        return cls(**limits)  # type: ignore[arg-type]  # each kind has its own type


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
    fusion: str = "weighted"  # how speech and words become one answer: a method of `fusion`, or a trained head
    text_weight: float = 0.55  # of the text beside the speech, as published for a comparable system
    queue: int = 32  # analyses that may wait for their turn; whoever comes next is asked to come again
    keep: str = "everything"  # as `Retention.parse` reads it
    database_url: str = field(default="", repr=False)  # of the history; "" is a file in `outputs`; may hold a password
    token: str = field(default="", repr=False)  # what callers have to show, or several as name:token,name:token
    open: bool = False  # nobody has to show one, wherever it is served
    hosts: str = ""  # further names that people call this server by, with commas between them

    def __post_init__(self) -> None:
        check_precision(self.precision, "EMOSCOPE_PRECISION")
        check_weight(self.text_weight, "EMOSCOPE_TEXT_WEIGHT")
        if self.queue < 1:
            raise OptionError("EMOSCOPE_QUEUE is the number of analyses that may wait: 1 or more, not 0.")
        Retention.parse(self.keep)
        scheme, mark, _ = self.database_url.partition("://")
        if self.database_url and (not mark or scheme not in DATABASES):
            raise OptionError("EMOSCOPE_DATABASE_URL begins with sqlite:/// or postgresql://; this one does not.")
        if self.accounts and self.open:
            raise OptionError("EMOSCOPE_TOKEN asks for a token and EMOSCOPE_OPEN=1 for none. Leave one of them away.")
        if not all(HOST.fullmatch(name) for name in self.names):
            raise OptionError(
                "EMOSCOPE_HOSTS is names such as emoscope.example.org with commas between them, without http:// and "
                f"without ports; it cannot be “{self.hosts}”."
            )

    @property
    def accounts(self) -> dict[str, str]:
        """Return the tokens by whose they are; one that is alone is nobody's in particular, "". Raises OptionError."""
        return parse_accounts(self.token)

    @property
    def guarded(self) -> bool:
        """Say whether callers have to show a token: always where others than this machine can call, unless `open`."""
        return bool(self.token) or not (self.open or self.is_local)

    @property
    def is_local(self) -> bool:
        """Say whether only this machine can call."""
        with suppress(ValueError):
            return ip_address(self.host).is_loopback
        return self.host == "localhost"

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of `hosts`."""
        return tuple(name.strip().lower() for name in self.hosts.split(",") if name.strip())

    @property
    def retention(self) -> Retention:
        """Return what is kept of past analyses."""
        return Retention.parse(self.keep)

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


def parse_accounts(text: str) -> dict[str, str]:
    """Read `EMOSCOPE_TOKEN`: tokens by the names of those whose they are; raises OptionError, which shows none."""
    if not text:
        return {}
    pairs = [part.strip().partition(":") for part in text.split(",")]
    if len(pairs) == 1 and not pairs[0][1]:
        pairs = [("", ":", text)]
    elif not all(mark and ACCOUNT.fullmatch(name) for name, mark, _ in pairs):
        raise OptionError(
            "EMOSCOPE_TOKEN is one token, or several as name:token,name:token; a name has up to 32 letters, digits, "
            "dots, hyphens and underscores. Write it like that."
        )
    found = {name: token for name, _, token in pairs}
    if not all(TOKEN.fullmatch(token) for token in found.values()):
        raise OptionError(
            "A token in EMOSCOPE_TOKEN has 6 to 200 letters, digits and signs without spaces and commas. Choose a "
            "longer one, such as “openssl rand -hex 16” makes."
        )
    if len(found) < len(pairs) or len(set(found.values())) < len(pairs):
        raise OptionError("EMOSCOPE_TOKEN has a name or a token twice. Give everybody one of their own.")
    return found


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
