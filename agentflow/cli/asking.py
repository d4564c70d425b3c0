"""Questions to the person at the shell. No other file asks anything, so that the same holds for all commands.

Where there is no terminal nobody is asked: what comes through a pipe is nobody's answer, and the command is
refused before it acts.
"""

import os
import sys
from typing import Annotated

import typer
from rich.prompt import Prompt

from agentflow.cli.exits import misused, refused
from agentflow.core.visible import visible

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask for confirmation.")]


def somebody_can_be_asked() -> bool:
    """Whether standard input is a terminal. Where it was closed, Python has none."""
    stream = sys.stdin
    try:
        return bool(stream) and stream.isatty()
    except ValueError:
        # Closed by whoever runs the command in a process of theirs.
        return False


def confirm(question: str, *, yes: bool, otherwise: str = "nothing was sent") -> None:
    """Go on only if the person says yes.

    Args:
        question: The question, of texts that may be others'.
        yes: They have said so already, with ``--yes``.
        otherwise: Ends the message of a command that doesn't go on.

    Raises:
        CommandFailed: they say no, or nobody can be asked.
    """
    if yes:
        return
    if not somebody_can_be_asked():
        raise misused(
            f"there is no terminal to ask at: look at what would be done, then say --yes; {otherwise}"
        )
    if not typer.confirm(visible(question), err=True):
        raise refused(otherwise)


def passphrase(question: str, variable: str, *, twice: bool = False) -> str:
    """A passphrase, out of the environment or asked for.

    Args:
        question: What it is of.
        variable: The environment variable that it may be in.
        twice: Ask for it again, since it is new.

    Raises:
        CommandFailed: it isn't in the environment, and nobody can be asked.
    """
    given = os.environ.get(variable)
    if given is not None:
        return given
    if not somebody_can_be_asked():
        raise misused(f"there is no terminal to ask at for {visible(question)}: set {variable}")
    return str(typer.prompt(visible(question), hide_input=True, confirmation_prompt=twice, err=True))


def choose(question: str, choices: list[str] | None, default: str) -> str:
    """One of some answers, or any where there are no choices."""
    return Prompt.ask(question, choices=choices, default=default)
