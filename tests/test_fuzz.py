"""The decoder against damaged files: a short run of `tests.faults.fuzz_decoder`, and whether that notices anything."""

import os
import sys
import threading
import time
from pathlib import Path

from emoscope import audio
from emoscope.audio.decode import DECODERS
from emoscope.errors import AudioError
from tests.faults import fuzz_decoder
from tests.faults.fuzz_decoder import fuzz, make, seeds

# No encoder makes them here, or another decoder of the same codec comes first.
UNSEEN = {
    "dca", "gsm", "libopencore_amrnb", "libopencore_amrwb", "libopus", "libvorbis", "mp1", "mp1float", "mp2float",
    "mp3", "speex", "truehd",
}  # fmt: skip


def test_damaged_files_neither_crash_nor_hang_nor_leave_anything():
    found = fuzz(range(20_000, 20_300))
    assert found.bad == []
    assert found.count == 300
    assert found.read > 60  # else the damage is so great that nothing gets past the first look
    assert found.refused > 60


def test_every_format_and_codec_that_can_be_made_is_damaged(tmp_path):
    formats, codecs = set(), set()
    for data in seeds().values():
        (tmp_path / "clip").write_bytes(data)
        try:
            source = audio.load(tmp_path / "clip", limits=fuzz_decoder.LIMITS).source
        except AudioError:
            continue
        formats.add(source.container)
        codecs.add(source.codec)
    assert formats == {format.demuxer for format in audio.FORMATS}
    assert DECODERS - codecs == UNSEEN


def test_an_input_follows_from_its_number():
    assert make(0, 7) == make(0, 7)
    assert make(0, 7) != make(1, 7)


def crash():
    os.abort()


def leave():
    sys.exit(3)


def fail():
    raise ValueError("not one of ours")


def litter():
    Path("left").touch()


def keep_open():
    os.open(".", os.O_RDONLY)


def talk():
    os.write(2, b"FFmpeg says\n")


def start_a_thread():
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()


MISDEEDS = [
    (lambda: None, ""),
    (leave, "unforeseen"),
    (fail, "unforeseen"),
    (litter, "leftovers"),
    (keep_open, "leftovers"),
    (talk, "leftovers"),
    (start_a_thread, "leftovers"),
    (crash, "crashes"),
]
TURN = iter(MISDEEDS)


def misbehave(_file):
    """Do in the process that decodes what must not happen there, each time something else."""
    next(TURN)[0]()
    return True


def hang(_file):
    time.sleep(60)


def test_what_goes_wrong_is_noticed():
    kinds = [kind for _, kind in MISDEEDS]
    found = fuzz(range(len(kinds)), decode=misbehave)
    for kind in ("unforeseen", "leftovers", "crashes"):
        assert [number for number, *_ in getattr(found, kind)] == [at for at, each in enumerate(kinds) if each == kind]
    assert fuzz([1], decode=hang, patience=0.2).hangs
