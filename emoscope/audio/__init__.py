"""Any recording becomes a waveform: the only place that decodes, resamples and writes sound."""

import hashlib
import io
import re
import warnings
import wave as wav
from dataclasses import replace
from functools import cache
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from emoscope.audio.decode import Decoded, decode
from emoscope.audio.formats import ENDINGS, FORMATS, Format, describe, recognise
from emoscope.audio.levels import measure, silences
from emoscope.audio.mix import Limits
from emoscope.audio.treat import denoise as denoised
from emoscope.audio.treat import normalise as normalised
from emoscope.audio.treat import peak
from emoscope.audio.treat import trim as trimmed
from emoscope.audio.words import length, megabytes
from emoscope.errors import AudioError, TooLargeError
from emoscope.results import Progress, Recording, Source, Waveform, quiet
from emoscope.timeline import RATE, Floats

__all__ = ["ENDINGS", "FORMATS", "Format", "Limits", "load", "read_wav", "write_wav"]

READABLE = "Give a WAV, MP3, M4A, AAC, FLAC, OGG, Opus, WebM, AMR, AIFF, MP4, MOV or MKV file."
OVERSHOOT = 2.0  # times full scale; no sound decoder exceeds it by more
PIECE = 600 * RATE  # samples
DAMAGED = 3  # packets; one or two at the seam of a cut file are no loss to speak of


def load(
    file: Path,
    *,
    name: str | None = None,
    limits: Limits,
    trim: bool = False,
    denoise: bool = False,
    normalise: bool = False,
    progress: Progress | None = None,
) -> Recording:
    """Read a recording in any listed format; `name` is what the person calls the file.

    The content decides the format, never the ending. `quality` is that of the file, before any of the three treatments;
    `silences` and `offset` are those of the waveform returned. `progress` may raise `Cancelled` to stop. Raises
    AudioError or TooLargeError with a sentence for the person.
    """
    tell = progress or quiet
    shown = _shown(name, file)
    source, decoded = _read(file, shown, limits, tell)
    wave = Waveform(_scaled(decoded))
    quality, found = measure(wave, peak=decoded.peak, clipped=0.0 if _other_scale(decoded) else decoded.clipped)
    quality = replace(quality, warnings=(*_about_file(decoded), *quality.warnings))
    recording = Recording(wave, source, quality, silences=found)
    if denoise:
        recording = _denoise(recording, tell)
    if trim:
        rest, offset, found = trimmed(recording.wave, recording.silences)
        recording = replace(recording, wave=rest, offset=offset, silences=found)
    if normalise and recording.silences != ((0.0, recording.wave.seconds),):  # silence would become hiss
        tell("Normalising the loudness", 0.0)
        recording = replace(recording, wave=normalised(recording.wave))  # a gain moves no silence
    return recording


def _read(file: Path, shown: str, limits: Limits, tell: Progress) -> tuple[Source, Decoded]:
    """Check, identify and decode a file."""
    size = _size(file, shown, limits)
    tell("Reading the recording", 0.0)
    try:
        with file.open("rb") as stream:
            found = recognise(stream, size)
            if found is None:
                raise AudioError(f"{shown} is {describe(stream)}. {READABLE}")
            decoded = decode(
                stream,
                found,
                size=size,
                name=shown,
                limits=limits,
                progress=lambda done: tell("Reading the recording", min(1.0, done)),
            )
            stream.seek(0)
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise AudioError(f"{shown} cannot be opened ({error.strerror}). Check that it may be read.") from error
    container = found.format.demuxer
    return Source(shown, digest, size, container, decoded.codec, decoded.rate, decoded.channels), decoded


def _shown(name: str | None, file: Path) -> str:
    """Return the file's name without folders (browsers on Windows may send some), fit to stand in a sentence."""
    bare = file.name if name is None else PureWindowsPath(name).name
    return re.sub(r"[^\S ]|[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", "", bare).strip() or "The file"


