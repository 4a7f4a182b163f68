"""The OpenAPI document holds: requests that it allows, and requests that it forbids, are answered as it says."""

import pytest
from hypothesis import HealthCheck, given, settings

from tests.api import make_office, serving

ROUTES = [
    ("POST", "/speech"),
    ("POST", "/text"),
    ("POST", "/multimodal"),
    ("GET", "/runs"),
    ("GET", "/runs/{id}"),
    ("DELETE", "/runs/{id}"),
    ("GET", "/runs/{id}/files/{name}"),
    ("GET", "/models"),
]
KINDS = ["POSITIVE", "NEGATIVE"]  # what the document allows, and what it does not
CASES = [(*route, kind) for route in ROUTES for kind in KINDS if (route[1], kind) != ("/models", "NEGATIVE")]


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    office, _ = make_office(tmp_path_factory.mktemp("contract"), max_mb=1.0)
    with serving(office) as client:
        yield client


@pytest.fixture(scope="module")
def document(client):
    import schemathesis  # takes a second to import

    refusals = [400, 404, 413, 415, 422, 429]  # without the setting, 413 counts as acceptance
    config = schemathesis.config.SchemathesisConfig.from_dict(
        {"checks": {"negative_data_rejection": {"expected-statuses": refusals}}}
    )
    return schemathesis.openapi.from_url(f"{client.base_url}/api/v1/openapi.json", config=config)


def hold(document, method, path, kind, examples):
    """Send so many requests, and compare what they are answered with the document."""
    from schemathesis.checks import CHECKS
    from schemathesis.generation import GenerationMode

    # A picture is a file, as the document says, and no recording: that has to be refused.
    excluded = CHECKS.get_by_names(["positive_data_acceptance"]) if method == "POST" else []

    @settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
        database=None,
    )
    @given(case=document[path][method].as_strategy(generation_mode=GenerationMode[kind]))
    def ask(case):
        case.call_and_validate(excluded_checks=excluded)

    ask()


def test_these_are_all_routes(document):
    found = {(each.ok().method.upper(), each.ok().path) for each in document.get_all_operations()}
    assert found == set(ROUTES)


@pytest.mark.parametrize(("method", "path", "kind"), CASES)
def test_answers_are_as_documented(document, method, path, kind):
    hold(document, method, path, kind, 5)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path", "kind"), CASES)
def test_hundreds_of_answers_are_as_documented(document, method, path, kind):
    hold(document, method, path, kind, 400)
