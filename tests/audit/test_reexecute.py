"""A recorded run, done again under other rules, another prompt or another model: nothing is written."""

from typing import Any

import pytest

from agentflow.adapters.history.executions import runs_in
from agentflow.audit.reexecute.running import Again, Reexecution, reexecute
from agentflow.audit.replaying import ReplayedRuns
from agentflow.audit.selection import SelectedRun
from agentflow.converter import agentflow_data_converter
from agentflow.errors import AuditError
from agentflow.testing import ScriptedModel, answer, call
from agentflow.testing.settings import TEST_PRICE, FixedPrices
from tests.audit.other_agents import OtherPrompt
from tests.audit.places import recorded
from tests.replay.test_replay import AGENTS
from tests.workflow.agents import Banker
from tests.workflow.other_rules import StingyBanker

PAID = "told-of-approvals"
REPORT = answer({"account": "alice", "amount": "10.00"})


def run_of(name: str) -> SelectedRun:
    ((workflow_id, executions),) = runs_in([recorded(name)]).items()
    return SelectedRun(workflow_id, executions)


async def done_again(name: str, agent: type[Any], **more: Any) -> Reexecution:
    async with ReplayedRuns(AGENTS, "default") as replayed:
        return await reexecute(run_of(name), Again(agent, **more), agentflow_data_converter, replayed)


async def test_under_the_same_code_all_is_the_same_and_no_model_is_asked() -> None:
    done = await done_again(PAID, Banker)
    assert done.is_same
    assert (done.answers_recorded, done.answers_anew) == (2, 0)
    assert done.now.cost_usd == done.recorded.cost_usd
    assert (done.guesses, done.unknown_reads, done.stopped_for) == ([], [], None)


async def test_reads_are_answered_as_they_were_then() -> None:
    done = await done_again("reads-and-a-write", Banker)
    assert done.is_same
    assert [pair.now.tool for pair in done.pairs if pair.now] == ["balance", "balance", "pay"]


async def test_other_rules_show_where_they_decide_otherwise() -> None:
    done = await done_again(PAID, StingyBanker, live=ScriptedModel([REPORT, REPORT]))
    (pair,) = done.pairs
    assert pair.recorded
    assert pair.now
    assert (pair.recorded.verdict, pair.recorded.rule) == ("ask", "large, huge")
    assert (pair.now.verdict, pair.now.rule) == ("deny", "nobody")
    assert (done.answers_recorded, done.answers_anew) == (1, 1)
    assert not done.is_same
    assert done.now.status == "completed"


async def test_a_model_is_not_asked_anything_new_unless_somebody_says_so() -> None:
    done = await done_again(PAID, StingyBanker)
    assert done.now.status == "escalated"
    assert done.stopped_for
    assert "take over" in done.stopped_for


async def test_under_another_prompt_the_model_is_asked_anew() -> None:
    model = ScriptedModel([call("pay", account="alice", amount="2000.00"), REPORT])
    done = await done_again(PAID, OtherPrompt, live=model)
    assert (done.answers_recorded, done.answers_anew) == (0, 2)
    assert done.recorded.release != done.now.release
    assert done.is_same


async def test_a_write_that_was_not_made_then_is_guessed_and_marked() -> None:
    model = ScriptedModel([call("pay", account="bob", amount="5.00"), REPORT])
    done = await done_again(PAID, OtherPrompt, live=model)
    (guess,) = done.guesses
    assert (guess.tool, guess.arguments) == ("pay", {"account": "bob", "amount": "5.00"})
    assert guess.output == "paid 2000.00 to alice"
    assert [(bool(pair.recorded), bool(pair.now)) for pair in done.pairs] == [(True, False), (False, True)]


async def test_a_read_that_was_not_made_then_is_unknown_and_marked() -> None:
    model = ScriptedModel([call("balance", account="carol"), REPORT])
    done = await done_again(PAID, OtherPrompt, live=model)
    assert done.unknown_reads == [("balance", {"account": "carol"})]
    assert done.now.status == "completed"


async def test_where_nobody_had_decided_the_run_stops_and_says_so() -> None:
    model = ScriptedModel([call("pay", account="bob", amount="900.00"), REPORT])
    done = await done_again(PAID, OtherPrompt, live=model)
    assert done.stopped_for == "people would be asked about pay, and nobody had decided on that"
    assert done.now.status == "cancelled"


async def test_under_another_model_its_price_counts() -> None:
    dearer = TEST_PRICE.model_copy(update={"input_usd_per_mtok": TEST_PRICE.input_usd_per_mtok * 10})
    model = ScriptedModel([REPORT])
    prices = FixedPrices({"scripted:other": dearer})
    done = await done_again(PAID, Banker, live=model, model="scripted:other", prices=prices)
    assert (done.recorded.model, done.now.model) == ("scripted:model", "scripted:other")
    assert done.answers_anew == 1


async def test_a_person_who_took_over_says_the_same_again() -> None:
    done = await done_again("circling", AGENTS[[a.__name__ for a in AGENTS].index("Circling")])
    assert done.stopped_for is None
    assert done.now.status == done.recorded.status


async def test_a_run_whose_beginning_is_gone_is_not_done_again() -> None:
    history = recorded("reads-and-a-write")
    history.events[0].workflow_execution_started_event_attributes.input.payloads[0].data = b"no json"
    ((workflow_id, executions),) = runs_in([history]).items()
    async with ReplayedRuns((), "default") as replayed:
        with pytest.raises(AuditError, match="can't be done again"):
            await reexecute(
                SelectedRun(workflow_id, executions), Again(Banker), agentflow_data_converter, replayed
            )
