"""Something that people are to decide on, and the request that asks them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from agentflow.contracts.approval import ApprovalRequest, UntrustedValue
from agentflow.contracts.requester import RequesterProof
from agentflow.contracts.rules import Quorum, Tier
from agentflow.contracts.tools import ToolContract
from agentflow.contracts.wire import ApprovalId, Json, ToolCallId, Usd
from agentflow.core.approver_page import CODE_IS_TOLD, NOT_DONE, sentence_of
from agentflow.core.idempotency import arguments_hash


@dataclass(frozen=True)
class Action:
    """A tool call, or what an agent's own code asks for."""

    name: str
    arguments: Mapping[str, Json]
    contract: ToolContract | None = None
    """The tool's; ``None`` for what is no tool call."""
    call_id: ToolCallId | None = None


@dataclass(frozen=True)
class Asking:
    """Why people are asked, whom, and until when."""

    rule: str
    """What asked."""
    reason: str
    quorum: Quorum
    deadline: datetime


def request_for(
    action: Action,
    asking: Asking,
    approval_id: ApprovalId,
    *,
    requested_by: str,
    requester_proof: RequesterProof | None = None,
    tier: Tier | None = None,
    sources: Mapping[str, str],
    untrusted: tuple[UntrustedValue, ...] = (),
    spent_usd: Usd,
) -> ApprovalRequest:
    """The request, bound to the action's exact arguments.

    Args:
        action: What is to be done.
        asking: Why people are asked.
        approval_id: The approval's.
        requested_by: Who asked for the run.
        requester_proof: How that is verified.
        tier: Where the run's worker is.
        sources: For each argument, where its value was seen before.
        untrusted: The values of consequence that nothing trusted has.
        spent_usd: What the run has spent so far.
    """
    contract = action.contract
    sinks = contract.sinks if contract else None
    return ApprovalRequest(
        id=approval_id,
        tool=action.name,
        tool_call_id=action.call_id,
        arguments=dict(action.arguments),
        arguments_hash=arguments_hash(action.name, action.arguments),
        rule=asking.rule,
        reason=asking.reason,
        quorum=asking.quorum,
        requested_by=requested_by,
        requester_proof=requester_proof,
        tier=tier,
        deadline=asking.deadline,
        sources=dict(sources),
        untrusted=untrusted,
        sentence=sentence_of(action.name, contract, action.arguments),
        effect=contract.effect if contract else None,
        sinks=None if sinks is None else tuple(sink.argument for sink in sinks),
        cost_usd=contract.options.cost_usd if contract else None,
        spent_usd=spent_usd,
        on_refusal=NOT_DONE if contract else CODE_IS_TOLD,
    )
