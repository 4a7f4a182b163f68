"""What the History tab does, as plain functions, with runs whose answers are known."""

import csv
import json
import threading
import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import sqlalchemy as sa

from emoscope import export
from emoscope.errors import StorageError
from emoscope.history import Keeper, nearness, schema, table
from emoscope.labels import LABELS
from emoscope.settings import Options, Settings
from emoscope.studio import archive, past
from emoscope.studio.archive import Archive, Asked
from emoscope.studio.desk import Desk
from emoscope.studio.holdings import NOBODY
from tests import reports

NOON = datetime(2026, 3, 1, 12).astimezone()
DAY = timedelta(days=1)


@pytest.fixture
def desk(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "shelf"))
    settings = Settings(outputs=tmp_path / "outputs")
    found = Desk(None, settings, live=None, keeper=Keeper(settings))  # nothing is analysed
    yield found
    found.keeper.close()


@pytest.fixture
def tab(desk):
    return Archive(desk)


def report(label="happy", number=0, *, name="clip.wav", model="compact-speech", embedding=None, **changed):
    """A second of one emotion, an hour later for each number."""
    made = reports.make((label, 1.0), name=name, options=Options())
    values = np.array([1, number, 0] if embedding is None else embedding, np.float32)
    made = reports.altered(made, speech=replace(made.speech, embedding=values), model=replace(made.model, name=model))
    return replace(made, **{"id": f"{number:016x}", "made_at": NOON + timedelta(hours=number), **changed})


def keep(desk, *made):
    """Have reports written, with their rows."""
    history = desk.history()
    return [history.add(each, export.write(each, desk.settings.outputs)) for each in made]


def look(tab, **asked):
    return tab.look(tab.read({**vars(Asked()), **asked}, "en"), NOBODY, "en")


def numbers(looked):
    return [int(row["id"], 16) for row in looked.past["rows"]]


def content(reference):
    return Path(reference["path"]).read_bytes()


# ---- the list


def test_a_row_is_what_its_run_is(tab, desk):
    keep(desk, report("sad", 7, name="<b>x</b>.wav"))
    (row,) = look(tab).past["rows"]
    assert (row["name"], row["emotion"], row["mode"], row["model"]) == ("<b>x</b>.wav", "sad", "speech", "compact-speech")  # fmt: skip  # noqa: E501
    assert (row["when"], row["length"], row["here"], row["sounds"]) == ("2026-03-01T19:00:00", "1 s", True, True)
    assert row["confidence"] == pytest.approx(0.872, abs=0.001)
    assert row["scores"][LABELS.index("sad")] == 872
    assert sum(row["scores"]) == pytest.approx(1000, abs=5)


def test_pages_hold_fifteen_and_a_page_that_is_gone_is_the_last(tab, desk):
    keep(desk, *(report(number=number) for number in range(17)))
    first, last, beyond = look(tab), look(tab, page=1), look(tab, page=99)
    assert numbers(first) == list(range(16, 1, -1))
    assert numbers(last) == numbers(beyond) == [1, 0]
    assert (first.past["total"], beyond.past["asked"]["page"]) == (17, 1)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, [3, 2, 1, 0]),
        ({"text": "  FIRST "}, [0]),
        ({"text": "joyful"}, [3]),
        ({"emotions": ["sad", "angry"]}, [2, 1]),
        ({"source": "second.wav"}, [1]),
        ({"model": "emotion2vec_plus_large"}, [2]),
        ({"mode": "text"}, [3]),
        ({"order": "oldest"}, [0, 1, 2, 3]),
        ({"since": "2026-03-01", "until": "2026-03-01"}, [0]),
        ({"since": "2026-03-02", "until": "2026-03-03"}, [2, 1]),
        ({"since": "2026-03-03"}, [3, 2]),
        ({"text": "nothing of that name"}, []),
    ],
)
def test_runs_are_found(tab, desk, asked, found):
    text = reports.text_report(("A joyful day.", "happy"))
    keep(
        desk,
        report("happy", 0, name="first.wav"),
        report("sad", 1, name="second.wav", made_at=NOON + DAY),
        report("angry", 2, model="emotion2vec_plus_large", made_at=NOON + 2 * DAY),
        replace(text, id=f"{3:016x}", made_at=NOON + 3 * DAY),
    )
    looked = look(tab, **asked)
    assert numbers(looked) == found
    assert looked.past["total"] == len(found)
    assert looked.past["everything"] == (not asked or "order" in asked)
    assert looked.past["models"] == ["compact-speech", "emotion2vec_plus_large", "known-words"]
    assert bool(looked.past["sentence"]) == (not found)


