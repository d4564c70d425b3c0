"""Notices as webhooks: signed so that any receiver's library can check them."""

import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from standardwebhooks.webhooks import Webhook as Receiver
from standardwebhooks.webhooks import WebhookVerificationError

from agentflow.adapters.webhook import Webhook
from agentflow.contracts.notice import Notice
from agentflow.errors import ConfigurationError, NoticeRefusedError, OutsideError
from tests.core.samples import DEADLINE, approval_request
from tests.http_app import served

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
OLD = "whsec_" + base64.b64encode(b"o" * 32).decode()


def notice(**given: Any) -> Notice:
    return Notice(
        id="notice_1",
        kind="approval.requested",
        at=DEADLINE - timedelta(hours=1),
        workflow_id="refund-ünï",
        agent="Refunds",
        tenant="acme",
        approval=approval_request(**given),
        text="# Refund",
    )


class Endpoint:
    def __init__(self) -> None:
        self.url = ""
        self.status = 204
        self.headers: dict[str, str] = {}
        self.got: list[tuple[dict[str, str], bytes]] = []

    async def take(self, request: web.Request) -> web.Response:
        self.got.append(({**request.headers}, await request.read()))
        return web.Response(status=self.status, headers=self.headers)


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    found = Endpoint()
    app = web.Application()
    app.router.add_post("/hook", found.take)
    async with served(app) as url:
        found.url = f"{url}/hook"
        yield found


async def test_a_receivers_own_library_believes_it_and_it_says_what_is_to_be_decided(
    endpoint: Endpoint,
) -> None:
    await Webhook(endpoint.url, SECRET).notify(notice(arguments={"note": "ü"}))
    headers, body = endpoint.got[0]
    document = Receiver(SECRET).verify(body, headers)
    assert headers["webhook-id"] == "notice_1"
    assert document["type"] == "approval.requested"
    assert document["data"]["approval"]["arguments"] == {"note": "ü"}
    assert (document["data"]["workflow_id"], document["data"]["text"]) == ("refund-ünï", "# Refund")


async def test_a_body_that_was_changed_on_the_way_is_not_believed(endpoint: Endpoint) -> None:
    await Webhook(endpoint.url, SECRET).notify(notice(arguments={"amount": "900"}))
    headers, body = endpoint.got[0]
    with pytest.raises(WebhookVerificationError):
        Receiver(SECRET).verify(body.replace(b"900", b"100"), headers)


async def test_while_a_secret_is_replaced_both_are_believed(endpoint: Endpoint) -> None:
    await Webhook(endpoint.url, [SECRET, OLD]).notify(notice())
    headers, body = endpoint.got[0]
    assert Receiver(SECRET).verify(body, headers) == Receiver(OLD).verify(body, headers)


async def test_each_attempt_is_of_its_own_time(endpoint: Endpoint) -> None:
    times = iter([datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)])
    hook = Webhook(endpoint.url, SECRET, now=lambda: next(times))
    await hook.notify(notice())
    await hook.notify(notice())
    first, second = (headers for headers, _ in endpoint.got)
    assert first["webhook-id"] == second["webhook-id"]
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 86_400


@pytest.mark.parametrize("status", [301, 400, 404, 429, 500])
async def test_anything_but_success_is_tried_again(endpoint: Endpoint, status: int) -> None:
    endpoint.status, endpoint.headers = status, {"Retry-After": "30"}
    with pytest.raises(OutsideError, match=f"HTTP {status}") as failed:
        await Webhook(endpoint.url, SECRET).notify(notice())
    assert failed.value.retry_after == timedelta(seconds=30)


async def test_an_endpoint_that_is_gone_is_left_alone(endpoint: Endpoint) -> None:
    endpoint.status = 410
    with pytest.raises(NoticeRefusedError):
        await Webhook(endpoint.url, SECRET).notify(notice())


async def test_a_failure_names_the_host_and_never_the_url() -> None:
    hook = Webhook("http://127.0.0.1:9/hook?token=s3cret", SECRET)
    with pytest.raises(OutsideError, match=r"webhook at 127\.0\.0\.1: ConnectError") as failed:
        await hook.notify(notice())
    assert "s3cret" not in str(failed.value) + repr(hook)


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("http://example.com/hook", SECRET),
        ("example.com", SECRET),
        ("https://example.com", "whsec_short"),
        ("https://example.com", "whsec_" + base64.b64encode(b"short").decode()),
        ("https://example.com", "whsec_ü"),
        ("https://example.com", []),
    ],
)
def test_a_url_or_a_secret_that_protects_nothing_is_refused(url: str, secret: Any) -> None:
    with pytest.raises(ConfigurationError):
        Webhook(url, secret)


async def test_the_body_is_json_whatever_the_arguments_hold(endpoint: Endpoint) -> None:
    await Webhook(endpoint.url, SECRET).notify(notice(arguments={"a": "\ud800", "b": "</script>"}))
    assert json.loads(endpoint.got[0][1])["data"]["approval"]["arguments"]["b"] == "</script>"
