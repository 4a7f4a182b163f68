"""The History tab in a browser: found, opened, heard, compared, deleted and seen from afar, by mouse and keyboard."""

import csv
import io
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe

from emoscope import export
from emoscope.history import History
from emoscope.settings import Options
from tests import reports
from tests.browser.conftest import Visits
from tests.browser.studio import patient_analyzer, serving, settings_for, wait_for

HOSTILE = '<img src=x onerror="document.title=`broken`">${6*7}{{value}}.wav'
NEWEST = datetime.now().astimezone().replace(hour=12, minute=0, second=0, microsecond=0)
RUNS = 18  # one page, and some more
SERIOUS = ("serious", "critical")


def write_runs(outputs):
    """A recording of a second each day, every third of them sad; one with a hostile name; speech and text; a text."""
    history = History(outputs)
    for number in range(RUNS - 2):
        label = "sad" if number % 3 == 0 else "happy"
        made = reports.make((label, 1.0), name=f"take {number:02d}.wav", options=Options())
        values = np.eye(3, dtype=np.float32)[number % 3] + 0.02 * number
        made = reports.altered(made, speech=replace(made.speech, embedding=values))
        keep(history, made, number)
    both = reports.together_report(options=Options(fusion="weighted", text_weight=0.55))
    recording = replace(both.recording, source=replace(both.recording.source, name=HOSTILE))
    speech = replace(both.speech, embedding=np.ones(3, np.float32))
    keep(history, reports.altered(both, recording=recording, speech=speech), RUNS - 2)
    keep(history, reports.text_report(), RUNS - 1)
    history.close()


def keep(history, made, number):
    made = replace(made, id=f"{number:016x}", made_at=NEWEST - timedelta(days=RUNS - 1 - number), warnings=())
    history.add(made, export.write(made, history.outputs))


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    """A studio with runs of the past: its address and outputs."""
    settings = settings_for(tmp_path_factory.mktemp("history"))
    write_runs(settings.outputs)
    analyzer, _ = patient_analyzer(settings)
    with serving(analyzer, settings) as address:
        yield address, settings.outputs


def turn_to(page):
    page.click("#tab-history-button")
    page.wait_for_selector("#past tbody tr")
    return page


@pytest.fixture(scope="module")
def shared(chromium, studio):
    visits = Visits(chromium)
    yield turn_to(visits(studio[0]))
    visits.close()


@pytest.fixture
def page(shared):
    """The list of all runs, with nothing open."""
    if shared.locator("#history-close").is_visible():
        shared.click("#history-close")
        shared.wait_for_selector("#history-close", state="hidden")
    if shared.locator("#past .clear").is_visible():
        shared.click("#past .clear")
    see(shared, "runs")
    shared.wait_for_selector(f"#past .count >> text={RUNS} runs")
    return shared


def see(page, view):
    """Turn to the list or to what is drawn, and wait until it is there."""
    drawn = {"trends": "#trends", "map": "#chart"}.get(view)
    count = f"document.querySelector('{drawn} [data-ready]')?.dataset.ready ?? ''"  # of what was drawn until now
    before = page.evaluate(count)
    page.check(f"#past .views input[value={view}]", force=True)
    if drawn:
        page.wait_for_function(f"before => ({count}) !== before", arg=before)
    else:
        page.wait_for_selector("#past tbody tr")


def names(page):
    return page.locator("#past tbody .open").all_inner_texts()


def wait_for_count(page, count):
    page.wait_for_function("text => document.querySelector('#past .count').textContent === text", arg=count)


def open_run(page, name):
    page.click(f"#past tbody .open >> text={name}")
    page.wait_for_selector(f"#history-verdict .file >> text={name}")


def test_runs_are_listed_the_newest_first_and_paged(page):
    assert len(names(page)) == 15
    assert names(page)[:2] == ["I am so happy for you! It is a sad day.", HOSTILE]
    assert page.locator("#past .range").inner_text() == "1–15 of 18"
    page.click("#past .after")
    page.wait_for_selector("#past .range >> text=16–18 of 18")
    assert names(page) == ["take 02.wav", "take 01.wav", "take 00.wav"]
    assert page.locator("#past .after").is_disabled()


