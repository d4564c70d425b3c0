"""Options that several commands have."""

from typing import Annotated, TypeVar

import typer

from agentflow.contracts.person import fault_of

NamesT = TypeVar("NamesT", str, list[str], None)


def names(value: NamesT) -> NamesT:
    """The name or names that an option was given, for its ``callback``.

    Raises:
        BadParameter: one has a character that is in no name; the text says which.
    """
    for name in [value] if isinstance(value, str) else value or ():
        if fault := fault_of(name):
            raise typer.BadParameter(f"the name {ascii(name)[:80]} {fault}")
    return value


AsJson = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON document to standard output, and nothing else there."),
]
WorkflowId = Annotated[str, typer.Argument(metavar="WORKFLOW_ID", help="The run's workflow id.")]
By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who you are; it is recorded.", callback=names)]
Result = Annotated[
    str | None,
    typer.Option(
        "--result",
        metavar="JSON|@FILE|-",
        help="What the tool would have answered, for happened: its output.",
    ),
]
Workflows = Annotated[
    list[str] | None,
    typer.Option(
        "--workflows",
        metavar="MODULE[:CLASS]",
        help="Where the agents are; by default what pyproject.toml says.",
    ),
]
