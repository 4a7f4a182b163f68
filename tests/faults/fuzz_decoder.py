"""Damages recordings of every format that is read and has them decoded, as `python -m tests.faults.fuzz_decoder`.

Each input follows from the seed and its number alone, so a number that was reported makes the same bytes again:
`--first 1234 --inputs 1 --keep folder` writes them down.
"""

import argparse
import collections
import math
import multiprocessing
import os
import platform
import random
import resource
import struct
import sys
import tempfile
import threading
import time
import traceback
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import av
import numpy as np

from emoscope import audio
from emoscope.errors import EmoscopeError
from tests import sounds

LIMITS = audio.Limits(60, 10**7)
PATIENCE = 20.0  # seconds for one input; valid ones take some milliseconds
MEMORY = 3 << 30  # bytes of address space; whoever asks for more gets none
LONGEST = 1 << 20  # bytes of an input

# What is read and not among `sounds.KINDS`: more codecs, more channels, other ways to write the same container.
MORE = {
    "layer2.mp3": ("mp2", "mp2", {}),
    "dolby.mkv": ("matroska", "ac3", {"rate": 48_000}),
    "dolby.mp4": ("mp4", "eac3", {"rate": 48_000}),
    "pack.mkv": ("matroska", "wavpack", {}),
    "vorbis.mka": ("matroska", "vorbis", {"channels": 2}),
    "alac.caf": ("caf", "alac", {}),
    "ima.wav": ("wav", "adpcm_ima_wav", {}),
    "ima.mov": ("mov", "adpcm_ima_qt", {}),
    "float.aifc": ("aiff", "pcm_f32be", {}),
    "s8.aiff": ("aiff", "pcm_s8", {}),
    "s24.aiff": ("aiff", "pcm_s24be", {}),
    "s32.caf": ("caf", "pcm_s32be", {}),
    "alaw.aifc": ("aiff", "pcm_alaw", {}),
    "float.caf": ("caf", "pcm_f64be", {}),
    "seven.m4a": ("ipod", "aac", {"channels": 8}),
    "seven.ogg": ("ogg", "libopus", {"channels": 8, "rate": 48_000}),
    "five.flac": ("flac", "flac", {"channels": 6}),
    "pieces.mp4": ("mp4", "aac", {"options": {"movflags": "frag_keyframe+empty_moov", "frag_duration": "100000"}}),
    "live.webm": ("webm", "libopus", {"rate": 48_000, "options": {"live": "1"}}),
}
SECONDS = 0.3
# Codecs that FFmpeg decodes and cannot encode here: tag in WAV, bytes of a block, how its blocks begin. The rest of the
# blocks is noise.
UNMADE = {"gsm.wav": (0x31, 65, b""), "speex.wav": (0xA109, 38, b""), "dts.wav": (0x2001, 1006, b"\x7f\xfe\x80\x01")}


@cache
def seeds():
    """Small valid files: name -> bytes."""
    found = {kind: sounds.make(kind, SECONDS) for kind in sounds.KINDS}
    for name, (container, codec, more) in MORE.items():
        rate, channels = more.get("rate", sounds.RATE), more.get("channels", 1)
        sound = sounds.tone(SECONDS, rate=rate, channels=channels)
        options = more.get("options")
        found[name] = sounds.encode(sound, container, codec, rate=rate, options=options)
    for name, (mark, size, start) in UNMADE.items():
        noise = np.random.default_rng(0).integers(0, 256, (20, size), dtype=np.uint8)
        noise[:, : len(start)] = np.frombuffer(start, np.uint8)
        data = bytearray(sounds.wav(noise.reshape(-1), rate=8000, tag=mark, bits=8))
        struct.pack_into("<H", data, 32, size)  # bytes of a block
        found[name] = bytes(data)
    found["wide.amr"] = sounds.amr_wide(15)
    found["centres.caf"] = sounds.caf(sounds.tone(SECONDS, channels=2), labels=(3, 3))
    found["cover.mp3"] = sounds.id3(picture=b"\x89PNG\r\n\x1a\n" + bytes(2000)) + found["voice.mp3"]
    found["cover.flac"] = sounds.id3() + found["voice.flac"]
    found["index.m4a"] = sounds.index_first(found["voice.m4a"])
    found["mute.mkv"] = sounds.video_only("matroska")
    return found


