"""The history: the same tests on SQLite and PostgreSQL, with reports whose answers are known."""

import csv
import gc
import io
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import traceback
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas
import psycopg
import pytest
import sqlalchemy as sa

from emoscope import claims, export, history
from emoscope.errors import InputError, OptionError, StorageError
from emoscope.history import Filter, History, Keeper, folders, schema
from emoscope.history.database import MIGRATIONS, Database
from emoscope.history.entry import Entry
from emoscope.history.nearness import cluster, draw
from emoscope.labels import LABELS
from emoscope.settings import ROOT, Options, Retention, Settings
from tests import postgres, reports

DAY = timedelta(days=1)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
BOTH = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(scope="module")
def server():
    yield from postgres.serve()


@pytest.fixture(autouse=True)
def closed(monkeypatch):
    """Let go of every database in the end, as a door does."""
    opened, real = [], Database.__init__

    def remember(self, address):
        real(self, address)
        opened.append(self)

    monkeypatch.setattr(Database, "__init__", remember)
    yield
    for database in opened:
        database.close()


@pytest.fixture(params=BOTH)
def address(request, tmp_path):
    """The address of a database that is not there yet, or empty."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/database/runs.sqlite3"
    return request.getfixturevalue("server").fresh()


@pytest.fixture
def kept(address, tmp_path):
    """A history with nothing in it."""
    return History(tmp_path / "outputs", address)


def report(label="happy", *, number=0, name="clip.wav", embedding=None, weights="0" * 64, options=None, **changed):
    """A second of one emotion."""
    made = reports.make((label, 1.0), name=name, options=options or Options())
    speech = replace(made.speech, embedding=np.array([1, number, 0] if embedding is None else embedding, np.float32))
    made = reports.altered(made, speech=speech, model=replace(made.model, weights=weights))
    return replace(made, **{"id": f"{number:016x}", "made_at": NOON + timedelta(minutes=number), **changed})


def write(kept, made):
    """Write a report's folder and row."""
    return kept.add(made, export.write(made, kept.outputs))


def ids(runs):
    return [int(run.id, 16) for run in runs]


# ---- what a row holds


def test_a_run_is_what_its_report_says(kept):
    made = report("sad", number=7, name="我的 “clip”.wav")
    run = write(kept, made)
    assert (run.id, run.mode, run.name, run.sha256) == (f"{7:016x}", "speech", "我的 “clip”.wav", "ab" * 32)
    assert (run.emotion, run.confidence) == (made.verdict.emotion, pytest.approx(made.verdict.confidence))
    assert run.scores == pytest.approx(made.verdict.scores)
    assert run.made_at == made.made_at
    assert run.duration == made.recording.quality.duration
    assert (run.speech_model, run.text_model) == ("known-answers", "")
    assert run.models["speech"]["weights"] == "0" * 64
    assert run.options == made.to_dict()["options"]
    assert run.seconds == {"decode": 0.0123, "speech": 0.5}
    assert run.latency == pytest.approx(0.5123)
    assert run.bytes == sum(file.stat().st_size for file in run.folder.iterdir())
    assert kept.get(run.id) == run
    assert json.loads(export.to_json(run.to_dict()))["folder"] == str(run.folder)


@pytest.mark.parametrize("made", [reports.text_report(), reports.together_report(reports.one_frame())], ids=["text", "multimodal"])  # fmt: skip  # noqa: E501
def test_texts_are_stored_with_their_words(kept, made):
    run = write(kept, replace(made, options=replace(made.options, granularity="utterance")))
    assert run.mode == made.mode
    assert run.text == made.read.text.text
    assert run.text_model == "known-words"
    assert ids(kept.search(Filter(text="SAD happy"))) == [int(made.id, 16)]
    assert kept.search(Filter(text="angry")) == []
    assert (run.duration is None) == (made.heard is None)


@pytest.mark.parametrize("name", reports.HOSTILE_NAMES.values(), ids=reports.HOSTILE_NAMES)
def test_any_name_can_be_stored_and_found(kept, name):
    run = write(kept, report(name=name))
    assert run.name == name.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    assert kept.search(Filter(source=name)) == kept.search(Filter(text=name)) == [run]


def test_what_is_taken_in_from_a_folder_is_what_was_added(kept):
    made = report(options=Options(embedding=True), embedding=[3, 1, 2])
    added = write(kept, made)
    with kept.database.writing() as connection:
        connection.execute(sa.delete(schema.runs))
    assert kept.reconcile().taken_in == (made.id,)
    assert kept.get(made.id) == added
    with kept.database.reading() as connection:
        (stored,) = connection.scalars(sa.select(schema.embeddings.c.vector))
    assert np.frombuffer(stored, "<f4").tolist() == [3, 1, 2]


