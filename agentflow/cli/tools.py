"""``agentflow tools``: contracts looked at, checked, and imported from elsewhere."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import RenderableType

from agentflow.cli.exits import ExitCode, refused
from agentflow.cli.option_groups import taking
from agentflow.cli.options import AsJson
from agentflow.cli.output import columns, exact_json, facts, safe, table
from agentflow.cli.session import open_session
from agentflow.cli.tool_module import changes, module_text, write_module
from agentflow.cli.tool_sources import Offered, Source, chosen, offered_by, source_of
from agentflow.contracts.tools import ToolContract
from agentflow.core.tool_lint import lint
from agentflow.core.words import near

MAX_ABOUT = 90

tools_app: typer.Typer = typer.Typer(
    name="tools", help="Look at tools, check them, and import them from elsewhere.", no_args_is_help=True
)

Name = Annotated[str, typer.Argument(metavar="TOOL", help="As `agentflow tools list` names it.")]


@tools_app.command("list")
@taking("source", source_of)
def list_tools(
    context: typer.Context,
    *,
    source: Source,
    as_json: AsJson = False,
) -> None:
    """List the tools of this project's agents, or what a document or a server has on offer."""
    with open_session(context, as_json=as_json) as session:
        offered = offered_by(session, source)
        document = [
            {
                "name": one.name,
                "effect": one.contract.effect if one.contract else None,
                "about": one.about,
                "used_by": one.used_by or None,
                "problem": one.problem or None,
            }
            for one in offered
        ]
        session.output.result(
            {"tools": document}, columns(("TOOL", "EFFECT", "WHAT IT IS"), map(_row, offered))
        )


@tools_app.command()
@taking("source", source_of)
def show(
    context: typer.Context,
    name: Name,
    *,
    source: Source,
    as_json: AsJson = False,
) -> None:
    """Show a tool's contract: what the model is told, what is checked, and what it may do."""
    with open_session(context, as_json=as_json) as session:
        offered = offered_by(session, source)
        found = next((one for one in offered if one.name == name), None)
        if found is None:
            hint = near(name, [one.name for one in offered])
            raise refused(f"there is no tool {name} among {len(offered)}{hint}")
        if found.contract is None:
            raise refused(found.problem)
        session.output.result(found.contract, *_views(found.contract))


@tools_app.command("lint")
@taking("source", source_of)
def lint_tools(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[TOOL]...", help="These; by default all.")
    ] = None,
    *,
    source: Source,
    as_json: AsJson = False,
) -> None:
    """Find contracts that a model will misuse, or whose calls a person can't judge. Exit 1 if there are."""
    with open_session(context, as_json=as_json) as session:
        offered = offered_by(session, source)
        if unknown := sorted(set(names or ()) - {one.name for one in offered}):
            raise refused(f"there is no tool {', '.join(unknown)}")
        looked_at = [one for one in offered if not names or one.name in names]
        findings = [finding for one in looked_at for finding in one.findings()]
        broken = [one for one in looked_at if one.problem]
        rows = [(one.tool, one.place, one.rule, one.advice) for one in findings]
        rows += [(one.name, "", "unusable", one.problem) for one in broken]
        shown = table(("TOOL", "ARGUMENT", "RULE", "ADVICE"), rows)
        session.output.result(
            {
                "findings": findings,
                "unusable": [{"tool": one.name, "problem": one.problem} for one in broken],
            },
            shown if rows else safe(f"nothing to say of {len(looked_at)} tools"),
        )
        if rows:
            raise typer.Exit(ExitCode.REFUSED)


@tools_app.command("import")
@taking("source", source_of)
def import_tools(
    context: typer.Context,
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="TOOL...",
            help="operationId, 'GET /path' or a server's tool; TOOL=NAME gives it another name.",
        ),
    ],
    *,
    out: Annotated[Path, typer.Option(metavar="FILE.py", help="The module to write.")],
    source: Source,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 if the source is not as it was.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Import tools as a module of your project: their contracts stay as you looked at them."""
    with open_session(context, as_json=as_json) as session:
        contracts = chosen(session, source, names)
        changed = changes(out, contracts) if out.exists() else [f"{one.name} is new" for one in contracts]
        if not check:
            write_module(out, module_text(contracts))
        findings = [finding for contract in contracts for finding in lint(contract)]
        said = [safe(line) for line in changed] or [safe("as it was")]
        if not check:
            said += [safe(f"wrote {out}; see what `agentflow tools lint` says of it", "bold")]
        session.output.result({"changed": changed, "written": not check, "findings": findings}, *said)
        if check and changed:
            raise typer.Exit(ExitCode.REFUSED)


def _row(one: Offered) -> tuple[object, object, object]:
    about = " ".join((one.problem or one.about).split())
    effect = one.contract.effect if one.contract else "-"
    claimed = "?" if one.contract and one.contract.effect_is_claimed else ""
    return one.name, f"{effect}{claimed}", about if len(about) <= MAX_ABOUT else f"{about[:MAX_ABOUT]}…"


def _views(contract: ToolContract) -> Iterator[RenderableType]:
    source = contract.source
    sinks = (
        "all its arguments" if contract.sinks is None else ", ".join(one.argument for one in contract.sinks)
    )
    claimed = (
        " (its server's word: no rule that doesn't name it lets it pass)"
        if contract.effect_is_claimed
        else ""
    )
    yield facts(
        [
            ("tool", safe(contract.name, "bold")),
            ("what it is", contract.description),
            ("effect", f"{contract.effect}{claimed}"),
            ("recovery", contract.recovery if contract.effect != "read" else None),
            ("consequences", sinks if contract.effect != "read" else None),
            ("scopes", ", ".join(contract.scopes) or None),
            ("cost", f"${contract.options.cost_usd}" if contract.options.cost_usd else None),
            ("from", f"{source.server}: {source.operation}" if source else None),
            ("imported", source.digest[:12] if source else None),
        ]
    )
    yield safe("arguments", "bold")
    yield exact_json(contract.input_schema)
    yield safe("output", "bold")
    yield exact_json(contract.output_schema)
