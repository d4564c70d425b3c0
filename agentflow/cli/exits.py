"""How commands end: the exit codes, and the exception that ends a command with one."""

from enum import IntEnum

from agentflow.errors import AgentflowError


class ExitCode(IntEnum):
    """What a shell sees. ``agentflow --help`` shows this list."""

    OK = 0
    """Done."""
    REFUSED = 1
    """Refused or failed: a decision that didn't count, a run that didn't complete, a replay that diverged."""
    USAGE = 2
    """The command line, the input or the configuration is wrong."""
    UNREACHABLE = 3
    """Temporal, a worker for the run, or the effect ledger didn't answer."""
    NOT_FOUND = 4
    """There is no such run, namespace, ledger or record."""
    INCOMPLETE = 5
    """Done, and something is missing: an audit bundle with gaps, a freeze while writes are under way."""
    INTERRUPTED = 130
    """Ctrl-C."""


MEANINGS = {
    ExitCode.OK: "done",
    ExitCode.REFUSED: "refused, failed, or a replay diverged",
    ExitCode.USAGE: "wrong usage, input or configuration",
    ExitCode.UNREACHABLE: "Temporal, the run's worker or the ledger didn't answer",
    ExitCode.NOT_FOUND: "no such run, namespace, ledger or record",
    ExitCode.INCOMPLETE: "done, with gaps, or writes still under way, that are named",
    ExitCode.INTERRUPTED: "interrupted",
}
"""One line for each code, for people."""


class CommandFailed(AgentflowError):  # noqa: N818 - an end of the command, not an error of the program
    """Ends a command with a message for people and an exit code. It never leaves the CLI."""

    def __init__(self, code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def refused(message: str) -> CommandFailed:
    """The command's action didn't happen or didn't count."""
    return CommandFailed(ExitCode.REFUSED, message)


def misused(message: str) -> CommandFailed:
    """The command line, or what it names, is wrong."""
    return CommandFailed(ExitCode.USAGE, message)
