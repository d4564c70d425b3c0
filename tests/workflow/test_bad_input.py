"""Bad input, line by line, and what it gets."""

from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.testing import WorkflowEnvironment

from agentflow.contracts.budget import Usage
from agentflow.contracts.escalation import Resolution
from agentflow.contracts.messages import AssistantMessage
from agentflow.contracts.model import ModelAnswer
from agentflow.errors import ConfigurationError, ModelRejectedError, ModelUnavailableError
from agentflow.testing import ScriptedModel, answer, call
from tests.workflow.agents import Banker
from tests.workflow.chatting_agents import Unpriced
from tests.workflow.harness import Harness, serving
from tests.workflow.stepping_agents import Buggy, Careful, Verbose

DONE = answer({"account": "alice", "amount": "10.00"})
ABORT = Resolution(action="abort", by="otto", text="enough")


async def abort(bank: Harness, handle: object, reason: str) -> None:
    escalation = await bank.escalation(handle)  # type: ignore[arg-type]
    assert reason in escalation.reason
    await bank.agents.resolve(handle.id, ABORT)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("task", "field"),
    [
        ({"input": "x"}, "requested_by"),
        ({"input": 7, "requested_by": "rita"}, "input"),
        ({"input": "x", "requested_by": ["rita"]}, "requested_by"),
        ({"input": "x", "requested_by": "rita", "budgett": {}}, "budgett"),
        ("just a text", "AgentTask"),
    ],
)
async def test_a_malformed_task_fails_the_run_at_once_with_the_field_named(
    temporal: WorkflowEnvironment, tmp_path: Path, task: object, field: str
) -> None:
    async with serving(temporal, ScriptedModel([DONE]), tmp_path) as bank:
        with pytest.raises(WorkflowFailureError) as failure:
            await bank.client.execute_workflow(
                "Banker",
                task,
                id=f"malformed-{uuid4()}",
                task_queue=bank.task_queue,
                run_timeout=timedelta(seconds=20),
            )
    assert field in str(failure.value.cause)
    assert "malformed" in str(failure.value.cause)


@pytest.mark.parametrize(
    ("names", "why"),
    [
        ({"requested_by": ""}, "requested_by is empty"),
        ({"requested_by": "  "}, "requested_by is empty"),
        ({"requested_by": "x" * 201}, "more than 200"),
        ({"requested_by": "ri\u200bta"}, "U+200B"),
        ({"requested_by": "rita\u202e"}, "U+202E"),
        ({"requested_by": "rita\n"}, "U+000A"),
        ({"requested_by": "rita\ue000"}, "U+E000"),
        ({"tenant": "no spaces"}, "tenant is 'no spaces'"),
        ({"tenant": "\u0430cme"}, "tenant is '\\u0430cme'"),
        ({"tenant": ""}, "tenant is ''"),
        ({"tenant": "acme\n"}, "tenant is 'acme\\n'"),
    ],
    ids=ascii,
)
async def test_a_name_that_can_not_be_one_denies_the_run_with_the_reason(
    temporal: WorkflowEnvironment, tmp_path: Path, names: dict[str, str], why: str
) -> None:
    async with serving(temporal, ScriptedModel([DONE]), tmp_path) as bank:
        outcome = await bank.client.execute_workflow(
            "Banker",
            {"input": "x", "requested_by": "rita", **names},
            id=f"named-{uuid4()}",
            task_queue=bank.task_queue,
            run_timeout=timedelta(seconds=20),
        )
    assert outcome["status"] == "denied"
    assert why in outcome["reason"]


async def test_a_client_does_not_send_a_name_that_can_not_be_one(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel([DONE]), tmp_path) as bank:
        with pytest.raises(ConfigurationError, match=r"U\+200B as character 3"):
            await bank.start(Banker, requested_by="ri\u200bta")
        with pytest.raises(ConfigurationError, match="tenant"):
            await bank.start(Banker, tenant="two words")


async def test_an_oversized_task_is_refused_before_anything_is_scheduled(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel([DONE]), tmp_path) as bank:
        handle = await bank.start(Banker, "x" * 300_000)
        outcome = await handle.result()
        history = await handle.fetch_history()
    assert outcome.status == "denied"
    assert "300" in outcome.reason
    assert str(Banker.max_input_bytes) in outcome.reason
    assert not any(event.HasField("activity_task_scheduled_event_attributes") for event in history.events)


