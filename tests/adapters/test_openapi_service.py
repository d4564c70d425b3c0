"""Calls of an imported API, against a server that answers over HTTP."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from agentflow import ToolContext, ToolError, ToolOptions, ToolUnavailableError
from agentflow.activity.outside import OutsideTool, UnusableOutput
from agentflow.adapters.http import retry_after
from agentflow.contracts.wire import Sha256, ToolCallId
from agentflow.core.imported import ImportedTool
from agentflow.core.openapi import OpenApiDocument
from agentflow.errors import ConfigurationError, OutsideError
from agentflow.imported import EnvironmentSecrets, OpenApiService
from tests.http_app import served

CONTEXT = ToolContext(call_id=ToolCallId("c"), idempotency_key=Sha256("k" * 64))
SECRET = "s3cret-token/with+signs"


def document(**operation: Any) -> dict[str, Any]:
    return {
        "openapi": "3.1.0",
        "info": {"title": "Orders"},
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic"},
                "header": {"type": "apiKey", "in": "header", "name": "X-Key"},
                "query": {"type": "apiKey", "in": "query", "name": "key"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": "sid"},
            }
        },
        "paths": {
            "/orders/{id}": {
                "post": {
                    "operationId": "ship",
                    "parameters": [
                        {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}},
                        {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string"}},
                    ],
                    "requestBody": {
                        "required": True,
                        "content": {
                            "application/json": {
                                "schema": {"type": "object", "properties": {"to": {"type": "string"}}}
                            }
                        },
                    },
                    "responses": {"200": {"content": {"application/json": {"schema": {}}}}},
                    **operation,
                }
            }
        },
    }


def ship(**operation: Any) -> ImportedTool:
    return ImportedTool(OpenApiDocument(document(**operation)).contract("ship"))


class Api:
    """Remembers requests and answers as it is told."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.bodies: list[bytes] = []
        self.answer: Callable[[web.Request], Any] = lambda _: web.json_response({"shipped": True})
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.bodies.append(await request.read())
        answer = self.answer(request)
        return await answer if asyncio.iscoroutine(answer) else answer


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    found = Api()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", found.handle)
    async with served(app) as url:
        found.url = f"{url}/v1"
        yield found


async def called(tool: OutsideTool, **arguments: Any) -> Any:
    return await tool.perform(tool.read({"id": "7", **arguments}, CONTEXT))


async def test_a_call_is_the_request_that_the_document_describes(api: Api) -> None:
    async with OpenApiService(api.url) as service:
        assert await called(service.tool(ship()), to="Rome") == {"shipped": True}
    request = api.requests[0]
    assert (request.method, request.path) == ("POST", "/v1/orders/7")
    assert json.loads(api.bodies[0]) == {"to": "Rome"}
    assert request.headers["Idempotency-Key"] == "k" * 64


async def test_fixed_arguments_are_sent_whatever_the_model_says(api: Api) -> None:
    async with OpenApiService(api.url) as service:
        await called(service.tool(ship().adapted(fixed={"to": "Rome"})), to="Carthage")
    assert json.loads(api.bodies[0]) == {"to": "Rome"}


