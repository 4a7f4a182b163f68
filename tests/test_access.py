"""Who may call, and who sees what: tokens, sessions, accounts, and a server that asks for them at every address."""

import asyncio
import contextlib
import hmac
import itertools
import json
import logging
import os
import re
import secrets
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from types import SimpleNamespace
from unittest import mock

import gradio as gr
import httpx
import httpx2
import pytest
from gradio.context import LocalContext
from gradio_client import Client, handle_file
from mcp import Client as AgentClient
from mcp.client.streamable_http import streamable_http_client
from starlette.requests import Request

from emoscope import access, plots
from emoscope.access import ANYBODY, FREE, MOST_ADDRESSES, MOST_ENDED, PAUSE, Access, Asker, Mistakes, asked_by
from emoscope.errors import AccessError, BusyError, OptionError
from emoscope.jobs import Jobs, Task
from emoscope.server import _Server
from emoscope.settings import ROOT, Options, Settings
from emoscope.studio.archive import Archive
from emoscope.studio.desk import Desk
from emoscope.studio.holdings import NOBODY
from emoscope.studio.mounting import WAITING_VISITORS
from emoscope.studio.work import Work
from emoscope.transcript import Transcript
from tests.api import make_analyzer, make_office, write_tone
from tests.browser.studio import serving, settings_for, wait_for

ANA, BEN = "the-token-of-ana", "the-token-of-ben"
TWO = f"ana:{ANA},ben:{BEN}"
NOBODYS = "token-of-nobody"
HOUSES = itertools.count(1)


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


# ---- settings


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost"])
def test_on_ones_own_machine_nobody_is_asked_unless_there_is_a_token(host):
    assert Settings(host=host).is_local
    assert not Settings(host=host).guarded
    assert Settings(host=host, token="secret").guarded


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "emoscope.example.org"])
def test_elsewhere_everybody_is_asked_unless_it_is_open_knowingly(host):
    assert Settings(host=host).guarded
    assert Settings(host=host, token="secret").guarded
    assert not Settings(host=host, open=True).guarded
    assert Access(Settings(host=host)).made  # a token of its own


def test_tokens_are_read_with_their_names():
    assert Settings().accounts == {}
    assert Settings(token="secret").accounts == {"": "secret"}
    assert Settings(token="ana:secret1, ben:sec:ret2").accounts == {"ana": "secret1", "ben": "sec:ret2"}


@pytest.mark.parametrize(
    ("token", "says"),
    [
        ("brief", "6 to 200"),
        ("with a space", "6 to 200"),
        ("ana:secret1,secret2", "one token, or several"),
        ("ana:secret1,", "one token, or several"),
        ("a/b:secret1", "one token, or several"),
        ("ana:secret1,ana:secret2", "twice"),
        ("ana:secret1,ben:secret1", "twice"),
    ],
)
def test_tokens_that_are_none_are_refused_without_showing_them(token, says):
    with pytest.raises(OptionError, match=says) as refused:
        Settings(token=token)
    assert not any(part in str(refused.value) for part in ("secret", "brief", "with a space"))


def test_contradictions_and_names_that_are_none_are_refused():
    with pytest.raises(OptionError, match="Leave one of them away"):
        Settings(token="secret", open=True)
    for name in ("http://a.example", "a.example:7860", "a b"):
        with pytest.raises(OptionError, match="EMOSCOPE_HOSTS"):
            Settings(hosts=name)
    assert Settings(hosts="A.example, b.example").names == ("a.example", "b.example")


def test_no_token_is_in_a_repr():
    settings = Settings(token=TWO, host="0.0.0.0")
    assert "token-of" not in f"{settings!r} {Access(settings)!r} {vars(Access(settings))}"


# ---- tokens and sessions


def test_a_token_tells_whose_it_is():
    door = Access(Settings(token=TWO))
    assert [door.visitor_with(token, "") for token in (ANA, BEN, NOBODYS, "", "ana", ANA[:-1])] == [
        "ana", "ben", None, None, None, None,
    ]  # fmt: skip
    assert Access(Settings(token="secret")).visitor_with("secret", "") == ""


