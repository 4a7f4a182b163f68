"""The studio without a browser: what it serves, what it refuses, and what it says."""

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import httpx
import numpy as np
import pytest
import soundfile
from fastapi import FastAPI
from fastapi.testclient import TestClient
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from emoscope.analyzer import Analyzer, Status
from emoscope.errors import InputError, OptionError
from emoscope.history import Keeper
from emoscope.server import serve
from emoscope.settings import Options, Settings
from emoscope.studio.walls import is_closed
from emoscope.timeline import SILENCE, Timeline
from tests import reports
from tests.browser.studio import patient_analyzer, serving, settings_for, wait_for
from tests.fakes import HalfAndHalf

ROOT = Path(__file__).resolve().parent.parent
RATE = 16_000


def tone(seconds, level=0.3):
    return (level * np.sin(2 * np.pi * 220 * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("studio")


@pytest.fixture(scope="module")
def address(home):
    settings = settings_for(home, max_mb=1.0)
    analyzer, _gate = patient_analyzer(settings)
    with serving(analyzer, settings) as address:
        wait_for(lambda: analyzer.status.state == "ready")
        yield address


@pytest.fixture(scope="module")
def clip(home):
    soundfile.write(home / "clip.wav", tone(4), RATE)
    return home / "clip.wav"


@pytest.fixture(scope="module")
def client(address):
    return Client(address, verbose=False)


def test_the_page_answers_with_its_walls_up(address):
    answer = httpx.get(address)
    assert answer.status_code == 200
    assert "Emoscope" in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["permissions-policy"].startswith("microphone=(self)")


def test_health_and_readiness(address):
    assert httpx.get(f"{address}/health").json() == {"status": "ok"}
    ready = httpx.get(f"{address}/ready")
    assert ready.status_code == 200
    assert ready.json()["model"]["name"] == "half-and-half"


def call_with(address, path):
    """Call the endpoint as if the file at this path had been uploaded; return the events of the answer."""
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    call = httpx.post(f"{address}/gradio_api/call/analyze", json={"data": [file, "utterance", False, 0.5]})
    events = httpx.get(f"{address}/gradio_api/call/analyze/{call.json()['event_id']}", timeout=20).text
    assert "event: error" in events
    return events


@pytest.mark.parametrize(
    "path", ["/etc/hostname", "app.py", str(ROOT / "emoscope" / "settings.py"), "/proc/self/environ"]
)
def test_nobody_can_name_a_file_of_this_machine_as_their_recording(address, path):
    """Gradio checks this only where it believes it was launched by itself; see `has_launched`."""
    assert "event: complete" not in call_with(address, path)
    assert httpx.get(f"{address}/gradio_api/file={path}").status_code in (403, 404)


def analyze_privately(address, path):
    """Call the page's own event as its script does, with this path as the uploaded file; say whether it succeeded."""
    config = httpx.get(f"{address}/config").json()
    names = {one["id"]: one["props"].get("elem_id") for one in config["components"]}
    events = [(one["id"], [names[number] for number in one["inputs"]]) for one in config["dependencies"]]
    event, inputs = next((event, inputs) for event, inputs in events if {"upload", "smooth"} <= set(inputs))
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    form = {"source": "upload", "upload": file, "granularity": "utterance", "model": "auto", "precision": "auto"}
    values = [(form | {"smooth": 0.5}).get(name) for name in inputs]
    body = {"data": values, "fn_index": event, "session_hash": "forged"}
    assert httpx.post(f"{address}/gradio_api/queue/join", json=body).status_code == 200
    with httpx.stream("GET", f"{address}/gradio_api/queue/data?session_hash=forged", timeout=20) as stream:
        messages = [json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: ")]
    return next(one for one in messages if one["msg"] == "process_completed")["success"]


def test_the_private_endpoint_of_the_page_refuses_such_files_too(address, clip):
    uploaded = httpx.post(f"{address}/gradio_api/upload", files={"files": ("clip.wav", clip.read_bytes())}).json()
    assert analyze_privately(address, uploaded[0])
    assert not analyze_privately(address, "/etc/hostname")
    assert not analyze_privately(address, str(clip))


def test_the_server_fetches_nothing_for_a_visitor(address):
    assert "event: complete" not in call_with(address, "https://example.com/clip.wav")
    for path in ("file=https://example.com/x", "file=HTTP://example.com/x", "proxy=https://example.com/x", "deep_link"):
        assert httpx.get(f"{address}/gradio_api/{path}").status_code == 403


@pytest.mark.parametrize(
    ("path", "closed"),
    [
        ("/", False),
        ("/gradio_api/file=/tmp/x/clip.wav", False),
        ("/gradio_api/upload", False),
        ("/gradio_api/file=http://a", True),
        ("/file=https://a", True),
        ("/proxy=http://a", True),
        ("/gradio_api/process_recording", True),
        ("/gradio_api/vibe-code/", True),
    ],
)
def test_closed_paths(path, closed):
    assert is_closed(path) == closed


def test_too_large_an_upload_is_refused(address):
    answer = httpx.post(f"{address}/gradio_api/upload", files={"files": ("big.wav", b"\0" * 1_100_000)})
    assert answer.status_code == 413


def test_programs_get_the_report_and_the_zip(client, clip):
    report, whole = client.predict(handle_file(clip), "frame", True, 0.5, api_name="/analyze")
    assert list(report)[:5] == ["emotion", "confidence", "scores", "granularity", "timestamp"]
    assert report["granularity"] == "frame"
    assert report["source"]["name"] == "clip.wav"
    assert [segment["label"] for segment in report["timeline"]["segments"]] == ["angry", "sad"]
    with ZipFile(whole) as pack:
        assert {"result.json", "processed_audio.wav", "timeline.csv", "embedding.npy"} <= set(pack.namelist())
        assert json.loads(pack.read("result.json"))["id"] == report["id"]


def test_the_endpoint_has_named_parameters_and_defaults(client, clip):
    report, _whole = client.predict(file=handle_file(clip), api_name="/analyze")
    assert report["granularity"] == "utterance"
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert list(named) == ["/analyze", "/text", "/multimodal"]


def test_bad_input_is_answered_with_its_sentence_and_the_next_is_heard(client, clip, home):
    text = home / "text.wav"
    text.write_text("this is no sound")
    with pytest.raises(AppError, match=r"text\.wav is"):
        client.predict(handle_file(text), "utterance", False, 0.5, api_name="/analyze")
    with pytest.raises(AppError, match="no recording yet"):
        client.predict(None, "utterance", False, 0.5, api_name="/analyze")
    with pytest.raises(AppError, match="Smoothing goes from 0"):
        client.predict(handle_file(clip), "utterance", False, 99, api_name="/analyze")
    report, _whole = client.predict(handle_file(clip), "utterance", False, 0.5, api_name="/analyze")
    assert report["emotion"] == "sad"


def test_what_nobody_foresaw_is_logged_under_a_number_and_not_shown(client, clip, monkeypatch, caplog):
    from emoscope import export

    monkeypatch.setattr(export, "write", lambda *_, **__: 1 / 0)
    with pytest.raises(AppError, match=r"under number [0-9a-f]{6}") as caught:
        client.predict(handle_file(clip), "utterance", False, 0.5, api_name="/analyze")
    assert "division" not in str(caught.value)
    assert str(caught.value).rstrip(".")[-6:] in caplog.text


# From here on no test uses the server above: Gradio's folder is one for the whole process.


def test_it_answers_but_is_not_ready_before_a_model_is(tmp_path):
    settings, opened = settings_for(tmp_path), threading.Event()

    def load(_folder):
        assert opened.wait(20)
        return HalfAndHalf()

    with serving(Analyzer(settings, load=load), settings) as address:
        answer = httpx.get(f"{address}/ready")
        assert answer.status_code == 503
        assert answer.json() == {"state": "loading", "sentence": "The model is loading."}
        assert httpx.get(address).status_code == 200
        opened.set()
        wait_for(lambda: httpx.get(f"{address}/ready").status_code == 200)


def test_the_folder_for_files_is_private_and_gone_in_the_end(tmp_path, clip):
    settings = settings_for(tmp_path)
    with serving(patient_analyzer(settings)[0], settings) as address:
        folder = Path(os.environ["GRADIO_TEMP_DIR"])
        httpx.post(f"{address}/gradio_api/upload", files={"files": ("clip.wav", clip.read_bytes())})
        assert list(folder.rglob("clip.wav"))
        assert folder.stat().st_mode & 0o077 == 0
        assert ROOT not in folder.parents
    assert not folder.exists()


def test_a_taken_port_is_told_before_anything_loads(tmp_path):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OptionError, match=f"port {port}.*EMOSCOPE_PORT"):
            serve(None, Settings(port=port, outputs=tmp_path))


def test_importing_the_studio_loads_no_gradio_and_changes_no_environment():
    look = "print('gradio' in sys.modules, before == dict(os.environ))"
    code = f"import os, sys; before = dict(os.environ); import emoscope.studio; {look}"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False", "True"]


PARTS = sorted(file.parent.name for file in (ROOT / "emoscope" / "studio").glob("*/*.html"))


@pytest.mark.parametrize("name", PARTS)
def test_the_markup_of_the_pieces_is_static(name):
    """Gradio compiles markup and style as templates: nothing of ours may look like one."""
    folder = ROOT / "emoscope" / "studio" / name
    for ending in ("html", "css"):
        text = (folder / f"{name}.{ending}").read_text("utf-8")
        assert not any(sign in text for sign in ("${", "{{", "`", "\\"))
    for script in folder.glob("*.js"):
        text = script.read_text("utf-8")
        assert "innerHTML" not in text
        assert "insertAdjacentHTML" not in text


def test_no_stub_files_lie_beside_the_source():
    assert not list((ROOT / "emoscope").rglob("*.pyi"))


@pytest.fixture
def report(tmp_path, clip):
    settings = settings_for(tmp_path)
    return patient_analyzer(settings)[0].analyze(clip, Options(granularity="frame"))


@pytest.mark.parametrize(
    ("logits", "sentence"),
    [
        ((4, 0), "Clear: 86 points ahead of disgusted (2%)."),
        ((2.6, 1.6), "Likely: 33 points ahead of disgusted (19%)."),
        ((2, 1), "Leaning this way, no more: 27 points ahead of disgusted (16%)."),
        ((1.05, 1), "A close call: only 1 point ahead of disgusted (22%)."),
        ((1.01, 1), "A close call: less than a point ahead of disgusted (22%)."),
        ((1.1, 1), "A close call: only 2 points ahead of disgusted (21%)."),
    ],
)
def test_the_verdict_in_words(report, logits, sentence):
    from emoscope.studio import present

    row = np.zeros((5, 9), np.float32)
    row[:, :2] = logits
    shown = present.verdict(reports.altered(report, speech=replace(report.speech, timeline=Timeline(row))), "en")
    assert shown["title"] == "Angry"
    assert shown["sentence"] == sentence
    assert sum(each["score"] for each in shown["scores"]) == pytest.approx(1)
    assert shown["model"] == "Heard by half-and-half, fp32 on cpu."


def test_a_silent_recording_is_said_to_be_silent(report):
    from emoscope.studio import present

    heard = report.speech.timeline
    silent = Timeline(heard.logits, silent=np.ones(len(heard), bool))
    shown = present.verdict(reports.altered(report, speech=replace(report.speech, timeline=silent)), "en")
    assert (shown["title"], shown["silent"]) == ("Silence", True)
    assert {segment.label for segment in silent.segments()} == {SILENCE}


def test_the_header_tells_of_a_download_and_then_of_the_new_model():
    from emoscope.studio import present

    info = HalfAndHalf().info
    coming = Status("ready", "", info, news="Large is coming.", doing="Downloading (512 of 1,951 MB)", done=0.2625)
    shown = present.status(coming, "en")
    assert (shown["name"], shown["news"], shown["done"], shown["busy"]) == (info.name, coming.news, 0.2625, True)
    assert shown["amount"] == "26% · Downloading (512 of 1,951 MB)"
    there = present.status(Status("ready", "", replace(info, name="large"), news="Large is here."), "en")
    assert (there["name"], there["news"], there["done"], there["amount"], there["busy"]) == (
        "large", "Large is here.", None, "", False,
    )  # fmt: skip
    assert present.status(Status("loading", "The model is loading."), "en")["busy"]


def test_ready_tells_how_far_the_download_of_a_better_model_is(tmp_path):
    from emoscope.api.application import add_health

    app, analyzer = FastAPI(), patient_analyzer(settings_for(tmp_path))[0]
    add_health(app, analyzer)
    analyzer.status = Status("ready", "", HalfAndHalf().info, news="Large is coming.", doing="Downloading", done=0.25)
    answer = TestClient(app).get("/ready")
    assert answer.status_code == 200
    assert {name: answer.json()[name] for name in ("news", "doing", "done")} == {
        "news": "Large is coming.", "doing": "Downloading", "done": 0.25,
    }  # fmt: skip


@pytest.fixture
def handlers(tmp_path):
    """Handlers beside a folder with a model that somebody put there, called `mine`."""
    from emoscope.studio.desk import Desk
    from emoscope.studio.handlers import Handlers

    settings = settings_for(tmp_path / "home", models=tmp_path / "models")
    mine = tmp_path / "models" / "mine"
    mine.mkdir(parents=True)
    for name in ("config.yaml", "model.pt"):
        (mine / name).touch()
    return Handlers(Desk(patient_analyzer(settings)[0], settings, live=None, keeper=Keeper(settings)))


def analyze_with(handlers, clip, model):
    """The steps of an analysis with this model: the verdict comes before the files."""
    from emoscope.studio.handlers import Visit

    form = {"source": "upload", "upload": str(clip), "granularity": "utterance", "model": model, "visit": Visit()}
    return list(handlers.analyze(form, "en"))


@pytest.mark.parametrize("model", ["auto", "compact-speech", "mine"])
def test_a_visitor_chooses_among_the_models_on_disk(handlers, clip, model, monkeypatch, tmp_path):
    from emoscope.studio import choices

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    assert list(choices.offered(handlers.settings, "speech")) == ["compact-speech", "mine"]
    *_, heard, writing, written = analyze_with(handlers, clip, model)
    assert heard.verdict["title"] == "Sad"
    assert heard.timeline
    assert writing["what"] == "Writing the files"
    assert "result.json" in [each["name"] for each in written.downloads["files"]]
    (result,) = handlers.settings.outputs.glob("*/result.json")
    assert Path(json.loads(result.read_text("utf-8"))["options"]["model"]).name in (model, "compact")


@pytest.mark.parametrize(
    "model", ["large", "../models/mine", "/etc", "compact", str(ROOT / "models" / "compact-speech")]
)
def test_a_visitor_cannot_name_another_model_or_a_folder(handlers, clip, model):
    import gradio as gr

    with pytest.raises(gr.Error, match=r"no model .* on this machine"):
        analyze_with(handlers, clip, model)
    assert not list(handlers.settings.outputs.iterdir())


def test_about_names_the_models_on_disk_with_licence_and_authors(tmp_path):
    from emoscope.models import inventory
    from emoscope.studio import present

    large = tmp_path / "emotion2vec_plus_large"
    large.mkdir()
    for name in ("config.yaml", "model.pt"):
        (large / name).touch()
    models = present.about(inventory(tmp_path), None, "en")["models"]
    assert [model["title"] for model in models] == ["Emoscope compact", "Emotion2Vec+ Large", "Emoscope compact text"]
    assert models[1]["licence"] == "FunASR Model License 1.1"
    assert "Ziyang Ma" in models[1]["authors"]
    assert "put there by hand" in models[1]["facts"]


def test_the_form_becomes_a_file_and_options():
    from emoscope.studio.handlers import find_file, read_options

    form = {"source": "microphone", "upload": "/a.wav", "recording": "/b.wav", "granularity": "frame", "trim": True}
    assert find_file(form) == Path("/b.wav")
    assert find_file({**form, "source": "upload"}) == Path("/a.wav")
    assert read_options(form) == Options(granularity="frame", trim=True)
    with pytest.raises(InputError, match="no recording yet"):
        find_file({"source": "upload", "upload": None})


def test_the_process_serves_prints_its_address_and_stops_cleanly(tmp_path):
    environment = {
        **os.environ,
        "EMOSCOPE_PORT": str(free_port()),
        "EMOSCOPE_OUTPUTS": str(tmp_path),
        "EMOSCOPE_OFFLINE": "1",
        "TMPDIR": str(tmp_path),
    }
    begun = time.monotonic()
    process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        assert line == f"Emoscope is at http://localhost:{environment['EMOSCOPE_PORT']}\n"
        assert httpx.get(line.split()[-1]).status_code == 200
        assert time.monotonic() - begun < 20  # 3 s on two cores of its own; the tests may run beside other work
        assert list(tmp_path.glob(".emoscope-studio_*"))
    finally:
        process.terminate()
        process.stdout.close()
        process.wait(15)
    assert not list(tmp_path.glob(".emoscope-studio_*"))


def free_port():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]
