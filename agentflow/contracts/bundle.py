"""What lies beside the decision log in a bundle: the manifest, and what is signed."""

from typing import Literal

from pydantic import AwareDatetime, Field

from agentflow.contracts.audit import Explanation, GapKind
from agentflow.contracts.wire import Contract, Sha256, Usd, is_empty, is_none

FORMAT = "agentflow-audit"
VERSION = 1

MIN_LOG_DAYS = 183
"""Six months, the least for which Regulation (EU) 2024/1689 has logs of high-risk systems kept (articles 19
and 26(6))."""
CONTENTS_DAYS = (7, 30)
"""Between these, what was said is kept unless it is said otherwise."""


class Retention(Contract):
    """How long a bundle is to be kept."""

    contents_days: int = Field(default=CONTENTS_DAYS[1], ge=1)
    contents_until: AwareDatetime
    log_days: int = Field(default=MIN_LOG_DAYS, ge=1)
    log_until: AwareDatetime


class RunEntry(Contract):
    """One run of a bundle."""

    workflow_id: str
    workflow_type: str
    first_run_id: str
    executions: tuple[str, ...]
    """Run ids, the first one first."""
    agent: str | None = Field(default=None, exclude_if=is_none)
    release: str | None = Field(default=None, exclude_if=is_none)
    tenant: str | None = Field(default=None, exclude_if=is_none)
    status: str
    """The outcome's, or how the run ended without one; ``open`` if it hadn't ended, ``unknown`` if
    nothing is left of it."""
    cost_usd: Usd | None = Field(default=None, exclude_if=is_none)
    explanation: Explanation | None = Field(default=None, exclude_if=is_none)
    first_record: int
    records: int
    root: Sha256
    """Of the Merkle tree over the run's own records."""
    key_id: str
    key_check: str = ""
    """Tells the key that what was said is encrypted with from others of that id."""
    contents: str | None = Field(default=None, exclude_if=is_none)
    """File with what was said, encrypted; ``None`` where the key was deleted before."""
    gaps: tuple[GapKind, ...] = Field(default=(), exclude_if=is_empty)
    """What isn't in the bundle; each has a record."""


class BundleManifest(Contract):
    """What a bundle holds."""

    format: Literal["agentflow-audit"] = FORMAT
    version: int = VERSION
    export: str
    """A UUID."""
    created_at: AwareDatetime
    namespace: str
    selection: str
    """The query or the workflow ids that were asked for."""
    agentflow_version: str
    retention: Retention
    runs: tuple[RunEntry, ...]
    gaps: int = 0


class FileEntry(Contract):
    """One file of a bundle."""

    sha256: Sha256
    bytes: int


class PreviousExport(Contract):
    """The export before this one, under the same signing key."""

    export: str
    digest: Sha256
    """Of the bytes of its ``digest.json``."""


class PendingExport(Contract):
    """An export that is being put in its place. Whoever dies between is followed up by the next export."""

    this: PreviousExport
    before: PreviousExport | None = None
    """What was the last export until then."""
    aside: str
    """Directory in which it was written."""
    place: str
    """Directory that it becomes."""
    bundle: str
    """The bundle in it, which may be all of it (``.``)."""


class Digest(Contract):
    """Stands for a bundle, and is signed."""

    format: Literal["agentflow-audit"] = FORMAT
    version: int = VERSION
    export: str
    created_at: AwareDatetime
    records: int
    root: Sha256
    """Of the Merkle tree over all records."""
    last: Sha256
    """Hash of the last record."""
    files: dict[str, FileEntry]
    previous: PreviousExport | None = Field(default=None, exclude_if=is_none)
    public_key: str
    """Ed25519, 32 bytes in base64."""
    signature: str = ""
    """In base64, over the canonical JSON of all the rest."""


CoverForm = Literal["shared", "incident"]
"""``shared``: what may be given away. ``incident``: reports beside a bundle."""


class Cover(Contract):
    """Stands for what goes with a bundle besides what its digest names. It is signed by the same key."""

    format: Literal["agentflow-audit"] = FORMAT
    version: int = VERSION
    form: CoverForm
    export: str
    digest: Sha256
    """Of the bytes of the bundle's ``digest.json``."""
    files: dict[str, FileEntry]
    public_key: str
    """Ed25519, 32 bytes in base64."""
    signature: str = ""
    """In base64, over the canonical JSON of all the rest."""
