"""A file's bytes become mono sound at 16 kHz, as a stream: FFmpeg decodes, we mix, soxr resamples."""

import ctypes
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import av
import numpy as np
import soxr
from numpy.typing import NDArray

from emoscope.audio.formats import Found
from emoscope.audio.words import length
from emoscope.errors import AudioError, TooLargeError
from emoscope.timeline import RATE, WINDOW, Floats

BATCH = 1 << 18  # values mixed and resampled at once: about 3 s of stereo at 48 kHz
SLOWEST, FASTEST = 1_000, 768_000  # Hz; a rate outside is a broken header, and resampling from it a bomb
LARGEST = 1e10  # float files may use any scale (that of 32-bit integers reaches 2e9), but this is no sound
FULL_SCALE = 0.999  # at and above, a sample counts as clipped when it is not alone
JITTER = 0.1  # seconds by which a time stamp may be off before it means that sound is missing
LONGEST_GAP = 3600.0  # seconds; a larger jump is a broken clock and not a pause
FRAME_LIMIT = 1 << 22  # values in one decoded frame; real ones have some thousands
SAFE_PLANES = 7  # channels; PyAV 18 looks for more planes than there are when a frame has eight or more, and crashes
LEAST_BYTES = 500  # bytes per second; AMR's lowest rate needs 594
SHORTFALL = 0.3  # seconds that a file may be shorter than it says: encoders count their padding in or out
ROUGH_ENDS = ("mp3", "wav")  # any tag may end an MP3, and a WAV written into a pipe knows no end: both look broken
CLOCKLESS = ("mp3", "aac", "amr")  # bare frames: FFmpeg makes up their time stamps from the first one's length
ENCRYPTED = ("drms", "enca")
SCALES = {"u8": 2.0**-7, "s16": 2.0**-15, "s32": 2.0**-31, "flt": 1.0, "dbl": 1.0}  # sample format -> full scale is 1

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
}


@dataclass(frozen=True)
class Limits:
    """How much a recording may hold; nothing beyond is decoded."""

    seconds: float
    bytes: int


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
    try:
        with _opened(view, found, name) as container:
            stream = _sound(container, name)
            stated = _stated_seconds(container, stream) if found.states_length else None
            if stated is not None and stated > limits.seconds and _can_hold(size, stated, stream):
                raise _too_long(name, stated, limits)
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
    except (av.FFmpegError, OSError, ValueError) as error:
        # FFmpeg's own words ("Invalid data found when processing input") tell a person nothing.
        raise AudioError(f"{name} cannot be decoded: it is damaged or incomplete. Save or send it again.") from error


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
    try:
        if found.broken:
            raise ValueError("a chunk larger than its file")
        return av.open(
            view,
            format=demuxer,
            options={**OPTIONS, "format_whitelist": demuxer},
            io_open=_refuse,
            metadata_errors="ignore",
        )
    except (av.FFmpegError, OSError, ValueError) as error:
        raise AudioError(
            f"{name} looks like {found.format.name}, but it is damaged or its end is missing. Save or send it again."
        ) from error


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
        kind = "a codec of its own" if codec is None else f"the codec {codec.name}"
        raise AudioError(f"{name} holds sound in {kind}, which Emoscope cannot read. Convert it to WAV, MP3 or FLAC.")
    if codec.codec_tag in ENCRYPTED:
        raise AudioError(f"{name} is encrypted (copy-protected). Give a file without protection.")
    codec.options = {"max_samples": str(FRAME_LIMIT)}
    layout = codec.layout
    if _keep_alive(layout):
        codec.options = {**codec.options, "ch_layout": f"{layout.nb_channels} channels"}
    return stream


def _keep_alive(layout: Any) -> bool:
    """Never let go of a channel layout that lists its channels one by one; say whether this is one.

    PyAV 18 copies such a layout without its list and frees the list with every copy, so the second kills the process.
    Some 100 bytes are lost instead, and only for such files: MOV, CAF and AIFF may list channels in any order.
    """
    try:
        listed = "(" in layout.name or layout.name.startswith("ambisonic")
    except (RuntimeError, UnicodeDecodeError):
        listed = True
    if listed:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(layout))
    return listed


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
    return 3600 * hours + 60 * minutes + seconds


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
    while True:
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
        for frame in frames:
            _keep_alive(frame.layout)
        yield from frames


