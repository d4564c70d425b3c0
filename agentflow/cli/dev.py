"""``agentflow dev``: Temporal with its Web UI and the project's worker, until Ctrl-C."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from agentflow.cli.model_choice import choose_model
from agentflow.cli.project import Project
from agentflow.cli.session import open_session
from agentflow.cli.stack import running_stack, steps
from agentflow.private_files import make_folder
from agentflow.telemetry.logs import configure_logs
from agentflow.telemetry.redactor import Redactor


def dev(
    context: typer.Context,
    *,
    model: Annotated[
        str | None, typer.Option(help="provider:model, or a .gguf file; by default what your keys allow.")
    ] = None,
    port: Annotated[int, typer.Option(help="Port of the Temporal server.")] = 7233,
    ui_port: Annotated[int, typer.Option(help="Port of the Web UI.")] = 8233,
    directory: Annotated[Path, typer.Option(help="Keeps runs and databases.")] = Path(".agentflow"),
) -> None:
    """Start Temporal, the model, the outside systems and the worker; stay up until Ctrl-C."""
    with open_session(context) as session:
        make_folder(directory)
        session.run(_dev(model, (port, ui_port), directory))


async def _dev(model: str | None, ports: tuple[int, int], directory: Path) -> None:
    console = Console(stderr=True)
    project = Project.load_from(Path.cwd())
    configure_logs("console", texts=Redactor())
    choice = choose_model(model, os.environ)
    database = directory / "temporal.sqlite"
    async with running_stack(
        project, choice, directory, steps(console), ports=ports, database=database
    ) as stack:
        console.print(f"Temporal: {stack.address}   Web UI: {stack.web_url}   task queue: {stack.task_queue}")
        console.print(f"model: {choice.name}")
        console.print("Press Ctrl-C to stop everything.")
        await asyncio.Event().wait()
