"""Speech to text: FunASR's tags and times, where a recording is cut, subtitles; FunASR's own classes, made small."""

import random

import numpy as np
import pytest
import torch

from emoscope import transcribe
from emoscope.errors import Cancelled, InputError, ModelError, OptionError, TooLargeError
from emoscope.labels import LABELS
from emoscope.results import ModelInfo, Waveform
from emoscope.transcribe import cut, files
from emoscope.transcribe.recogniser import NOTHING, Recogniser
from emoscope.transcribe.rich import EMOTIONS, language_of, parse_result
from emoscope.transcribe.sensevoice import dithered
from emoscope.transcript import Line, Moment
from tests import recognisers, standins

INFO = ModelInfo("SenseVoiceSmall", "SenseVoiceSmall", "0" * 64, "fp32", "cpu")


# --- what FunASR says -------------------------------------------------------------------------------------------------


def test_tags_become_language_emotion_and_events():
    said = parse_result({"text": "<|zh|><|HAPPY|><|Laughter|><|withitn|>今天很开心。"}, (2.0, 4.0))
    assert said.lines == (Line("今天很开心。", (2.0, 4.0), "happy", ("laughter",)),)
    assert language_of([said]) == "zh"


@pytest.mark.parametrize(
    ("tags", "emotion", "events", "language"),
    [
        ("<|en|><|EMO_UNKNOWN|><|Speech|><|woitn|>", "unknown", (), "en"),
        ("<|yue|><|FEARFUL|><|BGM|><|withitn|>", "fearful", ("music",), "zh"),
        ("<|ja|><|SURPRISED|><|Cry|><|Cough|>", "surprised", ("crying", "cough"), "ja"),
        ("<|ko|><|NEUTRAL|><|Applause|><|Sneeze|><|Breath|>", "neutral", ("applause", "sneeze", "breath"), "ko"),
        ("<|nospeech|><|Event_UNK|>", "", (), ""),
        ("<|xx|><|NEW_THING|><|1.5|>", "", (), ""),
        ("", "", (), ""),
    ],
)
def test_every_known_tag_is_understood_and_no_tag_reaches_the_text(tags, emotion, events, language):
    said = parse_result({"text": f"{tags}Yes <|GBG|>indeed."}, (0.0, 1.0))
    assert said.lines == (Line("Yes indeed.", (0.0, 1.0), emotion, events),)
    assert language_of([said]) == language


def test_emotions_are_ours():
    assert set(EMOTIONS.values()) <= set(LABELS)


def test_the_times_of_words_are_found_in_the_text_and_make_those_of_sentences():
    result = {
        "text": "<|en|><|SAD|><|Speech|><|withitn|>I lost 50 keys. Where are they?",
        "words": ["▁I", "lost", "fifty", "keys", ".", "Where", "are", "they", "?"],
        "timestamp": [[30, 150], [150, 400], [400, 800], [800, 1200], [1200, 1260], [1900, 2200], [2200, 2300],
                      [2300, 2700], [2700, 2760]],
    }  # fmt: skip
    first, second = parse_result(result, (10.0, 12.7)).lines
    assert (first.text, second.text) == ("I lost 50 keys.", "Where are they?")
    assert first.time == pytest.approx((10.03, 11.26))
    assert second.time == pytest.approx((11.9, 12.7))  # no later than the sound
    assert [first.text[each.start : each.end] for each in first.moments] == ["I", "lost", "keys", "."]
    assert [second.text[each.start : each.end] for each in second.moments] == ["Where", "are", "they", "?"]
    assert second.moments[0] == Moment(0, 5, pytest.approx(11.9), pytest.approx(12.2))
    assert first.emotion == second.emotion == "sad"


def test_words_that_stand_elsewhere_do_not_move_the_rest():
    words = ["far", "a", "b", "c"]
    result = {"text": "a b c" + " x" * 30 + " far", "words": words, "timestamp": [[n, n + 9] for n in range(0, 40, 10)]}
    (line,) = parse_result(result, (0.0, 1.0)).lines
    assert [line.text[each.start : each.end] for each in line.moments] == ["a", "b", "c"]


def test_without_times_a_sentence_lasts_by_its_length():
    first, second = parse_result({"text": "<|zh|>好。很好的啊。"}, (0.0, 7.0)).lines
    assert (first.time, second.time) == ((0.0, 2.0), (2.0, 7.0))


