"""Which effect ledger a command works on, and how it is opened."""

import os
import re
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote, urlsplit

import typer

from agentflow.adapters.ledgers import open_ledger
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.cli.exits import CommandFailed, ExitCode
from agentflow.cli.session import Session
from agentflow.errors import LedgerMovedError
from agentflow.ports.ledger import EffectLedger

DEFAULT_LEDGER = ".agentflow/ledger.sqlite"
LEDGER_VARIABLE = "AGENTFLOW_LEDGER"

LedgerUrl = Annotated[
    str | None,
    typer.Option(
        "--ledger",
        metavar="URL",
        help="A SQLite file (a path, or sqlite:///PATH), postgresql://… or dynamodb://TABLE?region=…; "
        f"else {LEDGER_VARIABLE}, else {DEFAULT_LEDGER}.",
    ),
]


def ledger_url(option: str | None) -> str:
    """Where the ledger is: what the command line says, or the environment, or the project's own."""
    return option or os.environ.get(LEDGER_VARIABLE) or DEFAULT_LEDGER


def shown_url(url: str) -> str:
    """The URL without its password."""
    without = re.sub(r"(?<=[?&]password=)[^&]*", "***", url)
    return re.sub(r"(://[^/?@:]*):[^/?]*@", r"\1:***@", without, count=1)


@contextmanager
def opened(session: Session, url: str) -> Generator[EffectLedger]:
    """An open ledger, closed in the end. It is made if it isn't there."""
    ledger = open_ledger(url)
    try:
        yield ledger
    finally:
        session.run(ledger.close())


@contextmanager
def existing(session: Session, url: str) -> Generator[EffectLedger]:
    """An open ledger that is there and set up: looking at one must not make it.

    Raises:
        CommandFailed: there is no such file.
        ConfigurationError: it must be set up first.
        LedgerError: it can't be reached.
    """
    with opened(session, url) as ledger:
        if path := missing_file(ledger, url):
            raise CommandFailed(
                ExitCode.NOT_FOUND,
                f"there is no effect ledger {path}: say where it is with --ledger or {LEDGER_VARIABLE}, or "
                "make it with `agentflow ledger migrate`",
            )
        # Of one that was copied or restored, the records can be read, and what it lacks be said.
        with suppress(LedgerMovedError):
            session.run(ledger.check())
        yield ledger


def missing_file(ledger: EffectLedger, url: str) -> Path | None:
    """The file of a SQLite ledger, if it isn't there: whatever uses the ledger makes it."""
    if not isinstance(ledger, SQLiteLedger):
        return None
    is_url = url.lower().startswith("sqlite:")
    path = Path(unquote(urlsplit(url).path).removeprefix("/") if is_url else url)
    return None if path.exists() else path
