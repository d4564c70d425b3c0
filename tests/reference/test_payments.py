import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from decimal import Decimal

import pytest
import stripe
from jsonschema import Draft202012Validator
from temporalio.exceptions import ApplicationError

from activities.payments import Payments, PaymentTools, Refund
from activities.shop import ShopDatabase
from agentflow import DidNotHappen, EffectUnknownError, Happened, ToolError
from agentflow.activity.execution import tool_activity
from agentflow.activity.ledger_calls import LedgerCalls
from agentflow.adapters.memory_blobs import MemoryBlobStore
from agentflow.contracts.rules import Decision
from agentflow.contracts.tools import ToolInvocation
from agentflow.contracts.wire import ToolCallId, sha256_of
from agentflow.core.idempotency import arguments_hash
from agentflow.testing import MemoryLedger
from agentflow.testing.settings import TEST_SEAL_KEYS
from tests.activity.outside import environment
from tests.reference.conftest import API_KEY, PaidOrder, PlaceOrder, context_of

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def refund(order: PaidOrder, amount_usd: str, call: str) -> Refund:
    return await order.refunds.refund_order(
        context=context_of(call), order_id=order.order_id, amount_usd=Decimal(amount_usd), reason="broken"
    )


async def found(order: PaidOrder, amount_usd: str, call: str) -> Happened[Refund] | DidNotHappen:
    """What the tool's probe answers."""
    return await order.refunds.find_refund(
        context=context_of(call), order_id=order.order_id, amount_usd=Decimal(amount_usd), reason="broken"
    )


async def refunds_at_payments(order: PaidOrder, payments: Payments) -> list[Decimal]:
    assert order.charge_id
    return [made.amount_usd for made in await payments.refunds_of(order.charge_id)]