def test_a_made_token_is_long_and_new_every_time():
    made = {Access(Settings(host="0.0.0.0")).made for _ in range(20)}
    assert len(made) == 20 and min(map(len, made)) >= 32
    assert not Access(Settings()).made and not Access(Settings(token="secret")).made


def test_a_token_is_compared_with_every_one_in_constant_time():
    door = Access(Settings(token=TWO))
    for token in (ANA, BEN, NOBODYS):
        with mock.patch.object(hmac, "compare_digest", wraps=hmac.compare_digest) as compared:
            door.visitor_with(token, "")
        assert compared.call_count == 2


def test_a_session_is_a_name_that_only_this_process_can_sign(monkeypatch):
    door, other = Access(Settings(token=TWO)), Access(Settings(token=TWO))
    session = door.begin("ana")
    assert door.visitor_in(session) == "ana"
    assert other.visitor_in(session) is None
    assert door.begin("ana") != session
    for forged in ("", "!", "ana", session[:-1], session.replace("ana", "ben"), f"x{session}", "\xff!\xff"):
        assert door.visitor_in(forged) is None
    monkeypatch.setattr(time, "time", lambda: float(session.split("!")[1]))
    assert door.visitor_in(session) is None


def test_a_session_that_was_ended_is_over_in_every_copy():
    door = Access(Settings(token=TWO))
    mine, hers = door.begin("ana"), door.begin("ana")
    door.end(mine)
    assert (door.visitor_in(mine), door.visitor_in(hers)) == (None, "ana")
    for _ in range(3):
        door.end("forged!0!x!y")  # and what is none is not remembered
    assert len(door._ended) == 1 < MOST_ENDED


def test_wrong_tokens_have_to_be_waited_for(monkeypatch):
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    door = Access(Settings(token=TWO))
    for _ in range(FREE):
        assert door.visitor_with(NOBODYS, "203.0.113.9") is None
    with pytest.raises(BusyError, match=r"Try again in 6 s") as refused:
        door.visitor_with(ANA, "203.0.113.9")  # whoever guesses would not learn that it is right
    assert refused.value.seconds == PAUSE
    assert door.visitor_with(ANA, "203.0.113.10") == "ana"
    now += PAUSE
    assert door.visitor_with(ANA, "203.0.113.9") == "ana"
    assert door.visitor_with(NOBODYS, "203.0.113.9") is None
    with pytest.raises(BusyError):
        door.visitor_with(ANA, "203.0.113.9")
    now += FREE * PAUSE
    for _ in range(FREE):  # all of them are forgiven
        assert door.visitor_with(NOBODYS, "203.0.113.9") is None


def test_a_house_has_many_addresses_and_the_table_has_an_end():
    mistakes = Mistakes()
    for number in range(FREE):
        mistakes.note(f"2001:db8:1:2::{number:x}")
    with pytest.raises(BusyError):
        mistakes.check("2001:db8:1:2:ffff::1")
    mistakes.check("2001:db8:1:3::1")
    for number in range(MOST_ADDRESSES + 50):
        mistakes.note(f"10.0.{number // 256}.{number % 256}")
    assert len(mistakes._until) == MOST_ADDRESSES


@pytest.mark.parametrize(
    ("client", "address"),
    [(None, ""), (("127.0.0.1", 5), ""), (("::1", 5), ""), (("203.0.113.9", 5), "203.0.113.9"), (("unix", 0), "unix")],
)
def test_this_machine_has_no_address(client, address):
    assert access.address_of(client) == address


# ---- who asks


