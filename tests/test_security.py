"""What somebody could do to a server and to those who use it, and that nobody can; docs/security.md says why."""

import ast
import contextlib
import csv
import functools
import http.client
import io
import json
import os
import re
import shutil
import socket
import tempfile
import threading
import time
from pathlib import Path

import httpx
import pytest
import soundfile
from fastapi import FastAPI

from emoscope import audio, claims, room, server
from emoscope.api import uploads
from emoscope.api.uploads import UPLOADS
from emoscope.errors import AudioError, EmoscopeError, StorageError
from emoscope.gate import intake
from emoscope.room import Room
from emoscope.text.split import LONGEST, sentences, words
from emoscope.transcribe import files as transcripts
from tests import reports, sounds
from tests.browser.studio import patient_analyzer, served, serving, settings_for, wait_for

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "emoscope"
SECRETS = {"HF_TOKEN": "hf_s3cret", "AWS_SECRET_ACCESS_KEY": "p4ssw0rd"}
PRIVATE = ("p4ssw0rd", "hf_s3cret", "Traceback", ".venv", "site-packages", str(ROOT), 'File "')
FORM = {"Content-Type": "multipart/form-data; boundary=edge"}
PART = b'--edge\r\nContent-Disposition: form-data; name="%s"; filename="a.wav"\r\n\r\n'
UPLOAD, SPEECH = ("/gradio_api/upload", PART % b"files"), ("/api/v1/speech", PART % b"file")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("security")


@pytest.fixture(scope="module")
def address(home):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SECRETS.items():
            patch.setenv(name, value)
        settings = settings_for(home, max_mb=1.0, database_url=f"sqlite:///{home}/p4ssw0rd.db")
        analyzer, _ = patient_analyzer(settings)
        with serving(analyzer, settings) as address:
            wait_for(lambda: analyzer.status.state == "ready")
            yield address


@pytest.fixture
def client(address):
    with httpx.Client(base_url=address, timeout=20) as client:
        yield client


@pytest.fixture(scope="module")
def clip(home):
    soundfile.write(home / "clip.wav", sounds.tone(2)[0], sounds.RATE)
    return (home / "clip.wav").read_bytes()


