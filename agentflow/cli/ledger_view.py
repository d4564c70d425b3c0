"""What a record of the effect ledger looks like, and means, to a person."""

import json
import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError
from rich.console import RenderableType

from agentflow.cli.connection import Connection
from agentflow.cli.ledger_place import DEFAULT_LEDGER, LEDGER_VARIABLE, shown_url
from agentflow.cli.ledger_seals import is_genuine, written_by
from agentflow.cli.outcome import when
from agentflow.cli.output import columns, exact_json, facts, safe
from agentflow.contracts.effects import StoredEffect
from agentflow.contracts.tools import ToolResult
from agentflow.contracts.wire import Json
from agentflow.core.effects import is_outlived
from agentflow.core.seal import SealKeys
from agentflow.core.words import span

COLUMNS = ("STATE", "TOOL", "WORKFLOW ID", "CALL", "ATTEMPTS", "AGE", "KEY")

Standing = Literal["under way", "outlived", "abandoned", "unknown", "given up", "done", "failed"]
"""A record's state as it is to be acted on. Intended is ``under way`` while an attempt may still have its
effect, ``outlived`` while what it began still runs after its end, ``abandoned`` after that; unknown is
``given up`` once a person has closed it so."""

_STYLES = {
    "under way": "cyan",
    "outlived": "yellow",
    "abandoned": "yellow",
    "unknown": "bold red",
    "given up": "red",
    "done": "green",
    "failed": "dim",
}


@dataclass(frozen=True)
class Place:
    """Where the user looks: what a command that is shown must repeat."""

    connection: Connection
    url: str

    def command(self, *words: str) -> str:
        """A command of ``agentflow ledger`` for the same place, to be pasted."""
        before: list[str] = []
        if self.connection.address:
            before += ["--address", self.connection.address]
        if self.connection.profile:
            before += ["--profile", self.connection.profile]
        line = shlex.join(["agentflow", *before, "ledger", *words])
        if self.url == (os.environ.get(LEDGER_VARIABLE) or DEFAULT_LEDGER):
            return line
        if shown_url(self.url) != self.url:
            # A password is for no screen.
            return f'{line} --ledger "${LEDGER_VARIABLE}"'
        return f"{line} {shlex.join(['--ledger', self.url])}"


def standing(stored: StoredEffect, keys: SealKeys | None = None) -> Standing:
    """How a record stands now. One that no worker wrote, as far as ``keys`` tell, says nothing: unknown."""
    record = stored.record
    if is_genuine(stored, keys) is False:
        return "unknown"
    match record.state:
        case "intended":
            if stored.age >= record.lease:
                return "abandoned"
            return "outlived" if is_outlived(record) else "under way"
        case "unknown":
            return "unknown" if record.closed_by is None else "given up"
        case "done" | "failed":
            return record.state


def is_in_doubt(stored: StoredEffect, keys: SealKeys | None) -> bool:
    """Whether a person may say what happened."""
    return standing(stored, keys) in ("outlived", "abandoned", "unknown")


def meaning(stored: StoredEffect, keys: SealKeys | None) -> str:  # noqa: PLR0911 - one for each standing
    """What a record says, in a sentence or two."""
    record = stored.record
    tool = record.tool
    if is_genuine(stored, keys) is False:
        return (
            f"{tool} may or may not have happened: no worker of this fleet wrote the record, so what it says "
            "counts for nothing. Look in the outside system, and at who can write to the ledger."
        )
    match standing(stored):
        case "under way":
            left = span(record.lease - stored.age)
            return (
                f"An attempt may still be carrying {tool} out; no other acts, and nobody can say, for {left}."
            )
        case "outlived":
            return (
                f"{tool} may or may not have happened: an attempt ended, and what it began still runs. No "
                "other acts meanwhile; a person who looks in the outside system may say."
            )
        case "abandoned":
            return (
                f"{tool} may or may not have happened: an attempt began it, and no end is recorded. While "
                "its run is open, its worker finds out by itself, or asks; else look in the outside system."
            )
        case "unknown":
            return (
                f"{tool} may or may not have happened: nobody can tell but a person who looks in the outside "
                "system."
            )
        case "given up":
            return f"{tool} may or may not have happened: {record.closed_by} gave up finding out."
        case "done":
            return _done(stored)
        case "failed":
            said = f", says {record.closed_by}" if record.closed_by else ""
            why = None if record.closed_by else record.detail or _error(stored)
            return f"{tool} did not happen{said}" + (f": {why}" if why else ".")


