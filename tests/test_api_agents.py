"""The tools for language-model agents, asked by the protocol's own client."""

import asyncio
import base64
import sys

import httpx
import pytest
from fastapi import FastAPI
from mcp import Client

from emoscope.api import agents
from tests.api import make_office, serving, write_tone


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    office, _ = make_office(tmp_path_factory.mktemp("agents"), max_mb=1.0)
    return office


@pytest.fixture(scope="module")
def address(office):
    with serving(office) as client:
        yield f"{client.base_url}{agents.PATH}"


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_tone(tmp_path_factory.mktemp("clip") / "clip.wav", 2).read_bytes()


def call(address, tool, **arguments):
    async def ask():
        async with Client(address) as client:
            return await client.call_tool(tool, arguments)

    return asyncio.run(ask())


def test_the_tools_explain_themselves(address):
    async def ask():
        async with Client(address) as client:
            return (await client.list_tools()).tools

    tools = {tool.name: tool for tool in asyncio.run(ask())}
    assert tools.keys() == {"analyze_speech", "analyze_text"}
    assert "base64" in tools["analyze_speech"].description
    assert tools["analyze_speech"].input_schema["required"] == ["recording"]


def test_an_agent_has_a_recording_heard(address, clip, office):
    answer = call(address, "analyze_speech", recording=base64.b64encode(clip).decode(), name="a/clip.wav")
    assert not answer.is_error
    found = answer.structured_content
    assert (found["emotion"], found["source"]["name"]) == ("sad", "clip.wav")
    assert office.find(found["id"]).name == "clip.wav"  # it is in the history, as every analysis
    assert list(office.uploads.iterdir()) == []


def test_an_agent_has_a_text_read(address):
    assert call(address, "analyze_text", text="I am joyful.").structured_content["emotion"] == "happy"


@pytest.mark.parametrize(
    ("tool", "arguments", "says"),
    [
        ("analyze_speech", {"recording": "no base64!"}, "is no base64"),
        ("analyze_speech", {"recording": base64.b64encode(b"x" * 1_000_001).decode()}, "more than 1 MB"),
        ("analyze_speech", {"recording": base64.b64encode(b"this is no sound").decode()}, "is a text file"),
        ("analyze_text", {"text": " "}, "no text to read"),
    ],
    ids=["base64", "large", "sound", "empty"],
)
def test_what_cannot_be_used_is_told_to_the_agent(address, tool, arguments, says):
    answer = call(address, tool, **arguments)
    assert answer.is_error
    assert says in answer.content[0].text


def test_a_page_of_another_address_is_refused(address):
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    accepts = {"Accept": "application/json, text/event-stream"}
    strange = {"Host": "evil.example"}, {"Origin": "http://evil.example"}
    assert [httpx.post(address, json=asked, headers=accepts | each).status_code for each in strange] == [421, 403]


def test_without_the_extra_there_are_none_and_the_rest_is_served(office, monkeypatch):
    monkeypatch.setattr(agents, "find_spec", lambda _: None)
    monkeypatch.setitem(sys.modules, "mcp", None)
    app = FastAPI()
    routes = list(app.router.routes)

    async def start():
        async with agents.serving(app, office):
            return list(app.router.routes)

    assert asyncio.run(start()) == routes
