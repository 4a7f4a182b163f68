"""A run's files: whole or not at all, every format read back by another reader, whatever a recording is called."""

import csv
import errno
import html
import json
import os
import subprocess
import sys
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas
import parselmouth
import pytest
import soundfile
import webvtt
from PIL import Image
from praatio import textgrid
from pympi import Eaf

from emoscope import cells, export
from emoscope.errors import StorageError
from emoscope.labels import EMOTIONS, INDEX, LABELS
from emoscope.settings import ROOT, Options
from emoscope.timeline import NAMES, SILENCE
from tests import reports

ALWAYS = {"result.json", "processed_audio.wav", "frames.npz"}
FRAMES = {
    "timeline.csv", "timeline.png", "timeline.svg", "segments.TextGrid", "segments.eaf", "segments.txt", "segments.vtt",
    "segments.rttm",
}  # fmt: skip
TEXT = {"result.json", "sentences.csv"}
PAUSE = [("happy", 0.0, 2.0), (SILENCE, 2.0, 4.0), ("happy", 4.0, 5.0), ("surprised", 5.0, 6.0)]


@pytest.fixture(scope="module")
def report():
    """Two seconds happy, two silent, one happy, one surprised, with features of width 6."""
    return reports.pause(options=Options(granularity="frame", embedding=True), features=6)


@pytest.fixture(scope="module")
def run(report, tmp_path_factory):
    return export.write(report, tmp_path_factory.mktemp("outputs"))


@pytest.fixture(scope="module")
def trimmed(tmp_path_factory):
    """The same, a second and a half later in a file that goes on for half a second."""
    report = reports.pause(name="my take.m4a", offset=1.5, after=0.5)
    return _annotations(report, tmp_path_factory.mktemp("trimmed"))


def _annotations(report, folder):
    """Write all but the drawings, which take longer than the rest together."""
    reading = export.Reading.of(report)
    for name, writer in export.WRITERS.items():
        if writer.wanted(report) and writer.write is not export.write_plot:
            writer.write(reading, folder / name)
    return folder


def later(segments, by):
    return [(label, start + by, end + by) for label, start, end in segments]


# ---- the folder


@pytest.mark.parametrize(
    ("options", "files"),
    [
        (Options(), ALWAYS),
        (Options(embedding=True), ALWAYS | {"embedding.npy"}),
        (Options(granularity="frame"), ALWAYS | FRAMES),
        (Options(granularity="frame", embedding=True), ALWAYS | FRAMES | {"embedding.npy"}),
    ],
    ids=["utterance", "utterance embedding", "frame", "frame embedding"],
)
def test_a_run_holds_what_was_asked_for(options, files, tmp_path):
    folder = export.write(reports.half_and_half(1.0, options=options, features=6), tmp_path)
    assert {file.name for file in folder.iterdir()} == files | {f"{folder.name}.zip"}
    assert all(file.stat().st_size for file in folder.iterdir())
    assert files <= set(export.WRITERS)


@pytest.mark.parametrize(
    ("report", "files"),
    [
        (lambda: reports.text_report(), TEXT),
        (lambda: reports.text_report(options=Options(embedding=True)), TEXT | {"text_embedding.npy"}),
        (lambda: reports.text_report(options=Options(granularity="frame")), TEXT),
        (lambda: reports.text_report(times=reports.LATER), TEXT | {"transcript.vtt"}),
        (lambda: both(), ALWAYS | TEXT | {"transcript.vtt"}),
        (lambda: both(said=reports.text_report()), ALWAYS | TEXT),
        (lambda: both(embedding=True), ALWAYS | TEXT | {"transcript.vtt", "text_embedding.npy", "embedding.npy"}),
    ],
    ids=["text", "text embedding", "text frame", "subtitles", "both", "both untimed", "both embedding"],
)
def test_a_run_with_words_holds_what_was_asked_for(report, files, tmp_path):
    folder = export.write(report(), tmp_path)
    assert {file.name for file in folder.iterdir()} == files | {f"{folder.name}.zip"}
    assert all(file.stat().st_size for file in folder.iterdir())


