"""The form of a bundle that may be given away: the signed log, and what was said without what is personal.

manifest.json, decisions.jsonl, leaves.bin, digest.json   as they are in the bundle, and verify the same
texts.jsonl   what was said, redacted: one record a line
shared.json   the texts' hash, signed by the key that signed the digest
"""

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agentflow.audit import bundle
from agentflow.audit.contents_check import open_contents, said_in, sealer_of
from agentflow.audit.cover import SHARED, signed_cover, write_cover
from agentflow.audit.export import KNOWN_VALUES
from agentflow.audit.log_check import read_records, records_by_run
from agentflow.audit.placing import new_directory
from agentflow.audit.signing import ExportSigner
from agentflow.audit.verify import verify
from agentflow.contracts.audit import Record
from agentflow.contracts.bundle import RunEntry
from agentflow.contracts.tags import ToldValues
from agentflow.contracts.wire import Json, canonical_json
from agentflow.core.known_values import KnownValues
from agentflow.core.redaction import DROPPED
from agentflow.errors import AuditError
from agentflow.ports.keys import KeyProvider
from agentflow.private_files import new_file
from agentflow.telemetry.redactor import Redactor

_NEVER = frozenset({KNOWN_VALUES, "token", "arguments_hash", "transcript_head", "head"})
"""What tells a value to whoever tries long enough, or more than one person's business."""


@dataclass
class Shared:
    """What sharing came to."""

    texts: int = 0
    """Records with what was said in them."""
    without_texts: Counter[str] = field(default_factory=Counter[str])
    """Runs of which nothing that was said is told, by why."""


async def share(
    source: Path, place: Path, keys: KeyProvider, redactor: Redactor, signer: ExportSigner
) -> Shared:
    """Write the form of a bundle that may be given away.

    Args:
        source: The bundle. It is verified first: nothing is signed that follows from something else.
        place: Where to; it must not exist.
        keys: Of what was said.
        redactor: Takes out what must not leave, beside the values that the runs' types mark. Of a run whose
            marked values aren't known, since it wasn't replayed, nothing that was said is told.
        signer: The key that signed the bundle.

    Raises:
        AuditError: the bundle isn't as that key signed it, or the place can't be written.
    """
    verdict = await verify(source, signer.public, keys)
    for problem in verdict.problems:
        raise AuditError(f"{source} isn't as it was signed: {problem.where}: {problem.detail}")
    digest, manifest = bundle.read_digest(source), bundle.read_manifest(source)
    sharing = _Sharing(source, manifest.export, keys, redactor)
    with new_directory(place) as new:
        directory = new.path
        for name in (bundle.MANIFEST, bundle.DECISIONS, bundle.LEAVES, bundle.DIGEST):
            _copy(source / name, directory / name)
        with new_file(directory / bundle.TEXTS) as texts:
            for run, own in records_by_run(manifest, read_records(source)):
                for line in await sharing.lines_of(run, own):
                    texts.write(line + b"\n")
        files = {bundle.TEXTS: bundle.file_entry(directory / bundle.TEXTS)}
        write_cover(directory / SHARED, signed_cover("shared", directory, digest, files, signer))
    return sharing.shared


def _copy(source: Path, place: Path) -> None:
    with bundle.opened(source) as whole, new_file(place) as copy:
        shutil.copyfileobj(whole, copy)


@dataclass
class _Sharing:
    source: Path
    export: str
    keys: KeyProvider
    redactor: Redactor
    shared: Shared = field(default_factory=Shared)

    async def lines_of(self, run: RunEntry, records: Sequence[Record]) -> list[bytes]:
        sealer = await sealer_of(run, self.keys)
        if sealer is None:
            self.shared.without_texts["erased"] += 1
            return []
        contents = open_contents(self.source, self.export, run, sealer)
        known = next((said for name, said in contents.items() if name.endswith(f"/{KNOWN_VALUES}")), None)
        if known is None:
            self.shared.without_texts["marked values unknown"] += 1
            return []
        values = KnownValues.of(ToldValues.model_validate(known))
        lines: list[bytes] = []
        for record in records:
            said = {name: value for name, value in said_in(record, contents).items() if name not in _NEVER}
            if said:
                texts = _clean(said, self.redactor, values)
                lines.append(canonical_json({"record": record.seq, "texts": texts}))
        self.shared.texts += len(lines)
        return lines


def _clean(said: dict[str, Json], redactor: Redactor, known: KnownValues) -> Json:
    try:
        return redactor.json(said, known)
    except RecursionError:
        return f"{DROPPED}nested too deeply]"
