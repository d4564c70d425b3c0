"""Writes bundles."""

from collections.abc import AsyncIterator, Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

from temporalio.converter import DataConverter

from agentflow.adapters.history.finding import Finding
from agentflow.audit import bundle
from agentflow.audit.chain import NO_RECORD, leaf_hash, line_of, merkle_root
from agentflow.audit.last_export import last_export
from agentflow.audit.listing import listing_of
from agentflow.audit.placing import new_directory
from agentflow.audit.reading import RunFindings, findings_of
from agentflow.audit.replaying import ReplayedRuns
from agentflow.audit.sealing import Sealer, about
from agentflow.audit.selection import SelectedRun
from agentflow.audit.signing import ExportSigner
from agentflow.contracts.audit import Record
from agentflow.contracts.bundle import (
    CONTENTS_DAYS,
    MIN_LOG_DAYS,
    BundleManifest,
    Digest,
    PreviousExport,
    Retention,
    RunEntry,
)
from agentflow.contracts.wire import Json, Sha256, sha256_of
from agentflow.ports.keys import KeyProvider, checked_key
from agentflow.private_files import make_folder, new_file, write_file
from agentflow.version import installed_version

KNOWN_VALUES = "known_values"
"""Among what was said, by a run's first record: its values that types mark as personal or secret."""


@dataclass(frozen=True)
class ExportSettings:
    """How bundles are made."""

    namespace: str
    keys: KeyProvider
    """Of the runs' contents."""
    signer: ExportSigner
    chain: Path
    """File that remembers the last export; shared by all who export with that signing key."""
    contents_days: int = CONTENTS_DAYS[1]
    log_days: int = MIN_LOG_DAYS

    def retention(self, now: datetime) -> Retention:
        """How long a bundle that is made now is to be kept."""
        return Retention(
            contents_days=self.contents_days,
            contents_until=now + timedelta(days=self.contents_days),
            log_days=self.log_days,
            log_until=now + timedelta(days=self.log_days),
        )

    def warnings(self) -> list[str]:
        """What should be thought over."""
        least, most = CONTENTS_DAYS
        found: list[str] = []
        if self.log_days < MIN_LOG_DAYS:
            found.append(
                f"the decision log is to be kept {self.log_days} days: the EU AI Act (articles 19 and 26(6)) "
                f"has logs of high-risk systems kept six months at least, {MIN_LOG_DAYS} days"
            )
        if not least <= self.contents_days <= most:
            found.append(f"contents are to be kept {self.contents_days} days; {least} to {most} are usual")
        if self.contents_days > self.log_days:
            found.append("contents are to be kept longer than the decision log that names them")
        return found


async def export(
    runs: AsyncIterator[SelectedRun],
    place: Path,
    selection: str,
    settings: ExportSettings,
    *,
    converter: DataConverter,
    replayed: ReplayedRuns | None = None,
    progress: Callable[[int], None] = lambda number: None,
) -> BundleManifest:
    """Write a bundle.

    Args:
        runs: What is to be in it.
        place: The directory; it must not exist, and exists only once the bundle is whole.
        selection: What was asked for, in words.
        settings: How bundles are made.
        converter: That the runs' payloads need.
        replayed: Replays runs, where their code is at hand.
        progress: Is told how many runs are in it.

    Returns:
        What is in it; ``gaps`` says how much isn't.

    Raises:
        AuditError: the place exists or can't be written, or a key can't be used.
        temporalio.service.RPCError: the server can't be reached, or lacks a run.
    """
    with new_directory(place) as new:
        draft = await drafted(
            runs, new.path, selection, settings, converter=converter, replayed=replayed, progress=progress
        )
        new.sync()
        async with last_export(settings.chain) as last:
            draft.sign(last.export)
            last.move_on(draft.this, new)
    return draft.manifest


async def drafted(
    runs: AsyncIterator[SelectedRun],
    directory: Path,
    selection: str,
    settings: ExportSettings,
    *,
    converter: DataConverter,
    replayed: ReplayedRuns | None = None,
    progress: Callable[[int], None] = lambda number: None,
) -> "Draft":
    """Write all of a bundle that doesn't depend on the export before it, into a directory that is there.

    Takes what ``export`` takes.

    Raises:
        AuditError: a key can't be used.
        OSError: a file can't be written.
        temporalio.service.RPCError: the server can't be reached, or lacks a run.
    """
    make_folder(directory / bundle.CONTENTS)
    now = datetime.now(UTC)
    retention = settings.retention(now)
    with new_file(directory / bundle.DECISIONS) as log:
        writer = _Writer(directory, str(uuid4()), settings, retention, log)
        async with replayed or nullcontext():
            async for run in runs:
                await writer.add(await findings_of(run, converter, replayed))
                progress(len(writer.runs))
    manifest = BundleManifest(
        export=writer.export,
        created_at=now,
        namespace=settings.namespace,
        selection=selection,
        agentflow_version=installed_version(),
        retention=retention,
        runs=tuple(writer.runs),
        gaps=sum(len(run.gaps) for run in writer.runs),
    )
    bundle.write_manifest(directory, manifest)
    write_file(directory / bundle.LEAVES, b"".join(map(bytes.fromhex, writer.leaves)))
    return Draft(directory, manifest, _digest(directory, manifest, writer.leaves, settings.signer), settings)


