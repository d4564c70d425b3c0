"""JSON from the command line: given as it is, in a file, or on standard input."""

import sys
from pathlib import Path

from agentflow.cli.exits import misused
from agentflow.contracts.wire import Json, canonical_json
from agentflow.core.strict_json import strict_json


def read_json(option: str, given: str) -> Json:
    """The value of an option that takes JSON, ``@file`` or ``-`` for standard input.

    Args:
        option: Its name, for the message.
        given: What was given.

    Raises:
        CommandFailed: there is no such file, or it isn't JSON; the text says where.
    """
    source, text = _text_of(option, given)
    try:
        value = strict_json(text.encode("utf-8"))
        # Halves of surrogate pairs, as escapes, are in no payload.
        canonical_json(value).decode("utf-8")
        return value
    except (ValueError, RecursionError) as error:
        hint = "" if given.startswith(("@", "-")) else """ (a text needs quotes of its own: '"some text"')"""
        raise misused(f"{option}: {source} isn't JSON: {error}{hint}") from None


def _text_of(option: str, given: str) -> tuple[str, str]:
    if given == "-":
        return "standard input", sys.stdin.read()
    if not given.startswith("@"):
        return "it", given
    path = Path(given[1:])
    try:
        return str(path), path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise misused(f"{option}: {path} can't be read: {error}") from error
