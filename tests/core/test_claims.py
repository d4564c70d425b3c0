"""Each claim of each token, spoiled in each way: none of them counts, whatever stands beside the token."""

import json
from datetime import timedelta
from typing import Any

import pytest

from agentflow.adapters.signer import Signer
from agentflow.contracts.approval import ApprovalDecision, ApprovalRequest, Approver
from agentflow.contracts.escalation import EffectInDoubt, Escalation, Resolution
from agentflow.contracts.identity import (
    DECISION_TYPE,
    DELEGATION_TYPE,
    RESOLUTION_TYPE,
    RefusedAttempt,
    SignatureTerms,
)
from agentflow.contracts.wire import ApprovalId, Json, ToolCallId, sha256_of
from agentflow.core.approval import Refusal
from agentflow.core.idempotency import arguments_hash
from agentflow.core.jws import payload_of
from agentflow.core.signed_approvers import SignedApprovers
from tests.core.samples import DEADLINE, approval_request
from tests.core.tokens import spoiled, token_of

RUN = sha256_of("run")
NOW = DEADLINE - timedelta(hours=1)
BOB = Signer.generate("bob", ("finance",), kid="bob-1")
CY = Signer.generate("cy", ("support",), kid="cy-1")
APPROVERS = SignedApprovers([BOB.public(), CY.public()], terms=SignatureTerms())


def asked(**changes: Any) -> ApprovalRequest:
    return approval_request(**changes).model_copy(update={"run": RUN, "identity": "signed"})


def claims_of(token: str | None) -> dict[str, Json]:
    return json.loads(payload_of(str(token)))


def bare(token: str, by: str = "bob", **said: Any) -> ApprovalDecision:
    """A token with nothing beside it but what a payload can't do without."""
    return ApprovalDecision(approval_id=ApprovalId("approval-1"), by=by, token=token, **said)


def why(decision: ApprovalDecision, request: ApprovalRequest | None = None) -> str:
    found = APPROVERS.verify(decision, "approve", request or asked(), RUN, NOW)
    assert isinstance(found, Refusal), found
    return found.reason


DECISION = claims_of(BOB.decision(asked(), "approve", reason="fine", now=NOW).token)
SPOILED = dict(spoiled(DECISION))


def test_a_token_with_nothing_beside_it_counts_as_it_is() -> None:
    found = APPROVERS.verify(
        bare(token_of(BOB, DECISION_TYPE, json.dumps(DECISION))), "approve", asked(), RUN, NOW
    )
    assert isinstance(found, Approver)
    assert found.reason == "fine"


# Another reason is a reason, and it is signed: there is nothing of the action that it could differ from.
@pytest.mark.parametrize("name", [name for name in SPOILED if name != "reason of another"])
def test_a_decision_with_a_claim_that_is_not_as_it_should_be_does_not_count(name: str) -> None:
    assert why(bare(token_of(BOB, DECISION_TYPE, SPOILED[name])))


@pytest.mark.parametrize("beside", ["nothing", "what was signed", "what is pending"])
def test_a_signature_over_one_payment_is_none_over_another(beside: str) -> None:
    small, large = asked(arguments={"amount": "1.00"}), asked(arguments={"amount": "600.00"})
    signed = BOB.decision(small, "approve", now=NOW)
    stated = {
        "nothing": None,
        "what was signed": small.arguments_hash,
        "what is pending": large.arguments_hash,
    }
    decision = signed.model_copy(update={"arguments_hash": stated[beside]})
    assert "arguments" in why(decision, large)


def test_a_signature_over_one_tool_is_none_over_another_with_the_same_hash() -> None:
    assert "another tool" in why(
        BOB.decision(asked(), "approve", now=NOW), asked().model_copy(update={"tool": "wire"})
    )


def test_a_token_without_a_tool_counts_in_runs_that_are_older_than_that_claim() -> None:
    token = token_of(BOB, DECISION_TYPE, SPOILED["tool missing"])
    old = SignedApprovers([BOB.public()], terms=None)
    assert isinstance(old.verify(bare(token), "approve", asked(), RUN, NOW), Approver)


@pytest.mark.parametrize(
    ("minutes", "life", "counts"), [(15, 15, True), (16, 15, False), (15, 10, False), (60, 60, True)]
)
def test_no_signature_counts_for_longer_than_the_run_takes(minutes: int, life: int, counts: bool) -> None:
    terms = SignatureTerms(decision_lifetime=timedelta(minutes=life))
    decision = BOB.decision(asked(), "approve", now=NOW, valid_for=timedelta(minutes=minutes))
    found = SignedApprovers([BOB.public()], terms=terms).verify(decision, "approve", asked(), RUN, NOW)
    assert isinstance(found, Approver) == counts


# ---------------------------------------------------------------- delegations


def by_cy(delegation: str) -> ApprovalDecision:
    return bare(
        token_of(CY, DECISION_TYPE, json.dumps({**DECISION, "sub": "cy", "delegation": delegation})), "cy"
    )