def both(*, said=None, **options):
    """Angry for three seconds, then sad, where the words say happy and then sad."""
    chosen = Options(fusion="weighted", text_weight=0.55, **options)
    return reports.together_report(reports.half_and_half(options=chosen), said)


def test_every_writer_says_what_it_writes():
    words = TEXT | {"transcript.vtt", "text_embedding.npy"}
    assert set(export.WRITERS) == ALWAYS | FRAMES | {"embedding.npy"} | words
    assert all(writer.what[0].isupper() and not writer.what.endswith(".") for writer in export.WRITERS.values())
    assert len({writer.what for writer in export.WRITERS.values()}) == len(export.WRITERS)


def test_the_folder_is_named_after_the_local_time(run, report):
    assert run.name == f"outputs_{report.made_at.astimezone():%Y%m%d_%H%M%S}"
    assert report.made_at.astimezone(UTC).hour == 12
    assert [folder.name for folder in run.parent.iterdir()] == [run.name]


def test_the_folder_is_as_open_as_any_other(run, tmp_path):
    (tmp_path / "any").mkdir()
    assert run.stat().st_mode == (tmp_path / "any").stat().st_mode


def test_the_zip_holds_every_other_file_under_its_own_name(run):
    with zipfile.ZipFile(run / f"{run.name}.zip") as pack:
        assert pack.testzip() is None
        assert set(pack.namelist()) == {file.name for file in run.iterdir()} - {f"{run.name}.zip"}
        for name in pack.namelist():
            assert pack.read(name) == (run / name).read_bytes()


def test_outputs_is_made_with_the_folders_above_it(tmp_path):
    assert export.write(reports.one_frame(options=Options()), tmp_path / "a" / "b").parent == tmp_path / "a" / "b"


# ---- runs side by side, and runs that fail


def test_runs_of_the_same_second_get_folders_of_their_own(tmp_path):
    report = reports.one_frame(options=Options())
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: export.write(report, tmp_path), range(24)))
    stem = "outputs_" + f"{report.made_at.astimezone():%Y%m%d_%H%M%S}"
    assert sorted(folder.name for folder in folders) == sorted([stem, *(f"{stem}_{number}" for number in range(2, 25))])
    assert {*tmp_path.iterdir()} == set(folders)
    for folder in folders:
        assert {file.name for file in folder.iterdir()} == ALWAYS | {f"{folder.name}.zip"}


def test_processes_do_not_replace_each_others_runs(tmp_path):
    code = (
        "import sys; from pathlib import Path; from emoscope import export; from tests import reports; "
        "from emoscope.settings import Options; report = reports.one_frame(options=Options()); "
        "[print(export.write(report, Path(sys.argv[1]))) for _ in range(6)]"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    written = [line for process in running for line in process.communicate(timeout=60)[0].splitlines()]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert len(written) == 18
    assert {str(folder) for folder in tmp_path.iterdir()} == set(written)


def test_a_name_that_is_taken_is_left_alone(report, tmp_path):
    stem = f"outputs_{report.made_at.astimezone():%Y%m%d_%H%M%S}"
    (tmp_path / stem).write_text("a file")
    (tmp_path / f"{stem}_2").mkdir()
    (tmp_path / f"{stem}_2" / "mine.txt").write_text("mine")
    folder = export.write(reports.one_frame(options=Options()), tmp_path)
    assert folder.name == f"{stem}_3"
    assert (tmp_path / stem).read_text() == "a file"
    assert [file.name for file in (tmp_path / f"{stem}_2").iterdir()] == ["mine.txt"]


def test_nobody_sees_an_unfinished_run(monkeypatch, tmp_path):
    seen = []

    def look(_reading, file):
        file.write_text("x")
        seen.extend(entry.name for entry in tmp_path.iterdir())

    last = export.Writer("Looks", look, lambda _options: True)
    monkeypatch.setitem(export.WRITERS, "look.txt", last)
    folder = export.write(reports.one_frame(options=Options()), tmp_path)
    assert len(seen) == 1
    assert seen[0].startswith(".")
    assert [entry.name for entry in tmp_path.iterdir()] == [folder.name]


def failing(error):
    def fail(_reading, file):
        file.write_text("half")
        raise error

    return export.Writer("Fails", fail, lambda _options: True)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), RuntimeError("a bug"), KeyboardInterrupt()], ids=repr)
