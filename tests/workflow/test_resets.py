"""A run that is reset and goes another way: what it made before the reset is not lost, nor made twice."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from agentflow import AgentOutcome
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.contracts.effects import EffectQuery
from agentflow.contracts.escalation import EffectInDoubt, Resolution, ResolutionAction
from agentflow.contracts.messages import AssistantMessage
from agentflow.errors import LedgerError
from agentflow.testing import ScriptedModel, answer, call
from tests.workflow.agents import Banker
from tests.workflow.harness import Harness, replayed, serving
from tests.workflow.outside_doors import reset_to
from tests.workflow.repeating_agents import CountingBanker, RepeatingBanker

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
    left = iter(lines)
    model = ScriptedModel(lambda _: next(left))
    agents = [Banker, CountingBanker, RepeatingBanker]
    async with serving(temporal, model, directory, ledger=ledger, workflows=agents) as bank:
        first = await bank.start(agent)
        await ended(first)
        meanwhile()
        await reset_to(bank, first.id, (await first.describe()).run_id, 4)
        yield bank, bank.client.get_workflow_handle(first.id, result_type=AgentOutcome[Any])


async def ended(handle: WorkflowHandle[Any, AgentOutcome[Any]]) -> AgentOutcome[Any]:
    async with asyncio.timeout(60):
        return await handle.result()


async def asked(bank: Harness, handle: WorkflowHandle[Any, Any]) -> EffectInDoubt:
    effect = (await bank.escalation(handle)).effect
    assert effect is not None
    return effect


async def told(
    bank: Harness, handle: WorkflowHandle[Any, Any], action: ResolutionAction
) -> AgentOutcome[Any]:
    await bank.agents.resolve(handle.id, Resolution(action=action, by="otto"))
    return await ended(handle)


async def keys(ledger: SQLiteLedger) -> set[str]:
    return {found.record.key for found in (await ledger.find(EffectQuery())).effects}


async def test_another_write_in_the_place_of_one_that_was_made_asks_and_says_what_was_made(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    lines = (PAYS_ALICE, DONE, PAYS_BOB)
    async with was_reset(temporal, tmp_path, ledger, *lines) as (bank, handle):
        effect = await asked(bank, handle)
        assert effect.detail.startswith("pay was not made: this run, before it was reset, did another pay")
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


async def test_a_ledger_that_is_away_does_not_make_a_reset_run_believe_that_it_has_done_nothing(
    skipping: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
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
