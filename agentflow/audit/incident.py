"""All that is known of the runs of an incident, in one directory.

bundle/          the bundle, as any export
timeline.csv     what happened in all of them, in the order of time
reports/N.html   a page for each run
index.html       the runs, with their ends and gaps
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agentflow.adapters.history.finding import Finding
from agentflow.audit import bundle
from agentflow.audit.report import words
from agentflow.audit.report.html import html_of, rendered
from agentflow.audit.report.told import ToldRun, of_bundle
from agentflow.contracts.bundle import RunEntry
from agentflow.ports.keys import KeyProvider
from agentflow.private_files import make_folder, open_file, write_file

BUNDLE, TIMELINE, REPORTS, INDEX = "bundle", "timeline.csv", "reports", "index.html"
COLUMNS = ("at", "workflow_id", "record", "step", "name", "state", "rule", "by", "event", "execution")


@dataclass(frozen=True)
class Row:
    """A run, as the index has it."""

    run: RunEntry
    report: str
    """The page's place."""


async def write_incident(directory: Path, title: str, keys: KeyProvider) -> int:
    """Write what goes beside the bundle. How many runs there are.

    Args:
        directory: With the bundle in it.
        title: What the incident is about.
        keys: Of what was said.

    Raises:
        AuditError: the bundle can't be read.
        MissingExtraError: the ``audit`` extra isn't installed.
    """
    source = directory / BUNDLE
    manifest = bundle.read_manifest(source)
    runs = await of_bundle(source, keys)
    make_folder(directory / REPORTS)
    rows: list[Row] = []
    for number, (entry, run) in enumerate(zip(manifest.runs, runs, strict=True), start=1):
        report = f"{REPORTS}/{number:06}.html"
        write_file(directory / report, html_of(run).encode())
        rows.append(Row(entry, report))
    _write_timeline(directory / TIMELINE, manifest.runs, runs)
    index = rendered("index.html.j2", title=title, rows=rows, manifest=manifest, gaps=words.GAPS)
    write_file(directory / INDEX, index.encode())
    return len(rows)


def _write_timeline(path: Path, entries: Sequence[RunEntry], runs: Sequence[ToldRun]) -> None:
    lines = [
        (finding.at.isoformat(), run.workflow_id, entry.first_record + number, finding)
        for entry, run in zip(entries, runs, strict=True)
        for number, finding in enumerate(run.findings)
    ]
    with open(path, "w", encoding="utf-8", newline="", opener=open_file) as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for at, workflow_id, record, finding in sorted(lines, key=lambda line: (line[0], line[2])):
            writer.writerow(map(_harmless, (at, workflow_id, record, *_cells(finding))))


def _cells(finding: Finding) -> tuple[object, ...]:
    facts = finding.facts
    state = facts.get("state") or facts.get("verdict") or facts.get("gap") or ""
    who = words.person(facts) if facts.get("by") else ""
    return (
        finding.kind,
        words.name_of(finding),
        state,
        facts.get("rule", ""),
        who,
        finding.event or "",
        finding.execution,
    )


def _harmless(cell: object) -> object:
    """What a spreadsheet would take for a formula is text."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in "=+-@\t\r" and cell else cell
