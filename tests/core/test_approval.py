from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentflow.contracts.approval import ApprovalDecision, ApprovalRequest, Approver
from agentflow.contracts.wire import ApprovalId, Sha256, sha256_of
from agentflow.core.approval import PendingApproval, Refusal, Verdict, expire, judge
from agentflow.core.approvers import TrustedApprovers
from tests.core.samples import DEADLINE, approval_request

PEOPLE = ("ada lovelace", "Bob Ross", "cy", "dora del mar")
REQUESTER = "ada lovelace"


@dataclass(frozen=True)
class Said:
    """What somebody sends, and who it really is."""

    verdict: Verdict
    person: str
    spelled: str
    roles: tuple[str, ...]
    bound_to: Literal["nothing", "this", "another"]
    verified: bool
    seconds_before_deadline: int


@st.composite
def spelled(draw: st.DrawFn, name: str) -> str:
    """The same name in other letters and with other spaces."""
    style = draw(st.sampled_from([str.lower, str.upper, str.title, str.swapcase, str]))
    gap, edge = draw(st.sampled_from([" ", "  ", "\t", "\u00a0"])), draw(st.sampled_from(["", " ", "\n"]))
    return edge + gap.join(style(name).split(" ")) + edge


def mostly(usual: Any, *others: Any) -> st.SearchStrategy[Any]:
    """Four times in five the usual: of decisions that are odd in every way, hardly one would count."""
    return st.integers(0, 4).flatmap(lambda n: st.sampled_from(others) if n == 4 else st.just(usual))


@st.composite
def sayings(draw: st.DrawFn) -> Said:
    person = draw(st.sampled_from(PEOPLE))
    return Said(
        verdict=draw(mostly("approve", "reject")),
        person=person,
        spelled=draw(spelled(person)),
        roles=draw(mostly(("finance", "ops"), (), ("finance",), ("ops",))),
        bound_to=draw(mostly("this", "nothing", "another")),
        verified=draw(mostly(True, False)),
        seconds_before_deadline=draw(mostly(3600, 1, 0, -1)),
    )


def decision_of(said: Said, request: ApprovalRequest) -> ApprovalDecision:
    hashes: dict[str, Sha256 | None] = {
        "nothing": None,
        "this": request.arguments_hash,
        "another": sha256_of("another"),
    }
    return ApprovalDecision(
        approval_id=request.id, by=said.spelled, roles=said.roles, arguments_hash=hashes[said.bound_to]
    )


def judged(pending: PendingApproval, said: Said) -> PendingApproval | Refusal:
    decision = decision_of(said, pending.request)
    # A verifier of the user's own may leave the name as it was spelled.
    approver = Approver(subject=said.spelled, roles=said.roles, method="signed") if said.verified else None
    now = DEADLINE - timedelta(seconds=said.seconds_before_deadline)
    return judge(pending, said.verdict, decision, approver, now)


def may_count(said: Said, request: ApprovalRequest, approved: list[str]) -> bool:
    if not said.verified or said.bound_to == "another" or said.seconds_before_deadline <= 0:
        return False
    if said.verdict == "reject":
        return True
    has_role = not request.quorum.roles or any(role in request.quorum.roles for role in said.roles)
    return said.person != REQUESTER and said.person not in approved and has_role


@settings(max_examples=150)
@given(
    st.integers(1, 3),
    st.sampled_from([(), ("finance",), ("finance", "legal")]),
    st.lists(sayings(), max_size=12),
    spelled(REQUESTER),
)
def test_only_enough_different_people_with_the_role_in_time_approve(
    people: int, roles: tuple[str, ...], sequence: list[Said], requester: str
) -> None:
    request = approval_request(people=people, roles=roles, requested_by=requester)
    pending, approved, ended = PendingApproval(request), list[str](), ""
    for said in sequence:
        counts = not ended and may_count(said, request, approved)
        after = judged(pending, said)
        assert isinstance(after, PendingApproval) == counts
        if isinstance(after, Refusal):
            continue
        pending = after
        if said.verdict == "reject":
            ended = "rejected"
        else:
            approved.append(said.person)
            ended = "approved" if len(approved) == people else ""
        assert (pending.outcome.status if pending.outcome else "") == ended
        assert ended or pending.people_needed == people - len(approved)
    if pending.outcome and pending.outcome.status == "approved":
        assert len(pending.outcome.by) == len(set(approved)) == people
        assert REQUESTER not in approved


