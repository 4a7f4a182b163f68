"""Emoscope hears and reads emotion: one verdict, and nine emotions along time.

from pathlib import Path
from emoscope import Analyzer, Options, Settings

report = Analyzer(Settings()).analyze(Path("clip.mp3"), Options(granularity="frame"))
print(report.verdict.emotion, report.speech.timeline.segments())
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Names are looked up when first used, so that `import emoscope` costs nothing.
_HOMES = {
    "Analyzer": "analyzer",
    "EmoscopeError": "errors",
    "LABELS": "labels",
    "Options": "settings",
    "Recording": "results",
    "Report": "report",
    "Segment": "timeline",
    "Settings": "settings",
    "SpeechResult": "results",
    "Timeline": "timeline",
    "Verdict": "results",
    "Waveform": "results",
}

__all__ = [  # noqa: RUF022 — sorted without regard to case, as the documentation lists them
    "Analyzer",
    "EmoscopeError",
    "LABELS",
    "Options",
    "Recording",
    "Report",
    "Segment",
    "Settings",
    "SpeechResult",
    "Timeline",
    "Verdict",
    "Waveform",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