def test_where_everybody_has_to_say_who_he_is_nobody_is_not_everybody(tmp_path):
    """A door that somebody forgets to put the gate in front of is shut."""
    office, _ = make_office(tmp_path, token=TWO)
    desk = Desk(office.analyzer, office.settings, None, office.keeper, office.jobs)
    for who in (None, Asker(address="203.0.113.9")):
        with asked_by(who), pytest.raises(AccessError):
            office.history()
    for door in (office, desk):
        with pytest.raises(AccessError):
            _ = door.asker
    with asked_by(Asker("ana")):
        assert office.asker.owner == "ana"
        with pytest.raises(AccessError):
            _ = desk.asker  # an event of Gradio's is told by its own request only
    assert make_office(tmp_path / "open")[0].asker == ANYBODY


@contextlib.contextmanager
def event_of(visitor):
    """What Gradio does around an event of somebody."""
    scope = {"type": "http", access.SCOPE: Asker(visitor)}
    before = LocalContext.request.set(SimpleNamespace(request=Request(scope)))
    try:
        yield
    finally:
        LocalContext.request.reset(before)


def test_an_event_of_the_studio_knows_whose_it_is_in_threads_too(tmp_path):
    office, _ = make_office(tmp_path, token=TWO)
    desk = Desk(office.analyzer, office.settings, None, office.keeper, office.jobs)
    with event_of("ben"):
        assert desk.asker.visitor == "ben"
        work = Work(lambda _tell: desk.asker.visitor)
    assert work.result() == "ben"


def test_one_side_fills_no_more_than_half_of_the_queue(tmp_path):
    settings = settings_for(tmp_path, queue=5)
    analyzer, model = make_analyzer(settings)
    jobs = Jobs(analyzer, settings)
    analyzer.start()
    wait_for(lambda: analyzer.status.state == "ready")
    model.gate.clear()
    clip = write_tone(tmp_path / "clip.wav", 1)

    def submit(asker):
        return jobs.submit(Task(Options(), clip), lambda report: report, asker=asker)

    try:
        running = submit(ANYBODY)
        wait_for(lambda: running.state == "running")
        ana = [submit(Asker("ana", f"203.0.113.{number}")) for number in range(3)]
        with pytest.raises(BusyError, match=r"^3 analyses of yours are waiting"):
            submit(Asker("ana", "203.0.113.7"))
        submit(Asker("", "198.51.100.1"))  # an account without a name is told by its address
        ana[0].cancel()
        submit(ANYBODY)
        with pytest.raises(BusyError, match=r"^4 analyses of yours|^5 analyses are"):
            [submit(Asker(None, "198.51.100.1")) for _ in range(3)]
        with pytest.raises(BusyError, match=r"^5 analyses are waiting already"):
            submit(ANYBODY)  # this machine may have all of it, but no more
    finally:
        model.gate.set()
        jobs.close()
        analyzer.stop()


# ---- a server with two accounts


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("access")


@pytest.fixture(scope="module")
def clip(home):
    return write_tone(home / "clip.wav", 2)


@pytest.fixture(scope="module")
def running(home):
    settings = settings_for(home, token=TWO)
    analyzer, model = make_analyzer(settings)
    quickly = mock.patch.object(plots, "draw", lambda _report, file: file.touch())  # drawing takes seconds
    with quickly, serving(analyzer, settings) as address:
        wait_for(lambda: analyzer.status.state == "ready")
        yield address, model


@pytest.fixture(scope="module")
def address(running):
    return running[0]


@pytest.fixture
def gate(running):
    """The gate of the model, which is open again in the end."""
    yield running[1].gate
    running[1].gate.set()


@pytest.fixture
def ana(address):
    with httpx.Client(base_url=address, headers=bearer(ANA), timeout=30) as client:
        yield client


@pytest.fixture
def ben(address):
    with httpx.Client(base_url=address, headers=bearer(BEN), timeout=30) as client:
        yield client


@pytest.fixture
def stranger(address):
    """Somebody without a token, at an address where nobody was wrong before: it is what a proxy here would tell."""
    elsewhere = {"X-Forwarded-For": f"198.51.100.{next(HOUSES)}"}
    with httpx.Client(base_url=address, timeout=30, headers=elsewhere) as client:
        yield client