def test_events_are_told_once_and_also_where_nobody_speaks():
    first, second = parse_result({"text": "<|en|><|HAPPY|><|Laughter|>Oh. Yes."}, (0.0, 2.0)).lines
    assert (first.events, second.events) == (("laughter",), ())
    assert parse_result({"text": "<|nospeech|><|HAPPY|><|Laughter|><|woitn|>"}, (0.0, 2.0)).lines == (
        Line("", (0.0, 2.0), "happy", ("laughter",)),
    )
    assert parse_result({"text": "<|nospeech|><|EMO_UNKNOWN|><|Event_UNK|><|woitn|>"}, (0.0, 2.0)).lines == ()
    assert parse_result({}, (0.0, 2.0)).lines == ()


def test_what_funasr_joined_is_taken_apart_again():
    merged = "<|en|><|ANGRY|><|Speech|><|withitn|>Go. <|zh|><|SAD|><|BGM|><|withitn|>不要走，留下来吧。"
    said = parse_result({"text": merged}, (0.0, 4.0))
    assert [(line.text, line.emotion, line.events) for line in said.lines] == [
        ("Go.", "angry", ()),
        ("不要走，留下来吧。", "sad", ("music",)),
    ]
    assert language_of([said]) == "zh"


# --- where a recording is cut -----------------------------------------------------------------------------------------


def noise(seconds, *quiet):
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, round(seconds * 16_000)).astype(np.float32)
    for start, end in quiet:
        samples[round(start * 16_000) : round(end * 16_000)] *= 1e-3
    return samples


def test_a_long_sound_is_cut_at_pauses_or_where_it_is_quietest():
    assert cut.pieces(noise(30)) == [(0.0, 30.0)]
    (_, first), (start, second), (last, end) = cut.pieces(
        noise(70, (20.0, 20.1)), silences=[(5, 6), (41, 42), (44, 45)]
    )
    assert 20.0 <= first <= 20.1 and start == first
    assert second == last == 44.5
    assert end == 70.0


def test_batches_hold_stretches_of_similar_length():
    times = [(0.0, 10.0), (10.0, 11.0), (20.0, 22.0), (30.0, 39.0)]
    assert list(cut.batches(times, 18.0)) == [[1, 2], [3], [0]]
    assert list(cut.batches(times, 20.0)) == [[1, 2], [3, 0]]
    assert list(cut.batches(times, 0.0)) == [[1], [2], [3], [0]]


# --- from a waveform to a transcript, with a recogniser that has known answers ----------------------------------------


class Known:
    """Answers as FunASR does, by the length of a sound in whole seconds, and keeps what it was asked."""

    def __init__(self, answers):
        self.answers, self.asked = answers, []

    def __call__(self, sounds):
        self.asked.append([len(sound) / 16_000 for sound in sounds])
        return [self.answers[round(len(sound) / 16_000)] for sound in sounds]


ANSWERS = {
    2: {"text": "<|en|><|HAPPY|><|Laughter|><|withitn|>So good!", "words": ["So", "good", "!"],
        "timestamp": [[0, 500], [500, 1500], [1500, 1560]], "certainties": [0.9, 0.5]},
    3: {"text": "<|en|><|SAD|><|Speech|><|withitn|>Not any more.", "certainties": [1.0]},
}  # fmt: skip


def test_every_stretch_of_speech_has_its_own_time_tags_and_words():
    network, seen = Known(ANSWERS), []
    recogniser = Recogniser(INFO, network, lambda _: [(1.0, 4.0), (5.0, 7.0), (8.0, 8.05)], room=60.0)
    found = recogniser.write_down(Waveform(noise(9)), lambda what, done: seen.append((what, done)))
    assert [(line.text, line.time, line.emotion, line.events) for line in found.lines] == [
        ("Not any more.", (1.0, 4.0), "sad", ()),
        ("So good!", pytest.approx((5.0, 6.56)), "happy", ("laughter",)),
    ]
    assert (found.origin, found.language, found.note) == ("SenseVoiceSmall", "en", "")
    assert found.confidence == pytest.approx(0.8)
    assert found.when(14, 16) == pytest.approx((5.0, 5.5))  # “So”
    assert network.asked == [[2.0, 3.0]]
    assert seen[0][1] == 0 and seen[-1][1] == 1