def test_a_search_is_made_while_one_types_and_emotions_are_switched(page):
    page.fill("#past .text", "TAKE 0")
    wait_for_count(page, "11 runs")  # "take 10" has a 0 as well
    page.click("#past .chip[data-name=sad]")
    wait_for_count(page, "4 runs")
    assert names(page) == [f"take {number:02d}.wav" for number in (9, 6, 3, 0)]
    assert page.locator("#past .chip[data-name=sad]").get_attribute("aria-pressed") == "true"
    page.fill("#past .text", "nowhere")
    page.wait_for_selector("#past .nothing >> text=Nothing matches")
    assert page.locator("#past .csv").is_disabled()


def test_a_run_opens_with_its_timeline_and_others_like_it(page):
    open_run(page, "take 09.wav")
    page.wait_for_selector("#history-timeline [data-ready]")
    assert page.locator("#history-verdict h2").inner_text() == "Sad 87%"
    assert page.locator("#history-downloads .files .name").all_inner_texts() == [
        "result.json", "processed_audio.wav", "frames.npz",
    ]  # fmt: skip
    assert page.locator("#nearby li").count() == 10
    cosines = [float(text.replace("−", "-")) for text in page.locator("#nearby .cosine").all_inner_texts()]
    assert cosines == sorted(cosines, reverse=True)
    page.click("#history-timeline .play")
    page.wait_for_function("document.querySelector('#history-timeline audio').currentTime > 0.1")
    like = page.locator("#nearby .name").first.inner_text()
    page.click("#nearby .open >> nth=0")
    page.wait_for_selector(f"#history-verdict .file >> text={like}")


def test_a_name_is_text_wherever_it_stands(page):
    page.click("#past tbody .open >> nth=1")
    page.wait_for_selector("#history-voices .card:not([hidden])")
    page.wait_for_selector("#history-timeline [data-ready]")
    assert page.locator("#history-verdict .file").inner_text() == HOSTILE
    page.click("#past tbody .hear >> nth=0")
    page.wait_for_selector("#clip .card:not([hidden])")
    assert page.locator("#clip .name").inner_text() == HOSTILE
    assert page.locator("#tab-history img").count() == 0
    assert "broken" not in page.title()
    page.click("#clip .close")


def test_a_clip_plays_only_when_asked_and_others_stop(page):
    asked = []
    page.on("request", lambda request: asked.append(request.url) if ".wav" in request.url else None)
    see(page, "map")
    before = page.evaluate("document.querySelector('#clip audio').src")
    assert asked == []
    page.focus("#chart .plot")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_function("before => document.querySelector('#clip audio').src !== before", arg=before)
    page.wait_for_function("document.querySelector('#clip audio').currentTime > 0.1")
    assert len(set(asked)) == 1
    shown = page.locator("#chart .tip strong").inner_text()
    assert page.locator("#clip .name").inner_text() == shown
    page.click("#clip .open")
    page.wait_for_selector(f"#history-verdict .file >> text={shown}")
    page.click("#clip .close")


@pytest.mark.slow
def test_two_runs_are_compared(page):
    page.check("#past tbody tr:has-text('take 09.wav') .box")
    assert page.locator("#past .pair").is_disabled()
    page.check("#past tbody tr:has-text('take 10.wav') .box")
    page.click("#past .pair")
    page.wait_for_selector("#history-difference .main >> text=B is 86 points happier; A is 86 points sadder.")
    for side in "ab":
        page.wait_for_selector(f"#history-timeline-{side} [data-ready]")
    assert page.locator("#history-run").is_hidden()
    page.check("#history-difference input[value=shares]", force=True)
    page.wait_for_selector("#history-difference .main >> text=B is 100 points happier")
    page.click("#past .none")
    assert page.locator("#past .chosen").is_hidden()


@pytest.mark.slow
def test_the_table_of_what_is_found_is_downloaded(page):
    page.click("#past .chip[data-name=sad]")
    page.wait_for_selector("#past .clear", state="visible")
    with page.expect_download() as started:
        page.click("#past .csv")
    assert started.value.suggested_filename == "history.csv"
    lines = list(csv.DictReader(io.StringIO(started.value.path().read_text("utf-8"))))
    assert {line["emotion"] for line in lines} == {"sad"}
    assert len(lines) == int(page.locator("#past .count").inner_text().split()[0])


