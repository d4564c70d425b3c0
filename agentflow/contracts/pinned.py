"""An agent by value, as a run is pinned to it: what a deploy changes of its class later is for later runs.

It is a part of the manifest. Fields that have their defaults are left out there, so the defaults of these
contracts, and of those they are made of, belong to the wire: ``tests/contracts/test_pinned_defaults.py``
holds them.
"""

from datetime import timedelta
from typing import Self

from pydantic import Field

from agentflow.contracts.budget import Budget
from agentflow.contracts.loops import LoopLimits
from agentflow.contracts.model import ModelOptions
from agentflow.contracts.rules import Quorum, Tier, Verdict
from agentflow.contracts.tools import Effect, ToolContract
from agentflow.contracts.wire import Contract, Duration, Json, Sha256


class PinnedCondition(Contract):
    """The condition of a rule: one of the library's by its values, or the hash of code.

    With neither, it holds for every call.
    """

    ready: str | None = None
    """Name of a condition of the library's (``core.ready_conditions``)."""
    values: dict[str, Json] = Field(default_factory=dict[str, Json])
    """Its fields."""
    unless: "PinnedCondition | None" = None
    """The condition under which a ready one lets a call be."""
    code: Sha256 | None = None
    """Hash of all that a function's answers depend on (``core.rule_content``)."""

    @property
    def is_code(self) -> bool:
        """Whether only a worker that has the code can tell what it answers."""
        return self.code is not None or (self.unless is not None and self.unless.is_code)


class PinnedRule(Contract):
    """A rule. Fields as those of ``core.rules.Rule``."""

    name: str
    verdict: Verdict
    reason: str
    when: PinnedCondition = PinnedCondition()
    tools: tuple[str, ...] = ()
    effects: tuple[Effect, ...] = ()
    scopes: tuple[str, ...] = ()
    tenants: tuple[str, ...] = ()
    tiers: tuple[Tier, ...]
    quorum: Quorum | None = None
    is_guard: bool = False


class PinnedPolicies(Contract):
    """Policies of another engine."""

    digest: Sha256
    """Hash of the engine's name and version, and of all that the policies' answers depend on."""
    by_value: Json = None
    """What an adapter makes them of again, beside the tools' contracts; ``None`` where it can't."""


class PinnedRules(Contract):
    """A rule set; the manifest has its name."""

    rules: tuple[PinnedRule, ...] = ()
    policies: tuple[PinnedPolicies, ...] = ()


class PinnedAgent(Contract):
    """What a run takes from its agent's class, from its first step to its last."""

    instructions: str
    untrusted_input: tuple[str, ...] = ()
    model_options: ModelOptions = ModelOptions()
    tools: tuple[ToolContract, ...] = ()
    """Contracts of all its tools, those included whose scopes are not granted."""
    rules: PinnedRules
    budget: Budget = Budget()
    """The agent's; a task may ask for less."""
    output_schema: dict[str, Json] | None = None
    """JSON Schema of the answer; ``None`` for free text."""
    task_tags: dict[str, Json] | None = None
    """JSON Schema of the task's input, where it marks what is personal; empty where it marks nothing.
    ``None`` in runs that began before it was pinned."""
    approval_timeout: Duration = timedelta(hours=24)
    escalation_timeout: Duration = timedelta(hours=24)
    loop_limits: LoopLimits = LoopLimits()
    compacts: bool = True
    """Whether a conversation that outgrew its model's context is made shorter."""
    max_history_bytes: int = 4 * 1024 * 1024
    max_input_bytes: int = 256 * 1024
    max_carried_bytes: int = 8 * 1024 * 1024
    verifier_method: str | None = None
    """``method`` of the agent's own ``approver_verifier``."""
    checks_task: bool = False
    """Whether it has a ``preflight`` of its own."""
    checks_output: bool = False
    """Whether it has a ``postflight`` of its own."""

    def as_sent(self) -> dict[str, Json]:
        """The JSON that the manifest has: without what is as by default."""
        sent = self.model_dump(mode="json", exclude_defaults=True)
        for tool, written in zip(self.tools, sent.get("tools", ()), strict=True):
            if tool.source is not None:
                # Tells the kinds of sources apart; each has its own as the default.
                written["source"]["kind"] = tool.source.kind
        return sent

    @classmethod
    def read(cls, sent: dict[str, Json]) -> Self:
        """The agent that ``as_sent`` was made of.

        Raises:
            ValidationError: it is of a later version of the library.
        """
        return cls.model_validate(sent)
