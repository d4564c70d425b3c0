"""Whatever whoever may signal sends: it is refused, on record, and no workflow task fails for it."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowHandle
from temporalio.common import RawValue
from temporalio.testing import WorkflowEnvironment

from agentflow.adapters.signer import Signer
from agentflow.contracts.escalation import Escalation, Resolution
from agentflow.core.approval import Refusal
from agentflow.core.signals import parse_resolution
from agentflow.testing import ScriptedModel, answer, call
from agentflow.workflow.hearing import Hearing, Said
from agentflow.workflow.identities import AnswerTo
from tests.core.samples import DEADLINE, nested
from tests.core.strategies import json_values
from tests.workflow.agents import Banker
from tests.workflow.harness import eventually, replayed, serving
from tests.workflow.test_signed import Keys
from tests.workflow.verifying_agents import Asking, Badged

ANN = Signer.generate("ann", ("finance",))
DONE = answer({"account": "alice", "amount": "10.00"})
LARGE = [call("pay", account="alice", amount="600.00"), DONE]
STUCK = [answer("?"), answer("?"), DONE]
AGENTS = [Banker, Badged, Asking]
ESCALATION = Escalation(id="escalation-1", reason="stuck", deadline=DEADLINE, answerable=False)


def token(header: bytes, claims: bytes) -> str:
    parts = [base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (header, claims, b"x" * 64)]
    return ".".join(parts)


HEADER = json.dumps({"alg": "EdDSA", "kid": ANN.kid, "typ": "agentflow-decision+jws"}).encode()
PAYLOADS: list[bytes] = [
    b"",
    b"\xff\xfe",
    b"null",
    b"[" * 60_000,
    b'{"by":"\\ud800"}',
    b'{"by":"x","by":"y"}',
    b" " * 100_000,
    *(
        json.dumps(value).encode()
        for value in (
            {"approval_id": "x" * 60_000, "by": "true"},
            {"approval_id": "approval-1", "by": "true", "reason": "\x00" * 2_000},
            {"approval_id": "approval-1", "by": "true", "roles": ["finance"] * 5_000},
            {"approval_id": "approval-1", "by": "true", "arguments_hash": "\U0001f4a5" * 10_000},
            *(
                {"approval_id": "approval-1", "by": "true", "token": made}
                for made in ("...", token(b"[" * 300, b"{}"), token(HEADER, b"[" * 5_000), "a" * 16_384)
            ),
            *(
                {"action": action, "by": "true", field: nested(depth)}
                for action in ("abort", "answer", "happened")
                for field in ("answer", "result")
                for depth in (97, 98, 99)
            ),
            {"action": "abort", "by": "true", "escalation_id": "\u202e" * 10_000},
            {"action": "guide", "by": "true", "text": " " * 20_000},
            {"kid": "k" * 200},
            {"scope": "agent", "name": "../..", "by": "eve"},
            {"scope": "tenant", "name": "another", "by": "eve"},
        )
    ),
]
"""None of these is anybody's word: the tests' own verifiers know everybody but ``true``."""
SIGNALS = ("approve", "reject", "resolve", "revoke", "freeze", "unfreeze", "approv\u0435", "x" * 900)


async def failed_tasks(handle: WorkflowHandle[Any, Any]) -> list[str]:
    return [
        event.workflow_task_failed_event_attributes.failure.message
        async for event in handle.fetch_history_events()
        if event.HasField("workflow_task_failed_event_attributes")
    ]


@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize("model", [LARGE, STUCK], ids=["waiting for an approval", "escalated"])
async def test_whatever_is_sent_is_refused_on_record_and_fails_no_workflow_task(
    temporal: WorkflowEnvironment, tmp_path: Path, agent: type, model: list[Any]
) -> None:
    keys = {"approvers": Keys(ANN)} if agent is Banker else {}
    async with serving(temporal, ScriptedModel(model), tmp_path, workflows=AGENTS, **keys) as bank:
        handle = await bank.start(agent)
        await (bank.pending(handle) if model is LARGE else bank.escalation(handle))
        before = len(await bank.refusals(handle))
        sent = [(name, [data]) for name in SIGNALS for data in PAYLOADS]
        sent += [(name, payloads) for name in SIGNALS for payloads in ([], [b"{}", b"{}"])]
        for name, payloads in sent:
            raw = [RawValue(Payload(metadata={"encoding": b"json/plain"}, data=data)) for data in payloads]
            await handle.signal(name, args=raw)

        async def heard() -> bool | None:
            return True if len(await bank.refusals(handle)) - before >= len(sent) else None

        await eventually(heard)
        assert await failed_tasks(handle) == []
        if model is LARGE:
            (request,) = await bank.agents.pending_approvals(handle.id)
            if keys:
                await bank.agents.decide(handle.id, ANN.decision(request, "approve"))
            else:
                await bank.agents.approve(handle.id, request.id, by="ann")
        else:
            guide = Resolution(action="guide", by="ann", text="ten dollars")
            signed = ANN.resolution(await bank.escalation(handle), guide) if keys else guide
            await bank.agents.resolve(handle.id, signed)
        assert (await asyncio.wait_for(handle.result(), 30)).status == "completed"
        await replayed(await handle.fetch_history(), *AGENTS)


async def test_what_raises_as_it_is_judged_is_refused_on_record(
    temporal: WorkflowEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hear = Hearing.hear

    def raising(self: Hearing, sent: Any, *told: Any) -> Any:
        if sent.payload.by == "eve":
            raise KeyError("a slip of ours")
        return hear(self, sent, *told)

    monkeypatch.setattr(Hearing, "hear", raising)
    async with serving(temporal, ScriptedModel(LARGE), tmp_path) as bank:
        handle = await bank.start(Banker)
        request = await bank.pending(handle)
        await handle.signal("approve", {"approval_id": request.id, "by": "eve"})
        await bank.agents.approve(handle.id, request.id, by="ann")
        assert (await asyncio.wait_for(handle.result(), 30)).status == "completed"
        refused = await bank.refusals(handle)
    assert any("approve: it could not be judged: KeyError: 'a slip of ours'" in why for why in refused)


depths = st.integers(0, 110).map(nested)


@given(json_values | depths, json_values | depths)
def test_whatever_can_be_read_takes_a_place(result: Any, said: Any) -> None:
    payload = json.dumps({"action": "abort", "by": "eve", "result": result, "answer": said}).encode()
    resolution = parse_resolution((payload,))
    if not isinstance(resolution, Refusal):
        assert Said.stated(AnswerTo(resolution, ESCALATION)).by == ("eve",)
