"""Notices as webhooks, after the Standard Webhooks specification (standardwebhooks.com)."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from urllib.parse import urlsplit

from agentflow.adapters.http import answers_up_to, http_library, retry_after
from agentflow.contracts.notice import Notice
from agentflow.contracts.wire import Json
from agentflow.errors import ConfigurationError, NoticeRefusedError, OutsideError

PREFIX = "whsec_"
MIN_SECRET_BYTES = 24
"""The specification: 24 to 64 bytes."""
SECONDS = 15.0
"""How long one attempt may take, from the first byte of the connection to the head of the answer."""
GONE = 410
"""The specification: the endpoint is disabled, and wants no more."""


def signatures(secrets: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> str:
    """The ``webhook-signature`` header: HMAC-SHA256 over id, timestamp and body, one for each secret.

    Args:
        secrets: The present one, and those that are going out of use.
        message_id: The ``webhook-id``.
        timestamp: The ``webhook-timestamp``, in seconds since 1970.
        body: As it is sent.
    """
    signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
    made = (base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode() for secret in secrets)
    return " ".join(f"v1,{signature}" for signature in made)


class Webhook:
    """Posts notices to a URL.

    A receiver holds the signature against the body (any library of Standard Webhooks does), and answers with
    2xx. Anything else is tried again with growing pauses until the notice's deadline, or after what
    ``Retry-After`` asks for; 410 is not. Redirects are not followed, and of an answer nothing but its head is
    read. The URL may hold a token: no error, log line or trace has more of it than the host.
    """

    def __init__(
        self, url: str, secret: str | Sequence[str], *, now: Callable[[], datetime] | None = None
    ) -> None:
        """Say where to.

        Args:
            url: Of HTTPS; HTTP is for this machine only.
            secret: ``whsec_`` and base64 of 24 to 64 bytes; several while one replaces another.
            now: The clock.

        Raises:
            ConfigurationError: the URL is none, or a secret is too weak.
            MissingExtraError: the ``webhook`` extra isn't installed.
        """
        self._http = http_library("a webhook", "webhook")
        try:
            # As it will be read: what it can't be sent to is found out now.
            self._http.URL(url)
            parts = urlsplit(url)
        except (ValueError, TypeError, self._http.InvalidURL):
            raise ConfigurationError("a webhook's URL is no URL") from None
        is_local = parts.hostname in ("localhost", "127.0.0.1", "::1")
        if not parts.hostname or (parts.scheme != "https" and not (parts.scheme == "http" and is_local)):
            raise ConfigurationError("a webhook's URL is of HTTPS: a notice says what a run is about to do")
        self._url = url
        self._host = parts.hostname
        given = [secret] if isinstance(secret, str) else list(secret)
        self._secrets = [_secret(one) for one in given]
        if not self._secrets:
            raise ConfigurationError("a webhook needs a secret")
        self._now = now or (lambda: datetime.now(UTC))

    async def notify(self, notice: Notice) -> None:
        """Post it.

        Raises:
            NoticeRefusedError: the endpoint is gone.
            OutsideError: it didn't answer with 2xx.
        """
        body = json.dumps(_document(notice), ensure_ascii=False).encode(errors="replace")
        # Of this attempt: receivers refuse what is old.
        timestamp = int(self._now().timestamp())
        headers = {
            "content-type": "application/json",
            "webhook-id": notice.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signatures(self._secrets, notice.id, timestamp, body),
        }
        status, again = await self._posted(body, headers)
        if 200 <= status < 300:
            return
        if status == GONE:
            raise NoticeRefusedError(f"webhook at {self._host}: HTTP {GONE}, the endpoint wants no more")
        wait = retry_after(again, self._now())
        raise OutsideError(f"webhook at {self._host}: HTTP {status}", retry_after=wait)

    async def _posted(self, body: bytes, headers: dict[str, str]) -> tuple[int, str | None]:
        """The status, and what ``Retry-After`` says. The connection is closed on the rest of the answer."""
        http = self._http
        try:
            async with (
                asyncio.timeout(SECONDS),
                http.AsyncClient(
                    follow_redirects=False, timeout=SECONDS, event_hooks=answers_up_to(http)
                ) as client,
                client.stream("POST", self._url, content=body, headers=headers) as response,
            ):
                return response.status_code, response.headers.get("Retry-After")
        except (http.HTTPError, http.InvalidURL, OSError, ValueError) as error:
            # The URL may hold a token of its own, so no text of it goes into history.
            raise OutsideError(f"webhook at {self._host}: {type(error).__name__}") from None

    def __repr__(self) -> str:
        return f"Webhook({self._host})"


def _document(notice: Notice) -> Json:
    data = notice.model_dump(mode="json", exclude={"id", "kind", "at"})
    return {"type": notice.kind, "timestamp": notice.at.isoformat(), "data": data}


def _secret(text: str) -> bytes:
    try:
        found = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except ValueError:
        raise ConfigurationError(f"a webhook's secret is {PREFIX} and base64") from None
    if len(found) < MIN_SECRET_BYTES:
        raise ConfigurationError(f"a webhook's secret has at least {MIN_SECRET_BYTES} bytes")
    return found