def test_an_empty_history_says_what_to_do(tab):
    looked = look(tab)
    assert (looked.past["state"], looked.past["total"], looked.past["rows"]) == ("ready", 0, [])
    assert looked.past["sentence"].startswith("Nothing has been analysed yet.")
    assert look(tab, text="x").past["sentence"].startswith("Nothing matches.")
    assert look(tab, view="trends").trends is look(tab, view="map").chart is None


@pytest.mark.parametrize(
    "wish",
    [
        None,
        [],
        "text",
        {},
        {"emotions": []} | {"unknown": 1},
        {"emotions": ["joy"]},
        {"emotions": 3},
        {"emotions": ["sad"] * 10},
        {"emotions": [], "since": "yesterday"},
        {"emotions": [], "since": 20260301},
        {"emotions": [], "until": "9999-12-31"},
        {"emotions": [], "mode": "smell"},
        {"emotions": [], "order": "emotion; DROP TABLE runs"},
        {"emotions": [], "page": -1},
        {"emotions": [], "page": 1.5},
        {"emotions": [], "page": True},
        {"emotions": [], "page": 10**12},
        {"emotions": [], "text": "x" * 501},
        {"emotions": [], "text": 3},
        {"emotions": [], "model": ["x"]},
        {"emotions": [], "view": "everything"},
        {"emotions": [], "of": "smell"},
    ],
)
def test_what_no_page_of_ours_asks_is_refused(tab, wish):
    with pytest.raises(gr.Error, match="Load it again"):
        tab.read(wish, "en")


def test_privacy_mode_says_that_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "shelf"))
    settings = Settings(outputs=tmp_path / "outputs", keep="nothing")
    tab = Archive(Desk(None, settings, live=None, keeper=Keeper(settings)))
    looked = look(tab)
    assert looked.past["state"] == "private"
    assert "EMOSCOPE_KEEP is “nothing”" in looked.past["sentence"]
    assert not settings.outputs.exists()


def test_runs_from_before_privacy_mode_are_still_there(desk):
    keep(desk, report())
    desk.keeper.close()
    settings = Settings(outputs=desk.settings.outputs, keep="nothing")
    private = Archive(Desk(None, settings, live=None, keeper=Keeper(settings)))
    looked = look(private)
    assert numbers(looked) == [0]
    assert looked.past["note"].endswith("These runs are from before.")
    private.desk.keeper.close()


def test_a_database_that_is_away_is_told_and_comes_back(tab, desk, monkeypatch):
    keep(desk, report())
    opened = Keeper.opened

    def gone(_keeper, *_visitor):
        raise StorageError("There is no run 7 in the history. “./run.sh history list” shows what there is.")

    monkeypatch.setattr(Keeper, "opened", gone)
    assert look(tab).past["state"] == "away"
    asked = Asked()
    assert tab.look(asked, NOBODY, "zh").past["sentence"].startswith("历史记录中没有编号为 7 的分析")
    monkeypatch.setattr(Keeper, "opened", opened)
    assert numbers(look(tab)) == [0]


# ---- one run, or two


def identity(number):
    return f"{number:016x}"


def test_a_run_opens_as_the_tab_that_it_came_from_showed_it(tab, desk):
    (run,) = keep(desk, report("sad", 1, name="a & b.wav"))
    found = tab.open(run.id, NOBODY, "en")
    assert (found.verdict["title"], found.verdict["percent"], found.verdict["file"]) == ("Sad", "87%", "a & b.wav")
    assert found.timeline["seconds"] == 1.0
    assert json.loads(content(found.timeline["segments"]))[0][:3] == [LABELS.index("sad"), 0, 1]
    assert {each["name"] for each in found.downloads["files"]} == {"result.json", "processed_audio.wav", "frames.npz"}
    assert found.voices is found.disagreements is found.reading is None
    assert tab.open(run.id, NOBODY, "zh").verdict["title"] == "难过"


