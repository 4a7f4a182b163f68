"""Downloading through the hubs' own clients, from a server on this machine that breaks off, lies and stalls."""

import errno
import hashlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import namedtuple
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import pytest

from emoscope import child, models
from emoscope.analyzer import Analyzer
from emoscope.certificate import Certificate
from emoscope.errors import Cancelled, ModelError, OptionError, StorageError
from emoscope.models import download, worker
from emoscope.models.catalogue import HUBS
from emoscope.models.hubs import HubError, Offer, RemoteFile, explain, incomplete
from emoscope.settings import ROOT, Settings
from tests import standins
from tests.fakes import HalfAndHalf
from tests.hub import FILES, SENSEVOICE, TEXT, VAD, WEIGHTS, Hub

WANTED = {"config.yaml", "configuration.json", "model.pt", "tokens.txt", "example/test.wav", "README.md"}
LARGE = models.PUBLISHED["large"]
both = pytest.mark.parametrize("name", ["modelscope", "huggingface"])


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """Send both hubs' clients to one server; what they ask of anybody else, the second one hears."""
    with Hub() as here, Hub() as elsewhere, pytest.MonkeyPatch.context() as patch:
        for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            patch.setenv(variable, elsewhere.url)
            patch.setenv(variable.lower(), elsewhere.url)
        for variable in ("NO_PROXY", "no_proxy"):
            patch.setenv(variable, "127.0.0.1")
        for variable in ("MODELSCOPE_ENDPOINT", "HF_ENDPOINT"):
            patch.setenv(variable, here.url)
        for variable in ("HF_TOKEN", "MODELSCOPE_API_TOKEN"):
            patch.setenv(variable, "secret-token")
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.setattr(download, "RETRIES", 1)
        patch.setattr(download, "PATIENCE", 1)
        yield here, elsewhere


@pytest.fixture
def hub(servers):
    here, elsewhere = servers
    here.reset()
    yield here
    assert elsewhere.asked == []
    assert not any("secret-token" in value for _, value in here.headers_seen)
    assert list(Path(os.environ["HOME"]).iterdir()) == []


MANY_JOBS = """
import json, sys, time
from emoscope.models import download, worker
sleep = time.sleep
time.sleep = lambda seconds: sleep(min(seconds, 0.05))  # the pauses between retries
from emoscope.models.catalogue import HUBS
for line in sys.stdin:
    worker.main(download.Job(**json.loads(line)), sys.stdout)
"""