def test_the_embedding_of_frames_is_their_mean(kept):
    folder = write(kept, report()).folder
    frames = np.arange(12, dtype=np.float32).reshape(4, 3)
    np.save(folder / "embedding.npy", frames)
    (vector,) = Entry.read(folder).vectors
    assert vector.values.tolist() == [4.5, 5.5, 6.5]
    np.save(folder / "embedding.npy", frames * np.nan)
    assert Entry.read(folder).vectors == ()


def test_a_run_is_stored_once(kept):
    made = report()
    folder = export.write(made, kept.outputs)
    assert kept.add(made, folder) == kept.add(made, folder)
    assert kept.count() == 1


# ---- looking for runs


@pytest.fixture
def many(kept):
    """Six runs of two days: two emotions, two models, two recordings; the last one is a text."""
    for number, (label, name, weights) in enumerate(
        [("happy", "Ärger am Morgen.wav", "a"), ("sad", "50%_off.wav", "a"), ("happy", "b.wav", "b"),
         ("sad", "b.wav", "b"), ("happy", "B.WAV", "b")]
    ):  # fmt: skip
        made = report(label, number=number, name=name, weights=weights * 64)
        made = reports.altered(made, model=replace(made.model, name=f"model-{weights}"))
        write(kept, replace(made, made_at=NOON + number * DAY / 2))
    write(kept, replace(reports.text_report(), id=f"{5:016x}", made_at=NOON + 5 * DAY / 2))
    return kept


@pytest.mark.parametrize(
    ("chosen", "found"),
    [
        (Filter(), [5, 4, 3, 2, 1, 0]),
        (Filter(text="ÄRGER"), [0]),
        (Filter(text="ärger mor"), [0]),
        (Filter(text="ärger b"), []),
        (Filter(text="b.wav"), [4, 3, 2]),
        (Filter(text="%"), [1]),
        (Filter(text="50%_"), [1]),
        (Filter(text="_"), [1]),
        (Filter(text="'; DROP TABLE runs; --"), []),
        (Filter(emotions=("sad",)), [3, 1]),
        (Filter(emotions=("sad", "angry", "happy"), text="wav"), [4, 3, 2, 1, 0]),
        (Filter(since=NOON + DAY), [5, 4, 3, 2]),
        (Filter(until=NOON + DAY), [1, 0]),
        (Filter(since=NOON + DAY / 2, until=NOON + 2 * DAY), [3, 2, 1]),
        (Filter(source="b.wav"), [3, 2]),
        (Filter(source="abababab"), [4, 3, 2, 1, 0]),
        (Filter(source="abab"), []),
        (Filter(model="model-b"), [4, 3, 2]),
        (Filter(model="known-words"), [5]),
        (Filter(mode="text"), [5]),
        (Filter(mode="speech", emotions=("sad",), model="model-a"), [1]),
    ],
    ids=str,
)  # fmt: skip
def test_runs_are_found_by_what_they_have_in_common(many, chosen, found):
    assert ids(many.search(chosen)) == ids(many.all(chosen)) == found
    assert many.count(chosen) == len(found)


def test_runs_come_in_pages_and_orders(many):
    assert ids(many.search(limit=2)) == [5, 4]
    assert ids(many.search(limit=2, offset=3)) == [2, 1]
    assert ids(many.search(order="oldest")) == [0, 1, 2, 3, 4, 5]
    assert ids(many.search(order="longest"))[-1] == 5  # a text has no length
    confidences = [run.confidence for run in many.search(order="surest")]
    assert confidences == sorted(confidences, reverse=True)


@pytest.mark.parametrize(
    ("ask", "error", "says"),
    [
        (lambda kept: kept.get("none"), InputError, "There is no run none in the history."),
        (lambda kept: kept.delete(["none"]), InputError, "There is no run none in the history."),
        (lambda kept: kept.similar("none"), InputError, "There is no run none in the history."),
        (lambda kept: kept.search(order="best"), OptionError, "not “best”"),
        (lambda _kept: Filter(emotions=("joy",)), OptionError, "An emotion is angry, .*, not “joy”"),
        (lambda _kept: Filter(mode="sound"), OptionError, "What was analysed is speech, text, multimodal, not “sound”"),
    ],
)
def test_what_there_is_not_is_said(kept, ask, error, says):
    with pytest.raises(error, match=says):
        ask(kept)


# ---- what the runs say together


def test_the_table_can_be_read_and_holds_no_formula(kept):
    for number, name in enumerate(["=1+1", "+1", "-1", "@a", "\ta", "\ra", " =1", "'quoted", 'a,"b"\nc', "plain"]):
        write(kept, report(number=number, name=name))
    out = io.StringIO(newline="")
    assert history.write_csv(kept.all(), out) == 10
    cells = [cell for row in csv.reader(io.StringIO(out.getvalue(), newline="")) for cell in row]
    assert not [cell for cell in cells if cell.lstrip(" ").startswith(tuple("=+-@\t\r"))]
    table = pandas.read_csv(io.StringIO(out.getvalue(), newline=""), keep_default_na=False, dtype={"id": str})
    assert table["name"][9] == "'=1+1"
    assert set(table["name"]) >= {"plain", 'a,"b"\nc', "''quoted"}
    assert table[list(LABELS)].sum(axis=1).tolist() == pytest.approx([1.0] * 10)
    assert json.loads(table["options"][0])["granularity"] == "utterance"
    assert table["id"].tolist() == [run.id for run in kept.all()]


