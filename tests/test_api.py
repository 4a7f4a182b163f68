"""The REST interface: what its routes answer, and what they refuse."""

import http.client
import io
import json
import re
import tempfile
import threading
from zipfile import ZipFile

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from emoscope import plots
from emoscope.api import schema
from emoscope.api.forms import SpeechFields, TogetherFields
from emoscope.api.uploads import MOST_PARTS, plain_name
from emoscope.errors import StorageError
from emoscope.labels import LABELS
from emoscope.settings import PRECISIONS, Options
from tests import reports
from tests.api import make_office, serving, write_tone
from tests.browser.studio import wait_for

ASYNC = {"Prefer": "respond-async"}
EVENTS = {"Accept": "text/event-stream"}
SUBTITLES = "1\n00:00:00,100 --> 00:00:01,900\nI am joyful.\n\n2\n00:00:02,100 --> 00:00:03,900\nI am lonely.\n"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("api")
    write_tone(folder / "clip.wav", 4)
    return folder


@pytest.fixture(scope="module")
def office(home):
    mine = home / "models" / "mine"
    mine.mkdir(parents=True)
    for name in ("config.yaml", "model.pt"):
        (mine / name).touch()
    return make_office(home, max_mb=1.0, queue=3, models=home / "models")


@pytest.fixture(scope="module")
def client(office):
    with serving(office[0]) as client:
        yield client


@pytest.fixture
def gate(office):
    """The gate of the model, which is open again in the end."""
    yield office[1].gate
    office[1].gate.set()
    wait_for(lambda: office[0].jobs.running == office[0].jobs.waiting == 0)


@pytest.fixture(scope="module")
def clip(home):
    return (home / "clip.wav").read_bytes()


def send(client, clip, path="speech", name="clip.wav", headers=None, files=(), **fields):
    parts = {"file": (name, clip), **dict(files)}
    return client.post(f"/api/v1/{path}", files=parts, data=fields, headers=headers)