def read(client, text="I am lonely.", **headers):
    return client.post("/api/v1/text", json={"text": text}, headers=headers)


def runs_of(client):
    return {run["id"] for run in client.get("/api/v1/runs", params={"limit": 200}).json()["runs"]}


SHUT = [
    ("GET", "/"),
    ("GET", "/config"),
    ("GET", "/theme.css"),
    ("GET", "/manifest.json"),
    ("GET", "/assets/index.js"),
    ("GET", "/metrics"),
    ("GET", "/nothing/of/that/name"),
    ("GET", "//"),
    ("GET", "/health/"),
    ("GET", "/Health"),
    ("POST", "/login"),
    ("POST", "/mcp"),
    ("POST", "/live?rate=16000"),
    ("GET", "/live/recorder.js"),
    ("GET", "/gradio_api/info"),
    ("GET", "/gradio_api/file=/tmp/x"),
    ("GET", "/gradio_api/queue/data?session_hash=x"),
    ("POST", "/gradio_api/upload"),
    ("POST", "/gradio_api/queue/join"),
    ("POST", "/gradio_api/call/text"),
    ("POST", "/gradio_api/component_server"),
    ("GET", "/api/v1/docs"),
    ("GET", "/api/v1/openapi.json"),
    ("GET", "/api/v1/models"),
    ("GET", "/api/v1/runs"),
    ("GET", "/api/v1/runs/0123456789abcdef"),
    ("DELETE", "/api/v1/runs/0123456789abcdef"),
    ("GET", "/api/v1/runs/0123456789abcdef/files/result.json"),
    ("POST", "/api/v1/speech"),
    ("POST", "/api/v1/text"),
    ("POST", "/api/v1/multimodal"),
]


