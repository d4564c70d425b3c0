"""``agentflow audit export``."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import RenderableType

from agentflow.audit.bundle import digest_hash
from agentflow.audit.export import ExportSettings, export
from agentflow.cli.audit_home import AuditHome, Home, KmsKey
from agentflow.cli.connection import namespace_of, reading_converter
from agentflow.cli.exits import ExitCode
from agentflow.cli.histories import agents_at_hand
from agentflow.cli.options import AsJson, Workflows
from agentflow.cli.output import facts, safe, table
from agentflow.cli.quiet import quiet_temporal
from agentflow.cli.selection import Directory, Files, Query, Runs, Selection, select
from agentflow.cli.session import Session, open_session
from agentflow.contracts.bundle import CONTENTS_DAYS, MIN_LOG_DAYS, BundleManifest
from agentflow.contracts.wire import Json

PROGRESS_EVERY = 100
"""Runs between two words on how far it is."""

ContentsDays = Annotated[
    int, typer.Option(min=1, max=36_500, help="How long what was said is to be kept: then keys are overdue.")
]
LogDays = Annotated[int, typer.Option(min=1, max=36_500, help="How long the decision log is to be kept.")]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="The bundle; it must not exist.")]


def audit_export(
    context: typer.Context,
    runs: Runs = None,
    *,
    out: Out,
    query: Query = None,
    file: Files = None,
    directory: Directory = None,
    workflows: Workflows = None,
    home: Home = None,
    kms_key: KmsKey = None,
    contents_days: ContentsDays = CONTENTS_DAYS[1],
    log_days: LogDays = MIN_LOG_DAYS,
    as_json: AsJson = False,
) -> None:
    """Write a bundle of runs for an auditor, signed. Exit 5 if something is missing; the bundle says what.

    The bundle has the decision log, without what was said, and apart from it, encrypted, what was said.
    """
    with open_session(context, as_json=as_json) as session:
        place = AuditHome(home, kms_key)
        settings = place.settings(
            namespace_of(session.connection), contents_days=contents_days, log_days=log_days
        )
        for warning in settings.warnings():
            session.output.note(f"warning: {warning}")
        selection = select(session, runs or [], query, file or [], directory)
        manifest = write_bundle(session, selection, out, settings, workflows)
        session.output.result(report_of(manifest, out, settings.warnings()), *views(manifest, out))
        if manifest.gaps:
            raise typer.Exit(ExitCode.INCOMPLETE)


def write_bundle(
    session: Session,
    selection: Selection,
    out: Path,
    settings: ExportSettings,
    workflows: Sequence[str] | None,
) -> BundleManifest:
    """Write a bundle of what is selected, replayed with the agents that are at hand."""
    replayed = agents_at_hand(session, settings.namespace, workflows)
    with session.output.progress("exporting") as progress, quiet_temporal():
        return session.run(
            export(
                selection.runs,
                out,
                selection.words,
                settings,
                converter=reading_converter(),
                replayed=replayed,
                progress=progress.counting("exporting: {} runs", PROGRESS_EVERY),
            )
        )


def report_of(manifest: BundleManifest, out: Path, warnings: Sequence[str]) -> dict[str, Json]:
    """The command's result as JSON."""
    return {
        "bundle": str(out),
        "export": manifest.export,
        "head": digest_hash(out),
        "runs": len(manifest.runs),
        "records": sum(run.records for run in manifest.runs),
        "retention": manifest.retention,
        "gaps": [{"workflow_id": run.workflow_id, "gap": gap} for run in manifest.runs for gap in run.gaps],
        "warnings": list(warnings),
    }


def views(manifest: BundleManifest, out: Path) -> list[RenderableType]:
    """The command's result for people."""
    retention = manifest.retention
    shown: list[RenderableType] = [
        facts(
            [
                ("bundle", out),
                ("export", manifest.export),
                ("head", digest_hash(out)),
                ("runs", len(manifest.runs)),
                ("records", sum(run.records for run in manifest.runs)),
                ("contents until", retention.contents_until.date()),
                ("log until", retention.log_until.date()),
            ]
        )
    ]
    if manifest.gaps:
        counts = Counter((run.workflow_id, gap) for run in manifest.runs for gap in run.gaps)
        rows = [(safe(gap, "red"), count, name) for (name, gap), count in sorted(counts.items())]
        shown.append(table(("GAP", "TIMES", "WORKFLOW ID"), rows))
    return shown
