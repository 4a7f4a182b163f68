"""A text in, a report out; a recording and its words in, one report of both; with models whose answers are known."""

import threading
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from emoscope.analyzer import NO_WORDS, UNHEARD, UNREAD, Analyzer
from emoscope.errors import AudioError, Cancelled, InputError, ModelError, OptionError, TooLargeError
from emoscope.heads import Head, Maker
from emoscope.models import COMPACT_TEXT_NOTE
from emoscope.readers import Readers
from emoscope.settings import Options, Settings
from emoscope.text.split import LONGEST
from emoscope.transcript import FILE, Line, Transcript
from tests.fakes import HalfAndHalf, Keywords, Scribe

RATE = 16_000
WORDS = "I am joyful.\nI am lonely."
TIMED = Transcript((Line("I am joyful.", (0.0, 2.0)), Line("I am lonely.", (2.0, 4.0))), FILE)


@pytest.fixture
def clip(tmp_path):
    """Write four seconds of a tone, or other samples, and return the file."""

    def write(samples=None):
        if samples is None:
            samples = 0.3 * np.sin(2 * np.pi * 220 * np.arange(4 * RATE) / RATE)
        soundfile.write(tmp_path / "clip.wav", samples, RATE, subtype="FLOAT")
        return tmp_path / "clip.wav"

    return write


class Models:
    """Models with known answers; `loaded` tells what was opened."""

    def __init__(self, voice=None, reader=None, scribe=None):
        self.voice, self.reader, self.scribe = voice or HalfAndHalf(), reader or Keywords(), scribe or Scribe()
        self.loaded = []

    def analyzer(self, **settings):
        chosen = Settings(**settings)
        readers = Readers(chosen, load_text=self.load_text, load_recogniser=self.load_scribe)
        return Analyzer(chosen, load=self.load_voice, readers=readers)

    def load_voice(self, _folder):
        self.loaded.append("voice")
        return answer(self.voice)

    def load_text(self, _folder):
        self.loaded.append("text")
        return answer(self.reader)

    def load_scribe(self):
        self.loaded.append("scribe")
        return answer(self.scribe)


def answer(model):
    if isinstance(model, Exception):
        raise model
    return model


# ---- a text


def test_a_text_is_read_sentence_by_sentence_with_what_each_word_did():
    report = Models().analyzer().read("I am joyful. I am lonely. I am lonely.", Options())
    assert (report.mode, report.verdict.emotion, report.heard, report.together) == ("text", "sad", None, None)
    assert [sentence.emotion for sentence in report.read.text.sentences] == ["happy", "sad", "sad"]
    words = report.read.text.sentences[0].words
    assert [float(word.contributions.max()) for word in words] == [0.0, 0.0, 0.75]
    assert report.model.name == "keywords"
    assert set(report.seconds) == {"text model", "text"}
    assert report.made_at.tzinfo is not None
    assert report.id != Models().analyzer().read("I am joyful.", Options()).id


def test_subtitles_keep_their_times():
    report = Models().analyzer().read(TIMED, Options())
    assert [sentence["time"] for sentence in report.to_dict()["text"]["sentences"]] == [[0.0, 2.0], [2.0, 4.0]]
    assert report.read.transcript.origin == FILE


@pytest.mark.parametrize("text", ["", "  \n ", "\u200b\u0007"])
def test_nothing_to_read_is_a_sentence(text):
    with pytest.raises(InputError, match="There is no text to read"):
        Models().analyzer().read(text, Options())


def test_a_text_over_the_limit_is_a_sentence():
    with pytest.raises(TooLargeError, match="the limit is 200,000"):
        Models().analyzer().read("a" * (LONGEST + 1), Options())


def test_a_missing_text_model_is_a_sentence(tmp_path):
    with pytest.raises(ModelError, match="no whole text model in"):
        Models().analyzer().read("Hello.", Options(text_model=str(tmp_path / "none")))


