"""Extension points by wrong returns: whatever comes back that isn't the answer, counts as no, and in bounded time.

Each row plugs something of a user's own into the real activity. The ports that are asked in workflow code have
the same table in ``tests/core/test_extension_points.py``.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from agentflow.activity import blob_calls, ledger_calls, manifest, notices
from agentflow.activity.answers import AnswerStore
from agentflow.activity.blob_calls import BlobCalls
from agentflow.activity.bounded import close_unawaited
from agentflow.activity.chat import ChatActivity
from agentflow.activity.guards import OutputGuardActivity, check_input
from agentflow.activity.manifest import ManifestActivity, ModelRegistry, keys_of
from agentflow.activity.notices import NotifyActivity
from agentflow.activity.tool import DidNotHappen
from agentflow.activity.transcripts import TranscriptStore
from agentflow.adapters import secret_calls
from agentflow.adapters.memory_blobs import MemoryBlobStore
from agentflow.adapters.secret_calls import secret_of
from agentflow.contracts.budget import Usage
from agentflow.contracts.guards import OutputCheck
from agentflow.contracts.manifest import ManifestRequest, Release
from agentflow.contracts.messages import AssistantMessage, UserMessage
from agentflow.contracts.model import Brief, ChatRequest, ModelAnswer, ModelPrice, ModelSpec
from agentflow.contracts.names import EFFECT_UNKNOWN_ERROR
from agentflow.contracts.notice import Notice
from agentflow.contracts.rules import RuleSetName
from agentflow.contracts.tools import ToolContract
from agentflow.contracts.wire import sha256_of
from agentflow.errors import AgentflowError, AuditError, GuardRefusedError, ToolUnavailableError
from agentflow.ports.keys import RunKey, checked_key
from agentflow.telemetry.redactor import Redactor
from agentflow.testing import MemoryLedger
from agentflow.testing.settings import TEST_PRICE, TEST_SEAL_KEYS, FixedPrices
from benchmarks.attacks.wrong_answers import PLAIN
from tests.activity.attempts import asked, died_after_paying, record_of
from tests.activity.outside import DELAY, Bank, carried_out, environment, failure, invocation_of

SHORT = 0.2
"""Seconds that every limit is set to here."""


WRONG = {name: made for name, made in PLAIN.items() if name != "raises"} | {"a list": lambda: ["yes"]}
"""What raises is no answer at all: what comes of that, the tests of each port say."""


@dataclass(frozen=True)
class Plug:
    """Answers every question with the same, at once or never."""

    answer: Callable[[], Any] | None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)

        async def method(*args: Any, **options: Any) -> Any:
            if self.answer is None:
                # Swallows being cancelled, as a careless ``except BaseException`` does.
                while True:
                    try:
                        await asyncio.sleep(3600)
                    except asyncio.CancelledError:
                        await asyncio.sleep(3600)
            return self.answer()

        return method


NEVER = Plug(None)


@pytest.fixture(autouse=True)
def short_limits(monkeypatch: pytest.MonkeyPatch, no_pauses: None) -> None:
    monkeypatch.setattr(ledger_calls, "LEDGER_SECONDS", SHORT)
    monkeypatch.setattr(blob_calls, "BLOB_SECONDS", SHORT)
    monkeypatch.setattr(manifest, "KEYS_SECONDS", SHORT)
    monkeypatch.setattr(manifest, "PRICE_SECONDS", SHORT)
    monkeypatch.setattr(manifest, "IMPORT_CHECK_SECONDS", SHORT)
    monkeypatch.setattr(notices, "NOTIFY_SECONDS", SHORT)
    monkeypatch.setattr(secret_calls, "SECRET_SECONDS", SHORT)


# ---------------------------------------------------------------- one row a port: raises unless it counts as no


async def probe(plug: Plug) -> None:
    """A second payment is the breach; a person is asked in its place."""
    bank, ledger = Bank(), MemoryLedger()
    await died_after_paying(bank, bank.pay_and_find, ledger)
    ledger.advance(DELAY + timedelta(minutes=2))
    tool = bank.pay_and_find
    tool._probe = lambda *args, **options: plug.find()
    error = await failure(tool, ledger, attempt=2)
    assert bank.payments == ["ada"]
    assert error.type == EFFECT_UNKNOWN_ERROR
    assert (await record_of(ledger, tool)).state == "unknown"


async def probe_when_reconciled(plug: Plug) -> None:
    bank, ledger = Bank(), MemoryLedger()
    await died_after_paying(bank, bank.pay_and_find, ledger)
    ledger.advance(DELAY + timedelta(minutes=2))
    tool = bank.pay_and_find
    tool._probe = lambda *args, **options: plug.find()
    assert (await asked(tool, ledger)).state == "unknown"


def ledger_with(method: str) -> Callable[[Plug], Awaitable[None]]:
    async def row(plug: Plug) -> None:
        """A payment is the breach, unless the call that answered wrong comes after it."""
        bank, real = Bank(), MemoryLedger()
        if method == "get":
            await real.insert((await a_record(bank)).model_copy(update={"owner": "another"}))

        class Ledger:
            def __getattr__(self, name: str) -> Any:
                return getattr(plug if name == method else real, name)

        ledger: Any = Ledger()
        error = await failure(bank.pay, ledger)
        assert bank.payments == []
        assert error.type == "LedgerError"

    return row


async def a_record(bank: Bank) -> Any:
    other = MemoryLedger()
    await carried_out(bank.pay, other)
    bank.payments.clear()
    return (await record_of(other, bank.pay)).model_copy(update={"state": "intended", "result": None})


async def ledger_at_the_end(plug: Plug) -> None:
    """What happened is told all the same, and the record stays one without an end."""
    bank, real = Bank(), MemoryLedger()

    class Ledger:
        def __getattr__(self, name: str) -> Any:
            return getattr(plug if name == "replace" else real, name)

    ledger: Any = Ledger()
    result = await carried_out(bank.pay, ledger)
    assert result.ok
    assert (await record_of(real, bank.pay)).state == "intended"


async def price(plug: Plug) -> None:
    await denied(lambda model: plug.answer() if plug.answer else wait(), lambda model: None)


async def context_tokens(plug: Plug) -> None:
    await denied(lambda model: TEST_PRICE, lambda model: plug.answer() if plug.answer else wait())


def wait() -> None:
    """Holds a thread up, for longer than any limit here."""
    import time

    time.sleep(10 * SHORT)


async def denied(price: Callable[[str], Any], context: Callable[[str], Any]) -> None:
    """A run whose cost can't be bounded does not begin."""

    class Book:
        def price(self, model: str) -> Any:
            return price(model)

        def context_tokens(self, model: str) -> Any:
            return context(model)

    found = await pinned(ModelRegistry(prices=Book()))
    assert found.problem
    assert found.models == ()


