"""Which formats are read, and how a file's first bytes tell them apart; a file's ending never decides."""

import codecs
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

HEAD = 65_536  # bytes looked at: room for junk before an MP3's first frame
TAIL = 70_000  # bytes: the longest Ogg page has 65,307
ID3_TAGS = 16  # more than one tag in a row happens, a chain without end must not
RIFF_CHUNKS = 1000  # a WAV file has three to ten
UNKNOWN_LENGTH = 0x7FFF_F000  # programs that write WAV into a pipe claim this many bytes or more


@dataclass(frozen=True)
class Format:
    """A format that is read: its name for people, FFmpeg's demuxer for it, usual endings, and its first bytes."""

    name: str
    demuxer: str
    endings: tuple[str, ...]
    starts: Callable[[bytes], bool]


@dataclass(frozen=True)
class Found:
    """What a file's bytes say: its format, and what FFmpeg does not tell about it."""

    format: Format
    states_length: bool = True  # else FFmpeg only guesses the length, from the bit rate of the first frames
    cut: bool = False
    broken: bool = False  # FFmpeg should not even open it


RIFF = (b"RIFF", b"RF64", b"BW64")
ATOMS = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")  # what a MOV or MP4 may begin with

# The demuxers that FFmpeg may use, and no other: none of them is a playlist, follows an address or opens a second file.
# Strict signatures come first, because MP3 and ADTS are recognised by a few bits only.
FORMATS = (
    Format("WAV", "wav", (".wav",), lambda head: head[:4] in RIFF and head[8:12] == b"WAVE"),
    Format("MP4/M4A/MOV", "mov", (".m4a", ".mp4", ".mov", ".m4b", ".m4v", ".3gp"), lambda head: head[4:8] in ATOMS),
    Format("FLAC", "flac", (".flac",), lambda head: head.startswith(b"fLaC")),
    Format("Ogg", "ogg", (".ogg", ".opus", ".oga"), lambda head: head.startswith(b"OggS")),
    Format("WebM/Matroska", "matroska", (".webm", ".mkv", ".mka"), lambda head: head.startswith(b"\x1aE\xdf\xa3")),
    Format("AMR", "amr", (".amr", ".awb"), lambda head: head.startswith(b"#!AMR")),
    Format("AIFF", "aiff", (".aiff", ".aif", ".aifc"), lambda head: head[:4] == b"FORM" and head[8:11] == b"AIF"),
    Format("AU", "au", (".au", ".snd"), lambda head: head.startswith(b".snd")),
    Format("CAF", "caf", (".caf",), lambda head: head.startswith(b"caff")),
    Format("Wave64", "w64", (".w64",), lambda head: head.startswith(b"riff\x2e\x91\xcf\x11")),
    Format("MP3", "mp3", (".mp3", ".mp2"), lambda head: _chain(head, _mpeg_length)),
    Format("AAC", "aac", (".aac",), lambda head: _chain(head, _adts_length)),
)
ENDINGS = tuple(ending for format in FORMATS for ending in format.endings)