def test_trends_have_the_median_of_each_day(kept):
    seconds = (1.0, 2.0, 9.0, 4.0)
    for number, label in enumerate(["happy", "sad", "happy", "silence"]):
        made = report(label, number=number, seconds={"speech": seconds[number]})
        write(kept, replace(made, made_at=datetime(2026, 3, 1, number).astimezone()))
    write(kept, report("angry", number=9, made_at=datetime(2026, 3, 5, 23, 59, 59).astimezone()))
    first, last = kept.trends()
    assert [first.day.isoformat(), last.day.isoformat()] == ["2026-03-01", "2026-03-05"]  # on the clock of this machine
    assert (first.runs, first.silent, first.latency) == (4, 1, 3.0)
    assert {label: share for label, share in first.shares.items() if share} == pytest.approx({"happy": 2 / 3, "sad": 1 / 3})  # fmt: skip  # noqa: E501
    assert first.confidence == pytest.approx(np.median([kept.get(f"{number:016x}").confidence for number in range(3)]))
    assert last.shares["angry"] == 1.0
    assert kept.trends(Filter(emotions=("sad",)))[0].runs == 1


def test_only_silence_has_no_confidence(kept):
    write(kept, report("silence"))
    (day,) = kept.trends()
    assert (day.runs, day.silent, day.confidence, sum(day.shares.values())) == (1, 1, None, 0)


def test_more_like_this_is_the_cosine_of_the_same_models_embeddings(kept, monkeypatch):
    monkeypatch.setattr("emoscope.history.store.BLOCK", 2)  # several blocks
    random = np.random.default_rng(0)
    vectors = random.standard_normal((9, 16)).astype(np.float32)
    for number, vector in enumerate(vectors):
        write(kept, report(number=number, embedding=vector))
    write(kept, report(number=20, embedding=vectors[0], weights="f" * 64))  # another model's
    write(kept, report(number=21, embedding=vectors[0][:8]))  # and one that cannot be
    write(kept, report(number=22, embedding=0 * vectors[0]))  # of no length
    found = kept.similar(f"{0:016x}", 20)
    wide = vectors.astype(np.float64)
    exact = wide @ wide[0] / np.linalg.norm(wide, axis=1) / np.linalg.norm(wide[0])
    order = sorted(range(1, 9), key=lambda number: -exact[number])
    known = {number: exact[number] for number in order} | {22: 0.0}
    assert ids(each.run for each in found) == sorted(known, key=lambda number: -known[number])
    assert [each.cosine for each in found] == pytest.approx(sorted(known.values(), reverse=True), abs=1e-6)
    assert ids(each.run for each in kept.similar(f"{0:016x}", 3)) == order[:3]
    with pytest.raises(InputError, match=r"has no embedding in the history\. Analyse its recording again"):
        kept.similar(f"{0:016x}", kind="text")


def test_a_map_shows_what_is_alike_together(kept):
    random = np.random.default_rng(0)
    places = np.repeat(np.eye(3, 8), [5, 3, 2], axis=0) + 0.01 * random.standard_normal((10, 8))
    for number, place in enumerate(places):
        write(kept, report(number=number, embedding=place))
    write(kept, replace(report(number=11, weights="f" * 64), made_at=NOON - DAY))  # of another model, and older
    chart = kept.chart("pca")
    assert ids(chart.runs) == list(range(9, -1, -1))  # the newest first
    assert chart.points.shape == (10, 2)
    assert chart.weights == "0" * 64
    assert chart.clusters.tolist() == [2, 2, 1, 1, 1, 0, 0, 0, 0, 0]  # three, the largest first
    for number in range(3):
        of = chart.points[chart.clusters == number]
        others = chart.points[chart.clusters != number]
        assert np.ptp(of, axis=0).max() < np.linalg.norm(of[:, None] - others[None], axis=2).min()
    assert kept.chart("pca", Filter(text="nothing")).runs == ()
    assert set(kept.chart("pca", clusters=2).clusters.tolist()) == {0, 1}
    with pytest.raises(OptionError, match="A map is pca, tsne, not “globe”"):
        kept.chart("globe")


def test_pca_is_that_of_the_unit_vectors():
    vectors = np.random.default_rng(1).standard_normal((30, 5)).astype(np.float32)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    points = draw(vectors, "pca")
    values = np.linalg.eigvalsh(np.cov(unit.T))[::-1]
    assert points.var(axis=0, ddof=1) == pytest.approx(values[:2], rel=1e-4)
    assert abs(np.corrcoef(points.T)[0, 1]) < 1e-4


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("same", [True, False])
def test_a_few_runs_have_a_map_too(count, same):
    vectors = np.ones((count, 3), np.float32) if same else np.eye(5, dtype=np.float32)[:count]
    assert draw(vectors, "pca").shape == draw(vectors, "tsne").shape == (count, 2)
    assert cluster(vectors).shape == (count,)
    assert set(cluster(vectors, 8).tolist()) == ({0} if same else set(range(count)))