# -- damage -----------------------------------------------------------------------------------------------------------


def flip_bits(data, chance, _others):
    for _ in range(chance.choice((1, 2, 8, 64, 512))):
        data[_place(data, chance)] ^= 1 << chance.randrange(8)


def set_bytes(data, chance, _others):
    for _ in range(chance.choice((1, 2, 8, 32))):
        at = _place(data, chance)
        piece = chance.randbytes(chance.choice((1, 2, 4, 8)))
        data[at : at + len(piece)] = piece


def set_field(data, chance, _others):
    """Put an extreme number where a header may have a length, a rate, a count or a time."""
    for _ in range(chance.choice((1, 1, 2, 4))):
        width = chance.choice((1, 2, 3, 4, 8))
        top = 1 << 8 * width
        near = chance.choice((0, 1, 2, top // 2 - 1, top // 2, top - 2, top - 1, len(data), len(data) * 2, 1 << 16))
        value = (near + chance.choice((0, 0, -1, 1))) % top
        at = chance.randrange(min(len(data), 600)) if chance.random() < 0.7 else _place(data, chance)
        data[at : at + width] = value.to_bytes(width, chance.choice(("little", "big")))


def name_field(data, chance, _others):
    """Put an extreme number beside one of the four-letter names that containers are made of."""
    names = [at for at in range(len(data) - 8) if data[at : at + 4].isalpha()]
    if names:
        at = chance.choice(names) + chance.choice((-4, 4, 4, 8, 12, 16, 20))
        value = chance.choice((0, 1, 7, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFF7, len(data), 0x10000))
        data[max(0, at) : max(0, at) + 4] = struct.pack(chance.choice(("<I", ">I")), value)


def cut_end(data, chance, _others):
    del data[1 + chance.randrange(len(data)) :]


def cut_piece(data, chance, _others):
    at = _place(data, chance)
    del data[at : at + _length(data, chance)]


def repeat(data, chance, _others):
    """Double a piece, sometimes many times."""
    at = _place(data, chance)
    piece = bytes(data[at : at + _length(data, chance)])
    data[at:at] = piece * chance.choice((1, 1, 2, 16, 300))


def shuffle(data, chance, _others):
    size = chance.choice((4, 16, 64, 256, 1024))
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    one, two = chance.randrange(len(pieces)), chance.randrange(len(pieces))
    pieces[one], pieces[two] = pieces[two], pieces[one]
    data[:] = b"".join(pieces)


def splice(data, chance, others):
    """Go on with the rest of another file."""
    other = others[chance.choice(sorted(others))]
    data[_place(data, chance) :] = other[chance.randrange(len(other)) :]


def graft(data, chance, others):
    """Put a piece of another file into this one, over what is there or between it."""
    other = others[chance.choice(sorted(others))]
    start, at = chance.randrange(len(other)), _place(data, chance)
    piece = other[start : start + _length(other, chance)]
    data[at : at + chance.choice((0, len(piece)))] = piece


def join(data, chance, others):
    """Put a whole file behind this one, or before it."""
    other = others[chance.choice(sorted(others))]
    at = chance.choice((0, len(data)))
    data[at:at] = other


def pad(data, chance, _others):
    """Put zeros, ones or noise at the end, in front or in the middle."""
    size = chance.choice((1, 3, 500, 70_000))
    junk = chance.choice((bytes(size), b"\xff" * size, chance.randbytes(size)))
    at = chance.choice((0, len(data), _place(data, chance)))
    data[at:at] = junk


def tag(data, chance, _others):
    """Put ID3 tags in front, whose length may be a lie."""
    label = bytearray(sounds.id3(chance.choice((0, 100, 70_000))))
    if chance.random() < 0.5:
        label[6 + chance.randrange(4)] = chance.randrange(128)
    data[0:0] = bytes(label) * chance.choice((1, 2, 20))


DAMAGES = (
    flip_bits, flip_bits, set_bytes, set_field, set_field, name_field, name_field, cut_end, cut_piece, repeat, shuffle,
    splice, graft, join, pad, tag,
)  # fmt: skip


def _place(data, chance):
    """A place in the data; headers, which decide more, are hit more often."""
    return chance.randrange(min(len(data), 256) if chance.random() < 0.3 else len(data))


def _length(data, chance):
    return min(len(data), 1 << chance.randrange(1, 13))


def make(seed, number):
    """Return what was done to which file, and the bytes that came of it."""
    chance, others = random.Random(f"{seed}/{number}"), seeds()
    kind = chance.choice(sorted(others))
    data, done = bytearray(others[kind]), []
    for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 5))):
        damage = chance.choice(DAMAGES)
        damage(data, chance, others)
        done.append(damage.__name__)
        if not data:
            data += b"\0"
        del data[LONGEST:]
    return f"{kind}: {', '.join(done)}", bytes(data)