def test_a_run_that_fails_leaves_nothing(error, monkeypatch, tmp_path):
    monkeypatch.setitem(export.WRITERS, "last.txt", failing(error))
    with pytest.raises(StorageError if isinstance(error, OSError) else type(error)):
        export.write(reports.one_frame(options=Options()), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_run_whose_name_cannot_be_given_leaves_nothing(monkeypatch, tmp_path):
    def refuse(_self, _target):
        raise PermissionError(errno.EACCES, "denied")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(StorageError, match="may not be written"):
        export.write(reports.one_frame(options=Options()), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENOSPC, "There is no space left for results in {}. Free some, or set EMOSCOPE_OUTPUTS to another disk."),
        (errno.EDQUOT, "There is no space left for results in {}. Free some, or set EMOSCOPE_OUTPUTS to another disk."),
        (errno.EACCES, "Results may not be written to {}. Allow it, or set EMOSCOPE_OUTPUTS to another folder."),
        (errno.EROFS, "Results may not be written to {}. Allow it, or set EMOSCOPE_OUTPUTS to another folder."),
        (errno.EIO, "Results cannot be written to {}: broken. Set EMOSCOPE_OUTPUTS to another folder."),
    ],
    ids=["no space", "quota", "no permission", "read-only", "other"],
)
def test_what_the_disk_refuses_is_said_with_what_to_do(number, says, monkeypatch, tmp_path):
    monkeypatch.setitem(export.WRITERS, "last.txt", failing(OSError(number, "broken")))
    with pytest.raises(StorageError) as refused:
        export.write(reports.one_frame(options=Options()), tmp_path)
    assert str(refused.value) == says.format(tmp_path)


@pytest.mark.parametrize("inside", ["", "below"])
def test_outputs_that_is_a_file(inside, tmp_path):
    (tmp_path / "outputs").write_text("mine")
    with pytest.raises(StorageError, match="is not a folder, but a file or inside of one"):
        export.write(reports.one_frame(options=Options()), tmp_path / "outputs" / inside)
    assert (tmp_path / "outputs").read_text() == "mine"


@pytest.fixture
def unprivileged():
    """Be nobody for a while, because root may write anywhere."""
    me = os.geteuid()
    if me == 0:
        os.seteuid(65534)
    yield
    os.seteuid(me)


def test_outputs_that_may_not_be_written(tmp_path, request):
    (tmp_path / "outputs").mkdir(mode=0o500)
    request.getfixturevalue("unprivileged")
    with pytest.raises(StorageError, match="may not be written"):
        export.write(reports.one_frame(options=Options()), tmp_path / "outputs")


# ---- every format, read by another reader


def test_json(run, report):
    text = (run / "result.json").read_bytes().decode("utf-8")
    found = json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} is not JSON"))
    assert list(found)[:5] == ["emotion", "confidence", "scores", "granularity", "timestamp"]
    assert found == json.loads(json.dumps(report.to_dict()))
    assert len(text.splitlines()) < 500  # not a line for every number
    assert max(map(len, text.splitlines())) < 2500


def test_sound(run, report):
    samples, rate = soundfile.read(run / "processed_audio.wav", dtype="float32")
    info = soundfile.info(run / "processed_audio.wav")
    assert (rate, info.channels, info.subtype) == (16_000, 1, "PCM_16")
    assert samples == pytest.approx(report.recording.wave.samples, abs=1 / 32_000)


def test_embeddings(run, report, tmp_path):
    frames = np.load(run / "embedding.npy", allow_pickle=False)
    assert frames.shape == (299, 6)
    assert (frames == report.speech.features).all()
    mean = np.load(export.write(reports.pause(options=Options(embedding=True), features=6), tmp_path) / "embedding.npy")
    assert mean.shape == (6,)
    assert mean == pytest.approx(frames.mean(axis=0), abs=1e-6)


