"""What model calls are charged, whatever a provider answers."""

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from temporalio.testing import WorkflowEnvironment

from agentflow import AgentflowPlugin, Budget, Resolution
from agentflow.activity.manifest import ModelRegistry
from agentflow.contracts.budget import Usage
from agentflow.contracts.messages import AssistantMessage
from agentflow.contracts.model import ModelAnswer, ModelCall, ModelPrice
from agentflow.contracts.wire import Json, ToolCallId
from agentflow.core.usage import least_output_tokens
from agentflow.errors import ModelError, ModelRejectedError, ModelUnavailableError
from agentflow.start_checks import warn_of_poor_agents
from agentflow.testing import ScriptedModel, answer, call
from agentflow.testing.settings import TEST_PRICE, FixedPrices
from tests.workflow.agents import Banker
from tests.workflow.harness import Harness, serving
from tests.workflow.routed_agents import Penniless, Routed

DONE = answer({"account": "alice", "amount": "10.00"})
DEAR = ModelPrice(input_usd_per_mtok=Decimal(2), output_usd_per_mtok=Decimal(8))
FINE = Usage(input_tokens=1_000, output_tokens=50)
FINE_USD = Decimal("0.0012")


def said(
    message: AssistantMessage = DONE, usage: Usage = FINE, finish: str | None = None, model: str = "model"
) -> ModelAnswer:
    reason = finish or ("tool_calls" if message.tool_calls else "stop")
    return ModelAnswer(message=message, usage=usage, response_model=model, finish_reason=reason)


async def notes(bank: Harness, handle: Any) -> list[str]:
    return [line.detail for line in await bank.agents.decisions(handle.id) if line.subject == "model_call"]


async def abort(bank: Harness, handle: Any) -> str:
    """Abort the run as soon as it waits for a person; answer what it waits for."""
    reason = (await bank.escalation(handle)).reason
    await bank.agents.resolve(handle.id, Resolution(action="abort", by="otto", text="no"))
    return reason


@pytest.mark.parametrize(
    ("error", "costs"),
    [
        (ModelRejectedError("401", unbilled=True), False),
        (ModelRejectedError("the content filter stopped the answer"), True),
    ],
)
async def test_a_refused_call_costs_nothing_only_if_it_certainly_was_not_billed(
    temporal: WorkflowEnvironment, tmp_path: Path, error: ModelError, costs: bool
) -> None:
    async with serving(temporal, ScriptedModel(lambda _: error), tmp_path) as bank:
        handle = await bank.start(Banker)
        await abort(bank, handle)
        outcome = await handle.result()
        usage = await bank.agents.usage(handle.id)
    assert (outcome.cost_usd > 0) == costs
    assert usage.possibly_billed_usd == outcome.cost_usd
    assert usage.reserved.cost_usd == 0