def test_a_text_opens_without_a_timeline_and_speech_and_text_with_all_of_it(tab, desk):
    both = reports.together_report(options=Options(fusion="weighted", text_weight=0.55))
    text, whole = keep(desk, reports.text_report(), both)
    found = tab.open(text.id, NOBODY, "en")
    assert found.timeline is found.voices is None
    assert json.loads(content(found.reading["file"]))["text"] == text.text
    found = tab.open(whole.id, NOBODY, "en")
    assert found.timeline["said"] is not None
    assert found.voices["sides"]["voice"]["name"] in ("angry", "sad")
    assert [row["sentence"] for row in found.disagreements["rows"]] == ["says happy, sounds angry"]


def test_the_most_alike_come_first_with_their_cosines(tab, desk):
    places = {0: [1, 0, 0], 1: [1, 1, 0], 2: [1, 0.1, 0], 3: [-1, 0, 0]}
    keep(desk, *(report(number=number, embedding=place) for number, place in places.items()))
    found = tab.open(identity(0), NOBODY, "en").nearby
    assert [int(row["id"], 16) for row in found["rows"]] == [2, 1, 3]
    assert [row["cosine"] for row in found["rows"]] == pytest.approx([0.995, 0.707, -1], abs=0.001)
    assert found["note"] == ""


def test_a_run_without_company_or_embedding_says_so(tab, desk):
    (run,) = keep(desk, report())
    assert "no other run" in tab.open(run.id, NOBODY, "en").nearby["note"]
    with desk.history().database.writing() as connection:
        connection.execute(sa.delete(schema.embeddings))
    assert "has no embedding" in tab.open(run.id, NOBODY, "en").nearby["note"]
    assert "没有嵌入向量" in tab.open(run.id, NOBODY, "zh").nearby["note"]


@pytest.mark.parametrize("id", ["ffff", "", None, 3, ["x"], {"a": 1}, "../../etc", "' OR 1=1 --"])
def test_a_run_that_there_is_not_is_told(tab, desk, id):
    keep(desk, report())
    for act in (tab.open, tab.clip):
        with pytest.raises(gr.Error, match="There is no run"):
            act(id, NOBODY, "en")


def test_runs_whose_files_lie_elsewhere_say_so(tab, desk):
    (run,) = keep(desk, report(name="<i>far.wav"))
    with desk.history().database.writing() as connection:
        connection.execute(sa.update(schema.runs).values(place="another machine's"))
    (row,) = look(tab).past["rows"]
    assert (row["here"], row["sounds"]) == (False, False)
    for act in (tab.open, tab.clip):
        with pytest.raises(gr.Error, match=r"The files of “&lt;i&gt;far\.wav” lie on another machine"):
            act(run.id, NOBODY, "en")


def test_a_run_whose_files_are_damaged_says_so(tab, desk):
    (run,) = keep(desk, report())
    (run.folder / "frames.npz").write_bytes(b"no longer whole")
    with pytest.raises(gr.Error, match="are damaged"):
        tab.open(run.id, NOBODY, "en")


def test_the_sound_of_a_run_is_fetched_when_it_is_played(tab, desk):
    run, text = keep(desk, report("sad"), replace(reports.text_report(), id=identity(1)))
    found = tab.clip(run.id, NOBODY, "en")
    assert content(found["audio"]) == (run.folder / "processed_audio.wav").read_bytes()
    assert (found["name"], found["emotion"]) == ("clip.wav", "sad")
    with pytest.raises(gr.Error, match="no sound to play"):
        tab.clip(text.id, NOBODY, "en")


def test_two_runs_are_compared(tab, desk):
    first, second = keep(desk, report("sad", 0, name="=1+1.wav"), report("happy", 1))
    found = tab.compare([second.id, first.id], NOBODY, "en")
    assert [verdict["file"] for verdict in found.verdicts] == ["A · clip.wav", "B · =1+1.wav"]
    assert found.difference["scores"]["sentence"] == "B is 86 points sadder; A is 86 points happier."
    assert found.difference["shares"]["sentence"] == "B is 100 points sadder; A is 100 points happier."
    assert all(timeline["seconds"] == 1.0 for timeline in found.timelines)
    assert "'=1+1.wav" in content(found.difference["csv"]).decode()