def test_an_embedding_that_was_not_kept_is_a_mistake_of_the_caller(tmp_path):
    with pytest.raises(ValueError, match="not kept"):
        export.write(reports.one_frame(options=Options(granularity="frame", embedding=True)), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_csv(run, report):
    table = pandas.read_csv(run / "timeline.csv")
    assert list(table.columns) == ["start", "end", *LABELS, "dominant", "silent"]
    assert len(table) == 299
    assert table["start"].to_numpy() == pytest.approx(report.speech.timeline.times, abs=1e-4)
    assert table["end"].to_numpy()[:-1] == pytest.approx(table["start"].to_numpy()[1:])
    assert table["end"].iloc[-1] == 6.0
    assert table[list(LABELS)].to_numpy() == pytest.approx(report.speech.timeline.probabilities(0.5), abs=1e-6)
    assert table["silent"].astype(bool).to_numpy() == pytest.approx(report.speech.timeline.silent)
    assert set(table["dominant"]) == {"happy", "surprised", SILENCE}
    assert ((table["dominant"] == SILENCE) == (table["silent"] == 1)).all()


def test_npz(run, report):
    with np.load(run / "frames.npz", allow_pickle=False) as arrays:
        found = dict(arrays)
    timeline = report.speech.timeline
    assert set(found) == {"logits", "probabilities", "times", "silent", "labels", "smooth"}
    assert (found["logits"] == timeline.logits).all()
    assert (found["probabilities"] == timeline.probabilities(0.5)).all()
    assert (found["times"] == timeline.times).all()
    assert (found["silent"] == timeline.silent).all()
    assert tuple(found["labels"]) == LABELS
    assert found["smooth"] == 0.5


def test_drawings(run):
    with Image.open(run / "timeline.png") as picture:
        picture.load()
        assert picture.format == "PNG"
        assert picture.width >= 1200
    root = ElementTree.parse(run / "timeline.svg").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"


def praat(file):
    """Read a TextGrid with Praat's own code: {tier: [(text, start, end)]} and the end of time."""
    grid = parselmouth.Data.read(str(file))
    call = parselmouth.praat.call
    tiers = {}
    for tier in range(1, call(grid, "Get number of tiers") + 1):
        tiers[call(grid, "Get tier name", tier)] = [
            (
                call(grid, "Get label of interval", tier, index),
                call(grid, "Get start time of interval", tier, index),
                call(grid, "Get end time of interval", tier, index),
            )
            for index in range(1, call(grid, "Get number of intervals", tier) + 1)
        ]
    return tiers, call(grid, "Get end time")


def test_textgrid_in_praat(run):
    tiers, end = praat(run / "segments.TextGrid")
    assert list(tiers) == ["emotion", "probability"]
    assert tiers["emotion"] == PAUSE
    assert [text for text, _, _ in tiers["probability"]] == ["0.872", "", "0.819", "0.818"]
    assert end == 6.0


def test_textgrid_in_praatio(run):
    grid = textgrid.openTextgrid(str(run / "segments.TextGrid"), includeEmptyIntervals=True)
    assert [(label, start, end) for start, end, label in grid.getTier("emotion").entries] == PAUSE


def test_textgrid_of_a_trimmed_file_covers_the_whole_file(trimmed):
    tiers, end = praat(trimmed / "segments.TextGrid")
    assert tiers["emotion"] == [("", 0.0, 1.5), *later(PAUSE, 1.5), ("", 7.5, 8.0)]
    assert end == 8.0


def eaf(file):
    """Read an EAF as plain XML: {tier: [(value, start, end)]} in seconds, and the root."""
    root = ElementTree.parse(file).getroot()
    slots = {slot.get("TIME_SLOT_ID"): int(slot.get("TIME_VALUE")) / 1000 for slot in root.iter("TIME_SLOT")}
    tiers = {
        tier.get("TIER_ID"): [
            (each.findtext("ANNOTATION_VALUE"), slots[each.get("TIME_SLOT_REF1")], slots[each.get("TIME_SLOT_REF2")])
            for each in tier.iter("ALIGNABLE_ANNOTATION")
        ]
        for tier in root.iter("TIER")
    }
    return tiers, root


def test_eaf_as_xml(run):
    tiers, root = eaf(run / "segments.eaf")
    assert tiers["emotion"] == PAUSE
    assert tiers["probability"] == [("0.872", 0.0, 2.0), ("0.819", 4.0, 5.0), ("0.818", 5.0, 6.0)]
    media = root.find("HEADER/MEDIA_DESCRIPTOR")
    assert (media.get("MEDIA_URL"), media.get("RELATIVE_MEDIA_URL")) == ("processed_audio.wav", "./processed_audio.wav")
    assert root.find("HEADER").get("TIME_UNITS") == "milliseconds"
    types = {each.get("LINGUISTIC_TYPE_ID"): each for each in root.iter("LINGUISTIC_TYPE")}
    assert {tier.get("LINGUISTIC_TYPE_REF") for tier in root.iter("TIER")} == set(types)
    assert types["emotion"].get("CONTROLLED_VOCABULARY_REF") == root.find("CONTROLLED_VOCABULARY").get("CV_ID")
    assert tuple(value.text for value in root.iter("CVE_VALUE")) == NAMES
    ids = [each.get("ANNOTATION_ID") for each in root.iter("ALIGNABLE_ANNOTATION")]
    assert len(ids) == len(set(ids)) == 7
    order = [child.tag for child in root]  # the schema prescribes it
    assert order == ["HEADER", "TIME_ORDER", "TIER", "TIER", "LINGUISTIC_TYPE", "LINGUISTIC_TYPE", "LANGUAGE"] + [
        "CONSTRAINT"
    ] * order.count("CONSTRAINT") + ["CONTROLLED_VOCABULARY"]


def test_eaf_in_pympi(run):
    document = Eaf(str(run / "segments.eaf"))
    found = [
        (label, start / 1000, end / 1000) for start, end, label in document.get_annotation_data_for_tier("emotion")
    ]
    assert found == PAUSE
    assert ("source", "clip.wav") in document.properties


def test_eaf_of_a_trimmed_file_belongs_to_the_uploaded_sound(trimmed):
    tiers, root = eaf(trimmed / "segments.eaf")
    assert tiers["emotion"] == later(PAUSE, 1.5)
    assert root.find("HEADER/MEDIA_DESCRIPTOR").get("RELATIVE_MEDIA_URL") == "./my take.m4a"


def test_audacity_labels(run, trimmed):
    with (run / "segments.txt").open(encoding="utf-8", newline="") as file:
        rows = [(label, float(start), float(end)) for start, end, label in csv.reader(file, delimiter="\t")]
    assert rows == PAUSE
    assert (trimmed / "segments.txt").read_text("utf-8").startswith("1.500000\t3.500000\thappy\n")


def test_webvtt(run, trimmed):
    found = webvtt.WebVTT.read(str(run / "segments.vtt"), strict=True)
    assert [(cue.start, cue.end, cue.text) for cue in found] == [
        ("00:00:00.000", "00:00:02.000", "😊 happy 87%"),
        ("00:00:04.000", "00:00:05.000", "😊 happy 82%"),
        ("00:00:05.000", "00:00:06.000", "😮 surprised 82%"),
    ]
    assert found.header_comments == ["Emotions in clip.wav, heard by known-answers"]
    assert webvtt.WebVTT.read(str(trimmed / "segments.vtt"), strict=True)[0].start == "00:00:01.500"


def test_webvtt_in_ffmpeg(run):
    import av

    with av.open(str(run / "segments.vtt")) as container:
        cues = [
            (float(packet.pts * packet.time_base), float(packet.duration * packet.time_base), bytes(packet).decode())
            for packet in container.demux()
            if packet.size
        ]
    assert cues == [(0.0, 2.0, "😊 happy 87%"), (4.0, 1.0, "😊 happy 82%"), (5.0, 1.0, "😮 surprised 82%")]


# ---- the words


def rows(file):
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, strict=True))


