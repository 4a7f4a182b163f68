"""What each door keeps, and what it leaves in privacy mode: nothing once the page is closed or the answer printed."""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
from gradio_client import Client, handle_file
from sqlalchemy import select

from emoscope.analyzer import Analyzer
from emoscope.cli.keeping import NOT_WRITTEN, WRITTEN
from emoscope.errors import Cancelled
from emoscope.history import Keeper
from emoscope.history.schema import embeddings
from emoscope.live import Live
from emoscope.readers import Readers
from emoscope.settings import ROOT, Settings
from emoscope.studio import handlers, holdings, together
from emoscope.studio.desk import Desk
from emoscope.studio.handlers import Visit
from emoscope.studio.holdings import Holdings
from emoscope.studio.tabs import batch, compare, live, text
from tests.browser.studio import Patient, serving, settings_for
from tests.fakes import Keywords, Scribe
from tests.test_cli_words import Terminal

RATE = 16_000
AWAY = "sqlite:////proc/nowhere/history.sqlite3"  # no such folder can be made


def tone(seconds=2.0, pitch=220):
    return (0.3 * np.sin(2 * np.pi * pitch * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def below(folder):
    """Return every file and folder in there."""
    return sorted(str(each.relative_to(folder)) for each in folder.rglob("*"))


def shown(value):
    """Yield every file that something on the page points to."""
    if isinstance(value, dict):
        if "path" in value:
            yield Path(value["path"])
        value = value.values()
    elif hasattr(value, "__dict__"):
        value = vars(value).values()
    if not isinstance(value, str | Path) and hasattr(value, "__iter__"):
        for each in value:
            yield from shown(each)


@dataclass(frozen=True)
class House:
    """A studio without a browser: its desk, and every folder that it could write to."""

    desk: Desk
    outputs: Path
    temporary: Path
    shelves: Path

    def upload(self, page, box, name="clip.wav", pitch=220):
        """Do what Gradio does with an upload, and the page when a box has one."""
        place = self.shelves / f"{pitch:064x}"
        place.mkdir(parents=True, exist_ok=True)
        soundfile.write(place / name, tone(pitch=pitch), RATE)
        page.needs_also(box, place / name)  # Batch has several
        return str(place / name)


def furnish(folder, monkeypatch, **changed):
    shelves, temporary = folder / "shelves", folder / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(shelves))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    settings = settings_for(folder, models=folder / "models", **changed)
    hears, reads, writes = Patient(), Keywords(), Scribe()
    hears.gate.set()
    readers = Readers(settings, load_text=lambda _folder: reads, load_recogniser=lambda: writes)
    analyzer = Analyzer(settings, load=lambda _folder: hears, readers=readers)
    listening = Live(analyzer.listen, limit=60)
    return House(Desk(analyzer, settings, listening, Keeper(settings)), settings.outputs, temporary, shelves)


@pytest.fixture
def private(tmp_path, monkeypatch):
    house = furnish(tmp_path, monkeypatch, keep="nothing")
    yield house
    house.desk.live.close()


@pytest.fixture
def usual(tmp_path, monkeypatch):
    house = furnish(tmp_path, monkeypatch)
    yield house
    house.desk.live.close()


# What a visitor does in each tab; the number tells one recording from another.


def speak(house, page, number):
    file = house.upload(page, "upload", pitch=200 + number)
    form = {"source": "upload", "upload": file, "granularity": "frame", "embedding": True, "visit": Visit(page=page)}
    return list(handlers.Handlers(house.desk).analyze(form, "en"))


def write(house, page, number):
    form = {"text": f"I am joyful. {number}", "text_model": "auto", "embedding": True, "visit": Visit(page=page)}
    return list(text.read(house.desk, form, "en"))


def speak_and_write(house, page, number):
    file = house.upload(page, "upload-together", pitch=300 + number)
    form = {"source": "upload", "upload": file, "said": "I am lonely.", "script": None, "visit": Visit(page=page)}
    form |= {"fusion": "weighted", "text_weight": 0.5, "granularity": "frame", "embedding": True}
    tab = together.Handlers(house.desk)
    found = list(tab.analyze(form, "en"))
    [answer] = [each for each in found if isinstance(each, together.Answered)]
    changed = tab.fuse(answer.kept, "weighted", 0.9, "en")
    return [*found, tab.write(changed.kept, "en", page)[0]]


def put_side_by_side(house, page, number):
    files = [house.upload(page, f"upload-{side}", f"{side}.wav", 400 + 10 * number + i) for i, side in enumerate("ab")]
    sides = [{"source": "upload", "upload": file} for file in files]
    return list(compare.hear(house.desk, sides, Visit(page=page), "en"))


def speak_live(house, page, _number):
    session = house.desk.live.open(RATE)
    house.desk.live.feed(session.token, tone(), 0)
    return list(live.answer(house.desk, session.token, "en", page))


def hand_in_many(house, page, number):
    files = [house.upload(page, "batch-upload", f"{name}.wav", 500 + 10 * number + name) for name in range(2)]
    shift = batch.Shift(page=page)
    found = list(batch.hear(house.desk, files, shift, "en"))
    return [found[-1], *batch.open_report(shift.batch, 0, "en", page)]


DOORS = {
    "Speech": speak,
    "Text": write,
    "Speech + text": speak_and_write,
    "Compare": put_side_by_side,
    "Live": speak_live,
    "Batch": hand_in_many,
}
BOXES = ("upload", "upload-together", "upload-a", "upload-b", "batch-upload")
ROWS = {"Speech": 1, "Text": 1, "Speech + text": 2, "Compare": 2, "Live": 1, "Batch": 0}


@pytest.mark.parametrize("door", DOORS)
def test_in_privacy_mode_a_page_has_its_files_until_it_is_closed(private, door):
    page = private.desk.holdings.page("me")
    found = DOORS[door](private, page, 0)
    files = set(shown(found))
    assert files
    assert all(file.is_file() for file in files), "the page points to a file that is not there"
    assert below(private.outputs) == []
    assert [each for each in below(private.temporary) if not each.startswith(".emoscope-live_")] == []
    assert not any((private.temporary / each).is_file() for each in below(private.temporary))
    private.desk.holdings.close("me")
    assert below(private.shelves) == []
    assert below(private.outputs) == []


@pytest.mark.parametrize("door", DOORS)
def test_in_privacy_mode_who_goes_on_leaves_nothing_behind(private, door):
    page = private.desk.holdings.page("me")
    first = {str(file) for file in shown(DOORS[door](private, page, 0))}
    uploads = {str(file) for file in private.shelves.glob("0*/*")}
    for box in BOXES:
        page.needs(box)  # the visitor takes the recording away, to give another one
    second = {str(file) for file in shown(DOORS[door](private, page, 1))}
    assert second
    assert not first & second
    left = {str(private.shelves / each) for each in below(private.shelves)}
    assert not left & (first | uploads)
    assert second <= left


@pytest.mark.parametrize("door", DOORS)
def test_without_privacy_mode_everything_stays_and_has_its_row(usual, door):
    page = usual.desk.holdings.page("me")
    files = set(shown(DOORS[door](usual, page, 0)))
    usual.desk.holdings.close("me")
    usual.desk.holdings.sweep()
    assert all(file.is_file() for file in files)
    assert len(list(usual.outputs.glob("outputs_*/result.json"))) == ROWS[door]
    assert usual.desk.history().count() == ROWS[door]


@pytest.mark.parametrize("door", [door for door in DOORS if ROWS[door]])
def test_it_is_said_that_the_database_is_away(tmp_path, monkeypatch, door):
    house = furnish(tmp_path, monkeypatch, database_url=AWAY)
    found = DOORS[door](house, holdings.NOBODY, 0)
    house.desk.live.close()
    verdicts = [each.verdict for each in found if getattr(each, "verdict", None)]
    verdicts += [each for one in found for each in getattr(one, "verdicts", ())]
    assert len(list(house.outputs.glob("outputs_*/result.json"))) == ROWS[door]
    warnings = verdicts[-1]["warnings"]
    assert any("/proc/nowhere/history.sqlite3 cannot be opened." in warning for warning in warnings), warnings


def test_in_privacy_mode_the_page_does_not_say_that_something_was_saved(private):
    answered = speak(private, private.desk.holdings.page("me"), 0)[-1]
    assert answered.downloads["folder"] is None


def test_in_privacy_mode_files_that_are_written_again_still_have_the_features_of_every_frame(private):
    again = speak_and_write(private, private.desk.holdings.page("me"), 0)[-1]
    features = next(each["file"]["path"] for each in again["files"] if each["name"] == "embedding.npy")
    assert np.load(features).shape == (99, 6)


# ---- programs


@pytest.mark.parametrize("keep", ["nothing", "everything"])
def test_a_program_gets_its_answer_and_in_privacy_mode_nothing_is_left(tmp_path, keep):
    settings = settings_for(tmp_path, keep=keep)
    soundfile.write(tmp_path / "clip.wav", tone(), RATE)
    model = Patient()
    model.gate.set()
    with serving(Analyzer(settings, load=lambda _folder: model), settings) as address:
        folder = Path(os.environ["GRADIO_TEMP_DIR"])
        client = Client(address, verbose=False, download_files=str(tmp_path / "fetched"))
        report, archive = client.predict(handle_file(tmp_path / "clip.wav"), api_name="/analyze")
        assert report["emotion"] == "sad"
        assert Path(archive).is_file()
        sent = list(folder.rglob("clip.wav"))
        client.close()
        kept = list(settings.outputs.glob("outputs_*"))
        if keep == "everything":
            assert (len(sent), len(kept)) == (1, 1)
        else:
            assert (sent, kept) == ([], [])
            assert not list(settings.outputs.glob("history*"))


# ---- the holdings themselves


@pytest.fixture
def held(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "shelves"))
    (tmp_path / "shelves" / "one").mkdir(parents=True)
    (tmp_path / "shelves" / "one" / "file").write_text("mine")
    return tmp_path / "shelves" / "one" / "file"