@pytest.mark.slow
def test_a_day_of_the_trends_shows_its_numbers_and_then_its_runs(page):
    see(page, "trends")
    page.focus("#trends .plot")
    page.keyboard.press("Home")
    told = page.locator("#trends .plot").get_attribute("aria-valuetext")
    assert "1 run" in told
    assert "sad 100%" in told
    assert "Median confidence 87%" in told
    assert page.locator("#trends .tip").inner_text().split("\n")[1] == "1 run"
    assert page.locator("#trends rect[fill]").count() == RUNS
    page.keyboard.press("ArrowRight")
    assert "happy 100%" in page.locator("#trends .plot").get_attribute("aria-valuetext")
    page.keyboard.press("Enter")
    wait_for_count(page, "1 run")
    assert names(page) == ["take 01.wav"]
    assert page.locator("#past [data-wish=since]").input_value() == f"{NEWEST - timedelta(days=RUNS - 2):%Y-%m-%d}"


@pytest.mark.slow
def test_the_map_is_arranged_and_coloured_anew(page):
    see(page, "map")
    assert page.locator("#chart .kind").inner_text() == "Two main directions (PCA)."
    assert "cluster 1" in page.locator("#chart .legend").inner_text()
    page.check("#chart .colour input[value=emotion]", force=True)
    found = dict(text.rsplit(" ", 1) for text in page.locator("#chart .legend li").all_inner_texts())
    assert found["happy"] == "10"
    assert set(found) == {"happy", "sad"}
    page.click("#chart .arrange")
    page.wait_for_selector("#chart .kind >> text=Arranged by neighbours", timeout=60_000)
    page.wait_for_selector("#history-progress .card", state="hidden")
    page.check("#chart .of input[value=text]", force=True)
    page.wait_for_selector("#chart h2 >> text=What reads alike")


def test_a_run_is_deleted_only_when_one_is_sure(visit, studio):
    address, outputs = studio
    extra = History(outputs)
    made = replace(reports.make(("angry", 1.0), name="to go.wav", options=Options()), id="f" * 16, made_at=NEWEST)
    run = extra.add(made, export.write(made, outputs))
    page = turn_to(visit(address))
    page.fill("#past .text", "to go")
    wait_for_count(page, "1 run")
    open_run(page, "to go.wav")
    page.check("#past tbody .box")
    page.click("#past .remove")
    page.keyboard.press("Enter")  # Keep has the focus
    page.wait_for_selector("#past .sure", state="hidden")
    assert run.folder.is_dir()
    page.click("#past .sweep")
    assert page.locator("#past .sure .lead").inner_text() == "Delete this run with all of its files?"
    page.keyboard.press("Escape")
    assert run.folder.is_dir()
    page.click("#past .remove")
    page.click("#past .delete")
    page.wait_for_selector("#past .count >> text=1 run was deleted with its files.")
    wait_for(lambda: not run.folder.exists())
    page.wait_for_selector("#history-verdict .full", state="hidden")
    assert extra.count() == RUNS
    extra.close()


@pytest.mark.slow
def test_the_tab_looks_again_whenever_it_is_opened(visit, studio):
    address, outputs = studio
    page = turn_to(visit(address))
    wait_for_count(page, f"{RUNS} runs")
    extra = History(outputs)
    made = replace(reports.make(("angry", 1.0), name="new.wav", options=Options()), id="e" * 16, made_at=NEWEST)
    run = extra.add(made, export.write(made, outputs))
    page.click("#tab-about-button")
    page.click("#tab-history-button")
    wait_for_count(page, f"{RUNS + 1} runs")
    extra.delete([run.id])
    extra.close()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_it_all_and_axe_finds_nothing_serious(visit, studio, scheme):
    page = turn_to(visit(studio[0], size=(390, 844), scheme=scheme))
    page.click("#past .more summary")
    page.check("#past tbody .box >> nth=0")
    page.click("#past tbody .hear >> nth=0")
    page.wait_for_selector("#clip .card:not([hidden])")
    page.click("#past tbody .open >> nth=1")
    page.wait_for_selector("#nearby .card:not([hidden])")
    found = []
    for view in ("runs", "trends", "map"):
        see(page, view)
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") == 390, view
        parts = [["#past"], ["#trends"], ["#chart"], ["#nearby"], ["#clip"]]
        found += Axe().run(page, context={"include": parts}).response["violations"]
    serious = [(each["id"], [node["target"] for node in each["nodes"]]) for each in found if each["impact"] in SERIOUS]
    assert serious == []