def test_many_texts_are_one_call_and_each_its_own_report():
    models = Models()
    texts = ["I am lonely.", "I am joyful. I am joyful.", "Nothing."]
    reports = models.analyzer().read_many(texts, Options())
    assert [report.verdict.emotion for report in reports] == ["sad", "happy", "neutral"]
    assert [report.read.text.text for report in reports] == texts
    assert models.reader.read_texts == [texts]
    assert not any(sentence.words for report in reports for sentence in report.read.text.sentences)
    assert reports[1].seconds["text"] / reports[0].seconds["text"] == pytest.approx(25 / 12)
    assert models.analyzer().read_many([], Options()) == []


def test_options_are_settled_by_the_settings_and_written_down():
    models = Models()
    default = models.analyzer().read("Hello.", Options()).options
    assert (default.fusion, default.text_weight) == ("weighted", 0.55)
    settled = models.analyzer(fusion="product", text_weight=0.2).read("Hello.", Options()).options
    assert (settled.fusion, settled.text_weight) == ("product", 0.2)
    chosen = models.analyzer(fusion="product").read("Hello.", Options(fusion="maximum", text_weight=0.0)).options
    assert (chosen.fusion, chosen.text_weight) == ("maximum", 0.0)


def test_a_model_is_loaded_once():
    models = Models()
    analyzer = models.analyzer()
    for _ in range(3):
        analyzer.read("Hello.", Options())
    analyzer.read_many(["Hello."], Options(text_model="compact"))  # the same folder
    assert models.loaded == ["text"]


def test_a_models_note_is_said_once():
    class Noted(Keywords):
        def read(self, text, **how):
            return replace(super().read(text, **how), note="It says “love”, too.")

    reader = Noted(info=replace(Keywords().info, note="It is small. It says “love”, too."))
    [warning] = Models(reader=reader).analyzer().read("Hello.", Options()).warnings
    assert warning == f"{COMPACT_TEXT_NOTE} It is small. It says “love”, too."


# ---- a recording and its words


def test_voice_and_words_are_heard_read_and_fused(clip):
    report = Models().analyzer().analyze(clip(), Options(), transcript=TIMED)
    assert report.mode == "multimodal"
    assert report.together.fused.weights == {"speech": 0.45, "text": 0.55}
    first, second = report.together.passages
    assert (first.time, second.time) == ((0.0, 2.0), (2.0, 4.0))
    assert (first.written.argmax(), first.spoken.argmax()) == (3, 0)  # reads happy, sounds angry
    assert first.distance > 0.8
    assert second.distance == pytest.approx(0.0, abs=1e-3)  # reads and sounds sad
    assert [model.name for model in report.models] == ["half-and-half", "keywords"]
    assert set(report.seconds) == {"decode", "model", "speech", "text model", "text"}


def test_words_without_times_are_fused_as_a_whole(clip):
    report = Models().analyzer().analyze(clip(), Options(), transcript=Transcript.typed(WORDS))
    assert [(passage.time, passage.spoken) for passage in report.together.passages] == [(None, None)] * 2
    assert 0 < report.together.distance < 1


def test_a_recording_alone_loads_no_model_for_words(clip):
    models = Models()
    report = models.analyzer().analyze(clip(), Options())
    assert (report.mode, report.read, models.loaded) == ("speech", None, ["voice"])


def test_what_is_said_can_be_written_down(clip):
    models = Models()
    report = models.analyzer().analyze(clip(), Options(transcribe=True))
    assert report.mode == "multimodal"
    assert report.read.text.text == WORDS
    assert (report.read.transcript.origin, report.read.transcript.confidence) == ("scribe", 0.5)
    assert [passage.time for passage in report.together.passages] == [(0.0, 2.0), (2.0, 4.0)]
    assert "Written down by a fake." in report.warnings
    assert "transcribe" in report.seconds