async def test_of_attempts_that_failed_all_are_charged_but_a_last_one_that_was_not_billed(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    spent: list[Decimal] = []
    for last in (ModelUnavailableError("503"), ModelUnavailableError("429", unbilled=True)):
        lines = [ModelUnavailableError("503"), ModelUnavailableError("503"), last]
        async with serving(temporal, ScriptedModel(lines), tmp_path) as bank:
            handle = await bank.start(Banker)
            await abort(bank, handle)
            spent.append((await handle.result()).cost_usd)
    assert spent[0] * 2 == spent[1] * 3


class Refusing:
    """An input guard that refuses all."""

    async def check_input(self, texts: Any) -> str | None:
        return "no"


async def test_what_a_guard_keeps_from_a_model_costs_nothing(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel([DONE]), tmp_path, input_guard=Refusing()) as bank:
        outcome = await bank.run(Banker)
    assert (outcome.status, outcome.cost_usd) == ("denied", 0)


class BrokenClient:
    """Fails in its own code after the provider was asked."""

    async def chat(self, call: ModelCall) -> ModelAnswer:
        raise ZeroDivisionError


async def test_a_client_that_breaks_is_charged_for_each_attempt(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, BrokenClient(), tmp_path) as bank:
        handle = await bank.start(Banker)
        await abort(bank, handle)
        outcome = await handle.result()
    assert outcome.cost_usd > 0


async def test_a_call_that_a_cancel_stops_is_charged(temporal: WorkflowEnvironment, tmp_path: Path) -> None:
    asked = asyncio.Event()

    class Slow:
        async def chat(self, call: ModelCall) -> ModelAnswer:
            asked.set()
            await asyncio.Event().wait()
            raise AssertionError

    async with serving(temporal, Slow(), tmp_path) as bank:
        handle = await bank.start(Banker, budget=Budget(cost_usd=Decimal("0.10")))
        await asked.wait()
        await handle.cancel()
        outcome = await handle.result()
    assert outcome.status == "cancelled"
    assert outcome.cost_usd > 0


@pytest.mark.parametrize(
    ("usage", "why"),
    [
        (Usage(input_tokens=1_000), "0 output tokens"),
        (Usage(output_tokens=50), "0 input tokens"),
        (Usage(), "0 input tokens"),
        (FINE.model_copy(update={"reasoning_output_tokens": 51}), "reasoning"),
        (FINE.model_copy(update={"total_tokens": 1_051}), "in all"),
        (FINE.model_copy(update={"cache_read_input_tokens": 1_001}), "cached"),
        (Usage(doubt="the provider reported no usage"), "no usage"),
    ],
)
async def test_a_usage_report_that_can_not_be_is_charged_at_the_worst_case_and_on_record(
    temporal: WorkflowEnvironment, tmp_path: Path, usage: Usage, why: str
) -> None:
    async with serving(temporal, ScriptedModel([said(usage=usage)]), tmp_path) as bank:
        handle = await bank.start(Banker)
        outcome = await handle.result()
        report = await bank.agents.usage(handle.id)
        (note,) = await notes(bank, handle)
    assert outcome.status == "completed"
    assert outcome.cost_usd == report.possibly_billed_usd > FINE_USD
    assert "charged at the worst case" in note
    assert why in note


async def test_a_report_that_can_be_is_charged_as_it_is(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel([said()]), tmp_path) as bank:
        handle = await bank.start(Banker)
        outcome = await handle.result()
        assert await notes(bank, handle) == []
    assert outcome.cost_usd == FINE_USD


@pytest.mark.parametrize("message", [DONE, call("pay", account="alice", amount="5.00")])
async def test_usage_far_above_the_worst_case_is_charged_and_a_person_sees_the_run(
    temporal: WorkflowEnvironment, tmp_path: Path, message: AssistantMessage
) -> None:
    usage = Usage(input_tokens=1_000, output_tokens=3_500_000)
    async with serving(temporal, ScriptedModel([said(message, usage), DONE]), tmp_path) as bank:
        handle = await bank.start(Banker)
        reason = await abort(bank, handle)
        outcome = await handle.result()
        (note,) = await notes(bank, handle)
    assert outcome.status == "escalated"
    assert outcome.cost_usd == Decimal("14.001")
    assert outcome.output is None
    assert bank.bank.paid == []
    assert "above its worst case" in reason
    assert reason in note


async def test_a_run_that_a_person_lets_go_on_after_it_is_stopped_by_its_budget(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    usage = Usage(input_tokens=1_000, output_tokens=3_500_000)
    async with serving(temporal, ScriptedModel([said(usage=usage), DONE]), tmp_path) as bank:
        handle = await bank.start(Banker)
        await bank.escalation(handle)
        await bank.agents.resolve(handle.id, Resolution(action="guide", by="otto", text="go on"))
        assert (await handle.result()).status == "budget_exhausted"


@pytest.mark.parametrize(
    ("name", "usd", "noted"),
    [
        ("model", FINE_USD, ""),
        ("model-2025-09-29", FINE_USD, ""),
        ("dear", 2 * FINE_USD, "dearer"),
        # The price of a version is its own where that is known to be higher.
        ("model-2025-01-01", 2 * FINE_USD, "dearer"),
        ("cheap", FINE_USD, "dearer"),
        ("who-knows", None, "unknown"),
    ],
)
async def test_another_model_that_answers_is_charged_at_the_dearer_price_or_at_the_worst_case(
    temporal: WorkflowEnvironment, tmp_path: Path, name: str, usd: Decimal | None, noted: str
) -> None:
    cheap = ModelPrice(input_usd_per_mtok=Decimal("0.1"), output_usd_per_mtok=Decimal("0.4"))
    prices = {"scripted:dear": DEAR, "scripted:model-2025-01-01": DEAR, "scripted:cheap": cheap}
    lines = [said(call("balance", account="alice"), model=name), said(model=name)]
    async with serving(temporal, ScriptedModel(lines), tmp_path, prices=prices) as bank:
        handle = await bank.start(Banker)
        outcome = await handle.result()
        found = [note for note in await notes(bank, handle) if "answers for" in note]
    assert len(found) == (1 if noted else 0)
    assert noted in "".join(found)
    assert outcome.cost_usd == 2 * usd if usd else outcome.cost_usd > 4 * FINE_USD


@pytest.mark.parametrize(
    "word", ["content_filter", "refusal", "pause_turn", "MALFORMED_FUNCTION_CALL", "missing", "whatever", ""]
)
@pytest.mark.parametrize("message", [DONE, call("pay", account="eve", amount="5.00")])
async def test_nothing_of_an_answer_that_is_not_finished_is_used(
    temporal: WorkflowEnvironment, tmp_path: Path, word: str, message: AssistantMessage
) -> None:
    cut = ModelAnswer(message=message, usage=FINE, response_model="model", finish_reason=word)
    model = ScriptedModel([cut])
    async with serving(temporal, model, tmp_path) as bank:
        handle = await bank.start(Banker)
        reason = await abort(bank, handle)
        outcome = await handle.result()
        (note,) = await notes(bank, handle)
    assert (word or "missing") in reason
    assert (word or "missing") in note
    assert outcome.output is None
    assert outcome.cost_usd == FINE_USD
    assert bank.bank.paid == []
    assert len(model.requests) == 1


async def test_an_answer_with_too_many_calls_is_charged_and_not_used(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    one = call("pay", account="eve", amount="5.00").tool_calls[0]
    calls = tuple(one.model_copy(update={"id": ToolCallId(f"call_{number}")}) for number in range(10_000))
    many = ModelAnswer(
        message=AssistantMessage(tool_calls=calls),
        usage=FINE,
        response_model="model",
        finish_reason="tool_call",
    )
    async with serving(temporal, ScriptedModel([many, said()]), tmp_path) as bank:
        handle = await bank.start(Banker)
        reason = await abort(bank, handle)
        outcome = await handle.result()
        size = len((await handle.fetch_history()).to_json())
    assert "10,000 tool calls at once, and 100 are the most (ModelOptions.max_tool_calls)" in reason
    assert outcome.cost_usd > 0
    assert bank.bank.paid == []
    assert size < 100_000


async def test_arguments_that_are_nested_too_deep_are_refused_and_the_model_is_told(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    deep: Json = "x"
    for _ in range(150):
        deep = [deep]
    model = ScriptedModel([call("pay", account=deep, amount="5.00"), answer({"account": "a", "amount": "1"})])
    async with serving(temporal, model, tmp_path) as bank:
        outcome = await bank.run(Banker)
    assert outcome.status == "completed"
    told = model.requests[-1].messages[-1]
    assert told.kind == "tool"
    assert told.is_error
    assert "nested deeper than 80 levels" in str(told.content)
    assert bank.bank.paid == []
    assert len(model.requests) == 2


async def test_after_a_persons_word_the_model_is_asked_again_without_the_half_answer(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = ScriptedModel(lambda call: said() if len(call.messages) > 1 else said(finish="content_filter"))
    async with serving(temporal, model, tmp_path) as bank:
        handle = await bank.start(Banker)
        await bank.escalation(handle)
        await bank.agents.resolve(handle.id, Resolution(action="guide", by="otto", text="be nice"))
        outcome = await handle.result()
    assert outcome.status == "completed"
    assert [message.kind for message in model.requests[-1].messages] == ["user", "user"]


async def test_the_next_model_of_the_route_is_asked_the_same(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    def model(call: ModelCall) -> ModelAnswer:
        return said(finish="content_filter") if call.model.name == "scripted:model" else said()

    scripted, workflows = ScriptedModel(model), [Routed]
    prices = {"other:model": TEST_PRICE}
    async with serving(temporal, scripted, tmp_path, prices=prices, workflows=workflows) as bank:
        handle = await bank.start(Routed)
        outcome = await handle.result()
        (note,) = await notes(bank, handle)
    first, second = scripted.requests
    assert outcome.status == "completed"
    assert outcome.cost_usd == 2 * FINE_USD
    assert (first.messages, second.model.name) == (second.messages, "other:model")
    assert "the next model of the route is asked" in note


async def test_a_person_is_asked_where_no_model_of_the_route_finishes(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    scripted = ScriptedModel(lambda _: said(finish="content_filter"))
    prices = {"other:model": TEST_PRICE}
    async with serving(temporal, scripted, tmp_path, prices=prices, workflows=[Routed]) as bank:
        handle = await bank.start(Routed)
        await abort(bank, handle)
        assert (await handle.result()).status == "escalated"
    assert len(scripted.requests) == 2


async def test_a_worker_says_as_it_starts_which_agents_can_not_pay_for_a_call(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    with capture_logs() as logs:
        async with serving(temporal, ScriptedModel([DONE]), tmp_path, workflows=[Banker, Penniless]) as bank:
            outcome = await bank.run(Penniless)
    (line,) = [line for line in logs if "single model call" in line["event"]]
    assert line["agent"] == "Penniless"
    assert "cost_usd would reach" in line["reason"]
    assert outcome.status == "budget_exhausted"


class Hanging:
    """A price book that fails."""

    def price(self, model: str) -> ModelPrice | None:
        raise OSError("down")

    def context_tokens(self, model: str) -> int | None:
        return None


@pytest.mark.parametrize("prices", [FixedPrices({}), Hanging()])
async def test_it_says_so_of_agents_whose_models_have_no_price(prices: Any) -> None:
    with capture_logs() as logs:
        await warn_of_poor_agents([Banker, AgentflowPlugin], ModelRegistry(prices=prices))
    assert [line["agent"] for line in logs if "agent" in line] == ["Banker"]


def test_the_answer_of_these_tests_is_worth_its_tokens() -> None:
    assert least_output_tokens(DONE) <= FINE.output_tokens