# ---- the database: made, brought up to date, away, full, and back


def processes(what, settings):
    command = [sys.executable, "-m", "tests.processes", what, settings.outputs, settings.database_url]
    subprocess.run(command, cwd=ROOT, check=True, timeout=120, env={**os.environ, "PYTHONPATH": str(ROOT)})


def test_the_migrations_make_the_tables_that_the_code_knows(kept):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    with kept.database.writing() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, schema.metadata) == []
    assert ScriptDirectory(MIGRATIONS).get_heads() == [schema.NEWEST]


@pytest.mark.parametrize("version", ["0001", "0002"])
def test_runs_of_every_earlier_version_are_still_there(kept, address, version, monkeypatch):
    monkeypatch.setattr("emoscope.history.database.NEWEST", version)
    earlier = Database(address)
    folder = export.write(report(number=1), kept.outputs)
    row = Entry.read(folder).row | {"place": folders.mark(kept.outputs), "folder": folder.name}
    with earlier.writing() as connection:  # as that version wrote it: with the columns that it had
        there = {column["name"] for column in sa.inspect(connection).get_columns("runs")}
        columns = [sa.column(each.name, each.type) for each in schema.runs.c if each.name in there]
        values = {each.name: row[each.name] for each in columns if each.name != "number"}
        connection.execute(sa.insert(sa.table("runs", *columns)).values(values))
    earlier.close()
    monkeypatch.undo()
    assert ids(kept.all()) == [1]
    assert [run.visitor for run in kept.all()] == [""]
    write(kept, report(number=2))
    assert kept.similar(f"{2:016x}") == []  # the table of the newest version is there


def test_a_newer_version_is_left_alone(kept, address):
    write(kept, report())
    with kept.database.writing() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    newer = History(kept.outputs, address)
    with pytest.raises(StorageError, match=r"was made by a newer Emoscope\. Update this one"):
        newer.count()
    assert kept.count() == 1


def test_processes_that_begin_together_make_one_history(address, tmp_path):
    settings = Settings(outputs=tmp_path / "outputs", database_url=address)
    processes("together", settings)
    assert sorted(ids(History(settings.outputs, address).all())) == list(range(6))


def test_threads_share_a_history(kept):
    folders = [export.write(report(number=number), kept.outputs) for number in range(24)]

    def work(number):
        run = kept.add(report(number=number), folders[number])
        assert kept.get(run.id) == run
        if number % 3 == 0:
            kept.delete([run.id])
        return kept.count()

    with ThreadPoolExecutor(8) as threads:
        assert max(threads.map(work, range(24))) <= 24
    assert sorted(ids(kept.all())) == [number for number in range(24) if number % 3]


def keeper(kept, address, **settings):
    return Keeper(Settings(outputs=kept.outputs, database_url=address, **settings))


def agree(kept):
    """Rows and folders are the same, every folder is whole, and nothing is hidden."""
    there = {run.folder for run in kept.all()}
    assert there == {each for each in kept.outputs.iterdir() if each.is_dir()}
    for folder in there:
        with zipfile.ZipFile(folder / f"{folder.name}.zip") as archive:
            assert archive.testzip() is None
            assert set(archive.namelist()) == {each.name for each in folder.iterdir()} - {f"{folder.name}.zip"}
    assert {each.name for each in kept.outputs.iterdir() if each.name.startswith(".")} == {".emoscope-outputs"}
    return sorted(ids(kept.all()))


def test_whoever_is_killed_at_any_moment_leaves_nothing_half(kept, address):
    processes("killed", Settings(outputs=kept.outputs, database_url=address))
    keeper(kept, address).start()
    assert agree(kept)
    assert kept.reconcile() == history.Reconciled()


@pytest.mark.postgres
def test_a_server_that_goes_and_comes_back_loses_no_run(server, tmp_path):
    address = server.fresh()
    kept = History(tmp_path / "outputs", address)
    door = keeper(kept, address)
    assert door.keep(report(number=1)).note == ""
    server.stop()
    try:
        missed = door.keep(report(number=2))
        assert missed.run is None
        assert "does not answer. Start it, or set EMOSCOPE_DATABASE_URL" in missed.note
        assert (missed.folder / "result.json").is_file()
        with pytest.raises(StorageError, match="does not answer"):
            kept.search()
        with pytest.raises(StorageError, match="does not answer"):
            kept.delete([f"{1:016x}"])
        elsewhere = keeper(kept, address)
        elsewhere.start()  # logs a sentence, and goes on
    finally:
        server.start()
    assert ids(kept.search()) == [1]
    door.keep(report(number=3))
    assert agree(kept) == [1, 2, 3]
    assert len(kept.similar(f"{2:016x}")) == 2  # with what only this process knew
    kept.close()


