"""The way of one call from the model's answer to the tool, built of the parts that runs use."""

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from agentflow import ToolContext
from agentflow.activity.execution import tool_activity
from agentflow.activity.guards import check_input
from agentflow.activity.ledger_calls import LedgerCalls
from agentflow.adapters.memory_blobs import MemoryBlobStore
from agentflow.contracts.approval import ApprovalDecision, ApprovalRequest, Approver
from agentflow.contracts.budget import Spend
from agentflow.contracts.messages import Entry, ToolCall, UserMessage
from agentflow.contracts.rules import Decision, Quorum, Tier
from agentflow.contracts.tools import ToolError as ToolProblem
from agentflow.contracts.tools import ToolInvocation
from agentflow.contracts.wire import ApprovalId, Sha256, ToolCallId
from agentflow.core.approval import PendingApproval, Refusal, judge
from agentflow.core.catalog import Catalog
from agentflow.core.idempotency import ledger_key, run_root
from agentflow.core.policy import decide
from agentflow.core.provenance import Provenance
from agentflow.core.rule_context import RuleContext
from agentflow.core.rules import Policies, Rule
from agentflow.errors import AgentflowError
from agentflow.ports.guards import InputGuard
from agentflow.ports.ledger import EffectLedger
from agentflow.testing import MemoryLedger
from agentflow.testing.settings import TEST_SEAL_KEYS
from benchmarks.failclosed.world import DEADLINE, GRANTED, NOW, REQUESTED_BY, RULES, TASK, Books

Decide = Callable[[Sequence[Rule], RuleContext, Sequence[Policies]], Decision]
Judge = Callable[[PendingApproval, ApprovalDecision, Approver | None, datetime], PendingApproval | Refusal]
Check = Callable[[Catalog, ToolCall], ToolProblem | None]
Guarding = Callable[[InputGuard, timedelta, Sequence[Entry]], Awaitable[None]]


def judged(
    pending: PendingApproval, decision: ApprovalDecision, approver: Approver | None, now: datetime
) -> PendingApproval | Refusal:
    """Count one person's yes."""
    return judge(pending, "approve", decision, approver, now)


@dataclass(frozen=True)
class Parts:
    """The guards of the path; one of them may be taken out."""

    check: Check = Catalog.check
    decide: Decide = decide
    judge: Judge = judged
    guard: Guarding = check_input
    binds: bool = True
    """Whether the activity holds the decision against what it is given."""


@dataclass
class Voice:
    """What one person says of the approval, and when."""

    by: str = "ann"
    roles: tuple[str, ...] = ("finance",)
    verified: bool = True
    hash_of: Sha256 | None = None
    """Of the arguments they looked at; those of the request by default."""
    at: datetime = NOW


@dataclass
class Trial:
    """One call, and everything that has a say in it. Faults change this."""

    tool: str = "pay"
    arguments: dict[str, Any] = field(default_factory=dict[str, Any])
    rules: tuple[Rule, ...] = RULES
    policies: tuple[Policies, ...] = ()
    catalog: Catalog = GRANTED
    tier: Tier = "production"
    frozen: tuple[str, ...] = ()
    provenance: Provenance = field(default_factory=lambda: Provenance().plus("task", TASK))
    guard: InputGuard | None = None
    voices: list[Voice] = field(default_factory=list[Voice])
    """People who answer if they are asked."""
    tamper: Callable[[ToolInvocation], ToolInvocation] | None = None
    """What somebody does to the call on its way to the worker."""
    ledger: EffectLedger = field(default_factory=MemoryLedger)
    broken: bool = False
    """Whether something in the decision cannot answer: then nothing may be written at all."""


@dataclass
class Ended:
    """What came of it."""

    paid: list[tuple[str, Any]]
    approved: bool
    """Whether people who may have said yes to exactly this, in time."""


async def walk(trial: Trial, parts: Parts) -> Ended:
    """Take one call all the way, or as far as it may go."""
    books, approved = Books(), False
    if trial.guard is not None:
        try:
            await parts.guard(
                trial.guard, timedelta(milliseconds=5), [UserMessage(text=TASK, label="person")]
            )
        except AgentflowError:
            return Ended(books.paid, approved)
    call = ToolCall.model_construct(id=ToolCallId("c1"), tool=trial.tool, arguments=trial.arguments)
    if parts.check(trial.catalog, call) is not None or trial.tool not in trial.catalog.contracts:
        return Ended(books.paid, approved)
    decision = parts.decide(trial.rules, _context(trial), trial.policies)
    if decision.verdict == "ask":
        approved = _ask(trial, decision, parts)
        again = parts.decide(trial.rules, _context(trial), trial.policies)
        if not approved or again.verdict == "deny":
            return Ended(books.paid, approved)
        decision = decision.model_copy(update={"verdict": "allow"})
    if decision.verdict != "allow":
        return Ended(books.paid, approved)
    await _act(trial, decision, books, parts)
    return Ended(books.paid, approved)


def _context(trial: Trial) -> RuleContext:
    return RuleContext(
        agent="Payer",
        tool=trial.catalog.contracts[trial.tool],
        arguments=trial.arguments,
        tier=trial.tier,
        tenant="acme",
        customer_tier="standard",
        requested_by=REQUESTED_BY,
        task_input=TASK,
        model="m",
        model_proven=True,
        spend=Spend(),
        provenance=trial.provenance,
        frozen=trial.frozen,
    )


def _ask(trial: Trial, decision: Decision, parts: Parts) -> bool:
    request = ApprovalRequest(
        id=ApprovalId("approval-1"),
        tool=trial.tool,
        tool_call_id=ToolCallId("c1"),
        arguments=trial.arguments,
        arguments_hash=decision.arguments_hash,
        rule=decision.rule,
        reason=decision.reason,
        quorum=decision.quorum or Quorum(),
        requested_by=REQUESTED_BY,
        deadline=DEADLINE,
        sources={},
    )
    pending = PendingApproval(request)
    for voice in trial.voices:
        said = ApprovalDecision(
            approval_id=request.id,
            by=voice.by,
            roles=voice.roles,
            arguments_hash=voice.hash_of or request.arguments_hash,
        )
        approver = Approver(subject=voice.by, roles=voice.roles, method="signed") if voice.verified else None
        after = parts.judge(pending, said, approver, voice.at)
        pending = pending if isinstance(after, Refusal) else after
    return pending.outcome is not None and pending.outcome.status == "approved"


async def _act(trial: Trial, decision: Decision, books: Books, parts: Parts) -> None:
    root = run_root("default", "trial")
    invocation = ToolInvocation.model_construct(
        call_id=ToolCallId("c1"),
        arguments=trial.arguments,
        decision=decision,
        ledger_key=ledger_key(root, "first", 1, trial.tool),
    )
    if trial.tamper is not None:
        invocation = trial.tamper(invocation)
    if not parts.binds:
        context = ToolContext(call_id=ToolCallId("c1"), idempotency_key=Sha256("0" * 64))
        with contextlib.suppress(ValueError):
            await books.pay.invoke(invocation.arguments, context)
        return
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, workflow_id="trial", namespace="default")
    try:
        await environment.run(
            tool_activity(books.pay, LedgerCalls(trial.ledger, TEST_SEAL_KEYS), MemoryBlobStore()), invocation
        )
    except (ApplicationError, ValueError):
        return