def _size(file: Path, shown: str, limits: Limits) -> int:
    """Return a file's size in bytes; raises when there is nothing to read or too much."""
    if file.is_dir():
        raise AudioError(f"{shown} is a folder. Give a file.")
    if not file.exists():
        raise AudioError(f"{shown} does not exist. Check its name and folder.")
    if not file.is_file():
        raise AudioError(f"{shown} is a device and no file. {READABLE}")
    size = file.stat().st_size
    if not size:
        raise AudioError(f"{shown} is empty (0 bytes). Save or send it again.")
    if size > limits.bytes:
        limit = megabytes(limits.bytes)
        just = "just over " if megabytes(size) == limit else ""
        raise TooLargeError(
            f"{shown} has {just}{megabytes(size)}; the limit is {limit}. "
            "Cut it, save it as MP3 or M4A, or set EMOSCOPE_MAX_MB."
        )
    return size


def _other_scale(decoded: Decoded) -> bool:
    """Say whether a file of floating-point samples has another full scale than 1, such as 32768."""
    return decoded.codec.startswith("pcm_f") and decoded.peak > OVERSHOOT


def _scaled(decoded: Decoded) -> Floats:
    """Bring samples that go far beyond full scale back to it."""
    samples, loudest = decoded.samples, peak(decoded.samples)
    if loudest <= OVERSHOOT:
        return samples
    if _other_scale(decoded):
        return samples / np.float32(loudest)
    return np.clip(samples, -OVERSHOOT, OVERSHOOT)  # a burst out of a damaged packet


def _about_file(decoded: Decoded) -> list[str]:
    notes = []
    if decoded.cut:
        notes.append(f"The file ends early: {length(len(decoded.samples) / RATE)} could be read and were used.")
    if decoded.damaged >= DAMAGED:
        notes.append("Parts of the file are damaged; silence stands in their place.")
    if _other_scale(decoded):
        notes.append(f"The samples reach {decoded.peak:.3g} times full scale, so they were scaled down to it.")
    return notes


def _denoise(recording: Recording, tell: Progress) -> Recording:
    wave = denoised(recording.wave, lambda done: tell("Reducing the noise", done))
    return replace(recording, wave=wave, silences=silences(wave))


def write_wav(wave: Waveform, file: Path) -> None:
    """Write a waveform as 16 kHz mono WAV with 16 bits; samples beyond full scale are clipped.

    Raises OSError where the file cannot be written.
    """
    _segment(wave).export(file, format="wav").close()


def read_wav(file: Path) -> Waveform:
    """Read what `write_wav` wrote, and nothing else; raises OSError, and ValueError for any other file."""
    try:
        with wav.open(str(file)) as sound:
            if (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) != (RATE, 1, 2):
                raise ValueError(f"{file.name} is not 16 kHz, mono and 16 bit")
            samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2")
    except (wav.Error, EOFError) as error:
        raise ValueError(f"{file.name} is no whole WAV file") from error
    return Waveform(samples.astype(np.float32) / np.float32(2**15))


def wav_bytes(wave: Waveform) -> bytes:
    """Return what `write_wav` writes."""
    written: bytes = _segment(wave).export(io.BytesIO(), format="wav").getvalue()
    return written


def _segment(wave: Waveform) -> Any:
    whole = np.empty(len(wave.samples), dtype="<i2")
    for start in range(0, len(whole), PIECE):  # hours of sound need no second copy as float
        scaled = np.rint(wave.samples[start : start + PIECE] * np.float32(2**15))
        whole[start : start + PIECE] = np.clip(scaled, -(2**15), 2**15 - 1)
    return _pydub().AudioSegment(whole.tobytes(), sample_width=2, frame_rate=RATE, channels=1)


@cache
def _pydub() -> Any:
    """Import pydub without its warnings: it misses an ffmpeg that is not needed, and uses the old audioop."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pydub

    return pydub
