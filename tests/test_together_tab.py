"""The Speech + text tab without a browser: words and their times, weights without a model, what each part is given."""

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import soundfile

from emoscope.analyzer import Analyzer
from emoscope.history import Keeper
from emoscope.labels import INDEX, LABELS
from emoscope.readers import Readers
from emoscope.settings import Options
from emoscope.studio import disagreements, timeline, together, voices
from emoscope.studio.desk import Desk
from emoscope.studio.handlers import Visit
from emoscope.studio.pace import WITH_WORDS
from emoscope.studio.together import Answered, Handlers, Written, edited
from emoscope.timeline import SILENCE
from emoscope.transcript import FILE, TYPED, Line, Moment, Transcript
from tests import reports
from tests.browser.studio import Patient, settings_for
from tests.fakes import Keywords, Scribe

RATE = 16_000
SUBTITLES = """1
00:00:00,300 --> 00:00:01,700
I am joyful.

2
00:00:02,300 --> 00:00:03,700
We are lonely.
"""


@dataclass(frozen=True)
class Studio:
    """The tab's handlers, and the models that they may ask."""

    handlers: Handlers
    hears: Patient
    reads: Keywords
    writes: Scribe
    folder: Path

    @property
    def gate(self):
        """While it is shut, nothing is heard to the end."""
        return self.hears.gate

    @property
    def passes(self):
        """How often a model was asked."""
        return len(self.hears.heard) + len(self.reads.read_texts) + len(self.writes.heard)

    def analyze(self, language="en", **chosen):
        """Do what a visitor does who sets these; return what came last of the answer and of the files."""
        found = list(self.handlers.analyze(self.form(**chosen), language))
        [answer] = [each for each in found if isinstance(each, Answered)]
        [written] = [each for each in found if isinstance(each, Written)]
        return answer, written

    def form(self, **chosen):
        empty = {"source": "upload", "upload": None, "recording": None, "said": "", "script": None, "visit": Visit()}
        return {**empty, "fusion": "weighted", "text_weight": 0.55, **chosen}


@pytest.fixture
def studio(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "shelf"))
    settings = settings_for(tmp_path, models=tmp_path / "models")
    hears, reads, writes = Patient(), Keywords(), Scribe()
    hears.gate.set()
    readers = Readers(settings, load_text=lambda _folder: reads, load_recogniser=lambda: writes)
    analyzer = Analyzer(settings, load=lambda _folder: hears, readers=readers)
    return Studio(
        Handlers(Desk(analyzer, settings, live=None, keeper=Keeper(settings))), hears, reads, writes, tmp_path
    )


@pytest.fixture
def clip(tmp_path):
    """Four seconds: heard as angry until 1.98 s, then sad."""
    soundfile.write(tmp_path / "clip.wav", 0.3 * np.sin(np.arange(4 * RATE) / 10), RATE)
    return str(tmp_path / "clip.wav")


@pytest.fixture
def script(tmp_path):
    (tmp_path / "talk.srt").write_text(SUBTITLES)
    return tmp_path / "talk.srt"


# ---- the words


def test_a_file_fills_the_box_and_keeps_its_times(studio, script, clip):
    found, note = studio.handlers.load(str(script), "en")
    assert found.text == "I am joyful.\nWe are lonely."
    assert note.startswith("talk.srt: 2 lines, 2 of them with their times.")
    answer, _ = studio.analyze(upload=clip, said=found.text, script=found)
    passages = answer.kept.report.together.passages
    assert [passage.time for passage in passages] == [(0.3, 1.7), (2.3, 3.7)]
    assert [LABELS[passage.written.argmax()] for passage in passages] == ["happy", "sad"]
    assert [LABELS[passage.spoken.argmax()] for passage in passages] == ["angry", "sad"]
    assert answer.timeline["said"] is not None