@pytest.fixture(scope="module")
def workshop(servers):
    """The worker in its own environment, but one process for many jobs, because starting one takes half a second."""
    del servers  # only their addresses, which are in the environment
    with subprocess.Popen(
        [sys.executable, "-c", MANY_JOBS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=download.environment(),
        cwd=ROOT,
    ) as process:
        yield process
        process.kill()


@pytest.fixture
def quick(workshop, monkeypatch):
    """Let `fetch` give its jobs to the workshop."""

    def work(job, progress):
        workshop.stdin.write(json.dumps(asdict(job)).encode() + b"\n")
        workshop.stdin.flush()
        assert child.listen(workshop.stdout, progress)

    monkeypatch.setattr(download, "_work", work)


@pytest.fixture
def settings(tmp_path):
    return Settings(models=tmp_path / "models", hub="modelscope")


def using(settings, name):
    return Settings(models=settings.models, hub=name)


def folder_of(settings):
    return settings.models / models.LARGE


def files_in(folder):
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


def assert_whole(settings):
    folder = folder_of(settings)
    assert files_in(folder) == WANTED | {"manifest.json"}
    assert all((folder / path).read_bytes() == FILES[path] for path in WANTED)
    assert models.verify("large", settings.models).files.keys() == WANTED
    assert models.resolve("auto", settings.models) == models.Choice(folder)
    places = {place.name for place in settings.models.iterdir()}
    assert places == {models.LARGE, models.COMPACT, f".{models.LARGE}.lock"}


def assert_not_there(settings):
    with pytest.raises(ModelError, match=r"Get it with \./run\.sh models download large"):
        models.resolve("large", settings.models)
    assert models.resolve("auto", settings.models).note.startswith(models.COMPACT_NOTE)


@pytest.fixture(autouse=True)
def a_compact_model(tmp_path):
    folder = tmp_path / "models" / models.COMPACT
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("model: CompactSpeech\n")
    (folder / "model.safetensors").write_bytes(b"x")


# ---- it works


@both
def test_a_download_brings_what_inference_needs_and_nothing_else(hub, settings, name):
    hub.pace, seen = 0.01, []
    folder = models.fetch("large", using(settings, name), lambda what, done: seen.append((what, done)))
    assert folder == folder_of(settings)
    assert_whole(settings)
    manifest = models.verify("large", settings.models)
    assert (manifest.hub, manifest.repo.split("/")[1]) == (HUBS[name], models.LARGE)
    assert manifest.files["tokens.txt"]["sha256"] == hashlib.sha256(FILES["tokens.txt"]).hexdigest()
    assert "FunASR" in manifest.licence
    assert "Ziyang Ma" in manifest.authors
    weights = [(what, done) for what, done in seen if what.startswith("Downloading model.pt")]
    assert len(weights) >= 2
    assert weights[-1][0].endswith(" of 3 MB)")
    assert [done for _, done in seen] == sorted(done for _, done in seen)
    assert all(0 <= done <= 1 for _, done in seen)


@both
@pytest.mark.usefixtures("quick")
def test_the_recogniser_comes_with_the_model_that_finds_speech(hub, settings, name):
    folder = models.fetch("sensevoice", using(settings, name))
    found = models.resolve_transcriber(settings.models)
    assert found == models.Transcriber(folder, settings.models / "fsmn-vad")
    for place, offered in ((found.folder, SENSEVOICE), (found.vad, VAD)):
        wanted = offered.keys() - {"requirements.txt", "demo.py"}
        assert files_in(place) == wanted | {"manifest.json"}
        assert all((place / path).read_bytes() == offered[path] for path in wanted)
    assert models.verify("sensevoice", settings.models).licence == "FunASR Model License 1.1"
    assert models.verify("vad", settings.models).repo in models.PUBLISHED["vad"].repos.values()
    hub.asked.clear()
    models.fetch("sensevoice", using(settings, name))
    assert hub.asked == []


@pytest.mark.usefixtures("quick")
def test_a_text_model_comes_from_the_one_hub_that_has_it(hub, settings):
    folder = models.fetch("english", using(settings, "auto"))
    assert files_in(folder) == TEXT.keys() - {"tf_model.h5", "training_args.bin"} | {"manifest.json"}
    assert all("/api/v1/" not in path for _, path in hub.asked)
    assert models.resolve_text("english", settings.models) == models.Choice(folder)
    manifest = models.verify("english", settings.models)
    assert (manifest.hub, manifest.licence, manifest.authors) == ("Hugging Face", "not stated", "Jochen Hartmann")
    with pytest.raises(ModelError, match=r"only published at Hugging Face\. Set EMOSCOPE_HUB to auto"):
        models.fetch("multilingual", settings)


@pytest.mark.usefixtures("quick")
def test_of_two_kinds_of_weights_only_numbers_are_fetched(hub, settings):
    folder = models.fetch("multilingual", using(settings, "huggingface"))
    assert "model.safetensors" in files_in(folder) and "pytorch_model.bin" not in files_in(folder)
    assert "pytorch_model.bin" not in hub.sent


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("missing", "words"),
    [("pytorch_model.bin", r"model\.safetensors or pytorch_model\.bin"), ("config.json", r"config\.json")],
)
def test_a_text_repository_without_what_is_needed_is_a_sentence(hub, settings, missing, words):
    repo = models.PUBLISHED["english"].repos["huggingface"]
    hub.others[repo] = {path: data for path, data in TEXT.items() if path != missing}
    with pytest.raises(ModelError, match=f"does not offer {words} with a size and a hash"):
        models.fetch("english", using(settings, "auto"))


@pytest.mark.usefixtures("quick")
def test_a_repository_that_is_gone_is_a_sentence(hub, settings):
    del hub
    with pytest.raises(ModelError, match="does not have touch20032003/xuyuan-trial-sentiment-bert-chinese"):
        models.fetch("chinese", using(settings, "auto"))


# ---- connections that break, processes that die


