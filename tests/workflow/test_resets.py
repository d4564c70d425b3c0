"""A run that is reset and goes another way: what it made before the reset is not lost, nor made twice."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from agentflow import AgentOutcome
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.contracts.escalation import Resolution, ResolutionAction
from agentflow.contracts.messages import AssistantMessage
from agentflow.errors import LedgerError
from agentflow.testing import ScriptedModel, answer, call
from tests.workflow.agents import Banker
from tests.workflow.harness import Harness, replayed, serving
from tests.workflow.outside_doors import reset_to
from tests.workflow.repeating_agents import CountingBanker, RepeatingBanker
from tests.workflow.reused import LOOKS_FIRST, PAID, PAYS, asked, begun, ended, in_turn, records
from tests.workflow.unreachable import make_outages_short

AGENTS = [Banker, CountingBanker, RepeatingBanker]
ALICE, BOB = ("alice", "10.00"), ("bob", "10.00")
PAYS_ALICE = call("pay", account="alice", amount="10.00")
PAYS_BOB = call("pay", account="bob", amount="10.00")
DONE = answer({"account": "alice", "amount": "10.00"})


@pytest.fixture
def ledger(tmp_path: Path) -> SQLiteLedger:
    return SQLiteLedger(tmp_path / "effects.sqlite")


@asynccontextmanager
async def was_reset(
    temporal: WorkflowEnvironment,
    directory: Path,
    ledger: SQLiteLedger,
    *lines: AssistantMessage,
    agent: type = Banker,
    meanwhile: Callable[[], None] = lambda: None,
) -> AsyncIterator[tuple[Harness, WorkflowHandle[Any, AgentOutcome[Any]]]]:
    """A run that has ended and was reset to its beginning; it is given the lines one after the other."""
    async with serving(temporal, in_turn(*lines), directory, ledger=ledger, workflows=AGENTS) as bank:
        first = await bank.start(agent)
        await ended(first)
        meanwhile()
        await reset_to(bank, first.id, (await first.describe()).run_id, 4)
        yield bank, bank.client.get_workflow_handle(first.id, result_type=AgentOutcome[Any])


async def told(
    bank: Harness, handle: WorkflowHandle[Any, Any], action: ResolutionAction
) -> AgentOutcome[Any]:
    await bank.agents.resolve(handle.id, Resolution(action=action, by="otto"))
    return await ended(handle)


async def keys(ledger: SQLiteLedger) -> set[str]:
    return {record.key for record in await records(ledger)}


async def test_another_write_in_the_place_of_one_that_was_made_asks_and_says_what_was_made(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    lines = (PAYS_ALICE, DONE, PAYS_BOB)
    async with was_reset(temporal, tmp_path, ledger, *lines) as (bank, handle):
        effect = await asked(bank, handle)
        assert effect.detail.startswith("pay was not made: an earlier execution of this run did another pay")
        assert effect.earlier is not None
        assert {effect.earlier.key} == await keys(ledger)
        await handle.terminate()
    assert bank.bank.paid == [ALICE]


async def test_another_write_is_made_under_a_key_of_its_own_if_a_person_says_so(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    lines = (PAYS_ALICE, DONE, PAYS_BOB, DONE)
    async with was_reset(temporal, tmp_path, ledger, *lines) as (bank, handle):
        await asked(bank, handle)
        outcome = await told(bank, handle, "again")
        await replayed(await handle.fetch_history())
    assert bank.bank.paid == [ALICE, BOB]
    assert [one.effect for one in outcome.tool_calls] == ["done"]
    assert len(await keys(ledger)) == 2


async def test_another_write_is_not_made_after_an_abort_and_is_known_not_to_have_been(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    lines = (PAYS_ALICE, DONE, PAYS_BOB)
    async with was_reset(temporal, tmp_path, ledger, *lines) as (bank, handle):
        await asked(bank, handle)
        outcome = await told(bank, handle, "abort")
    assert bank.bank.paid == [ALICE]
    assert [one.effect for one in outcome.tool_calls] == ["failed"]


@pytest.mark.parametrize("agent", [Banker, CountingBanker])
async def test_an_effect_with_other_arguments_counts_for_none(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger, agent: type
) -> None:
    lines = (PAYS_ALICE, DONE, PAYS_BOB)
    async with was_reset(temporal, tmp_path, ledger, *lines, agent=agent) as (bank, handle):
        await asked(bank, handle)
        await bank.agents.resolve(handle.id, Resolution(action="count", by="otto"))
        assert "say again or abort" in (await bank.refusals(handle))[-1]
        await handle.terminate()
    assert bank.bank.paid == [ALICE]


async def test_an_agent_that_makes_effects_again_makes_another_one_in_their_place_unasked(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    lines = (PAYS_ALICE, DONE, PAYS_BOB, DONE)
    async with was_reset(temporal, tmp_path, ledger, *lines, agent=RepeatingBanker) as (bank, handle):
        outcome = await ended(handle)
    assert bank.bank.paid == [ALICE, BOB]
    assert [one.effect for one in outcome.tool_calls] == ["done"]


async def test_the_place_of_a_write_that_did_not_happen_is_free(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    refused = call("pay", account="closed", amount="10.00")
    lines = (refused, DONE, PAYS_BOB, DONE)
    async with was_reset(temporal, tmp_path, ledger, *lines) as (bank, handle):
        outcome = await ended(handle)
        await replayed(await handle.fetch_history())
    assert bank.bank.paid == [BOB]
    assert [one.effect for one in outcome.tool_calls] == ["done"]


async def reset_again(bank: Harness, handle: WorkflowHandle[Any, AgentOutcome[Any]]) -> None:
    await reset_to(bank, handle.id, (await handle.describe()).run_id, 4)


async def test_a_second_reset_asks_of_what_was_made_after_the_first(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    refused, carol = (
        call("pay", account="closed", amount="10.00"),
        call("pay", account="carol", amount="10.00"),
    )
    lines = (refused, DONE, PAYS_BOB, DONE, carol)
    async with was_reset(temporal, tmp_path, ledger, *lines) as (bank, handle):
        await ended(handle)
        await reset_again(bank, handle)
        effect = await asked(bank, handle)
        assert "did another pay in this place" in effect.detail
        await handle.terminate()
    assert bank.bank.paid == [BOB]


async def test_what_was_made_after_the_first_reset_is_found_by_the_second_one(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    lines = (PAYS_ALICE, DONE, PAYS_BOB, DONE, PAYS_BOB, DONE)
    async with was_reset(temporal, tmp_path, ledger, *lines) as (bank, handle):
        await asked(bank, handle)
        await told(bank, handle, "again")
        await reset_again(bank, handle)
        outcome = await ended(handle)
        await replayed(await handle.fetch_history())
    assert bank.bank.paid == [ALICE, BOB]
    assert [one.effect for one in outcome.tool_calls] == ["done"]


async def test_a_ledger_that_is_away_does_not_make_a_reset_run_believe_that_it_has_done_nothing(
    skipping: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_outages_short(monkeypatch)

    async def away() -> Any:
        raise LedgerError("the ledger can't be reached")

    lines, goes = (PAYS_ALICE, DONE, PAYS_ALICE), partial(monkeypatch.setattr, ledger, "identity", away)
    async with was_reset(skipping, tmp_path, ledger, *lines, meanwhile=goes) as (bank, handle):
        # Nobody answers: the clock jumps to the deadline.
        outcome = await ended(handle)
    assert bank.bank.paid == [ALICE]
    assert outcome.status == "escalated"
    assert "it could not be found out whether it happened" in outcome.reason
    assert [one.effect for one in outcome.tool_calls] == ["unknown"]


async def test_a_run_that_was_reset_and_goes_another_way_asks_before_it_pays_again(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    model = in_turn(*PAYS, *LOOKS_FIRST)
    async with serving(temporal, model, tmp_path, ledger=ledger) as bank:
        handle = await begun(bank, f"case-{uuid4()}")
        await ended(handle)
        await reset_to(bank, handle.id, str(handle.first_execution_run_id), 4)
        again = bank.client.get_workflow_handle(handle.id, result_type=AgentOutcome[Any])
        effect = await asked(bank, again)
        assert "an earlier execution of this run did the very same pay" in effect.detail
        await bank.agents.resolve(handle.id, Resolution(action="count", by="otto"))
        outcome = await ended(again)
        assert bank.bank.paid == [PAID]
    assert [call.effect for call in outcome.tool_calls] == [None, "counted"]


async def test_what_was_counted_is_still_another_runs_after_a_reset(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    name = f"case-{uuid4()}"
    async with serving(temporal, ScriptedModel(PAYS), tmp_path, ledger=ledger, workflows=AGENTS) as bank:
        await ended(await begun(bank, name, "CountingBanker"))
        second = await begun(bank, name, "CountingBanker")
        before = (await ended(second)).tool_calls[0]
        await reset_to(bank, name, second.first_execution_run_id or "", 4)
        again = bank.client.get_workflow_handle(name, result_type=AgentOutcome[Any])
        after = (await ended(again)).tool_calls[0]
        assert bank.bank.paid == [PAID]
    assert (before.effect, after.effect, after.counted) == ("counted", "counted", before.counted)
