"""A run decides with the rules that it was pinned to."""

from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from temporalio.testing import WorkflowEnvironment

from agentflow.core.rules import RuleSet
from agentflow.telemetry import semconv, spans
from agentflow.testing import ScriptedModel, answer, call
from tests.workflow.agents import Banker, LongBanker
from tests.workflow.harness import chain, decoded, replayed, serving
from tests.workflow.other_rules import StingyBanker, StingyLongBanker, StricterBanker

DONE = answer({"account": "alice", "amount": "10.00"})
SMALL = call("pay", account="alice", amount="10.00")
LARGE = call("pay", account="alice", amount="600.00")


async def test_each_decision_names_the_rule_set(temporal: WorkflowEnvironment, tmp_path: Path) -> None:
    async with serving(temporal, ScriptedModel([SMALL, DONE]), tmp_path) as bank:
        handle = await bank.start(Banker)
        await handle.result()
        history = (await handle.fetch_history()).to_json()
    named = Banker._definition.rules_name
    assert isinstance(Banker._definition.rules, RuleSet)
    assert named.id.startswith("Banker@1+")
    assert f'"rules": "{named.id}"' in decoded(history)
    assert f'"hash": "{named.hash}"' in decoded(history)


@pytest.mark.parametrize("agent", [StricterBanker, StingyBanker], ids=lambda agent: agent.__name__)
async def test_a_run_goes_on_under_the_rules_that_it_was_pinned_to(
    temporal: WorkflowEnvironment, tmp_path: Path, agent: type
) -> None:
    model = ScriptedModel([SMALL, LARGE, call("pay", account="bob", amount="10.00"), DONE])
    queue = f"rules-{agent.__name__}"
    async with serving(temporal, model, tmp_path, queue=queue) as bank:
        handle = await bank.start(Banker)
        request = await bank.pending(handle)
    async with serving(temporal, model, tmp_path, queue=queue, bank=bank.bank, workflows=[agent]) as later:
        await later.agents.approve(handle.id, request.id, by="ann")
        outcome = await handle.result()
        history = await handle.fetch_history()
    assert outcome.status == "completed", outcome.reason
    assert bank.bank.paid == [("alice", "10.00"), ("alice", "600.00"), ("bob", "10.00")]
    await replayed(history, agent)


async def test_a_run_that_continues_as_new_goes_on_under_them_too(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    looks = [call("balance", account="alice")] * 12
    model = ScriptedModel([*looks, LARGE, *looks, SMALL, DONE])
    async with serving(temporal, model, tmp_path, queue="rules-continue") as bank:
        handle = await bank.start(LongBanker)
        request = await bank.pending(handle)
        assert len(await chain(handle)) > 1
    async with serving(
        temporal, model, tmp_path, queue="rules-continue", bank=bank.bank, workflows=[StingyLongBanker]
    ) as later:
        await later.agents.approve(handle.id, request.id, by="ann")
        outcome = await handle.result()
    assert outcome.status == "completed", outcome.reason
    assert bank.bank.paid == [("alice", "600.00"), ("alice", "10.00")]


async def test_rules_that_would_have_decided_otherwise_change_nothing_in_a_replay(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel([SMALL, DONE]), tmp_path) as bank:
        handle = await bank.start(Banker)
        await handle.result()
        history = await handle.fetch_history()
    await replayed(history, StingyBanker)


async def test_each_span_names_the_rule_set(
    temporal: WorkflowEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    monkeypatch.setattr(spans, "_TRACER", provider.get_tracer("agentflow"))
    monkeypatch.setattr(spans, "is_recording", lambda: True)
    async with serving(temporal, ScriptedModel([SMALL, DONE]), tmp_path) as bank:
        await bank.run(Banker)
    recorded = [span for span in kept.get_finished_spans() if span.instrumentation_scope.name == "agentflow"]
    assert [span.name.split()[0] for span in recorded] == ["chat", "execute_tool", "chat"]
    assert {span.attributes[semconv.RULES] for span in recorded} == {Banker._definition.rules_name.id}
