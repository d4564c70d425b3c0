"""Holds what was said in a run against what its records say of it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from agentflow.adapters.history.finding import document
from agentflow.adapters.history.outcome import cites
from agentflow.audit import bundle
from agentflow.audit.log_check import Problem
from agentflow.audit.sealing import Contents, Sealer, about
from agentflow.contracts.audit import Record
from agentflow.contracts.bundle import RunEntry
from agentflow.contracts.wire import Json
from agentflow.core.idempotency import arguments_hash
from agentflow.errors import AuditError
from agentflow.ports.keys import KeyProvider, checked_key


async def sealer_of(run: RunEntry, keys: KeyProvider | None) -> Sealer | None:
    """What opens what was said in a run; ``None`` if nobody here has its key.

    Raises:
        AuditError: the keys can't be read.
    """
    found = await keys.find(run.key_id) if keys and run.contents else None
    key = checked_key(found, run.key_id)
    sealer = Sealer(key.key) if key else None
    # Of another home, the same run has another key.
    return sealer if sealer and sealer.check == run.key_check else None


def open_contents(directory: Path, export: str, run: RunEntry, sealer: Sealer) -> Contents:
    """What was said in a run, by ``SEQ/NAME``.

    Raises:
        AuditError: the file can't be read, or isn't what was sealed.
    """
    try:
        with bundle.opened(directory / str(run.contents)) as file:
            data = file.read()
    except OSError as error:
        raise AuditError(f"the contents can't be read: {error.strerror}") from None
    return sealer.opened(data, about(export, run.key_id))


def check_contents(
    directory: Path, export: str, run: RunEntry, records: Sequence[Record], sealer: Sealer
) -> Iterator[Problem]:
    """What doesn't agree.

    Args:
        directory: The bundle.
        export: Its id.
        run: The run.
        records: Its records.
        sealer: Of its key.
    """
    where = str(run.contents)
    try:
        contents = open_contents(directory, export, run, sealer)
    except AuditError as error:
        yield Problem("contents", where, str(error))
        return
    promised = {
        f"{record.seq}/{name}": commitment
        for record in records
        for name, commitment in record.contents.items()
    }
    for name in sorted(set(promised) ^ set(contents)):
        what = "is promised by the log, and isn't here" if name in promised else "is in no record"
        yield Problem("contents", where, f"{name} {what}")
    for name in sorted(set(promised) & set(contents)):
        if sealer.commitment(name, contents[name]) != promised[name]:
            yield Problem("contents", where, f"{name} isn't what the log was bound to")
    for record in records:
        yield from _check_record(record, records, contents)


def said_in(record: Record, contents: Contents) -> dict[str, Json]:
    """What was said in a record, by its names."""
    names = ((name, f"{record.seq}/{name}") for name in record.contents)
    return {name: contents[full] for name, full in names if full in contents}


def _check_record(record: Record, records: Sequence[Record], contents: Contents) -> Iterator[Problem]:
    said = said_in(record, contents)
    where = f"{bundle.DECISIONS}: record {record.seq}"
    if record.kind == "tool_call" and "is_bound" in record.facts:
        own = arguments_hash(str(record.facts["tool"]), document(said.get("arguments")))
        if (own == said.get("arguments_hash")) is not record.facts["is_bound"]:
            yield Problem("binding", where, "it isn't so that the decision was on these arguments")
    if record.kind == "outcome":
        for number, cited in enumerate(record.facts.get("citations", ())):
            if not _holds(document(cited), number, said, records, contents):
                yield Problem("citation", where, f"citation {number} isn't as it is said to be")


def _holds(
    cited: Mapping[str, Any],
    number: int,
    said: Mapping[str, Json],
    records: Sequence[Record],
    contents: Contents,
) -> bool:
    """Whether what the record says of a citation is so."""
    evidence: list[Json] = said.get("evidence") or []
    given = document(evidence[number]) if number < len(evidence) else {}
    source = next((record for record in records if _is_source(record, cited)), None)
    if source is None:
        # Taken along from an execution that has expired: what was there can't be looked up.
        return cited.get("is_there") is False or _was_carried(cited, records)
    output = said_in(source, contents).get("output")
    is_there = source.facts.get("tool") == cited.get("tool") and cites(
        output, str(given.get("pointer", "")), given.get("value")
    )
    return is_there is cited.get("is_there")


def _is_source(record: Record, cited: Mapping[str, Any]) -> bool:
    facts = record.facts
    return (
        record.kind == "tool_call"
        and facts.get("tool_call_id") == cited.get("tool_call_id")
        and record.execution == cited.get("execution")
        and cited.get("event") in (record.event, facts.get("ended_event"))
    )


def _was_carried(cited: Mapping[str, Any], records: Sequence[Record]) -> bool:
    return any(
        record.kind == "continued"
        and (record.execution, record.event) == (cited.get("execution"), cited.get("event"))
        for record in records
    )