def test_without_the_model_that_finds_speech_all_of_it_is_written_down():
    network = Known({length: {"text": f"<|en|>{length}"} for length in range(31)})
    found = Recogniser(INFO, network).write_down(Waveform(noise(40)), silences=[(24.9, 25.1)])
    assert [(line.text, line.time) for line in found.lines] == [("25", (0.0, 25.0)), ("15", (25.0, 40.0))]
    assert found.confidence == 1.0  # unknown
    assert [len(batch) for batch in network.asked] == [1, 1]


def test_speech_without_a_pause_is_cut_and_a_long_recording_searched_in_parts():
    asked = []

    def all_of_it(sound):
        asked.append(len(sound) / 16_000)
        return [(0.0, len(sound) / 16_000 + 0.01)]  # FunASR rounds up

    network = Known({length: {"text": "<|en|>a"} for length in range(31)})
    found = Recogniser(INFO, network, all_of_it).write_down(Waveform(noise(610, (590, 590.1))))
    assert len(asked) == 2 and asked[0] == pytest.approx(590.05, abs=0.05) and sum(asked) == pytest.approx(610)
    assert all(15 <= length <= 30 for [length] in network.asked[2:]) and len(found.lines) == len(network.asked)
    assert all(a.time[1] == pytest.approx(b.time[0]) for a, b in zip(found.lines, found.lines[1:], strict=False))


@pytest.mark.parametrize("speech", [[], [(0.0, 2.0)]])
def test_where_nobody_speaks_a_sentence_says_so(speech):
    silent = {2: {"text": "<|nospeech|><|EMO_UNKNOWN|><|Event_UNK|><|woitn|>"}}
    found = Recogniser(INFO, Known(silent), lambda _: speech).write_down(Waveform(noise(4)))
    assert (found.lines, found.note, found.text) == ((), NOTHING, "")


def test_a_person_can_cancel_between_two_stretches():
    network = Known(ANSWERS)

    def stop(_what, done):
        if done >= 0.5:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        Recogniser(INFO, network, lambda _: [(0.0, 2.0), (3.0, 6.0)]).write_down(Waveform(noise(9)), stop)
    assert network.asked == [[2.0]]


# --- FunASR's own classes ---------------------------------------------------------------------------------------------


def test_the_faint_noise_is_the_same_each_time_and_no_louder_than_a_step_of_16_bits():
    silence = np.zeros(16_000, np.float32)
    once, again = dithered(silence), dithered(silence)
    assert np.array_equal(once, again)
    assert once.std() * 2**15 == pytest.approx(1, rel=0.03)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """SenseVoice and the VAD as they are published."""
    place = tmp_path_factory.mktemp("models")
    with standins.one_thread():
        yield recognisers.write_voice(place / "SenseVoiceSmall"), recognisers.write_vad(place / "fsmn-vad")


@pytest.fixture(scope="module")
def real(folders):
    return transcribe.load(*folders, threads=1)


def test_funasr_s_own_network_writes_down_what_its_own_vad_finds(real, folders, capfd, caplog):
    speech = standins.clip(3.0), standins.clip(4.0, seed=1)
    pause = np.zeros(2 * 16_000, np.float32)
    wave = Waveform(np.concatenate([pause, speech[0], pause, speech[1], pause]))
    chance = random.getstate()
    found = real.write_down(wave)
    assert random.getstate() == chance  # FunASR seeds it
    assert capfd.readouterr().out == "" and caplog.records == []
    times = real.find_speech(wave.samples)
    assert [time for pair in times for time in pair] == pytest.approx([2.0, 5.0, 7.0, 11.0], abs=0.35)
    with standins.third_party():
        from funasr import AutoModel

        model = AutoModel(model=str(folders[0]), device="cpu", disable_update=True, disable_pbar=True, ncpu=1)
        expected = [
            parse_result(
                model.generate(dithered(cut.part(wave.samples, time)), use_itn=True, output_timestamp=True)[0], time
            )
            for time in times
        ]
    assert found.lines == tuple(line for said in expected for line in said.lines)
    assert sum(len(line.moments) for line in found.lines) > 3
    for line in found.lines:
        assert any(start <= line.time[0] <= line.time[1] <= end for start, end in times)
        assert "<|" not in line.text
    assert 0.2 < found.confidence < 1
    assert (real.info.kind, real.info.device, len(real.info.weights)) == ("SenseVoiceSmall", "cpu", 64)


