"""Options that several commands have."""

from typing import Annotated

import typer

AsJson = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON document to standard output, and nothing else there."),
]
WorkflowId = Annotated[str, typer.Argument(metavar="WORKFLOW_ID", help="The run's workflow id.")]
By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who you are; it is recorded.")]
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