@both
@pytest.mark.usefixtures("quick")
def test_a_connection_that_breaks_off_goes_on_where_it_stopped(hub, settings, name):
    hub.resets["model.pt"] = [1_000_000]
    models.fetch("large", using(settings, name))
    assert_whole(settings)
    assert len(hub.ranges) == 1
    assert hub.sent["model.pt"] < 1.2 * len(WEIGHTS)


GET = "import os; from emoscope import models, settings; "
GET += "models.fetch('large', settings.Settings.from_environment(os.environ))"


@both
def test_a_killed_download_never_looks_complete_and_goes_on_where_it_stopped(hub, settings, name):
    hub.pace = 0.01
    variables = os.environ | {"EMOSCOPE_MODELS": str(settings.models), "EMOSCOPE_HUB": name}
    with subprocess.Popen([sys.executable, "-c", GET], cwd=ROOT, env=variables) as process:
        wait_for(lambda: hub.sent.get("model.pt", 0) > 1_000_000)
        process.kill()
    assert_not_there(settings)
    stopped_at = arrived(settings)  # the worker noticed that nobody listens any more
    assert 0 < stopped_at < len(WEIGHTS)
    hub.pace, hub.sent = None, {}
    models.fetch("large", using(settings, name))
    assert hub.sent == {"model.pt": len(WEIGHTS) - stopped_at}
    assert_whole(settings)


def arrived(settings):
    """Return how many bytes of the weights lie in the hidden folder, once nobody writes there any more."""
    part = incomplete(LARGE.part(settings.models) / "model.pt")
    sizes = [-1, part.stat().st_size]
    while sizes[-1] != sizes[-2]:
        time.sleep(0.25)
        sizes.append(part.stat().st_size)
    return sizes[-1]


def test_a_person_can_cancel_and_another_hub_goes_on_with_the_same_bytes(hub, settings):
    hub.pace = 0.01

    def stop(_what, done):
        if done > 0.3:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        models.fetch("large", settings, stop)
    assert_not_there(settings)
    assert [entry.state for entry in models.inventory(settings.models) if entry.name == "large"] == ["partial"]
    hub.pace, hub.sent = None, {}
    models.fetch("large", using(settings, "huggingface"))
    assert hub.sent["model.pt"] < 0.8 * len(WEIGHTS)
    assert_whole(settings)


@both
@pytest.mark.usefixtures("quick")
def test_a_server_that_cannot_go_on_starts_anew(hub, settings, name):
    hub.resets["model.pt"] = [1_000_000]
    hub.keeps_ranges = False
    models.fetch("large", using(settings, name))
    assert_whole(settings)


def test_two_downloads_at_once_do_the_work_once(hub, settings):
    hub.pace, seen, folders = 0.01, [], []

    def get():
        folders.append(models.fetch("large", settings, lambda what, _done: seen.append(what)))

    threads = [threading.Thread(target=get) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert folders == [folder_of(settings)] * 2
    assert hub.sent["model.pt"] == len(WEIGHTS)
    assert any(what.startswith("Waiting for another download") for what in seen)


# ---- hubs that fail


def serve_short(hub):
    hub.files["model.pt"] = WEIGHTS[:-1000]


def serve_other(hub):
    hub.files["model.pt"] = WEIGHTS[:-1] + b"?"


def serve_other_text(hub):
    hub.files["config.yaml"] = hub.truth["config.yaml"].replace(b"E", b"X")


def hide_the_weights(hub):
    del hub.truth["model.pt"]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (lambda hub: hub.status.update(modelscope=404, huggingface=404), "does not have"),
        (lambda hub: hub.status.update(modelscope=403, huggingface=403), "refuses access"),
        (lambda hub: hub.status.update(modelscope=500, huggingface=500), r"has trouble of its own \(500\)"),
        (lambda hub: hub.status.update({"model.pt": 429}), "is asked too much"),
        (lambda hub: hub.status.update({"model.pt": 503}), r"has trouble of its own \(503\)"),
        (lambda hub: setattr(hub, "page", b"<html>Sign in</html>"), "makes no sense"),
        (lambda hub: setattr(hub, "hang", True), "did not answer in time"),
        (lambda hub: hub.resets.update({"model.pt": [1000, 0] * 9}), "the connection broke off"),
        (serve_short, "another size or hash"),
        (serve_other, "another size or hash"),
        (serve_other_text, "another size or hash"),
        (hide_the_weights, r"does not offer model\.pt"),
    ],
    ids=["404", "403", "500", "429", "503", "page", "hang", "reset", "short", "hash", "text", "missing"],
)
@pytest.mark.usefixtures("quick")
def test_every_hub_is_asked_once_and_its_reason_is_told(hub, settings, fault, words):
    fault(hub)
    with pytest.raises(ModelError, match=f"ModelScope .*{words}.*; Hugging Face .*{words}"):
        models.fetch("large", using(settings, "auto"))
    assert_not_there(settings)
    assert len([path for _, path in hub.asked if "repo/files" in path or path.startswith("/api/models")]) == 2
    part = LARGE.part(settings.models)
    assert not (part / "model.pt").exists()
    if words == "another size or hash":
        assert not incomplete(part / "model.pt").exists()


