"""How runs go when all is well."""

from pathlib import Path

from temporalio.testing import WorkflowEnvironment

from agentflow.testing import ScriptedModel, answer, call, calls
from tests.workflow.agents import Banker
from tests.workflow.harness import serving
from tests.workflow.stepping_agents import Careful

DONE = answer({"account": "alice", "amount": "10.00"})


async def test_a_run_ends_with_the_models_answer_in_the_output_type(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel([DONE]), tmp_path) as bank:
        outcome = await bank.run(Banker)
    assert (outcome.status, outcome.output) == ("completed", {"account": "alice", "amount": "10.00"})


async def test_an_allowed_write_is_carried_out_once(temporal: WorkflowEnvironment, tmp_path: Path) -> None:
    model = ScriptedModel([call("pay", account="alice", amount="10.00"), DONE])
    async with serving(temporal, model, tmp_path) as bank:
        outcome = await bank.run(Banker)
        assert bank.bank.paid == [("alice", "10.00")]
    assert outcome.tool_calls[0].rule == "small"


async def test_reads_of_one_turn_run_at_the_same_time(temporal: WorkflowEnvironment, tmp_path: Path) -> None:
    model = ScriptedModel([calls(("balance", {"account": "a"}), ("balance", {"account": "b"})), DONE])
    async with serving(temporal, model, tmp_path) as bank:
        await bank.run(Banker)
        assert bank.bank.most_looking_at_once == 2


async def test_the_model_reads_what_a_tool_answered(temporal: WorkflowEnvironment, tmp_path: Path) -> None:
    model = ScriptedModel([call("balance", account="alice"), DONE])
    async with serving(temporal, model, tmp_path) as bank:
        await bank.run(Banker)
    said = model.requests[-1].messages[-1]
    assert said.kind == "tool"
    assert '"balance":"100.00"' in (said.content or "")


async def test_the_cost_is_the_pinned_price_of_the_tokens_used(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel([DONE]), tmp_path) as bank:
        outcome = await bank.run(Banker)
    used = outcome.usage
    # TEST_PRICE: a dollar a million in, four a million out.
    assert outcome.cost_usd * 1_000_000 == used.input_tokens + 4 * used.output_tokens


async def test_a_tools_own_task_queue_and_type_show_in_history(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = ScriptedModel([call("balance", account="alice"), DONE])
    async with serving(temporal, model, tmp_path) as bank:
        handle = await bank.start(Banker)
        await handle.result()
        history = await handle.fetch_history()
    types = [
        event.activity_task_scheduled_event_attributes.activity_type.name
        for event in history.events
        if event.HasField("activity_task_scheduled_event_attributes")
    ]
    assert types == ["chat", "balance", "chat"]


async def test_each_text_is_in_history_once(temporal: WorkflowEnvironment, tmp_path: Path) -> None:
    marker = "quite-unmistakable-" * 10
    script = [call("balance", account="alice")] * 6 + [DONE]
    async with serving(temporal, ScriptedModel(script), tmp_path) as bank:
        handle = await bank.start(Banker, marker)
        await handle.result()
        history = await handle.fetch_history()
    # The task's text is in the start event and in the first chat's request: never again after that.
    assert sum(marker.encode() in event.SerializeToString() for event in history.events) == 2


async def test_search_attributes_tell_how_the_run_ended(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel([DONE]), tmp_path) as bank:
        handle = await bank.start(Banker, tenant="acme")
        await handle.result()
        described = await handle.describe()
    found = {pair.key.name: pair.value for pair in described.typed_search_attributes}
    assert found["AgentName"] == "Banker"
    assert found["AgentTenant"] == "acme"
    assert found["AgentOutcome"] == "completed"
    assert found["AgentStatus"] == "ended"
    assert found["AgentPendingApprovals"] == 0
    assert found["AgentCostUsd"] > 0


async def test_explicit_control_flow_uses_the_same_guards(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel([answer("bye")]), tmp_path) as bank:
        handle = await bank.start(Careful)
        request = await bank.pending(handle)
        await bank.agents.approve(handle.id, request.id, by="ann")
        outcome = await handle.result()
    assert outcome.output == "bye"
    assert outcome.evidence[0].value == "100.00"


async def test_a_smaller_budget_of_the_task_holds(temporal: WorkflowEnvironment, tmp_path: Path) -> None:
    async with serving(temporal, ScriptedModel([DONE]), tmp_path) as bank:
        outcome = await bank.run(Banker, budget={"model_calls": 0})
    assert outcome.status == "budget_exhausted"
    assert "model_calls" in outcome.reason


async def test_a_larger_budget_of_the_task_is_refused(temporal: WorkflowEnvironment, tmp_path: Path) -> None:
    async with serving(temporal, ScriptedModel([DONE]), tmp_path) as bank:
        outcome = await bank.run(Banker, budget={"cost_usd": "99"})
    assert outcome.status == "denied"
    assert "budget.cost_usd" in outcome.reason
