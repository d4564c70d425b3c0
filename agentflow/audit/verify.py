"""Verifies bundles: that they are what was signed, and that what they say holds."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agentflow.audit import bundle
from agentflow.audit.chain import NO_RECORD, merkle_root
from agentflow.audit.contents_check import check_contents, sealer_of
from agentflow.audit.cover import BUNDLE, INCIDENT, REPORTS, SHARED, check_cover
from agentflow.audit.listing import Listing, listing_of
from agentflow.audit.log_check import Problem, ReadLine, check_lines, read_lines, records_by_run
from agentflow.audit.signing import ExportVerifier
from agentflow.contracts.bundle import VERSION, BundleManifest, CoverForm, Digest, FileEntry
from agentflow.contracts.wire import Sha256
from agentflow.errors import AuditError
from agentflow.ports.keys import KeyProvider


@dataclass
class Verdict:
    """What verifying a bundle came to."""

    directory: Path
    problems: list[Problem] = field(default_factory=list[Problem])
    digest: Digest | None = None
    manifest: BundleManifest | None = None
    signer: str | None = None
    """Fingerprint of the key that signed it."""
    is_known_signer: bool = False
    """Whether that key is the one that was expected; without one to expect, nobody knows whose it is."""
    records: int = 0
    opened: int = 0
    """Runs whose contents were opened and held against the log."""
    unopened: int = 0
    """Runs whose contents nobody here can open: their keys were deleted, or are elsewhere."""
    explanations: Counter[str] = field(default_factory=Counter[str])
    """Outcomes by how their reasons stand."""

    @property
    def is_as_signed(self) -> bool:
        """Whether all is as it was signed, by whomever: anybody can sign with a key of their own."""
        return not self.problems

    @property
    def ok(self) -> bool:
        """Whether all is as it was signed by the key that was expected."""
        return self.is_as_signed and self.is_known_signer


async def verify(
    directory: Path,
    expected: ExportVerifier | None = None,
    keys: KeyProvider | None = None,
    *,
    log_only: bool = False,
) -> Verdict:
    """Verify a bundle: all that is in its directory.

    Args:
        directory: The bundle.
        expected: The key of whoever should have signed it. Without it a bundle that somebody made and signed
            themselves is as it was signed, too, and not ``ok``.
        keys: Of the contents, to hold these against the log too.
        log_only: Whether it is the form that may be given away, which has no contents.
    """
    verdict = Verdict(directory)
    try:
        await _verify(verdict, expected, keys, log_only=log_only)
    except AuditError as error:
        verdict.problems.append(Problem("unreadable", str(directory), str(error)))
    return verdict


def is_incident(directory: Path) -> bool:
    """Whether a directory says that it is an incident's."""
    return (directory / INCIDENT).exists()


async def verify_incident(
    directory: Path, expected: ExportVerifier | None = None, keys: KeyProvider | None = None
) -> Verdict:
    """Verify an incident's directory: its bundle, and what lies beside that.

    Args:
        directory: As ``agentflow audit incident`` wrote it.
        expected: The key of whoever should have signed it, as for a bundle.
        keys: Of the contents.
    """
    verdict = await verify(directory / BUNDLE, expected, keys)
    if verdict.digest is None:
        return verdict
    try:
        listing = listing_of(directory, (REPORTS,), besides=BUNDLE)
        files = _covered(verdict, listing, directory / INCIDENT, "incident", verdict.digest)
        verdict.problems += _file_problems(directory, listing, files, {INCIDENT})
    except AuditError as error:
        verdict.problems.append(Problem("unreadable", str(directory), str(error)))
    return verdict


async def _verify(
    verdict: Verdict, expected: ExportVerifier | None, keys: KeyProvider | None, *, log_only: bool
) -> None:
    directory = verdict.directory
    listing = listing_of(directory, () if log_only else (bundle.CONTENTS,))
    if bundle.DIGEST not in listing.files:
        what = listing.strange.get(bundle.DIGEST, "it isn't here")
        verdict.problems.append(Problem("digest", bundle.DIGEST, what))
        return
    try:
        verdict.digest = digest = bundle.read_digest(directory)
    except AuditError as error:
        verdict.problems.append(Problem("digest", bundle.DIGEST, str(error)))
        return
    verdict.problems += _signature_problems(verdict, digest, expected)
    files, signatures = dict(digest.files), {bundle.DIGEST}
    if log_only:
        texts = _covered(verdict, listing, directory / SHARED, "shared", digest)
        log = {name: entry for name, entry in files.items() if not name.startswith(f"{bundle.CONTENTS}/")}
        files, signatures = {**texts, **log}, {bundle.DIGEST, SHARED}
    verdict.problems += _file_problems(directory, listing, files, signatures)
    # From here on only files are read: a link or a pipe in the place of one was named above.
    signed = _signed_leaves(directory, digest) if bundle.LEAVES in listing.files else None
    lines = _lines(directory, verdict.explanations) if bundle.DECISIONS in listing.files else []
    verdict.records = len(lines)
    verdict.problems += check_lines(lines, signed, bundle.DECISIONS)
    if bundle.MANIFEST not in listing.files:
        return
    try:
        verdict.manifest = manifest = bundle.read_manifest(directory)
    except AuditError as error:
        verdict.problems.append(Problem("unreadable", bundle.MANIFEST, str(error)))
        return
    verdict.problems += _manifest_problems(manifest, digest, lines)
    await _open_contents(verdict, manifest, listing, None if log_only else keys)


