"""``agentflow policy``: what an agent's rules say, tested, explained and compared."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from agentflow.cli.exits import ExitCode, misused
from agentflow.cli.histories import read_histories
from agentflow.cli.json_input import read_json
from agentflow.cli.options import AsJson
from agentflow.cli.output import safe, table
from agentflow.cli.policy_agents import PolicyAgent, agent_of, call_as_decided_on, rules_of
from agentflow.cli.policy_cases import Case, CaseContext, context_of, read_cases
from agentflow.cli.policy_recorded import recorded_cases
from agentflow.cli.policy_test import hold_cases
from agentflow.cli.project import load_object
from agentflow.cli.session import open_session
from agentflow.contracts.rules import Decision
from agentflow.contracts.wire import Json
from agentflow.core.answer import describe_errors
from agentflow.core.policy import decide, explain
from agentflow.core.rules import RuleSet
from agentflow.workflow.definition import workflow_type_of

policy_app: typer.Typer = typer.Typer(
    name="policy", help="Test, explain and compare an agent's rules.", no_args_is_help=True
)

AgentPath = Annotated[
    str, typer.Argument(metavar="AGENT", help="module:Class, or file.py:Class, of the agent.")
]


policy_app.command("test")(hold_cases)


@policy_app.command("explain")
def explain_call(
    context: typer.Context,
    agent: AgentPath,
    tool: Annotated[str, typer.Argument(metavar="TOOL")],
    *,
    arguments: Annotated[str, typer.Option(metavar="JSON|@FILE|-", help="Of the call.")] = "{}",
    given: Annotated[
        str, typer.Option("--context", metavar="JSON|@FILE|-", help="Of the run, as in a file of cases.")
    ] = "{}",
    as_json: AsJson = False,
) -> None:
    """Say what the rules decide on a call, which matched, which did not, and why."""
    with open_session(context, as_json=as_json) as session:
        loaded = load_object(agent)
        found = agent_of(loaded, agent)
        called = _checked(loaded, found, tool, read_json("--arguments", arguments))
        explained = explain(
            found.rules.rules,
            context_of(found, tool, called, _context(read_json("--context", given))),
            found.rules.policies,
        )
        findings = [
            {"rule": one.match.name, "verdict": one.match.verdict, "kind": one.kind, "why": one.why}
            for one in explained.findings
        ]
        document = {"rule_set": found.rules_name.id, "decision": explained.decision, "rules": findings}
        session.output.result(document, safe(str(explained)))


@policy_app.command()
def diff(
    context: typer.Context,
    before: Annotated[
        str, typer.Argument(metavar="BEFORE", help="Rules or agent: module:NAME or file.py:NAME.")
    ],
    after: Annotated[str, typer.Argument(metavar="AFTER", help="The same, as they are to be.")],
    *,
    calls: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Cases, in TOML or JSON; as often as needed.")
    ] = None,
    file: Annotated[
        list[Path] | None, typer.Option(metavar="HISTORY.json", help="A recorded run; as often as needed.")
    ] = None,
    directory: Annotated[
        Path | None,
        typer.Option(
            "--dir", metavar="DIR", help="All *.json histories there.", file_okay=False, exists=True
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show which decisions on recorded calls change from one rule set to another. Exit 1 if any does.

    Calls come from files of cases, and from histories: then AFTER is an agent, and
    the runs are those of its workflow type, or of BEFORE's.
    """
    with open_session(context, as_json=as_json) as session:
        was, now = load_object(before), load_object(after)
        old, new = rules_of(was, before), rules_of(now, after)
        compared: list[tuple[Case, Decision, Decision]] = []
        for path in calls or ():
            cases = read_cases(path)
            compared += [_both(cases.agent, case, old, new) for case in cases.cases]
        if file or directory:
            agent, types = agent_of(now, after), {workflow_type_of(was), workflow_type_of(now)}
            for run in read_histories(file or (), directory):
                if run.workflow_type in types:
                    compared += [_both(agent, case, old, new) for case in recorded_cases(run, agent)]
        if not compared:
            raise misused("there are no calls to compare: give --calls, --file or --dir")
        changed = [one for one in compared if _said(one[1]) != _said(one[2])]
        document = {"calls": len(compared), "changed": [_document(*one) for one in changed]}
        summary = safe(f"{len(changed)} of {len(compared)} decisions change")
        rows = (
            (case.name, case.tool, f"{one.verdict} ({one.rule})", f"{other.verdict} ({other.rule})")
            for case, one, other in changed
        )
        views = [table(("CALL", "TOOL", "BEFORE", "AFTER"), rows), summary] if changed else [summary]
        session.output.result(document, *views)
        if changed:
            raise typer.Exit(ExitCode.REFUSED)


def _both(agent: PolicyAgent, case: Case, old: RuleSet, new: RuleSet) -> tuple[Case, Decision, Decision]:
    made = context_of(agent, case.tool, case.arguments, case.context)
    return case, decide(old.rules, made, old.policies), decide(new.rules, made, new.policies)


def _document(case: Case, was: Decision, now: Decision) -> dict[str, Json]:
    called = {"name": case.name, "tool": case.tool, "arguments": case.arguments}
    return {**called, "before": was, "after": now}


def _said(decision: Decision) -> Json:
    """What of a decision makes a difference to what happens."""
    return decision.verdict, decision.quorum


def _context(given: Json) -> CaseContext:
    try:
        return CaseContext.model_validate(given)
    except ValidationError as error:
        raise misused(f"--context: {describe_errors(error)}") from None


def _checked(found: object, agent: PolicyAgent, tool: str, given: Json) -> dict[str, Json]:
    """Arguments that the tool's contract takes: of others no rule is asked."""
    try:
        call = call_as_decided_on(found, tool, given)
    except ValidationError as error:
        raise misused(f"--arguments: {describe_errors(error)}") from None
    if problem := agent.catalog.check(call):
        raise misused(f"no rule would be asked: {problem.message}")
    return call.arguments