def age(seconds, monkeypatch):
    """Let so much time pass; what a file system says cannot be changed."""
    now = time.time() + seconds
    monkeypatch.setattr(holdings.time, "time", lambda: now)


def test_what_two_pages_need_goes_with_the_second(held):
    pages = Holdings(private=True)
    pages.page("me").needs("upload", held)
    pages.page("you").needs("speech", held)
    pages.close("me")
    assert held.is_file()
    pages.close("you")
    assert not held.parent.exists()


def test_what_one_page_needs_twice_goes_when_it_needs_it_no_more(held):
    page = Holdings(private=True).page("me")
    page.needs("upload", held)
    page.needs_also("speech", held)
    page.needs("upload")
    assert held.is_file()
    page.needs("speech")
    assert not held.exists()


def test_a_file_in_a_folder_that_is_needed_stays(held):
    pages = Holdings(private=True)
    pages.page("me").needs("speech", held.parent)
    pages.page("you").needs("upload", held)
    pages.close("you")
    assert held.is_file()


def test_what_comes_after_a_page_was_closed_is_removed(held):
    pages = Holdings(private=True)
    page = pages.page("me")
    pages.close("me")
    with pytest.raises(Cancelled):
        page.needs("speech", held.parent)
    assert not held.parent.exists()
    assert not pages.page("me").closed  # its visitor came back


