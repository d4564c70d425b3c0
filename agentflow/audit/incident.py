"""All that is known of the runs of an incident, in one directory.

bundle/          the bundle, as any export
timeline.csv     what happened in all of them, in the order of time
reports/N.html   a page for each run
index.html       the runs, with their ends and gaps
incident.json    the hashes of all these files, signed by the key that signed the bundle
"""

import csv
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from temporalio.converter import DataConverter

from agentflow.adapters.history.finding import Finding
from agentflow.audit import bundle
from agentflow.audit.cover import BUNDLE, INCIDENT, REPORTS, signed_cover, write_cover
from agentflow.audit.export import ExportSettings, drafted
from agentflow.audit.last_export import last_export
from agentflow.audit.listing import listing_of
from agentflow.audit.placing import new_directory
from agentflow.audit.replaying import ReplayedRuns
from agentflow.audit.report import words
from agentflow.audit.report.html import check_extra, html_of, rendered
from agentflow.audit.report.told import ToldRun, of_bundle
from agentflow.audit.selection import SelectedRun
from agentflow.contracts.bundle import BundleManifest, RunEntry
from agentflow.ports.keys import KeyProvider
from agentflow.private_files import make_folder, open_file, write_file

TIMELINE, INDEX = "timeline.csv", "index.html"
COLUMNS = ("at", "workflow_id", "record", "step", "name", "state", "rule", "by", "event", "execution")


@dataclass(frozen=True)
class Row:
    """A run, as the index has it."""

    run: RunEntry
    report: str
    """The page's place."""


async def export_incident(
    runs: AsyncIterator[SelectedRun],
    place: Path,
    selection: str,
    settings: ExportSettings,
    *,
    title: str,
    converter: DataConverter,
    replayed: ReplayedRuns | None = None,
    progress: Callable[[int], None] = lambda number: None,
) -> BundleManifest:
    """Export runs, as ``export`` does, and write what goes beside the bundle: all of it, or nothing.

    Args:
        runs: Of the incident.
        place: The directory; it must not exist, and exists only once it is whole.
        selection: What was asked for, in words.
        settings: How bundles are made.
        title: What the incident is about.
        converter: That the runs' payloads need.
        replayed: Replays runs, where their code is at hand.
        progress: Is told how many runs are in it.

    Returns:
        What is in the bundle.

    Raises:
        MissingExtraError: the ``audit`` extra isn't installed.
        AuditError: the place exists or can't be written, or a key can't be used.
        temporalio.service.RPCError: the server can't be reached, or lacks a run.
    """
    check_extra()
    with new_directory(place) as new:
        source = new.path / BUNDLE
        make_folder(source)
        draft = await drafted(
            runs, source, selection, settings, converter=converter, replayed=replayed, progress=progress
        )
        await _write_pages(new.path, draft.manifest, title, settings.keys)
        names = listing_of(new.path, (REPORTS,)).files
        files = {name: bundle.file_entry(new.path / name) for name in sorted(names)}
        new.sync()
        async with last_export(settings.chain) as last:
            digest = draft.sign(last.export)
            write_cover(new.path / INCIDENT, signed_cover("incident", source, digest, files, settings.signer))
            last.move_on(draft.this, new, BUNDLE)
    return draft.manifest


async def _write_pages(directory: Path, manifest: BundleManifest, title: str, keys: KeyProvider) -> None:
    runs = await of_bundle(directory / BUNDLE, keys)
    make_folder(directory / REPORTS)
    rows: list[Row] = []
    for number, (entry, run) in enumerate(zip(manifest.runs, runs, strict=True), start=1):
        report = f"{REPORTS}/{number:06}.html"
        write_file(directory / report, html_of(run).encode())
        rows.append(Row(entry, report))
    _write_timeline(directory / TIMELINE, manifest.runs, runs)
    index = rendered("index.html.j2", title=title, rows=rows, manifest=manifest, gaps=words.GAPS)
    write_file(directory / INDEX, index.encode())


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