def test_what_another_process_could_not_store_is_found_by_its_folder(kept, address):
    for number in (1, 2):
        export.write(report(number=number, options=Options(embedding=True)), kept.outputs)
    door = keeper(kept, address)
    door.start()
    assert agree(kept) == [1, 2]
    assert len(kept.similar(f"{1:016x}")) == 1


def test_a_file_that_is_removed_while_it_is_open_is_made_again(tmp_path):
    kept = History(tmp_path / "outputs")
    door = Keeper(Settings(outputs=kept.outputs))
    door.keep(report(number=1))
    for file in kept.outputs.glob("history.sqlite3*"):
        file.unlink()
    assert door.keep(report(number=2)).note == ""
    assert agree(kept) == [1, 2]


def test_a_file_that_cannot_be_opened_for_a_while(tmp_path):
    place = tmp_path / "database"
    kept = History(tmp_path / "outputs", place / "h.sqlite3")
    door = Keeper(Settings(outputs=kept.outputs, database_url=f"sqlite:///{place}/h.sqlite3"))
    place.write_text("in the way")
    assert "cannot be opened. Allow it, or set EMOSCOPE_DATABASE_URL" in door.keep(report(number=1)).note
    place.unlink()
    assert door.keep(report(number=2)).note == ""
    assert agree(kept) == [1, 2]


def test_a_full_disk_is_said_and_the_files_are_there(tmp_path):
    kept = History(tmp_path / "outputs")
    door = Keeper(Settings(outputs=kept.outputs))
    door.keep(report(number=1))
    engine = door.history.database._engine

    @sa.event.listens_for(engine, "connect")
    def fill(connection, _record):
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")

    engine.dispose()
    words = replace(reports.text_report(("word " * 5000, "happy")), id=f"{2:016x}")
    told = door.keep(words)
    assert told.note.startswith(f"There is no space left for {kept.outputs}/history.sqlite3.")
    assert told.folder.is_dir()
    sa.event.remove(engine, "connect", fill)
    engine.dispose()
    door.keep(report(number=3))
    assert agree(kept) == [1, 2, 3]


@pytest.mark.postgres
def test_what_a_server_refuses_is_said(server, tmp_path):
    name = "refusing"
    server.tell(f"CREATE DATABASE {name}")
    address = server.address(name)
    made = report()
    kept = History(tmp_path, address)
    folder = export.write(made, tmp_path)
    kept.count()
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "RAISE EXCEPTION 'full' USING ERRCODE = '53100'; END $$"
        )
        connection.execute("CREATE TRIGGER full_disk BEFORE INSERT ON runs EXECUTE FUNCTION full_disk()")
        with pytest.raises(StorageError, match=f"There is no space left for PostgreSQL's “{name}” on this"):
            kept.add(made, folder)
        connection.execute("DROP TRIGGER full_disk ON runs")
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    kept.close()
    with pytest.raises(StorageError, match=r"may only be read\. Allow writing"):
        kept.add(made, folder)
    assert kept.search() == []
    with pytest.raises(StorageError, match=r"does not let Emoscope in\. Check user and password"):
        History(tmp_path, server.address(name, password="wrong")).count()
    with pytest.raises(StorageError, match=r"“nowhere” on this machine does not exist\. Make it"):
        History(tmp_path, server.address("nowhere")).count()
    server.tell("CREATE ROLE guest LOGIN PASSWORD 'guest'")
    with pytest.raises(StorageError, match=r"does not allow that\. Give the user its rights"):
        History(tmp_path, server.address(name, user="guest", password="guest")).count()


def test_a_file_that_may_only_be_read(tmp_path):
    write(History(tmp_path / "outputs", tmp_path / "h.sqlite3"), report())
    kept = History(tmp_path / "outputs", f"sqlite:///file:{tmp_path}/h.sqlite3?mode=ro&uri=true")
    assert ids(kept.search()) == [0]
    with pytest.raises(StorageError, match=r"may not be written\. Allow it"):
        write(kept, report(number=1))


@pytest.mark.parametrize("content", [b"not a database at all" * 50, b"SQLite format 3\0" + b"x" * 4096])
def test_a_damaged_file_is_made_again_when_it_is_moved_away(content, tmp_path):
    kept = History(tmp_path)
    write(kept, report(number=1))
    kept.close()
    file = tmp_path / "history.sqlite3"
    file.write_bytes(content)
    with pytest.raises(StorageError, match=r"is damaged\. Move it away: a new one is made from the folders"):
        kept.reconcile()
    file.rename(tmp_path / "damaged")
    assert kept.reconcile().taken_in == (f"{1:016x}",)


