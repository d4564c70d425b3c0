"""Ordinary values, of which a test changes what it is about."""

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agentflow.contracts.approval import ApprovalRequest
from agentflow.contracts.budget import Spend
from agentflow.contracts.messages import ToolCall
from agentflow.contracts.rules import Quorum, Tier
from agentflow.contracts.tools import Effect, ToolContract, ToolOptions
from agentflow.contracts.wire import ApprovalId, Json, ToolCallId
from agentflow.core.idempotency import arguments_hash
from agentflow.core.provenance import PastCall
from agentflow.core.rule_context import RuleContext

AIRFLOW_API = Path(sys.prefix).joinpath(
    "share/airflow/airflow/api_fastapi/core_api/openapi/v2-rest-api-generated.yaml"
)
"""The OpenAPI document of Apache Airflow, as its package ships it; `make setup` fetches it."""

DEADLINE = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def nested(depth: int) -> Json:
    """A list in a list in a list …: legal JSON that a recursive walk doesn't survive."""
    value: Json = []
    for _ in range(depth):
        value = [value]
    return value


def contract_of(
    name: str = "refund",
    effect: Effect = "write",
    *,
    input_schema: dict[str, Json] | None = None,
    options: ToolOptions | None = None,
) -> ToolContract:
    return ToolContract(
        name=name,
        description=f"The {name} tool.",
        input_schema=input_schema or {"type": "object", "additionalProperties": False},
        output_schema={},
        effect=effect,
        options=options or ToolOptions(),
    )


def rule_context(
    arguments: Mapping[str, Json] | None = None,
    *,
    tool: str = "refund",
    effect: Effect = "write",
    tier: Tier = "dev",
    proven: bool = True,
    past_calls: tuple[PastCall, ...] = (),
) -> RuleContext:
    return RuleContext(
        tool=contract_of(tool, effect),
        arguments={} if arguments is None else arguments,
        tier=tier,
        tenant="acme",
        customer_tier="standard",
        requested_by="ada",
        task_input={"text": "refund order 7"},
        model="scripted:model",
        model_proven=proven,
        spend=Spend(),
        past_calls=past_calls,
    )


def call_of(tool: str, call_id: str = "call_1", **arguments: Any) -> ToolCall:
    return ToolCall(id=ToolCallId(call_id), tool=tool, arguments=arguments)


def approval_request(
    *,
    people: int = 1,
    roles: tuple[str, ...] = (),
    tool: str = "refund",
    arguments: dict[str, Json] | None = None,
    reason: str = "more than 100 dollars",
    sources: dict[str, str] | None = None,
    requested_by: str = "ada lovelace",
) -> ApprovalRequest:
    given = {"order": "ORD-7"} if arguments is None else arguments
    return ApprovalRequest(
        id=ApprovalId("approval-1"),
        tool=tool,
        tool_call_id=ToolCallId("call_1"),
        arguments=given,
        arguments_hash=arguments_hash(tool, given),
        rule="large_refund",
        reason=reason,
        quorum=Quorum(people=people, roles=roles),
        requested_by=requested_by,
        deadline=DEADLINE,
        sources=sources or {},
    )