def test_a_recording_is_compared_with_a_text_by_their_verdicts(tab, desk):
    first, second = keep(desk, report("sad"), replace(reports.text_report(), id=identity(1)))
    found = tab.compare([first.id, second.id], NOBODY, "en")
    assert found.timelines[1] is None
    assert found.difference["scores"]["rows"][0]["name"] == "happy"
    assert found.difference["shares"]["rows"] is None
    assert "has no sound" in found.difference["shares"]["sentence"]


@pytest.mark.parametrize("ids", [None, [], ["a"], ["a", "b", "c"], "ab"])
def test_it_takes_two_to_compare(tab, ids):
    with pytest.raises(gr.Error, match="Choose two runs"):
        tab.compare(ids, NOBODY, "en")


# ---- deleting and exporting


def test_chosen_runs_are_deleted_with_their_files(tab, desk):
    runs = keep(desk, *(report(number=number) for number in range(3)))
    looked = tab.delete([runs[0].id, runs[2].id], Asked(), NOBODY, "en")
    assert looked.past["told"] == "2 runs were deleted with their files."
    assert numbers(looked) == [1]
    assert [run.folder.exists() for run in runs] == [False, True, False]
    looked = tab.delete([runs[1].id], Asked(), NOBODY, "zh")
    assert (looked.past["told"], looked.past["total"]) == ("已删除 1 条记录及其文件。", 0)


@pytest.mark.parametrize("ids", [None, "ab", [3], [["x"]]])
def test_only_runs_are_deleted(tab, desk, ids):
    keep(desk, report())
    with pytest.raises(gr.Error):
        tab.delete(ids, Asked(), NOBODY, "en")
    assert desk.history().count() == 1


def test_all_that_are_meant_are_deleted_and_no_others(tab, desk):
    runs = keep(desk, report("sad", 0), report("sad", 1), report("happy", 2))
    sad = tab.read({**vars(Asked()), "emotions": ["sad"]}, "en")
    looked = tab.sweep(2, sad, NOBODY, "en")
    assert (looked.past["told"], looked.past["total"]) == ("2 runs were deleted with their files.", 0)
    assert [run.folder.exists() for run in runs] == [False, False, True]


def test_nothing_is_deleted_where_there_are_more_than_the_visitor_was_told(tab, desk):
    keep(desk, report(number=0), report(number=1))
    for told in (1, 3, None, "2"):
        with pytest.raises(gr.Error, match="There are 2 such runs by now"):
            tab.sweep(told, Asked(), NOBODY, "en")
    assert desk.history().count() == 2


def test_runs_whose_files_lie_elsewhere_are_left(tab, desk):
    far, _ = keep(desk, report(number=0), report(number=1))
    with desk.history().database.writing() as connection:
        connection.execute(sa.update(schema.runs).where(schema.runs.c.id == far.id).values(place="another"))
    looked = tab.sweep(2, Asked(), NOBODY, "en")
    assert looked.past["told"] == "1 run was deleted with its files. 1 whose files lie elsewhere are still here."
    assert numbers(looked) == [0]


def test_the_table_has_all_that_are_meant_and_no_formula(tab, desk):
    keep(desk, *(report(number=number) for number in range(16)), report("sad", 16, name="=1+1.wav"))
    lines = list(csv.DictReader(content(tab.table(Asked(), NOBODY, "en").past["csv"]).decode().splitlines()))
    assert len(lines) == 17
    shown = [name for name in table.COLUMNS if name != "folder"]  # where the server keeps its files is its own business
    assert list(lines[0]) == shown
    assert lines[0]["name"] == "'=1+1.wav"
    sad = tab.read({**vars(Asked()), "emotions": ["sad"]}, "en")
    assert len(content(tab.table(sad, NOBODY, "en").past["csv"]).decode().splitlines()) == 2