def test_nothing_outside_of_the_folder_is_removed(held, tmp_path):
    other = tmp_path / "mine.wav"
    other.write_text("not yours")
    page = Holdings(private=True).page("me")
    for each in (other, tmp_path, held.parent.parent, held.parent / ".." / ".." / "mine.wav"):
        page.needs("upload", each)
        page.needs("upload")
    assert other.is_file()
    assert held.is_file()


def test_without_privacy_mode_nothing_is_removed(held):
    pages = Holdings(private=False)
    page = pages.page("me")
    page.needs("upload", held)
    page.needs("upload")
    pages.close("me")
    assert held.is_file()


def test_what_nobody_claims_goes_after_a_while_and_what_is_needed_stays(held, monkeypatch):
    pages, empty = Holdings(private=True), held.parent.parent / "tmp123"
    empty.touch()
    other = held.parent.parent / "two" / "file"
    other.parent.mkdir()
    other.write_text("yours")
    pages.page("me").needs("upload", other)
    pages.sweep()
    assert (held.is_file(), empty.is_file()) == (True, True)
    age(holdings.EMPTY + 5, monkeypatch)
    pages.sweep()
    assert (held.is_file(), empty.is_file()) == (True, False)
    age(holdings.UNCLAIMED + 5, monkeypatch)
    pages.sweep()
    assert (held.parent.exists(), other.is_file()) == (False, True)


def test_a_program_has_some_time_to_fetch_its_answer(held, monkeypatch):
    pages = Holdings(private=True)
    pages.program("curl").fetches("answer", held.parent)
    pages.sweep()
    assert held.is_file()
    now = time.monotonic() + holdings.FETCHED + 1
    monkeypatch.setattr(holdings.time, "monotonic", lambda: now)
    pages.sweep()
    assert not held.parent.exists()