def test_sentences_of_a_text(tmp_path):
    report = reports.text_report()
    first, second = rows(export.write(report, tmp_path) / "sentences.csv")
    assert list(first) == ["start", "end", "text", "emotion", *LABELS, "sounds", "together", "distance"]
    assert [each["text"] for each in (first, second)] == ["I am so happy for you!", "It is a sad day."]
    assert [each["emotion"] for each in (first, second)] == ["happy", "sad"]
    for row, sentence in zip((first, second), report.read.text.sentences, strict=True):
        assert [float(row[label]) for label in LABELS] == pytest.approx(sentence.scores.tolist(), abs=1e-6)
        assert {row[name] for name in ("start", "end", "sounds", "together", "distance")} == {""}


def test_sentences_beside_the_sound(tmp_path):
    report = both()
    first, second = rows(export.write(report, tmp_path) / "sentences.csv")
    assert (first["start"], first["end"], second["start"]) == ("0.200", "2.800", "3.200")
    assert (first["emotion"], first["sounds"]) == ("happy", "angry")
    assert (second["emotion"], second["sounds"], second["together"]) == ("sad", "sad", "sad")
    expected = [passage.distance for passage in report.together.passages]
    assert [float(first["distance"]), float(second["distance"])] == pytest.approx(expected, abs=1e-6)
    assert float(first["distance"]) > 0.8


