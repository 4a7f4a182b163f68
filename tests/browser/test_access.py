"""Signing in and out, in a browser."""

import contextlib
import re

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser.conftest import analyze
from tests.browser.studio import patient_analyzer, serving, settings_for

ANA, BEN = "the-token-of-ana", "the-token-of-ben"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    settings = settings_for(tmp_path_factory.mktemp("guarded"), token=f"ana:{ANA},ben:{BEN}")
    analyzer, _gate = patient_analyzer(settings)
    with serving(analyzer, settings) as address:
        yield address


@contextlib.contextmanager
def somebody(chromium, *, meant="401", **settings):
    """A browser of somebody's own, in which nothing went wrong but what is meant: at first nobody is signed in."""
    context, trouble = chromium.browser.new_context(**settings), []
    page = context.new_page()
    page.set_default_timeout(90_000)  # a page takes long on a busy machine
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("console", lambda said: trouble.append(said.text) if said.type == "error" else None)
    yield page
    context.close()
    assert [each for each in trouble if not re.search(meant, each)] == []


def sign_in(page, token):
    page.fill("#token", token)
    page.press("#token", "Enter")


def test_a_person_signs_in_works_and_signs_out(chromium, address, sounds, tmp_path):
    with somebody(chromium, viewport={"width": 1440, "height": 900}) as page:
        page.goto(f"{address}/?__theme=light")
        assert page.evaluate("document.activeElement.id") == "token"
        sign_in(page, "something else")
        page.wait_for_selector("[role=alert] >> text=not a token")
        sign_in(page, ANA)
        page.wait_for_selector("#analyze")
        assert page.url == f"{address}/"
        page.wait_for_selector(".leave >> text=Sign out ana")
        (session,) = [each for each in page.context.cookies() if each["name"].startswith("emoscope_session")]
        assert session["httpOnly"] and session["sameSite"] == "Strict"
        assert page.evaluate("document.cookie") == ""  # no script can read it
        analyze(page, sounds / "speech.wav")
        page.screenshot(path=tmp_path / "signed-in.png")
        page.click(".leave")
        page.wait_for_selector("#token")
        page.goto(address)
        assert page.locator("#token").count() == 1


def test_the_printed_address_leads_in_and_keeps_no_token(chromium, address):
    with somebody(chromium) as page:
        page.goto(f"{address}/?token={BEN}")
        page.wait_for_selector(".leave >> text=Sign out ben")
        assert page.url == f"{address}/"
        assert BEN not in page.content()


def test_a_link_on_another_site_finds_who_is_signed_in(chromium, address):
    """A strict cookie is not sent then, until a page of ours has led the browser on."""
    with somebody(chromium) as page:
        page.goto(f"{address}/?token={BEN}")
        page.wait_for_selector("#analyze")
        page.goto(address.replace("127.0.0.1", "localhost") + "/signin")
        page.evaluate("address => { location.href = address; }", f"{address}/")
        page.wait_for_selector(".leave >> text=Sign out ben")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 1440), ("light", 390), ("dark", 390)])
def test_the_page_to_sign_in_at_fits_and_can_be_read(chromium, address, scheme, width, tmp_path):
    size = {"width": width, "height": 800}
    with somebody(chromium, viewport=size, color_scheme=scheme, java_script_enabled=True, bypass_csp=True) as page:
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.screenshot(path=tmp_path / "signin.png")
        found = Axe().run(page).response["violations"]
        assert found == [], [each["id"] for each in found]


def test_it_works_without_scripts_and_in_both_languages(chromium, address):
    with somebody(chromium, java_script_enabled=False, locale="zh-CN") as page:
        page.goto(address)
        page.wait_for_selector("button >> text=登录")
        page.click(".language")
        page.wait_for_selector("button >> text=Sign in")
        sign_in(page, ANA)
        page.wait_for_url(f"{address}/")
        assert "Emoscope" in page.title()


def test_a_page_of_another_site_can_do_nothing(chromium, address):
    """It is tried by the browser itself, from an address of another port: the same site, but another origin."""
    with somebody(chromium, meant="blocked by CORS policy|ERR_FAILED|401|403") as page:
        page.goto(f"{address}/?token={ANA}")
        page.wait_for_selector("#analyze")
        page.route("http://127.0.0.1:1/**", lambda route: route.fulfill(body="<p>Evil</p>", content_type="text/html"))
        page.goto("http://127.0.0.1:1/")
        tried = """async address => {
            const say = error => "refused";
            const read = await fetch(address + "/api/v1/runs", { credentials: "include" }).then(() => "read", say);
            const done = await fetch(address + "/api/v1/text", { method: "POST", body: "x", credentials: "include" })
                .then(() => "done", say);
            return [read, done];
        }"""
        assert page.evaluate(tried, address) == ["refused", "refused"]