@pytest.mark.parametrize(("method", "path"), SHUT)
def test_nothing_is_answered_without_a_token(stranger, method, path):
    answer = stranger.request(method, path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "/api/v1/docs#access"
    assert "Authorization: Bearer" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_whether_it_is_alive_and_ready_is_told_to_everybody(stranger, path):
    assert stranger.get(path).status_code == 200


@pytest.mark.parametrize(
    "header", [f"Bearer {NOBODYS}", f"Bearer {ANA[:-1]}", "Bearer", f"Basic {ANA}", ANA, f"Bearer {ANA} {BEN}"]
)
def test_another_token_is_none(stranger, header):
    assert stranger.get("/api/v1/runs", headers={"Authorization": header}).status_code == 401


def test_a_token_opens_everything(ana):
    for path in ("/", "/config", "/metrics", "/api/v1/runs", "/api/v1/models", "/gradio_api/info"):
        assert ana.get(path).status_code == 200
    assert ana.get("/api/v1/runs", headers={"Authorization": f"bearer {ANA}"}).status_code == 200


def test_the_document_says_what_the_gate_answers(ana):
    document = ana.get("/api/v1/openapi.json").json()
    assert document["security"] == [{"token": []}]
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    operations = [each for path in document["paths"].values() for each in path.values()]
    assert operations and all({"401", "403", "429"} <= each["responses"].keys() for each in operations)


# ---- signing in and out


class Page(HTMLParser):
    """What there is in a page."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def all(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.mark.parametrize("path", ["/", "/api/v1/docs", "/signin", "/metrics"])
def test_a_person_is_shown_where_to_sign_in(stranger, path):
    answer = stranger.get(path, headers=BROWSER)
    assert answer.status_code == (200 if path == "/signin" else 401)
    page = Page(answer.text)
    assert [form["action"] for form in page.all("form")] == ["/signin"]
    assert not page.all("script") and "javascript:" not in answer.text
    assert not re.search(r'(?:src|href)="(?!/signin|data:)', answer.text)  # it loads nothing
    policy = answer.headers.get_list("content-security-policy")[0]
    assert policy.startswith("default-src 'none'; style-src 'sha256-") and "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy and "form-action 'self'" in policy
    assert answer.headers["cache-control"] == "no-store"


def test_the_page_speaks_two_languages(stranger):
    chinese = stranger.get("/", headers=BROWSER | {"Accept-Language": "zh-CN"})
    assert "登录" in chinese.text and 'lang="zh-CN"' in chinese.text
    chosen = stranger.get("/signin", params={"language": "zh"})
    assert "登录" in chosen.text and "emoscope_language=zh" in chosen.headers["set-cookie"]
    assert "登录" in stranger.get("/signin").text  # from now on, as in the studio
    assert "Sign in" in stranger.get("/signin", params={"language": "en"}).text


def test_a_form_begins_a_session_and_signing_out_ends_it_in_every_copy(stranger):
    wrong = stranger.post("/signin", data={"token": NOBODYS})
    assert wrong.status_code == 401 and "set-cookie" not in wrong.headers
    assert "not a token of this server" in wrong.text and NOBODYS not in wrong.text
    right = stranger.post("/signin", data={"token": f" {ANA} "})
    assert (right.status_code, right.headers["location"]) == (303, "/")
    cookie = right.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie and "path=/" in cookie
    assert "secure" not in cookie and "max-age" not in cookie and ANA not in cookie
    copy = dict(stranger.cookies)
    assert stranger.get("/", headers=BROWSER).status_code == 200
    assert stranger.get("/api/v1/runs").status_code == 200
    assert stranger.get("/api/v1/runs", headers=bearer(NOBODYS)).status_code == 401  # what is sent decides
    out = stranger.post("/signout")
    assert (out.status_code, out.headers["location"]) == (303, "/signin")
    assert not stranger.cookies
    stranger.cookies.update(copy)
    assert stranger.get("/api/v1/runs").status_code == 401


@pytest.mark.parametrize("body", [b"", b"token", b"token=", b"\xff\xfe", b"token=" + b"x" * 10_000])
def test_a_form_that_is_none_of_ours_is_a_wrong_token(stranger, body):
    assert stranger.post("/signin", content=body).status_code == 401


def test_a_token_in_the_address_becomes_a_session_at_a_clean_one(stranger):
    answer = stranger.get("/", params={"token": BEN, "__theme": "dark", "a": "ü&="})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/?__theme=dark&a=%C3%BC%26%3D"
    assert answer.headers["referrer-policy"] == "no-referrer" and answer.headers["cache-control"] == "no-store"
    assert BEN not in str(answer.headers) + answer.text
    assert stranger.get("/api/v1/runs").status_code == 200
    stranger.cookies.clear()
    wrong = stranger.get("/", params={"token": NOBODYS})
    assert (wrong.status_code, wrong.headers["location"]) == (303, "/signin?wrong=1")
    assert "set-cookie" not in wrong.headers
    for elsewhere in ("/api/v1/runs", "/config", "/metrics"):  # an address is no place for a token of a program
        assert stranger.get(elsewhere, params={"token": BEN}).status_code == 401


def test_a_link_on_another_site_leads_in_all_the_same(stranger):
    """A browser sends no strict cookie then; a page of ours leads on, and to no address but ours."""
    linked = BROWSER | {"Sec-Fetch-Site": "cross-site"}
    for path, leads in (("/", "/"), ("/?a=1&b=%22", "/?a=1&b=%22"), ("//evil.example/x", "/evil.example/x")):
        answer = stranger.get(f"http://127.0.0.1:{stranger.base_url.port}{path}", headers=linked)
        assert answer.status_code == 200
        (refresh,) = [each for each in Page(answer.text).all("meta") if each.get("http-equiv") == "refresh"]
        assert refresh["content"] == f"0; url={leads}"
    with_token = stranger.get("/", params={"token": ANA}, headers=linked)
    assert with_token.status_code == 200 and ANA not in with_token.text
    assert stranger.get("/", headers=BROWSER).status_code == 200  # its session has begun


def test_behind_tls_the_cookie_is_for_tls_only(stranger):
    """Uvicorn takes the scheme of a proxy on this machine."""
    answer = stranger.get("/", params={"token": ANA}, headers={"X-Forwarded-Proto": "https"})
    assert "secure" in answer.headers["set-cookie"].lower()


def test_servers_on_two_ports_of_a_machine_do_not_share_a_cookie(stranger):
    stranger.get("/", params={"token": ANA})
    assert list(stranger.cookies) == [f"emoscope_session_{stranger.base_url.port}"]


def test_guesses_from_an_address_are_slowed_and_others_are_not(stranger, ana):
    guesser = {"X-Forwarded-For": "203.0.113.77"}
    statuses = [stranger.get("/metrics", headers=bearer(NOBODYS) | guesser).status_code for _ in range(FREE + 1)]
    assert statuses == [401] * FREE + [429]
    slowed = stranger.post("/signin", data={"token": ANA}, headers=guesser | BROWSER)
    assert slowed.status_code == 429 and "Try again in" in slowed.text
    assert 0 < int(slowed.headers["retry-after"]) <= PAUSE
    assert stranger.get("/", params={"token": ANA}, headers=guesser).json()["status"] == 429
    assert ana.get("/metrics").status_code == 200


# ---- runs have an owner


def test_everybody_has_their_own_runs(ana, ben):
    mine = read(ana).json()["id"]
    assert mine in runs_of(ana) and mine not in runs_of(ben)
    total = ben.get("/api/v1/runs").json()["total"]
    read(ana)
    assert ben.get("/api/v1/runs").json()["total"] == total
    unknown = "0" * 16

    def refused(method, path, id, **headers):
        answer = ben.request(method, path.format(id=id), headers=headers)
        return answer.status_code, answer.text.replace(id, "ID")

    for method, path in (
        ("GET", "/api/v1/runs/{id}"),
        ("DELETE", "/api/v1/runs/{id}"),
        ("GET", "/api/v1/runs/{id}/files/result.json"),
    ):
        assert refused(method, path, mine) == refused(method, path, unknown)
        assert refused(method, path, mine)[0] == 404
    assert refused("GET", "/api/v1/runs/{id}", mine, Accept="text/event-stream")[0] == 404
    whole = ana.get(f"/api/v1/runs/{mine}").json()
    assert whole["state"] == "done" and "visitor" not in json.dumps(whole)
    assert ana.get(whole["files"][0]["url"]).status_code == 200
    assert ana.delete(f"/api/v1/runs/{mine}").status_code == 204
    assert mine not in runs_of(ana)


def test_a_job_is_its_owners_while_it_waits_and_runs(ana, ben, gate, clip):
    gate.clear()
    begun = ana.post("/api/v1/speech", files={"file": clip.read_bytes()}, headers={"Prefer": "respond-async"})
    place = begun.headers["location"]
    assert ana.get(place).json()["state"] in ("waiting", "running")
    assert ben.get(place).status_code == ben.delete(place).status_code == 404
    assert ben.get(place, headers={"Accept": "text/event-stream"}).status_code == 404
    gate.set()
    wait_for(lambda: ana.get(place).json()["state"] == "done")
    assert ben.get(place).status_code == 404
    assert place[-16:] in runs_of(ana)


def test_the_studios_runs_have_an_owner_too(address, ana, ben, clip):
    """Gradio's own client shows its token as a header; the events of the page are generators, in threads."""
    with pytest.raises(ValueError, match="credentials were not provided"):
        Client(address, verbose=False)
    client = Client(address, headers=bearer(ANA), verbose=False)
    report, archive = client.predict(handle_file(clip), "utterance", False, 0.5, api_name="/analyze")
    assert archive.endswith(".zip")
    written, _ = client.predict("I am lonely.", "auto", False, api_name="/text")
    before = runs_of(ana)
    assert {report["id"], written["id"]} <= before and not {report["id"], written["id"]} & runs_of(ben)
    press_read(ana, "I am joyful.")
    (new,) = runs_of(ana) - before
    assert new not in runs_of(ben)


def press_read(client, text):
    """Do what the page does when somebody reads a text in its tab: an event that yields."""
    config = client.get("/config").json()
    names = {one["id"]: one["props"].get("elem_id") for one in config["components"]}
    events = [(one["id"], [names[number] for number in one["inputs"]]) for one in config["dependencies"]]
    event, inputs = next((event, inputs) for event, inputs in events if {"text", "text-model"} <= set(inputs))
    form = {"text": text, "text-model": "auto", "text-embedding": False}
    session = secrets.token_hex(6)
    body = {"data": [form.get(name) for name in inputs], "fn_index": event, "session_hash": session}
    assert client.post("/gradio_api/queue/join", json=body).status_code == 200
    with client.stream("GET", f"/gradio_api/queue/data?session_hash={session}") as stream:
        messages = [json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: ")]
    assert next(one for one in messages if one["msg"] == "process_completed")["success"], messages


def test_visitors_at_the_same_time_are_not_mixed_up(ana, ben):
    before = {client: runs_of(client) for client in (ana, ben)}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: press_read((ana, ben)[number % 2], f"I am joyful {number}."), range(8)))
    for first, client in enumerate((ana, ben)):
        found = [ana, ben][first].get("/api/v1/runs", params={"text": "joyful", "limit": 200}).json()["runs"]
        names = {run["name"] for run in found if run["id"] not in before[client]}
        assert names == {f"I am joyful {number}." for number in range(8) if number % 2 == first}


