"""A conversation that outgrows its model's context is made shorter; what was said stays on record."""

from pathlib import Path

from temporalio.testing import WorkflowEnvironment

from agentflow.contracts.budget import Usage
from agentflow.contracts.messages import AssistantMessage, ToolMessage, UserMessage
from agentflow.contracts.model import ModelAnswer, ModelCall, ModelPrice
from agentflow.core.compaction import CLEARED
from agentflow.testing import TEST_PRICE, ScriptedModel, answer, call
from tests.workflow.chatting_agents import Forgetful, Summarising
from tests.workflow.harness import serving

CONTEXT = {"scripted:model": 4_000}


def pages(number: int) -> ScriptedModel:
    """Asks for page after page, and counts a token for each three characters."""
    asked = iter(range(number))

    def say(request: ModelCall) -> AssistantMessage | ModelAnswer:
        if request.messages[-1].kind == "user" and "Summarise" in getattr(request.messages[-1], "text", ""):
            return answer("so far: nothing unusual")
        page = next(asked, None)
        said = answer("all read") if page is None else call("statement", page=page)
        size = sum(len(getattr(m, "text", "") or getattr(m, "content", "") or "") for m in request.messages)
        usage = Usage(input_tokens=size // 3 + 300, output_tokens=10)
        return ModelAnswer(
            message=said,
            usage=usage,
            response_model="model",
            finish_reason="tool_calls" if said.tool_calls else "stop",
        )

    return ScriptedModel(say)


def texts(request: ModelCall) -> list[str]:
    return [message.content or "" for message in request.messages if isinstance(message, ToolMessage)]


async def test_old_outputs_are_cleared_and_the_latest_stay(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = pages(30)
    async with serving(temporal, model, tmp_path, context_tokens=CONTEXT) as bank:
        handle = await bank.start(Forgetful)
        outcome = await handle.result()
        decisions = await bank.agents.decisions(handle.id)
    assert outcome.status == "completed"
    last = texts(model.requests[-1])
    assert len(last) == 30
    assert CLEARED in last[0]
    assert "page 29 " in last[-1]
    # The model was never sent more than it takes.
    assert max(sum(map(len, texts(request))) // 3 for request in model.requests) < 4_000
    noted = [line.detail for line in decisions if line.subject == "compaction"]
    assert noted
    assert "clear_tool_outputs: from at most" in noted[0]


async def test_what_was_cleared_is_in_history_whole(temporal: WorkflowEnvironment, tmp_path: Path) -> None:
    async with serving(temporal, pages(30), tmp_path, context_tokens=CONTEXT) as bank:
        handle = await bank.start(Forgetful)
        await handle.result()
        history = await handle.fetch_history()
    outputs = [
        event.activity_task_completed_event_attributes.result.payloads[0].data
        for event in history.events
        if event.HasField("activity_task_completed_event_attributes")
    ]
    assert all(any(f"page {page} ".encode() in output for output in outputs) for page in range(30))
    compactions = [event for event in history.events if b'"kind":"compaction"' in event.SerializeToString()]
    assert compactions


async def test_the_cheap_model_summarises_in_a_turn_of_its_own(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = pages(20)
    prices = {
        "scripted:cheap": ModelPrice(input_usd_per_mtok=TEST_PRICE.input_usd_per_mtok, output_usd_per_mtok=1)
    }  # type: ignore[arg-type]
    async with serving(temporal, model, tmp_path, context_tokens=CONTEXT, prices=prices) as bank:
        handle = await bank.start(Summarising, "read the statement")
        outcome = await handle.result()
        decisions = await bank.agents.decisions(handle.id)
    assert outcome.status == "completed"
    summaries = [request for request in model.requests if request.model.name == "scripted:cheap"]
    assert summaries
    # It can't call tools in place of summarising.
    assert all(request.tools == () for request in summaries)
    # It is paid for like any other call.
    assert outcome.usage.model_calls == len(model.requests)
    first, summary, *rest = model.requests[-1].messages
    assert isinstance(first, UserMessage)
    assert first.text == "read the statement"
    assert isinstance(summary, UserMessage)
    assert (summary.text, summary.label) == ("so far: nothing unusual", "summary")
    # No call is torn from its result.
    assert rest[0].kind == "assistant"
    assert any("summarise_oldest: scripted:cheap summarises" in line.detail for line in decisions)


async def test_where_nothing_may_go_a_person_is_asked(temporal: WorkflowEnvironment, tmp_path: Path) -> None:
    async with serving(temporal, pages(1), tmp_path, context_tokens={"scripted:model": 1_000}) as bank:
        handle = await bank.start(Forgetful, "x" * 3_000)
        escalation = await bank.escalation(handle)
        await handle.cancel()
        await handle.result()
    assert "longer than the model's context" in escalation.reason


async def test_without_a_known_context_nothing_is_cleared(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = pages(12)
    async with serving(temporal, model, tmp_path) as bank:
        await bank.run(Forgetful)
    assert not any(CLEARED in text for text in texts(model.requests[-1]))
