"""Of whatever answers over HTTP, no more is read than is of use; and no URL is told."""

import gzip
import logging
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from agentflow import ToolOptions
from agentflow.activity.failures import to_application_error
from agentflow.adapters import http as http_adapter
from agentflow.adapters import openapi_files, webhook
from agentflow.adapters.http import answers_up_to, http_library
from agentflow.adapters.openapi_files import read_openapi
from agentflow.adapters.webhook import Webhook
from agentflow.core.imported import ImportedTool
from agentflow.core.urls import place_of, without_urls
from agentflow.errors import AgentflowError
from agentflow.imported import McpServer, OpenApiService
from tests.adapters.hostile_server import ANSWERS, HostileServer, hostile_server, packed, refusal
from tests.adapters.test_openapi_service import called, ship
from tests.adapters.test_webhook import SECRET, notice

SOME = 8_000_000
"""Bytes that a server may get rid of: what is read, and what the sockets' buffers hold."""
TOKENS = ("t0ken-path", "t0ken-query")
PATH = f"/{TOKENS[0]}?key={TOKENS[1]}"

Client = Callable[[str], Awaitable[Any]]


async def posts(place: str) -> Any:
    await Webhook(f"http://{place}{PATH}", SECRET).notify(notice())


async def calls(place: str) -> Any:
    contract = ship().contract
    options = ToolOptions(max_result_bytes=100_000, start_to_close_timeout=timedelta(seconds=1))
    tool = ImportedTool(contract.model_copy(update={"options": options}))
    async with OpenApiService(f"http://{place}/{TOKENS[0]}") as service:
        found = await called(service.tool(tool), id=TOKENS[1])
        assert type(found).__name__ == "UnusableOutput"
        raise AgentflowError(str(found))


async def reads(place: str) -> Any:
    await read_openapi(f"http://{place}{PATH}")


async def lists(place: str) -> Any:
    async with McpServer(url=f"http://{place}{PATH}") as server:
        await server.offered()


CLIENTS: dict[str, Client] = {"webhook": posts, "api": calls, "document": reads, "mcp": lists}


@pytest.fixture(scope="module", autouse=True)
def packed_before() -> None:
    """Packing takes the memory that no client may take."""
    packed()


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[HostileServer]:
    monkeypatch.setattr(webhook, "SECONDS", 2)
    monkeypatch.setattr(openapi_files, "FETCH_SECONDS", 2)
    monkeypatch.setattr(openapi_files, "MAX_DOCUMENT_BYTES", 100_000)
    monkeypatch.setattr("agentflow.adapters.mcp_session.CONNECT_SECONDS", 1)
    monkeypatch.setattr("agentflow.adapters.mcp_session.MAX_ANSWER_BYTES", 100_000)
    async with hostile_server() as found:
        yield found


SEEN_BY_ITS_HEAD = ("endless_body", "dripping_body", "bomb")
"""What a webhook has its answer of: more is not read."""


@contextmanager
def little_memory(answer: str) -> Iterator[None]:
    # Of bombs only: it makes all slow. What else is read, the server counts.
    if "bomb" not in answer:
        yield
        return
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("client", CLIENTS)
async def test_whatever_answers_takes_neither_memory_nor_time(
    server: HostileServer, client: str, answer: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server.answer, told = ANSWERS[answer], ""
    with little_memory(answer):
        if client == "webhook" and answer in SEEN_BY_ITS_HEAD:
            await CLIENTS[client](server.place)
        else:
            with pytest.raises(AgentflowError) as failed:
                await CLIENTS[client](server.place)
            told = f"{failed.value!r} {failed.value}"
    assert server.sent < SOME or answer == "endless_hints"
    assert not [token for token in (*TOKENS, "s3cret") if token in told + caplog.text]


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("level", [logging.INFO, logging.DEBUG])
async def test_no_log_line_and_no_error_has_more_of_a_url_than_its_host(
    server: HostileServer, client: str, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    server.answer = refusal
    caplog.set_level(level)
    with pytest.raises(AgentflowError) as failed:
        await CLIENTS[client](server.place)
    told = f"{caplog.text} {failed.value!r} {failed.value}"
    assert not [token for token in TOKENS if token in told]
    assert server.place in caplog.text


async def test_what_another_librarys_error_tells_of_a_url_is_not_in_history() -> None:
    async def fail() -> None:
        raise to_application_error(OSError(f"no answer from https://ann:pw@x.example{PATH}")) from None

    with pytest.raises(ApplicationError) as failed:
        await ActivityEnvironment().run(fail)
    assert failed.value.message == "OSError: no answer from https://x.example"


@pytest.mark.parametrize("client", CLIENTS)
async def test_where_nobody_answers_no_error_has_more_of_a_url_than_its_host(client: str) -> None:
    with pytest.raises(AgentflowError) as failed:
        await CLIENTS[client]("127.0.0.1:9")
    assert not [token for token in TOKENS if token in f"{failed.value!r} {failed.value}"]


def test_what_is_configured_shows_no_more_of_a_url_than_its_host() -> None:
    url = f"https://api.example.com/{TOKENS[0]}"
    shown = [repr(OpenApiService(url)), repr(McpServer(url=f"{url}?key={TOKENS[1]}"))]
    with pytest.raises(AgentflowError) as refused:
        OpenApiService(f"{url}?key={TOKENS[1]}")
    assert not [token for token in TOKENS if token in f"{shown} {refused.value}"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("for url 'https://ann:pw@x.example:8443/a?b=c#d' twice", "for url 'https://x.example:8443' twice"),
        ("Max retries exceeded with url: /hook?token=x (Caused by y)", "Max retries exceeded with url: /... (Caused by y)"),
        ("wss://[::1]:80/a and HTTP://X.example/b", "wss://[::1]:80 and http://x.example"),
        ("no URL: a://b/c, 10/12 and http:", "no URL: a://b/c, 10/12 and http:"),
        ("http://[x/a http://x:y/z", "a URL a URL"),
    ],
)  # fmt: skip
def test_of_a_url_in_an_error_the_host_is_left(text: str, told: str) -> None:
    assert without_urls(text) == told


def test_a_place_is_told_of_a_url_only() -> None:
    assert [place_of(url) for url in ("", "x", "/a", "https://")] == ["a URL"] * 4


class Stream:
    def __init__(self, parts: list[bytes]) -> None:
        self._parts = parts

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            yield part

    async def aclose(self) -> None:
        pass


@pytest.mark.parametrize("size", [1, 7, 10_000])
async def test_what_is_packed_comes_out_whole_however_it_is_cut(size: int) -> None:
    library: Any = http_library("a test", "webhook")
    plain = b"".join(b"%d," % number for number in range(100_000))
    packed = gzip.compress(plain)
    parts = [packed[at : at + size] for at in range(0, len(packed), size)] if size > 1 else [packed]
    response = library.Response(200, headers={"Content-Encoding": "gzip"})
    response.stream = Stream(parts)
    (hook,) = answers_up_to(library)["response"]
    await hook(response)
    found = [part async for part in response.stream]
    assert b"".join(found) == plain
    assert max(map(len, found)) <= http_adapter.PIECE
