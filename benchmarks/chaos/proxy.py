"""Payments as the workers see them: a proxy that refuses, cuts and delays some of the requests.

refused     503, and payments never hear of it
cut_before  the connection ends, and payments never hear of it
late        payments hear of it after the client has given up, and carry it out all the same
slow        carried out at once; the answer comes after the client has given up
cut_after   carried out; the connection ends before the answer

For one of the tools it stands for a payment system that honours idempotency keys: what it was asked for with
a key it asks for once, and gives everybody with that key the same answer.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal, Self
from urllib.parse import parse_qs

from activities.payments import KEY_METADATA
from agentflow.adapters.process import HOST
from benchmarks.chaos.timing import CLIENT_TIMEOUT, LATEST_EFFECT, MAX_EFFECT_DELAY
from benchmarks.chaos.tools import KEYED, ORDER_METADATA, TOOL_METADATA

ProxyFault = Literal["refused", "cut_before", "late", "slow", "cut_after"]

REFUNDS: Mapping[ProxyFault, float] = {
    "refused": 0.06,
    "cut_before": 0.04,
    "late": 0.08,
    "slow": 0.05,
    "cut_after": 0.06,
}
"""How likely each is when a refund is asked for."""
OFTEN_LATE: Mapping[ProxyFault, float] = {**REFUNDS, "late": 0.6}
"""The same for runs whose next attempt may come too early."""
LOOKS: Mapping[ProxyFault, float] = {"refused": 0.03, "cut_before": 0.02, "slow": 0.01}
"""How likely each is when payments are only looked at."""

_TRY_LATER = b'{"error": {"type": "api_error", "message": "try again later"}}'
_UNAVAILABLE = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_TRY_LATER), _TRY_LATER)
)


@dataclass
class ProxyReport:
    """What the proxy has done, and how well it kept its own promise."""

    faults: Counter[str] = field(default_factory=Counter[str])
    """By kind, refunds and looks together."""
    refunds_forwarded: int = 0
    latest_effect: float = 0.0
    """Seconds from a refund's arrival to its being carried out, the longest."""
    bound_broken: int = 0
    """Refunds that were carried out later than ``MAX_EFFECT_DELAY`` lets tools count on."""


@dataclass(frozen=True)
class _Request:
    head: bytes
    body: bytes
    arrived: float

    @property
    def is_refund(self) -> bool:
        return self.head.startswith(b"POST /v1/refunds ")

    def metadata(self, name: str) -> str:
        """A field of the refund's metadata; empty if it has none."""
        return parse_qs(self.body.decode()).get(f"metadata[{name}]", [""])[0]

    @property
    def honoured_key(self) -> str | None:
        """The idempotency key, where it counts for something."""
        if not self.is_refund or self.metadata(TOOL_METADATA) != KEYED:
            return None
        return self.metadata(KEY_METADATA)


class PaymentsProxy:
    """One connection, one request; from ``async with`` to the end of its block."""

    def __init__(self, upstream_port: int, seed: int, late_orders: Collection[str] = ()) -> None:
        """Describe the proxy.

        Args:
            upstream_port: Where payments listen.
            seed: Decides on the faults.
            late_orders: Orders whose refunds are often late.
        """
        self._late_orders = late_orders
        self._by_key: dict[str, asyncio.Task[bytes]] = {}
        self.report: ProxyReport = ProxyReport()
        self._upstream_port = upstream_port
        self._random = random.Random(f"{seed}/proxy")
        self._server: asyncio.Server | None = None
        self._under_way: set[asyncio.Task[None]] = set()

    @property
    def base_url(self) -> str:
        """What a Stripe client takes as the API's address."""
        assert self._server is not None
        return f"http://{HOST}:{self._server.sockets[0].getsockname()[1]}"

    async def settled(self) -> None:
        """Wait until nothing that was asked for can still have an effect."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, HOST, 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._under_way:
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task of our own: what payments were asked for goes on when the client has gone.
        task = asyncio.current_task()
        assert task is not None
        self._under_way.add(task)
        try:
            request = await _read(reader)
            if request is not None:
                await self._treat(request, writer)
        except OSError:
            pass
        finally:
            self._under_way.discard(task)
            writer.close()

    async def _treat(self, request: _Request, writer: asyncio.StreamWriter) -> None:
        is_late = request.is_refund and request.metadata(ORDER_METADATA) in self._late_orders
        fault = self._drawn(OFTEN_LATE if is_late else REFUNDS if request.is_refund else LOOKS)
        if fault:
            self.report.faults[fault] += 1
        gives_up, latest = CLIENT_TIMEOUT.total_seconds() + 0.3, LATEST_EFFECT.total_seconds()
        match fault:
            case "refused":
                writer.write(_UNAVAILABLE)
            case "cut_before":
                pass
            case "late":
                await asyncio.sleep(self._random.uniform(gives_up, latest - 0.2))
                await self._forward(request)
            case "slow":
                answer = await self._forward(request)
                await asyncio.sleep(gives_up)
                writer.write(answer)
            case "cut_after":
                await self._forward(request)
            case None:
                writer.write(await self._forward(request))

    def _drawn(self, likely: Mapping[ProxyFault, float]) -> ProxyFault | None:
        drawn = self._random.random()
        for fault, probability in likely.items():
            if drawn < probability:
                return fault
            drawn -= probability
        return None

    async def _forward(self, request: _Request) -> bytes:
        key = request.honoured_key
        if key is None:
            return await self._carried_out(request)
        if key not in self._by_key:
            self._by_key[key] = asyncio.create_task(self._carried_out(request))
        answer = await self._by_key[key]
        if not answer:
            del self._by_key[key]  # given up: a later request with the key is the first
        return answer

    async def _carried_out(self, request: _Request) -> bytes:
        loop = asyncio.get_running_loop()
        if loop.time() - request.arrived > LATEST_EFFECT.total_seconds():
            # This machine was too busy for the promise: as if payments had given up as well.
            self.report.faults["dropped"] += 1
            return b""
        reader, writer = await asyncio.open_connection(HOST, self._upstream_port)
        try:
            writer.write(request.head + request.body)
            answer = await reader.read()
        finally:
            writer.close()
        if request.is_refund:
            took = loop.time() - request.arrived
            self.report.refunds_forwarded += 1
            self.report.latest_effect = max(self.report.latest_effect, took)
            self.report.bound_broken += took > MAX_EFFECT_DELAY.total_seconds()
        return answer


async def _read(reader: asyncio.StreamReader) -> _Request | None:
    """One request, which is to close its connection; ``None`` if the client went away before it was whole."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (x.partition(b":") for x in lines)
        }
        body = await reader.readexactly(int(headers.get(b"content-length", b"0")))
    except asyncio.IncompleteReadError:
        return None
    kept = [line for line in lines if not line.lower().startswith(b"connection:")]
    whole = b"\r\n".join([*kept, b"Connection: close", b"", b""])
    return _Request(whole, body, asyncio.get_running_loop().time())
