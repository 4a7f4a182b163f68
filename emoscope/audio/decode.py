"""A file's bytes become frames of sound: FFmpeg decodes as a stream, and can reach nothing but those bytes."""

import ctypes
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, BinaryIO

import av
import av._core

from emoscope.audio.formats import Found
from emoscope.audio.mix import Limits, Mixer, keep_alive, too_long
from emoscope.errors import AudioError
from emoscope.timeline import RATE, WINDOW, Floats

FRAME_LIMIT = 1 << 22  # values in one decoded frame; real ones have some thousands
LARGEST_BLOCK = 48_000_000  # bytes that FFmpeg may reserve at once: the index of a file of 2 h takes 16 MB
MOST_FRUITLESS = 50_000  # packets without sound, a quarter of an hour of any codec; each takes 10 µs of the processor
LEAST_BYTES = 500  # bytes per second; AMR's lowest rate needs 594
SHORTFALL = 0.3  # seconds that a file may be shorter than it says: encoders count their padding in or out
ROUGH_ENDS = ("mp3", "wav")  # any tag may end an MP3, and a WAV written into a pipe knows no end: both look broken
CLOCKLESS = ("mp3", "aac", "amr")  # bare frames: FFmpeg makes up their time stamps from the first one's length
ENCRYPTED = ("drms", "enca")

# The decoders that may run. Sound of a listed container in any other codec is refused, as are all of FFmpeg's others.
DECODERS = frozenset((
    "pcm_u8", "pcm_s8", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_s32be", "pcm_f32le",
    "pcm_f32be", "pcm_f64le", "pcm_f64be", "pcm_alaw", "pcm_mulaw", "adpcm_ms", "adpcm_ima_wav", "adpcm_ima_qt",
    "gsm", "gsm_ms", "mp1", "mp1float", "mp2", "mp2float", "mp3", "mp3float", "aac", "alac", "flac", "wavpack",
    "vorbis", "libvorbis", "opus", "libopus", "speex", "ac3", "eac3", "dca", "truehd",
    "amrnb", "amrwb", "libopencore_amrnb", "libopencore_amrwb",
))  # fmt: skip
OPTIONS = {
    "codec_whitelist": ",".join(sorted(DECODERS)),  # holds while FFmpeg probes the streams
    "protocol_whitelist": "",  # no file, no address: only the bytes we hand over
    "enable_drefs": "0",  # MOV can name other files as the place of its sound
    "use_absolute_path": "0",
    "max_streams": "64",  # each may have an index
    "max_size": str(1 << 16),  # bytes of a packet of WAV; the usual 4 kB make an hour 56,000 trips through Python
}


@dataclass(frozen=True, eq=False)
class Decoded:
    """A file's whole sound and what was seen on the way."""

    samples: Floats  # (N,) mono at 16 kHz
    codec: str
    rate: int  # Hz, of the file
    channels: int
    peak: float  # of the file's samples, before mixing
    clipped: float  # share of them
    cut: bool  # the file's end is missing
    damaged: int  # packets that could not be decoded, the last one apart


def decode(
    file: BinaryIO, found: Found, *, size: int, name: str, limits: Limits, progress: Callable[[float], None]
) -> Decoded:
    """Decode a file's best sound stream.

    `name` is what a message calls the file; `progress` is told the share of its `size` bytes that are read. Raises
    AudioError when there is no sound to be had and TooLargeError as soon as the limit is passed.
    """
    view = _View(file)
    _limit_memory()
    try:
        with _opened(view, found, name) as container:
            stream = _sound(container, name)
            stated = _stated_seconds(container, stream) if found.states_length else None
            if stated is not None and stated > limits.seconds and _can_hold(size, stated, stream):
                raise too_long(name, stated, limits)
            mixer = Mixer(name, limits, stated)
            damage = _Damage()
            clock = found.format.demuxer not in CLOCKLESS
            for frame, time in _timed(container, stream, damage):
                if mixer.add(frame, time if clock else None):
                    progress(view.tell() / size)
            samples = mixer.finish()
            if len(samples) < WINDOW:
                raise AudioError(_nothing(name, damage, len(samples)))
            short = stated is not None and mixer.seconds < stated - SHORTFALL
            broken = damage.last and found.format.demuxer not in ROUGH_ENDS
            return Decoded(
                samples=samples,
                codec=stream.codec_context.name,
                rate=mixer.rate,
                channels=mixer.channels,
                peak=mixer.peak,
                clipped=mixer.clipped,
                cut=found.cut or short or broken,
                damaged=damage.packets - (1 if damage.last and damage.packets else 0),
            )
    except (av.FFmpegError, UnicodeDecodeError) as error:  # PyAV decodes names without asking for their encoding
        # FFmpeg's own words ("Invalid data found when processing input") tell a person nothing.
        raise AudioError(f"{name} cannot be decoded: it is damaged or incomplete. Save or send it again.") from error


@cache
def _limit_memory() -> None:
    """Have FFmpeg reserve no more than `LARGEST_BLOCK`: 3 kB of a MOV can claim an index of gigabytes.

    PyAV has no word for it; the symbol is found through the library that PyAV itself is linked with.
    """
    limit = ctypes.CDLL(av._core.__file__).av_max_alloc
    limit.argtypes, limit.restype = [ctypes.c_size_t], None
    limit(LARGEST_BLOCK)