def test_subtitles_of_what_was_said(tmp_path):
    folder = export.write(both(), tmp_path)
    found = webvtt.WebVTT.read(str(folder / "transcript.vtt"), strict=True)
    assert [(cue.start, cue.end, cue.text) for cue in found] == [
        ("00:00:00.200", "00:00:02.800", "😊 I am so happy for you!"),
        ("00:00:03.200", "00:00:05.800", "😢 It is a sad day."),
    ]


def test_sentences_whose_time_nobody_knows_have_no_subtitle(tmp_path):
    said = reports.text_report(("One.", "sad"), ("Two.", "happy"), ("Three.", "sad"), times=((1, 2), None, (3, 3)))
    folder = export.write(said, tmp_path)
    assert [cue.text for cue in webvtt.WebVTT.read(str(folder / "transcript.vtt"), strict=True)] == ["😢 One."]
    assert [row["start"] for row in rows(folder / "sentences.csv")] == ["1.000", "", "3.000"]


def test_the_text_models_features(tmp_path):
    report = both(embedding=True)
    folder = export.write(report, tmp_path)
    found = np.load(folder / "text_embedding.npy", allow_pickle=False)
    assert (found == report.read.text.embedding).all()
    assert found.shape == (5,)
    assert np.load(folder / "embedding.npy").shape == (6,)


# What a person, or an attacker, may say; each with what is left of it in tables and subtitles.
HOSTILE_WORDS = {
    "formula": ('=HYPERLINK("http://example.org";"look")', '=HYPERLINK("http://example.org";"look")'),
    "full-width formula": ("＝1+1", "＝1+1"),
    "tags": ("<v Anna><b>Hello</b> & <script>alert(1)</script>", "<v Anna><b>Hello</b> & <script>alert(1)</script>"),
    "arrow": ("00:00:01.000 --> 00:00:02.000 I point", "00:00:01.000 --> 00:00:02.000 I point"),
    "entities": ("one &lt; two &amp;amp;", "one &lt; two &amp;amp;"),
    "quotes": ('He said "no", and; left', 'He said "no", and; left'),
    "separators": ("one\u2028two\x0bthree\x85four", "one two three four"),
    "turning": ("\u202eabc\u2066def", "abcdef"),
    "arabic": ("\u200fأنا سعيد", "\u200fأنا سعيد"),
    "half": ("half \ud83d a face", "half a face"),
    "controls": ("a\x00b\x1b[31mc", "ab[31mc"),
    "note": ("NOTE this is said", "NOTE this is said"),
    "chinese": ("我很高兴。", "我很高兴。"),
}


