"""A workflow id that is used again: what an earlier run of it did is never this one's, and never done unasked."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import WorkflowHandle
from temporalio.common import RetryPolicy
from temporalio.testing import WorkflowEnvironment

from agentflow import AgentOutcome, AgentTask
from agentflow.adapters.history.executions import Histories
from agentflow.adapters.history.reader import read_run
from agentflow.adapters.signer import Signer
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.contracts.effects import EffectQuery, EffectRecord
from agentflow.contracts.escalation import EffectInDoubt, Resolution, ResolutionAction
from agentflow.contracts.identity import ApproverKey
from agentflow.contracts.messages import AssistantMessage
from agentflow.testing import ScriptedModel, answer, call
from tests.workflow.agents import Banker
from tests.workflow.harness import Harness, decoded, eventually, replayed, serving
from tests.workflow.outside_doors import reset_to
from tests.workflow.repeating_agents import CountingBanker, RepeatingBanker

PAID = ("alice", "10.00")
PAYS = [call("pay", account="alice", amount="10.00"), answer({"account": "alice", "amount": "10.00"})]
LOOKS_FIRST = [call("balance", account="alice"), *PAYS]


def in_turn(*lines: AssistantMessage) -> ScriptedModel:
    """Says one line after the other, whichever run asks."""
    left = iter(lines)
    return ScriptedModel(lambda _: next(left))


@pytest.fixture
def ledger(tmp_path: Path) -> SQLiteLedger:
    return SQLiteLedger(tmp_path / "effects.sqlite")


async def records(ledger: SQLiteLedger) -> list[EffectRecord]:
    return [found.record for found in (await ledger.find(EffectQuery())).effects]


async def begun(
    bank: Harness, workflow_id: str, agent: str = "Banker", **options: Any
) -> WorkflowHandle[Any, AgentOutcome[Any]]:
    """A run as Temporal's own client starts it."""
    return await bank.client.start_workflow(
        agent,
        AgentTask(input="pay", requested_by="rita"),
        id=workflow_id,
        task_queue=bank.task_queue,
        result_type=AgentOutcome[Any],
        **options,
    )


async def ended(handle: WorkflowHandle[Any, AgentOutcome[Any]]) -> AgentOutcome[Any]:
    async with asyncio.timeout(60):
        return await handle.result()


async def asked(bank: Harness, handle: WorkflowHandle[Any, Any]) -> EffectInDoubt:
    effect = (await bank.escalation(handle)).effect
    assert effect is not None
    assert effect.earlier is not None
    return effect


async def answered(
    bank: Harness, workflow_id: str, action: ResolutionAction
) -> tuple[WorkflowHandle[Any, AgentOutcome[Any]], AgentOutcome[Any]]:
    """Another run of an id, which a person answers once it asks, and how it ends."""
    handle = await begun(bank, workflow_id)
    await asked(bank, handle)
    await bank.agents.resolve(workflow_id, Resolution(action=action, by="otto"))
    return handle, await ended(handle)