async def pinned(registry: ModelRegistry, **options: Any) -> Any:
    request = ManifestRequest(
        agent="Refunds",
        models=("lab:small",),
        release=Release(version="1"),
        tools_hash=sha256_of("tools"),
        rules=RuleSetName(name="refunds", version="1", hash=sha256_of("rules")),
        chain="first",
    )
    made = ManifestActivity(
        registry, "production", {}, search_attributes=False, max_payload_bytes=1_000, **options
    )
    return await environment().run(made.resolve_manifest, request)


async def drift(plug: Plug) -> None:
    """A source that may be another denies the run; one that can't be asked now is asked again at each call."""
    tool = Plug(plug.answer)
    object.__setattr__(tool, "contract", ToolContract.model_construct(name="pay", import_digest="as it was"))
    found = await manifest._drift(tool)  # pyright: ignore
    assert found is not None or plug is NEVER


async def approvers(plug: Plug) -> None:
    """``None`` in the manifest would take everybody at their word."""
    source: Any = plug
    with pytest.raises(AgentflowError):
        await pinned(ModelRegistry(prices=FixedPrices({"lab:small": TEST_PRICE})), approvers=source)
    with pytest.raises(AgentflowError):
        await keys_of(source)


async def input_guard(plug: Plug) -> None:
    guard: Any = plug
    with pytest.raises(GuardRefusedError):
        await check_input(guard, timedelta(seconds=SHORT), [UserMessage(text="hello", label="person")])


async def output_guard(plug: Plug) -> None:
    guard: Any = plug
    activity = OutputGuardActivity(guard, timedelta(seconds=SHORT))
    verdict = await environment().run(activity.guard_output, OutputCheck(output="out"))
    assert verdict.refusal is not None


async def notifier(plug: Plug) -> None:
    sender: Any = plug
    with pytest.raises(ApplicationError) as raised:
        await environment().run(NotifyActivity(sender).notify, Notice.model_construct())
    assert not raised.value.non_retryable


async def model(plug: Plug) -> None:
    client: Any = plug
    with pytest.raises(ApplicationError) as raised:
        await chatted(client, MemoryBlobStore())
    assert raised.value.type == "ModelUnavailable"
    assert "usable" in raised.value.message


async def chatted(client: Any, blobs: Any) -> Any:
    brief = Brief(
        model=ModelSpec(name="lab:small", price=TEST_PRICE),
        instructions="be kind",
        max_output_tokens=10,
        timeout=timedelta(seconds=SHORT),
    )
    activity = ChatActivity(client, TranscriptStore(blobs), AnswerStore(blobs, TEST_SEAL_KEYS))
    request = ChatRequest(
        messages=(UserMessage(text="hello", label="person"),),
        brief=sha256_of(brief.model_dump(mode="json")),
        brief_in_full=brief,
    )
    return await environment(attempt=2).run(activity.chat, request)


async def blobs(plug: Plug) -> None:
    """Lost, which a cache may be: the call goes on without it."""
    store: Any = plug
    answer = ModelAnswer(
        message=AssistantMessage(text="hi"),
        usage=Usage(input_tokens=1),
        response_model="small",
        finish_reason="stop",
    )
    response = await chatted(Plug(lambda: answer), BlobCalls(store))
    assert response.text == "hi"