def test_one_visitor_cannot_fill_the_studios_queue(ana, ben, gate, clip):
    """A few of the requests run; of those that wait behind them, half of the places are left to others."""
    file = ana.post("/gradio_api/upload", files={"files": ("clip.wav", clip.read_bytes())}).json()[0]
    ask = {"data": [{"path": file, "meta": {"_type": "gradio.FileData"}}, "utterance", False, 0.5]}
    gate.clear()

    def join(client):
        return client.post("/gradio_api/call/analyze", json=ask, headers={"Accept-Language": "zh"})

    before, joined = len(runs_of(ana)), 0
    while (answer := join(ana)).status_code == 200:
        joined += 1
    assert WAITING_VISITORS // 2 <= joined < WAITING_VISITORS
    assert answer.status_code == 503 and f"{WAITING_VISITORS // 2} 个请求" in answer.json()["detail"]
    assert join(ben).status_code == 200
    gate.set()
    wait_for(lambda: len(runs_of(ana)) == before + joined, 60)


def test_what_the_studio_shows_needs_the_token_too(ana, stranger, clip):
    uploaded = ana.post("/gradio_api/upload", files={"files": ("clip.wav", clip.read_bytes())}).json()[0]
    assert ana.get(f"/gradio_api/file={uploaded}").status_code == 200
    assert stranger.get(f"/gradio_api/file={uploaded}").status_code == 401
    assert "sandbox" in ana.get(f"/gradio_api/file={uploaded}").headers["content-security-policy"]


