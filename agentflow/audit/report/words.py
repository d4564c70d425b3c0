"""The report's words: for a person who has never seen the system."""

from collections.abc import Iterator, Mapping, Sequence

from agentflow.adapters.history.finding import Finding, document, first_of
from agentflow.contracts.audit import RecordKind
from agentflow.contracts.wire import Json

OUTCOMES: Mapping[str, str] = {
    "completed": "The agent did what it was asked and answered.",
    "escalated": "The agent could not go on by itself, and no person took it further.",
    "denied": "A rule, a check or a person refused it.",
    "budget_exhausted": "The next step did not fit the money or the number of calls that it was given.",
    "timed_out": "It took longer than it was allowed to.",
    "cancelled": "Somebody cancelled it.",
    "failed": "It ended with an error, without an answer.",
    "terminated": "Somebody ended it from outside, without asking it.",
    "open": "It had not ended when this was written.",
}

EXPLANATIONS: Mapping[str, str] = {
    "cited": "Every place that the agent named as its reason was looked up in what its tools really "
    "answered, and holds what the agent said.",
    "uncited": "The agent named no place in what its tools answered. What it gives as its reason is its own "
    "word.",
    "wrong": "At least one place that the agent named does not hold what the agent said.",
}

GAPS: Mapping[str, str] = {
    "history_expired": "The server no longer keeps a part of the run's history.",
    "missing_blob": "A value was kept outside of the history, and is gone.",
    "unreadable_payload": "A value is encrypted or encoded in a way that could not be read here.",
    "unknown_schema": "A value was written by another version of the library, and could not be understood.",
    "foreign_workflow": "This is no run of an agent: only what the server says of any workflow is known.",
    "not_replayed": "The run's own code was not at hand: how it judged what people sent, and how its budget "
    "moved, could not be worked out again.",
    "diverged": "The code at hand does something else than the run did: its decisions could not be worked "
    "out again.",
    "log_shortened": "The run itself kept only a part of its decisions.",
    "contents_erased": "What was said was erased before this bundle was made.",
}

STEPS: Mapping[RecordKind, str] = {
    "started": "began",
    "continued": "went on",
    "model_call": "model",
    "tool_call": "tool",
    "refused_call": "refused",
    "approval_requested": "waited for people:",
    "approval_decision": "a person said",
    "resolution": "a person took over",
    "freeze": "freeze",
    "effect": "looked up",
    "guard": "guard",
    "child": "started",
    "cancel_requested": "cancel",
    "reset": "reset",
    "outcome": "ended",
    "ended": "ended",
}
"""What has a line in the picture, and how the line begins."""

SPOKEN: Mapping[RecordKind, str] = {
    "started": "The task",
    "prompt": "Instructions to the model",
    "model_call": "Model",
    "tool_call": "Tool",
    "refused_call": "Refused call of",
    "resolution": "A person's answer",
    "effect": "What became of",
    "outcome": "The outcome",
    "ended": "The end",
}

PARTS: Mapping[str, str] = {
    "input": "Task",
    "instructions": "Instructions",
    "messages": "Told to the model",
    "answer": "The model's answer",
    "arguments": "Arguments",
    "output": "Output",
    "error": "Error",
    "message": "The model was told",
    "failure": "Failure",
    "reason": "Reason",
    "text": "Text",
    "detail": "Detail",
    "result": "Result",
}

MALFORMED = "What could not be read as a decision"

_IDENTITIES = {
    "signed": "signed with a key that was verified",
    "stated": "stated, not verified",
    "not_verified": "could not be verified",
}


def name_of(finding: Finding) -> str:
    """What it is about."""
    facts = finding.facts
    match finding.kind:
        case "approval_decision":
            return f"{facts.get('verdict') or 'something malformed'} ({person(facts)})"
        case "resolution":
            return f"{facts.get('action', '')} ({person(facts)})"
        case "outcome" | "ended":
            return str(facts.get("status", ""))
        case _:
            names = ("tool", "model", "workflow_type", "name", "scope")
            return str(next((facts[name] for name in names if facts.get(name)), ""))


def decided(finding: Finding) -> str:
    """What was decided on."""
    subject = str(finding.facts.get("subject", "tool_call")).replace("_", " ")
    return f"{subject} {finding.facts.get('tool') or ''}".strip()


_PROOFS = {"token": "verified: the start is signed", "header": "verified by the gateway's header"}


def asked_by(started: Finding | None) -> tuple[str, str]:
    """Who asked for a run, and how that is verified."""
    facts = started.facts if started else {}
    return str(facts.get("requested_by") or "Somebody"), _PROOFS.get(
        str(facts.get("requester")), "not verified"
    )


def person(facts: Mapping[str, Json]) -> str:
    """Who it was."""
    who = str(facts.get("by") or "unknown")
    return f"{who} for {facts['on_behalf_of']}" if facts.get("on_behalf_of") else who


def identity(facts: Mapping[str, Json]) -> str:
    """How it is known who it was."""
    said = _IDENTITIES.get(str(facts.get("identity")), "")
    keys = ", ".join(map(str, facts.get("keys") or ()))
    return f"{said} ({keys})" if keys else said


def answer_of(call: Finding) -> str:
    """What a model call came to."""
    wanted: list[Json] = document(call.contents.get("answer")).get("tool_calls") or []
    tools = ", ".join(str(document(each).get("tool")) for each in wanted)
    if tools:
        return f"asked for {tools}"
    if ids := call.facts.get("tool_call_ids"):
        return f"asked for {len(ids)} tool calls"
    return "answered" if call.facts.get("state") == "done" else str(call.facts.get("state", ""))


def summary(findings: Sequence[Finding], status: str) -> Iterator[str]:
    """The run in a few sentences."""
    models = [each for each in findings if each.kind == "model_call"]
    tools = [each for each in findings if each.kind == "tool_call"]
    writes = [each for each in tools if each.facts.get("effect")]
    started = first_of(findings, "started")
    who, proof = asked_by(started)
    yield f"{who} asked for this run on {findings[0].at:%d %B %Y} ({proof})."
    yield f"The agent asked a model {_times(len(models))} and used tools {_times(len(tools))}."
    if writes:
        names = ", ".join(dict.fromkeys(str(each.facts["tool"]) for each in writes))
        done = sum(each.facts["effect"] == "done" for each in writes)
        happened = "all of it" if done == len(writes) else f"{done} of {len(writes)} attempts"
        tried = f"It tried to change something {_times(len(writes))} ({names})"
        yield f"{tried}; {happened} certainly happened."
    granted = dict.fromkeys(str(name) for each in tools for name in each.facts.get("granted_by") or ())
    if granted:
        yield f"People who allowed what it did: {', '.join(granted)}."
    refused = sum(each.kind == "refused_call" for each in findings)
    if refused:
        was = "was" if refused == 1 else "were"
        yield f"{refused} of the calls that the model wanted {was} not carried out."
    yield OUTCOMES.get(status, "")


def _times(number: int) -> str:
    return {0: "not once", 1: "once", 2: "twice"}.get(number, f"{number} times")
