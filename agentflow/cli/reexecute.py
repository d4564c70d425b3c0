"""``agentflow reexecute``."""

from collections.abc import Mapping
from typing import Annotated, Any, cast

import typer
from rich.console import RenderableType

from agentflow.audit.reexecute.comparing import Decided, Pair, Side
from agentflow.audit.reexecute.running import Again, Reexecution, reexecute
from agentflow.audit.selection import SelectedRun
from agentflow.cli.connection import namespace_of, reading_converter, silent_runtime
from agentflow.cli.exits import ExitCode, misused
from agentflow.cli.histories import agents_at_hand, load_agents
from agentflow.cli.options import AsJson, Workflows
from agentflow.cli.output import exact_json, safe, table
from agentflow.cli.project import workflows_of_project
from agentflow.cli.quiet import quiet_runs, quiet_temporal
from agentflow.cli.selection import Files, OneRun, first_run, select
from agentflow.cli.session import Session, open_session
from agentflow.contracts.wire import Json
from agentflow.core.words import dollars
from agentflow.errors import MissingExtraError
from agentflow.ports.model import ModelClient
from agentflow.ports.prices import PriceBook
from agentflow.workflow.agent import AgentWorkflow
from agentflow.workflow.definition import definition_of


def reexecute_run(
    context: typer.Context,
    workflow_id: OneRun = None,
    *,
    file: Files = None,
    release: Annotated[
        str | None, typer.Option(metavar="VERSION", help="The release that the code at hand must be.")
    ] = None,
    workflows: Workflows = None,
    recorded_on: Annotated[
        list[str] | None,
        typer.Option(metavar="MODULE[:CLASS]", help="The code that the run ran on; by default the same."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="PROVIDER:MODEL", help="Another model, in place of the run's.")
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Ask models what the run did not ask them; it costs what it costs.")
    ] = False,
    gate: Annotated[
        bool, typer.Option("--gate", help="Exit 1 if something else is decided, or it ends otherwise.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Do a run again under today's prompt, model and rules, and show both side by side.

    On a Temporal server of its own. Reads are answered as they were then, writes are never carried out, and
    people say of the same action what they said then. What nobody knows is marked.
    """
    with open_session(context, as_json=as_json) as session:
        selection = select(session, [workflow_id] if workflow_id else [], None, file or [])
        with session.output.progress("reading the run"):
            run = session.run(first_run(selection))
        agent = _agent_of(run, load_agents(workflows or workflows_of_project()), release)
        again = Again(agent, model=model, live=_live() if live else None, prices=_prices() if model else None)
        done = _done_again(session, run, again, recorded_on or workflows)
        session.output.result(_document(done), *_views(done))
        if gate and not done.is_same:
            raise typer.Exit(ExitCode.REFUSED)


def _done_again(
    session: Session, run: SelectedRun, again: Again, recorded_on: list[str] | None
) -> Reexecution:
    replayed = agents_at_hand(session, namespace_of(session.connection), recorded_on)

    async def done() -> Reexecution:
        async with replayed:
            return await reexecute(run, again, reading_converter(), replayed, silent_runtime())

    with session.output.progress("doing it again"), quiet_temporal(), quiet_runs():
        return session.run(done())


def _agent_of(
    run: SelectedRun, agents: Mapping[str, type], release: str | None
) -> type[AgentWorkflow[Any, Any]]:
    history = next((each.history for each in run.executions if each.history), None)
    if history is None:
        raise misused(f"nothing of {run.workflow_id} is left")
    name = history.events[0].workflow_execution_started_event_attributes.workflow_type.name
    agent = agents.get(name)
    if agent is None or not issubclass(agent, AgentWorkflow):
        raise misused(f"no agent has the workflow type {name}; known: {', '.join(sorted(agents))}")
    definition = definition_of(cast(type, agent))
    if release is not None and definition is not None and definition.release.version != release:
        raise misused(f"the code at hand is release {definition.release.version} of {name}, not {release}")
    return cast(type[AgentWorkflow[Any, Any]], agent)


def _live() -> ModelClient:
    try:
        from agentflow.adapters.pydantic_ai import PydanticAIModelClient
    except ImportError as error:
        raise MissingExtraError("asking models", "openai") from error
    return PydanticAIModelClient()


def _prices() -> PriceBook:
    try:
        from agentflow.adapters.genai_prices import GenaiPriceBook
    except ImportError as error:
        raise MissingExtraError("prices of other models", "openai") from error
    return GenaiPriceBook()


def _document(done: Reexecution) -> dict[str, Json]:
    return {
        "workflow_id": done.workflow_id,
        "same": done.is_same,
        "recorded": done.recorded,
        "now": done.now,
        "decisions": [
            {"same": pair.is_same, "recorded": pair.recorded, "now": pair.now} for pair in done.pairs
        ],
        "model_answers": {"recorded": done.answers_recorded, "anew": done.answers_anew},
        "guesses": done.guesses,
        "unknown_reads": [{"tool": tool, "arguments": dict(given)} for tool, given in done.unknown_reads],
        "stopped_for": done.stopped_for,
    }


def _views(done: Reexecution) -> list[RenderableType]:
    one, other = done.recorded, done.now
    rows = [
        ("release", one.release, other.release),
        ("rules", one.rules, other.rules),
        ("model", one.model, other.model),
        ("outcome", one.status, other.status),
        ("cost", dollars(one.cost_usd), dollars(other.cost_usd)),
        ("model calls", one.model_calls, other.model_calls),
        ("tokens", _tokens(one), _tokens(other)),
    ]
    shown: list[RenderableType] = [
        table(("", "RECORDED", "NOW"), [(name, then, _changed(then, now)) for name, then, now in rows]),
        safe(""),
        table(("CALL", "RECORDED", "NOW"), map(_pair, done.pairs)),
        safe(""),
    ]
    if one.output != other.output:
        shown += [safe("answer recorded", "bold"), exact_json(one.output)]
        shown += [safe("answer now", "bold"), exact_json(other.output)]
    if other.reason:
        shown.append(safe(f"it ended now: {other.reason}"))
    if done.stopped_for:
        shown.append(safe(f"stopped: {done.stopped_for}", "yellow"))
    for guess in done.guesses:
        shown.append(safe(f"guess: {guess.tool} was not carried out, and the model was told", "yellow"))
        shown.append(exact_json({"arguments": dict(guess.arguments), "output": guess.output}))
    shown += [safe(f"unknown: {tool} was not read then", "yellow") for tool, _ in done.unknown_reads]
    shown.append(
        safe(f"{done.answers_recorded} answers of models as recorded, {done.answers_anew} asked anew", "dim")
    )
    return shown


def _tokens(side: Side) -> str:
    return f"{side.input_tokens} + {side.output_tokens}"


def _pair(pair: Pair) -> tuple[object, ...]:
    call = pair.recorded or pair.now
    now = _verdict(pair.now)
    return (call.tool if call else "", _verdict(pair.recorded), now if pair.is_same else safe(now, "yellow"))


def _verdict(decided: Decided | None) -> str:
    return f"{decided.verdict} ({decided.rule})" if decided else "not asked for"


def _changed(then: object, now: object) -> object:
    return now if now == then else safe(now, "yellow")