def test_a_transcript_that_is_given_is_not_written_down_again(clip):
    models = Models()
    models.analyzer().analyze(clip(), Options(transcribe=True), transcript=TIMED)
    assert models.scribe.heard == []


def test_what_is_written_down_of_a_trimmed_recording_is_on_the_files_clock(clip):
    tone = 0.3 * np.sin(2 * np.pi * 220 * np.arange(4 * RATE) / RATE)
    file = clip(np.concatenate([np.zeros(3 * RATE), tone, np.zeros(2 * RATE)]))
    report = Models().analyzer().analyze(file, Options(trim=True, transcribe=True))
    first, second = report.together.passages
    assert first.time[0] == pytest.approx(3.0, abs=0.3)
    assert second.time[1] == pytest.approx(7.0, abs=0.3)
    assert first.spoken.argmax() == 0  # the angry half


# ---- one side fails


@pytest.mark.parametrize("transcript", [TIMED, Transcript.typed(WORDS)], ids=["timed", "typed"])
def test_a_recording_that_cannot_be_heard_leaves_the_words(tmp_path, transcript):
    (tmp_path / "bad.wav").write_text("this is a text file")
    report = Models().analyzer().analyze(tmp_path / "bad.wav", Options(), transcript=transcript)
    assert (report.mode, report.read.text.text) == ("text", WORDS)
    assert report.warnings[0].startswith(UNHEARD.format(reason="bad.wav is a text file."))


def test_a_voice_model_that_fails_leaves_the_words(clip):
    report = Models(voice=ModelError("It is broken.")).analyzer().analyze(clip(), Options(), transcript=TIMED)
    assert (report.mode, report.warnings[0]) == ("text", UNHEARD.format(reason="It is broken."))


@pytest.mark.parametrize(
    ("models", "reason"),
    [
        ({"reader": ModelError("It is broken.")}, "It is broken."),
        ({"scribe": ModelError("Get it.")}, "Get it."),
        ({"scribe": Scribe(said=())}, NO_WORDS),
        ({"scribe": Scribe(said=("", " "))}, NO_WORDS),
    ],
    ids=["no text model", "no recogniser", "nobody speaks", "blanks"],
)
def test_words_that_cannot_be_had_leave_the_voice(clip, models, reason):
    report = Models(**models).analyzer().analyze(clip(), Options(transcribe=True))
    assert (report.mode, report.warnings[0]) == ("speech", UNREAD.format(reason=reason))
    assert report.verdict.emotion in ("angry", "sad")


def test_an_empty_transcript_leaves_the_voice(clip):
    report = Models().analyzer().analyze(clip(), Options(), transcript=Transcript.typed(" \n"))
    assert (report.mode, report.warnings[0]) == (
        "speech",
        UNREAD.format(reason="There is no text to read. Type or paste a sentence."),
    )


def test_silence_leaves_the_verdict_to_the_words(clip):
    report = Models().analyzer().analyze(clip(np.zeros(2 * RATE)), Options(), transcript=TIMED)
    assert (report.mode, report.silent) == ("multimodal", False)
    assert report.together.fused.weights == {"speech": 0.0, "text": 1.0}
    assert report.together.fused.note in report.warnings
    assert (report.scores == report.read.text.scores).all()


def test_a_recording_alone_that_cannot_be_heard_fails(tmp_path):
    (tmp_path / "bad.wav").write_text("this is a text file")
    models = Models()
    with pytest.raises(AudioError, match=r"bad\.wav is a text file"):
        models.analyzer().analyze(tmp_path / "bad.wav", Options(transcribe=True))
    assert models.loaded == []


def test_where_neither_can_be_had_it_fails(tmp_path):
    with pytest.raises(ModelError, match="It is broken"):
        Models(reader=ModelError("It is broken.")).analyzer().analyze(
            tmp_path / "none.wav", Options(), transcript=TIMED
        )


# ---- a trained head