# -- decoding ---------------------------------------------------------------------------------------------------------


def decode(file):
    """Read a file as every door does; return whether there was sound in it."""
    try:
        recording = audio.load(file, limits=LIMITS, trim=True)
    except EmoscopeError as error:
        said = str(error)
        assert said.endswith(".") and str(file.parent) not in said, said
        return False
    wave = recording.wave
    assert wave.seconds <= LIMITS.seconds and np.isfinite(wave.samples).all() and np.abs(wave.samples).max() <= 2.0
    return True


@dataclass
class Findings:
    """What came of the inputs; everything but the counts should be empty."""

    read: int = 0
    refused: int = 0
    crashes: list = field(default_factory=list)  # (number, what was done to which file, what happened)
    hangs: list = field(default_factory=list)
    unforeseen: list = field(default_factory=list)  # errors that are not ours
    leftovers: list = field(default_factory=list)  # files, descriptors, threads, or words on the terminal
    slowest: tuple = (0.0, 0)  # seconds, number
    memory: int = 0  # bytes, of the largest process
    kinds: collections.Counter = field(default_factory=collections.Counter)

    @property
    def bad(self):
        return [*self.crashes, *self.hangs, *self.unforeseen, *self.leftovers]

    @property
    def count(self):
        return self.read + self.refused + len(self.crashes) + len(self.hangs) + len(self.unforeseen)


def _child(pipe, seed, decode, place):
    """Decode the inputs whose numbers come through the pipe, and answer what came of each."""
    said = Path(place) / "said"
    inputs = Path(place) / "inputs"
    inputs.mkdir()
    _be_quiet(said)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    tempfile.tempdir = os.environ["TMPDIR"] = str(inputs)
    os.chdir(inputs)
    file = inputs / "clip"
    file.write_bytes(seeds()["voice.mp3"])
    audio.load(file, limits=LIMITS, trim=True)  # what is loaded when it is needed for the first time is no leftover
    file.unlink()
    pipe.send(None)
    while (number := pipe.recv()) is not None:
        _, data = make(seed, number)
        file.write_bytes(data)
        before, begun, trouble, found = _traces(said), time.perf_counter(), "", False
        try:
            found = decode(file)
        except BaseException:
            trouble = traceback.format_exc(limit=-3)
        seconds = time.perf_counter() - begun
        file.unlink(missing_ok=True)
        after = _traces(said)
        left = "" if after == before else f"{before} before, {after} after"
        pipe.send((found, trouble, left, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))


def _be_quiet(said):
    """Send what C and Python would write on the terminal into a file."""
    descriptor = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    sys.stdout.flush()
    sys.stderr.flush()
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    os.close(descriptor)


def _traces(said):
    """What a decoder could leave behind: files, open descriptors, threads, written bytes."""
    sys.stdout.flush()
    sys.stderr.flush()
    files = sorted(name for name in os.listdir(".") if name != "clip")  # noqa: PTH208 — quick, some times 20,000
    return files, len(os.listdir("/proc/self/fd")), threading.active_count(), said.stat().st_size  # noqa: PTH208