def problem(answer, status):
    """The sentence of a problem document, which is checked on the way."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found = schema.Problem.model_validate_json(answer.text)
    assert found.status == status
    assert re.search(r"[.!]$", found.detail), found.detail
    return found.detail


def report(answer):
    """The report of an answer, which is checked on the way."""
    assert answer.status_code == 200, answer.text
    schema.Report.model_validate_json(answer.text)
    return answer.json()


def finished(client, location):
    wait_for(lambda: client.get(location).json()["state"] not in ("waiting", "running"))
    return client.get(location).json()


def events_of(lines):
    found = re.findall(r"event: (\w+)\ndata: (.*)\n\n", "\n".join(lines) + "\n")
    return [(name, json.loads(data)) for name, data in found]


# What it is


def test_it_is_alive_and_ready(client):
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/ready").json()["model"]["name"] == "half-and-half"


@pytest.mark.parametrize(
    "made",
    [
        reports.half_and_half(),
        reports.pause(options=Options(embedding=True)),
        reports.all_silent(),
        reports.make(("sad", 1.0), name=reports.HOSTILE_NAMES["controls"]),
        reports.text_report(),
        reports.text_report(times=reports.LATER),
        reports.together_report(),
    ],
    ids=lambda report: report.mode,
)
def test_the_schema_is_that_of_the_report(made):
    """Both ways: it takes what a report says, and a report says whatever it names."""
    said = json.loads(json.dumps(made.to_dict()))
    found = schema.Report.model_validate(said).model_dump(mode="json")
    _same_keys(said, found)


def _same_keys(said, found):
    if isinstance(said, dict):
        extra = {"labels", "probabilities", "silent"} if "turning_points" in said else set()  # of frames only
        assert found.keys() - said.keys() <= extra
        for key, value in said.items():
            _same_keys(value, found[key])
    elif isinstance(said, list):
        for one, other in zip(said, found, strict=True):
            _same_keys(one, other)


def test_lists_of_choices_are_those_of_the_core():
    assert tuple(schema.Emotions.model_fields) == LABELS
    assert tuple(SpeechFields.model_json_schema()["properties"]["precision"]["enum"]) == PRECISIONS
    assert TogetherFields.model_fields.keys() - {"text"} == vars(Options()).keys()
    for name, default in vars(Options()).items():
        assert TogetherFields.model_fields[name].default == default


# Analyses


def test_a_recording_is_heard(client, clip):
    found = report(send(client, clip, smooth="0.2", trim="true", embedding="1"))
    assert (found["emotion"], found["mode"]) == ("sad", "speech")
    assert found["source"]["name"] == "clip.wav"
    assert [segment["label"] for segment in found["timeline"]["segments"]] == ["angry", "sad"]
    chosen = {name: found["options"][name] for name in ("granularity", "smooth", "trim", "embedding", "denoise")}
    assert chosen == {"granularity": "utterance", "smooth": 0.2, "trim": True, "embedding": True, "denoise": False}


def test_a_text_is_read(client):
    found = report(client.post("/api/v1/text", json={"text": "I am joyful. I am lonely.", "embedding": True}))
    assert (found["mode"], len(found["text"]["sentences"])) == ("text", 2)
    assert [sentence["emotion"] for sentence in found["text"]["sentences"]] == ["happy", "sad"]
    again = report(client.post("/api/v1/text", files={"transcript": ("a.srt", SUBTITLES)}))
    assert again["text"]["sentences"][1]["time"] == [2.1, 3.9]
    assert report(client.post("/api/v1/text", files={"text": (None, "I am lonely.")}))["emotion"] == "sad"


def test_a_recording_and_its_words_become_one_answer(client, clip):
    found = report(send(client, clip, "multimodal", text="I am joyful.", fusion="product", text_weight="0.25"))
    assert (found["mode"], found["fusion"]["method"]) == ("multimodal", "product")
    assert (found["options"]["text_weight"], found["text"]["emotion"]) == (0.25, "happy")
    timed = report(send(client, clip, "multimodal", files={"transcript": ("said.srt", SUBTITLES)}))
    assert [passage["time"] for passage in timed["fusion"]["passages"]] == [[0.1, 1.9], [2.1, 3.9]]
    written = report(send(client, clip, "multimodal", transcribe="true"))
    assert written["text"]["transcript"]["origin"] == "scribe"


def test_the_name_of_a_file_is_a_name_and_nothing_else(client, clip):
    for name, plain in (("../../etc/passwd", "passwd"), ("C:\\me\\a.wav", "a.wav"), ("我的 录音.wav", "我的 录音.wav")):
        assert report(send(client, clip, name=name))["source"]["name"] == plain
    assert plain_name("x" * 300) == "x" * 200
    assert plain_name("") == plain_name("a/") == "recording"


def test_a_model_is_chosen_by_its_name_and_never_by_a_path(client, clip, home):
    assert report(send(client, clip, model="mine"))["emotion"] == "sad"
    for name in (str(home / "models" / "mine"), "../models/mine", "large"):
        assert "no model" in problem(send(client, clip, model=name), 422)
    listed = client.get("/api/v1/models")
    schema.Models.model_validate_json(listed.text)
    assert {"compact", "mine", "large"} <= {model["name"] for model in listed.json()["models"]}
    assert listed.json()["answers"]["name"] == "half-and-half"
    assert str(home) not in listed.text


# What is refused


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"granularity": "word"}, "granularity: input should be 'utterance' or 'frame'"),
        ({"smooth": "99"}, "smooth: input should be less than or equal to 10"),
        ({"smooth": "nan"}, "smooth: input should be a finite number"),
        ({"embedding": "perhaps"}, "embedding: input should be a valid boolean"),
        ({"colour": "red"}, "colour: extra inputs are not permitted"),
        ({"text": "I am joyful."}, "text: extra inputs are not permitted"),
    ],
    ids=lambda fields: next(iter(fields)) if isinstance(fields, dict) else "",
)
def test_an_option_without_meaning_is_refused(client, clip, fields, says):
    answer = send(client, clip, **fields)
    assert says in problem(answer, 422)
    assert answer.json()["errors"][0]["field"] == next(iter(fields))


def test_what_cannot_be_used_is_told_in_a_sentence(client, clip):
    assert "clip.wav is a text file" in problem(send(client, b"this is no sound"), 422)
    assert "no recording in the request" in problem(client.post("/api/v1/speech", files={"trim": (None, "1")}), 422)
    assert "no recording in the request" in problem(send(client, b""), 422)
    assert "beside the voice" in problem(send(client, clip, "multimodal"), 422)
    assert "no words" in problem(client.post("/api/v1/text", json={"text": "  "}), 422)
    assert "no text to read" in problem(client.post("/api/v1/text", json={"text": "\u200b"}), 422)
    both = {"text": (None, "I am joyful."), "transcript": ("a.srt", SUBTITLES)}
    assert "send one of them" in problem(client.post("/api/v1/text", files=both), 422)
    assert "Fusion is" in problem(send(client, clip, "multimodal", text="Well.", fusion="magic"), 422)


FORM = {"Content-Type": "multipart/form-data; boundary=edge"}
PART = b'--edge\r\nContent-Disposition: form-data; name="text"\r\n\r\nI am joyful.\r\n'


@pytest.mark.parametrize(
    ("body", "headers", "status", "says"),
    [
        (b"{", {"Content-Type": "application/json"}, 422, "cannot be read as application/json"),
        (b"[]", {"Content-Type": "application/json"}, 422, "it is no object"),
        (b"[" * 100_000, {"Content-Type": "application/json"}, 422, "cannot be read as application/json"),
        (b'{"text": 3}', {"Content-Type": "application/json"}, 422, "text: input should be a valid string"),
        (b'{"text": "%s"}' % (b"x" * 1_000_000), {"Content-Type": "application/json"}, 413, "longer than 1 MB"),
        (b"text=x", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "is needed here"),
        (b"text", {}, 415, "is needed here"),
        (PART, {"Content-Type": "multipart/form-data"}, 422, "boundary is missing"),
        (PART, FORM, 422, "ends before its last part"),
        (b"no part at all", FORM, 422, "cannot be read as multipart/form-data"),
        (PART + PART + b"--edge--\r\n", FORM, 422, "there twice"),
        (b"".join(PART.replace(b"text", b"t%d" % part) for part in range(MOST_PARTS + 1)), FORM, 413, "more than"),
        (PART.replace(b"joyful", b"x" * 1_000_001) + b"--edge--\r\n", FORM, 413, "longer than 1 MB"),
    ],
    ids=range(13),
)
def test_a_body_that_is_none_is_refused(client, office, body, headers, status, says):
    assert says in problem(client.post("/api/v1/text", content=body, headers=headers), status)
    assert list(office[0].uploads.iterdir()) == []


def test_too_large_a_file_is_refused_by_its_length_before_it_is_sent(client):
    connection = http.client.HTTPConnection(client.base_url.host, client.base_url.port, timeout=10)
    connection.putrequest("POST", "/api/v1/speech")
    connection.putheader("Content-Type", "multipart/form-data; boundary=edge")
    connection.putheader("Content-Length", "10000000000")
    connection.endheaders()  # and nothing more
    answer = connection.getresponse()
    assert answer.status == 413
    assert "larger than 1 MB" in json.loads(answer.read())["detail"]
    connection.close()


def test_too_large_a_file_is_refused_while_it_arrives(client, office):
    """A body that does not tell its length is cut off at the limit, and what had arrived is removed."""
    sent = 0

    def endless():
        nonlocal sent
        yield b'--edge\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
        while sent < 1_000_000_000:
            sent += 65_536
            yield b"\0" * 65_536

    answer = client.post("/api/v1/speech", content=endless(), headers=FORM)
    assert "larger than 1 MB" in problem(answer, 413)
    assert sent < 50_000_000
    assert list(office[0].uploads.iterdir()) == []


def test_unknown_addresses_and_methods_are_problems(client):
    assert "nothing at this address" in problem(client.get("/api/v1/nothing"), 404)
    assert "in this way" in problem(client.put("/api/v1/speech"), 405)


def test_what_nobody_foresaw_is_logged_under_a_number(client, clip, monkeypatch, caplog):
    from emoscope import export, models

    monkeypatch.setattr(export, "write", lambda *_, **__: 1 / 0)
    said = problem(send(client, clip), 500)
    assert re.search(r"number ([0-9a-f]{16})\.", said)[1] in caplog.text
    assert "division" not in said
    monkeypatch.setattr(models, "inventory", lambda _: 1 / 0)
    said = problem(client.get("/api/v1/models"), 500)
    assert re.search(r"number ([0-9a-f]{6})\.", said)[1] in caplog.text


def test_a_full_disk_is_told(client, clip, monkeypatch):
    from emoscope import export

    def full(*_, **__):
        raise StorageError("There is no space left.")

    monkeypatch.setattr(export, "write", full)
    assert problem(send(client, clip), 507) == "There is no space left."


# Waiting


def test_somebody_can_come_back_for_a_run(client, clip, gate, monkeypatch):
    monkeypatch.setattr(plots, "draw", lambda _report, file: file.touch())  # takes seconds, and is nothing of ours
    gate.clear()
    answer = send(client, clip, headers=ASYNC, granularity="frame")
    assert (answer.status_code, answer.headers["preference-applied"]) == (202, "respond-async")
    schema.Run.model_validate_json(answer.text)
    location = answer.headers["location"]
    wait_for(lambda: client.get(location).json()["state"] == "running")
    gate.set()
    run = finished(client, location)
    schema.Run.model_validate(run)
    assert (run["state"], run["id"], run["report"]["id"]) == ("done", location[-16:], location[-16:])
    assert run["report"]["timeline"]["labels"] == list(LABELS)
    assert len(run["report"]["timeline"]["probabilities"]) == run["report"]["timeline"]["frames"]
    files = {file["name"]: file for file in run["files"]}
    assert {"result.json", "processed_audio.wav", "timeline.csv", "frames.npz"} <= files.keys()
    assert client.get(files["result.json"]["url"]).json() == run["report"]
    frames = np.load(io.BytesIO(client.get(files["frames.npz"]["url"]).content))
    assert frames["probabilities"].shape == (run["report"]["timeline"]["frames"], 9)
    whole = next(file for name, file in files.items() if name.endswith(".zip"))
    fetched = client.get(whole["url"])
    assert fetched.headers["content-disposition"].startswith("attachment")
    assert len(fetched.content) == whole["bytes"]
    with ZipFile(io.BytesIO(fetched.content)) as pack:
        assert set(pack.namelist()) == files.keys() - {whole["name"]}


def test_a_run_that_fails_says_why(client):
    run = finished(client, send(client, b"this is no sound", headers=ASYNC).headers["location"])
    schema.Run.model_validate(run)
    assert (run["state"], run["problem"]["status"]) == ("failed", 422)
    assert "text file" in run["problem"]["detail"]
    told = client.get(f"/api/v1/runs/{run['id']}", headers=EVENTS).text.splitlines()
    assert [name for name, _ in events_of(told)] == ["run", "problem"]


def test_a_run_can_be_stopped_and_deleted(client, clip, gate, office):
    gate.clear()
    location = send(client, clip, headers=ASYNC).headers["location"]
    assert client.delete(location).status_code == 204
    assert finished(client, location)["state"] == "cancelled"
    assert client.delete(location).status_code == 204
    problem(client.get(location), 404)
    gate.set()
    location = send(client, clip, headers=ASYNC).headers["location"]
    finished(client, location)
    folder = office[0].find(location[-16:]).folder
    assert folder.exists()
    assert client.delete(location).status_code == 204
    assert not folder.exists()
    problem(client.get(location), 404)
    problem(client.delete(location), 404)


def test_progress_comes_as_events(client, clip):
    with client.stream("POST", "/api/v1/speech", files={"file": ("clip.wav", clip)}, headers=EVENTS) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        told = events_of(answer.iter_lines())
    names = [name for name, _ in told]
    assert (names[0], names[-1], set(names[1:-1])) == ("run", "report", {"progress"})
    schema.Report.model_validate(told[-1][1])
    assert told[0][1]["id"] == told[-1][1]["id"]
    again = events_of(client.get(f"/api/v1/runs/{told[0][1]['id']}", headers=EVENTS).text.splitlines())
    assert again == [told[0], told[-1]]


def test_who_hangs_up_ends_the_analysis(client, clip, gate, office):
    jobs = office[0].jobs
    gate.clear()
    with client.stream("POST", "/api/v1/speech", files={"file": ("clip.wav", clip)}, headers=EVENTS) as answer:
        next(answer.iter_lines())
        wait_for(lambda: jobs.running == 1)
    wait_for(lambda: jobs.running == 0)
    connection = http.client.HTTPConnection(client.base_url.host, client.base_url.port, timeout=10)
    asked = client.build_request("POST", "/api/v1/speech", files={"file": ("clip.wav", clip)})
    connection.request("POST", "/api/v1/speech", asked.read(), dict(asked.headers))
    wait_for(lambda: jobs.running == 1)
    connection.close()
    wait_for(lambda: jobs.running == 0)
    assert not gate.is_set()
    wait_for(lambda: list(office[0].uploads.iterdir()) == [])


def test_who_follows_the_run_of_another_does_not_end_it(client, clip, gate):
    gate.clear()
    location = send(client, clip, headers=ASYNC).headers["location"]
    with client.stream("GET", location, headers=EVENTS) as answer:
        next(answer.iter_lines())
    gate.set()
    assert finished(client, location)["state"] == "done"


def test_a_full_queue_asks_to_come_again_before_it_takes_the_file(client, clip, gate, office):
    gate.clear()
    waiting = [send(client, clip, headers=ASYNC) for _ in range(1)]
    wait_for(lambda: office[0].jobs.running == 1)
    waiting += [send(client, clip, headers=ASYNC) for _ in range(3)]
    assert {answer.status_code for answer in waiting} == {202}
    refused = send(client, clip)
    assert "3 analyses are waiting already" in problem(refused, 429)
    assert int(refused.headers["retry-after"]) >= 1
    assert client.get("/health").status_code == 200
    gate.set()
    for answer in waiting:
        assert finished(client, answer.headers["location"])["state"] == "done"
    assert office[1].passes[-1] == 3  # those that waited were heard together


# Runs of the past


@pytest.mark.parametrize(
    "id",
    ["x", "%2e%2e", "0" * 15, "0" * 17, "ABCDEFABCDEFABCD", "..%2f..%2fetc", "0123456789abcde/", "%00", "_" * 16],
)
def test_what_is_no_id_is_looked_up_nowhere(client, office, id, monkeypatch):
    monkeypatch.setattr(office[0].keeper, "opened", None)
    for path in (f"/api/v1/runs/{id}", f"/api/v1/runs/{id}/files/result.json"):
        assert client.get(path).status_code == 404
        assert client.delete(f"/api/v1/runs/{id}").status_code in (404, 405)


def test_files_are_those_of_the_run_and_no_others(client, clip, office):
    found = report(send(client, clip))
    folder = office[0].find(found["id"]).folder
    (folder / "secret.txt").write_text("secret")
    (folder / "segments.txt").symlink_to("/etc/hostname")
    for name in ("secret.txt", "segments.txt", "..%2fhistory.sqlite3", "%2fetc%2fhostname", "Result.json", "."):
        assert client.get(f"/api/v1/runs/{found['id']}/files/{name}").status_code in (404, 405), name
    names = [file["name"] for file in client.get(f"/api/v1/runs/{found['id']}").json()["files"]]
    assert names == ["result.json", "processed_audio.wav", "frames.npz", f"{folder.name}.zip"]


def test_runs_are_listed_and_found(client, clip, home):
    one = report(send(client, clip, name="needle.wav"))["id"]
    two = report(client.post("/api/v1/text", json={"text": "A joyful needle."}))["id"]
    listed = client.get("/api/v1/runs", params={"text": "needle"})
    found = schema.Rows.model_validate_json(listed.text)
    assert ([run.id for run in found.runs], found.total) == ([two, one], 2)
    assert str(home) not in listed.text
    for chosen, ids in (
        ({"mode": "text"}, [two]),
        ({"emotion": ["sad", "angry"]}, [one]),
        ({"order": "oldest", "limit": 1}, [one]),
        ({"offset": 1}, [one]),
        ({"since": "2100-01-01T00:00:00Z"}, []),
        ({"until": "2100-01-01T00:00:00Z", "source": "needle.wav"}, [one]),
        ({"model": "keywords"}, [two]),
    ):
        runs = client.get("/api/v1/runs", params={"text": "needle", **chosen}).json()["runs"]
        assert [run["id"] for run in runs] == ids, chosen
    assert "order" in problem(client.get("/api/v1/runs", params={"order": "best"}), 422)
    assert "timezone" in problem(client.get("/api/v1/runs", params={"since": "2026-01-01T00:00:00"}), 422)


def test_a_history_that_is_away_is_told_and_the_analysis_answers(client, clip, office, monkeypatch):
    def away(*_):
        raise StorageError("The history does not answer. Start it.")

    monkeypatch.setattr(office[0].keeper.history, "insert", away)
    monkeypatch.setattr(office[0].keeper, "opened", away)
    assert "The history does not answer. Start it." in report(send(client, clip))["warnings"]
    assert problem(client.get("/api/v1/runs"), 503) == "The history does not answer. Start it."
    later = send(client, clip, headers=ASYNC).headers["location"]
    run = finished(client, later)
    assert (run["state"], run["report"]["emotion"], run["files"]) == ("done", "sad", [])
    assert client.delete(later).status_code == 204


# Metrics


def test_prometheus_reads_what_happened(client, clip):
    def read():
        text = client.get("/metrics")
        assert text.headers["content-type"].startswith("text/plain")
        samples = (each for family in text_string_to_metric_families(text.text) for each in family.samples)
        return {(each.name, *sorted(each.labels.values())): each.value for each in samples}

    before = read()
    report(send(client, clip))
    problem(send(client, b"none"), 422)
    client.get("/api/v1/runs/0000000000000000/files/secret.txt")
    client.get("/api/v1/nobody/knows")
    client.request("BREW", "/api/v1/text")
    after = read()

    def grown(*key):
        return after.get(key, 0) - before.get(key, 0)

    assert grown("emoscope_requests_total", *sorted(("/api/v1/speech", "200", "POST"))) == 1
    assert grown("emoscope_requests_total", *sorted(("/api/v1/speech", "422", "POST"))) == 1
    assert grown("emoscope_request_seconds_count", *sorted(("/api/v1/speech", "POST"))) == 2
    assert grown("emoscope_audio_seconds_total") == 4.0
    assert grown("emoscope_analyses_total", "speech") == 1
    assert after["emoscope_queue", "waiting"] == 0
    assert after["emoscope_ready",] == 1
    routes = {key[1] for key in after if key[0] == "emoscope_requests_total"} - {"200"}
    assert not any("secret" in route or "nobody" in route for route in routes)
    assert any(key[0] == "emoscope_model_info" and "half-and-half" in key for key in after)


# Nothing is kept


def test_privacy_mode_leaves_nothing(tmp_path, clip, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    office, _ = make_office(tmp_path, keep="nothing")
    with serving(office) as client:
        found = report(send(client, clip, embedding="true"))
        problem(client.get(f"/api/v1/runs/{found['id']}"), 404)
        assert client.get("/api/v1/runs").json() == {"total": 0, "runs": []}
        location = send(client, clip, headers=ASYNC).headers["location"]
        wait_for(lambda: office.jobs.find(location[-16:]).outcome.done())
        assert client.get(location).json()["report"]["emotion"] == "sad"
        problem(client.get(location), 404)  # it was fetched
        wait_for(lambda: list(office.uploads.iterdir()) == [])
    assert list((tmp_path / "outputs").iterdir()) == []
    assert list(temporary.iterdir()) == []
    assert [path for path in tmp_path.rglob("*") if b"RIFF" in (path.read_bytes() if path.is_file() else b"")] == []


def test_what_a_killed_server_was_sent_is_removed_at_the_next_start(tmp_path):
    office, _ = make_office(tmp_path)
    left = office.uploads.with_name(office.uploads.name[:-12] + "0" * 12)
    left.mkdir()
    (left / "file").write_bytes(b"RIFF")
    with serving(office):
        assert not left.exists()
        assert office.uploads.stat().st_mode & 0o077 == 0
    assert not office.uploads.exists()


def test_many_clients_at_once_are_all_answered(client, clip):
    """More than may wait: each is answered, with its own report or with when to come again."""
    answers = []

    def ask(place):
        found = send(client, clip, name=f"{place}.wav")
        answers.append((place, found))

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(answers) == 12
    for place, answer in answers:
        assert answer.status_code in (200, 429)
        if answer.status_code == 200:
            assert answer.json()["source"]["name"] == f"{place}.wav"
