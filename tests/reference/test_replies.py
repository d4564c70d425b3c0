import asyncio
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from activities.replies import Outbox, ReplyTools
from agentflow.errors import EffectConflictError
from tests.reference.conftest import context_of


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "outbox.sqlite")


async def send(outbox: Outbox, call: str, body: str = "Your refund is on its way.") -> str:
    reply = await ReplyTools(outbox).send_reply(
        context=context_of(call), to="ada@example.com", subject="Your refund", body=body
    )
    return reply.reply_id


async def test_a_reply_is_stored_as_written(outbox: Outbox) -> None:
    await send(outbox, "one")
    (stored,) = await outbox.list()
    assert (stored.to, stored.subject) == ("ada@example.com", "Your refund")
    assert (stored.body, stored.idempotency_key) == (
        "Your refund is on its way.",
        context_of("one").idempotency_key,
    )


async def test_the_same_key_is_stored_once(outbox: Outbox) -> None:
    assert await send(outbox, "same") == await send(outbox, "same")
    assert len(await outbox.list()) == 1


async def test_two_attempts_at_once_store_one_reply(outbox: Outbox) -> None:
    sent = await asyncio.gather(*(send(outbox, "race") for _ in range(8)))
    assert len(set(sent)) == 1
    assert len(await outbox.list()) == 1


async def test_the_same_key_with_another_text_is_a_conflict(outbox: Outbox) -> None:
    await send(outbox, "same")
    with pytest.raises(EffectConflictError):
        await send(outbox, "same", body="something else")
    assert len(await outbox.list()) == 1


async def test_replies_are_listed_in_the_order_they_came(outbox: Outbox) -> None:
    sent = [await send(outbox, call) for call in ("first", "second", "third")]
    assert [reply.reply_id for reply in await outbox.list()] == sent


async def test_an_outbox_outlives_its_process(tmp_path: Path) -> None:
    await send(Outbox(tmp_path / "outbox.sqlite"), "before")
    assert len(await Outbox(tmp_path / "outbox.sqlite").list()) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"to": "not an address"},
        {"subject": "Hello\r\nBcc: everyone@example.com"},
        {"subject": "x" * 201},
        {"body": ""},
        {"body": "x" * 8001},
    ],
)
def test_what_does_not_fit_an_email_breaks_the_contract(wrong: dict[str, str]) -> None:
    contract = Draft202012Validator(ReplyTools.send_reply.contract.input_schema)
    right = {"to": "ada@example.com", "subject": "Your refund", "body": "Hello"}
    assert contract.is_valid(right)
    assert not contract.is_valid(right | wrong)