class _Decoder:
    """A process that decodes, and another one when it has crashed or hangs."""

    def __init__(self, seed, decode, place, patience):
        self._seed, self._decode, self._place, self._patience = seed, decode, place, patience
        self._process = None

    def __call__(self, number):
        """Return what the process answers; raises EOFError with what ended it, TimeoutError when it hangs."""
        if self._process is None:
            self._start()
        try:
            self._pipe.send(number)
            if not self._pipe.poll(self._patience):
                raise TimeoutError(f"not over after {self._patience:g} s")
            return self._pipe.recv()
        except (EOFError, ConnectionError):
            self._process.join()
            raise EOFError(f"ended with {self._process.exitcode}") from None
        finally:
            if sys.exc_info()[0]:
                self.close()

    def _start(self):
        context = multiprocessing.get_context("forkserver")  # a fork of a process without threads, and a quick one
        context.set_forkserver_preload([__name__])
        self._pipe, theirs = context.Pipe()
        folder = tempfile.mkdtemp(dir=self._place)
        self._process = context.Process(target=_child, args=(theirs, self._seed, self._decode, folder), daemon=True)
        self._process.start()
        theirs.close()
        self._pipe.recv()

    def close(self):
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
            self._process = None


def fuzz(numbers, *, seed=0, decode=decode, patience=PATIENCE, tell=lambda _found: None):
    """Decode the inputs of these numbers in a process of their own; return what came of it."""
    found = Findings()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        decoder = _Decoder(seed, decode, place, patience)
        try:
            for number in numbers:
                _one(decoder, seed, number, found)
                tell(found)
        finally:
            decoder.close()
    return found


def _one(decoder, seed, number, found):
    recipe, _ = make(seed, number)
    try:
        was_read, trouble, left, seconds, memory = decoder(number)
    except EOFError as error:
        found.crashes.append((number, recipe, str(error)))
        return
    except TimeoutError as error:
        found.hangs.append((number, recipe, str(error)))
        return
    found.slowest, found.memory = max(found.slowest, (seconds, number)), max(found.memory, memory)
    if left:
        found.leftovers.append((number, recipe, left))
    if trouble:
        found.unforeseen.append((number, recipe, trouble))
    elif was_read:
        found.read += 1
        found.kinds[recipe.partition(":")[0]] += 1
    else:
        found.refused += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0, help="the number of the first one")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="write the inputs into this folder, too")
    chosen = parser.parse_args()
    numbers = range(chosen.first, chosen.first + chosen.inputs)
    if chosen.keep:
        chosen.keep.mkdir(parents=True, exist_ok=True)
        for number in numbers:
            (chosen.keep / f"{number}").write_bytes(make(chosen.seed, number)[1])

    def tell(found):
        if found.count % 1000 == 0:
            print(f"{found.count} inputs, {len(found.bad)} findings", file=sys.stderr)

    begun = time.monotonic()
    found = fuzz(numbers, seed=chosen.seed, tell=tell)
    for kind in ("crashes", "hangs", "unforeseen", "leftovers"):
        for number, recipe, what in getattr(found, kind):
            print(f"{kind}: {number} ({recipe}): {what}")
    library = ".".join(map(str, av.library_versions["libavcodec"]))
    print(f"Python {platform.python_version()}, PyAV {av.__version__}, libavcodec {library}, seed {chosen.seed}")
    print(f"{found.count} inputs from {len(seeds())} files in {math.ceil(time.monotonic() - begun)} s")
    print(f"read: {found.read}, refused with a sentence: {found.refused}; still read of {len(found.kinds)} files")
    print(f"crashes: {len(found.crashes)}, hangs: {len(found.hangs)}, other errors: {len(found.unforeseen)}, "
          f"leftovers: {len(found.leftovers)}")  # fmt: skip
    print(
        f"slowest: {found.slowest[0]:.2f} s (number {found.slowest[1]}), largest process: {found.memory / 1e6:.0f} MB"
    )
    sys.exit(bool(found.bad))


if __name__ == "__main__":
    main()
