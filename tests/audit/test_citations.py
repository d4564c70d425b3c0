"""What an outcome's reasons cite is looked up in what tools really answered."""

import json
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowHistory

from agentflow.audit.bundle import DECISIONS
from tests.audit.places import Desk, recorded

CITING = "explicit-control-flow"


def with_evidence(change: Any) -> WorkflowHistory:
    """A run whose outcome cites something else than it did."""
    history = recorded(CITING)
    payload = history.events[-1].workflow_execution_completed_event_attributes.result.payloads[0]
    outcome = json.loads(payload.data)
    change(outcome)
    payload.data = json.dumps(outcome).encode()
    return history


async def outcome_of(desk: Desk, place: Path, history: WorkflowHistory) -> dict[str, Any]:
    await desk.export(place, [history], agents=())
    assert (await desk.verify(place)).ok
    records = map(json.loads, (place / DECISIONS).read_bytes().splitlines())
    return next(record["facts"] for record in records if record["kind"] == "outcome")


async def test_a_citation_that_holds_names_the_event_that_it_is_in(desk: Desk, tmp_path: Path) -> None:
    facts = await outcome_of(desk, tmp_path / "b", recorded(CITING))
    assert facts["explanation"] == "cited"
    (citation,) = facts["citations"]
    assert citation["is_there"]
    assert citation["event"] > 1


@pytest.mark.parametrize(
    ("part", "other"),
    [("value", "something else"), ("pointer", "/nowhere"), ("tool_call_id", "call_99"), ("tool", "other")],
)
async def test_a_citation_that_does_not_hold_is_marked(
    desk: Desk, tmp_path: Path, part: str, other: str
) -> None:
    history = with_evidence(lambda outcome: outcome["evidence"][0].update({part: other}))
    facts = await outcome_of(desk, tmp_path / "b", history)
    assert facts["explanation"] == "wrong"
    assert [citation["is_there"] for citation in facts["citations"]] == [False]


async def test_an_outcome_that_cites_nothing_is_marked(desk: Desk, tmp_path: Path) -> None:
    history = with_evidence(lambda outcome: outcome.update(evidence=[]))
    assert (await outcome_of(desk, tmp_path / "b", history))["explanation"] == "uncited"


async def test_the_verifier_counts_how_reasons_stand(desk: Desk, tmp_path: Path) -> None:
    await desk.export(tmp_path / "b", [recorded(CITING), recorded("circling")])
    verdict = await desk.verify(tmp_path / "b")
    assert verdict.explanations == {"cited": 1, "uncited": 1}
