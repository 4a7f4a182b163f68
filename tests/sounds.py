"""Makes recordings of every kind, good and bad, with FFmpeg's encoders inside PyAV or byte by byte."""

import io
import struct
from fractions import Fraction

import av
import numpy as np
from av.stream import Disposition

RATE = 16_000


def tone(seconds, *, rate=RATE, hertz=440.0, level=0.5, channels=1):
    """A sine, (C, N) float32."""
    phase = 2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate
    return np.tile((level * np.sin(phase)).astype(np.float32), (channels, 1))


def noise(seconds, *, rate=RATE, decibels=-30.0, seed=0):
    """White noise of a level in dBFS, (1, N) float32."""
    values = np.random.default_rng(seed).standard_normal((1, round(seconds * rate)))
    return (values * 10 ** (decibels / 20)).astype(np.float32)


def nothing(seconds, *, rate=RATE):
    return np.zeros((1, round(seconds * rate)), dtype=np.float32)


def syllables(seconds, *, rate=RATE, decibels=-20.0, pause=1.0, seed=0):
    """Something as uneven as speech: voiced syllables of 0.1 to 0.3 s, a pause after every 1.5 s; (1, N) float32."""
    generator = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    envelope = np.zeros(len(time))
    at = 0.0
    while at < seconds:
        length = generator.uniform(0.1, 0.3)
        inside = slice(round(at * rate), round((at + length) * rate))
        envelope[inside] = generator.uniform(0.3, 1.0) * np.sin(np.pi * (time[inside] - at) / length)
        at += length
        if at % (1.5 + pause) > 1.5:
            at += pause
    voice = sum(np.sin(2 * np.pi * 130 * harmonic * time) / harmonic for harmonic in range(1, 12)) * envelope
    loud = np.sqrt(np.mean(voice[envelope > 0.05] ** 2))
    return (voice / loud * 10 ** (decibels / 20)).astype(np.float32)[None]


def encode(
    sound, container, codec, *, rate=RATE, bit_rate=None, options=None, late=0.0, drop=(), picture=None, cover=False
):
    """Return the bytes of a file with this sound, (C, N) float32.

    `late` seconds pass before the sound begins; packets with the numbers in `drop` are lost; `picture` puts a video
    stream of so many seconds beside the sound, `cover` an image.
    """
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container, options=options or {}) as output:
        video = None if picture is None else _add_video(output, container)
        if cover:
            video, picture = _add_cover(output), 0.1
        stream = output.add_stream(codec, rate=rate, layout=_layout(len(sound)), options={"strict": "experimental"})
        if bit_rate:
            stream.bit_rate = bit_rate
        if video:
            for packet in _pictures(video, picture):
                output.mux(packet)
        for number, packet in enumerate(_packets(stream, sound, rate)):
            if number not in drop:
                shift = round(late / packet.time_base)
                packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                output.mux(packet)
    return buffer.getvalue()


def _layout(channels):
    return {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}[channels]


def _packets(stream, sound, rate):
    stream.codec_context.open(strict=False)
    frame = av.AudioFrame.from_ndarray(sound.T.reshape(1, -1).copy(), format="flt", layout=_layout(len(sound)))
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    size = stream.codec_context.frame_size or 1024
    form = av.AudioResampler(format=stream.format, layout=stream.layout, rate=rate, frame_size=size)
    for piece in [*form.resample(frame), *form.resample(None)]:
        yield from stream.encode(piece)
    yield from stream.encode(None)


def _add_video(output, container):
    stream = output.add_stream("libvpx" if container == "webm" else "mpeg4", rate=10)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
    return stream


def _add_cover(output):
    stream = output.add_stream("mjpeg", rate=10)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
    stream.disposition = Disposition.attached_pic
    return stream


def _pictures(stream, seconds):
    for number in range(round(seconds * 10)):
        frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 * number % 256, dtype=np.uint8), format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, 10)
        yield from stream.encode(frame)
    yield from stream.encode(None)


def video_only(container="mp4"):
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        for packet in _pictures(_add_video(output, container), 1.0):
            output.mux(packet)
    return buffer.getvalue()


def wav(values, *, rate=RATE, tag=1, bits=16, claimed=None):
    """A WAV file around the bytes of `values`, an (N,) or (N, C) array of the right type, written field by field."""
    values = np.asarray(values)
    channels = 1 if values.ndim == 1 else values.shape[1]
    data = values.tobytes()
    align = channels * bits // 8
    form = struct.pack("<HHIIHH", tag, channels, rate, rate * align & 0xFFFFFFFF, align, bits)
    size = len(data) if claimed is None else claimed
    head = b"RIFF" + struct.pack("<I", min(36 + size, 0xFFFFFFFF)) + b"WAVEfmt " + struct.pack("<I", 16) + form
    return head + b"data" + struct.pack("<I", min(size, 0xFFFFFFFF)) + data


def amr_wide(frames):
    """An AMR-WB file of so many 20 ms frames at 6.6 kbit/s (17 bytes of speech each); no encoder here makes them."""
    generator = np.random.default_rng(3)
    return b"#!AMR-WB\n" + b"".join(b"\x04" + generator.bytes(17) for _ in range(frames))


def id3(size=100, picture=b""):
    """An ID3v2.3 tag with a cover image in it."""
    body = b"\x00image/png\x00\x03\x00" + picture
    frame = b"APIC" + struct.pack(">I", len(body)) + b"\0\0" + body + bytes(size)
    length = len(frame)
    return b"ID3\x03\0\0" + bytes(length >> shift & 0x7F for shift in (21, 14, 7, 0)) + frame