DELEGATED = claims_of(BOB.delegation("cy", ("finance",), timedelta(hours=1), now=NOW, jti="d-1"))
SPOILED_DELEGATION = dict(spoiled(DELEGATED))


def test_a_delegation_that_is_as_it_should_be_counts() -> None:
    token = token_of(BOB, DELEGATION_TYPE, json.dumps(DELEGATED))
    assert isinstance(APPROVERS.verify(by_cy(token), "approve", asked(), RUN, NOW), Approver)


# Another name of a delegation, and another end within the longest life, are as good.
@pytest.mark.parametrize(
    "name", [name for name in SPOILED_DELEGATION if name not in ("jti of another", "exp of another")]
)
def test_a_delegation_with_a_claim_that_is_not_as_it_should_be_does_not_count(name: str) -> None:
    assert why(by_cy(token_of(BOB, DELEGATION_TYPE, SPOILED_DELEGATION[name])))


def test_a_delegation_for_a_hundred_years_does_not_count() -> None:
    token = BOB.delegation("cy", ("finance",), timedelta(days=36_500), now=NOW)
    assert "604800 s at most" in why(by_cy(token))


def test_a_delegation_is_revoked_alone() -> None:
    def verified(jti: str) -> Approver | Refusal:
        approvers = SignedApprovers(
            [BOB.public(), CY.public()], terms=SignatureTerms(), revoked_delegations=("d-1",)
        )
        token = BOB.delegation("cy", ("finance",), timedelta(hours=1), now=NOW, jti=jti)
        return approvers.verify(by_cy(token), "approve", asked(), RUN, NOW)

    assert verified("d-1") == Refusal("the delegation d-1 is revoked")
    assert isinstance(verified("d-2"), Approver)


# ---------------------------------------------------------------- resolutions

EFFECT = EffectInDoubt(
    key=sha256_of("key"),
    tool="wire",
    tool_call_id=ToolCallId("1"),
    arguments={"amount": "9.00"},
    detail="cut",
)
ESCALATION = Escalation(
    id="escalation-1",
    reason="?",
    deadline=DEADLINE,
    answerable=False,
    run=RUN,
    identity="signed",
    effect=EFFECT,
)
WORD = Resolution(action="did_not_happen", by="bob")
ANSWER = claims_of(BOB.resolution(ESCALATION, WORD, now=NOW).token)
SPOILED_ANSWER = dict(spoiled(ANSWER))


def answered(payload: str, escalation: Escalation = ESCALATION) -> Approver | Refusal:
    word = WORD.model_copy(update={"token": token_of(BOB, RESOLUTION_TYPE, payload)})
    return APPROVERS.verify_resolution(word, escalation, RUN, NOW)


def test_an_answer_that_is_as_it_should_be_counts() -> None:
    assert isinstance(answered(json.dumps(ANSWER)), Approver)


@pytest.mark.parametrize("name", SPOILED_ANSWER)
def test_an_answer_with_a_claim_that_is_not_as_it_should_be_does_not_count(name: str) -> None:
    assert isinstance(answered(SPOILED_ANSWER[name]), Refusal)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"key": sha256_of("other")}, "another write"),
        ({"tool": "pay"}, "another tool"),
        ({"arguments": {"amount": "900.00"}}, "another arguments"),
    ],
)
def test_an_answer_on_one_write_is_none_on_another(changes: dict[str, Any], says: str) -> None:
    other = ESCALATION.model_copy(update={"effect": EFFECT.model_copy(update=changes)})
    found = answered(json.dumps(ANSWER), other)
    assert isinstance(found, Refusal)
    assert says in found.reason
    assert isinstance(answered(json.dumps(ANSWER), ESCALATION.model_copy(update={"effect": None})), Refusal)


@pytest.mark.parametrize(
    "changes",
    [
        {"reason": "the model asks whom to pay"},
        {"asked_at": NOW},
        {"deadline": DEADLINE + timedelta(microseconds=1)},
        {"answerable": True},
    ],
    ids=lambda changes: str(*changes),
)
def test_an_answer_to_one_question_is_none_to_another_of_the_same_id(changes: dict[str, Any]) -> None:
    found = answered(json.dumps(ANSWER), ESCALATION.model_copy(update=changes))
    assert isinstance(found, Refusal)
    assert "for another question than escalation-1 is now" in found.reason
    assert "sign anew" in found.reason


def test_what_people_say_of_a_question_makes_no_other_of_it() -> None:
    attempt = RefusedAttempt(at=NOW, by="eve", verdict="abort", reason="no")
    later = ESCALATION.model_copy(update={"refused": (attempt,), "refusals": 1})
    sent = Escalation.model_validate_json(later.model_dump_json())
    assert isinstance(answered(json.dumps(ANSWER), sent), Approver)


def test_the_claims_on_a_write_are_its_own() -> None:
    assert (ANSWER["effect_key"], ANSWER["tool"]) == (EFFECT.key, "wire")
    assert ANSWER["arguments_hash"] == arguments_hash("wire", EFFECT.arguments)