def test_a_program_that_hangs_up_has_fetched_its_answer(held):
    pages = Holdings(private=True)
    pages.program("client").fetches("answer", held.parent)
    pages.close("client")
    assert not held.parent.exists()


def test_what_cannot_be_removed_yet_is_removed_later(held, monkeypatch):
    pages = Holdings(private=True)
    pages.page("me").needs("speech", held.parent)

    def fail(_folder):
        raise OSError("somebody writes into it")

    with monkeypatch.context() as busy:
        busy.setattr(holdings.shutil, "rmtree", fail)
        pages.close("me")
    assert held.is_file()
    pages.sweep()
    assert not held.parent.exists()


def test_it_is_swept_while_the_studio_serves(held, monkeypatch):
    monkeypatch.setattr(holdings, "LOOK", 0.01)
    monkeypatch.setattr(holdings, "UNCLAIMED", 0.0)
    with Holdings(private=True).swept():
        end = time.monotonic() + 10
        while held.exists() and time.monotonic() < end:
            time.sleep(0.01)
    assert not held.exists()


# ---- the command line


@pytest.fixture
def terminal(monkeypatch, capfd, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    soundfile.write(tmp_path / "clip.wav", tone(), RATE)
    return Terminal(monkeypatch, capfd, tmp_path)


COMMANDS = {"analyze": ("analyze", "clip.wav", "--embedding"), "text": ("text", "I am joyful.")}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_writes_a_row_with_its_embedding(terminal, command):
    assert terminal(*COMMANDS[command], "--format", "json") == 0
    report = json.loads(terminal.out)
    assert terminal.err == ""
    history = Keeper(Settings(outputs=terminal.folder / "outputs")).history
    run = history.get(report["id"])
    assert str(run.folder) == report["folder"]
    with history.database.reading() as connection:
        assert len(connection.execute(select(embeddings)).all()) == 1


def test_results_that_lie_elsewhere_have_a_row_too(terminal):
    assert terminal("analyze", "clip.wav", "--out", "elsewhere") == 0
    [folder] = (terminal.folder / "elsewhere").iterdir()
    [run] = Keeper(Settings(outputs=terminal.folder / "outputs")).history.search()
    assert run.folder == folder


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_says_that_the_database_is_away(terminal, command):
    terminal.monkeypatch.setenv("EMOSCOPE_DATABASE_URL", AWAY)
    assert terminal(*COMMANDS[command], "--format", "json") == 0
    assert json.loads(terminal.out)["emotion"]
    assert len(terminal.runs) == 1
    assert terminal.err.startswith("emoscope: /proc/nowhere/history.sqlite3 cannot be opened.")
    assert len(terminal.err.splitlines()) == 1


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("format", ["json", "table"])
def test_in_privacy_mode_a_command_prints_its_answer_and_writes_nothing(terminal, command, format):
    terminal.monkeypatch.setenv("EMOSCOPE_KEEP", "nothing")
    before = below(terminal.folder)
    assert terminal(*COMMANDS[command], "--format", format) == 0
    assert below(terminal.folder) == before
    assert "Results:" not in terminal.out
    assert format == "table" or json.loads(terminal.out)["folder"] is None
    assert terminal.err == f"emoscope: {NOT_WRITTEN}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_in_privacy_mode_a_command_writes_where_a_person_says(terminal, command):
    terminal.monkeypatch.setenv("EMOSCOPE_KEEP", "nothing")
    assert terminal(*COMMANDS[command], "--out", "here") == 0
    assert len(list((terminal.folder / "here").glob("outputs_*/result.json"))) == 1
    assert not (terminal.folder / "outputs").exists()
    assert terminal.err == "emoscope: " + WRITTEN.format(out="here") + "\n"


def test_who_keeps_nothing_loads_no_database():
    code = (
        "import sys; from pathlib import Path; from emoscope.cli import app; from emoscope.cli.keeping import Keeping;"
        "from emoscope.settings import Settings;"
        "Keeping(Settings(keep='nothing'), None).finish(); Keeping(Settings(), None).finish();"
        "print([name for name in ('sqlalchemy', 'alembic', 'emoscope.history.store') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


def test_in_privacy_mode_a_batch_needs_a_place(terminal):
    terminal.monkeypatch.setenv("EMOSCOPE_KEEP", "nothing")
    assert terminal("batch", "clip.wav") == 2
    assert "--out has to say where the table of a batch may be" in terminal.err
    assert not (terminal.folder / "outputs").exists()