def test_no_password_is_ever_said(tmp_path, caplog):
    secret = "s3cret/word"
    url = "postgresql://someone:s3cret%2Fword@127.0.0.1:1/runs"
    settings = Settings(outputs=tmp_path, database_url=url)
    door = Keeper(settings)
    door.start()
    told = door.keep(report())
    with pytest.raises(StorageError) as refused:
        door.opened()
    said = "".join(
        [
            repr(settings),
            repr(door.history),
            repr(door.history.database),
            told.note,
            caplog.text,
            *traceback.format_exception(refused.value),
        ]
    )
    assert "on 127.0.0.1 does not answer" in told.note
    assert not any(each in said for each in (secret, "s3cret", url))


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://user:s3cret@host/db", "begins with sqlite:/// or postgresql://"),
        ("s3cret", "begins with sqlite:/// or postgresql://"),
        ("postgresql://user:s3cret@host:port/db", "is not the address of a database"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
    ],
)
def test_an_address_that_is_none_is_refused_without_repeating_it(url, says, tmp_path):
    with pytest.raises(OptionError, match=says) as refused:
        Keeper(Settings(outputs=tmp_path, database_url=url))
    assert "s3cret" not in "".join(traceback.format_exception(refused.value, chain=False)[-1:])
    assert refused.value.__cause__ is None


# ---- folders and rows


def test_deleting_takes_files_and_rows(kept):
    for number in range(4):
        write(kept, report(number=number))
    assert kept.delete([f"{1:016x}", f"{3:016x}", f"{1:016x}"]) == 2
    assert agree(kept) == [0, 2]
    with kept.database.reading() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(schema.embeddings)) == 2
    assert kept.delete(run.id for run in kept.all()) == 2
    assert agree(kept) == []


def test_what_cannot_be_deleted_stays_whole(kept):
    for number in range(3):
        write(kept, report(number=number))
    with kept.database.reading() as connection:
        dialect = connection.dialect.name
    if dialect == "sqlite":
        trigger = ["CREATE TRIGGER refuse BEFORE DELETE ON runs BEGIN SELECT RAISE(ABORT, 'no'); END"]
    else:
        trigger = [
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$",
            "CREATE TRIGGER refuse BEFORE DELETE ON runs EXECUTE FUNCTION refuse()",
        ]
    with kept.database.writing() as connection:
        for statement in trigger:
            connection.exec_driver_sql(statement)
    with pytest.raises(StorageError):
        kept.delete([f"{0:016x}", f"{1:016x}"])
    assert agree(kept) == [0, 1, 2]


def test_rows_and_folders_are_brought_together(kept):
    runs = [write(kept, report(number=number)) for number in range(4)]
    shutil.rmtree(runs[0].folder)
    runs[1].folder.rename(kept.outputs / "interview")
    shutil.copytree(runs[2].folder, kept.outputs / "a copy")
    export.write(report(number=5), kept.outputs)
    for name, content in (("torn", b'{"id": "'), ("foreign", b'{"id": 3}'), ("list", b"[]"), ("binary", b"\xff\xfe")):
        (kept.outputs / name).mkdir()
        (kept.outputs / name / "result.json").write_bytes(content)
    (kept.outputs / "batch_1").mkdir()
    (kept.outputs / "link").symlink_to(runs[3].folder)
    hidden = kept.outputs / claims.hidden_name("outputs_1")
    hidden.mkdir()
    before = {each.name for each in kept.outputs.iterdir()}
    found = kept.reconcile()
    assert (found.removed, found.dropped) == ((hidden.name,), (runs[0].id,))
    assert set(found.taken_in) == {runs[1].id, f"{5:016x}"}
    assert sorted(ids(kept.all())) == [1, 2, 3, 5]
    assert kept.get(runs[1].id).folder == kept.outputs / "interview"
    assert kept.get(runs[2].id).folder == runs[2].folder
    assert {each.name for each in kept.outputs.iterdir()} == before - {hidden.name}  # what is not ours stays
    assert kept.reconcile() == history.Reconciled()


def test_a_folder_that_another_run_took_over_belongs_to_that(kept):
    run = write(kept, report(number=1))
    shutil.rmtree(run.folder)
    assert write(kept, report(number=2, made_at=run.made_at)).folder == run.folder
    assert agree(kept) == [2]


def test_all_results_can_move_together(tmp_path):
    first = History(tmp_path / "here")
    run = write(first, report())
    first.close()
    (tmp_path / "here").rename(tmp_path / "there")
    moved = History(tmp_path / "there")
    assert moved.reconcile() == history.Reconciled()
    assert moved.get(run.id).folder == tmp_path / "there" / run.folder.name


def test_two_machines_with_one_database_leave_each_others_runs_alone(kept, address, tmp_path):
    mine = write(kept, report(number=1))
    other = History(tmp_path / "other machine", address)
    theirs = write(other, report(number=2))
    assert other.reconcile() == kept.reconcile() == history.Reconciled()
    assert sorted(ids(kept.all())) == [1, 2]
    assert kept.get(theirs.id).folder is None
    assert other.get(mine.id).folder is None
    with pytest.raises(StorageError, match=f"The files of run {theirs.id} lie on another machine"):
        kept.delete([mine.id, theirs.id])
    assert mine.folder.is_dir()
    assert kept.prune(bytes=0) == 0
    assert len(other.similar(theirs.id)) == 1