def _signature_problems(
    verdict: Verdict, digest: Digest, expected: ExportVerifier | None
) -> Iterator[Problem]:
    if digest.version != VERSION:
        yield Problem("digest", bundle.DIGEST, f"its version is {digest.version}; known is {VERSION}")
    try:
        own = ExportVerifier.of(digest.public_key)
    except AuditError as error:
        yield Problem("signature", bundle.DIGEST, str(error))
        return
    verdict.signer = own.fingerprint
    if not bundle.is_signed_by(digest, own):
        yield Problem("signature", bundle.DIGEST, "its key did not sign what is in it")
    elif expected is not None:
        verdict.is_known_signer = own.encoded == expected.encoded
        if not verdict.is_known_signer:
            yield Problem(
                "signature", bundle.DIGEST, f"it is signed by {own.fingerprint}, not {expected.fingerprint}"
            )


def _covered(
    verdict: Verdict, listing: Listing, path: Path, form: CoverForm, digest: Digest
) -> Mapping[str, FileEntry]:
    """The files that a cover stands for; none where it isn't one."""
    if path.name not in listing.files:
        detail = "it isn't here: nothing else vouches for what goes with the log"
        verdict.problems.append(Problem("missing_file", path.name, detail))
        return {}
    cover, problems = check_cover(path, form, verdict.directory, digest)
    verdict.problems += problems
    return cover.files if cover else {}


def _file_problems(
    directory: Path, listing: Listing, signed: Mapping[str, FileEntry], signatures: Collection[str]
) -> Iterator[Problem]:
    """What of a directory isn't as it was signed, and what doesn't belong.

    Args:
        directory: Of the bundle, or of what goes with it.
        listing: All that is in it.
        signed: Its files, as they were signed.
        signatures: The files that are signed in themselves.
    """
    for name, what in sorted(listing.strange.items()):
        yield Problem("unknown_file", name, f"it is {what}")
    for name in sorted(listing.files - set(signed) - set(signatures)):
        yield Problem("unknown_file", name, "it was never signed")
    for name, entry in signed.items():
        if name not in listing.files:
            yield Problem("missing_file", name, "it was signed, and isn't here")
        elif _entry_of(directory / name) != entry:
            yield Problem("changed_file", name, "it isn't what was signed")


def _entry_of(path: Path) -> FileEntry | None:
    try:
        return bundle.file_entry(path)
    except OSError:
        return None


def _signed_leaves(directory: Path, digest: Digest) -> list[Sha256] | None:
    """The records' hashes as they were signed; ``None`` where the file isn't the one that was."""
    data, size = bundle.read_file(directory / bundle.LEAVES), bundle.LEAF_BYTES
    leaves = [Sha256(data[at : at + size].hex()) for at in range(0, len(data), size)]
    return leaves if len(leaves) == digest.records and merkle_root(leaves) == digest.root else None


def _manifest_problems(
    manifest: BundleManifest, digest: Digest, lines: Sequence[ReadLine]
) -> Iterator[Problem]:
    if manifest.export != digest.export:
        yield Problem("digest", bundle.MANIFEST, "it is of another export")
    leaves = [line.leaf for line in lines]
    if digest.last != (leaves[-1] if leaves else NO_RECORD):
        yield Problem("digest", bundle.DECISIONS, "its last record isn't the one that was signed")
    for run in manifest.runs:
        own = leaves[run.first_record : run.first_record + run.records]
        if len(own) != run.records or merkle_root(own) != run.root:
            yield Problem("changed_file", f"{bundle.DECISIONS}: run {run.workflow_id}", "its records changed")


def _lines(directory: Path, explanations: Counter[str]) -> list[ReadLine]:
    """The log, and how the reasons of its outcomes stand."""
    lines: list[ReadLine] = []
    for line in read_lines(directory):
        if line.record is not None and line.record.kind == "outcome":
            explanations[str(line.record.facts.get("explanation"))] += 1
        lines.append(line.without_record())
    return lines


async def _open_contents(
    verdict: Verdict, manifest: BundleManifest, listing: Listing, keys: KeyProvider | None
) -> None:
    if keys is None:
        verdict.unopened = len(manifest.runs)
        return
    # Read once more, a run at a time.
    records = (line.record for line in read_lines(verdict.directory))
    for run, own in records_by_run(manifest, records):
        sealer = await sealer_of(run, keys) if run.contents in listing.files else None
        if sealer is None:
            verdict.unopened += 1
            continue
        verdict.opened += 1
        verdict.problems += check_contents(verdict.directory, manifest.export, run, own, sealer)
