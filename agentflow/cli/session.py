"""One command from start to end: its connection, its output, and what becomes of its errors."""

import asyncio
from collections.abc import Coroutine, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar, cast

import typer
from temporalio.service import RPCError, RPCStatusCode

from agentflow.cli.connection import Connection
from agentflow.cli.exits import ExitCode, misused
from agentflow.cli.failures import explain
from agentflow.cli.output import Output
from agentflow.client import AgentClient
from agentflow.contracts.person import fault_of

ResultT = TypeVar("ResultT")


class Session:
    """What a command works with. Commands are synchronous, and hand their I/O to ``run``.

    Between two calls of ``run`` Ctrl-C is an ordinary ``KeyboardInterrupt``, which a question at the
    terminal needs: inside the event loop it would only mark a task as cancelled.
    """

    def __init__(self, output: Output, connection: Connection, runner: asyncio.Runner) -> None:
        self.output = output
        self.connection = connection
        self._runner = runner
        self._client: AgentClient | None = None

    def run(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Run a coroutine to its end.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed.
        """
        return self._runner.run(_or_cancelled(work))

    def client(self) -> AgentClient:
        """The connected client; the first call connects.

        Raises:
            CommandFailed: Temporal can't be reached.
        """
        if self._client is None:
            self._client = AgentClient(self.run(self.connection.connect()))
        return self._client

    def client_of(self, namespace: str) -> AgentClient:
        """A client of that namespace, whatever the options and settings say.

        Raises:
            CommandFailed: Temporal can't be reached.
        """
        return AgentClient(self.run(replace(self.connection, namespace=namespace).connect()))


async def _or_cancelled(work: Coroutine[Any, Any, ResultT]) -> ResultT:
    task = asyncio.current_task()
    try:
        found = await work
    except RPCError as error:
        # A call of Temporal's client that Ctrl-C cancels may end in an error of its own.
        if error.status is RPCStatusCode.CANCELLED and task is not None and task.cancelling():
            raise asyncio.CancelledError from None
        raise
    if task is not None and task.cancelling():
        # What takes the failure of one call for an answer took Ctrl-C for one.
        raise asyncio.CancelledError
    return found


_NAMES = ("agent", "by", "requested_by", "role", "subject", "tenant", "to")
"""Parameters of commands that are names of people, roles, tenants or agents."""


def _check_names(parameters: Mapping[str, object]) -> None:
    """Refuse what looks like another name than it is, before anything is asked or sent."""
    for parameter in _NAMES:
        given = parameters.get(parameter)
        listed = cast(Sequence[object], given) if isinstance(given, list | tuple) else (given,)
        for name in listed:
            if isinstance(name, str) and (fault := fault_of(name)):
                raise misused(f"--{parameter.replace('_', '-')}: the name {ascii(name)[:80]} {fault}")


@contextmanager
def open_session(context: typer.Context, *, as_json: bool = False) -> Generator[Session]:
    """The frame of every command: expected errors become a line and an exit code.

    Args:
        context: Typer's, with the ``Connection`` that the app's options say.
        as_json: Whether the command prints JSON.

    Raises:
        typer.Exit: the command failed, and has said why.
    """
    output = Output(as_json=as_json)
    connection = context.find_object(Connection) or Connection()
    try:
        _check_names(context.params)
        with output.reserved(), asyncio.Runner() as runner:
            yield Session(output, connection, runner)
    except (KeyboardInterrupt, typer.Abort):
        # Typer makes an Abort of a Ctrl-C at its own questions.
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except Exception as error:
        failed = explain(error)
        if failed is None:
            raise
        output.failure(failed)
        raise typer.Exit(failed.code) from None