def test_a_batch_says_what_each_sound_says_alone(real):
    sounds = [standins.clip(1.0), standins.clip(2.3, seed=2)]
    together = real.network(sounds)
    for sound, answer in zip(sounds, together, strict=True):
        [alone] = real.network([sound])
        assert answer["text"] == alone["text"]
        assert answer["certainties"] == pytest.approx(alone["certainties"], abs=1e-3)


@pytest.mark.parametrize("samples", [400, 1600, 4000])
def test_the_shortest_sounds_and_silence_are_no_trouble(real, samples):
    for sound in (standins.clip(samples / 16_000), np.zeros(samples, np.float32)):
        found = real.write_down(Waveform(sound))
        assert all(line.time[1] <= samples / 16_000 for line in found.lines)
    assert found.note == NOTHING


def test_certainties_are_the_probabilities_of_the_tokens_that_ctc_leaves():
    from emoscope.transcribe.sensevoice import certainties

    tokens = torch.tensor([5, 5, 0, 5, 7, 0])
    assert certainties(torch.tensor([0.5, 0.9, 0.9, 0.25, 0.75, 0.9]), tokens, 0) == [0.5, 0.25, 0.75]


def test_where_words_cannot_be_aligned_the_text_is_there_without_their_times(tmp_path):
    model = transcribe.load(recognisers.write_voice(tmp_path / "voice", prefix=True), threads=1)
    found = model.write_down(Waveform(standins.clip(3.0)))
    assert any(line.text for line in found.lines) and not any(line.moments for line in found.lines)
    assert all(0 <= line.time[0] <= line.time[1] <= 3.0 for line in found.lines)


def change(file, old, new):
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new), "utf-8")


def drop(folder, *names):
    state = torch.load(folder / "model.pt")
    torch.save({name: weight for name, weight in state.items() if name not in names}, folder / "model.pt")


class Trap:
    def __reduce__(self):
        return (exit, ("it ran",))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "model.pt").unlink(), r"SenseVoice Small in .* is not whole; \./run\.sh"),
        (lambda folder: (folder / "model.pt").write_bytes(b"x" * 100), "from their publisher"),
        (lambda folder: torch.save({"embed.weight": Trap()}, folder / "model.pt"), "something other than numbers"),
        (lambda folder: drop(folder, "embed.weight"), "does not hold all the weights"),
        (lambda folder: change(folder / "config.yaml", "linear_units: 64", "linear_units: 65"), "size mismatch|cannot"),
        (lambda folder: change(folder / "config.yaml", "model: SenseVoiceSmall", "model: Other"), "is not whole"),
        (lambda folder: (folder / "config.yaml").write_text("{"), "is not whole"),
        (lambda folder: (folder / "configuration.json").write_text("{"), "cannot be opened"),
        (lambda folder: (folder / recognisers.BPE).write_bytes(b"x"), "cannot be opened"),
    ],
    ids=["missing", "broken", "pickle", "weights", "shape", "other", "config", "configuration", "tokenizer"],
)
def test_a_folder_that_is_not_whole_is_a_sentence(folders, tmp_path, damage, words):
    folder = tmp_path / "voice"
    folder.mkdir()
    for file in folders[0].iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    damage(folder)
    with pytest.raises(ModelError, match=words):
        transcribe.load(folder)


def test_a_device_that_is_not_there_is_a_sentence(folders):
    with pytest.raises(OptionError, match="is not there"):
        transcribe.load(*folders, device="cuda:9")


# --- files ------------------------------------------------------------------------------------------------------------

SRT = """1
00:00:01,500 --> 00:00:03,000
<i>Hello</i> there,
my {\\an8}friend &amp; all.

2
00:01:04,000 --> 00:01:05,250
你好！
"""
VTT = """WEBVTT

00:05.000 --> 00:07.000
<v Anna>Second.</v>

NOTE nothing

00:01.000 --> 00:06.000 align:start
<v.loud Bob><b>First</b> <00:02.000>one.
"""


def write(folder, name, data):
    file = folder / name
    file.write_bytes(data if isinstance(data, bytes) else data.encode())
    return file


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le+", "gb18030"])
def test_subtitles_are_read_in_any_usual_encoding(tmp_path, encoding):
    data = b"\xff\xfe" + SRT.encode("utf-16-le") if encoding.endswith("+") else SRT.encode(encoding)
    found = transcribe.read_file(write(tmp_path, "a.srt", data))
    assert found.lines == (Line("Hello there, my friend & all.", (1.5, 3.0)), Line("你好！", (64.0, 65.25)))
    assert (found.origin, found.timed, found.confidence) == ("file", True, 1.0)


