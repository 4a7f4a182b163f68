"""The errors a person can meet; each message says what happened and what to do.

EmoscopeError
├── InputError          what was given cannot be used: the person can change it
│   ├── AudioError          no sound can be read from it
│   ├── TooLargeError       over a limit of length or size
│   └── OptionError         an option or setting has no meaning
├── ModelError          a model is missing, broken or does not fit
├── StorageError        results cannot be written or read back
├── AccessError         who asks has to say who he is first
├── BusyError           too many are waiting already; it says when to ask again
│   ├── StoppingError       the process is being stopped
│   └── ExhaustedError      the machine has too little memory at the moment
└── Cancelled           the person stopped the analysis; raised by a progress function, between windows
"""


class EmoscopeError(Exception):
    """Anything that Emoscope reports to a person in one sentence."""


class InputError(EmoscopeError):
    """What was given cannot be used."""


class AudioError(InputError):
    """No sound can be read from the input."""


class TooLargeError(InputError):
    """The input is over a limit of length or size."""


class OptionError(InputError):
    """An option or a setting has a value without meaning."""


class ModelError(EmoscopeError):
    """A model is missing, broken, or does not fit."""


class StorageError(EmoscopeError):
    """Results cannot be written or read back."""


class AccessError(EmoscopeError):
    """Who asks has to say who he is first."""


class BusyError(EmoscopeError):
    """Too many analyses are waiting already."""

    def __init__(self, sentence: str, *, seconds: int) -> None:
        """`seconds` is after how long it is worth asking again."""
        super().__init__(sentence)
        self.seconds = seconds


class StoppingError(BusyError):
    """The process is being stopped; another one may answer soon."""


class ExhaustedError(BusyError):
    """The machine has too little memory for it, beside what else runs."""


class Cancelled(EmoscopeError):  # noqa: N818 — it is no error, but travels like one
    """The person stopped the analysis."""