async def test_an_oversized_tool_result_is_refused_with_size_and_limit(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = ScriptedModel([call("balance", account="large"), DONE])
    async with serving(temporal, model, tmp_path) as bank:
        outcome = await bank.run(Banker)
    error = outcome.tool_calls[0].error or ""
    assert "the limit is 4096 bytes" in error
    assert "output is 50" in error


async def test_an_unknown_tool_is_told_to_the_model_once_and_then_escalates(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = ScriptedModel([call("hack"), call("hack")])
    async with serving(temporal, model, tmp_path) as bank:
        handle = await bank.start(Banker)
        await abort(bank, handle, "no tool 'hack'")
        assert (await handle.result()).status == "escalated"
    assert "there are: audit, balance" in model.requests[1].messages[-1].content  # type: ignore[union-attr]
    assert len(model.requests) == 2


async def test_arguments_off_the_contract_are_told_to_the_model_once_and_then_escalate(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    wrong = call("balance", account="NOT LOWER CASE")
    async with serving(temporal, ScriptedModel([wrong, wrong]), tmp_path) as bank:
        handle = await bank.start(Banker)
        await abort(bank, handle, "account")
        await handle.result()
        assert bank.bank.looks == []


async def test_a_model_that_corrects_its_arguments_goes_on(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = ScriptedModel([call("balance", account="A!"), call("balance", account="alice"), DONE])
    async with serving(temporal, model, tmp_path) as bank:
        assert (await bank.run(Banker)).status == "completed"


@pytest.mark.parametrize("garbage", ["", "no json", '{"account": 1}', "[" * 2_000])
async def test_garbage_from_the_model_gets_one_repair_and_then_escalates(
    temporal: WorkflowEnvironment, tmp_path: Path, garbage: str
) -> None:
    model = ScriptedModel([answer(garbage), answer(garbage)])
    async with serving(temporal, model, tmp_path) as bank:
        handle = await bank.start(Banker)
        await abort(bank, handle, "can't be used")
        assert (await handle.result()).status == "escalated"
    assert "can't be used" in model.requests[1].messages[-1].text  # type: ignore[union-attr]
    assert len(model.requests) == 2


async def test_a_repaired_answer_completes_the_run(temporal: WorkflowEnvironment, tmp_path: Path) -> None:
    async with serving(temporal, ScriptedModel([answer("garbage"), DONE]), tmp_path) as bank:
        assert (await bank.run(Banker)).status == "completed"


async def test_an_answer_that_was_cut_off_is_garbage_too(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    cut = ModelAnswer(
        message=AssistantMessage(text='{"account": "alice", "amount": "1"}'),
        usage=Usage(input_tokens=1, output_tokens=200),
        response_model="model",
        finish_reason="length",
    )
    async with serving(temporal, ScriptedModel([cut, DONE]), tmp_path) as bank:
        outcome = await bank.run(Banker)
    assert outcome.usage.model_calls == 2


async def test_a_person_may_supply_the_answer_that_the_model_could_not(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel([answer("?"), answer("?")]), tmp_path) as bank:
        handle = await bank.start(Banker)
        await bank.escalation(handle)
        wrong = Resolution(action="answer", by="otto", answer={"account": 1})
        await bank.agents.resolve(handle.id, wrong)
        right = Resolution(action="answer", by="otto", answer={"account": "alice", "amount": "3.00"})
        await bank.agents.resolve(handle.id, right)
        outcome = await handle.result()
        assert any("does not fit" in said for said in await bank.refusals(handle))
    assert outcome.output == {"account": "alice", "amount": "3.00"}


async def test_a_provider_that_is_down_is_retried_a_bounded_number_of_times_and_then_escalates(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = ScriptedModel(lambda _: ModelUnavailableError("overloaded"))
    async with serving(temporal, model, tmp_path) as bank:
        handle = await bank.start(Banker)
        await abort(bank, handle, "overloaded")
        outcome = await handle.result()
    assert len(model.requests) == 3
    assert outcome.status == "escalated"


async def test_a_provider_that_comes_back_finishes_the_run(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    down = [ModelUnavailableError("overloaded")] * 3
    async with serving(temporal, ScriptedModel([*down, DONE]), tmp_path) as bank:
        handle = await bank.start(Banker)
        await bank.escalation(handle)
        await bank.agents.resolve(handle.id, Resolution(action="guide", by="otto", text="it is back, go on"))
        assert (await handle.result()).status == "completed"


async def test_attempts_that_may_have_been_billed_stay_charged(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel([ModelUnavailableError("lost"), DONE]), tmp_path) as bank:
        handle = await bank.start(Banker)
        outcome = await handle.result()
        usage = await bank.agents.usage(handle.id)
    assert usage.possibly_billed_usd > 0
    assert outcome.cost_usd > usage.possibly_billed_usd
    assert usage.reserved.cost_usd == 0


async def test_a_request_that_the_provider_refuses_is_not_retried(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = ScriptedModel(lambda _: ModelRejectedError("set ANTHROPIC_API_KEY", unbilled=True))
    async with serving(temporal, model, tmp_path) as bank:
        handle = await bank.start(Banker)
        await abort(bank, handle, "ANTHROPIC_API_KEY")
        outcome = await handle.result()
    assert len(model.requests) == 1
    assert outcome.cost_usd == 0


async def test_payments_down_is_retried_and_then_a_person_is_asked_what_happened(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = ScriptedModel([call("pay", account="alice", amount="5.00"), DONE])
    async with serving(temporal, model, tmp_path) as bank:
        bank.bank.failures = [ConnectionError("payments down")] * 3
        handle = await bank.start(Banker)
        await bank.escalation(handle)
        await bank.agents.resolve(handle.id, Resolution(action="did_not_happen", by="otto", text="I looked"))
        outcome = await handle.result()
        assert bank.bank.paid == []
    (paying,) = outcome.tool_calls
    assert (paying.effect, paying.error) == ("failed", "failed: it did not happen, says otto: I looked")


async def test_payments_that_come_back_within_the_retries_pay_once(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = ScriptedModel([call("pay", account="alice", amount="5.00"), DONE])
    async with serving(temporal, model, tmp_path) as bank:
        bank.bank.failures = [ConnectionError("down")] * 2
        assert (await bank.run(Banker)).status == "completed"
        assert bank.bank.paid == [("alice", "5.00")]


async def test_an_effect_in_doubt_is_never_tried_again_and_goes_to_a_person(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = ScriptedModel([call("wire", account="bob", amount="9.00"), DONE])
    async with serving(temporal, model, tmp_path) as bank:
        handle = await bank.start(Banker)
        await abort(bank, handle, "may or may not have happened")
        await handle.result()
        assert bank.bank.paid == [("bob", "9.00")]


async def test_an_unknown_price_denies_and_names_the_model_and_the_remedy(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel([answer("hi")]), tmp_path) as bank:
        outcome = await bank.run(Unpriced)
    assert outcome.status == "denied"
    assert "nowhere:model" in outcome.reason
    assert "ModelPrice" in outcome.reason


async def test_a_bug_in_the_agent_fails_the_workflow_and_does_not_spin(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel([]), tmp_path) as bank:
        with pytest.raises(WorkflowFailureError) as failure:
            await bank.run(Buggy)
    assert "KeyError" in str(failure.value.cause)


async def test_an_agent_that_ends_the_process_fails_the_workflow_and_does_not_spin(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel([]), tmp_path) as bank:
        with pytest.raises(WorkflowFailureError) as failure:
            await bank.run(Buggy, "exit")
    assert "SystemExit" in str(failure.value.cause)


@pytest.mark.parametrize("how", ["crash", "exit"])
async def test_a_preflight_check_that_breaks_denies(
    temporal: WorkflowEnvironment, tmp_path: Path, how: str
) -> None:
    async with serving(temporal, ScriptedModel([]), tmp_path) as bank:
        outcome = await bank.run(Careful, how)
    assert outcome.status == "denied"
    assert "preflight could not decide" in outcome.reason


async def test_a_postflight_check_withholds_the_output(temporal: WorkflowEnvironment, tmp_path: Path) -> None:
    async with serving(temporal, ScriptedModel([answer("a secret")]), tmp_path) as bank:
        handle = await bank.start(Careful)
        request = await bank.pending(handle)
        await bank.agents.approve(handle.id, request.id, by="ann")
        outcome = await handle.result()
    assert (outcome.status, outcome.output) == ("denied", None)


async def test_a_budget_that_is_too_small_for_the_next_call_stops_before_it(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = ScriptedModel([DONE])
    async with serving(temporal, model, tmp_path) as bank:
        outcome = await bank.run(Banker, budget={"cost_usd": "0.001"})
    assert outcome.status == "budget_exhausted"
    assert model.requests == []


async def test_three_refusals_end_the_run_as_denied(temporal: WorkflowEnvironment, tmp_path: Path) -> None:
    async with serving(
        temporal, ScriptedModel([call("pay", account="frozen", amount="1.00")] * 3), tmp_path
    ) as bank:
        outcome = await bank.run(Banker)
        assert bank.bank.paid == []
    assert outcome.status == "denied"
    assert "frozen" in outcome.reason


async def test_an_output_that_no_payload_can_carry_ends_the_run_in_place_of_hanging_it(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel([]), tmp_path) as bank:
        outcome = await bank.run(Verbose, 3_000_000)
    assert (outcome.status, outcome.output) == ("denied", None)
    assert "longer than a payload may be" in outcome.reason