@contextlib.contextmanager
def dialled(address):
    """A connection of our own, for what no client does."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        yield connection


def answer_of(connection):
    found = http.client.HTTPResponse(connection)
    found.begin()
    return found.status, found.read().decode()


def uploaded():
    """Every file that lies where uploads go."""
    return [file for file in Path(os.environ["GRADIO_TEMP_DIR"]).rglob("*") if file.is_file()]


# -- too slow, too large, too many -----------------------------------------------------------------------------------


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: "], ids=["nothing", "half a head"])
def test_a_head_that_does_not_end_is_not_waited_for(address, monkeypatch, begun):
    monkeypatch.setattr(intake, "HEAD", 0.3)
    with dialled(address) as connection:
        connection.sendall(begun)
        closed, end = False, time.monotonic() + 10
        while not closed and time.monotonic() < end:
            with contextlib.suppress(OSError):
                connection.sendall(b"x" if begun else b"")  # a trickle keeps nobody waiting longer
            connection.settimeout(0.05)
            with contextlib.suppress(TimeoutError):
                closed = _is_closed(connection)
        assert closed


def _is_closed(connection):
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def test_a_request_in_time_is_answered_on_a_connection_that_was_slow_before(address, monkeypatch):
    monkeypatch.setattr(intake, "HEAD", 1.0)
    with dialled(address) as connection:
        for _ in range(2):
            connection.sendall(b"GET /health HTTP/1.1\r\n")
            time.sleep(0.2)
            connection.sendall(b"Host: localhost\r\n\r\n")
            assert answer_of(connection) == (200, '{"status":"ok"}')


@pytest.mark.parametrize(("path", "part"), [UPLOAD, SPEECH], ids=["studio", "REST"])
@pytest.mark.parametrize("trickle", [False, True], ids=["stops", "trickles"])
def test_a_body_that_does_not_come_is_not_waited_for(client, address, monkeypatch, path, part, trickle):
    monkeypatch.setattr(intake, "QUIET", 0.3)
    monkeypatch.setattr(intake, "SLOWEST", 1e5)
    before, stop = uploaded(), threading.Event()
    with dialled(address) as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000\r\n"
        connection.sendall(f"{head}Content-Type: {FORM['Content-Type']}\r\n\r\n".encode() + part)

        def send():
            while not stop.wait(0.05):
                with contextlib.suppress(OSError):
                    connection.sendall(b"\0" * 10)

        thread = threading.Thread(target=send)
        if trickle:
            thread.start()
        status, said = answer_of(connection)
        stop.set()
        if trickle:
            thread.join()
    assert status == 408
    assert (json.loads(said)["detail"] if path.startswith("/api") else said.strip()) == intake.LATE
    assert client.get("/health").status_code == 200
    left = [file for file in uploaded() if file not in before and file.suffix]
    assert left == []  # what Gradio leaves of it has no name, and goes when it is old: see below


def test_heads_have_an_end(client):
    def status(path, **headers):
        try:
            return client.get(path, headers=headers).status_code
        except httpx.TransportError:
            return "reset"  # before all of it was sent

    assert status("/health", long="x" * 200_000) in (400, "reset")
    assert status("/health", **{f"x-{number}": "x" * 100 for number in range(2000)}) in (400, "reset")
    assert status("/health?" + "x" * 60_000) in (400, 200)  # httpx sends no longer one
    assert status("/health", short="x" * 2000) == 200


def test_more_uploads_at_once_than_there_may_be_are_told_to_come_again(client, address, monkeypatch, clip):
    monkeypatch.setattr(intake, "BODIES", 1)
    with dialled(address) as connection:
        head = f"POST {SPEECH[0]} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000\r\n"
        connection.sendall(f"{head}Content-Type: {FORM['Content-Type']}\r\n\r\n".encode() + SPEECH[1])
        wait_for(lambda: client.post("/api/v1/text", json={"text": " "}).status_code == 503)
        refused = client.post("/api/v1/speech", files={"file": ("clip.wav", clip)})
        assert (refused.status_code, refused.json()["detail"]) == (503, intake.CROWDED)
        assert int(refused.headers["retry-after"]) == 30
        shown = client.post("/gradio_api/upload", files={"files": ("clip.wav", clip)})
        assert (shown.status_code, shown.text.strip()) == (503, intake.CROWDED)
        chinese = client.post("/gradio_api/upload", files={"files": clip}, headers={"Accept-Language": "zh"})
        assert chinese.text.strip() == "此刻同时上传的内容太多。请半分钟后再试。"
        assert client.get("/ready").status_code == 200
    wait_for(lambda: client.post("/api/v1/speech", files={"file": ("clip.wav", clip)}).status_code == 200)


def test_there_are_only_so_many_connections(monkeypatch):
    monkeypatch.setattr(server, "CONNECTIONS", 4)
    with served(FastAPI()) as address:
        with contextlib.ExitStack() as held:
            for _ in range(3):
                held.enter_context(dialled(address))
            wait_for(lambda: httpx.get(f"{address}/nothing").status_code == 503)
        wait_for(lambda: httpx.get(f"{address}/nothing").status_code == 404)


def test_a_slow_disk_holds_nobody_else_up(client, address, clip, monkeypatch):
    """A file is written by a thread; on the event loop everybody would wait."""
    writing, disk = threading.Event(), threading.Event()

    def wait(*_):
        writing.set()
        disk.wait(10)

    monkeypatch.setattr(uploads._Reader, "_take", wait)
    thread = threading.Thread(target=httpx.post, args=(f"{address}/api/v1/speech",), kwargs={"files": {"file": clip}})
    thread.start()
    try:
        assert writing.wait(10)
        assert client.get("/health").status_code == 200
    finally:
        disk.set()
        thread.join()


# -- room on the disk ------------------------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path):
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


def put(folder, name, size):
    file = folder / name / "clip.wav"
    file.parent.mkdir()
    file.write_bytes(bytes(size))
    return file


def passed(monkeypatch, seconds):
    """Let so many seconds have passed."""
    now = time.time() + seconds
    monkeypatch.setattr(room.time, "time", lambda: now)


def test_what_is_unused_makes_room_the_oldest_first(cache, monkeypatch):
    monkeypatch.setattr(Room, "_disk_is_full", lambda _self: False)
    files = []
    for name in "abcd":
        files.append(put(cache, name, 300))
        time.sleep(0.01)  # clocks of file systems are coarse
    kept = Room(cache, most=1000)
    assert kept.take(0) is False
    with pytest.raises(StorageError, match="no room for more uploads just now"):
        kept.make()  # all of them were used a moment ago
    passed(monkeypatch, room.UNUSED + 5)
    kept.make()
    assert [file.exists() for file in files] == [False, False, True, True]
    assert [file.parent.exists() for file in files] == [False, False, True, True]
    assert kept.take(300) is False
    assert kept.take(200) is True


def test_what_others_hold_counts_and_stays(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(Room, "_disk_is_full", lambda _self: False)
    (tmp_path / "working").mkdir()
    held, old = put(tmp_path / "working", "a", 900), put(cache, "b", 300)
    passed(monkeypatch, room.AGE + 5)
    Room(cache, (tmp_path / "working",), most=1000).tidy()
    assert (held.exists(), old.exists()) == (True, False)
    with pytest.raises(StorageError):
        Room(cache, (tmp_path / "working",), most=800).make()
    assert held.exists()


def test_a_file_that_lies_elsewhere_too_takes_no_room(cache, tmp_path):
    result = put(tmp_path, "result", 900)
    (cache / "shelf").mkdir()
    (cache / "shelf" / "clip.wav").hardlink_to(result)
    assert Room(cache, most=500).take(1) is False
    Room(cache, most=500).make()


def test_a_disk_that_is_nearly_full_takes_no_uploads(cache, monkeypatch):
    disk = shutil.disk_usage(cache)
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: disk._replace(free=int(0.001 * disk.total)))
    kept = Room(cache, most=10**12)
    assert kept.take(1) is True
    with pytest.raises(StorageError, match="disk for uploads is nearly full"):
        kept.make()
    file = put(cache, "a", 10)
    passed(monkeypatch, room.UNUSED + 5)
    with pytest.raises(StorageError):
        kept.make()
    assert not file.exists()


def test_a_visitor_cannot_fill_the_disk(client, monkeypatch):
    """Both doors share one bound, twenty of the largest recordings; when it is reached a sentence says so."""
    most = room.RECORDINGS * 1_000_000
    for number in range(40):
        body = number.to_bytes(4, "big") * 225_000  # 0.9 MB, each its own content
        answer = client.post("/gradio_api/upload", files={"files": ("clip.wav", body)})
        if answer.status_code != 200:
            break
    assert (answer.status_code, answer.text.strip()) == (507, room.FULL)
    assert number >= 15
    assert sum(file.stat().st_size for file in uploaded()) <= most + 1_000_000
    refused = client.post("/api/v1/speech", files={"file": ("clip.wav", body)})
    assert (refused.status_code, refused.json()["detail"]) == (507, room.FULL)
    assert client.post("/api/v1/text", json={"text": " "}).status_code == 422  # what is small is let in and read
    passed(monkeypatch, room.UNUSED + 5)
    assert client.post("/gradio_api/upload", files={"files": ("clip.wav", body)}).status_code == 200
    monkeypatch.undo()
    for file in uploaded():
        file.unlink()


def test_what_a_client_left_behind_when_it_hung_up_goes_when_it_is_old(address, monkeypatch):
    before = set(uploaded())
    with dialled(address) as connection:
        head = f"POST {UPLOAD[0]} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000\r\n"
        connection.sendall(f"{head}Content-Type: {FORM['Content-Type']}\r\n\r\n".encode() + UPLOAD[1] + bytes(300_000))
        wait_for(lambda: any(file.stat().st_size for file in set(uploaded()) - before))
    left = set(uploaded()) - before
    assert left
    passed(monkeypatch, room.AGE + 5)
    Room(Path(os.environ["GRADIO_TEMP_DIR"]), most=10**9).tidy()
    assert not any(file.exists() for file in left)


def test_folders_for_uploads_are_private_and_a_killed_server_leaves_none(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("emoscope-studio", UPLOADS):
        left = claims.temporary(name)
        left.mkdir()
        (left / "clip.wav").write_bytes(b"RIFF")
        folder = claims.temporary(name)
        with claims.existing(folder):
            assert folder.stat().st_mode & 0o777 == 0o700
            assert [each.name for each in tmp_path.iterdir()] == [folder.name]
        assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("address")
def test_the_folder_of_a_server_is_one_that_the_next_start_would_sweep():
    for name in ("emoscope-studio", UPLOADS):
        (folder,) = Path(os.environ["GRADIO_TEMP_DIR"]).parent.glob(f".{name}_*")
        assert claims.HIDDEN.fullmatch(folder.name)
        with claims.claimed(folder) as abandoned:
            assert not abandoned  # this process is at work in it


# -- files that are more than they seem ------------------------------------------------------------------------------


@functools.cache
def calls():
    """Every call in the package: its file, what is called, and the arguments that have names."""
    return list(find_calls())


def find_calls():
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                named = {each.arg: ast.unparse(each.value) for each in node.keywords}
                yield str(file.relative_to(PACKAGE)), ast.unparse(node.func), named


def test_nothing_that_is_read_can_run():
    """No pickle but that of tensors alone, no code out of a text, no shell, no XML, whose entities may be bombs."""
    for file, called, named in calls():
        assert called not in ("eval", "exec", "compile", "os.system", "os.popen", "yaml.load", "marshal.loads"), file
        assert named.get("shell", "False") == "False", file
        if called == "torch.load":
            assert named["weights_only"] == "True", file
        if called in ("np.load", "numpy.load"):
            assert named.get("allow_pickle", "False") == "False", file
        if called in ("pickle.load", "pickle.loads"):
            assert file == "batch/cluster.py", file  # what our own process packed, for our own workers
    for file in PACKAGE.rglob("*.py"):
        assert not re.search(r"^\s*(?:import|from) (?:xml|lxml)\b", file.read_text("utf-8"), re.MULTILINE), file


def test_every_table_that_is_written_is_one_whose_cells_are_tested():
    """A new one belongs into this set, and its test into docs/security.md."""
    writers = {file for file, called, _ in calls() if called in ("csv.writer", "csv.DictWriter")}
    assert writers == {
        "batch/writers.py", "cli/lines.py", "export.py", "history/table.py", "studio/difference/__init__.py",
    }  # fmt: skip


def test_no_line_of_a_text_becomes_a_formula(capsys):
    from emoscope.cli.lines import Line, _print_csv

    texts = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "|cmd", "＝1", "plain")
    _print_csv([Line(number, text, None, "There is no text to read.") for number, text in enumerate(texts)])
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["text"][0] for row in rows] == ["'"] * 7 + ["p"]


BOMB = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (60_000).to_bytes(4, "big") * 2 + b"\x08\x06\0\0\0" + bytes(4)


def test_a_cover_image_is_never_unpacked(tmp_path):
    """It claims 60,000 by 60,000 points, 14 GB."""
    (tmp_path / "a.mp3").write_bytes(sounds.id3(picture=BOMB + bytes(1000)) + sounds.make("voice.mp3"))
    audio.load(tmp_path / "a.mp3", limits=audio.Limits(60, 10**7))
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    before = memory_peak()
    begun = time.process_time()
    audio.load(tmp_path / "a.mp3", limits=audio.Limits(60, 10**7))
    assert time.process_time() - begun < 2
    assert memory_peak() - before < 200_000_000


def test_an_index_that_claims_gigabytes_reserves_none(tmp_path):
    """14 kB of M4A with 67 million samples of one byte each; FFmpeg makes 36 bytes of each."""
    data, count = bytearray(sounds.make("voice.m4a")), 1 << 26
    sizes, chunks, times = (data.index(name) for name in (b"stsz", b"stsc", b"stts"))
    data[sizes + 8 : sizes + 16] = (1).to_bytes(4, "big") + count.to_bytes(4, "big")
    data[chunks + 16 : chunks + 20] = data[times + 12 : times + 16] = count.to_bytes(4, "big")
    (tmp_path / "a.m4a").write_bytes(data)
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    before = memory_peak()
    with pytest.raises(AudioError):
        audio.load(tmp_path / "a.m4a", limits=audio.Limits(60, 10**7))
    assert memory_peak() - before < 200_000_000


def test_packets_without_sound_have_an_end(tmp_path):
    """A million packets of one byte, each of which is damaged, in 1 MB."""
    (tmp_path / "a.amr").write_bytes(sounds.make("voice.amr") + b"\xff" * 1_000_000)
    begun = time.process_time()
    with contextlib.suppress(AudioError):
        audio.load(tmp_path / "a.amr", limits=audio.Limits(60, 10**7))
    assert time.process_time() - begun < 3  # 7 s where nothing ends it


def memory_peak():
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])


SCRIPTS = {
    "HLS": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1:{port}/a.wav\n#EXTINF:10,\n/etc/hostname\n",
    "concat": "ffconcat version 1.0\nfile 'http://127.0.0.1:{port}/a.wav'\nfile '/etc/hostname'\n",
    "SDP": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio {port} RTP/AVP 0\n",
    "DASH": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011">'
    "<BaseURL>http://127.0.0.1:{port}/</BaseURL></MPD>",
    "SMIL": '<smil><body><audio src="http://127.0.0.1:{port}/a.wav"/></body></smil>',
}


@pytest.mark.parametrize("kind", SCRIPTS)
def test_a_list_of_addresses_that_is_named_like_a_sound_is_a_text(client, kind):
    with socket.create_server(("127.0.0.1", 0)) as bait:
        script = SCRIPTS[kind].replace("{port}", str(bait.getsockname()[1])).encode()
        refused = client.post("/api/v1/speech", files={"file": ("clip.wav", script)})
        assert (refused.status_code, "clip.wav is a text file" in refused.json()["detail"]) == (422, True)
        path = client.post("/gradio_api/upload", files={"files": ("clip.wav", script)}).json()[0]
        said = gradio_call(
            client, "analyze", [{"path": path, "meta": {"_type": "gradio.FileData"}}, "utterance", False, 0.5]
        )
        assert "clip.wav is a text file" in said
        bait.settimeout(0.05)
        with pytest.raises(TimeoutError):
            bait.accept()


def gradio_call(client, name, data):
    """What an endpoint of Gradio's answers: the last of its events."""
    number = client.post(f"/gradio_api/call/{name}", json={"data": data}).json()["event_id"]
    return client.get(f"/gradio_api/call/{name}/{number}").text