def test_no_network_is_one_calm_sentence(hub, settings, monkeypatch):
    del hub
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{unused.getsockname()[1]}"  # bound but not listening: refused
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", nobody)
        monkeypatch.setenv("HF_ENDPOINT", nobody)
        with pytest.raises(ModelError, match=r"ModelScope could not be reached .*refused.*; Hugging Face could not"):
            models.fetch("large", using(settings, "auto"))


@pytest.mark.usefixtures("quick")
def test_the_second_hub_helps_out_and_the_manifest_says_so(hub, settings):
    hub.status["modelscope"] = 502
    models.fetch("large", using(settings, "auto"))
    assert_whole(settings)
    assert models.verify("large", settings.models).hub == "Hugging Face"


def test_a_hub_that_the_person_switched_off_is_left_alone(hub, settings, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match="Hugging Face is switched off by HF_HUB_OFFLINE"):
        models.fetch("large", using(settings, "huggingface"))
    assert hub.asked == []


@pytest.mark.usefixtures("quick")
def test_a_chosen_hub_is_the_only_one_asked(hub, settings):
    hub.status["modelscope"] = 404
    with pytest.raises(ModelError, match="ModelScope does not have iic/emotion2vec_plus_large") as raised:
        models.fetch("large", settings)
    assert "Hugging Face" not in str(raised.value)
    assert all("/api/v1/" in path for _, path in hub.asked)


def test_a_worker_that_crashes_is_a_sentence(settings, caplog, tmp_path):
    with pytest.raises(ModelError, match="the log tells"):
        download._work(
            download.Job("no such model", str(settings.models), ["modelscope"], str(tmp_path)), lambda *_: None
        )
    assert "KeyError" in caplog.text


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (ConnectionError(), HubError, "broke off"),
        (socket.gaierror(-2, "Name or service not known"), HubError, "name was not found"),
        (ssl.SSLCertVerificationError("self-signed"), HubError, "secure connection"),
        (PermissionError(errno.EACCES, "Permission denied"), HubError, "could not be reached"),  # a firewall
        (PermissionError(errno.EACCES, "Permission denied", "/models/x"), StorageError, "cannot be written"),
        (OSError(errno.ENOSPC, "No space left on device"), StorageError, "disk is full"),
        (KeyError("id"), HubError, "makes no sense"),
    ],
)
def test_the_cause_below_a_library_s_error_finds_its_words(error, kind, words):
    wrapped = RuntimeError("wrapped by a library")
    wrapped.__cause__ = error
    for given in (error, wrapped):
        explained = explain(given, "iic/x")
        assert isinstance(explained, kind)
        assert words in str(explained)


# ---- disks, repairs and folders, with a hub that has known answers


@dataclass
class KnownHub:
    """Offers these files, and raises an error instead of the weights when it is given one."""

    files: dict = field(
        default_factory=lambda: {path: FILES[path] for path in ("config.yaml", "model.pt", "tokens.txt")}
    )
    error: Exception | None = None
    got: list = field(default_factory=list)

    def offer(self, _repo):
        return Offer(
            "r1",
            tuple(
                RemoteFile(path, len(data), "sha256", hashlib.sha256(data).hexdigest())
                for path, data in self.files.items()
            ),
        )

    def get(self, _repo, _revision, file, folder):
        self.got.append(file.path)
        if self.error and file.path == "model.pt":
            incomplete(folder / file.path).write_bytes(self.files[file.path][:1000])
            raise self.error
        (folder / file.path).write_bytes(self.files[file.path])