def test_agents_show_a_token_and_have_runs_of_their_own(address, ana, ben):
    before = runs_of(ben)

    async def ask(token):
        async with (
            httpx2.AsyncClient(headers=bearer(token)) as http,
            AgentClient(streamable_http_client(f"{address}/mcp", http_client=http)) as client,
        ):
            return await client.call_tool("analyze_text", {"text": "I am lonely."})

    found = asyncio.run(ask(BEN))
    assert found.structured_content["emotion"] == "sad"
    assert runs_of(ben) - before == {found.structured_content["id"]}
    assert found.structured_content["id"] not in runs_of(ana)


def test_the_history_of_the_studio_is_the_visitors(tmp_path):
    office, _ = make_office(tmp_path, token=TWO)
    desk = Desk(office.analyzer, office.settings, None, office.keeper, office.jobs)
    for visitor in ("ana", "ben"):
        report = office.analyzer.read(Transcript.typed("I am lonely."), Options())
        with event_of(visitor):
            with desk.keep(report) as kept:
                assert kept.run.visitor == visitor
            assert [run.visitor for run in desk.history().all()] == [visitor]
    assert office.keeper.opened().count() == 2  # who owns the machine sees both
    tab, (anas,) = Archive(desk), [run.id for run in office.keeper.opened().of("ana").all()]
    with event_of("ben"):
        for act in (tab.open, tab.clip, lambda id, page, words: tab.delete([id], None, page, words)):
            with pytest.raises(gr.Error, match="There is no run"):
                act(anas, NOBODY, "en")
    with event_of("ana"):
        assert tab.open(anas, NOBODY, "en").verdict
    office.keeper.close()