class _View:
    """All that FFmpeg sees of a file: its bytes, and no name that could be opened."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        file.seek(0)

    def read(self, count: int) -> bytes:
        return self._file.read(count)

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return self._file.seek(offset, whence)
        except (OSError, ValueError):
            return -1  # broken files ask for impossible places, and PyAV would print an exception

    def tell(self) -> int:
        return self._file.tell()


def _opened(view: _View, found: Found, name: str) -> Any:
    """Open the container with the one demuxer that its first bytes ask for."""
    demuxer = found.format.demuxer
    broken = AudioError(
        f"{name} looks like {found.format.name}, but it is damaged or its end is missing. Save or send it again."
    )
    if found.broken:
        raise broken
    try:
        return av.open(
            view,
            format=demuxer,
            options={**OPTIONS, "format_whitelist": demuxer},
            io_open=_refuse,
            metadata_errors="ignore",
        )
    except (av.FFmpegError, UnicodeDecodeError) as error:
        raise broken from error


def _refuse(url: str, _flags: int, _options: dict[str, str]) -> BinaryIO:
    """Answer a container that wants to open another file or address."""
    raise PermissionError(f"a recording may not open {url}")


def _sound(container: Any, name: str) -> Any:
    """Return the stream that FFmpeg holds for the main sound; cover images and video are left alone."""
    stream = container.streams.best("audio")
    if stream is None:
        what = "a video without sound" if container.streams.video else "no sound"
        raise AudioError(f"{name} holds {what}. Give a file with a voice in it.")
    codec = stream.codec_context
    if codec is None or codec.name not in DECODERS:
        kind = "an unknown codec" if codec is None else f"the codec {codec.name}"
        raise AudioError(f"{name} holds sound in {kind}, which Emoscope cannot read. Convert it to WAV, MP3 or FLAC.")
    if _tag(codec) in ENCRYPTED:
        raise AudioError(f"{name} is encrypted (copy-protected). Give a file without protection.")
    codec.options = {"max_samples": str(FRAME_LIMIT)}
    layout = codec.layout
    if keep_alive(layout):
        codec.options = {**codec.options, "ch_layout": f"{layout.nb_channels} channels"}
    return stream


def _tag(codec: Any) -> str:
    """Return the four letters that a container has for the codec."""
    try:
        return str(codec.codec_tag)
    except UnicodeDecodeError:  # a number and no letters, as in WAV
        return ""


def _stated_seconds(container: Any, stream: Any) -> float | None:
    """Return the length that the container gives for the sound, if it does."""
    whole = container.duration / av.time_base if container.duration else None
    own = float(stream.duration * stream.time_base) if stream.duration else None
    if own is None and container.streams.video:  # Matroska's own length is that of its longest stream
        return _clock(stream.metadata.get("DURATION", ""))
    return min((seconds for seconds in (own, whole) if seconds), default=None)


def _clock(text: str) -> float | None:
    """Return the seconds of "00:01:02.500", as most programs that write Matroska add it to a stream."""
    try:
        hours, minutes, seconds = (float(part) for part in text.split(":"))
    except ValueError:
        return None
    total = 3600 * hours + 60 * minutes + seconds
    return total if math.isfinite(total) else None


def _can_hold(size: int, seconds: float, stream: Any) -> bool:
    """Say whether `size` bytes can be that much sound, or whether the header must be wrong (or the file a bomb)."""
    pcm = stream.codec_context.name.startswith("pcm_")
    rate = (stream.bit_rate or 0) / 8 if pcm else LEAST_BYTES
    return size >= 0.95 * seconds * rate > 0


@dataclass
class _Damage:
    """What could not be decoded."""

    packets: int = 0
    last: bool = False  # the latest packet was among it, or incomplete


def _timed(container: Any, stream: Any, damage: _Damage) -> Iterator[tuple[Any, float | None]]:
    """Yield the frames of a stream with their times in seconds after the container's start, None where unknown.

    Players begin at the container's start, so a video whose sound sets in late keeps its clock.
    """
    start = (container.start_time or 0) / av.time_base
    for frame in _frames(container, stream, damage):
        yield frame, None if frame.pts is None else float(frame.pts * frame.time_base) - start


def _frames(container: Any, stream: Any, damage: _Damage) -> Iterator[Any]:
    """Yield the frames of a stream, passing over what is damaged."""
    packets = container.demux(stream)
    fruitless = 0
    while fruitless < MOST_FRUITLESS:
        fruitless += 1
        try:
            packet = next(packets, None)
        except av.FFmpegError:
            damage.last = True
            return
        if packet is None:
            return
        try:
            frames = packet.decode()
        except av.FFmpegError:
            if packet.size:  # else it is the empty packet that asks for what the decoder still holds
                damage.packets += 1
                damage.last = True
            continue
        if packet.size:
            damage.last = packet.is_corrupt
        fruitless -= bool(frames)
        for frame in frames:
            keep_alive(frame.layout)
        yield from frames


def _nothing(name: str, damage: _Damage, samples: int) -> str:
    if damage.packets or damage.last:
        return f"{name} is damaged or cut off: no 25 ms of sound are left in it. Save or send it again."
    if not samples:
        return f"{name} is a recording without any sound in it. Record it again."
    return f"{name} is only {1000 * samples / RATE:.0f} ms long; at least 25 ms are needed. Give a longer recording."