def obtain(settings, hub):
    worker.obtain(LARGE, settings.models, {"modelscope": lambda: hub}, worker.Watch())


def test_too_little_room_is_said_before_a_byte_is_asked_for(settings, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: usage(2e9, 1.9e9, 1e8))
    hub = KnownHub()
    with pytest.raises(StorageError, match=r"needs 103 MB .* 100 MB are free. Make room, or set EMOSCOPE_MODELS"):
        obtain(settings, hub)
    assert hub.got == []


def test_a_disk_that_fills_up_keeps_what_has_arrived(settings):
    with pytest.raises(StorageError, match=r"disk is full. What has arrived is kept"):
        obtain(settings, KnownHub(error=OSError(errno.ENOSPC, "No space left on device")))
    assert incomplete(LARGE.part(settings.models) / "model.pt").stat().st_size == 1000
    assert_not_there(settings)
    obtain(settings, KnownHub())
    assert models.is_model(folder_of(settings))


def test_a_folder_that_cannot_be_written_is_a_sentence(settings, monkeypatch):
    def refuse(*_arguments, **_more):  # `chmod` would not stop root
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StorageError, match="cannot be written"):
        obtain(settings, KnownHub())


def test_a_file_in_the_place_of_the_models_folder_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="EMOSCOPE_MODELS can name another folder"):
        worker.obtain(LARGE, tmp_path / "file", {}, worker.Watch())


def test_a_new_revision_drops_what_arrived_of_the_old_one(settings):
    with pytest.raises(StorageError):
        obtain(settings, KnownHub(error=OSError(errno.ENOSPC, "full")))
    hub = KnownHub(error=HubError("breaks off"))
    hub.files["model.pt"] = WEIGHTS[::-1]
    hub.get = lambda _repo, _revision, file, folder: seen.append(incomplete(folder / file.path).exists())
    seen = []
    with pytest.raises(ModelError, match="another size or hash"):
        obtain(settings, hub)
    assert seen == [False]


def test_a_damaged_model_is_found_and_only_what_is_wrong_is_fetched_again(settings):
    obtain(settings, KnownHub())
    (folder_of(settings) / "config.yaml").write_bytes(FILES["config.yaml"].swapcase())
    assert models.is_model(folder_of(settings))  # the size is right
    with pytest.raises(ModelError, match=r"damaged \(config\.yaml\)\. \./run\.sh models download large gets it again"):
        models.verify("large", settings.models)
    hub = KnownHub()
    obtain(settings, hub)
    assert hub.got == ["config.yaml"]
    assert models.verify("large", settings.models)


def test_a_download_that_was_complete_but_not_in_place_needs_no_hub(settings):
    obtain(settings, KnownHub())
    folder_of(settings).rename(LARGE.part(settings.models))
    assert_not_there(settings)
    hub = KnownHub()
    obtain(settings, hub)
    assert hub.got == []
    assert models.is_model(folder_of(settings))


def test_a_hidden_unfinished_folder_is_no_model_even_with_all_files(settings):
    obtain(settings, KnownHub())
    (folder_of(settings) / ".unfinished").write_text("{}")
    assert not models.is_model(folder_of(settings))


@pytest.mark.parametrize("link", [False, True])
def test_a_folder_of_somebody_else_is_not_overwritten(settings, tmp_path, link):
    strange = tmp_path / "elsewhere" if link else folder_of(settings)
    strange.mkdir(parents=True)
    (strange / "diary.txt").write_text("mine")
    if link:
        folder_of(settings).symlink_to(strange)
    with pytest.raises(StorageError, match="Move it away"):
        obtain(settings, KnownHub())
    assert (strange / "diary.txt").read_text() == "mine"


# ---- what must not happen


