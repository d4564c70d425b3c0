"""A workflow id that is used again: what an earlier run of it did is never this one's, and never done unasked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from agentflow import AgentOutcome, tools_of
from agentflow.adapters.signer import Signer
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.contracts.escalation import EffectInDoubt, Resolution, ResolutionAction
from agentflow.contracts.identity import ApproverKey
from agentflow.testing import ScriptedModel, answer, call
from tests.workflow.agents import Banker
from tests.workflow.harness import Harness, eventually, replayed, serving
from tests.workflow.repeating_agents import CountingBanker, RepeatingBanker
from tests.workflow.reused import PAID, PAYS, asked, begun, ended, in_turn, records
from tests.workflow.slipping_agents import Slipping
from tests.workflow.slipping_tools import Slips


@pytest.fixture
def ledger(tmp_path: Path) -> SQLiteLedger:
    return SQLiteLedger(tmp_path / "effects.sqlite")


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


async def test_an_earlier_effect_that_counts_with_a_result_that_nobody_can_use_is_still_another_runs(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    slips, name = Slips(), f"case-{uuid4()}"
    model = ScriptedModel([call("pay_vaguely", account="alice"), answer("paid")])
    settings: dict[str, Any] = {"workflows": [Slipping], "more_tools": tools_of(slips)}
    word = Resolution(action="happened", by="otto", result="paid")
    async with serving(temporal, model, tmp_path, ledger=ledger, **settings) as bank:
        first = await begun(bank, name, "Slipping")
        await bank.escalation(first)
        await bank.agents.resolve(name, word)
        assert (await ended(first)).tool_calls[0].effect == "done"
        second = await begun(bank, name, "Slipping")
        await asked(bank, second)
        await bank.agents.resolve(name, Resolution(action="count", by="otto"))

        async def asked_what_came_of_it() -> bool | None:
            told = (await bank.agents.status(name)).escalation
            return True if told and told.effect and told.effect.earlier is None else None

        await eventually(asked_what_came_of_it)
        await bank.agents.resolve(name, word)
        outcome = await ended(second)
    assert slips.done == ["alice"]
    assert outcome.tool_calls[0].effect == "counted"