LINES = Transcript(
    (Line("I am joyful.", (0.3, 1.7), moments=(Moment(0, 1, 0.3, 0.4),)), Line("We are lonely.", (2.3, 3.7))), FILE
)


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("I am joyful.\nWe are lonely.", [(0.3, 1.7), (2.3, 3.7)]),
        ("I am so joyful!\nWe are lonely.", [(0.3, 1.7), (2.3, 3.7)]),  # corrected
        ("We are lonely.", [(2.3, 3.7)]),  # the first was deleted
        ("I am joyful.\nQuite another thing altogether\nWe are lonely.", [(0.3, 1.7), None, (2.3, 3.7)]),
        ("I am joyful.\nXYZ", [(0.3, 1.7), None]),  # replaced
        ("Nothing of this stands in a file", [None]),
    ],
)
def test_lines_that_stay_nearly_the_same_keep_their_times(text, times):
    found = edited(LINES, text)
    assert [line.time for line in found.lines] == times
    assert found.text == text
    assert found.origin == (FILE if any(times) else TYPED)


def test_what_was_not_touched_keeps_the_times_of_its_words():
    found = edited(LINES, "I am joyful.\nWe are so lonely.")
    assert found.lines[0] is LINES.lines[0]
    assert edited(LINES, "I was joyful.").lines[0].moments == ()  # they belonged to other characters


@pytest.mark.parametrize("text", ["", "  \n "])
def test_an_empty_box_is_no_transcript(text):
    assert edited(LINES, text) is None


def test_a_file_that_is_no_text_is_explained(studio, tmp_path):
    (tmp_path / "empty.srt").write_text("")
    with pytest.raises(gr.Error, match="There are no words in empty"):
        studio.handlers.load(str(tmp_path / "empty.srt"), "en")


def test_it_is_said_where_nothing_can_be_written_down(studio):
    assert "./run.sh models download sensevoice" in studio.handlers.missing("en")


def test_what_is_said_is_written_down_when_asked_for(studio, clip):
    answer, _ = studio.analyze(upload=clip, transcribe=True)
    assert answer.kept.report.read.transcript.origin == "scribe"
    assert [passage.time for passage in answer.kept.report.together.passages] == [(0.0, 2.0), (2.0, 4.0)]
    answer, _ = studio.analyze(upload=clip, transcribe=True, said="We are joyful.")
    assert answer.kept.report.read.transcript.origin == TYPED  # what stands in the box counts
    assert len(studio.writes.heard) == 1


def test_what_was_written_down_can_be_corrected_and_keeps_its_times(studio, clip):
    _, first = studio.analyze(upload=clip, transcribe=True)
    assert first.heard.text == "I am joyful.\nI am lonely."
    second, _ = studio.analyze(upload=clip, transcribe=True, said="I am joyful.\nI am awful.", script=first.heard)
    assert len(studio.writes.heard) == 1
    assert [passage.time for passage in second.kept.report.together.passages] == [(0.0, 2.0), (2.0, 4.0)]
    assert second.kept.report.read.text.sentences[1].emotion == "angry"
    assert together.from_model(first.heard)
    assert not any(map(together.from_model, (None, LINES, Transcript.typed("I am joyful."))))


def test_the_bar_knows_every_step_of_a_recording_with_its_words(studio, clip):
    told = set()
    studio.handlers._answer(studio.form(upload=clip, transcribe=True), lambda what, _done: told.add(what))
    assert {"Listening", "Writing down what is said", "Reading"} <= told <= set(WITH_WORDS)


# ---- one side alone


def test_words_alone_are_read(studio):
    answer, _ = studio.analyze(said="I am joyful.")
    assert answer.verdict["title"] == "Happy"
    assert "This is the verdict of the words alone" in answer.verdict["warnings"][-1]
    assert (answer.voices, answer.timeline, answer.disagreements, answer.kept) == (None, None, None, None)
    assert answer.reading is not None
    assert studio.handlers.fuse(answer.kept, "weighted", 0.2, "en") is None


def test_a_voice_alone_is_heard(studio, clip):
    answer, _ = studio.analyze("zh", upload=clip)
    assert "这只是语音的结论" in answer.verdict["warnings"][-1]
    assert (answer.voices, answer.reading, answer.disagreements, answer.kept) == (None, None, None, None)
    assert answer.timeline["said"] is None


def test_nothing_at_all_is_explained(studio):
    with pytest.raises(gr.Error, match="give a recording, what is said, or both"):
        list(studio.handlers.analyze(studio.form(), "en"))
    with pytest.raises(gr.Error, match="还没有可分析的内容"):
        list(studio.handlers.analyze(studio.form(said=" \n"), "zh"))