async def secret(plug: Plug) -> None:
    source: Any = plug
    with pytest.raises(ToolUnavailableError) as raised:
        await secret_of(source, "token")
    assert "yes" not in str(raised.value)


async def run_key(plug: Plug) -> None:
    assert plug.answer
    found = plug.answer()
    with pytest.raises(AuditError):
        checked_key(found, "run-1")
    close_unawaited(found)


async def detector(plug: Plug) -> None:
    class Detector:
        name = "mine"

        def find(self, text: str) -> Any:
            return plug.answer() if plug.answer else wait()

    told = Redactor(Detector(), timeout=timedelta(seconds=SHORT)).text("call me")
    assert told.startswith("[dropped: "), told


ROWS: dict[str, tuple[Callable[[Plug], Awaitable[None]], set[str]]] = {
    # What of the wrong returns is an answer: ``None`` of a guard is its yes, an empty list is no finding.
    "probe": (probe, set()),
    "probe, reconciled": (probe_when_reconciled, set()),
    "ledger.insert": (ledger_with("insert"), {"true", "false"}),
    "ledger.get": (ledger_with("get"), {"none"}),
    "ledger.replace": (ledger_at_the_end, {"true", "false"}),
    "prices.price": (price, set()),
    "prices.context_tokens": (context_tokens, {"none", "one"}),
    "drift check": (drift, {"none"}),
    "approvers.keys": (approvers, set()),
    "input guard": (input_guard, {"none"}),
    "output guard": (output_guard, {"none"}),
    "notifier": (notifier, {"none"}),
    "model client": (model, set()),
    "blobs": (blobs, set()),
    "secrets": (secret, {"yes", "allow", "none"}),
    "run keys": (run_key, {"none"}),
    "detector": (detector, {"empty"}),
}
UNBOUNDED = {"model client", "run keys", "probe", "probe, reconciled", "ledger.replace"}
"""Temporal's time for an attempt bounds models and probes; keys of runs are asked by a command, which people
stop; an end is tried to be recorded six times."""


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("port", ROWS)
async def test_what_is_no_answer_counts_as_no(port: str, wrong: str) -> None:
    row, answers = ROWS[port]
    if wrong not in answers:
        await row(Plug(WRONG[wrong]))


@pytest.mark.parametrize("port", sorted(ROWS.keys() - UNBOUNDED))
async def test_what_never_answers_counts_as_no_in_bounded_time(port: str) -> None:
    row, _ = ROWS[port]
    async with asyncio.timeout(50 * SHORT):
        await row(NEVER)


# ---------------------------------------------------------------- answers of the right type that can't be


IMPOSSIBLE_USAGE = [
    {"input_tokens": -1},
    {"output_tokens": -(10**9)},
    {"input_tokens": "many"},
    {"input_tokens": None},
]


@pytest.mark.parametrize("usage", IMPOSSIBLE_USAGE)
async def test_usage_that_can_not_be_is_no_answer(usage: dict[str, Any]) -> None:
    made = ModelAnswer.model_construct(
        message=AssistantMessage(text="hi"),
        usage=Usage.model_construct(**usage),
        response_model="small",
        finish_reason="stop",
    )
    await model(Plug(lambda: made))


@pytest.mark.parametrize("amount", [Decimal("NaN"), Decimal("-1"), Decimal("Infinity"), None, "free"])
async def test_a_price_that_can_not_be_denies_the_run(amount: Any) -> None:
    made = ModelPrice.model_construct(input_usd_per_mtok=amount, output_usd_per_mtok=Decimal(1))
    await price(Plug(lambda: made))


async def test_a_ledger_that_answers_the_record_of_another_key_is_not_used() -> None:
    bank, other = Bank(), MemoryLedger()
    await carried_out(bank.pay_by_key, other)
    stored = await other.get(invocation_of(bank.pay_by_key).ledger_key)
    await ledger_with("get")(Plug(lambda: stored))


class StillGoing(DidNotHappen):
    """A probe's own third answer."""


async def test_a_probe_that_answers_more_than_no_leaves_the_call_in_doubt() -> None:
    await probe(Plug(StillGoing))
    await probe(Plug(lambda: DidNotHappen))


async def test_a_probe_that_says_so_is_believed() -> None:
    bank, ledger = Bank(), MemoryLedger()
    bank.refusal = OSError("no line")
    with pytest.raises(ApplicationError):
        await carried_out(bank.pay_and_find, ledger)
    bank.refusal = None
    ledger.advance(DELAY + timedelta(minutes=2))
    assert (await carried_out(bank.pay_and_find, ledger, attempt=2)).ok
    assert (bank.payments, bank.probed) == (["ada"], 1)


@pytest.mark.parametrize("key", [b"short", "0" * 32, None])
def test_a_key_that_is_none_can_not_be_made(key: Any) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        RunKey("run-1", key, datetime.now(UTC))


async def test_a_guard_that_refuses_for_no_reason_refuses() -> None:
    guard: Any = Plug(lambda: "")
    with pytest.raises(GuardRefusedError):
        await check_input(guard, timedelta(seconds=1), [UserMessage(text="hello", label="person")])