@pytest.mark.parametrize("scheme", ["bearer", "basic", "header", "query", "cookie"])
async def test_each_scheme_carries_the_secret_that_the_worker_knows(
    api: Api, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERS_TOKEN", SECRET)
    secrets = EnvironmentSecrets({scheme: "ORDERS_TOKEN"})
    async with OpenApiService(api.url, secrets=secrets) as service:
        await called(service.tool(ship(security=[{scheme: []}])))
    request = api.requests[0]
    sent = {
        "bearer": request.headers.get("Authorization"),
        "basic": request.headers.get("Authorization"),
        "header": request.headers.get("X-Key"),
        "query": request.query.get("key"),
        "cookie": request.cookies.get("sid"),
    }[scheme]
    encoded = base64.b64encode(SECRET.encode()).decode()
    assert sent == {"bearer": f"Bearer {SECRET}", "basic": f"Basic {encoded}"}.get(scheme, SECRET)


async def test_the_first_alternative_with_all_its_secrets_is_taken(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERS_TOKEN", SECRET)
    secrets = EnvironmentSecrets({"header": "ORDERS_TOKEN"})
    async with OpenApiService(api.url, secrets=secrets) as service:
        await called(service.tool(ship(security=[{"bearer": [], "header": []}, {"header": []}])))
    assert api.requests[0].headers["X-Key"] == SECRET
    assert "Authorization" not in api.requests[0].headers


async def test_without_a_secret_nothing_is_sent(api: Api) -> None:
    async with OpenApiService(api.url) as service:
        with pytest.raises(ToolUnavailableError, match="no secret for bearer or header"):
            await called(service.tool(ship(security=[{"bearer": []}, {"header": []}])))
    assert api.requests == []


async def test_no_secret_is_in_a_result_or_an_error_text(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERS_TOKEN", SECRET)
    secrets = EnvironmentSecrets({"bearer": "ORDERS_TOKEN"})
    async with OpenApiService(api.url, secrets=secrets) as service:
        tool = service.tool(ship(security=[{"bearer": []}]))
        echo = {"you": [f"Bearer {SECRET}", {SECRET: base64.b64encode(SECRET.encode()).decode()}]}
        api.answer = lambda _: web.json_response(echo)
        assert await called(tool) == {"you": ["Bearer [secret]", {"[secret]": "[secret]"}]}
        for status in (400, 401, 500):
            api.answer = lambda _, status=status: web.Response(status=status, text=f"bad {SECRET}")
            with pytest.raises(Exception, match="HTTP") as failed:
                await called(tool)
            assert SECRET not in str(failed.value)
            assert SECRET not in repr(failed.value.__cause__)
    assert SECRET not in repr(service) + repr(secrets) + repr(tool)


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422])
async def test_a_refusal_is_told_to_the_model(api: Api, status: int) -> None:
    api.answer = lambda _: web.Response(status=status, text="no such order")
    async with OpenApiService(api.url) as service:
        with pytest.raises(ToolError, match=f"ship: HTTP {status}: no such order"):
            await called(service.tool(ship()))


@pytest.mark.parametrize("status", [401, 429, 302])
async def test_what_certainly_did_nothing_is_tried_again_later(api: Api, status: int) -> None:
    api.answer = lambda _: web.Response(status=status, headers={"Retry-After": "7", "Location": "http://x"})
    async with OpenApiService(api.url) as service:
        with pytest.raises(ToolUnavailableError, match=f"HTTP {status}") as failed:
            await called(service.tool(ship()))
    assert failed.value.retry_after == timedelta(seconds=7)
    assert len(api.requests) == 1


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
async def test_what_may_have_done_something_is_in_doubt(api: Api, status: int) -> None:
    api.answer = lambda _: web.Response(status=status, headers={"Retry-After": "9"})
    async with OpenApiService(api.url) as service:
        with pytest.raises(OutsideError, match=f"HTTP {status}") as failed:
            await called(service.tool(ship()))
    assert failed.value.retry_after == timedelta(seconds=9)


async def test_a_connection_that_is_refused_did_nothing_and_one_that_breaks_may_have(api: Api) -> None:
    async with OpenApiService("http://127.0.0.1:9") as service:
        with pytest.raises(ToolUnavailableError, match="no connection"):
            await called(service.tool(ship()))

    def breaks(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    api.answer = breaks
    async with OpenApiService(api.url) as service:
        with pytest.raises(OutsideError):
            await called(service.tool(ship()))


async def test_an_api_that_takes_too_long_is_in_doubt(api: Api) -> None:
    async def never() -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    api.answer = lambda _: never()
    options = ToolOptions(start_to_close_timeout=timedelta(milliseconds=300))
    async with OpenApiService(api.url) as service:
        with pytest.raises(OutsideError, match="no answer within"):
            await called(service.tool(ship().adapted(options=options)))


async def test_an_answer_that_is_too_long_is_not_read_to_its_end(api: Api) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65_536)

    api.answer = endless
    async with OpenApiService(api.url) as service:
        tool = service.tool(ship().adapted(options=ToolOptions(max_result_bytes=10_000)))
        found = await called(tool)
    assert found == UnusableOutput("the answer is longer than the limit of 10000 bytes")
    with pytest.raises(ValueError, match="longer than the limit"):
        tool.as_json(found)


async def test_an_answer_that_is_no_json_is_unusable_and_no_failure(api: Api) -> None:
    api.answer = lambda _: web.Response(text="{", content_type="application/json")
    async with OpenApiService(api.url) as service:
        assert isinstance(await called(service.tool(ship())), UnusableOutput)


async def test_text_is_a_string_and_nothing_is_null(api: Api) -> None:
    async with OpenApiService(api.url) as service:
        tool = service.tool(ship())
        api.answer = lambda _: web.Response(text="shipped")
        assert await called(tool) == "shipped"
        api.answer = lambda _: web.Response(status=204)
        assert await called(tool) is None


async def test_a_document_that_changed_is_told_with_the_difference(api: Api) -> None:
    now = document(summary="Ship an order, and bill it twice")
    async with OpenApiService(api.url, document=now) as service:
        told = await service.tool(ship()).drift(ship().contract)
    assert told is not None
    assert "Orders has another POST /orders/{id} than the one imported" in told
    assert "bill it twice" in told


async def test_a_document_that_is_the_same_is_no_drift(api: Api) -> None:
    async with OpenApiService(api.url, document=document()) as service:
        assert await service.tool(ship()).drift(ship().contract) is None


@pytest.mark.parametrize(
    "url", ["orders.example.com", "ftp://example.com", "https://u:p@example.com", "https://example.com?a=1"]
)
def test_a_base_url_that_is_none_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError, match="base_url"):
        OpenApiService(url)


async def test_a_service_that_is_not_open_did_nothing() -> None:
    with pytest.raises(ToolUnavailableError, match="use async with"):
        await called(OpenApiService("http://127.0.0.1:9").tool(ship()))


NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("120", timedelta(minutes=2)),
        ("Thu, 26 Nov 2026 12:01:00 GMT", timedelta(minutes=1)),
        ("Thu, 26 Nov 2026 11:00:00 GMT", timedelta(0)),
        ("soon", None),
        ("-1", None),
        ("9" * 400, None),
        (None, None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, wait: timedelta | None) -> None:
    assert retry_after(header, NOW) == wait
