"""The page of the REST documentation, in a browser."""

import re

import pytest

from tests.api import make_office, serving


@pytest.fixture
def address(tmp_path):
    with serving(make_office(tmp_path)[0]) as client:
        yield f"{client.base_url}/api/v1/docs"


def test_the_page_shows_every_route_and_asks_nobody_else(chromium, address):
    page, trouble, asked = chromium.new_page(), [], []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("console", lambda said: trouble.append(said.text) if said.type == "error" else None)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{address}#busy")
    page.wait_for_selector("#Report")
    shown = page.locator("#routes h3").all_inner_texts()
    assert len(shown) == 8
    assert {"POST /api/v1/speech", "DELETE /api/v1/runs/{id}"} <= set(shown)
    assert "Seconds of the smoothing" in page.inner_text("#routes")
    assert "Retry-After" in page.inner_text("#problems")
    assert page.locator("#busy").is_visible()
    links = page.eval_on_selector_all("a[href^='#']", "links => links.map(link => link.hash.slice(1))")
    assert links
    missing = page.evaluate("names => names.filter(name => !document.getElementById(name))", links)
    assert missing == []
    server = re.match(r"http://[^/]+/", address)[0]
    assert all(url.startswith(server) for url in asked)
    assert [each for each in trouble if "favicon" not in each and "404" not in each] == []
    page.close()