def test_offline_refuses_with_a_sentence_and_starts_nothing(settings, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", None)
    with pytest.raises(ModelError, match="EMOSCOPE_OFFLINE"):
        models.fetch("large", Settings(models=settings.models, offline=True))


@pytest.mark.parametrize("name", ["compact", "auto", "enormous", "../large", ""])
def test_only_published_models_are_downloaded(settings, name):
    with pytest.raises(ModelError, match=r"cannot be downloaded. The models that can are large, base, seed"):
        models.fetch(name, settings)


def test_an_unknown_hub_is_a_sentence(settings):
    with pytest.raises(OptionError, match="EMOSCOPE_HUB is auto, modelscope or huggingface, not “ftp”"):
        models.fetch("large", using(settings, "ftp"))


# ---- in the background of the studio


def in_background(settings):
    """An analyzer that starts with the compact model and gets the large one, both by their names only."""

    def load(folder):
        return HalfAndHalf(info=replace(HalfAndHalf().info, name=folder.name))

    analyzer = Analyzer(settings, load=load)
    analyzer.start()
    return analyzer


def serve_a_real_model(hub, folder):
    """Let the hub offer a small model as FunASR publishes it."""
    conf, network = standins.small_oracle()
    standins.write_folder(folder, conf, network.state_dict())
    hub.files = {path: (folder / path).read_bytes() for path in ("config.yaml", "model.pt", "tokens.txt")}
    hub.truth = dict(hub.files)


def test_the_studio_gets_the_large_model_compares_it_with_funasr_and_uses_it(hub, settings, tmp_path):
    serve_a_real_model(hub, tmp_path / "publisher")
    analyzer = in_background(settings)
    seen = set()
    wait_for(lambda: seen.add(analyzer.status.doing.split(" ")[0]) or analyzer.status.news.endswith("on."), 90)
    assert analyzer.status.model.name == models.LARGE
    assert {"Comparing", "Loading"} & seen
    assert Certificate.read(folder_of(settings)).certified
    assert {"model.pt", "model.safetensors", "certificate.json"} < set(models.verify("large", settings.models).files)


def test_stopping_the_studio_leaves_no_process_and_keeps_what_has_arrived(hub, settings, monkeypatch):
    started = []

    class Recorded(subprocess.Popen):
        def __init__(self, *arguments, **named):
            super().__init__(*arguments, **named)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Recorded)
    hub.pace = 0.01
    analyzer = in_background(settings)
    wait_for(lambda: hub.sent.get("model.pt", 0) > 500_000)
    assert "MB)" in analyzer.status.doing
    analyzer.stop()
    (process,) = started
    assert process.poll() is not None
    assert 0 < arrived(settings) < len(WEIGHTS)
    assert_not_there(settings)


def test_without_a_network_the_studio_says_so_once(hub, settings, monkeypatch):
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", "http://127.0.0.1:9")
    analyzer = in_background(settings)
    wait_for(lambda: "could not be reached" in analyzer.status.news)
    analyzer._background.join(10)
    assert analyzer.status.model.name == models.COMPACT
    assert hub.asked == []


WITHOUT_NETWORK = """
import json, os, pathlib, sys
FORBIDDEN = ("socket.", "subprocess.Popen", "os.posix_spawn", "os.fork")
sys.addaudithook(lambda event, _: os._exit(77) if event.startswith(FORBIDDEN) else None)
from emoscope import models
from emoscope.errors import ModelError
from emoscope.settings import Settings
folder = pathlib.Path(sys.argv[1])
for offline in (True, False):
    models.fetch("large", Settings(models=folder, offline=offline))
for name in ("auto", "large", "compact", str(folder / models.LARGE)):
    models.resolve(name, folder)
    models.verify(name, folder)
for name in ("base", "nothing"):
    try:
        models.resolve(name, folder)
    except ModelError:
        pass
models.inventory(folder)
models.remove("large", folder)
hubs = ("modelscope", "modelscope_hub", "huggingface_hub", "requests", "httpx", "httpx2", "torch", "numpy")
print(json.dumps([name for name in hubs if name in sys.modules]))
"""


def test_with_everything_on_disk_nothing_connects_and_no_hub_library_is_loaded(settings):
    obtain(settings, KnownHub())
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_NETWORK, str(settings.models)], cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == []
    assert not folder_of(settings).exists()


def wait_for(condition, seconds=15):
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it took too long"
        time.sleep(0.01)
