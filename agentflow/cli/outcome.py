"""How a run's end, and what it spent, look to a person."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from agentflow.cli.output import exact_json, facts, safe, table
from agentflow.contracts.budget import Spend, UsageReport
from agentflow.contracts.outcome import AgentOutcome, Evidence, ToolCallSummary
from agentflow.core.words import dollars

STYLES = {"completed": "green", "running": "cyan", "waiting_for_approval": "yellow", "escalated": "yellow"}
"""Colours of states and outcomes; what isn't here ended badly, and is red."""

EFFECTS: dict[str, str | Text] = {
    "done": "done",
    "failed": "not done",
    "unknown": safe("UNKNOWN", "bold red"),
    "counted": safe("counted", "yellow"),
}
"""Of a write that was allowed: whether it happened; ``counted`` is an earlier run's."""


def when(moment: datetime) -> str:
    """A moment to the second, with its zone."""
    return moment.isoformat(sep=" ", timespec="seconds")


def outcome_views(outcome: AgentOutcome[Any]) -> Iterator[RenderableType]:
    """An outcome: how it ended and why, what it cost, its output, and what was done."""
    yield facts(
        [
            ("outcome", safe(outcome.status, STYLES.get(outcome.status, "red"))),
            ("reason", outcome.reason or None),
            ("spent", spend_text(outcome.usage)),
            ("release", outcome.release or None),
            (
                "evidence",
                "\n".join(map(_evidence, outcome.evidence)) or None,
            ),
        ]
    )
    if outcome.output is not None:
        yield exact_json(outcome.output)
    if outcome.tool_calls:
        yield table(
            ("TOOL CALL", "RULE", "APPROVED BY", "EFFECT", "RESULT"), map(_tool_call, outcome.tool_calls)
        )


def usage_facts(usage: UsageReport) -> list[tuple[str, object]]:
    """What a run that goes on has spent, and may spend."""
    limit = usage.budget.cost_usd
    may_spend = "no limit" if limit is None else dollars(limit)
    pairs: list[tuple[str, object]] = [("spent", f"{spend_text(usage.settled)}; budget {may_spend}")]
    if usage.reserved != Spend():
        pairs.append(("reserved", spend_text(usage.reserved)))
    if usage.possibly_billed_usd:
        in_doubt = "may have been billed, by failed attempts or odd usage reports"
        pairs.append(("in doubt", f"{dollars(usage.possibly_billed_usd)} {in_doubt}"))
    return pairs


def spend_text(spend: Spend) -> str:
    """An amount in every unit."""
    return (
        f"{dollars(spend.cost_usd)}, {spend.model_calls} model calls, {spend.tool_calls} tool calls, "
        f"{spend.input_tokens} tokens in, {spend.output_tokens} out"
    )


def _evidence(evidence: Evidence) -> str:
    return f"{evidence.tool} {evidence.tool_call_id}{evidence.pointer}"


def _tool_call(call: ToolCallSummary) -> tuple[object, ...]:
    return (
        f"{call.tool} ({call.tool_call_id})",
        call.rule or "",
        ", ".join(call.approved_by),
        EFFECTS[call.effect] if call.effect else "",
        call.error or "done",
    )