@dataclass(frozen=True)
class Draft:
    """A bundle that isn't signed yet."""

    directory: Path
    manifest: BundleManifest
    digest: Digest
    settings: ExportSettings

    def sign(self, before: PreviousExport | None) -> Digest:
        """Sign it, as the export after that one.

        Raises:
            AuditError: it can't be written.
        """
        digest = self.digest.model_copy(update={"previous": before})
        return bundle.sign(self.directory, digest, self.settings.signer)

    @property
    def this(self) -> PreviousExport:
        """The export as the next one names it, once it is signed.

        Raises:
            AuditError: it isn't.
        """
        return PreviousExport(export=self.manifest.export, digest=bundle.digest_hash(self.directory))


@dataclass
class _Writer:
    """Takes runs, one after the other."""

    directory: Path
    export: str
    settings: ExportSettings
    retention: Retention
    log: BinaryIO
    runs: list[RunEntry] = field(default_factory=list[RunEntry])
    leaves: list[Sha256] = field(default_factory=list[Sha256])

    async def add(self, run: RunFindings) -> None:
        """Write a run's records, and what was said in it."""
        story = run.story
        key_id = sha256_of(["audit key", self.settings.namespace, story.workflow_id, story.first_run_id])[:32]
        key = checked_key(await self.settings.keys.obtain(key_id, self.retention.contents_until), key_id)
        findings = list(run.findings)
        if run.known is not None and findings:
            findings[0].contents[KNOWN_VALUES] = run.known.model_dump(mode="json")
        if key is None and findings:
            last = findings[-1]
            findings.append(Finding.gap("contents_erased", last.at, last.execution))
        sealer = Sealer(key.key) if key else None
        first, said = len(self.leaves), dict[str, Json]()
        for finding in findings:
            self._write(finding, story.workflow_id, sealer, said)
        file = bundle.contents_file(len(self.runs) + 1) if sealer else None
        if sealer and file:
            write_file(self.directory / file, sealer.seal(said, about(self.export, key_id)))
        leaves = self.leaves[first:]
        entry = _entry(
            run,
            findings,
            first_record=first,
            records=len(leaves),
            root=merkle_root(leaves),
            key_id=key_id,
            key_check=sealer.check if sealer else "",
            contents=file,
        )
        self.runs.append(entry)

    def _write(self, finding: Finding, run: str, sealer: Sealer | None, said: dict[str, Json]) -> None:
        seq = len(self.leaves)
        names = {name: f"{seq}/{name}" for name in finding.contents}
        line = line_of(
            Record(
                seq=seq,
                at=finding.at.isoformat(),
                kind=finding.kind,
                run=run,
                execution=finding.execution,
                event=finding.event,
                source=finding.source,
                facts=finding.facts,
                contents={
                    name: sealer.commitment(names[name], value) for name, value in finding.contents.items()
                }
                if sealer
                else {},
                previous=self.leaves[-1] if self.leaves else NO_RECORD,
            )
        )
        said |= {names[name]: value for name, value in finding.contents.items()}
        self.log.write(line + b"\n")
        self.leaves.append(leaf_hash(line))


def _entry(run: RunFindings, findings: list[Finding], **in_bundle: Any) -> RunEntry:
    story, end = run.story, run.end
    facts = end.facts if end else {}
    manifest = story.manifest
    return RunEntry(
        workflow_id=story.workflow_id,
        workflow_type=story.workflow_type,
        first_run_id=story.first_run_id,
        executions=run.executions,
        agent=manifest.agent if manifest else None,
        release=manifest.release_id if manifest else None,
        tenant=run.fact("tenant"),
        status=str(facts.get("status", "open" if story.workflow_type else "unknown")),
        cost_usd=facts.get("cost_usd"),
        explanation=facts.get("explanation"),
        gaps=tuple(each.facts["gap"] for each in findings if each.kind == "gap"),
        **in_bundle,
    )


def _digest(directory: Path, manifest: BundleManifest, leaves: list[Sha256], signer: ExportSigner) -> Digest:
    names = listing_of(directory, (bundle.CONTENTS,)).files
    return Digest(
        export=manifest.export,
        created_at=manifest.created_at,
        records=len(leaves),
        root=merkle_root(leaves),
        last=leaves[-1] if leaves else NO_RECORD,
        files={name: bundle.file_entry(directory / name) for name in sorted(names)},
        public_key=signer.public.encoded,
    )
