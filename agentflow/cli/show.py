"""``agentflow show`` and ``agentflow watch``: what a run did, and what it does."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.console import RenderableType
from rich.text import Text

from agentflow.adapters.history.executions import Histories
from agentflow.adapters.run_timeline import timeline_of
from agentflow.cli.options import AsJson, WorkflowId
from agentflow.cli.output import exact_json, safe, table
from agentflow.cli.session import open_session
from agentflow.contracts.timeline import Step, Timeline
from agentflow.core.words import dollars, span

Content = Annotated[bool, typer.Option("--content", help="With what was said: arguments, outputs, answers.")]
_STYLES = {"failed": "red", "open": "yellow", "cancelled": "magenta"}
_KINDS = {"approval": "waits for people", "signal": "signal", "update": "decision", "other": ""}


def show(
    context: typer.Context, workflow_id: WorkflowId, *, content: Content = False, as_json: AsJson = False
) -> None:
    """Show what a run did, step by step, from Temporal's history; no worker is asked."""
    with open_session(context, as_json=as_json) as session:
        found = session.run(timeline_of(session.client().temporal, workflow_id, content=content))
        session.output.result(found, *timeline_views(found, content=content))


def watch(
    context: typer.Context,
    workflow_id: WorkflowId,
    *,
    every: Annotated[float, typer.Option(min=0.2, max=3_600, help="Seconds between looks.")] = 1.0,
    as_json: AsJson = False,
) -> None:
    """Show what a run does while it does it, until it ends or Ctrl-C. As JSON, a line for each step."""
    with open_session(context, as_json=as_json) as session:
        client = session.client().temporal
        told: dict[tuple[str, int], Step] = {}
        histories = Histories(client)
        with session.output.screen() as screen:
            while True:
                found = session.run(timeline_of(client, workflow_id, histories=histories))
                for number, step in enumerate(found.steps):
                    if told.get((step.name, number)) != step:
                        told[step.name, number] = step
                        line = f"{step.at.isoformat(timespec='seconds')}  {_words(step)}"
                        screen.tell(step.model_dump(mode="json"), line)
                screen.draw(*timeline_views(found))
                if not found.is_open:
                    break
                session.run(asyncio.sleep(every))
        # The screen is gone by now; what it showed last stays.
        session.output.show(*timeline_views(found))


def timeline_views(found: Timeline, *, content: bool = False, indent: str = "") -> Iterator[RenderableType]:
    """A run, and below it those that it started."""
    begun = found.steps[0].at if found.steps else datetime.now(UTC)
    more = f", {found.executions} executions" if found.executions > 1 else ""
    state = "open" if found.is_open else found.steps[-1].name
    yield safe(f"{indent}{found.workflow_type} {found.workflow_id}: {state}{more}", "bold")
    rows = [_row(step, begun, indent) for step in found.steps]
    yield table(("AT", "WHAT", "STATE", "TOOK", "TOKENS", "COST", "DETAIL"), rows)
    if content:
        for step in found.steps:
            if step.content is not None:
                yield safe(f"\n{_words(step)}", "bold")
                yield exact_json(step.content)
    yield _total(found)
    for child in found.children:
        yield from timeline_views(child, content=content, indent=f"{indent}  ")


def _row(step: Step, begun: datetime, indent: str) -> tuple[object, ...]:
    tokens = f"{step.input_tokens} + {step.output_tokens}" if step.input_tokens else ""
    attempts = f" (attempt {step.attempts})" if step.attempts > 1 else ""
    took = _took(step)
    return (
        f"{indent}+{_offset(step.at - begun)}",
        f"{_words(step)}{attempts}",
        safe(step.state, _STYLES.get(step.state, "")),
        took,
        tokens,
        "" if step.cost_usd is None else dollars(step.cost_usd),
        step.detail,
    )


def _words(step: Step) -> str:
    before = _KINDS.get(step.kind, step.kind)
    return f"{before} {step.name}".strip()


def _took(step: Step) -> str:
    if step.seconds is not None:
        return f"{step.seconds:.2f} s" if step.seconds < 60 else span(timedelta(seconds=step.seconds))
    return f"{span(datetime.now(UTC) - step.at)} so far" if step.state == "open" else ""


def _offset(time: timedelta) -> str:
    seconds = time.total_seconds()
    return f"{seconds:.2f} s" if seconds < 60 else span(time)


def _total(found: Timeline) -> Text:
    calls = sum(step.kind == "model" for step in found.steps)
    tools = sum(step.kind == "tool" for step in found.steps)
    doubt = found.possibly_billed_usd
    possibly = f" ({dollars(doubt)} of it possibly billed)" if doubt else ""
    return safe(f"{calls} model calls, {tools} tool calls, {dollars(found.cost_usd)}{possibly}\n", "dim")