def test_a_broken_recording_leaves_the_words_and_says_so(studio, tmp_path):
    (tmp_path / "text.wav").write_text("this is no sound")
    answer, _ = studio.analyze(upload=str(tmp_path / "text.wav"), said="I am joyful.")
    assert answer.verdict["title"] == "Happy"
    assert any(warning.startswith("The verdict is that of the words alone") for warning in answer.verdict["warnings"])


def test_a_visitor_who_stops_sees_nothing_more(studio, clip):
    visit = Visit()
    studio.gate.clear()
    news = studio.handlers.analyze(studio.form(upload=clip, said="I am joyful.", visit=visit), "en")
    next(news)
    visit.move_on()
    assert not any(isinstance(each, Answered | Written) for each in news)
    assert not list(studio.folder.glob("outputs/outputs_*"))


# ---- weights


def test_other_weights_need_no_model(studio, clip):
    answer, _ = studio.analyze(upload=clip, said="I am joyful.")
    passes, kept = studio.passes, answer.kept
    assert not kept.stale
    for weight in (0.0, 0.3, 1.0):
        changed = studio.handlers.fuse(kept, "weighted", weight, "en")
        side = kept.report.heard.speech.scores if weight == 0 else kept.report.read.text.scores
        assert changed.voices["weight"] == pytest.approx(1 - weight)
        assert changed.kept.stale
        if weight in (0, 1):
            [lead] = [row["together"] for row in changed.voices["rows"] if row["name"] == LABELS[side.argmax()]]
            assert lead == pytest.approx(side.max(), abs=0.06)  # but for what only the voice can say
        assert changed.verdict["again"] is True
    assert studio.passes == passes
    assert answer.verdict["title"] == "Happy"
    assert studio.handlers.fuse(kept, "weighted", 0.1, "en").verdict["title"] == "Sad"


def test_hundreds_of_sentences_are_fused_while_one_drags(studio):
    """What the processor does for it, since tests share a machine: the page has 150 ms."""
    count = 400
    said = reports.text_report(
        *[(f"Sentence {place}.", ("happy", "sad", "angry")[place % 3]) for place in range(count)],
        times=[(0.3 * place, 0.3 * place + 0.3) for place in range(count)],
    )
    report = together.light(reports.together_report(reports.changing(120), said))
    kept = together.Kept(report, studio.folder, studio.folder, report.options)
    took = []
    for weight in (0.1, 0.2, 0.3, 0.4):
        start = time.thread_time()
        studio.handlers.fuse(kept, "weighted", weight, "zh")
        took.append(time.thread_time() - start)
    assert min(took) < 0.1  # seconds; it takes a third of that


def test_the_way_of_fusing_is_changed_without_a_model(studio, clip):
    answer, _ = studio.analyze(upload=clip, said="I am joyful.")
    passes = studio.passes
    found = {way: studio.handlers.fuse(answer.kept, way, 0.55, "en") for way in studio.handlers.ways()}
    assert list(found) == ["weighted", "product", "maximum", "adaptive"]
    assert studio.passes == passes
    assert {way: each.kept.report.together.fused.method for way, each in found.items()} == {way: way for way in found}
    assert len({each.verdict["percent"] for each in found.values()}) > 2


def test_the_weights_are_those_that_counted(studio, clip):
    answer, _ = studio.analyze(upload=clip, said="I am joyful.", text_weight=0.25)
    assert answer.voices["counted"] == "Voice 75%, words 25%"


def test_an_unknown_way_is_an_error_that_names_the_choices(studio, clip):
    with pytest.raises(gr.Error, match="Fusion is weighted, product, maximum, adaptive"):
        studio.analyze(upload=clip, said="I am joyful.", fusion="../../etc")


def test_what_is_kept_is_small(studio, clip):
    answer, _ = studio.analyze(upload=clip, said="I am joyful.")
    assert len(answer.kept.report.recording.wave.samples) < RATE
    assert together.light(reports.together_report(reports.half_and_half(features=6))).speech.features is None


# ---- files with the weights of now


