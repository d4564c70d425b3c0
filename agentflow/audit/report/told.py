"""What a report is made from: a run's findings, straight from its history or out of a bundle."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agentflow.adapters.history.finding import Finding
from agentflow.audit import bundle
from agentflow.audit.contents_check import open_contents, said_in, sealer_of
from agentflow.audit.log_check import read_records, records_by_run
from agentflow.audit.reading import RunFindings
from agentflow.audit.sealing import Contents
from agentflow.contracts.bundle import BundleManifest, RunEntry
from agentflow.errors import AuditError
from agentflow.ports.keys import KeyProvider


@dataclass(frozen=True)
class ToldRun:
    """One run."""

    workflow_id: str
    workflow_type: str
    findings: Sequence[Finding]
    """In the order in which they happened."""
    has_contents: bool = True
    """Whether what was said is there."""
    proof: str = ""
    """What vouches for it, in words."""


def of_history(run: RunFindings) -> ToldRun:
    """A run as its history tells it."""
    story = run.story
    return ToldRun(
        story.workflow_id,
        story.workflow_type,
        run.findings,
        proof="Read from Temporal's history as it is now. Only the server that keeps it vouches for it.",
    )


async def of_bundle(
    directory: Path, keys: KeyProvider | None, workflow_id: str | None = None
) -> list[ToldRun]:
    """The runs of a bundle.

    Args:
        directory: The bundle; whoever doubts it verifies it.
        keys: Of what was said; without them, and where they were deleted, the log alone tells.
        workflow_id: Only the runs with this workflow id.

    Raises:
        AuditError: it can't be read, or has no such run.
    """
    manifest = bundle.read_manifest(directory)
    found: list[ToldRun] = []
    for run, own in records_by_run(manifest, read_records(directory)):
        if workflow_id in (None, run.workflow_id):
            contents = await _contents(directory, manifest, run, keys)
            findings = [
                Finding(
                    record.kind,
                    datetime.fromisoformat(record.at),
                    record.execution,
                    record.event,
                    record.source,
                    record.facts,
                    said_in(record, contents or {}),
                )
                for record in own
            ]
            proof = _proof(manifest, run)
            found.append(ToldRun(run.workflow_id, run.workflow_type, findings, contents is not None, proof))
    if not found:
        raise AuditError(f"{directory} has no run {workflow_id}")
    return found


async def _contents(
    directory: Path, manifest: BundleManifest, run: RunEntry, keys: KeyProvider | None
) -> Contents | None:
    sealer = await sealer_of(run, keys)
    return open_contents(directory, manifest.export, run, sealer) if sealer else None


def _proof(manifest: BundleManifest, run: RunEntry) -> str:
    last = run.first_record + run.records - 1
    return (
        f"Records {run.first_record} to {last} of export {manifest.export} of "
        f"{manifest.created_at:%Y-%m-%d}, Merkle root {run.root}. `agentflow audit verify` shows whether "
        "they are what was signed."
    )