async def test_a_second_run_of_an_id_asks_before_it_pays_the_same_and_says_who_paid(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    model, name = ScriptedModel(PAYS), f"case-{uuid4()}"
    async with serving(temporal, model, tmp_path, ledger=ledger) as bank:
        first = await begun(bank, name)
        assert (await ended(first)).tool_calls[0].effect == "done"
        (paid,) = await records(ledger)
        second = await begun(bank, name)
        effect = await asked(bank, second)
        assert bank.bank.paid == [PAID]
        assert effect.earlier is not None
        assert (effect.earlier.key, effect.earlier.chain) == (paid.key, first.first_execution_run_id)
        assert effect.key != paid.key
        assert str(first.first_execution_run_id) in effect.detail
        await second.terminate()


async def test_an_earlier_effect_that_counts_is_told_as_another_runs(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    model, name = ScriptedModel(PAYS), f"case-{uuid4()}"
    async with serving(temporal, model, tmp_path, ledger=ledger) as bank:
        first = await begun(bank, name)
        await ended(first)
        second, outcome = await answered(bank, name, "count")
        assert bank.bank.paid == [PAID]
    (counted,) = outcome.tool_calls
    assert (outcome.status, counted.effect, counted.error) == ("completed", "counted", None)
    assert str(first.first_execution_run_id) in (counted.counted or "")
    told = model.requests[-1].messages[-1].model_dump_json()
    assert "counted: run" in told
    assert "paid 10.00 to alice" in told
    await replayed(await second.fetch_history())
    own = next(record for record in await records(ledger) if record.counts)
    assert (own.state, own.attempts, own.chain) == ("done", 0, second.first_execution_run_id)


async def test_an_effect_is_made_again_if_a_person_says_so(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    name = f"case-{uuid4()}"
    async with serving(temporal, ScriptedModel(PAYS), tmp_path, ledger=ledger) as bank:
        await ended(await begun(bank, name))
        second, outcome = await answered(bank, name, "again")
        assert bank.bank.paid == [PAID, PAID]
    assert outcome.tool_calls[0].effect == "done"
    await replayed(await second.fetch_history())
    assert len({record.key for record in await records(ledger)}) == 2


async def test_nothing_is_made_after_an_abort_and_its_call_can_not_begin_any_more(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    name = f"case-{uuid4()}"
    async with serving(temporal, ScriptedModel(PAYS), tmp_path, ledger=ledger) as bank:
        await ended(await begun(bank, name))
        _, outcome = await answered(bank, name, "abort")
        assert bank.bank.paid == [PAID]
    assert (outcome.status, outcome.tool_calls[0].effect) == ("escalated", "failed")
    assert [record.is_open for record in await records(ledger)] == [False, False]


async def test_a_third_run_is_asked_of_each_payment_that_was_made_before(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    name = f"case-{uuid4()}"
    async with serving(temporal, ScriptedModel(PAYS), tmp_path, ledger=ledger) as bank:
        await ended(await begun(bank, name))
        await answered(bank, name, "again")
        third = await begun(bank, name)
        keys: list[str] = []
        for number in (1, 2):

            async def next_one(number: int = number) -> EffectInDoubt | None:
                open_one = (await bank.agents.status(name)).escalation
                return open_one.effect if open_one and open_one.id == f"escalation-{number}" else None

            effect = await eventually(next_one)
            assert effect.earlier is not None
            keys.append(effect.earlier.key)
            await bank.agents.resolve(name, Resolution(action="again", by="otto"))
        await ended(third)
        assert bank.bank.paid == [PAID] * 3
    assert keys == [record.key for record in await records(ledger)][:2]


async def test_each_execution_of_a_cron_schedule_does_its_own_work(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    name = f"cron-{uuid4()}"
    async with serving(temporal, ScriptedModel(LOOKS_FIRST), tmp_path, ledger=ledger) as bank:
        handle = await begun(bank, name, cron_schedule="@every 1s")

        async def three() -> bool | None:
            return len(bank.bank.paid) >= 3 or None

        await eventually(three)
        await bank.client.get_workflow_handle(name).terminate()
        assert handle.id == name
    found = await records(ledger)
    assert len({record.chain for record in found}) == len({record.key for record in found}) >= 3


async def test_a_cron_schedule_with_a_retry_policy_is_denied(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    async with serving(temporal, ScriptedModel(PAYS), tmp_path, ledger=ledger) as bank:
        handle = await begun(
            bank, f"cron-{uuid4()}", cron_schedule="@every 20s", retry_policy=RetryPolicy(maximum_attempts=3)
        )
        first = bank.client.get_workflow_handle(handle.id, run_id=handle.first_execution_run_id)

        async def is_over() -> str | None:
            told = decoded((await first.fetch_history()).to_json())
            return told if "must not have a retry policy" in told else None

        told = await eventually(is_over)
        await bank.client.get_workflow_handle(handle.id).terminate()
        assert bank.bank.paid == []
    assert '"denied"' in told


async def test_an_earlier_effect_in_doubt_is_counted_with_what_came_of_it(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    wires = [call("wire", account="bob", amount="9.00"), answer({"account": "bob", "amount": "9.00"})]
    name = f"case-{uuid4()}"
    async with serving(temporal, ScriptedModel(wires), tmp_path, ledger=ledger) as bank:
        first = await begun(bank, name)
        await bank.escalation(first)
        await first.terminate()
        second = await begun(bank, name)
        effect = await asked(bank, second)
        assert effect.earlier is not None
        assert effect.earlier.state == "unknown"
        refused = Resolution(action="count", by="otto", text="without its result")
        await bank.agents.resolve(name, refused)
        await bank.agents.resolve(name, Resolution(action="count", by="otto", result="wired 9.00"))
        outcome = await ended(second)
        assert bank.bank.paid == [("bob", "9.00")]
        assert any("does not fit" in why for why in await bank.refusals(second))
    (counted,) = outcome.tool_calls
    assert (outcome.status, counted.effect) == ("completed", "counted")
    assert "says otto" in (counted.counted or "")
    own = next(record for record in await records(ledger) if record.counts)
    assert (own.state, own.closed_by, own.counts) == ("done", "otto", effect.earlier.key)


async def test_what_was_counted_is_not_asked_about_again_and_is_no_effect_of_its_own(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    name = f"case-{uuid4()}"
    async with serving(temporal, ScriptedModel(PAYS), tmp_path, ledger=ledger) as bank:
        await ended(await begun(bank, name))
        for _ in range(2):
            handle = await begun(bank, name)
            effect = await asked(bank, handle)
            await bank.agents.resolve(name, Resolution(action="count", by="otto"))
            assert (await ended(handle)).tool_calls[0].effect == "counted"
            assert effect.earlier is not None
            # The one that was made, and never one that was counted.
            assert effect.earlier.key == (await records(ledger))[0].key
        assert bank.bank.paid == [PAID]


async def test_an_effect_that_did_not_happen_is_made_by_a_later_run_without_a_question(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    pays_closed = [call("pay", account="closed", amount="10.00"), answer({"account": "a", "amount": "1"})]
    name = f"case-{uuid4()}"
    async with serving(temporal, ScriptedModel(pays_closed), tmp_path, ledger=ledger) as bank:
        outcomes = [await ended(await begun(bank, name)) for _ in range(2)]
    assert [outcome.tool_calls[0].effect for outcome in outcomes] == ["failed", "failed"]
    assert len({record.chain for record in await records(ledger)}) == 2


async def test_other_arguments_are_other_work(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    name = f"case-{uuid4()}"
    model = in_turn(*PAYS, call("pay", account="bob", amount="10.00"), PAYS[1])
    async with serving(temporal, model, tmp_path, ledger=ledger) as bank:
        outcomes = [await ended(await begun(bank, name)) for _ in range(2)]
        assert bank.bank.paid == [PAID, ("bob", "10.00")]
    assert [outcome.tool_calls[0].effect for outcome in outcomes] == ["done", "done"]


async def test_a_run_makes_the_same_payment_twice_where_its_model_asks_for_two(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    twice = [PAYS[0], call("balance", account="alice"), *PAYS]
    async with serving(temporal, ScriptedModel(twice), tmp_path, ledger=ledger) as bank:
        outcome = await ended(await begun(bank, f"case-{uuid4()}"))
        assert bank.bank.paid == [PAID, PAID]
    assert outcome.status == "completed"


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
        assert "this run, before it was reset, did the very same pay" in effect.detail
        await bank.agents.resolve(handle.id, Resolution(action="count", by="otto"))
        outcome = await ended(again)
        assert bank.bank.paid == [PAID]
    assert [call.effect for call in outcome.tool_calls] == [None, "counted"]


async def test_each_execution_of_a_cron_schedule_is_a_run_of_its_own_to_the_auditor_as_well(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    name = f"cron-{uuid4()}"
    async with serving(temporal, ScriptedModel(LOOKS_FIRST), tmp_path, ledger=ledger) as bank:
        await begun(bank, name, cron_schedule="@every 1s")

        async def two() -> bool | None:
            return len(bank.bank.paid) >= 2 or None

        await eventually(two)
        await bank.client.get_workflow_handle(name).terminate()
        listed = [one.run_id async for one in bank.client.list_workflows(f"WorkflowId = '{name}'")]
        runs = [await Histories(bank.client).of(name, run_id) for run_id in listed]
        assert [len(executions) for executions in runs] == [1] * len(listed)
        stories = [await read_run(bank.client.data_converter, name, executions) for executions in runs]
    chains = {record.chain for record in await records(ledger)}
    assert len(chains) >= 2
    assert chains <= {story.first_run_id for story in stories}


@dataclass(frozen=True)
class Keys:
    """Whose decisions count."""

    known: tuple[ApproverKey, ...]

    async def keys(self) -> tuple[ApproverKey, ...]:
        return self.known


AGENTS = [CountingBanker, RepeatingBanker]


async def test_an_agent_that_lets_earlier_effects_count_asks_nobody_and_says_whose_it_was(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    name = f"case-{uuid4()}"
    async with serving(temporal, ScriptedModel(PAYS), tmp_path, ledger=ledger, workflows=AGENTS) as bank:
        first = await begun(bank, name, "CountingBanker")
        assert (await ended(first)).tool_calls[0].effect == "done"
        second = await begun(bank, name, "CountingBanker")
        (counted,) = (await ended(second)).tool_calls
        assert bank.bank.paid == [PAID]
    assert counted.effect == "counted"
    assert str(first.first_execution_run_id) in (counted.counted or "")
    await replayed(await second.fetch_history(), *AGENTS)


async def test_an_agent_that_lets_earlier_effects_count_asks_of_one_that_is_in_doubt(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    wires = [call("wire", account="bob", amount="9.00"), answer({"account": "bob", "amount": "9.00"})]
    name = f"case-{uuid4()}"
    async with serving(temporal, ScriptedModel(wires), tmp_path, ledger=ledger, workflows=AGENTS) as bank:
        first = await begun(bank, name, "CountingBanker")
        await bank.escalation(first)
        await first.terminate()
        second = await begun(bank, name, "CountingBanker")
        effect = await asked(bank, second)
        assert effect.earlier is not None
        assert effect.earlier.state == "unknown"
        await second.terminate()
        assert bank.bank.paid == [("bob", "9.00")]


async def test_an_agent_that_makes_earlier_effects_again_asks_nobody(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    name = f"case-{uuid4()}"
    async with serving(temporal, ScriptedModel(PAYS), tmp_path, ledger=ledger, workflows=AGENTS) as bank:
        for _ in range(2):
            assert (await ended(await begun(bank, name, "RepeatingBanker"))).tool_calls[0].effect == "done"
        assert bank.bank.paid == [PAID] * 2
    assert len({record.key for record in await records(ledger)}) == 2


async def test_a_person_who_signs_says_whether_an_earlier_effect_counts(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    otto, name = Signer.generate("otto", ()), f"case-{uuid4()}"
    settings = {"approvers": Keys((otto.public(),))}
    async with serving(temporal, ScriptedModel(PAYS), tmp_path, ledger=ledger, **settings) as bank:
        await ended(await begun(bank, name))
        second = await begun(bank, name)
        escalation = await bank.escalation(second)
        await bank.agents.resolve(name, Resolution(action="count", by="otto"))
        signed = otto.resolution(escalation, Resolution(action="count", by="otto"))
        await bank.agents.resolve(name, signed)
        (counted,) = (await ended(second)).tool_calls
        assert any("signed" in why for why in await bank.refusals(second))
        assert bank.bank.paid == [PAID]
    assert counted.effect == "counted"


async def test_a_run_that_asks_sees_what_one_that_makes_effects_again_has_made(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    name, kinds = f"case-{uuid4()}", [*AGENTS, Banker]
    async with serving(temporal, ScriptedModel(PAYS), tmp_path, ledger=ledger, workflows=kinds) as bank:
        await ended(await begun(bank, name, "RepeatingBanker"))
        second = await begun(bank, name)
        await asked(bank, second)
        assert bank.bank.paid == [PAID]
        await second.terminate()


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
