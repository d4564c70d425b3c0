"""How a run ended, and whether the places that its reasons cite hold what they are said to hold."""

from typing import Any

from pydantic import ValidationError

from agentflow.adapters.history.finding import Finding, document, told
from agentflow.adapters.history.story import Output, Place, Story
from agentflow.contracts.audit import Explanation
from agentflow.contracts.outcome import AgentOutcome, Evidence
from agentflow.contracts.wire import Json, canonical_json
from agentflow.core.evidence import cite
from agentflow.core.provenance import PastCall

ENDS = {
    "workflow_execution_failed_event_attributes": "failed",
    "workflow_execution_timed_out_event_attributes": "timed_out",
    "workflow_execution_terminated_event_attributes": "terminated",
    "workflow_execution_canceled_event_attributes": "cancelled",
}


async def completed(story: Story, place: Place, attributes: Any) -> None:
    """The workflow returned: a run of ours an outcome."""
    story.is_open = False
    value = await story.value(attributes.result.payloads, place, "outcome")
    finding = story.add(Finding("outcome", place.at, place.execution, place.event))
    try:
        outcome = AgentOutcome[Any].model_validate(value)
    except ValidationError:
        finding.kind, finding.facts, finding.contents = "ended", {"status": "completed"}, told(result=value)
        if story.is_agent and value is not None:
            story.gap("unknown_schema", place, of="outcome")
        return
    finding.facts = {
        "status": outcome.status,
        "cost_usd": str(outcome.cost_usd),
        "usage": outcome.usage.model_dump(mode="json"),
        "release": outcome.release,
        "tool_calls": len(outcome.tool_calls) + outcome.tool_calls_omitted,
        "explanation": explanation(story, outcome.evidence),
        "citations": [_citation(story, evidence) for evidence in outcome.evidence],
        **told(tool_calls_omitted=outcome.tool_calls_omitted or None),
    }
    finding.contents = told(
        output=outcome.output,
        reason=outcome.reason,
        evidence=[{"pointer": each.pointer, "value": each.value} for each in outcome.evidence],
        transcript_head=outcome.transcript_head,
    )
    told_of = {name: iter(findings) for name, findings in story.by_call.items()}
    for summary in outcome.tool_calls:
        call = next(told_of.get(summary.tool_call_id, iter(())), None)
        if call is not None and call.facts.get("tool", summary.tool) == summary.tool:
            call.facts |= told(effect=summary.effect, counted=summary.counted)
            if summary.rule and "rule" not in call.facts:
                call.facts["rule"] = summary.rule


def ended(story: Story, place: Place, which: str, attributes: Any) -> None:
    """The workflow ended without an outcome."""
    story.is_open = False
    finding = story.add(Finding("ended", place.at, place.execution, place.event))
    finding.facts = {"status": ENDS[which], **told(by=getattr(attributes, "identity", None))}
    failure = getattr(attributes, "failure", None)
    if failure is not None:
        finding.facts |= told(failure=failure.application_failure_info.type)
        finding.contents |= told(failure=failure.message)
    finding.contents |= told(reason=getattr(attributes, "reason", None))


def explanation(story: Story, evidence: tuple[Evidence, ...]) -> Explanation:
    """How an outcome's reasons stand."""
    if not evidence:
        return "uncited"
    return "cited" if all(_source(story, each) for each in evidence) else "wrong"


def _citation(story: Story, evidence: Evidence) -> dict[str, Json]:
    outputs = story.outputs.get(evidence.tool_call_id, ())
    output = _source(story, evidence) or (outputs[-1] if outputs else None)
    where = {"execution": output.execution, "event": output.event} if output else {}
    return {
        "tool": evidence.tool,
        "tool_call_id": evidence.tool_call_id,
        "is_there": _source(story, evidence) is not None,
        **where,
    }


def _source(story: Story, evidence: Evidence) -> Output | None:
    """The output that holds what is cited."""
    for output in reversed(story.outputs.get(evidence.tool_call_id, ())):
        if output.tool == evidence.tool and cites(output.value, evidence.pointer, evidence.value):
            return output
    return None


def cites(output: Json, pointer: str, value: Json) -> bool:
    """Whether a value is at a place of a tool's output.

    Args:
        output: All that the tool answered.
        pointer: JSON Pointer (RFC 6901).
        value: What is said to be there.
    """
    found = cite([PastCall("cited", "", {}, output)], "cited", pointer)
    return found is not None and canonical_json(found.value) == canonical_json(value)


def taken_along(story: Story, place: Place, carried: dict[str, Any], *, is_first: bool) -> None:
    """What an execution took along from those before it, where these are no longer there.

    Args:
        story: The run.
        place: Of the event that started the execution.
        carried: What it took along.
        is_first: Whether it is the first one that Temporal still has.
    """
    if dropped := carried.get("decisions_dropped"):
        story.gap("log_shortened", place, records=int(dropped))
    if not is_first:
        return
    for past in carried.get("past_calls", ()):
        call = document(past)
        output = Output(str(call.get("tool")), call.get("output"), place.execution, place.event)
        story.add_output(str(call.get("call_id")), output)
    for line in carried.get("decisions", ()):
        story.add(decision(place, document(line)))


def decision(place: Place, line: dict[str, Any]) -> Finding:
    """A line of the run's own decision log."""
    facts = {
        name: line.get(name)
        for name in ("subject", "accepted", "tool", "tool_call_id", "verdict", "rule", "by")
    }
    finding = Finding("decision", place.at, place.execution, place.event)
    finding.facts = {name: value for name, value in facts.items() if value is not None}
    finding.contents = told(detail=line.get("detail"))
    return finding
