"""Recordings for a server under test: those that the studio brings along, and made ones of every length."""

from functools import cache

import numpy as np
import soundfile

from tests.faults.servers import ROOT
from tests.sounds import RATE, encode, make, syllables

EXAMPLES = sorted((ROOT / "emoscope/studio/examples").glob("*.flac"))  # six to eight seconds of synthetic speech


@cache
def clips():
    """Short recordings in several formats, by file name."""
    found = {file.name: file.read_bytes() for file in EXAMPLES}
    found["syllables.wav"] = encode(syllables(4.0), "wav", "pcm_s16le")
    return found | {kind: make(kind, 3.0) for kind in ("opus.webm", "voice.amr", "film.mp4")}


def long_file(folder, seconds):
    """A FLAC of uneven sound, which is cheap to make and to send, and takes its time to be heard."""
    file = folder / f"long-{seconds}.flac"
    if not file.exists():
        part = syllables(60.0)[0]
        with soundfile.SoundFile(file, "w", RATE, 1, format="FLAC", subtype="PCM_16") as out:
            for _ in range(0, seconds, 60):
                out.write(np.clip(part, -1, 1))
    return file