@asynccontextmanager
async def payments_answered_by(answer: Answer) -> AsyncIterator[Payments]:
    async with await asyncio.start_server(answer, "127.0.0.1") as server:
        client = Payments(API_KEY, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        yield client
        await client.close()


def payments_answering(status: int, seen: list[str]) -> AbstractAsyncContextManager[Payments]:
    """Payments that has no refunds yet, and answers each new one with an error."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        seen.append(head)
        posted = head.startswith("POST")
        empty = {"object": "list", "url": "/v1/refunds", "has_more": False, "data": []}
        error = {"error": {"type": "api_error", "message": "not today"}}
        body = json.dumps(error if posted else empty).encode()
        code = status if posted else 200
        writer.write(
            f"HTTP/1.1 {code} x\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
        )
        writer.write(body)
        await writer.drain()
        writer.close()

    return payments_answered_by(answer)


def payments_losing_answers(url: str) -> AbstractAsyncContextManager[Payments]:
    """The real payments behind a line that breaks after each POST arrived, before its answer comes back."""
    upstream_port = int(url.rsplit(":", 1)[1])

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        body = await reader.readexactly(int(length[1])) if length else b""
        payments_reader, payments_writer = await asyncio.open_connection("127.0.0.1", upstream_port)
        one_request = re.sub(rb"connection: keep-alive", b"Connection: close", head, flags=re.IGNORECASE)
        payments_writer.write(one_request + body)
        answer = await payments_reader.read()
        payments_writer.close()
        if not head.startswith(b"POST"):
            writer.write(answer)
            await writer.drain()
        writer.close()

    return payments_answered_by(relay)


async def test_a_refund_reaches_payments_with_its_key_and_order(
    place_order: PlaceOrder, payments: Payments
) -> None:
    order = await place_order("49.00")
    made = await refund(order, "49.00", "metadata")
    (stored,) = [r for r in await payments.list_refunds() if r.refund_id == made.refund_id]
    assert (made.amount_usd, made.status) == (Decimal("49.00"), "succeeded")
    assert stored.metadata["agentflow_key"] == context_of("metadata").idempotency_key
    assert stored.metadata["order_id"] == order.order_id


async def test_a_call_in_json_is_answered_in_json_that_fits_the_contract(place_order: PlaceOrder) -> None:
    order = await place_order("49.00")
    arguments = {"order_id": order.order_id, "amount_usd": "20.50", "reason": "broken"}
    output = await order.refunds.refund_order.invoke(arguments, context_of("json"))
    assert output["amount_usd"] == "20.50"
    assert Draft202012Validator(PaymentTools.refund_order.contract.output_schema).is_valid(output)


async def test_the_probe_finds_the_refund_that_a_call_made(place_order: PlaceOrder) -> None:
    order = await place_order("49.00")
    made = await refund(order, "49.00", "found")
    assert await found(order, "49.00", "found") == Happened(made)


async def test_the_probe_finds_nothing_where_other_calls_refunded_the_same(place_order: PlaceOrder) -> None:
    order = await place_order("49.00")
    await refund(order, "20.00", "another")
    assert await found(order, "20.00", "ours") == DidNotHappen()


async def test_the_probe_finds_a_refund_whose_answer_was_lost(
    place_order: PlaceOrder, shop: ShopDatabase, payments: Payments, payments_url: str
) -> None:
    order = await place_order("49.00")
    async with payments_losing_answers(payments_url) as unlucky:
        with pytest.raises(stripe.APIConnectionError):
            await refund(order._replace(refunds=PaymentTools(shop, unlucky)), "20.00", "lost")
    answer = await found(order, "20.00", "lost")
    assert isinstance(answer, Happened)
    assert answer.output.amount_usd == Decimal("20.00")
    assert await refunds_at_payments(order, payments) == [Decimal("20.00")]


async def test_the_probe_can_not_tell_of_a_refund_of_another_amount(place_order: PlaceOrder) -> None:
    order = await place_order("49.00")
    made = await refund(order, "20.00", "conflict")
    with pytest.raises(EffectUnknownError, match=rf"\$21.00 once; there is {made.refund_id} of \$20.00"):
        await found(order, "21.00", "conflict")


async def test_the_probe_can_not_tell_of_two_refunds_with_one_key(place_order: PlaceOrder) -> None:
    order = await place_order("49.00")
    for _ in range(2):
        # This payment system ignores idempotency keys.
        await refund(order, "20.00", "twice")
    with pytest.raises(EffectUnknownError, match="once"):
        await found(order, "20.00", "twice")


async def test_an_attempt_that_died_after_paying_is_found_and_the_order_is_refunded_once(
    place_order: PlaceOrder, shop: ShopDatabase, payments: Payments, payments_url: str
) -> None:
    order = await place_order("49.00")
    ledger, contract = MemoryLedger(), PaymentTools.refund_order.contract
    arguments = {"order_id": order.order_id, "amount_usd": "20.00", "reason": "broken"}
    invocation = ToolInvocation(
        call_id=ToolCallId("call_1"),
        arguments=arguments,
        decision=Decision(
            verdict="allow", rule="r", reason="", arguments_hash=arguments_hash(contract.name, arguments)
        ),
        ledger_key=sha256_of("the only refund"),
    )
    async with payments_losing_answers(payments_url) as unlucky:
        tool = PaymentTools(shop, unlucky).refund_order
        with pytest.raises(ApplicationError, match="APIConnectionError"):
            await environment().run(
                tool_activity(tool, LedgerCalls(ledger, TEST_SEAL_KEYS), MemoryBlobStore()), invocation
            )
    ledger.advance(contract.options.max_effect_delay)
    run = tool_activity(
        PaymentTools(shop, payments).refund_order, LedgerCalls(ledger, TEST_SEAL_KEYS), MemoryBlobStore()
    )
    result = await environment().run(run, invocation)
    assert result.output["amount_usd"] == "20.00"
    assert await refunds_at_payments(order, payments) == [Decimal("20.00")]


async def test_two_keys_make_two_refunds(place_order: PlaceOrder, payments: Payments) -> None:
    order = await place_order("49.00")
    await refund(order, "20.00", "left")
    await refund(order, "29.00", "right")
    assert sum(await refunds_at_payments(order, payments)) == Decimal("49.00")


async def test_more_than_was_paid_is_refused_and_nothing_reaches_payments(
    place_order: PlaceOrder, payments: Payments
) -> None:
    order = await place_order("49.00")
    with pytest.raises(ToolError, match=r"refundable on ORD-5001: \$49.00"):
        await refund(order, "49.01", "too much")
    assert await refunds_at_payments(order, payments) == []


async def test_more_than_earlier_refunds_left_is_refused(place_order: PlaceOrder, payments: Payments) -> None:
    order = await place_order("49.00")
    await refund(order, "40.00", "first part")
    with pytest.raises(ToolError, match=r"\$9.00 \(paid \$49.00, already refunded \$40.00\)"):
        await refund(order, "9.01", "second part")
    assert await refunds_at_payments(order, payments) == [Decimal("40.00")]


@pytest.mark.parametrize("amount", ["0.00", "-5.00"])
async def test_zero_and_less_are_refused(place_order: PlaceOrder, payments: Payments, amount: str) -> None:
    order = await place_order("49.00")
    with pytest.raises(ToolError, match="more than"):
        await refund(order, amount, amount)
    assert await refunds_at_payments(order, payments) == []


async def test_an_order_that_was_never_charged_is_refused(place_order: PlaceOrder) -> None:
    order = await place_order("0.00")
    with pytest.raises(ToolError, match="never charged"):
        await refund(order, "1.00", "no charge")


async def test_an_unknown_order_is_refused(seeded: ShopDatabase, payments: Payments) -> None:
    with pytest.raises(ToolError, match="no order ORD-9999"):
        await PaymentTools(seeded, payments).refund_order(
            context=context_of("unknown"), order_id="ORD-9999", amount_usd=Decimal(1), reason="broken"
        )


async def test_a_key_is_found_among_more_refunds_than_fit_a_page(
    place_order: PlaceOrder, payments: Payments
) -> None:
    order = await place_order("49.00")
    first = await refund(order, "5.00", "the first of many")
    assert order.charge_id
    for number in range(120):
        await payments.create_refund(order.charge_id, Decimal("0.01"), key=f"many-{number}", metadata={})
    assert await found(order, "5.00", "the first of many") == Happened(first)
    assert len(await payments.refunds_of(order.charge_id)) == 121


async def test_every_refund_of_the_account_is_listed_once(
    place_order: PlaceOrder, payments: Payments
) -> None:
    order = await place_order("49.00")
    before = len(await payments.list_refunds())
    assert order.charge_id
    for number in range(105):
        await payments.create_refund(order.charge_id, Decimal("0.01"), key=f"listed-{number}", metadata={})
    listed = [made.refund_id for made in await payments.list_refunds()]
    assert len(listed) == len(set(listed)) == before + 105


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_what_may_work_later_is_left_to_temporal_and_not_retried_here(
    place_order: PlaceOrder, shop: ShopDatabase, status: int
) -> None:
    await place_order("49.00")
    seen: list[str] = []
    async with payments_answering(status, seen) as failing:
        with pytest.raises(stripe.StripeError):
            await PaymentTools(shop, failing).refund_order(
                context=context_of("later"), order_id="ORD-5001", amount_usd=Decimal(1), reason="broken"
            )
    assert [head.split()[0] for head in seen] == ["GET", "POST"]


@pytest.mark.parametrize("status", [400, 402, 404])
async def test_what_payments_refuses_for_good_is_told_to_the_model(
    place_order: PlaceOrder, shop: ShopDatabase, status: int
) -> None:
    await place_order("49.00")
    async with payments_answering(status, []) as failing:
        with pytest.raises(ToolError, match="payments refused: not today"):
            await PaymentTools(shop, failing).refund_order(
                context=context_of("never"), order_id="ORD-5001", amount_usd=Decimal(1), reason="broken"
            )


async def test_the_idempotency_key_is_sent_as_a_header(place_order: PlaceOrder, shop: ShopDatabase) -> None:
    await place_order("49.00")
    seen: list[str] = []
    async with payments_answering(500, seen) as failing:
        with pytest.raises(stripe.StripeError):
            await PaymentTools(shop, failing).refund_order(
                context=context_of("header"), order_id="ORD-5001", amount_usd=Decimal(1), reason="broken"
            )
    assert f"idempotency-key: {context_of('header').idempotency_key}" in seen[-1].lower()


async def test_payments_that_nobody_listens_for_is_a_connection_error() -> None:
    unreachable = Payments(API_KEY, "http://127.0.0.1:9")
    with pytest.raises(stripe.APIConnectionError):
        await unreachable.list_refunds()
    await unreachable.close()


def test_the_model_sees_amount_order_and_reason_and_not_the_context() -> None:
    schema = PaymentTools.refund_order.contract.input_schema
    assert set(schema["properties"]) == {"order_id", "amount_usd", "reason"}
    assert schema["properties"]["amount_usd"]["pattern"] == r"^\d{1,6}\.\d{2}$"
    assert schema["additionalProperties"] is False