ADMITTED = Said("approve", "cy", "cy", ("finance",), "this", verified=True, seconds_before_deadline=60)


def decided_by(**changes: object) -> Said:
    return Said(**{**ADMITTED.__dict__, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"spelled": "ADA  Lovelace"}, "asked for this run"),
        ({"spelled": "bob\tROSS "}, "has approved already"),
        ({"roles": ("ops",)}, "has none of the roles finance"),
        ({"bound_to": "another"}, "bound to other arguments"),
        ({"verified": False}, "could not be verified"),
        ({"seconds_before_deadline": 0}, "has passed"),
    ],
)
def test_a_refusal_says_why(changes: dict[str, object], why: str) -> None:
    request = approval_request(people=2, roles=("finance",))
    refused = judged(PendingApproval(request, approved_by=("Bob Ross",)), decided_by(**changes))
    assert isinstance(refused, Refusal)
    assert why in refused.reason


@pytest.mark.parametrize(
    "spelled", ["Jose\u0301 Rossi", "JOSÉ rossi", "Ｊｏｓé Rossi"], ids=["apart", "case", "wide"]
)
def test_a_name_encoded_in_another_way_is_the_same_person(spelled: str) -> None:
    request = approval_request(people=2, requested_by="José Rossi")
    assert isinstance(judged(PendingApproval(request), decided_by(spelled=spelled)), Refusal)
    approved = PendingApproval(approval_request(people=2), approved_by=("José Rossi",))
    assert isinstance(judged(approved, decided_by(spelled=spelled)), Refusal)


def test_an_approval_without_a_hash_counts() -> None:
    pending = judged(PendingApproval(approval_request()), decided_by(bound_to="nothing"))
    assert isinstance(pending, PendingApproval)
    assert pending.outcome is not None


def test_the_requester_and_people_without_the_role_may_still_reject() -> None:
    pending = PendingApproval(approval_request(roles=("finance",)))
    for name in ("ada lovelace", "cy"):
        after = judged(pending, decided_by(verdict="reject", spelled=name, roles=()))
        assert isinstance(after, PendingApproval)
        assert after.outcome is not None
        assert (after.outcome.status, after.outcome.by) == ("rejected", (name,))


def test_an_unknown_id_is_refused() -> None:
    decision = ApprovalDecision(approval_id=ApprovalId("approval-9"), by="cy")
    refused = judge(None, "approve", decision, Approver(subject="cy", method="trusted"), DEADLINE)
    assert refused == Refusal("no approval approval-9")


def test_a_deadline_that_passes_is_the_end() -> None:
    pending = judged(PendingApproval(approval_request(people=2)), ADMITTED)
    assert isinstance(pending, PendingApproval)
    expired = expire(pending)
    assert expired.outcome is not None
    assert expired.outcome.status == "expired"
    assert expired.people_needed == 0
    assert isinstance(judged(expired, decided_by(spelled="Bob Ross")), Refusal)


def test_a_deadline_changes_nothing_that_was_decided() -> None:
    decided = judged(PendingApproval(approval_request()), ADMITTED)
    assert isinstance(decided, PendingApproval)
    assert expire(decided) == decided


def test_the_trusted_verifier_believes_the_stated_name_without_its_odd_spaces() -> None:
    decision = ApprovalDecision(approval_id=ApprovalId("approval-1"), by=" Bob \t Ross ", roles=("ops",))
    approver = TrustedApprovers().verify(decision)
    assert approver == Approver(subject="Bob Ross", roles=("ops",), method="trusted")


def test_a_name_of_spaces_is_nobody() -> None:
    decision = ApprovalDecision(approval_id=ApprovalId("approval-1"), by=" \t ")
    assert TrustedApprovers().verify(decision) is None
