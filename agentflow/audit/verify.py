"""Verifies bundles: that they are what was signed, and that what they say holds."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agentflow.audit import bundle
from agentflow.audit.chain import NO_RECORD, merkle_root
from agentflow.audit.contents_check import check_contents, sealer_of
from agentflow.audit.log_check import Problem, ReadLine, check_lines, read_lines, records_by_run
from agentflow.audit.sharing import TEXTS
from agentflow.audit.signing import ExportVerifier
from agentflow.contracts.bundle import VERSION, BundleManifest, Digest
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
    def ok(self) -> bool:
        """Whether all is as it was signed."""
        return not self.problems


async def verify(
    directory: Path,
    expected: ExportVerifier | None = None,
    keys: KeyProvider | None = None,
    *,
    log_only: bool = False,
) -> Verdict:
    """Verify a bundle.

    Args:
        directory: The bundle.
        expected: The key of whoever should have signed it. Without it a bundle that somebody made and signed
            themselves verifies as well.
        keys: Of the contents, to hold these against the log too.
        log_only: Whether it is the form that may be given away, which has no contents.
    """
    verdict = Verdict(directory)
    try:
        verdict.digest = digest = bundle.read_digest(directory)
    except AuditError as error:
        verdict.problems.append(Problem("digest", bundle.DIGEST, str(error)))
        return verdict
    verdict.problems += _signature_problems(verdict, digest, expected)
    verdict.problems += _file_problems(directory, digest, log_only=log_only)
    signed = _signed_leaves(directory, digest)
    lines = _lines(directory, verdict.explanations)
    verdict.records = len(lines)
    verdict.problems += check_lines(lines, signed, bundle.DECISIONS)
    try:
        verdict.manifest = manifest = bundle.read_manifest(directory)
    except AuditError as error:
        verdict.problems.append(Problem("unreadable", bundle.MANIFEST, str(error)))
        return verdict
    verdict.problems += _manifest_problems(manifest, digest, lines)
    await _open_contents(verdict, manifest, None if log_only else keys)
    return verdict


def verify_chain(verdicts: Sequence[Verdict]) -> list[Problem]:
    """Whether exports follow each other without a gap: each names the one before it.

    Args:
        verdicts: Of bundles under one signing key, in any order.
    """
    known = {
        bundle.digest_hash(verdict.directory): verdict for verdict in verdicts if verdict.digest is not None
    }
    problems: list[Problem] = []
    followers: Counter[str] = Counter()
    for verdict in verdicts:
        previous = verdict.digest.previous if verdict.digest else None
        if previous is None:
            continue
        followers[previous.digest] += 1
        if previous.digest not in known:
            detail = f"the export before it, {previous.export}, isn't here, or isn't what it was"
            problems.append(Problem("chain", str(verdict.directory), detail))
        elif followers[previous.digest] > 1:
            detail = f"two exports say that they follow {previous.export}"
            problems.append(Problem("chain", str(verdict.directory), detail))
    firsts = [verdict for verdict in verdicts if verdict.digest and verdict.digest.previous is None]
    if len(firsts) > 1:
        named = ", ".join(str(verdict.directory) for verdict in firsts)
        problems.append(Problem("chain", named, "each of them says that it is the first export"))
    return problems


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


def _file_problems(directory: Path, digest: Digest, *, log_only: bool) -> Iterator[Problem]:
    here = set(bundle.files_of(directory)) - {bundle.DIGEST}
    for name in sorted(here - set(digest.files) - ({TEXTS} if log_only else set())):
        yield Problem("unknown_file", name, "it was never signed")
    for name, entry in digest.files.items():
        if log_only and name.startswith(f"{bundle.CONTENTS}/") and name not in here:
            continue
        if name not in here:
            yield Problem("missing_file", name, "it was signed, and isn't here")
        elif bundle.file_entry(directory / name) != entry:
            yield Problem("changed_file", name, "it isn't what was signed")


def _signed_leaves(directory: Path, digest: Digest) -> list[Sha256] | None:
    """The records' hashes as they were signed; ``None`` where the file isn't the one that was."""
    path = directory / bundle.LEAVES
    if not path.is_file():
        return None
    data, size = path.read_bytes(), bundle.LEAF_BYTES
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


async def _open_contents(verdict: Verdict, manifest: BundleManifest, keys: KeyProvider | None) -> None:
    if keys is None:
        verdict.unopened = len(manifest.runs)
        return
    # Read once more, a run at a time.
    records = (line.record for line in read_lines(verdict.directory))
    for run, own in records_by_run(manifest, records):
        sealer = await sealer_of(run, keys)
        if sealer is None:
            verdict.unopened += 1
            continue
        verdict.opened += 1
        verdict.problems += check_contents(verdict.directory, manifest.export, run, own, sealer)