def test_the_examples_of_the_documentation_run(address, ana, capsys):
    examples = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/access.md").read_text("utf-8"), re.M | re.S)
    assert len(examples) == 2
    before = runs_of(ana)
    for code in examples:
        exec(compile(code.replace("http://localhost:7860", address), "docs/access.md", "exec"), {})
    assert capsys.readouterr().out.split() == ["neutral"] * 3
    assert len(runs_of(ana) - before) == 3


# ---- what must not get out


def test_no_token_is_in_what_is_served_or_logged(ana, stranger, caplog):
    with caplog.at_level(logging.DEBUG):
        served = [
            ana.get(path).text
            for path in ("/", "/config", "/api/v1/openapi.json", "/metrics", "/gradio_api/info", "/api/v1/runs")
        ]
        served += [stranger.get("/", params={"token": ANA}).text, stranger.get("/signin").text, read(ana, "").text]
        served += [str(dict(ana.get("/").headers)), stranger.post("/signin", data={"token": BEN}).text]
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    assert all("token-of" not in text for text in [*served, *ours])


# ---- what is printed at the start


@pytest.mark.parametrize(
    ("settings", "follows"),
    [
        (Settings(), r""),
        (Settings(host="0.0.0.0"), r"/\?token=[\w-]{32}"),
        (Settings(token=TWO), r"\nSign in with your token, which is in EMOSCOPE_TOKEN\."),
        (Settings(host="0.0.0.0", token=TWO), r"\nSign in with your token, which is in EMOSCOPE_TOKEN\."),
        (Settings(host="0.0.0.0", open=True), r"\nEverybody who can reach it may use it: EMOSCOPE_OPEN is 1\."),
    ],
)
def test_the_address_is_told_with_a_token_that_was_made_and_no_other(settings, follows):
    app = SimpleNamespace(state=SimpleNamespace(jobs=None, access=Access(settings)))
    server = _Server(mock.Mock(), None, settings, app)
    assert re.fullmatch(follows, server._sign_in())


@pytest.mark.slow
def test_the_printed_address_leads_in(tmp_path):
    """The real process, on every interface: everybody is asked but who has the address that it prints."""
    chosen = {
        "EMOSCOPE_HOST": "0.0.0.0",
        "EMOSCOPE_PORT": "0",
        "EMOSCOPE_OUTPUTS": str(tmp_path / "outputs"),
        "EMOSCOPE_SPEECH_MODEL": "compact",
        "EMOSCOPE_OFFLINE": "1",
    }
    clean = {name: value for name, value in os.environ.items() if not name.startswith("EMOSCOPE_")}
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "app.py"], cwd=ROOT, env=clean | chosen, stdout=subprocess.PIPE, stderr=log, text=True
        )
    try:
        printed = process.stdout.readline().split()[-1]
        address, _, token = printed.partition("/?token=")
        assert httpx.get(address).status_code == 401
        with httpx.Client(follow_redirects=True, timeout=30) as client:
            assert "<title>Emoscope" in client.get(printed).text
        assert httpx.get(f"{address}/metrics", headers=bearer(token)).status_code == 200
    finally:
        process.terminate()
        rest = process.stdout.read()
        process.stdout.close()
        process.wait(20)
    assert token not in rest + (tmp_path / "log").read_text()
