"""``agentflow demo``: labelled cases, run at once on this machine, and what became of them."""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from agentflow.cli.asking import somebody_can_be_asked
from agentflow.cli.demo_run import DemoRun, Score, StandIns, score
from agentflow.cli.demo_view import LiveTable, PersonAtTerminal, summary, table
from agentflow.cli.exits import misused
from agentflow.cli.model_choice import ModelChoice, choose_model
from agentflow.cli.project import Project
from agentflow.cli.session import open_session
from agentflow.cli.stack import RunningStack, running_stack, steps
from agentflow.cli.suite import DemoCase, DemoSuite
from agentflow.telemetry.logs import configure_logs
from agentflow.telemetry.redactor import Redactor


def demo(
    context: typer.Context,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All cases, not the short selection.")] = False,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="CASE", help="This case, and no other; repeatable.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="provider:model, or a .gguf file; by default what your keys allow.")
    ] = None,
    stand_ins: Annotated[
        bool | None, typer.Option("--stand-ins/--ask-me", help="Who decides; you, if this is a terminal.")
    ] = None,
    keep: Annotated[
        bool | None,
        typer.Option("--keep/--no-keep", help="Stay up afterwards for the Web UI; on a terminal."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object as the last line.")] = False,
) -> None:
    """Run labelled cases through the project's agent, on servers started here."""
    is_terminal = somebody_can_be_asked() and sys.stdout.isatty()
    use_stand_ins = not is_terminal if stand_ins is None else stand_ins
    stay = (is_terminal and not as_json) if keep is None else keep
    # With --json standard output has nothing but the result. Into a file or a pipe, Rich would fold the
    # table to 80 columns.
    shown = sys.stderr if as_json else sys.stdout
    console = Console(file=shown, width=None if shown.isatty() else 150)
    with open_session(context, as_json=as_json) as session:
        if not (use_stand_ins or is_terminal):
            raise misused("there is no terminal to ask at: leave --ask-me out, and stand-ins decide")
        project = Project.load_from(Path.cwd())
        choice = choose_model(model, os.environ)
        suite: DemoSuite = project.load("demo")
        cases = _chosen(suite, only) if only else suite.cases(everything=everything)
        work = _demo(console, project, choice, suite, cases, stand_ins=use_stand_ins, keep=stay)
        result = session.run(work)
    if as_json:
        print(json.dumps(asdict(result), default=_money))


def _chosen(suite: DemoSuite, names: Sequence[str]) -> Sequence[DemoCase]:
    """The named cases, in the suite's order."""
    cases = suite.cases(everything=True)
    if unknown := set(names) - {case.case_id for case in cases}:
        known = ", ".join(case.case_id for case in cases)
        raise misused(f"there is no case {', '.join(sorted(unknown))}; there are: {known}")
    return [case for case in cases if case.case_id in names]


async def _demo(
    console: Console,
    project: Project,
    choice: ModelChoice,
    suite: DemoSuite,
    cases: Sequence[DemoCase],
    *,
    stand_ins: bool,
    keep: bool,
) -> Score:
    console.print(f"model: {choice.name}{' (on this machine)' if choice.is_local else ''}")
    if stand_ins:
        console.print("Two stand-in people decide on what needs approval, by each ticket's label.")
    with tempfile.TemporaryDirectory(prefix="agentflow-demo-") as name:
        directory = Path(name)
        configure_logs("json", file=directory / "worker.log", texts=Redactor())
        async with running_stack(project, choice, directory, steps(console)) as stack:
            console.print(f"Temporal Web UI: {stack.web_url}")
            result = await _run(console, stack, suite, cases, stand_ins=stand_ins)
            console.print(summary(result))
            console.print(f"Every run with its full history: {stack.web_url}")
            if keep:
                console.print("Press Ctrl-C to stop everything.")
                await asyncio.Event().wait()
    return result


async def _run(
    console: Console, stack: RunningStack, suite: DemoSuite, cases: Sequence[DemoCase], *, stand_ins: bool
) -> Score:
    live = LiveTable(console)
    deciders = StandIns() if stand_ins else PersonAtTerminal(console, live)
    run = DemoRun(stack, suite, cases, deciders, lambda: live.show(run.progress.values()))
    begun = time.monotonic()
    with live:
        ended = await run.run()
    seconds = time.monotonic() - begun
    console.print(table(ended))
    workflow_ids = {progress.workflow_id: progress.case for progress in ended}
    return score(ended, await suite.check(workflow_ids, stack.environment), seconds)


def _money(value: object) -> float:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"no JSON for {value!r}")