def boxes(data):
    """Yield (type, content) of the boxes of a MOV or MP4 file."""
    at = 0
    while at < len(data):
        size = struct.unpack(">I", data[at : at + 4])[0]
        yield data[at + 4 : at + 8], data[at + 8 : at + size]
        at += size


def box(kind, content):
    return struct.pack(">I", 8 + len(content)) + kind + content


def with_box(data, path, content):
    """Return a MOV whose box at `path` holds other content."""
    kind, *rest = path
    return b"".join(
        box(name, (with_box(old, rest, content) if rest else content) if name == kind else old)
        for name, old in boxes(data)
    )


def index_first(data):
    """Return a MOV or MP4 whose index stands before the sound, as in files made for the web."""
    parts = dict(boxes(data))
    path = [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stco"]
    content = parts
    for kind in path:
        content = dict(boxes(content)) if isinstance(content, bytes) else content
        content = content[kind]
    offsets = np.frombuffer(content[8:], dtype=">u4")
    start = 16 + len(parts[b"ftyp"]) + len(parts[b"moov"])  # where the content of `mdat` is, without its own head
    old = data.index(b"mdat") + 4
    moved = content[:8] + (offsets - old + start + 8).astype(">u4").tobytes()
    moov = with_box(box(b"moov", parts[b"moov"]), path, moved)
    return box(b"ftyp", parts[b"ftyp"]) + moov + box(b"mdat", parts[b"mdat"])


def alias(path):
    """The content of a `dref` box that says that the sound is in another file, with a Macintosh alias record."""
    record = bytes(10) + bytes(28) + bytes(12) + bytes(64) + bytes(16) + struct.pack(">HH", 1, 1) + bytes(16)
    name = path.encode() + b"\0" * (len(path) % 2)
    record += struct.pack(">HH", 2, len(name)) + name + struct.pack(">HH", 0xFFFF, 0)
    entry = b"alis" + bytes(4) + record
    return struct.pack(">II", 0, 1) + struct.pack(">I", 4 + len(entry)) + entry


def caf(sound, *, rate=RATE, labels=()):
    """A CAF file of 16-bit samples, (C, N), whose channels carry Apple's labels, such as (3, 3) for two centres."""
    channels = len(sound)
    form = struct.pack(">d4sIIIII", rate, b"lpcm", 0, 2 * channels, 1, channels, 16)
    places = b"".join(struct.pack(">II3f", label, 0, 0, 0, 0) for label in labels)
    data = bytes(4) + (sound.T * 32767).astype(">i2").tobytes()
    chunks = ((b"desc", form), (b"chan", struct.pack(">III", 0, 0, len(labels)) + places), (b"data", data))
    return b"caff\0\1\0\0" + b"".join(kind + struct.pack(">q", len(content)) + content for kind, content in chunks)


# Every kind of file that must be read: name -> (container, codec, more); also the seeds of the damage tests.
KINDS = {
    "u8.wav": ("wav", "pcm_u8", {}),
    "s16.wav": ("wav", "pcm_s16le", {}),
    "s24.wav": ("wav", "pcm_s24le", {}),
    "s32.wav": ("wav", "pcm_s32le", {}),
    "f32.wav": ("wav", "pcm_f32le", {}),
    "f64.wav": ("wav", "pcm_f64le", {}),
    "alaw.wav": ("wav", "pcm_alaw", {}),
    "mulaw.wav": ("wav", "pcm_mulaw", {}),
    "adpcm.wav": ("wav", "adpcm_ms", {}),
    "mp3.wav": ("wav", "libmp3lame", {"bit_rate": 64_000}),
    "rf64.wav": ("wav", "pcm_s16le", {"options": {"rf64": "always"}}),
    "s16.w64": ("w64", "pcm_s16le", {}),
    "s16.aiff": ("aiff", "pcm_s16be", {}),
    "s16.au": ("au", "pcm_s16be", {}),
    "s16.caf": ("caf", "pcm_s16be", {}),
    "voice.mp3": ("mp3", "libmp3lame", {"bit_rate": 64_000}),
    "bare.mp3": ("mp3", "libmp3lame", {"bit_rate": 64_000, "options": {"write_xing": "0", "id3v2_version": "0"}}),
    "voice.m4a": ("ipod", "aac", {}),
    "alac.m4a": ("ipod", "alac", {}),
    "voice.aac": ("adts", "aac", {}),
    "voice.flac": ("flac", "flac", {}),
    "vorbis.ogg": ("ogg", "vorbis", {"channels": 2}),
    "opus.ogg": ("ogg", "libopus", {"rate": 48_000}),
    "flac.ogg": ("ogg", "flac", {}),
    "opus.webm": ("webm", "libopus", {"rate": 48_000}),
    "voice.amr": ("amr", "libopencore_amrnb", {"rate": 8_000, "bit_rate": 12_200}),
    "voice.3gp": ("3gp", "libopencore_amrnb", {"rate": 8_000, "bit_rate": 12_200}),
    "film.mp4": ("mp4", "aac", {"picture": 0.5}),
    "film.mov": ("mov", "pcm_s16le", {"picture": 0.5}),
    "film.mkv": ("matroska", "libmp3lame", {"picture": 0.5, "bit_rate": 64_000}),
    "film.webm": ("webm", "libopus", {"picture": 0.5, "rate": 48_000}),
}


def make(kind, seconds=2.0, **sound):
    """Return the bytes of a tone as a file of this kind."""
    container, codec, more = KINDS[kind]
    more = dict(more)
    rate, channels = more.pop("rate", RATE), more.pop("channels", 1)
    return encode(tone(seconds, rate=rate, channels=channels, **sound), container, codec, rate=rate, **more)
