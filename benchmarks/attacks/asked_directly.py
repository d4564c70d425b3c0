"""Extension points that no single run comes by: asked as the worker asks them, through the same functions."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from random import Random
from time import sleep
from typing import Any

from agentflow.activity import blob_calls, manifest, notices
from agentflow.activity.blob_calls import BlobCalls
from agentflow.activity.manifest import ModelRegistry
from agentflow.activity.notices import NotifyActivity
from agentflow.activity.stops import StopReader
from agentflow.contracts.grounds import Grounds
from agentflow.contracts.model import ModelPrice
from agentflow.contracts.notice import Notice
from agentflow.contracts.wire import sha256_of
from benchmarks.attacks.tried import Tried
from benchmarks.attacks.twins import replaced
from benchmarks.attacks.wrong_answers import answered, kind_of, made

GROUNDS = Grounds(agent="Cashier", tenant="default", requested_by="inbox", tier="dev", identity="trusted")
_PRICES: dict[str, Callable[[], Any]] = {
    "nan": lambda: _price(Decimal("NaN")),
    "below": lambda: _price(Decimal(-1)),
    "endless": lambda: _price(Decimal("Infinity")),
    "free": lambda: _price("free"),
}


@dataclass
class Plug:
    """Answers each question with the same kind of answer."""

    kind: str

    async def keys(self) -> Any:
        """Fulfil ``ApproverSource``, or not."""
        return await answered(self.kind)

    async def stops(self, namespace: str) -> Any:
        """Fulfil that part of ``EffectLedger``, or not."""
        return await answered(self.kind)

    async def get(self, root: str, name: str) -> Any:
        """Fulfil that part of ``BlobStore``, or not."""
        return await answered(self.kind)

    async def notify(self, notice: Notice) -> Any:
        """Fulfil ``Notifier``, or not."""
        return await answered(self.kind)

    def price(self, model: str) -> Any:
        """Fulfil ``PriceBook``, or not."""
        if self.kind == "hang":
            sleep(1)
        return _PRICES[self.kind]() if self.kind in _PRICES else made(self.kind)

    def context_tokens(self, model: str) -> None:
        """Know nothing."""


async def _keys(plug: Any) -> bool:
    """A run begins with keys that are none, or takes everybody at their word."""
    await manifest.keys_of(plug)
    return True


async def _stops(plug: Any) -> bool:
    """A write goes on."""
    return not await _STOPS[0](plug, heard_within=timedelta(seconds=_LIMIT[0])).objections("ns", GROUNDS)


async def _blobs(plug: Any) -> bool:
    """Something that is no content goes into a conversation."""
    return await _BLOBS[0](plug).get(sha256_of("root"), sha256_of("name")) is not None


async def _notices(plug: Any) -> bool:
    """A notice that nobody got counts as delivered."""
    await _NOTIFY[0](plug).notify(Notice.model_construct())
    return True


async def _prices(plug: Any) -> bool:
    """A run begins whose cost can't be bounded."""
    _REGISTRY[0](prices=plug).resolve("lab:small")
    return True


# Which the twin replaces: what workers make of these is not a global of a module.
_STOPS: list[Any] = [StopReader]
_BLOBS: list[Any] = [BlobCalls]
_NOTIFY: list[Any] = [NotifyActivity]
_REGISTRY: list[Any] = [ModelRegistry]
_LIMIT: list[float] = [1.0]

ASKED: dict[str, tuple[Callable[[Any], Awaitable[bool]], frozenset[str]]] = {
    "approvers.keys": (_keys, frozenset()),
    "ledger.stops": (_stops, frozenset()),
    "blobs.get": (_blobs, frozenset({"none"})),
    "notifier": (_notices, frozenset({"none"})),
    "prices": (_prices, frozenset()),
}
"""Each with the kinds that are answers there."""


async def tried(random: Random, attempts: int) -> list[Tried]:
    """Ask each with wrong answers plugged in."""

    async def ask(name: str, kind: str) -> Tried:
        question, _ = ASKED[name]
        try:
            # A question that takes far longer than its limit has none.
            async with asyncio.timeout(20 * _LIMIT[0]):
                hit = await question(Plug(kind))
        except TimeoutError:
            hit = kind == "hang"
        except Exception:
            hit = False
        return Tried(f"{name}: {kind}", hit)

    found: list[Tried] = []
    for number in range(attempts):
        name = sorted(ASKED)[number % len(ASKED)]
        also = {"hang": None} if name != "prices" else {"hang": None, **_PRICES}
        found.append(await ask(name, kind_of(random, also, ASKED[name][1])))
    return found


@contextmanager
def short_limits(seconds: float) -> Iterator[None]:
    """Set the limits of all of them."""
    with ExitStack() as stack:
        for limit in (
            manifest.KEYS_SECONDS,
            manifest.PRICE_SECONDS,
            blob_calls.BLOB_SECONDS,
            notices.NOTIFY_SECONDS,
        ):
            stack.enter_context(replaced(limit, seconds))
        before, _LIMIT[0] = _LIMIT[0], seconds
        yield
        _LIMIT[0] = before


class _TruthyStops(StopReader):
    async def objections(self, namespace: str, grounds: Grounds) -> tuple[str, ...]:
        """Take what is false for nothing that is forbidden."""
        return ("forbidden",) if await self._ledger.stops(namespace) else ()


class _TruthyBlobs(BlobCalls):
    async def get(self, root: Any, name: Any) -> Any:
        """Take what is true for content."""
        return await self._store.get(root, name) or None


class _TruthyNotify(NotifyActivity):
    async def notify(self, notice: Notice) -> None:
        """Take what is true for delivered."""
        if not await self._notifier.notify(notice):  # type: ignore[func-returns-value]
            raise RuntimeError("not delivered")


class _TruthyRegistry(ModelRegistry):
    def _price(self, model: str) -> ModelPrice | None:
        """Take what is true for a price."""
        return self.prices.price(model) or None

    def resolve(self, name: str) -> Any:
        """Go on with what is a price."""
        if not self._price(name):
            raise RuntimeError("no price")


@contextmanager
def truthy() -> Iterator[None]:
    """A twin that takes whatever is true for a yes."""

    async def keys_of(source: Any) -> Any:
        if not (found := await source.keys()):
            raise RuntimeError("no keys")
        return found

    twins = {0: _TruthyStops, 1: _TruthyBlobs, 2: _TruthyNotify, 3: _TruthyRegistry}
    places = (_STOPS, _BLOBS, _NOTIFY, _REGISTRY)
    before = [place[0] for place in places]
    with replaced(manifest.keys_of, keys_of):
        for number, place in enumerate(places):
            place[0] = twins[number]
        yield
        for place, one in zip(places, before, strict=True):
            place[0] = one


def _price(amount: Any) -> ModelPrice:
    return ModelPrice.model_construct(input_usd_per_mtok=amount, output_usd_per_mtok=Decimal(1))