LONG = 100_000  # characters; what grows with their square takes minutes
TEXTS = {
    "full stops": "." * LONG + "x",
    "marks": ".!?…" * (LONG // 4) + "x",
    "quotes": '."' * (LONG // 2) + "x",
    "shortened": "dr." * (LONG // 3),
    "spaces": " " * LONG + "x",
    "lines": "\n" * LONG + "x",
    "Chinese": "。" * LONG,
}
ROWS = "a\n" * (LONG // 2)
SUBTITLES = {
    **TEXTS,
    "digits": "1" * LONG,
    "times": "[00:01] " * (LONG // 8),
    "tags": "<a" * (LONG // 2),
    "braces": "{\\" * (LONG // 2),
    "entities": "&" * LONG,
    "arrows": "00:00:01,000 --> 00:00:02,000\n" * (LONG // 30),
    "dashes": "1:1" + "-" * LONG,
    "cues": "WEBVTT\n\n" + "00:01.000 --> 00:02.000\n" * (LONG // 24),
    "rows": f"1\n00:00:01,000 --> 00:00:02,000\n{ROWS}c\n\n2\n00:00:02,000 --> 00:00:03,000\n{ROWS}b\n",
}


def test_no_text_takes_longer_than_its_length():
    assert LONG < LONGEST
    for name, text in TEXTS.items():
        begun = time.process_time()
        for span in sentences(text):
            words(text, span)
        assert time.process_time() - begun < 2, name


def test_no_transcript_takes_longer_than_its_length(tmp_path):
    for name, text in SUBTITLES.items():
        (tmp_path / "said.srt").write_text(text, "utf-8", newline="")
        begun = time.process_time()
        with contextlib.suppress(EmoscopeError):
            transcripts.read_file(tmp_path / "said.srt")
        assert time.process_time() - begun < 2, name


# -- names, paths and requests ---------------------------------------------------------------------------------------

NAMES = (
    "../../x.wav",
    "..\\..\\x.wav",
    "/etc/passwd",
    "..",
    "....//....//x.wav",
    "%2e%2e%2fx.wav",
    "a\nb.wav",
    "~/x.wav",
)


@pytest.mark.parametrize("name", [*NAMES, *reports.HOSTILE_NAMES.values()])
def test_an_upload_lies_where_uploads_lie_whatever_it_is_called(client, clip, name):
    name = name.encode("utf-8", "replace").decode()
    folder = Path(os.environ["GRADIO_TEMP_DIR"]).resolve()
    answer = client.post("/gradio_api/upload", files={"files": (name, clip)}, headers={"Connection": "close"})
    if answer.status_code == 200:
        path = Path(answer.json()[0])
        assert path.resolve().parent.parent == folder
    else:
        # Gradio stumbles over a file without a name, and says nothing of why.
        assert answer.status_code == 400 or (answer.text, name) == ("Internal Server Error", "")
    said = client.post("/api/v1/speech", files={"file": (name, clip)})
    assert said.status_code == 200, said.text
    assert not {"/", "\\"} & set(said.json()["source"]["name"])
    assert {each.name for each in folder.parent.iterdir() if not each.name.startswith((".", "outputs_"))} <= {
        "history.sqlite3"
    }


@pytest.mark.parametrize("name", [*NAMES, *reports.HOSTILE_NAMES.values()])
def test_a_folder_in_a_zip_is_a_name_and_nothing_else(name):
    from emoscope.studio.batches import _plain

    found = _plain(name)
    assert found
    assert not set('/\\:*?"<>|\0\n') & set(found)
    assert found.strip(". ") == found


SECRET_FILES = ("/etc/passwd", "/proc/self/environ", str(ROOT / "emoscope" / "settings.py"), "app.py", ".git/config")
ROUTES = (
    "/gradio_api/file={}", "/file={}", "/gradio_api/file/{}", "/static/{}", "/assets/{}", "/svelte/{}",
    "/api/v1/docs/{}",
    "/gradio_api/custom_component/x/client/component/{}", "/api/v1/runs/0123456789abcdef/files/{}", "/theme.css/{}",
)  # fmt: skip


@pytest.mark.parametrize("route", ROUTES)
def test_no_route_serves_a_file_of_this_machine(address, route):
    ways = ("{}", "../../../../../../../..{}", "..%2f..%2f..%2f..%2f..%2f{}", "%2e%2e/%2e%2e/%2e%2e/{}", "//{}", "file://{}",
            "{}%00.wav", "....//....//....//{}")  # fmt: skip
    content = {file: Path(ROOT, file).read_bytes()[:40] for file in SECRET_FILES if Path(ROOT, file).is_file()}
    host, port = address.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=20)  # it sends a path as it stands
    for file in SECRET_FILES:
        for way in ways:
            connection.request("GET", route.format(way.format(file)))
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status in (400, 403, 404, 405, 422), (answer.status, route, way, file)
            assert not any(start and start in body for start in content.values())
    connection.close()


def test_two_lengths_of_one_body_are_refused(address):
    """What two servers in a row read differently would be a request within a request."""
    for headers in (
        "Content-Length: 4\r\nContent-Length: 40",
        "Content-Length: 4, 40",
        "Transfer-Encoding: chunked, x",
    ):
        with dialled(address) as connection:
            connection.sendall(f"POST /api/v1/text HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n\r\n0\r\n\r\n".encode())
            assert answer_of(connection)[0] in (400, 501)


def test_a_site_that_points_its_name_at_this_machine_gets_nothing(client):
    """Its pages would be of one origin with ours (DNS rebinding)."""
    for path in ("/", "/health", "/config", "/api/v1/runs", "/gradio_api/info", "/metrics"):
        assert client.get(path, headers={"Host": "evil.example:7860"}).status_code == 403, path
        assert client.get(path).status_code == 200, path


BODIES = {
    "deep": b"[" * 100_000,
    "deep objects": b'{"data":' * 50_000,
    "wide": b'{"data": [' + b"0," * 100_000 + b"0]}",
    "no JSON": b"{",
    "other types": b'{"data": {"a": 1}, "fn_index": "x", "session_hash": []}',
    "huge number": b'{"data": [1e999], "fn_index": 99999999999999999999}',
    "no text": b"\xff\xfe\x00",
    "nothing": b"",
}
POSTS = (
    "/gradio_api/queue/join", "/gradio_api/call/analyze", "/gradio_api/call/v2/analyze", "/gradio_api/run/analyze",
    "/gradio_api/component_server", "/gradio_api/cancel", "/gradio_api/reset", "/gradio_api/stream/none",
    "/gradio_api/upload", "/api/v1/text", "/api/v1/speech", "/login",
)  # fmt: skip


@pytest.mark.parametrize("path", POSTS)
def test_rubbish_is_refused_and_tells_nothing_of_the_inside(client, home, path):
    for name, body in BODIES.items():
        for kind in ("application/json", "multipart/form-data; boundary=x", "text/plain"):
            said = client.post(path, content=body, headers={"Content-Type": kind, "Connection": "close"}).text
            assert not [word for word in (*PRIVATE, str(home)) if word in said], (path, name, kind, said)
    assert client.get("/health").status_code == 200


def test_no_answer_holds_a_secret_or_a_path(client, home):
    for path in (
        "/", "/config", "/gradio_api/info", "/gradio_api/openapi.json", "/gradio_api/queue/status",
        "/api/v1/openapi.json",
        "/api/v1/models", "/api/v1/runs", "/metrics", "/ready", "/health", "/manifest.json", "/gradio_api/app_id",
        "/gradio_api/startup-events", "/monitoring", "/gradio_api/token", "/gradio_api/user", "/nothing",
    ):  # fmt: skip
        answer = client.get(path)
        assert not [word for word in (*PRIVATE, str(home)) if word in answer.text], path


# -- the document ----------------------------------------------------------------------------------------------------


def test_the_document_names_tests_that_exist_and_every_test_of_this_file():
    text = (ROOT / "docs" / "security.md").read_text("utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    assert len(named) > 40
    for file, test in named:
        assert re.search(rf"^(?:async )?def {test}\(", (ROOT / file).read_text("utf-8"), re.MULTILINE), (file, test)
    ours = set(re.findall(r"^def (test_\w+)\(", Path(__file__).read_text("utf-8"), re.MULTILINE))
    document = "test_the_document_names_tests_that_exist_and_every_test_of_this_file"
    assert ours - {test for file, test in named if file == "tests/test_security.py"} == {document}