@pytest.mark.parametrize(
    ("text", "encoding"), [("Größer, naïve Café: déjà vu", "cp1252"), ("我们 --> go 去海边，好吗？", "gb18030")]
)
def test_an_older_encoding_is_told_from_another(tmp_path, text, encoding):
    assert transcribe.read_file(write(tmp_path, "a.txt", text.encode(encoding))).text == text


@pytest.mark.parametrize("ending", ["vtt", "txt", "srt"])
def test_cues_are_put_in_order_and_speakers_left_out_whatever_the_ending(tmp_path, ending):
    found = transcribe.read_file(write(tmp_path, f"a.{ending}", "\n" + VTT.replace("\n", "\r\n")))
    assert found.lines == (Line("First one.", (1.0, 6.0)), Line("Second.", (5.0, 7.0)))


def test_what_rolling_captions_repeat_is_said_once(tmp_path):
    cues = [
        ("0", "2", "we went"),
        ("2", "4", "we went\nto the sea"),
        ("4", "6", "to the sea\nand back"),
        ("8", "9", "and back"),
    ]
    text = "WEBVTT\n\n" + "\n\n".join(f"00:0{a}.000 --> 00:0{b}.000\n{said}" for a, b, said in cues)
    found = transcribe.read_file(write(tmp_path, "a.vtt", text))
    assert [(line.text, line.time) for line in found.lines] == [
        ("we went", (0.0, 2.0)), ("to the sea", (2.0, 4.0)), ("and back", (4.0, 6.0)), ("and back", (8.0, 9.0)),
    ]  # fmt: skip


def test_a_text_has_a_line_each_and_no_times(tmp_path):
    found = transcribe.read_file(write(tmp_path, "a.txt", "One.\r\n\r\n  Two  three.\n12:30 is the time"))
    assert [line.text for line in found.lines] == ["One.", "Two three.", "12:30 is the time"]
    assert not found.timed and found.text == "One.\nTwo three.\n12:30 is the time"


@pytest.mark.parametrize(
    "text",
    [
        "[00:12] Twenty characters..\n[00:14.5] Then\n[01:02:03] end.",
        "00:00:12 - Twenty characters..\n0:14,5 Then\n1:02:03 end.",
    ],
)
def test_a_text_with_a_time_before_every_line_has_them(tmp_path, text):
    found = transcribe.read_file(write(tmp_path, "a.txt", text))
    assert [line.text for line in found.lines] == ["Twenty characters..", "Then", "end."]
    assert [line.time[0] for line in found.lines] == [12.0, 14.5, 3723.0]
    assert [line.time[1] for line in found.lines[:2]] == [14.5, 3723.0]
    assert found.lines[2].time[1] == pytest.approx(3723 + 4 * (3723 - 12) / 23)  # at the pace of the others
    assert transcribe.read_file(write(tmp_path, "b.txt", "[00:02] A line.")).lines[0].time == pytest.approx(
        (2.0, 2.466667)
    )


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no words"),
        (b" \n\n", "no words"),
        (b"WEBVTT\n\n", "no words"),
        (b"1\n00:00:01,000 --> 00:00:02,000\n\n", "Save them as SRT or WebVTT"),
        (b"1\n00:00:02,000 --> 00:00:01,000\nBackwards\n", "no words"),
        (b"PK\x03\x04\0\0\0\0", "is no text in a known encoding"),
        (b"\x81\x8d ", "is no text in a known encoding"),
        (b"\xff\xfea", "is no text in a known encoding"),
        (None, "cannot be opened"),
    ],
)  # fmt: skip
def test_what_is_no_transcript_is_a_sentence(tmp_path, data, words):
    file = tmp_path / "a.srt" if data is None else write(tmp_path, "a.srt", data)
    with pytest.raises(InputError, match=words):
        transcribe.read_file(file)


def test_a_file_over_the_limit_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LARGEST", 10)
    with pytest.raises(TooLargeError, match=r"a\.txt has"):
        transcribe.read_file(write(tmp_path, "a.txt", "x" * 11))
