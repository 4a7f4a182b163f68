"""The image and its composition: what goes in, who it runs as, what it may write to, and how it starts and stops."""

import json
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path, PurePosixPath

import pytest
import yaml

from emoscope.history.database import Database
from emoscope.settings import ROOT, Settings

LISTS = {"requirements.txt", "constraints.txt"}
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
DOORS = ["emoscope", "emoscope-postgres"]  # services


def read_stages():
    """The Dockerfile's instructions by stage: `[(keyword, rest), …]`; the last stage has no name."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE)
    stages, here = {}, []
    for line in re.sub(r"\\\n", "", text).splitlines():
        keyword, _, rest = line.strip().partition(" ")
        if keyword == "FROM":
            here = stages.setdefault(rest.partition(" AS ")[2], [])
        if keyword:
            here.append((keyword, rest))
    return stages


STAGES = read_stages()
LAST = STAGES[""]
DEFAULTS = dict(re.findall(r"^ARG (\w+)=(\S+)$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE))


def of(keyword, stage):
    return [rest for found, rest in stage if found == keyword]


def with_defaults(text):
    return re.sub(r"\$\{?(\w+)\}?", lambda variable: DEFAULTS[variable[1]], text)


def environment():
    pairs = " ".join(of("ENV", LAST)).split()
    return dict(with_defaults(pair).split("=", 1) for pair in pairs)


def given_to(service):
    """What a service of the composition is given, where nobody has set the variables that it asks for."""
    given = COMPOSE["services"][service]["environment"]
    return {name: re.sub(r"\$\{\w+:-(.*?)\}", r"\1", value) for name, value in given.items()}


def copied_from_context():
    """What the stages copy out of the working tree: the names, without the place they go to."""
    copies = [rest for stage in STAGES.values() for rest in of("COPY", stage) if "--" not in rest]
    return {name for rest in copies for name in rest.split()[:-1]}


def goes_in(path):
    """Say whether .dockerignore lets a file into the build: the last line that names it or a folder above it counts."""
    inside = True
    for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!")
        above = [str(part) for part in (PurePosixPath(path), *PurePosixPath(path).parents)][:-1]
        names = [name for part in above for name in (part, f"./{part}")]  # “**/” stands for no folder, too
        if any(fnmatch(name, pattern) for name in names):
            inside = line.startswith("!")
    return inside


def test_hadolint_finds_nothing():
    program = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([program, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_every_stage_begins_with_the_same_pinned_slim_python():
    begun = [with_defaults(of("FROM", stage)[0].split()[0]) for stage in STAGES.values()]
    foreign = {name for name in begun if name not in STAGES}
    assert len(foreign) == 1
    assert re.fullmatch(r"docker\.io/library/python:3\.1[12]\.\d+-slim-[a-z]+", foreign.pop())


def test_the_packages_have_a_layer_that_no_line_of_code_changes():
    assert {name for rest in of("COPY", STAGES["packages"]) for name in rest.split()[:-1]} == {"run.sh", *LISTS}
    assert of("COPY", STAGES["application"])[0] == "--from=packages /app/.venv .venv"


def test_what_is_copied_exists_and_goes_in():
    for name in copied_from_context():
        place = ROOT / name
        assert place.is_file() or place.is_dir(), name
        assert place.is_dir() or goes_in(name), name


def test_only_what_is_copied_goes_in():
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\n")
    inside = {file for file in files if file and goes_in(file)}
    assert {file.split("/")[0] for file in inside} == copied_from_context()
    assert {"emoscope/studio/studio.css", "models/compact-speech/model.safetensors"} <= inside


@pytest.mark.parametrize(
    "name",
    [
        ".env",
        ".git/config",
        ".venv/bin/python",
        "outputs/outputs_20260101_000000/result.json",
        "models/emotion2vec_plus_large/model.pt",
        "emoscope/__pycache__/settings.cpython-311.pyc",
        "emoscope/studio/tabs/__pycache__/speech.cpython-311.pyc",
        "requirements-test.txt",
        "tests/test_container.py",
    ],
)
def test_private_large_and_needless_things_stay_out(name):
    assert not goes_in(name)


def test_the_image_runs_as_a_number_that_is_not_root():
    user, group = map(int, of("USER", LAST)[-1].split(":"))
    made = re.search(r"useradd --uid (\d+) --user-group", of("RUN", STAGES["base"])[0])
    assert user == group == int(made[1]) > 0


def test_the_image_serves_every_interface_and_keeps_its_own_model():
    settings = Settings.from_environment(environment())
    assert settings.host == "0.0.0.0"
    assert Settings().host == "127.0.0.1"
    assert (settings.models, settings.outputs) == (Path("/models"), Path("/outputs"))
    assert settings.speech_model == DEFAULTS["EMOSCOPE_MODEL"] == "compact"
    assert of("EXPOSE", LAST) == [str(settings.port)]


def test_every_variable_means_something():
    fields = {f"EMOSCOPE_{name.upper()}" for name in vars(Settings())} | {"EMOSCOPE_MODEL"}  # the build argument
    for file in ("Dockerfile", "compose.yaml"):
        assert set(re.findall(r"EMOSCOPE_[A-Z_]+", (ROOT / file).read_text("utf-8"))) <= fields


@pytest.mark.parametrize("door", DOORS)
def test_a_service_can_write_only_where_the_image_needs_it(door):
    service = COMPOSE["services"][door]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    volumes = {volume.split(":")[1] for volume in service["volumes"]}
    assert volumes == {"/models", "/outputs"}
    writable = volumes | {mount.split(":")[0] for mount in service["tmpfs"]}
    needed = {value for name, value in environment().items() if value.startswith("/") and name != "PYTHONPYCACHEPREFIX"}
    assert {f"/{value.split('/')[1]}" for value in needed} == writable
    assert environment()["PYTHONDONTWRITEBYTECODE"] == "1"  # the bytecode is a part of the image


@pytest.mark.parametrize("door", DOORS)
def test_a_service_is_published_on_this_machine_only(door):
    service = COMPOSE["services"][door]
    assert [port.split(":")[0] for port in service["ports"]] == ["127.0.0.1"]
    assert {port.split(":")[2] for port in service["ports"]} == set(of("EXPOSE", LAST))
    given = {name: value.split(":-", 1)[1].rstrip("}") for name, value in service["build"]["args"].items()}
    assert given == {name: DEFAULTS[name] for name in given}


def test_the_database_is_pinned_unpublished_and_has_no_password_of_its_own():
    database = COMPOSE["services"]["database"]
    assert re.search(r":\d+\.\d+-", database["image"])
    assert "ports" not in database
    assert COMPOSE["networks"][database["networks"][0]]["internal"] is True
    assert database["environment"]["POSTGRES_PASSWORD"] == "${POSTGRES_PASSWORD:-}"


def test_the_history_goes_to_the_service_of_that_name():
    settings = Settings.from_environment(given_to("emoscope-postgres"))
    assert Database(settings.database_url).name == "PostgreSQL's “emoscope” on database"
    given = COMPOSE["services"]["emoscope-postgres"]["environment"]
    assert given["PGPASSWORD"] == COMPOSE["services"]["database"]["environment"]["POSTGRES_PASSWORD"]
    assert "database" in COMPOSE["services"]["emoscope-postgres"]["depends_on"]
    assert "EMOSCOPE_DATABASE_URL" not in COMPOSE["services"]["emoscope"]["environment"]


@pytest.mark.parametrize("door", DOORS)
def test_a_service_asks_for_a_token_unless_somebody_decides_otherwise(door):
    given = given_to(door)
    assert {"EMOSCOPE_TOKEN", "EMOSCOPE_OPEN"} <= given.keys()
    assert Settings.from_environment(environment() | given).guarded
    assert not Settings.from_environment(environment() | given | {"EMOSCOPE_OPEN": "1"}).guarded


class Answering(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(self.server.status if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False), (None, False)])
def test_the_health_check_asks_the_process(status, healthy):
    command = json.loads(of("HEALTHCHECK", LAST)[0].partition("CMD ")[2])
    assert command[0] == "/app/.venv/bin/python"
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        port = server.server_port
        server.status = status
        if status:
            threading.Thread(target=server.serve_forever, daemon=True).start()
        else:
            server.server_close()
        # A proxy that leads nowhere: the check must not ask it for an address of its own container.
        variables = {"EMOSCOPE_PORT": str(port), "http_proxy": "http://127.0.0.1:9"}
        done = subprocess.run([sys.executable, *command[1:]], env=variables, capture_output=True, timeout=30)
        if status:
            server.shutdown()
    assert (done.returncode == 0) is healthy


@pytest.fixture
def folder(tmp_path):
    """A copy of what run.sh needs, with a Python that writes down how it is called."""
    for name in ("run.sh", *LISTS):
        shutil.copy(ROOT / name, tmp_path)
    python = tmp_path / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$*" >> "$0.calls"\ncase "$*" in *app.py) exec sleep 60;; esac\n')
    python.chmod(0o755)
    return tmp_path


def calls(folder):
    """How Python was called, so far."""
    file = folder / ".venv/bin/python.calls"
    return file.read_text().splitlines() if file.exists() else []


def run(folder, *arguments, **variables):
    return subprocess.run([folder / "run.sh", *arguments], env={"PATH": "/usr/bin:/bin", **variables}, timeout=30)


def test_the_script_sets_up_once_and_then_only_runs(folder):
    assert run(folder, "setup").returncode == 0
    assert run(folder, "setup").returncode == 0
    assert run(folder, "analyze", "clip.wav").returncode == 0
    install, analyze = calls(folder)
    assert install.endswith(f"-c {folder}/constraints.txt -r {folder}/requirements.txt")
    assert analyze == "-m emoscope.cli analyze clip.wav"


def test_the_script_takes_pytorch_alone_from_its_index(folder):
    assert run(folder, "setup", TORCH_INDEX="https://wheels.invalid/cpu").returncode == 0
    first, second = calls(folder)
    assert first.endswith(f"-c {folder}/constraints.txt --no-deps --index-url https://wheels.invalid/cpu torch")
    assert "wheels.invalid" not in second
    assert second.endswith(f"-r {folder}/requirements.txt")


def test_the_script_says_so_when_pytorch_cannot_be_had(folder):
    (folder / ".venv/bin/python").write_text("#!/bin/sh\nexit 1\n")
    done = subprocess.run(
        [folder / "run.sh", "setup"],
        env={"PATH": "/usr/bin:/bin", "TORCH_INDEX": "https://wheels.invalid/cpu"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 1
    assert "could not install PyTorch from https://wheels.invalid/cpu" in done.stderr
    assert not list((folder / ".venv").glob(".installed-*"))


def test_a_signal_reaches_python_and_not_a_shell_before_it(folder):
    run(folder, "setup")
    with subprocess.Popen([folder / "run.sh"], env={"PATH": "/usr/bin:/bin"}) as process:
        until = time.monotonic() + 20
        while calls(folder)[1:] != ["app.py"]:
            assert time.monotonic() < until
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == -signal.SIGTERM
