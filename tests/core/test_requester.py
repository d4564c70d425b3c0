"""Who asked for a run: each claim of a token is compared with the run, and each that is off refuses."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_core import to_json

from agentflow.adapters.signer import Signer
from agentflow.contracts.identity import ApproverKey
from agentflow.contracts.requester import START_TYPE, Requester, RequesterPolicy
from agentflow.contracts.task import AgentTask
from agentflow.core.approval import Refusal
from agentflow.core.idempotency import run_root
from agentflow.core.jws import payload_of, signed
from agentflow.core.requester import Start, as_of_now, given_task, requester_of, task_hash, was_verified

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
ANN = Signer.generate("ann")
GATE = Signer.generate("gate")
GATE_KEY = GATE.public().model_copy(update={"subjects": ("*@example.com",)})
POLICY = RequesterPolicy(keys=(ANN.public(), GATE_KEY))
TASK: AgentTask[Any] = AgentTask(input={"pay": "alice"}, requested_by="ann", tenant="acme")


class Order(BaseModel):
    pay: str
    currency: str = "USD"


def start(**changes: Any) -> Start:
    usual: dict[str, Any] = {
        "agent": "Banker",
        "root": run_root("default", "case-1"),
        "at": NOW,
        "is_first": True,
        "headers": {},
    }
    return Start(**{**usual, **changes})


def token(signer: Signer = ANN, task: AgentTask[Any] = TASK, **changes: Any) -> AgentTask[Any]:
    usual = {"namespace": "default", "workflow_id": "case-1", "now": NOW}
    agent = changes.pop("agent", "Banker")
    return signer.start(agent, task, **{**usual, **changes})


def found(
    task: AgentTask[Any], policy: RequesterPolicy | None = POLICY, **changes: Any
) -> Requester | Refusal:
    return requester_of(given_task(to_json(task)), start(**changes), policy)


def with_claims(**changes: Any) -> AgentTask[Any]:
    """The task with a token by Ann's key that says something else; ``None`` takes a claim out."""
    claims = {**json.loads(payload_of(str(token().requester_token))), **changes}
    said = json.dumps({name: value for name, value in claims.items() if value is not None}).encode()
    made = signed(said, ANN.key, alg=ANN.alg, kid=ANN.kid, typ=START_TYPE)
    return TASK.model_copy(update={"requester_token": made})


def test_a_person_who_signed_the_start_asked_for_the_run() -> None:
    assert found(token()) == Requester(name="ann", proof="token", kid=ANN.kid)


def test_a_service_may_start_runs_for_those_that_its_key_names() -> None:
    eve = TASK.model_copy(update={"requested_by": "eve@example.com"})
    assert found(token(GATE, eve)) == Requester(name="eve@example.com", proof="token", kid=GATE.kid)
    refused = found(token(GATE))
    assert isinstance(refused, Refusal)
    assert "does not speak for ann" in refused.reason


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"agent": "Other"}, "starts Banker, not Other"),
        ({"root": run_root("default", "case-2")}, "another run"),
        ({"root": run_root("other", "case-1")}, "another run"),
        ({"at": NOW + timedelta(minutes=15)}, "expired"),
        ({"at": NOW - timedelta(minutes=2)}, "after the start"),
    ],
)
def test_a_token_starts_one_run_in_its_time(changes: dict[str, Any], why: str) -> None:
    refused = found(token(), **changes)
    assert isinstance(refused, Refusal)
    assert why in refused.reason


@pytest.mark.parametrize(
    "changes",
    [
        {"input": {"pay": "mallory"}},
        {"input": {"pay": "alice", "more": 1}},
        {"tenant": "other"},
        {"customer_tier": "gold"},
        {"requested_by": "eve"},
        {"requested_by": "\u0430nn"},
    ],
    ids=str,
)
def test_a_token_is_for_one_task(changes: dict[str, Any]) -> None:
    assert isinstance(found(token().model_copy(update=changes)), Refusal)


@pytest.mark.parametrize("claim", ["sub", "iat", "exp", "agent", "namespace", "workflow_id", "task"])
@pytest.mark.parametrize("value", [None, 7.5, True, ["x"], {"x": 1}, "", "other"], ids=str)
def test_a_claim_that_is_missing_or_another_refuses(claim: str, value: object) -> None:
    assert isinstance(found(with_claims()), Requester)
    assert isinstance(found(with_claims(**{claim: value})), Refusal)


@pytest.mark.parametrize("claim", ["sub", "task", "exp"])
def test_a_claim_that_is_there_twice_refuses(claim: str) -> None:
    said = payload_of(str(token().requester_token)).decode()
    value = json.dumps(json.loads(said)[claim])
    twice = f'{{"{claim}":{value},{said[1:]}'.encode()
    made = signed(twice, ANN.key, alg=ANN.alg, kid=ANN.kid, typ=START_TYPE)
    refused = found(TASK.model_copy(update={"requester_token": made}))
    assert isinstance(refused, Refusal)
    assert "twice" in refused.reason


