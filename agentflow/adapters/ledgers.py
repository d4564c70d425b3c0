"""A ledger by its address, as a setting or a command line has it."""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.errors import ConfigurationError
from agentflow.ports.ledger import EffectLedger

FORMS = (
    "the path of a SQLite file, sqlite:///relative/path, sqlite:////absolute/path, "
    "postgresql://user@host/database, or dynamodb://TABLE?region=REGION&endpoint=URL"
)
"""What ``open_ledger`` takes."""

# One letter is a drive of Windows.
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):", re.IGNORECASE)
_KEYWORD = re.compile(r"\s*\w+\s*=")
"""How a connection string of libpq begins, which would do as a path."""


def open_ledger(url: str) -> EffectLedger:
    """The ledger at an address. Nothing is opened or connected yet.

    Args:
        url: ``sqlite:///relative/path``, ``sqlite:////absolute/path`` (on Windows ``sqlite:///C:/path``), a
            plain path, ``postgresql://user:password@host/database`` and whatever libpq takes behind that,
            or ``dynamodb://TABLE?region=REGION&endpoint=URL``, both of which are optional.

    Raises:
        ConfigurationError: it is none of these.
        MissingExtraError: its driver isn't installed.
    """
    scheme = found[1].lower() if (found := _SCHEME.match(url)) else ""
    match scheme:
        case "" if url.strip() and not _KEYWORD.match(url) and not url.startswith(":"):
            return SQLiteLedger(Path(url))
        case "sqlite":
            return SQLiteLedger(_sqlite_path(url))
        case "postgresql" | "postgres":
            return _postgres(url)
        case "dynamodb":
            return _dynamodb(url)
        case _:
            raise _unknown(f"{scheme[:40]}:" if scheme else "this")


async def migrate(ledger: EffectLedger) -> list[str]:
    """Make what a ledger needs, or bring it up to date: what ``agentflow ledger migrate`` does.

    Returns:
        What was done, each a few words. Nothing for a SQLite file, which is brought up to date whenever it
        is opened.

    Raises:
        ConfigurationError: it is of a newer version of agentflow.
        LedgerError: it can't be reached, or can't be set up.
    """
    own: Callable[[], Awaitable[list[str]]] | None = getattr(ledger, "migrate", None)
    done = [] if own is None else await own()
    await ledger.check()
    return done


def _sqlite_path(url: str) -> Path:
    parts = urlsplit(url)
    path = unquote(parts.path).removeprefix("/")
    if (
        not path
        or path.endswith("/")
        or not parts.path.startswith("/")
        or parts.netloc
        or parts.query
        or parts.fragment
    ):
        raise _unknown("a sqlite: address with a host, with options or without a file")
    return Path(path)


def _postgres(url: str) -> EffectLedger:
    from agentflow.adapters.postgres_ledger import PostgresLedger

    return PostgresLedger(url)


def _dynamodb(url: str) -> EffectLedger:
    parts = urlsplit(url)
    options: dict[str, Any] = parse_qs(parts.query, keep_blank_values=True, max_num_fields=20)
    if (
        not parts.netloc
        or "@" in parts.netloc
        or parts.path not in ("", "/")
        or parts.fragment
        or not options.keys() <= {"region", "endpoint"}
        or not all(len(values) == 1 and values[0] for values in options.values())
    ):
        raise _unknown("a dynamodb: address with a user, with a path or with such options")
    # Here, since boto3 takes as long to import as the rest of a command.
    from agentflow.adapters.dynamodb_ledger import DynamoDBLedger

    region, endpoint = (options.get(name, [None])[0] for name in ("region", "endpoint"))
    return DynamoDBLedger(parts.netloc, region=region, endpoint=endpoint)


def _unknown(what: str) -> ConfigurationError:
    # Not the address itself: there may be a password in it.
    return ConfigurationError(f"{what} is no address of an effect ledger: give {FORMS}")