def closing_commands(stored: StoredEffect, place: Place, keys: SealKeys | None) -> list[str]:
    """The commands that close a record in doubt; none for another."""
    if not is_in_doubt(stored, keys):
        return []
    resolve = ("resolve", stored.record.key)
    return [
        place.command(*resolve, "happened", "--by", "YOUR_NAME", "--result", "JSON"),
        place.command(*resolve, "did_not_happen", "--by", "YOUR_NAME", "--text", "WHY"),
        place.command(*resolve, "abort", "--by", "YOUR_NAME", "--text", "WHY"),
    ]


def document(stored: StoredEffect, keys: SealKeys | None) -> dict[str, Json]:
    """A record as JSON, with what the ledger knows of it, and who wrote it as far as ``keys`` tell."""
    return {
        **stored.record.model_dump(),
        "version": stored.version,
        "age": stored.age,
        "created_at": stored.created_at,
        "written_at": stored.written_at,
        "standing": standing(stored, keys),
        "genuine": is_genuine(stored, keys),
    }


def list_view(found: Sequence[StoredEffect]) -> RenderableType:
    """Records below each other."""
    return columns(COLUMNS, map(_cells, found))


def record_views(
    stored: StoredEffect, keys: SealKeys | None, commands: Sequence[str] = ()
) -> Iterator[RenderableType]:
    """One record, in full."""
    record, now = stored.record, standing(stored, keys)
    yield facts(
        [
            ("key", record.key),
            ("state", safe(now if now == record.state else f"{record.state}: {now}", _STYLES[now])),
            ("tool", safe(record.tool, "bold")),
            ("call", record.tool_call_id),
            ("workflow id", record.workflow_id),
            ("run", record.chain or None),
            ("execution", record.run_id),
            ("namespace", record.namespace),
            ("attempts", record.attempts),
            ("owner", record.owner),
            ("lease", f"{record.lease.total_seconds():g} s from when it was written"),
            ("arguments", f"SHA-256 {record.arguments_hash}"),
            ("made", when(stored.created_at)),
            ("written", f"{when(stored.written_at)} ({span(stored.age)} ago)"),
            ("version", stored.version),
            ("written by", written_by(stored, keys)),
            ("counts", f"the effect of {record.counts}, an earlier run's" if record.counts else None),
            ("closed by", record.closed_by),
            ("detail", record.detail or None),
            ("means", meaning(stored, keys)),
        ]
    )
    if record.result is not None:
        yield _result(record.result)
    for command in commands:
        yield safe(command, "cyan")


def _cells(stored: StoredEffect) -> tuple[object, ...]:
    record, now = stored.record, standing(stored)
    return (
        safe(now, _STYLES[now]),
        record.tool,
        record.workflow_id,
        record.tool_call_id,
        record.attempts,
        span(stored.age),
        record.key,
    )


def _result(text: str) -> RenderableType:
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        # Shown as it is: somebody wants to see what is wrong with it.
        return safe(text)
    return exact_json(value)


def _done(stored: StoredEffect) -> str:
    record = stored.record
    if record.counts:
        return f"{record.tool} was not carried out by this call: the effect of an earlier run counts for it."
    said = f", says {record.closed_by}" if record.closed_by else ""
    unusable = _error(stored)
    return f"{record.tool} happened{said}." + (
        f" What came of it can't be used: {unusable}" if unusable else ""
    )


def _error(stored: StoredEffect) -> str | None:
    """What the recorded result says is wrong."""
    try:
        result = ToolResult.model_validate_json(stored.record.result or "")
    except ValidationError:
        return "the recorded result can't be read"
    return result.error.message if result.error else None