def test_results_may_lie_outside(kept, address, tmp_path):
    settings = Settings(outputs=kept.outputs, database_url=address)
    folder = Keeper(settings, outputs=tmp_path / "elsewhere").keep(report(number=1)).folder
    assert folder.parent == tmp_path / "elsewhere"
    assert kept.get(f"{1:016x}").folder == folder
    assert kept.reconcile() == history.Reconciled()
    kept.delete([f"{1:016x}"])
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_folder_that_is_being_written_is_left_alone(kept, tmp_path):
    with export.hidden(kept.outputs, "outputs_1") as folder:
        (folder / "half").write_text("")
        assert kept.reconcile().removed == ()
        assert folder.is_dir()
    with claims.claimed(tmp_path) as mine, claims.claimed(tmp_path) as twice:
        assert (mine, twice) == (True, False)
    with claims.claimed(tmp_path / "none") as mine:
        assert not mine


def test_a_new_folder_that_is_swept_before_it_is_claimed_is_made_again(tmp_path, monkeypatch):
    real, times = claims._claim, []

    def swept_once(folder):
        times.append(folder)
        if len(times) == 1:
            folder.rmdir()
        return real(folder)

    monkeypatch.setattr(claims, "_claim", swept_once)
    with claims.new_folder(tmp_path / "new"):
        assert (tmp_path / "new").is_dir()
        assert len(times) == 2
        monkeypatch.undo()
        with claims.claimed(tmp_path / "new") as mine:
            assert not mine


# ---- what is kept, and how long


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("everything", Retention()),
        ("nothing", Retention(nothing=True)),
        ("30d", Retention(age=timedelta(days=30))),
        ("10GB", Retention(bytes=10**10)),
        ("30d,10GB", Retention(age=timedelta(days=30), bytes=10**10)),
        ("500MB, 1d", Retention(age=timedelta(days=1), bytes=5 * 10**8)),
    ],
)
def test_what_is_kept_is_read(text, meant):
    assert Settings.from_environment({"EMOSCOPE_KEEP": text}).retention == meant


@pytest.mark.parametrize("text", ["all", "30", "0d", "-1d", "1.5GB", "30d,30d", "1GB,2MB", "nothing,30d", "30D", ","])
def test_what_is_kept_makes_sense_or_is_refused(text):
    with pytest.raises(OptionError, match=f"EMOSCOPE_KEEP is “everything”, .* it cannot be “{text}”"):
        Settings(keep=text)


def test_old_runs_and_too_many_bytes_go(kept):
    now = datetime.now(UTC)
    runs = [write(kept, report(number=days, made_at=now - days * DAY)) for days in (0, 1, 2, 10)]
    assert kept.prune(age=5 * DAY) == 1
    assert agree(kept) == [0, 1, 2]
    assert kept.prune(bytes=sum(run.bytes for run in runs[:3])) == 0
    assert kept.prune(bytes=sum(run.bytes for run in runs[:3]) - 1) == 1
    assert agree(kept) == [0, 1]
    assert kept.prune(bytes=1) == 1
    assert agree(kept) == [0]  # the newest is what somebody looks at
    assert kept.prune(age=timedelta(0)) == 1
    assert agree(kept) == []


def test_a_door_keeps_no_more_than_it_should(kept, address):
    door = keeper(kept, address, keep="2d")
    door.keep(report(number=1, made_at=datetime.now(UTC) - 3 * DAY))
    assert agree(kept) == []
    door.keep(report(number=2, made_at=datetime.now(UTC)))
    assert agree(kept) == [2]


def everything_below(*folders):
    return sorted(str(each) for folder in folders for each in folder.rglob("*"))


@pytest.fixture
def private(tmp_path, monkeypatch):
    """A door in privacy mode, and every folder that it could write to."""
    places = [tmp_path / name for name in ("outputs", "temporary", "home")]
    for place in places:
        place.mkdir()
    monkeypatch.setenv("HOME", str(places[2]))
    monkeypatch.setattr(tempfile, "tempdir", str(places[1]))
    return Keeper(Settings(outputs=places[0], keep="nothing")), places


def test_in_privacy_mode_nothing_is_left_after_the_answer(private):
    door, places = private
    door.start()
    with door.keep(report(options=Options(embedding=True))) as kept:
        assert json.loads((kept.folder / "result.json").read_bytes())["emotion"] == "happy"
        assert (kept.folder / "embedding.npy").is_file()
        assert (kept.run, kept.note) == (None, "")
        assert stat.S_IMODE(kept.folder.parent.stat().st_mode) == 0o700
        assert everything_below(places[0], places[2]) == []
    assert everything_below(*places) == []
    with pytest.raises(StorageError, match="EMOSCOPE_KEEP is “nothing”, so there is no history"):
        door.opened()
    assert everything_below(*places) == []