@dataclass
class Mixer:
    """Grows a mono waveform at 16 kHz from decoded frames, and watches length and sample values."""

    name: str
    limits: Limits
    stated: float | None = None
    seconds: float = 0.0  # taken in so far
    peak: float = 0.0
    rate: int = 0
    channels: int = 0
    _clipped: float = 0.0
    _values: int = 0
    _kind: tuple[str, int, int] = ("", 0, 0)  # sample format, rate, channels of the batch
    _batch: list[NDArray[Any]] = field(default_factory=list)
    _waiting: int = 0  # values in the batch
    _slip: float = 0.0  # seconds by which the stream's clock is not ours
    _soxr: Any = None
    _packer: Any = None
    _packs: tuple[str, int, str] = ("", 0, "")  # sample format, rate, layout of the packer
    _pieces: list[Floats] = field(default_factory=list)

    @property
    def clipped(self) -> float:
        """Return the share of clipped samples."""
        return self._clipped / self._values if self._values else 0.0

    def add(self, frame: Any, time: float | None) -> bool:
        """Take in a frame that belongs at `time` seconds; say whether a batch was worked off."""
        if frame.format.is_planar and frame.layout.nb_channels > SAFE_PLANES:
            frame = self._interleaved(frame)
        kind = (frame.format.name, frame.sample_rate, frame.layout.nb_channels)
        if kind != self._kind:
            self._change(kind)
        if time is not None:
            self._fill(time)
        self._count(frame.samples / self._kind[1])
        self._batch.append(frame.to_ndarray())
        self._waiting += self._batch[-1].size
        if self._waiting < BATCH:
            return False
        self._work()
        return True

    def finish(self) -> Floats:
        """Return the whole waveform, (N,) float32."""
        self._end()
        whole = np.concatenate(self._pieces) if self._pieces else np.zeros(0, dtype=np.float32)
        self._pieces.clear()
        return whole

    def _interleaved(self, frame: Any) -> Any:
        """Return a frame with its channels interleaved."""
        now = (frame.format.name, frame.sample_rate, frame.layout.name)
        if now != self._packs:
            self._packer = av.AudioResampler(format="flt", layout=frame.layout.name, rate=frame.sample_rate)
            self._packs = now
        (packed,) = self._packer.resample(frame)  # nothing stays in it: neither rate nor frame size change
        _keep_alive(packed.layout)
        return packed

    def _count(self, seconds: float) -> None:
        self.seconds += seconds
        if self.seconds > self.limits.seconds:
            raise _too_long(self.name, self.stated, self.limits)

    def _change(self, kind: tuple[str, int, int]) -> None:
        """Begin sound of another rate, format or number of channels; broadcasts and joined files change on the way."""
        self._work()
        form, rate, channels = kind
        if not SLOWEST <= rate <= FASTEST or form.removesuffix("p") not in SCALES or not channels:
            raise AudioError(f"{self.name} states a sample rate of {rate} Hz, which no recording has: it is damaged.")
        if rate != self._kind[1]:
            self._end()
            self._soxr = None if rate == RATE else soxr.ResampleStream(rate, RATE, 1, dtype="float32", quality="HQ")
        self._kind = kind
        self.rate, self.channels = self.rate or rate, self.channels or channels

    def _fill(self, time: float) -> None:
        """Put silence where time stamps say that sound is missing, so that our clock stays the player's clock.

        Silence codecs send nothing in pauses, streams lose packets, and damaged packets were left out.
        """
        gap = time - self._slip - self.seconds
        if abs(gap) <= JITTER:
            return
        if not 0 < gap < LONGEST_GAP:
            self._slip += gap
            return
        self._work()
        rate = self._kind[1]
        missing = round(gap * rate)
        while missing > 0:
            step = min(missing, BATCH)
            self._count(step / rate)
            self._resample(np.zeros(step, dtype=np.float32))
            missing -= step

    def _work(self) -> None:
        """Mix and resample the batch."""
        if not self._batch:
            return
        form, _, channels = self._kind
        raw = np.concatenate(self._batch, axis=1)
        self._batch.clear()
        self._waiting = 0
        self._resample(self._mix(raw if form.endswith("p") else raw.reshape(-1, channels).T, form.removesuffix("p")))

    def _mix(self, raw: NDArray[Any], form: str) -> Floats:
        """Return the mean of all channels, (C, N) of any sample format -> (N,) float32."""
        with np.errstate(over="ignore", invalid="ignore"):  # what is no number is found below
            sound: Floats = raw.astype(np.float32)
            if form == "u8":
                sound -= 128
            sound *= np.float32(SCALES[form])
            loud = np.abs(sound)
        peak = float(loud.max(initial=0.0))
        if not peak < LARGEST:  # NaN too
            raise AudioError(
                f"{self.name} holds samples that are no sound (NaN, infinite, or absurdly large). Export it again."
            )
        self.peak = max(self.peak, peak)
        self._values += loud.size
        if peak >= FULL_SCALE:
            self._clipped += _in_runs(loud >= FULL_SCALE)
        mono: Floats = sound[0].copy()
        for channel in sound[1:]:  # much faster than a mean over the short axis
            mono += channel
        mono *= np.float32(1 / len(sound))
        return mono

    def _resample(self, mono: Floats) -> None:
        self._pieces.append(mono if self._soxr is None else self._soxr.resample_chunk(mono))

    def _end(self) -> None:
        """Bring out what the resampler still holds."""
        self._work()
        if self._soxr is not None:
            self._pieces.append(self._soxr.resample_chunk(np.zeros(0, dtype=np.float32), last=True))
            self._soxr = None


def _in_runs(flags: NDArray[np.bool_]) -> int:
    """Count the flags that stand in rows of three or more, (C, N): a lone peak at full scale is no clipping."""
    three = flags[:, 2:] & flags[:, 1:-1] & flags[:, :-2]
    rows = np.zeros_like(flags)
    for shift in range(3):
        rows[:, shift : rows.shape[1] - 2 + shift] |= three
    return int(rows.sum())


def _too_long(name: str, stated: float | None, limits: Limits) -> TooLargeError:
    limit = length(limits.seconds)
    if stated is None or stated <= limits.seconds:
        what = f"{name} is longer than the limit of {limit}."
    else:
        just = "just over " if length(stated) == limit else ""
        what = f"{name} is {just}{length(stated)} long; the limit is {limit}."
    return TooLargeError(f"{what} Cut it, or set EMOSCOPE_MAX_MINUTES.")


def _nothing(name: str, damage: _Damage, samples: int) -> str:
    if damage.packets or damage.last:
        return f"{name} is damaged or cut off: no 25 ms of sound are left in it. Save or send it again."
    if not samples:
        return f"{name} is a recording without any sound in it. Record it again."
    return f"{name} is only {1000 * samples / RATE:.0f} ms long; at least 25 ms are needed. Give a longer recording."