# ---- from afar


def test_trends_are_told_day_by_day(tab, desk):
    keep(
        desk,
        report("sad", 0),
        report("sad", 1),
        report("happy", 2),
        report("happy", 3, made_at=NOON + 2 * DAY, seconds={"speech": 2.0}),
        replace(reports.all_silent(options=Options()), id=identity(4), made_at=NOON + 2 * DAY),
    )
    days = json.loads(content(look(tab, view="trends").trends["file"]))
    assert [day[:3] for day in days] == [["2026-03-01", 3, 0], ["2026-03-03", 2, 1]]
    first, last = (dict(zip(LABELS, day[3], strict=True)) for day in days)
    assert (first["sad"], first["happy"], last["happy"]) == (0.66667, 0.33333, 1)
    assert [day[4] for day in days] == pytest.approx([0.872, 0.872], abs=0.001)
    assert days[0][5] == pytest.approx(0.5123)
    assert look(tab, view="trends", emotions=["angry"]).trends is None


def test_the_map_has_a_point_for_every_run(tab, desk):
    places = {0: [1, 0, 0], 1: [1, 0.1, 0], 2: [0, 0, 1], 3: [0, 0.1, 1]}
    keep(desk, *(report("sad", number, embedding=place) for number, place in places.items()))
    shown = look(tab, view="map").chart
    points = {int(point["id"], 16): point for point in json.loads(content(shown["file"]))}
    assert (shown["count"], shown["kind"], shown["of"]) == (4, "pca", "speech")
    assert points[0]["cluster"] == points[1]["cluster"] != points[2]["cluster"] == points[3]["cluster"]
    assert abs(points[0]["x"] - points[1]["x"]) < 0.2 < abs(points[0]["x"] - points[2]["x"])
    assert (points[0]["name"], points[0]["emotion"], points[0]["sounds"]) == ("clip.wav", "sad", True)
    assert look(tab, view="map", of="text").chart["count"] == 0


def test_the_map_of_neighbours_tells_how_far_it_is(tab, desk, monkeypatch):
    monkeypatch.setattr(archive, "PAGE", 3)
    groups = np.eye(3)
    keep(desk, *(report("sad", number, embedding=groups[number % 3] + 0.01 * number) for number in range(9)))
    told = []
    draw = nearness.MAPS["tsne"]

    def slowly(unit, progress):
        def tell(what, done):
            told.append(done)
            time.sleep(0.2)
            progress(what, done)

        return draw(unit, tell)

    monkeypatch.setitem(nearness.MAPS, "tsne", slowly)
    *news, found = tab.arrange(Asked(), NOBODY, "en")
    assert told == [0, 0.25, 0.5, 0.75]
    assert news[0]["what"] == "Arranging the runs"
    assert [now["done"] for now in news] == sorted(now["done"] for now in news)
    assert news[-1]["done"] >= 0.5
    assert (found["kind"], found["count"]) == ("tsne", 9)
    assert len({(point["x"], point["y"]) for point in json.loads(content(found["file"]))}) == 9


def test_what_is_shown_is_small_whatever_the_history_holds(tab, desk):
    keep(desk, *(report(number=number) for number in range(16)))
    for view in archive.VIEWS:
        assert len(json.dumps(vars(look(tab, view=view)), default=vars)) < 20_000


# ---- where nobody is asked


def test_many_can_look_while_runs_come_and_go(tab, desk):
    keep(desk, *(report(number=number) for number in range(6)))
    trouble = []

    def watch():
        for _ in range(8):
            try:
                assert look(tab).past["total"] <= 6
            except Exception as error:
                trouble.append(error)

    threads = [threading.Thread(target=watch) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(6):
        tab.delete([identity(number)], Asked(), NOBODY, "en")
    for thread in threads:
        thread.join()
    assert not trouble
    assert numbers(look(tab)) == []


def test_a_silent_run_has_no_confidence_to_speak_of(tab, desk):
    (run,) = keep(desk, replace(reports.all_silent(options=Options()), id=identity(0)))
    row = past.row(run, "en")
    assert row["silent"]
    assert tab.open(run.id, NOBODY, "en").verdict["title"] == "Silence"
