"""What a run is pinned to, from its first step to its last."""

from decimal import Decimal

from pydantic import Field

from agentflow.contracts.effects import EarlierEffects
from agentflow.contracts.identity import ApproverKey, SignatureTerms
from agentflow.contracts.model import ModelSpec
from agentflow.contracts.requester import RequesterPolicy
from agentflow.contracts.rules import RuleSetName, Tier
from agentflow.contracts.wire import Contract, Json, Sha256, Usd, is_empty, is_false, is_none, is_zero

MAX_PAYLOAD_BYTES = 1_900_000
"""Longest single value, where it isn't said otherwise. Temporal refuses 2 MiB; the rest is room for what the
converter and a codec add."""


def _is_true(value: object) -> bool:
    return value is True


class Release(Contract):
    """One version of an agent, and the models that its evals have proven for it."""

    version: str
    proven_models: tuple[str, ...] = ()
    """``provider:model`` names that may act unasked. With any other, every write asks a person."""
    scopes: tuple[str, ...] = Field(default=(), exclude_if=is_empty)
    """What the agent may touch. A tool that needs a scope which isn't among them is not even on offer."""


class TaskInput(Contract):
    """A task's input as the agent's input type had it when the run began."""

    value: Json = Field(default=None, exclude_if=is_none)
    """As JSON, where that is not what was sent: defaults filled in, texts as the type writes them."""
    is_as_sent: bool = Field(default=True, exclude_if=_is_true)
    """Whether the type made nothing else of what was sent: then ``value`` is left out."""
    problem: str | None = Field(default=None, exclude_if=is_none)
    """Why it does not fit the type: the run fails."""


class SpentBefore(Contract):
    """Cost of the tries that Temporal made of a run before the one that asks: at the most."""

    cost_usd: Usd = Decimal(0)
    """Of all of them, with what they began with."""
    possibly_billed_usd: Usd = Field(default=Decimal(0), exclude_if=is_zero)
    """The part of it that was reserved for calls whose end none of them heard of."""
    problem: str | None = Field(default=None, exclude_if=is_none)
    """Why it can't be told any more: the run is denied with this text."""


class ManifestRequest(Contract):
    """What the workflow's code declares; the worker resolves the rest."""

    agent: str
    models: tuple[str, ...]
    """Names or aliases, the preferred one first."""
    release: Release
    tools_hash: Sha256
    """Of the contracts of the tools on offer."""
    rules: RuleSetName
    writes: bool = True
    """Whether any tool on offer writes."""
    tenant: str = "default"
    imported: dict[str, Sha256] = Field(default_factory=dict[str, Sha256], exclude_if=is_empty)
    """Imported tools on offer, and the digests of their contracts."""
    chain: str
    """Which run of its workflow id it is: ``core.idempotency.chain_of``."""
    execution: str = ""
    """The run id of the execution before it was ever reset."""
    tried_before: bool = Field(default=False, exclude_if=is_false)
    """Whether Temporal tries the run again in this execution, by a workflow retry policy."""
    earlier_effects: EarlierEffects = "ask"
    """Of the agent."""
    pinned: dict[str, Json] = Field(default_factory=dict[str, Json])
    """The agent by value, to be part of the manifest; empty where the run has one already."""
    task_input: TaskInput | None = None
    """What the agent's input type makes of the task's input, likewise."""


class Manifest(Contract):
    """What a run is pinned to. Recorded as the result of its first step; nothing later changes it."""

    agent: str
    release: Release
    release_id: str
    """``version+hash``: the hash covers the agent's source (instructions, rules), the tool contracts,
    the models and their prices."""
    tier: Tier
    rules: RuleSetName | None = Field(default=None, exclude_if=is_none)
    """Names the rule set that decides; ``pinned`` has it by value. ``None`` in runs that began before rule
    sets had names."""
    rules_in_briefs: bool = Field(default=False, exclude_if=is_false)
    """Whether model calls name the rule set, for their spans. Not in runs that began before they did."""
    pinned: dict[str, Json] = Field(default_factory=dict[str, Json])
    """The agent by value: ``contracts.pinned.PinnedAgent``, without what is as by default."""
    task_input: TaskInput | None = Field(default=None, exclude_if=is_none)
    """The task's input as the run goes on with it."""
    models: tuple[ModelSpec, ...]
    """Resolved and priced, the preferred one first."""
    problem: str | None = Field(default=None, exclude_if=is_none)
    """Why no model can be used (unknown price, unknown alias); the run is denied with this text."""
    was_reset: bool = Field(default=False, exclude_if=is_false)
    """Whether the execution that it was resolved in came of a reset."""
    spent_before: SpentBefore | None = Field(default=None, exclude_if=is_none)
    """Spending of the tries before this one, which the budget begins with. ``None`` in a run's first try, and
    in tries that began before they asked."""
    frozen: tuple[str, ...] = Field(default=(), exclude_if=is_empty)
    """The freezes that held as it was resolved."""
    approver_keys: tuple[ApproverKey, ...] | None = Field(default=None, exclude_if=is_none)
    """Keys that decisions must be signed with; ``None`` takes people at their word."""
    requesters: RequesterPolicy | None = Field(default=None, exclude_if=is_none)
    """Whose word is taken for who asked; ``None`` takes nobody's."""
    signature_terms: SignatureTerms | None = Field(default=None, exclude_if=is_none)
    """How long signatures may count. ``None`` without keys, and in runs that began before there were such
    terms: those take signatures of any life, and without the claim ``tool``."""
    imported: dict[str, Sha256] = Field(default_factory=dict[str, Sha256], exclude_if=is_empty)
    """Imported tools on offer, and the digests of their contracts as the run began."""
    root: Sha256
    """``hash(namespace, workflow id)``: roots transcript and ledger keys in this run. Pinned, since a
    replay may run under other names, and what is hashed over it must come out the same."""
    chain: str
    """Which run of its workflow id it is: ``core.idempotency.chain_of``. Pinned likewise."""
    earlier_effects: EarlierEffects = "ask"
    """What becomes of a write that an earlier run of the workflow id made."""
    ledger: str | None = Field(default=None, exclude_if=is_none)
    """Id of the ledger that writes on the run's own task queue are recorded in; ``None`` where its worker has
    none, or could not reach it, or where an earlier execution of the run may be pinned: then the first write
    finds out."""
    search_attributes: bool = True
    """Whether the server has the run's search attributes; see ``agentflow setup``."""
    lists_approvals: bool = Field(default=False, exclude_if=is_false)
    """Whether the run's pending actions are in its memo, and their roles in a search attribute. Not in runs
    that began before they were."""
    notifies: bool = Field(default=False, exclude_if=is_false)
    """Whether people are told outside of what waits for them."""
    redacts: bool = Field(default=False, exclude_if=is_false)
    """Whether values that are told by their form (cards, IBANs …) are left out of details and memo, as marked
    ones always are, and activities know the marked ones."""
    output_guard: bool = Field(default=False, exclude_if=is_false)
    """Whether an output is checked before it leaves."""
    max_payload_bytes: int = MAX_PAYLOAD_BYTES
    """Longest single value that may be sent. With external storage, far more fits."""
    agentflow_version: str