@pytest.mark.parametrize(("said", "shown"), HOSTILE_WORDS.values(), ids=HOSTILE_WORDS)
def test_anything_that_is_said_in_every_format(said, shown, tmp_path):
    report = reports.text_report((said, "happy"), ("The end.", "sad"), times=((0.5, 1.5), (2.0, 3.0)))
    folder = export.write(report, tmp_path)
    table = rows(folder / "sentences.csv")
    assert [cells.plain(row["text"]) for row in table] == [shown, "The end."]
    assert not table[0]["text"].lstrip().startswith(cells.DANGEROUS)
    cues = webvtt.WebVTT.read(str(folder / "transcript.vtt"), strict=True)
    assert [html.unescape(cue.raw_text) for cue in cues] == [f"😊 {shown}", "😢 The end."]
    assert not {"<", ">"} & {letter for cue in cues for letter in cue.raw_text}
    assert [(cue.start, cue.end) for cue in cues] == [
        ("00:00:00.500", "00:00:01.500"), ("00:00:02.000", "00:00:03.000"),
    ]  # fmt: skip
    found = json.loads((folder / "result.json").read_bytes())
    assert found["text"]["text"] == f"{said}\nThe end."


@pytest.mark.parametrize(
    ("seconds", "stamp"),
    [(0, "00:00:00.000"), (59.9996, "00:01:00.000"), (61.5, "00:01:01.500"), (7199.98, "01:59:59.980")],
)
def test_times_in_webvtt(seconds, stamp):
    assert export._stamp(seconds) == stamp


def rttm(file):
    """Read an RTTM as its readers do: ten fields with spaces between."""
    names = ["type", "file", "channel", "onset", "duration", "text", "kind", "name", "confidence", "lookahead"]
    return pandas.read_csv(file, sep=" ", names=names, keep_default_na=False, quoting=csv.QUOTE_NONE)


def test_rttm(run, trimmed):
    table = rttm(run / "segments.rttm")
    assert set(table["type"]) == {"SPEAKER"}
    assert set(table["file"]) == {"clip"}
    assert set(table["channel"]) == {1}
    assert set(table["text"]) == set(table["kind"]) == set(table["lookahead"]) == {"<NA>"}
    found = list(zip(table["name"], table["onset"], table["onset"] + table["duration"], strict=True))
    assert found == [each for each in PAUSE if each[0] != SILENCE]
    assert table["confidence"].tolist() == pytest.approx([0.872, 0.819, 0.818])
    assert rttm(trimmed / "segments.rttm")["onset"].tolist() == [1.5, 5.5, 6.5]
    assert set(rttm(trimmed / "segments.rttm")["file"]) == {"my_take"}


# ---- recordings at the edge

EDGES = {
    "one frame": (reports.one_frame, [("fearful", 0.0, 0.025)]),
    "all silent": (reports.all_silent, [(SILENCE, 0.0, 2.0)]),
    "one mood": (lambda **how: reports.make(("sad", 3.0), **how), [("sad", 0.0, 3.0)]),
}


@pytest.mark.parametrize("kind", EDGES)
def test_edges_in_every_format(kind, tmp_path):
    make, segments = EDGES[kind]
    folder = export.write(make(), tmp_path)
    sounding = [each for each in segments if each[0] != SILENCE]
    assert praat(folder / "segments.TextGrid")[0]["emotion"] == segments
    assert eaf(folder / "segments.eaf")[0]["emotion"] == segments
    assert len(webvtt.WebVTT.read(str(folder / "segments.vtt"), strict=True)) == len(sounding)
    assert len((folder / "segments.rttm").read_text().splitlines()) == len(sounding)
    assert len((folder / "segments.txt").read_text().splitlines()) == 1
    assert len(pandas.read_csv(folder / "timeline.csv")) == len(make().speech.timeline)


# ---- names that somebody else chose