def test_in_privacy_mode_a_forgotten_answer_goes_too(private):
    door, places = private
    kept = door.keep(report())
    assert kept.folder.is_dir()
    del kept
    gc.collect()
    assert everything_below(*places) == []


def test_in_privacy_mode_a_failure_leaves_nothing(private, monkeypatch):
    door, places = private

    def fail(_reading, file):
        file.write_text("half")
        raise RuntimeError("a bug")

    monkeypatch.setitem(export.WRITERS, "last.txt", export.Writer("Fails", fail, lambda _report: True))
    with pytest.raises(RuntimeError, match="a bug"):
        door.keep(report())
    assert everything_below(*places) == []


def test_in_privacy_mode_the_next_start_removes_what_a_killed_process_left(private):
    door, places = private
    others = door.keep(report())  # still in use
    left = places[1] / claims.hidden_name("emoscope-private")
    shutil.copytree(others.folder, left)
    other = places[1] / claims.hidden_name("something-else")
    other.mkdir()
    door.start()
    assert not left.exists()
    assert others.folder.is_dir()
    assert other.is_dir()


def test_runs_of_before_can_be_deleted_in_privacy_mode(tmp_path):
    Keeper(Settings(outputs=tmp_path)).keep(report(number=1))
    found = Keeper(Settings(outputs=tmp_path, keep="nothing")).opened()
    assert found.delete([f"{1:016x}"]) == 1


# ---- whose a run is


@pytest.fixture
def shared(kept):
    """A history with two runs of ana, one of ben, and one that is nobody's in particular."""
    for number, visitor in enumerate(("ana", "ana", "ben", "")):
        made = report(number=number, name=f"{visitor or 'nobody'}.wav")
        kept.add(made, export.write(made, kept.outputs, visitor=visitor))
    return kept


def test_a_visitor_finds_their_own_runs_and_no_others(shared):
    for visitor, mine in (("ana", [0, 1]), ("ben", [2]), ("", [3]), ("eve", []), (None, [0, 1, 2, 3])):
        view = shared.of(visitor)
        assert sorted(ids(view.search())) == sorted(ids(view.all())) == mine
        assert view.count() == len(mine)
        assert sum(day.runs for day in view.trends()) == len(mine)
        assert sorted(ids(view.chart().runs)) == mine
        assert bool(view.models()) == bool(mine)
        assert {run.name for run in view.search(Filter(text="wav"))} == {run.name for run in view.all()}
        for number in range(4):
            id = f"{number:016x}"
            if number in mine:
                near = [int(each.run.id, 16) for each in view.similar(id)]
                assert sorted([*near, number]) == mine
                assert view.get(id).visitor == (visitor if visitor is not None else shared.get(id).visitor)
            else:
                for ask in (view.get, view.similar, lambda id, view=view: view.delete([id])):
                    with pytest.raises(InputError, match="There is no run"):
                        ask(id)
    assert shared.count() == 4


def test_a_deletion_of_ones_own_and_anothers_deletes_neither(shared):
    with pytest.raises(InputError):
        shared.of("ana").delete([f"{0:016x}", f"{2:016x}"])
    assert shared.count() == 4
    assert shared.of("ana").delete([f"{0:016x}", f"{1:016x}"]) == 2
    assert ids(shared.all()) == [3, 2]


def test_no_method_forgets_whose_runs_it_is_about():
    """A new one has to be in the test above, or is about all runs like these."""
    about_all = {"add", "insert", "prune", "reconcile", "close", "exists", "of"}
    ours = {name for name in vars(History) if not name.startswith("_")}
    assert ours - about_all == {"search", "all", "count", "get", "delete", "models", "trends", "similar", "chart"}


def test_runs_have_their_owners_again_after_the_database_was_lost(shared):
    owners = {run.id: run.visitor for run in shared.all()}
    with shared.database.writing() as connection:
        connection.execute(sa.delete(schema.runs))
    assert len(shared.reconcile().taken_in) == 4
    assert {run.id: run.visitor for run in shared.all()} == owners


def test_a_run_whose_owner_cannot_be_told_is_nobodys_to_see(shared, caplog):
    for run, owner in zip(list(shared.of("ana").all()), ("a\nb", ""), strict=True):
        (run.folder / export.VISITOR).write_text(owner)
    with shared.database.writing() as connection:
        connection.execute(sa.delete(schema.runs))
    assert len(shared.reconcile().taken_in) == 2
    assert shared.of("").count() == shared.of("ben").count() == 1
    assert "holds no result" in caplog.text


def test_what_is_too_much_goes_whosever_it_is(shared):
    assert shared.of("ben").prune(age=timedelta(0)) == 4


def test_the_owner_is_in_no_file_that_is_handed_out(shared):
    (run,) = shared.of("ben").all()
    with zipfile.ZipFile(next(run.folder.glob("*.zip"))) as pack:
        assert export.VISITOR not in pack.namelist()
        assert "ben" not in pack.read("result.json").decode().replace("ben.wav", "")
