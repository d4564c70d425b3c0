"""The ``agentflow`` command. Everything but ``main`` needs the extra ``cli``."""

import sys

from agentflow.errors import MissingExtraError


def main() -> None:
    """Entry point of the ``agentflow`` command."""
    try:
        from agentflow.cli.app import run_app
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("typer", "rich"):
            raise
        sys.exit(f"agentflow: {MissingExtraError('the command line', 'cli')}")
    run_app()