@pytest.mark.parametrize("name", reports.HOSTILE_NAMES.values(), ids=reports.HOSTILE_NAMES)
def test_any_name_in_every_format(name, tmp_path):
    folder = _annotations(reports.pause(name=name, offset=1.0), tmp_path)
    expected = later(PAUSE, 1.0)
    assert {file.name for file in tmp_path.iterdir()} == ALWAYS | FRAMES - {"timeline.png", "timeline.svg"}
    assert json.loads((folder / "result.json").read_bytes())["source"]["name"] == name
    assert praat(folder / "segments.TextGrid")[0]["emotion"][1:] == expected
    tiers, root = eaf(folder / "segments.eaf")
    assert tiers["emotion"] == expected
    media = root.find("HEADER/MEDIA_DESCRIPTOR").get("RELATIVE_MEDIA_URL")
    assert media.startswith("./")
    assert not set("/\\:\n\0") & set(media[2:])
    assert media[2:]
    cues = webvtt.WebVTT.read(str(folder / "segments.vtt"), strict=True)
    assert len(cues) == 3
    assert len(cues.header_comments) == 1
    table = rttm(folder / "segments.rttm")
    assert table["name"].tolist() == ["happy", "happy", "surprised"]
    assert len(set(table["file"])) == 1
    assert 0 < len(table["file"][0]) <= 200
    assert not {"/", "\\"} & set(table["file"][0])


def test_no_name_is_in_tables_that_spreadsheets_open(tmp_path):
    folder = _annotations(reports.pause(name="=cmd|' /C calc'!A0"), tmp_path)
    for file in ("timeline.csv", "segments.txt"):
        text = (folder / file).read_text("utf-8")
        assert "cmd" not in text
        assert not {cell[0] for line in text.splitlines()[1:] for cell in line.replace("\t", ",").split(",")} & set(
            "=+-@"
        )


def test_a_models_name_may_be_anything(tmp_path):
    report = reports.pause()
    odd = reports.altered(report, model=replace(report.model, name="a\n\n00:00.000 --> 00:01.000\n<b>$x$"))
    folder = export.write(odd, tmp_path)
    assert len(webvtt.WebVTT.read(str(folder / "segments.vtt"), strict=True)) == 3
    assert eaf(folder / "segments.eaf")[0]["emotion"] == PAUSE


# ---- an hour


def test_an_hour_takes_seconds(monkeypatch, tmp_path):
    report = reports.hour()
    for drawing in ("timeline.png", "timeline.svg"):
        monkeypatch.delitem(export.WRITERS, drawing)  # test_plots.py draws an hour
    start = time.process_time()
    folder = export.write(report, tmp_path)
    assert time.process_time() - start < 12  # seconds; it takes three
    assert (folder / "result.json").stat().st_size < 20e6
    with (folder / "timeline.csv").open(encoding="utf-8") as file:
        assert sum(1 for _ in file) == 180_001
    tiers, end = praat(folder / "segments.TextGrid")
    assert end == pytest.approx(3600.005)
    assert len(tiers["emotion"]) > 500
    with zipfile.ZipFile(folder / f"{folder.name}.zip") as pack:
        assert pack.testzip() is None


def test_drawing_and_writing_in_threads(tmp_path):
    made = [reports.half_and_half(1.0, name=f"{index}.wav") for index in range(4)]
    failures = []

    def work(report):
        try:
            export.write(report, tmp_path)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(report,)) for report in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    names = {json.loads((folder / "result.json").read_bytes())["source"]["name"] for folder in tmp_path.iterdir()}
    assert names == {"0.wav", "1.wav", "2.wav", "3.wav"}


def test_importing_export_loads_no_writer():
    heavy = {"matplotlib", "pympi", "praatio", "webvtt", "av", "pydub"}
    code = f"import sys, emoscope.export; print({heavy} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"


def test_probabilities_in_files_are_the_smoothed_ones(tmp_path):
    report = reports.half_and_half(2.0, options=Options(granularity="frame", smooth=0))
    table = pandas.read_csv(_annotations(report, tmp_path) / "timeline.csv")
    assert table["angry"].iloc[10] == pytest.approx(0.872, abs=1e-3)
    assert table["sad"].iloc[10] == pytest.approx(0.016, abs=1e-3)
    assert EMOTIONS[INDEX["angry"]].name == table["dominant"].iloc[10]