def test_a_claim_that_nobody_knows_refuses() -> None:
    assert isinstance(found(with_claims(admin=True)), Refusal)


def test_a_token_that_counts_for_long_is_refused() -> None:
    refused = found(token(valid_for=timedelta(hours=1)))
    assert isinstance(refused, Refusal)
    assert "longer than" in refused.reason
    longer = POLICY.model_copy(update={"longest": timedelta(hours=1)})
    assert isinstance(found(token(valid_for=timedelta(hours=1)), longer), Requester)


@pytest.mark.parametrize(
    "change",
    [
        {"revoked_at": NOW},
        {"expires": NOW},
        {"not_before": NOW + timedelta(seconds=1)},
        {"subjects": ("bob",)},
        {"subjects": ("\u0430nn",)},
    ],
    ids=str,
)
def test_a_key_that_may_not_say_so_now_refuses(change: dict[str, Any]) -> None:
    key: ApproverKey = ANN.public().model_copy(update=change)
    assert isinstance(found(token(), RequesterPolicy(keys=(key,), unverified=True)), Refusal)


@pytest.mark.parametrize("garbage", ["", "x", "a.b.c", "\u00e9", "." * 1_000])
def test_a_token_that_is_none_refuses(garbage: str) -> None:
    assert isinstance(found(TASK.model_copy(update={"requester_token": garbage})), Refusal)


def test_a_token_for_another_purpose_starts_nothing() -> None:
    delegation = ANN.delegation("ann", (), timedelta(minutes=5), now=NOW)
    refused = found(TASK.model_copy(update={"requester_token": delegation}))
    assert isinstance(refused, Refusal)
    assert "is of type" in refused.reason


def test_without_a_token_nothing_is_verified() -> None:
    plain = found(TASK)
    assert isinstance(plain, Requester)
    assert (plain.proof, plain.detail) == (None, "the run was started without a token")


def test_a_worker_that_takes_nobodys_word_verifies_nobody() -> None:
    plain = found(token(), None)
    assert isinstance(plain, Requester)
    assert plain.proof is None


def test_a_later_execution_of_a_schedule_is_not_verified_by_what_started_the_first() -> None:
    later = found(token(), is_first=False)
    assert isinstance(later, Requester)
    assert later.proof is None


HEADER = RequesterPolicy(header="x-client-name")


def test_a_header_says_who_asked() -> None:
    assert found(TASK, HEADER, headers={"x-client-name": b'"Ann"'}) == Requester(name="ann", proof="header")
    plain = found(TASK, HEADER, headers={"X-Other": b'"ann"'})
    assert isinstance(plain, Requester)
    assert plain.proof is None


@pytest.mark.parametrize(
    "value", [b'"bob"', b"ann", b"", b"7", b'["ann"]', b'"an\\u200bn"', '"\u0430nn"'.encode(), b'""', b"\xff"]
)
def test_a_header_that_says_another_or_nothing_refuses(value: bytes) -> None:
    assert isinstance(found(TASK, HEADER, headers={"x-client-name": value}), Refusal)


def test_what_is_signed_is_the_task_as_it_is_sent() -> None:
    read = AgentTask[Order].model_validate_json(to_json(token()))
    assert task_hash(read.given) != task_hash(given_task(to_json(TASK)))
    read.sent_as(to_json(token()))
    assert task_hash(read.given) == task_hash(given_task(to_json(TASK)))


@pytest.mark.parametrize(
    ("keys", "proof"),
    [
        ([ANN.public()], "token"),
        ([ANN.public().model_copy(update={"expires": NOW})], "token"),
        ([ANN.public().model_copy(update={"revoked_at": NOW})], None),
        ([ANN.public().model_copy(update={"subjects": ("bob",)})], None),
        ([GATE_KEY], None),
        ([], None),
    ],
)
def test_a_run_that_continues_believes_its_requester_by_the_keys_of_now(
    keys: list[ApproverKey], proof: str | None
) -> None:
    verified = Requester(name="ann", proof="token", kid=ANN.kid)
    now = as_of_now(verified, RequesterPolicy(keys=tuple(keys), header="x"), NOW)
    assert now.proof == proof
    assert was_verified(now)
    assert not was_verified(None)
    assert not was_verified(Requester(name="ann"))
    by_header = Requester(name="ann", proof="header")
    assert as_of_now(by_header, RequesterPolicy(keys=tuple(keys)), NOW) == by_header