@pytest.mark.parametrize("granularity", ["utterance", pytest.param("frame", marks=pytest.mark.slow)])  # it draws
def test_the_files_are_written_again_with_the_weights_of_now(studio, clip, granularity):
    first, _ = studio.analyze(upload=clip, said="I am joyful.", granularity=granularity, embedding=True)
    changed = studio.handlers.fuse(first.kept, "product", 0.2, "en")
    passes = studio.passes
    downloads, second = studio.handlers.write(changed.kept, "en")
    assert studio.passes == passes
    assert not second.stale
    before, _shelf, after = second.folders
    assert downloads["folder"] == after.name
    assert names(after) == names(before)
    old, new = (json.loads((folder / "result.json").read_text()) for folder in (before, after))
    assert (old["fusion"]["method"], new["fusion"]["method"]) == ("weighted", "product")
    assert new["options"]["text_weight"] == 0.2
    assert old["id"] != new["id"]
    assert old["speech"] == new["speech"]
    for name in ("processed_audio.wav", "embedding.npy", "text_embedding.npy"):
        assert (before / name).read_bytes() == (after / name).read_bytes()


def names(folder):
    """The files of a run; the ZIP has the name of its folder."""
    return {file.name.replace(folder.name, "run") for file in folder.iterdir()}


def test_files_whose_features_were_deleted_are_written_without_them(studio, clip):
    options = Options(granularity="frame", embedding=True, fusion="weighted", text_weight=0.5)
    answer, _ = studio.analyze(upload=clip, said="I am joyful.", text_weight=0.5)
    kept = replace(answer.kept, report=replace(answer.kept.report, options=options))
    assert not together._whole(kept, studio.handlers.settings).options.embedding
    np.save(kept.folders[0] / "embedding.npy", features := np.ones((199, 6), np.float32))
    whole = together._whole(kept, studio.handlers.settings)
    assert whole.options.embedding
    assert (whole.speech.features == features).all()
    assert len(whole.recording.wave.samples) == 4 * RATE


def test_what_is_gone_is_explained(studio):
    with pytest.raises(gr.Error, match="no longer here"):
        studio.handlers.write(None, "en")


def test_a_program_gets_the_report_and_its_files(studio, clip):
    def ask(file, text, fusion, weight):
        chosen = {"upload": file, "said": text, "fusion": fusion, "text_weight": weight, "transcribe": not text}
        return studio.handlers.answer(chosen)

    report, archive = ask(clip, "I am joyful.", "product", 0.4)
    assert (report["mode"], report["fusion"]["method"], report["options"]["text_weight"]) == (
        "multimodal", "product", 0.4
    )  # fmt: skip
    assert Path(archive).suffix == ".zip"
    report, _ = ask(clip, "", "weighted", 0.5)
    assert report["text"]["transcript"]["origin"] == "scribe"
    report, _ = ask(None, "I am lonely.", "weighted", 0.5)
    assert (report["mode"], report["emotion"]) == ("text", "sad")


# ---- who says what


def test_voice_and_words_stand_beside_each_other():
    report = reports.together_report(reports.make(("angry", 6.0)), reports.text_report(("What a day!", "happy")))
    found = voices.view(report, "en")
    assert found["headline"] == "It says “happy” and sounds “angry”."
    assert found["sides"]["voice"] == {"name": "angry", "score": pytest.approx(0.872, abs=0.001)}
    assert found["sides"]["words"]["name"] == "happy"
    assert [row["name"] for row in found["rows"]][:2] == ["happy", "angry"]
    rows = {row["name"]: row for row in found["rows"]}
    assert rows["unknown"]["words"] is None  # the text model cannot say it
    assert sum(row["together"] for row in found["rows"]) == pytest.approx(1)
    assert found["distance"] == pytest.approx(report.together.distance)
    assert found["meaning"] == "far apart"
    assert voices.view(report, "zh")["headline"] == "文字是“开心”，语气却是“生气”。"


def test_the_order_of_the_emotions_does_not_follow_the_weights():
    report = reports.together_report()
    orders = {
        tuple(row["name"] for row in voices.view(reports.together_report(options=options), "en")["rows"])
        for options in (replace(report.options, text_weight=weight) for weight in (0.0, 0.5, 1.0))
    }
    assert len(orders) == 1


def test_agreement_is_said():
    report = reports.together_report(reports.make(("sad", 6.0)), reports.text_report(("It is over.", "sad")))
    assert voices.view(report, "en")["headline"] == "Voice and words agree on “sad”."


