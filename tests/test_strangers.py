"""Pages of other sites: what they have a browser do is refused, and no answer says that they may read it."""

import itertools
import socket

import httpx
import pytest
from starlette.datastructures import Headers

from emoscope.gate.strangers import has_foreign_name, sent_by_another_site
from emoscope.settings import Settings
from tests.api import make_analyzer, write_tone
from tests.browser.studio import serving, settings_for, wait_for

FOREIGN = ["http://evil.example", "https://localhost:3000", "http://127.0.0.1:1", "http://0.0.0.0", "null", "http://["]
READABLE = ["/", "/config", "/health", "/metrics", "/theme.css", "/gradio_api/info", "/api/v1/runs", "/api/v1/docs"]
CHANGING = [
    ("POST", "/api/v1/speech"),
    ("POST", "/api/v1/text"),
    ("POST", "/api/v1/multimodal"),
    ("DELETE", "/api/v1/runs/0123456789abcdef"),
    ("POST", "/gradio_api/upload"),
    ("POST", "/gradio_api/queue/join"),
    ("POST", "/gradio_api/call/text"),
    ("POST", "/gradio_api/component_server"),
    ("POST", "/live?rate=16000"),
    ("POST", "/mcp"),
]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    settings = settings_for(tmp_path_factory.mktemp("open"), hosts="emoscope.example.org")
    analyzer, _ = make_analyzer(settings)
    with serving(analyzer, settings) as address:
        wait_for(lambda: analyzer.status.state == "ready")
        yield address


@pytest.fixture(scope="module")
def client(address):
    with httpx.Client(base_url=address, timeout=30) as client:
        yield client


def allowances(answer):
    return [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize("path", READABLE)
def test_no_answer_can_be_read_by_another_site(client, path):
    """Gradio's own rules would let any site read its answers behind a name, and every local one at localhost."""
    for origin, host in zip(FOREIGN, itertools.cycle(["emoscope.example.org", "localhost"]), strict=False):
        answer = client.get(path, headers={"Origin": origin, "Host": host})
        assert answer.status_code == 200 and not allowances(answer), (origin, host)
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize("path", READABLE)
def test_no_site_is_told_that_it_may(client, path):
    for origin in FOREIGN:
        asks = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-a"}
        answer = client.options(path, headers=asks)
        assert answer.status_code == 403 and not allowances(answer), origin


@pytest.mark.parametrize(("method", "path"), CHANGING)
def test_nothing_is_done_for_another_site(client, method, path):
    for said in (
        *({"Origin": origin} for origin in FOREIGN),
        *({"Sec-Fetch-Site": site} for site in ("cross-site", "same-site")),
        {"Sec-Fetch-Site": "cross-site", "Origin": str(client.base_url)},
    ):
        answer = client.request(method, path, headers=said)
        assert answer.status_code == 403, said
        assert "The page of another site" in answer.json()["detail"]


def test_our_own_page_and_programs_are_answered(client):
    port = client.base_url.port
    for said in (
        {},
        {"Origin": f"http://127.0.0.1:{port}"},
        {"Origin": f"http://127.0.0.1:{port}", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "https://emoscope.example.org", "Sec-Fetch-Site": "same-origin"},  # behind a proxy
        {"Origin": "https://emoscope.example.org", "Host": "emoscope.example.org"},
    ):
        assert client.post("/api/v1/text", json={"text": "I am lonely."}, headers=said).status_code == 200, said
        assert client.post("/live?rate=16000", headers=said).status_code == 200, said


@pytest.mark.parametrize(
    "host", ["localhost:80", "LOCALHOST.", "a.localhost", "[::1]:7860", "192.0.2.5", "Emoscope.example.org"]
)
def test_names_of_this_machine_and_those_that_were_named_are_its_own(client, host):
    assert client.get("/health", headers={"Host": host}).status_code == 200


def test_the_name_of_the_machine_is_its_own():
    assert not has_foreign_name(Headers({"host": f"{socket.gethostname()}:7860"}), Settings())
    assert not has_foreign_name(Headers({"host": "box.example"}), Settings(host="box.example", open=True))
    assert not has_foreign_name(Headers({}), Settings())  # no browser
    assert has_foreign_name(Headers({"host": "box.example"}), Settings())


@pytest.mark.parametrize(
    ("method", "headers", "foreign"),
    [
        ("GET", {"origin": "http://evil.example"}, False),  # it cannot read the answer
        ("HEAD", {"sec-fetch-site": "cross-site"}, False),
        ("POST", {}, False),
        ("POST", {"origin": "http://a:1", "host": "a:1"}, False),
        ("POST", {"origin": "http://a:2", "host": "a:1"}, True),
        ("PUT", {"origin": "http://a", "host": "a:1"}, True),
        ("POST", {"origin": "", "host": "a"}, True),
        ("POST", {"origin": "http://a", "host": "a", "sec-fetch-site": "same-site"}, True),
        ("POST", {"sec-fetch-site": "none"}, False),
    ],
)
def test_what_tells_whose_page_it_is(method, headers, foreign):
    assert sent_by_another_site(method, Headers(headers)) == foreign


def test_a_recording_of_another_site_is_not_even_taken_in(client, tmp_path):
    before = client.get("/api/v1/runs").json()["total"]
    clip = write_tone(tmp_path / "clip.wav", 1).read_bytes()
    refused = client.post("/api/v1/speech", files={"file": clip}, headers={"Sec-Fetch-Site": "cross-site"})
    assert refused.status_code == 403
    assert client.get("/api/v1/runs").json()["total"] == before


@pytest.mark.parametrize(
    ("path", "strict"),
    [("/api/v1/docs", True), ("/api/v1/runs", True), ("/metrics", True), ("/", False), ("/config", False)],
)
def test_a_page_may_load_what_it_needs_and_no_more(client, path, strict):
    policy = client.get(path).headers["content-security-policy"]
    assert ("unsafe" in policy) != strict  # Gradio's scripts are inline and compile templates
    assert policy.startswith("default-src 'none'" if strict else "default-src 'self'")
    assert "frame-ancestors 'none'" in policy and "*" not in policy and "http" not in policy
