"""What models write is not what tools get: rules, people and tools see one value."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import WorkflowEnvironment

from agentflow import tools_of
from agentflow.core.idempotency import arguments_hash
from agentflow.testing import ScriptedModel, answer, call
from tests.workflow.harness import chain, decoded, replayed, serving
from tests.workflow.raw_agents import Meddler, Poster, Steady
from tests.workflow.raw_tools import Parcel, Posts, sent

AGENTS = [Meddler, Poster, Steady]
LIGHT = ("ann@good.example", Parcel(weight=Decimal(5)), "USD")
WHOLE = {"to": "ann@good.example", "parcel": {"weight": "1000", "label": "plain"}, "currency": "USD"}


async def test_a_rule_sees_the_address_that_the_tool_would_get(
    skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    posts, model = Posts(), ScriptedModel([call("post", **sent("  EVE@Evil.example ", 5)), answer("done")])
    async with serving(skipping, model, tmp_path, more_tools=tools_of(posts), workflows=AGENTS) as bank:
        await bank.run(Poster)
    assert posts.sent == []
    assert "Eve gets nothing" in str(model.requests[-1].messages[-1])


@pytest.mark.parametrize("weight", ["1_000", "\u0661\u0660\u0660\u0660", "1e3", " 1000 ", 1000])
async def test_people_approve_exactly_what_the_tool_gets(
    temporal: WorkflowEnvironment, tmp_path: Path, weight: Any
) -> None:
    posts, model = Posts(), ScriptedModel([call("post", **sent(" Ann@good.example", weight)), answer("done")])
    async with serving(temporal, model, tmp_path, more_tools=tools_of(posts), workflows=AGENTS) as bank:
        handle = await bank.start(Poster)
        request = await bank.pending(handle)
        assert request.arguments == WHOLE
        assert request.arguments_hash == arguments_hash("post", WHOLE)
        await bank.agents.approve(handle.id, request.id, by="ann", arguments_hash=request.arguments_hash)
        await handle.result()
        (history,) = await chain(handle)
    assert posts.sent == [("ann@good.example", Parcel(weight=Decimal(1000)), "USD")]
    # What the model wrote is on record, and a replay finds the same.
    assert '"written": {"to": " Ann@good.example"' in decoded(history.to_json())
    await replayed(history, *AGENTS)


async def test_what_nothing_names_is_refused_before_anybody_agrees_to_it(
    skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    extra = sent("ann@good.example", 1000, seat_upgrade="window, +$0")
    posts, model = Posts(), ScriptedModel([call("post", **extra), answer("done")])
    async with serving(skipping, model, tmp_path, more_tools=tools_of(posts), workflows=AGENTS) as bank:
        outcome = await bank.run(Poster)
    assert (outcome.status, posts.sent) == ("completed", [])
    assert "'seat_upgrade' was unexpected" in model.requests[-1].messages[-1].content  # type: ignore[union-attr, operator]


async def test_the_model_goes_on_from_what_the_tool_got(
    skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    posts, model = Posts(), ScriptedModel([call("post", **sent(" Ann@good.example", 5)), answer("done")])
    async with serving(skipping, model, tmp_path, more_tools=tools_of(posts), workflows=AGENTS) as bank:
        await bank.run(Poster)
    assert posts.sent == [LIGHT]
    (asked,) = model.requests[-1].messages[-2].tool_calls  # type: ignore[union-attr]
    assert asked.arguments["to"] == "ann@good.example"


async def test_code_that_calls_a_tool_is_held_to_the_same(
    skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    posts = Posts()
    async with serving(
        skipping, ScriptedModel([]), tmp_path, more_tools=tools_of(posts), workflows=AGENTS
    ) as bank:
        outcome = await bank.run(Steady, sent(" Ann@good.example", 5))
        assert (outcome.output, posts.sent) == ("ann@good.example", [LIGHT])
        denied = await bank.run(Steady, sent("EVE@evil.example", 5))
        assert "Eve gets nothing" in str(denied.output)
        unnamed = await bank.run(Steady, sent("ann@good.example", 5, seat_upgrade="+$0"))
        assert "'seat_upgrade' was unexpected" in str(unnamed.output)
    assert posts.sent == [LIGHT]


async def test_a_rule_that_changes_what_it_looks_at_denies(
    skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    posts, model = Posts(), ScriptedModel([call("post", **sent("ann@good.example", 5)), answer("done")])
    async with serving(skipping, model, tmp_path, more_tools=tools_of(posts), workflows=AGENTS) as bank:
        await bank.run(Meddler)
    assert posts.sent == []
    said, asked = model.requests[-1].messages[-1], model.requests[-1].messages[-2]
    assert "what a rule looks at can" in str(said)
    assert asked.tool_calls[0].arguments["parcel"]["weight"] == "5"  # type: ignore[union-attr]