@pytest.fixture
def head(tmp_path):
    """Keep a head that is all but sure of surprise, whatever it is given, for the models of this file."""
    arrays = {f"{side}.{kind}": np.ones(size, "f4") for side, size in (("speech", 6), ("text", 4))
              for kind in ("mean", "scale")}  # fmt: skip
    arrays |= {"speech.weight": np.zeros((2, 6), "f4"), "text.weight": np.zeros((2, 4), "f4")}
    arrays["bias"] = np.array([0, 5], "f4")
    makers = Maker.of(HalfAndHalf().info), Maker.of(Keywords().info)
    Head("mine", "early", ("neutral", "surprised"), *makers, arrays).save(tmp_path / "models")
    return tmp_path / "models"


def test_a_trained_head_decides_in_place_of_a_method(head, clip):
    report = Models().analyzer(models=head, fusion="mine").analyze(clip(), Options(), transcript=TIMED)
    assert (report.verdict.emotion, report.together.fused.method) == ("surprised", "mine")
    assert report.verdict.confidence == pytest.approx(1 / (1 + np.exp(-5)))
    assert report.options.fusion == "mine"
    assert report.together.passages[0].fused.argmax() == 3  # sentences are fused by weight


def test_a_head_of_other_models_is_refused(head, clip):
    other = Keywords(info=replace(Keywords().info, weights="3" * 64))
    with pytest.raises(ModelError, match="The trained fusion “mine” belongs to"):
        Models(reader=other).analyzer(models=head).analyze(clip(), Options(fusion="mine"), transcript=TIMED)


def test_an_unknown_fusion_is_told_the_heads_that_are_there(head):
    with pytest.raises(OptionError, match="adaptive, mine, not “yours”"):
        Models().analyzer(models=head).read("Hello.", Options(fusion="yours"))


# ---- options without meaning, and cancelling


@pytest.mark.parametrize("said", [None, TIMED])
def test_an_unknown_fusion_is_refused_before_anything_is_heard(clip, said):
    models = Models()
    with pytest.raises(OptionError, match="Fusion is weighted, product, maximum, adaptive, not “mean”"):
        models.analyzer().analyze(clip(), Options(fusion="mean"), transcript=said)
    with pytest.raises(OptionError, match="not “mean”"):
        models.analyzer(fusion="mean").read("Hello.", Options())
    assert models.loaded == []


def test_an_option_without_meaning_does_not_degrade(clip):
    for models in (Models(voice=OptionError("No such device.")), Models(reader=OptionError("No such device."))):
        with pytest.raises(OptionError, match="No such device"):
            models.analyzer().analyze(clip(), Options(), transcript=TIMED)


@pytest.mark.parametrize("step", ["Listening", "Writing down what is said", "Reading", "Loading the model"])
def test_a_person_can_cancel_at_any_step_and_the_next_analysis_runs(clip, step):
    def stop(what, _done):
        if what == step:
            raise Cancelled("stopped")

    analyzer, file = Models().analyzer(), clip()
    with pytest.raises(Cancelled):
        analyzer.analyze(file, Options(transcribe=True), progress=stop)
    assert analyzer.analyze(file, Options(transcribe=True)).mode == "multimodal"


def test_a_waiting_reading_can_be_cancelled_while_another_one_runs():
    reading, go_on = threading.Event(), threading.Event()

    class Slow(Keywords):
        def read(self, text, **how):
            reading.set()
            assert go_on.wait(10)
            return super().read(text, **how)

    def stop(what, _done):
        if what.startswith("Waiting"):
            raise Cancelled("stopped")

    analyzer = Models(reader=Slow()).analyzer()
    first = threading.Thread(target=analyzer.read, args=("Hello.", Options()))
    first.start()
    assert reading.wait(10)
    with pytest.raises(Cancelled):
        analyzer.read("Hello.", Options(), progress=stop)
    go_on.set()
    first.join(10)
    assert not first.is_alive()
