"""Holds a decision log against the hashes that were signed, and names each record that differs."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError
from pydantic_core import from_json

from agentflow.audit import bundle
from agentflow.audit.chain import NO_RECORD, leaf_hash, line_of
from agentflow.contracts.audit import Record
from agentflow.contracts.bundle import BundleManifest, RunEntry
from agentflow.contracts.wire import Sha256
from agentflow.core.answer import describe_errors
from agentflow.errors import AuditError

ProblemKind = Literal[
    "edited",
    "removed",
    "inserted",
    "moved",
    "unreadable",
    "missing_file",
    "unknown_file",
    "changed_file",
    "signature",
    "digest",
    "chain",
    "contents",
    "citation",
    "binding",
]


@dataclass(frozen=True)
class Problem:
    """Something that isn't as it was signed."""

    kind: ProblemKind
    where: str
    """A file, and for a record its number."""
    detail: str


@dataclass(frozen=True)
class ReadLine:
    """A line of the log."""

    leaf: Sha256
    record: Record | None
    """``None`` where it can't be read, or isn't needed any more."""
    fault: str = ""
    """Why it can't be, or why it isn't written as a record is."""
    place: tuple[int, Sha256] | None = None
    """The record's number, and the hash that it has of the one before."""

    def without_record(self) -> "ReadLine":
        """What is needed of it to check the log: of many, the rest would fill the memory."""
        return replace(self, record=None)


def read_line(line: bytes) -> ReadLine:
    """A line, with its hash."""
    leaf = leaf_hash(line)
    try:
        record = Record.model_validate(from_json(line))
        fault = "" if line_of(record) == line else "it isn't written as records are (RFC 8785)"
    except ValidationError as error:
        return ReadLine(leaf, None, describe_errors(error))
    except (ValueError, RecursionError) as error:
        return ReadLine(leaf, None, f"it is no JSON: {error}")
    return ReadLine(leaf, record, fault, (record.seq, record.previous))


def read_lines(directory: Path) -> Iterator[ReadLine]:
    """The log's lines, one after the other; none where there is no log.

    Raises:
        AuditError: it can't be read.
    """
    try:
        with bundle.opened(directory / bundle.DECISIONS) as log:
            for line in log:
                yield read_line(line.removesuffix(b"\n"))
    except FileNotFoundError:
        return
    except OSError as error:
        raise AuditError(f"{directory / bundle.DECISIONS} can't be read: {error.strerror}") from None


def read_records(directory: Path) -> Iterator[Record]:
    """The log's records, as they are; whoever needs to know that they are as they were verifies them.

    Raises:
        AuditError: it, or one of its lines, can't be read.
    """
    for number, line in enumerate(read_lines(directory)):
        if line.record is None:
            raise AuditError(f"record {number} of {directory} can't be read: {line.fault}; verify it")
        yield line.record


def records_by_run(
    manifest: BundleManifest, records: Iterable[Record | None]
) -> Iterator[tuple[RunEntry, list[Record]]]:
    """The runs of a bundle, each with its own records.

    Args:
        manifest: The bundle's.
        records: In the log's order; ``None`` for those that can't be read.
    """
    left = iter(records)
    for run in manifest.runs:
        yield run, [record for record in islice(left, run.records) if record is not None]


def check_lines(lines: Sequence[ReadLine], signed: Sequence[Sha256] | None, where: str) -> Iterator[Problem]:
    """What is wrong with a log.

    Args:
        lines: As they are.
        signed: The hashes that were signed, in their order; ``None`` where these are lost. Then the chain
            alone tells, and who edited a record and all that follow it isn't found out by it.
        where: The log's name.
    """
    for number, line in enumerate(lines):
        if line.fault:
            yield Problem("unreadable", f"{where}: record {number}", line.fault)
    if signed is None:
        yield from _check_chain(lines, where)
    else:
        yield from _compare([line.leaf for line in lines], signed, where)


def _compare(found: Sequence[Sha256], signed: Sequence[Sha256], where: str) -> Iterator[Problem]:
    if list(found) == list(signed):
        return
    known, here = set(signed), Counter(found)
    gone = [number for number, leaf in enumerate(signed) if leaf not in here]
    strange = [number for number, leaf in enumerate(found) if leaf not in known]
    # A record that is gone from a place where a strange one is, was edited.
    edited = set(gone) & set(strange) if len(found) == len(signed) else set[int]()
    for number in sorted(edited):
        yield Problem("edited", f"{where}: record {number}", "it isn't what was signed")
    for number in (each for each in gone if each not in edited):
        yield Problem("removed", f"{where}: record {number}", "it was signed, and isn't here")
    for number in (each for each in strange if each not in edited):
        yield Problem("inserted", f"{where}: line {number}", "it was never signed")
    yield from _moved(found, signed, where)


def _moved(found: Sequence[Sha256], signed: Sequence[Sha256], where: str) -> Iterator[Problem]:
    """Records that are there, in another order or more than once."""
    place = {leaf: number for number, leaf in enumerate(signed)}
    last, seen = -1, set[Sha256]()
    for number, leaf in enumerate(found):
        if leaf not in place:
            continue
        if leaf in seen:
            yield Problem("inserted", f"{where}: line {number}", f"it is record {place[leaf]} once more")
        elif place[leaf] < last:
            yield Problem("moved", f"{where}: record {place[leaf]}", f"it comes after record {last}")
        seen.add(leaf)
        last = max(last, place[leaf])


def _check_chain(lines: Sequence[ReadLine], where: str) -> Iterator[Problem]:
    previous: Any = NO_RECORD
    for number, line in enumerate(lines):
        if line.place is not None:
            seq, before = line.place
            if before != previous:
                yield Problem("chain", f"{where}: record {number}", "it doesn't follow the one before it")
            if seq != number:
                yield Problem("chain", f"{where}: record {number}", f"it says it is record {seq}")
        previous = line.leaf
