"""The whole command: the app with every command, run as a process."""

import logging

from agentflow.cli.app import app
from agentflow.telemetry.logs import configure_logs

# LEAD: ``dev`` and ``demo`` register themselves when they are imported; import them here, a line each.


def run_app() -> None:
    """Run the command that the process was started with."""
    # Standard output is for results; what libraries have to say goes to standard error.
    configure_logs("console", logging.WARNING)
    app()
