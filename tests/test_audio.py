"""Any recording becomes a waveform: formats against independent readers, limits, bad input, quality, treatment."""

import errno
import io
import os
import subprocess
import sys
import tempfile
import time
import tracemalloc
import wave
from pathlib import Path

import av
import numpy as np
import pytest
import scipy.io.wavfile
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emoscope import audio
from emoscope.audio import formats
from emoscope.audio.levels import silences
from emoscope.audio.treat import denoise, measure_loudness, normalise, trim
from emoscope.audio.words import length, megabytes
from emoscope.errors import AudioError, Cancelled, EmoscopeError, TooLargeError
from emoscope.results import Waveform
from tests import sounds
from tests.sounds import RATE, encode, make, noise, nothing, syllables, tone

LIMITS = audio.Limits(seconds=7200, bytes=500_000_000)
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def load(tmp_path):
    """Write bytes to a file without a telling name, and load it."""

    def load(data, name="clip", limits=LIMITS, **options):
        file = tmp_path / name
        file.write_bytes(data)
        return audio.load(file, limits=limits, **options)

    return load


def pitch(samples):
    """Return the strongest frequency in Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return spectrum.argmax() * RATE / len(samples)


def level(samples):
    """Return the amplitude of a sine."""
    return float(np.sqrt(2 * np.mean(samples.astype(np.float64) ** 2)))


def amplitude(samples, hertz):
    """Return the amplitude of one frequency in a whole number of seconds."""
    phase = np.exp(-2j * np.pi * hertz * np.arange(len(samples)) / RATE)
    return 2 * abs(np.mean(samples * phase))


def waveform(sound):
    return Waveform(sound[0])


# -- every format -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sounds.KINDS)
def test_every_kind_of_file_is_read(load, kind):
    recording = load(make(kind), name="wrong.txt")
    samples = recording.wave.samples
    assert samples.dtype == np.float32
    assert recording.wave.seconds == pytest.approx(2.0, abs=0.12)  # AAC and MP3 without a header keep their padding
    assert pitch(samples[RATE // 2 : -RATE // 2]) == pytest.approx(440, abs=1.1)
    close = 0.2 if kind.startswith(("voice.amr", "voice.3gp")) else 0.06
    assert level(samples[RATE // 2 : -RATE // 2]) == pytest.approx(0.5, rel=close)
    container, codec, more = sounds.KINDS[kind]
    assert recording.source.container == {
        "ipod": "mov",
        "mp4": "mov",
        "3gp": "mov",
        "adts": "aac",
        "webm": "matroska",
    }.get(container, container)
    assert recording.source.sample_rate == more.get("rate", RATE)
    assert recording.source.channels == more.get("channels", 1)
    assert codec.removeprefix("lib")[:3] in recording.source.codec or codec.endswith("amrnb")
    assert (recording.silences, recording.offset, recording.quality.warnings) == ((), 0.0, ())


def test_amr_wide_band_is_read(load):
    recording = load(sounds.amr_wide(100))
    assert recording.wave.seconds == pytest.approx(2.0, abs=0.001)
    assert (recording.source.container, recording.source.sample_rate) == ("amr", 16_000)
    assert recording.source.codec == "amrwb"


def test_the_source_is_described(load, tmp_path):
    import hashlib

    recording = load(make("s16.wav"), name="My voice.wav")
    source = recording.source
    data = (tmp_path / "My voice.wav").read_bytes()
    assert source.sha256 == hashlib.sha256(data).hexdigest()
    assert (source.name, source.bytes, source.codec) == ("My voice.wav", len(data), "pcm_s16le")


PLAIN = "u8.wav s16.wav s24.wav s32.wav f32.wav f64.wav alaw.wav mulaw.wav rf64.wav s16.w64 s16.aiff s16.au s16.caf"


@pytest.mark.parametrize("kind", [*PLAIN.split(), "voice.flac"])
def test_lossless_files_equal_what_libsndfile_reads(load, kind):
    data = make(kind)
    theirs, rate = soundfile.read(io.BytesIO(data), dtype="float32")
    assert rate == RATE
    np.testing.assert_allclose(load(data).wave.samples, theirs, atol=2e-7)


@pytest.mark.parametrize("kind", ["vorbis.ogg", "voice.mp3"])
def test_lossy_files_equal_what_libsndfile_reads(load, kind):
    data = make(kind)
    theirs, _ = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    ours = load(data).wave.samples
    assert len(ours) == pytest.approx(len(theirs), abs=1152)
    both = min(len(ours), len(theirs)) - 2000
    np.testing.assert_allclose(ours[1000:both], theirs[1000:both].mean(axis=1), atol=2e-3)


@pytest.mark.parametrize("kind", ["s16.wav", "s32.wav", "f32.wav", "f64.wav"])
def test_wav_files_equal_what_scipy_reads(load, kind):
    data = make(kind)
    _, theirs = scipy.io.wavfile.read(io.BytesIO(data))
    full = 1.0 if theirs.dtype.kind == "f" else float(np.iinfo(theirs.dtype).max) + 1
    np.testing.assert_allclose(load(data).wave.samples, theirs / full, atol=2e-7)


def test_extensible_headers_are_read(load):
    extensible = make("s24.wav")
    assert extensible[20:22] == b"\xfe\xff"  # WAVE_FORMAT_EXTENSIBLE
    assert load(extensible).source.codec == "pcm_s24le"


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000])
def test_every_rate_comes_to_16_khz(load, rate):
    recording = load(sounds.wav(tone(1.5, rate=rate)[0], rate=rate, tag=3, bits=32))
    assert len(recording.wave.samples) == pytest.approx(1.5 * RATE, abs=1)
    middle = recording.wave.samples[4000 : 4000 + RATE]
    assert amplitude(middle, 440) == pytest.approx(0.5, rel=1e-4)
    assert level(middle) == pytest.approx(0.5, rel=1e-4)  # and nothing else is there


def test_resampling_in_pieces_equals_resampling_at_once(load):
    import soxr

    sound = syllables(20, rate=44_100)[0]
    ours = load(sounds.wav(sound, rate=44_100, tag=3, bits=32)).wave.samples
    whole = soxr.resample(sound, 44_100, RATE, quality="HQ")
    assert len(ours) == len(whole)
    np.testing.assert_allclose(ours, whole, atol=1e-5)


def test_what_16_khz_cannot_hold_is_gone(load):
    high = tone(2, rate=48_000, hertz=12_000)
    edge = tone(2, rate=48_000, hertz=7_000)
    heard = load(sounds.wav(high[0], rate=48_000, tag=3, bits=32)).wave.samples[4000:-4000]
    assert level(heard) < 0.5e-3  # -60 dB
    kept = load(sounds.wav(edge[0], rate=48_000, tag=3, bits=32)).wave.samples[4000 : 4000 + RATE]
    assert amplitude(kept, 7_000) == pytest.approx(0.5, rel=0.01)


@pytest.mark.parametrize(
    ("container", "codec"), [("wav", "pcm_s16le"), ("flac", "flac"), ("ipod", "aac"), ("ogg", "libopus")]
)
@pytest.mark.parametrize("channels", [2, 6, 8])
def test_channels_are_averaged(load, container, codec, channels):
    places = [channel for channel in range(channels) if channel != 3]  # the fourth is for low tones, and codecs cut it
    sound = np.concatenate([tone(2, rate=48_000, hertz=200 + 100 * channel) for channel in range(channels)])
    recording = load(encode(sound, container, codec, rate=48_000))
    assert recording.source.channels == channels
    middle = recording.wave.samples[8000 : 8000 + RATE]
    for channel in places:
        assert amplitude(middle, 200 + 100 * channel) == pytest.approx(0.5 / channels, rel=0.04)


def test_many_channels_in_one_file(load):
    recording = load(sounds.wav(np.tile(tone(1).T, (1, 64)).astype(np.float32), tag=3, bits=32))
    assert recording.source.channels == 64
    assert level(recording.wave.samples) == pytest.approx(0.5, rel=1e-3)


def test_channels_in_an_order_of_their_own_do_not_end_the_process(tmp_path):
    """PyAV 18 frees such layouts twice; in a process of its own, because the failure is its death."""
    (tmp_path / "centres.caf").write_bytes(sounds.caf(tone(1, channels=2), labels=(3, 3)))
    code = (
        "import sys; from pathlib import Path; from emoscope import audio\n"
        "for _ in range(20): found = audio.load(Path(sys.argv[1]), limits=audio.Limits(60, 10**7))\n"
        "print(found.source.channels, found.wave.seconds)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "centres.caf"], capture_output=True, text=True, cwd=ROOT
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "2 1.0\n", "")


@pytest.mark.parametrize("kind", ["bare.mp3", "voice.aac", "voice.flac"])
def test_tags_with_a_cover_image_stand_before_the_sound(load, kind):
    cover = sounds.id3(picture=b"\x89PNG" + bytes(range(256)) * 400)  # longer than what is looked at
    tagged = load(cover + make(kind))
    assert tagged.source.container == kind.split(".")[1]
    np.testing.assert_array_equal(tagged.wave.samples, load(make(kind)).wave.samples)


@pytest.mark.parametrize(("container", "codec"), [("mp4", "aac"), ("mp3", "libmp3lame")])
def test_a_cover_image_is_no_video(load, container, codec):
    recording = load(encode(tone(2), container, codec, cover=True))
    assert pitch(recording.wave.samples) == pytest.approx(440, abs=1)
    assert recording.quality.warnings == ()


def test_an_mp3_may_begin_with_the_rest_of_a_frame(load):
    data = make("bare.mp3")
    assert load(data[100:]).source.container == "mp3"


def test_sound_that_sets_in_late_keeps_the_clock_of_the_video(load):
    for container, codec in (("mp4", "aac"), ("matroska", "aac"), ("webm", "libopus")):
        rate = 48_000
        recording = load(encode(tone(1.5, rate=rate), container, codec, rate=rate, late=1.0, picture=2.5))
        assert recording.wave.seconds == pytest.approx(2.5, abs=0.06)
        (silence,) = recording.silences
        assert silence == (0.0, pytest.approx(1.0, abs=0.05))


def test_lost_packets_leave_silence_and_not_a_shorter_file(load):
    recording = load(encode(tone(3, rate=48_000), "webm", "libopus", rate=48_000, drop=range(50, 100)))
    assert recording.wave.seconds == pytest.approx(3.0, abs=0.05)
    (silence,) = recording.silences
    assert silence == pytest.approx((1.0, 2.0), abs=0.05)


def test_a_broken_clock_is_not_believed(load):
    recording = load(encode(tone(1), "matroska", "flac", late=100_000, picture=1.0))
    assert recording.wave.seconds == pytest.approx(1.0, abs=0.01)


def test_joined_files_are_one_recording(load):
    twice = load(make("opus.ogg", seconds=1) + make("opus.ogg", seconds=1.5))
    assert twice.wave.seconds == pytest.approx(2.5, abs=0.05)
    other = encode(tone(1, rate=48_000, channels=2), "adts", "aac", rate=48_000)
    mixed = load(make("voice.aac", seconds=1) + other)  # the rate and the channels change on the way
    assert mixed.wave.seconds == pytest.approx(2.2, abs=0.15)
    assert pitch(mixed.wave.samples[-RATE // 2 :]) == pytest.approx(440, abs=3)


def test_every_format_names_one_demuxer_and_its_endings():
    demuxers = [format.demuxer for format in audio.FORMATS]
    assert len(set(demuxers)) == len(demuxers)
    for demuxer in demuxers:
        assert av.ContainerFormat(demuxer, "r").is_input
    assert not {"hls", "concat", "dash", "sdp", "rtsp", "image2", "lavfi", "ffmetadata", "mpegts"} & set(demuxers)
    assert set(audio.ENDINGS) >= {
        ".wav",
        ".mp3",
        ".m4a",
        ".aac",
        ".flac",
        ".ogg",
        ".webm",
        ".amr",
        ".mp4",
        ".mov",
        ".mkv",
    }
    assert all(ending.startswith(".") and ending == ending.lower() for ending in audio.ENDINGS)


# -- nothing but the file itself --------------------------------------------------------------------------------------

SCRIPTS = {
    "HLS": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1:9/secret.wav\n#EXTINF:10,\nother.wav\n",
    "concat": "ffconcat version 1.0\nfile 'other.wav'\n",
    "SDP": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n",
    "DASH": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>http://127.0.0.1:9/</BaseURL></MPD>',
    "text": "Dear diary, today I recorded nothing.\n",
    "Chinese": "今天我什么都没有录。\n" * 300,
}


@pytest.mark.parametrize("kind", SCRIPTS)
def test_a_text_that_names_other_files_is_a_text(load, tmp_path, kind):
    (tmp_path / "other.wav").write_bytes(make("s16.wav"))
    with pytest.raises(AudioError, match=r"^clip\.wav is a text file\. Give a WAV"):
        load(SCRIPTS[kind].encode(), name="clip.wav")


def test_a_mov_cannot_make_us_read_another_file(load, tmp_path):
    (tmp_path / "secret.raw").write_bytes((tone(3, hertz=1000)[0] * 32767).astype("<i2").tobytes())
    place = [b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"]
    evil = sounds.with_box(encode(tone(1), "mov", "pcm_s16le"), place, sounds.alias("x/secret.raw"))
    with pytest.raises(AudioError):
        load(evil, name="evil.mov")
    with av.open(str(tmp_path / "evil.mov"), options={"enable_drefs": "1"}) as opened:  # the attack itself is real
        stolen = np.concatenate([frame.to_ndarray()[0] for frame in opened.decode(audio=0)])
    assert pitch(stolen[:RATE]) == pytest.approx(1000, abs=1)


def test_ffmpeg_is_held_to_the_demuxer_that_we_name():
    from emoscope.audio.decode import OPTIONS

    data = make("voice.flac")
    for options in ({"format_whitelist": "wav"}, {**OPTIONS, "format_whitelist": "wav"}):
        with pytest.raises(av.FFmpegError):
            av.open(io.BytesIO(data), format="flac", options=options)


# -- limits -----------------------------------------------------------------------------------------------------------


def test_a_file_over_the_size_limit_is_not_opened(load):
    with pytest.raises(TooLargeError) as error:
        load(bytes(3_000_000), name="song.wav", limits=audio.Limits(60, 2_000_000))
    assert str(error.value) == (
        "song.wav has 3 MB; the limit is 2 MB. Cut it, save it as MP3 or M4A, or set EMOSCOPE_MAX_MB."
    )


@pytest.mark.parametrize(
    "kind", ["s16.wav", "voice.mp3", "voice.m4a", "voice.flac", "opus.ogg", "opus.webm", "film.mov"]
)
def test_a_file_over_the_length_limit_is_refused_with_its_length(load, kind):
    calls = []
    with pytest.raises(TooLargeError) as error:
        load(
            make(kind, seconds=3),
            name="song.x",
            limits=audio.Limits(2.0, 10**8),
            progress=lambda *call: calls.append(call),
        )
    assert str(error.value) == "song.x is 3 s long; the limit is 2 s. Cut it, or set EMOSCOPE_MAX_MINUTES."
    assert len(calls) == 1  # nothing was decoded


@pytest.mark.parametrize("kind", ["bare.mp3", "voice.aac", "voice.amr"])
def test_a_file_that_does_not_state_its_length_is_stopped_at_the_limit(load, kind):
    with pytest.raises(TooLargeError) as error:
        load(make(kind, seconds=3), name="song.x", limits=audio.Limits(2.0, 10**8))
    assert str(error.value) == "song.x is longer than the limit of 2 s. Cut it, or set EMOSCOPE_MAX_MINUTES."


def bomb(minutes):
    """A FLAC of digital silence: 8 kB unpack to a minute."""
    return encode(nothing(60 * minutes, rate=8_000), "flac", "flac", rate=8_000)


def test_a_small_file_that_unpacks_to_hours_stops_at_the_limit(load):
    data = bomb(15)
    assert len(data) < 200_000
    tracemalloc.start()
    try:
        with pytest.raises(TooLargeError, match=r"^clip is 15 min long; the limit is 1 min\."):
            load(data, limits=audio.Limits(60, 10**8))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20e6  # bytes: 1 min at 16 kHz is 4 MB, 15 min would be 58 MB


@pytest.mark.parametrize("claimed", [36_000 * 32_000, 0xFFFFFFFF, 0x7FFFFFFF])
def test_a_header_that_claims_hours_is_not_believed(load, claimed):
    data = sounds.wav((tone(5)[0] * 32767).astype("<i2"), claimed=claimed)
    recording = load(data)
    assert recording.wave.seconds == 5.0
    assert bool(recording.quality.warnings) == (claimed == 36_000 * 32_000)  # the others mean "not known", as in pipes


@pytest.mark.parametrize("rate", [1, 500, 4_000_000_000])
def test_an_impossible_rate_is_no_bomb(load, rate):
    with pytest.raises((AudioError, TooLargeError)):
        load(sounds.wav(np.ones(100_000, dtype="<i2"), rate=rate))


def test_a_chunk_larger_than_its_file_reserves_no_memory(load):
    data = bytearray(make("s24.wav"))
    at = data.index(b"LIST")
    data[at + 4 : at + 8] = (2**31 - 100).to_bytes(4, "little")
    start = time.perf_counter()
    with pytest.raises(AudioError, match="damaged"):
        load(bytes(data))
    assert time.perf_counter() - start < 0.5  # clearing 2 GB takes longer


def test_lengths_and_sizes_are_said_as_people_say_them():
    assert [length(seconds) for seconds in (0.03, 3.2, 30, 59.97, 65, 3599.9, 7200, 11_520)] == [
        "0 s", "3.2 s", "30 s", "1 min", "1 min 5 s", "1 h", "2 h", "3 h 12 min"
    ]  # fmt: skip
    assert [megabytes(count) for count in (400_000, 2_000_000, 612_300_000)] == ["0.4 MB", "2 MB", "612 MB"]


# -- bad input --------------------------------------------------------------------------------------------------------

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(100)


def with_value(value, dtype):
    samples = tone(1)[0].astype(dtype)
    samples[len(samples) // 2] = value
    return sounds.wav(samples, tag=3, bits=8 * samples.itemsize)


def encrypted():
    data = make("voice.m4a")
    at = data.index(b"mp4a", data.index(b"stsd"))
    return data[:at] + b"drms" + data[at + 4 :]


BAD = {
    "empty": (lambda: b"", "clip is empty (0 bytes). Save or send it again."),
    "image": (lambda: PNG, "clip is an image. Give a WAV, "),
    "photo": (lambda: b"\xff\xd8\xff\xe0" + bytes(3000), "clip is an image. Give a WAV, "),
    "big-endian": (
        lambda: b"RIFX\0\0\0\0WAVE" + bytes(99),
        "clip is a big-endian WAV file, which Emoscope cannot read. Gi",
    ),
    "PDF": (lambda: b"%PDF-1.7\n" + bytes(99), "clip is a PDF document. Give a WAV, "),
    "zip": (lambda: b"PK\x03\x04" + bytes(99), "clip is a ZIP archive or an office document. Give a WAV, "),
    "MIDI": (lambda: b"MThd" + bytes(99), "clip is a MIDI file, which holds notes but no sound. Give"),
    "WMA": (
        lambda: b"0&\xb2u\x8ef\xcf\x11" + bytes(99),
        "clip is a Windows Media file, which Emoscope cannot read. Give",
    ),
    "AVI": (lambda: b"RIFF\0\0\0\0AVI LIST" + bytes(99), "clip is an AVI video, which Emoscope cannot read. Give"),
    "WebP": (lambda: b"RIFF\0\0\0\0WEBPVP8 " + bytes(99), "clip is an image. Give"),
    "UTF-16": (lambda: "hello".encode("utf-16"), "clip is a text file. Give"),
    "zeros": (lambda: bytes(5000), "clip is no recording that Emoscope knows. Give a WAV, "),
    "noise": (lambda: np.random.default_rng(0).bytes(100_000), "clip is no recording that Emoscope knows. Give"),
    "video": (sounds.video_only, "clip holds a video without sound. Give a file with a voice in it."),
    "silent film": (lambda: sounds.video_only("matroska"), "clip holds a video without sound. Give"),
    "NaN": (lambda: with_value(np.nan, np.float32), "clip holds samples that are no sound (NaN, infinite, or absurdly"),
    "infinite": (lambda: with_value(-np.inf, np.float64), "clip holds samples that are no sound (NaN, infinite"),
    "absurd": (lambda: with_value(1e300, np.float64), "clip holds samples that are no sound (NaN, infinite"),
    "10 ms": (lambda: sounds.wav((tone(0.01)[0] * 9999).astype("<i2")), "clip is only 10 ms long; at least 25 ms are"),
    "no samples": (lambda: sounds.wav(np.zeros(0, "<i2")), "clip "),
    "header": (lambda: make("s16.wav")[:30], "clip looks like WAV, but it is damaged or its end is missing. Save"),
    "cut MP4": (
        lambda: make("voice.m4a")[:8000],
        "clip looks like MP4/M4A/MOV, but it is damaged or its end is missing.",
    ),
    "cut to nothing": (lambda: make("voice.flac")[:400], "clip "),
    "encrypted": (encrypted, "clip is encrypted (copy-protected). Give a file without protection."),
    "codec": (
        lambda: encode(tone(1), "matroska", "tta"),
        "clip holds sound in the codec tta, which Emoscope cannot read.",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_gets_one_clear_sentence_and_leaves_no_trace(load, tmp_path, monkeypatch, capfd, kind):
    made, said = BAD[kind]
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with pytest.raises(AudioError) as error:
        load(made())
    message = str(error.value)
    assert message.startswith(said)
    assert message.endswith(".")
    assert str(tmp_path) not in message
    assert list(temporary.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_what_is_no_file_is_said_to_be_none(tmp_path):
    for file, said in (
        (tmp_path / "missing.wav", "missing.wav does not exist. Check its name and folder."),
        (tmp_path, f"{tmp_path.name} is a folder. Give a file."),
        (Path(os.devnull), "null is a device and no file. Give a WAV"),
    ):
        with pytest.raises(AudioError) as error:
            audio.load(file, limits=LIMITS)
        assert str(error.value).startswith(said)


def test_a_file_that_may_not_be_read_is_said_to_be_closed(tmp_path, monkeypatch):
    (tmp_path / "clip").write_bytes(make("s16.wav"))

    def refuse(*_arguments):  # `chmod` would not stop root
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(AudioError, match=r"^clip cannot be opened \(Permission denied\)"):
        audio.load(tmp_path / "clip", limits=LIMITS)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("C:\\fakepath\\voice.wav", "voice.wav"),
        ("../../etc/passwd", "passwd"),
        ("two\nlines\x1b[31m.wav", "twolines[31m.wav"),
        ("语音 1.m4a", "语音 1.m4a"),
        ("", "The file"),
    ],
)
def test_the_uploaded_name_is_shown_without_folders_or_tricks(tmp_path, given, shown):
    (tmp_path / "upload").write_bytes(b"text")
    with pytest.raises(AudioError) as error:
        audio.load(tmp_path / "upload", name=given, limits=LIMITS)
    assert str(error.value).startswith(f"{shown} is a text file.")


UNUSABLE_WHEN_CUT = {"voice.m4a", "alac.m4a", "film.mp4", "film.mov", "voice.3gp"}  # their index is at the end
UNNOTICED_WHEN_CUT = {"bare.mp3"}  # it says nowhere how long it is


@pytest.mark.parametrize("kind", sorted(set(sounds.KINDS) - UNUSABLE_WHEN_CUT - UNNOTICED_WHEN_CUT))
def test_what_is_left_of_a_cut_file_is_used_with_a_warning(load, kind):
    data = make(kind, seconds=5)
    recording = load(data[: int(0.6 * len(data))])
    seconds = recording.wave.seconds
    assert 1.9 < seconds < 3.5
    assert recording.quality.warnings == (f"The file ends early: {length(seconds)} could be read and were used.",)
    assert pitch(recording.wave.samples) == pytest.approx(440, abs=3)


def test_a_cut_mp4_with_its_index_in_front_is_used_too(load):
    data = sounds.index_first(make("voice.m4a"))
    recording = load(data[: int(0.6 * len(data))])
    assert 0.7 < recording.wave.seconds < 1.5
    assert recording.quality.warnings[0].startswith("The file ends early: ")


def test_damage_in_the_middle_keeps_the_clock(load):
    data, junk = bytearray(make("voice.m4a", seconds=6)), np.random.default_rng(0)
    for part in range(20):
        at = len(data) // 3 + part * len(data) // 60
        data[at : at + 60] = junk.bytes(60)
    recording = load(bytes(data))
    assert recording.wave.seconds == pytest.approx(6.0, abs=0.1)
    assert recording.quality.warnings == ("Parts of the file are damaged; silence stands in their place.",)


def test_progress_is_told_and_may_cancel(load):
    told = []
    load(make("s16.wav", seconds=60), progress=lambda what, done: told.append((what, done)))
    assert {what for what, _ in told} == {"Reading the recording"}
    shares = [done for _, done in told]
    assert shares == sorted(shares)
    assert len(shares) > 3
    assert shares[-1] <= 1

    def cancel(_what, done):
        if done:
            raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        load(make("s16.wav", seconds=60), progress=cancel)


DAMAGED = {kind: make(kind, seconds=0.3) for kind in sounds.KINDS} | {"wide.amr": sounds.amr_wide(15)}
PLACES = st.one_of(st.integers(0, 200), st.integers(0, 1 << 20), st.integers(-1500, -1))
CHANGES = st.lists(
    st.tuples(PLACES, st.sampled_from(["set", "cut", "put", "double"]), st.binary(min_size=1, max_size=8))
)


@settings(max_examples=250, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(kind=st.sampled_from(sorted(DAMAGED)), changes=CHANGES, end=st.one_of(st.none(), st.floats(0, 1)))
def test_damaged_bytes_never_do_more_than_raise_our_error(tmp_path_factory, kind, changes, end):
    data = bytearray(DAMAGED[kind])
    for place, change, value in changes:
        at = place % (len(data) or 1)
        if change == "set":
            data[at : at + len(value)] = value
        elif change == "cut":
            del data[at : at + 8 * len(value)]
        elif change == "put":
            data[at:at] = value
        else:
            data[at:at] = data[at : at + 300]
    if end is not None:
        data = data[: int(end * len(data))]
    file = tmp_path_factory.getbasetemp() / "damaged"
    file.write_bytes(bytes(data))
    try:
        recording = audio.load(file, limits=audio.Limits(60, 10**7))
    except EmoscopeError:
        return
    assert recording.wave.seconds <= 60
    assert np.abs(recording.wave.samples).max() <= 2.0


# -- quality ----------------------------------------------------------------------------------------------------------


def quality(load, sound):
    return load(sounds.wav(sound[0], tag=3, bits=32)).quality


def test_duration_and_peak_are_those_of_the_file(load):
    found = load(
        encode(tone(2, rate=44_100, level=0.8), "wav", "pcm_s16le", rate=44_100), trim=True, normalise=True
    ).quality
    assert found.duration == pytest.approx(2.0, abs=1e-3)
    assert found.peak == pytest.approx(0.8, abs=1e-3)


def test_clipping_is_seen_at_the_files_own_rate(load):
    loud = np.clip(tone(2, rate=44_100, level=2.0), -1, 1)
    found = load(encode(loud, "wav", "pcm_s16le", rate=44_100)).quality
    assert found.clipped == pytest.approx(2 / 3, abs=0.01)  # a sine is over half its height two thirds of the time
    assert any("66.7% of the samples are clipped" in warning for warning in found.warnings)


def test_a_lone_peak_is_no_clipping(load):
    sound = tone(2, level=0.3)
    sound[0, 5000:6000:100] = 1.0
    assert quality(load, sound).clipped == 0.0
    assert quality(load, sound).warnings == ()


@pytest.mark.parametrize("decibels", [0, 10, 20, 30])
def test_the_noise_ratio_is_estimated(load, decibels):
    sound = syllables(12, decibels=-20) + noise(12, decibels=-20 - decibels)
    found = quality(load, sound)
    assert found.snr == pytest.approx(decibels, abs=4)
    assert any("noisy" in warning for warning in found.warnings) == (decibels == 0)


def test_a_steady_sound_has_no_noise_ratio(load):
    for sound in (tone(3), noise(3), nothing(3)):
        assert quality(load, sound).snr is None


@pytest.mark.parametrize(
    ("sound", "said"),
    [
        (tone(0.6), "The recording is only 0.60 s long; give at least 1 s"),
        (tone(65), "The recording is 1 min 5 s long, so it is heard in windows; that is fine, only slower."),
        (tone(2, level=0.001), "The recording is nearly silent; check that the right microphone"),
        (nothing(2), "The recording is nearly silent; check that the right microphone"),
    ],
)
def test_a_warning_says_what_to_do(load, sound, said):
    (warning,) = quality(load, sound).warnings
    assert warning.startswith(said)


def test_samples_of_another_scale_are_brought_back(load):
    recording = load(sounds.wav(tone(2)[0] * 32768, tag=3, bits=32))
    assert level(recording.wave.samples) == pytest.approx(1.0, rel=1e-3)
    assert recording.quality.peak == pytest.approx(16384, rel=1e-3)
    assert recording.quality.clipped == 0.0
    (warning,) = recording.quality.warnings
    assert "scaled down" in warning


# -- silence ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sound", [nothing(3), noise(3, decibels=-80), noise(3, decibels=-65), nothing(0.05), nothing(3) + 0.2]
)
def test_silence_is_silent_all_through(sound):
    assert silences(waveform(sound)) == ((0.0, sound.shape[1] / RATE),)


@pytest.mark.parametrize(
    "sound", [noise(3, decibels=-40), noise(3, decibels=-55), tone(3), tone(3, hertz=90), tone(0.05)]
)
def test_a_steady_sound_is_not_silence(sound):
    assert silences(waveform(sound)) == ()


@pytest.mark.parametrize("floor", [-100, -80, -60, -50])
@pytest.mark.parametrize("offset", [0.0, 0.05])
def test_pauses_are_found_over_any_floor_of_noise(floor, offset):
    sound = np.concatenate([nothing(1), tone(1.5), nothing(0.7), tone(1), nothing(0.1), tone(1), nothing(1.2)], axis=1)
    found = silences(waveform(sound + noise(6.5, decibels=floor) + np.float32(offset)))
    assert np.array(found) == pytest.approx(np.array([(0.0, 1.0), (2.5, 3.2), (5.3, 6.5)]), abs=0.03)


def test_a_quiet_recording_is_measured_by_its_own_level():
    sound = np.concatenate([tone(2, level=0.003), nothing(1), tone(2, level=0.003)], axis=1) + noise(5, decibels=-90)
    assert np.array(silences(waveform(sound))) == pytest.approx(np.array([(2.0, 3.0)]), abs=0.03)


def test_a_click_in_a_silence_is_not_sound():
    sound = np.concatenate([tone(1), nothing(2), tone(1)], axis=1)
    sound[0, 2 * RATE : 2 * RATE + 300] = 0.5
    assert np.array(silences(waveform(sound))) == pytest.approx(np.array([(1.0, 3.0)]), abs=0.03)


def test_an_hour_of_silence_search_takes_well_under_a_second():
    minute = (syllables(60) + noise(60, decibels=-55))[0]
    hour = Waveform(np.tile(minute, 60))
    start = time.perf_counter()
    found = silences(hour)
    assert time.perf_counter() - start < 1.5  # 0.1 s on two quiet cores
    assert len(found) > 1000


# -- treatment --------------------------------------------------------------------------------------------------------


def framed(seconds=4.0, before=3.0, after=2.0):
    return np.concatenate([nothing(before), syllables(seconds), nothing(after)], axis=1) + noise(
        before + seconds + after, decibels=-70
    )


def test_trimming_keeps_times_on_the_clock_of_the_file(load):
    recording = load(sounds.wav(framed()[0], tag=3, bits=32), trim=True)
    whole = load(sounds.wav(framed()[0], tag=3, bits=32))
    assert recording.offset == pytest.approx(2.9, abs=0.1)
    assert recording.wave.seconds < 4.5
    first = round(recording.offset * RATE)
    np.testing.assert_array_equal(
        recording.wave.samples, whole.wave.samples[first : first + len(recording.wave.samples)]
    )
    inner = [silence for silence in whole.silences if silence[0] > 3 and silence[1] < 7]
    moved = np.array(recording.silences) + recording.offset
    for silence in inner:
        assert np.abs(moved - silence).sum(axis=1).min() < 1e-6
    assert all(0 <= start < end <= recording.wave.seconds for start, end in recording.silences)
    assert recording.quality == whole.quality


@pytest.mark.parametrize("sound", [nothing(2), noise(2, decibels=-80), tone(2)])
def test_nothing_is_trimmed_where_there_is_nothing_to_keep_or_to_cut(sound):
    kept, offset, _ = trim(waveform(sound), silences(waveform(sound)))
    assert (len(kept.samples), offset) == (2 * RATE, 0.0)


@pytest.mark.parametrize("at", [0.0, 0.5, 0.999])
def test_at_least_one_frame_is_left(at):
    kept, offset, _ = trim(waveform(nothing(1)), [(0.0, at), (min(1.0, at + 0.0001), 1.0)])
    assert 400 <= len(kept.samples) <= RATE
    assert 0 <= offset <= 1 - 400 / RATE


@pytest.mark.parametrize("seconds", [0.03, 0.7, 31.7])
@pytest.mark.parametrize("kind", ["voice", "silence", "gated"])
def test_denoising_keeps_the_length_and_every_number_finite(seconds, kind):
    sound = {"voice": syllables(seconds) + noise(seconds), "silence": nothing(seconds), "gated": syllables(seconds)}[
        kind
    ]
    told = []
    cleaned = denoise(waveform(sound), told.append)
    assert len(cleaned.samples) == sound.shape[1]
    assert np.isfinite(cleaned.samples).all()
    assert told == sorted(told)


def test_denoising_lowers_the_noise_and_spares_the_voice():
    voice = syllables(35, decibels=-20)
    heard = voice + noise(35, decibels=-40)
    cleaned = denoise(waveform(heard), lambda _done: None).samples
    pauses = np.abs(voice[0]) == 0
    assert np.std(cleaned[pauses]) < 0.4 * np.std(heard[0][pauses])
    assert np.corrcoef(cleaned, voice[0])[0, 1] > 0.99
    seam = 30 * RATE  # where two pieces meet
    assert np.abs(np.diff(cleaned[seam - 2 : seam + 2])).max() < 0.1


def test_loudness_equals_pyloudnorm_at_once():
    from pyloudnorm import Meter

    for sound in (syllables(20), noise(3, decibels=-30)):
        assert measure_loudness(waveform(sound)) == pytest.approx(
            Meter(RATE).integrated_loudness(sound[0].astype(np.float64)), abs=1e-6
        )


def test_loudness_in_pieces_equals_loudness_at_once(monkeypatch):
    from emoscope.audio import treat

    wave = waveform(syllables(50))
    whole = measure_loudness(wave)
    monkeypatch.setattr(treat, "METERED", 7 * RATE)
    assert measure_loudness(wave) == pytest.approx(whole, abs=0.3)


def test_normalising_brings_the_loudness_or_the_highest_peak():
    quiet = normalise(waveform(noise(5, decibels=-50)))
    assert measure_loudness(quiet) == pytest.approx(-23, abs=0.1)
    spiky = nothing(5)
    spiky[0, ::4000] = 0.5
    assert np.abs(normalise(waveform(spiky)).samples).max() == pytest.approx(10 ** (-1 / 20), rel=1e-4)
    short = normalise(waveform(tone(0.1, level=0.01)))
    assert np.abs(short.samples).max() == pytest.approx(10 ** (-1 / 20), rel=1e-3)
    assert len(short.samples) == 1600


def test_silence_stays_silence_when_normalised(load):
    for sound in (nothing(2), noise(2, decibels=-65)):
        recording = load(sounds.wav(sound[0], tag=3, bits=32), trim=True, denoise=True, normalise=True)
        assert recording.silences == ((0.0, 2.0),)
        assert np.abs(recording.wave.samples).max() < 0.01


def test_all_three_together(load, tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    told = []
    sound = framed() + noise(9, decibels=-45)
    recording = load(
        sounds.wav(sound[0], tag=3, bits=32),
        trim=True,
        denoise=True,
        normalise=True,
        progress=lambda what, _: told.append(what),
    )
    assert list(dict.fromkeys(told)) == ["Reading the recording", "Reducing the noise", "Normalising the loudness"]
    assert recording.offset == pytest.approx(2.9, abs=0.15)
    assert recording.quality.duration == 9.0
    assert measure_loudness(recording.wave) == pytest.approx(-23, abs=1.5)
    assert list((tmp_path / "temporary").iterdir()) == []


# -- writing ----------------------------------------------------------------------------------------------------------


def test_a_written_wav_is_16_bits_at_16_khz_and_reads_back_exactly(load, tmp_path):
    recording = load(make("s16.wav"))
    audio.write_wav(recording.wave, tmp_path / "out.wav")
    with wave.open(str(tmp_path / "out.wav")) as written:
        assert written.getparams()[:4] == (1, 2, RATE, len(recording.wave.samples))
    again = audio.load(tmp_path / "out.wav", limits=LIMITS)
    np.testing.assert_array_equal(again.wave.samples, recording.wave.samples)


def test_samples_beyond_full_scale_are_clipped_and_not_wrapped(tmp_path):
    audio.write_wav(waveform(tone(1, level=1.5)), tmp_path / "out.wav")
    samples, _ = soundfile.read(tmp_path / "out.wav", dtype="int16")
    assert (samples.min(), samples.max()) == (-32768, 32767)
    assert np.abs(np.diff(samples.astype(int))).max() < 10_000


def test_importing_loads_only_what_decoding_needs():
    heavy = ("torch", "gradio", "pydub", "noisereduce", "pyloudnorm", "scipy")
    code = f"import sys, emoscope.audio; print([name for name in {heavy} if name in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert run.stdout == "[]\n"


def test_the_formats_are_told_apart_by_content_alone():
    for kind, data in DAMAGED.items():
        found = formats.recognise(io.BytesIO(data), len(data))
        assert found is not None, kind
        assert not found.broken
        assert not found.cut, kind