def test_a_silent_recording_has_no_voice():
    report = reports.together_report(reports.all_silent(), reports.text_report(("It is over.", "sad")))
    found = voices.view(report, "en")
    assert found["headline"] == "The words say “sad”; there is nothing to hear."
    assert found["sides"]["voice"] is None
    assert {row["voice"] for row in found["rows"]} == {None}
    assert (found["distance"], found["weight"]) == (None, 0)


def test_what_reads_one_way_and_sounds_another_is_listed():
    found = disagreements.view(reports.together_report(), "en")
    [row] = found["rows"]
    assert row["sentence"] == "says happy, sounds angry"
    assert (row["text"], row["time"]) == ("I am so happy for you!", (0.2, 2.8))
    assert row["distance"] > 0.8
    assert found["note"] == ""
    assert disagreements.view(reports.together_report(), "zh")["rows"][0]["sentence"] == "文字“开心”，语气“生气”"


def test_it_is_said_why_there_is_no_disagreement():
    untimed = reports.together_report(said=reports.text_report())
    assert disagreements.view(untimed, "en") == {"rows": [], "note": note("timeless")}
    agreed = reports.together_report(
        reports.make(("happy", 3.0), ("sad", 3.0)), reports.text_report(times=reports.LATER)
    )
    assert disagreements.view(agreed, "en") == {"rows": [], "note": note("agreed")}


def note(key):
    return together.say(f"together.{key}", "en")


def test_a_long_list_ends_and_says_so():
    count = disagreements.MOST + 10
    said = reports.text_report(
        *[(f"Sentence {place}.", "happy") for place in range(count)],
        times=[(0.1 * place, 0.1 * place + 0.1) for place in range(count)],
    )
    found = disagreements.view(reports.together_report(reports.make(("angry", 7.0)), said), "en")
    assert len(found["rows"]) == disagreements.MOST
    assert "50 largest of 60" in found["note"]


# ---- sentences along the timeline


def test_the_timeline_has_the_sentences_with_their_times():
    report = reports.together_report()
    found = json.loads(timeline.pack_said(report))
    happy, angry, sad = (INDEX[name] for name in ("happy", "angry", "sad"))
    assert found["sentences"] == [
        [happy, 0.2, 2.8, pytest.approx(0.886, abs=0.01), "I am so happy for you!", angry, True],
        [sad, 3.2, 5.8, pytest.approx(0.886, abs=0.01), "It is a sad day.", sad, False],
    ]
    assert found["events"] == []


def test_events_are_named_in_both_languages():
    report = reports.together_report()
    first, second = report.read.transcript.lines
    said = replace(report.read.transcript, lines=(replace(first, events=("laughter", "hum")), second))
    found = json.loads(timeline.pack_said(replace(report, read=replace(report.read, transcript=said))))
    assert found["events"] == [
        [0.2, 2.8, {"en": "laughter", "zh": "笑声"}],
        [0.2, 2.8, {"en": "hum", "zh": "hum"}],
    ]


def test_a_long_sentence_is_shortened_and_a_silent_one_has_no_voice():
    long = "word " * 200
    said = reports.text_report((long.strip(), "happy"), times=[(0.0, 1.0)])
    report = reports.together_report(reports.make((SILENCE, 2.0), ("sad", 2.0)), said)
    [[_, _, _, _, text, voice, apart]] = json.loads(timeline.pack_said(report))["sentences"]
    assert len(text) <= timeline.LONGEST_TEXT
    assert text.endswith("…")
    assert (voice, apart) == (None, False)


def test_the_evidence_is_about_the_voice_and_not_about_both(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    from emoscope.studio.shelf import Shelf

    report = reports.together_report(
        reports.make(("angry", 4.0), ("sad", 2.0)),
        reports.text_report(("Nice.", "happy")),
        options=Options(granularity="frame", fusion="weighted", text_weight=0.95),
    )
    assert report.verdict.emotion == "happy"
    found = timeline.view(report, Shelf())
    assert (found["evidence"]["label"], found["evidence"]["against"]) == ("angry", "sad")
    assert found["said"] is None  # no times
    with pytest.raises(ValueError, match="no sentences"):
        timeline.pack_said(reports.half_and_half())


def test_an_uploaded_file_that_is_gone_is_explained(studio, clip):
    first, _ = studio.analyze(upload=clip, said="I am joyful.")
    Path(clip).unlink()
    with pytest.raises(gr.Error, match=r"clip\.wav"):
        studio.handlers.write(first.kept, "en")