OTHERS = (  # what people drop by mistake
    (b"RIFX", "a big-endian WAV file, which Emoscope cannot read"),  # FFmpeg would read its samples the wrong way round
    (b"\x89PNG", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (b"GIF8", "an image"),
    (b"II*\0", "an image"),
    (b"MM\0*", "an image"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive or an office document"),
    (b"\x1f\x8b", "a compressed archive"),
    (b"7z\xbc\xaf", "a compressed archive"),
    (b"Rar!", "a compressed archive"),
    (b"MThd", "a MIDI file, which holds notes but no sound"),
    (b"0&\xb2u\x8ef\xcf\x11", "a Windows Media file, which Emoscope cannot read"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
)


def recognise(file: BinaryIO, size: int) -> Found | None:
    """Return what a file of `size` bytes is, or None when it is no format that is read."""
    head = _head(file)
    format = next((format for format in FORMATS if format.starts(head)), None)
    if format is None:
        return None
    if format.demuxer == "mp3":
        return Found(format, states_length=any(tag in head[:4096] for tag in (b"Xing", b"Info", b"VBRI")))
    if format.demuxer == "ogg":
        return Found(format, cut=_ends_within_page(file, size))
    if format.demuxer == "wav":
        return Found(format, cut=_riff_is_short(head, size), broken=_riff_is_broken(file, size))
    return Found(format, states_length=format.demuxer not in ("aac", "amr"))


def describe(file: BinaryIO) -> str:
    """Say in a few words what a file is that is no recording."""
    file.seek(0)
    head = file.read(4096)
    for start, what in OTHERS:
        if head.startswith(start):
            return what
    if head[:4] == b"RIFF" and head[8:12] in (b"AVI ", b"WEBP"):
        return "an image" if head[8:12] == b"WEBP" else "an AVI video, which Emoscope cannot read"
    return "a text file" if _is_text(head) else "no recording that Emoscope knows"


def _head(file: BinaryIO) -> bytes:
    """Return the first bytes after any ID3 tags, which can stand before several formats and hold whole images."""
    at = 0
    for _ in range(ID3_TAGS):
        file.seek(at)
        head = file.read(HEAD)
        if head[:3] != b"ID3" or len(head) < 10:
            break
        footer = 10 if head[5] & 0x10 else 0
        at += 10 + footer + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9])
    return head


def _chain(head: bytes, length: Callable[[bytes], int]) -> bool:
    """Say whether three frames follow each other somewhere, or two fill a short file from its first byte."""
    start = head.find(b"\xff")
    while start >= 0:
        at, frames = start, 0
        while frames < 3 and (step := length(head[at : at + 7])):
            at, frames = at + step, frames + 1
        if frames == 3 or (frames == 2 and start == 0 and at > len(head) - 7):
            return True
        start = head.find(b"\xff", start + 1)
    return False


_LAYER_1 = tuple(range(32, 449, 32))
_LAYER_2 = (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384)
_LAYER_3 = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_LOW_LAYER_1 = (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256)
_LOW = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_KILOBITS = {  # (MPEG-1?, layer) -> per bit-rate index from 1; ISO 11172-3 2.4.2.3, ISO 13818-3 2.4.2.3
    (True, 1): _LAYER_1, (True, 2): _LAYER_2, (True, 3): _LAYER_3,
    (False, 1): _LOW_LAYER_1, (False, 2): _LOW, (False, 3): _LOW,
}  # fmt: skip


def _mpeg_length(header: bytes) -> int:
    """Return the bytes of the MPEG audio frame with this header, 0 when it is no such header."""
    if len(header) < 4:
        return 0
    bits = int.from_bytes(header[:4], "big")
    version, layer = bits >> 19 & 3, 4 - (bits >> 17 & 3)
    kilobits, rate = bits >> 12 & 15, bits >> 10 & 3
    if bits >> 21 != 0x7FF or version == 1 or layer == 4 or kilobits in (0, 15) or rate == 3:
        return 0
    full = version == 3  # MPEG-1; 2 and 2.5 have half and a quarter of its rates
    hertz = (44_100, 48_000, 32_000)[rate] >> (0 if full else 1 if version == 2 else 2)
    bits_per_second = 1000 * _KILOBITS[full, layer][kilobits - 1]
    padding = bits >> 9 & 1
    if layer == 1:
        return (12 * bits_per_second // hertz + padding) * 4
    return (72 if layer == 3 and not full else 144) * bits_per_second // hertz + padding


def _adts_length(header: bytes) -> int:
    """Return the bytes of the ADTS frame with this header, 0 when it is no such header."""
    if len(header) < 7 or header[0] != 0xFF or header[1] & 0xF6 != 0xF0 or header[2] >> 2 & 15 > 12:
        return 0
    length = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    return length if length >= 7 else 0


def _riff_is_short(head: bytes, size: int) -> bool:
    """Say whether a WAV file has fewer bytes than it claims; FFmpeg quietly believes the shorter of the two."""
    wide = head[12:16] == b"ds64"  # RF64 and BW64
    claimed = int.from_bytes(head[20:28] if wide else head[4:8], "little")
    return 0 < claimed < UNKNOWN_LENGTH and claimed + 8 > size + 1  # one byte of padding is often forgotten


def _riff_is_broken(file: BinaryIO, size: int) -> bool:
    """Say whether a chunk of a WAV file claims to be larger than the file; FFmpeg would reserve that much memory."""
    at = 12
    for _ in range(RIFF_CHUNKS):
        file.seek(at)
        chunk = file.read(8)
        if len(chunk) < 8:
            return False
        length = int.from_bytes(chunk[4:], "little")
        if chunk[:4] == b"data":
            length = min(length, size)  # this one is streamed, and may claim what it likes
        if length > size:
            return True
        at += 8 + length + length % 2
    return True


def _ends_within_page(file: BinaryIO, size: int) -> bool:
    """Say whether the last page of an Ogg file is incomplete."""
    start = max(0, size - TAIL)
    file.seek(start)
    tail = file.read(TAIL)
    page = tail.rfind(b"OggS")
    lacing = tail[page + 27 : page + 27 + tail[page + 26]] if page >= 0 and len(tail) > page + 27 else b""
    return page < 0 or not lacing or page + 27 + len(lacing) + sum(lacing) > len(tail)


def _is_text(head: bytes) -> bool:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return True
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)  # incremental: the last letter may be cut in two
    except UnicodeDecodeError:
        return False
    return bool(text) and all(letter.isprintable() or letter in "\t\n\r\f\ufeff" for letter in text)
