from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from agentflow.contracts.approval import ApprovalDecision, ApprovalOutcome, ApprovalRequest, Approver
from agentflow.contracts.identity import Consent, RefusedAttempt
from agentflow.contracts.rules import Quorum
from agentflow.contracts.wire import ApprovalId, Sha256, sha256_of
from agentflow.core.approval import PendingApproval, Refusal, Verdict, expire, judge
from agentflow.core.approvers import TrustedApprovers
from tests.core.samples import DEADLINE, approval_request

PEOPLE = ("ada lovelace", "Bob Ross", "cy", "dora del mar")
REQUESTER = "ada lovelace"
RUN = sha256_of("run")


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
    gap, edge = (
        draw(st.sampled_from([" ", "  ", "\u2003", "\u00a0"])),
        draw(st.sampled_from(["", " ", "\u3000"])),
    )
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
    approver: Approver | Refusal = Refusal("the signature is not by the key k")
    if said.verified:
        approver = Approver(subject=said.spelled, roles=said.roles, method="signed")
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
        ({"spelled": "bob\u2003ROSS "}, "the word of Bob Ross counts already"),
        ({"roles": ("ops",)}, "has none of the roles finance"),
        ({"bound_to": "another"}, "bound to other arguments"),
        ({"verified": False}, "not by the key"),
        ({"seconds_before_deadline": 0}, "has passed"),
    ],
)
def test_a_refusal_says_why(changes: dict[str, object], why: str) -> None:
    request = approval_request(people=2, roles=("finance",))
    refused = judged(PendingApproval(request, (Consent(by="Bob Ross"),)), decided_by(**changes))
    assert isinstance(refused, Refusal)
    assert why in refused.reason


@pytest.mark.parametrize(
    "spelled", ["Jose\u0301 Rossi", "JOSÉ rossi", "Ｊｏｓé Rossi"], ids=["apart", "case", "wide"]
)
def test_a_name_encoded_in_another_way_is_the_same_person(spelled: str) -> None:
    request = approval_request(people=2, requested_by="José Rossi")
    assert isinstance(judged(PendingApproval(request), decided_by(spelled=spelled)), Refusal)
    approved = PendingApproval(approval_request(people=2), (Consent(by="José Rossi"),))
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


def standing_in(by: str, for_whom: str) -> Approver:
    return Approver(subject=by, on_behalf_of=for_whom, method="signed", kids=(f"of-{by}", "and"))


@pytest.mark.parametrize(
    ("by", "for_whom", "why"),
    [
        ("cy", "bob ross", "the word of Bob Ross counts already"),
        ("bob ross", "cy", "the word of Bob Ross counts already"),
        ("cy", "Ada Lovelace", "asked for this run"),
        ("ADA lovelace", "cy", "asked for this run"),
    ],
)
def test_who_stands_in_for_another_uses_up_both(by: str, for_whom: str, why: str) -> None:
    pending = PendingApproval(approval_request(people=2), (Consent(by="Bob Ross"),))
    decision = ApprovalDecision(approval_id=ApprovalId("approval-1"), by=by)
    refused = judge(pending, "approve", decision, standing_in(by, for_whom), DEADLINE - timedelta(hours=1))
    assert isinstance(refused, Refusal)
    assert why in refused.reason


def test_an_outcome_names_who_stood_in_for_whom() -> None:
    decision = ApprovalDecision(approval_id=ApprovalId("approval-1"), by="cy")
    pending = PendingApproval(approval_request())
    after = judge(pending, "approve", decision, standing_in("cy", "dora"), DEADLINE - timedelta(hours=1))
    assert isinstance(after, PendingApproval)
    assert after.outcome is not None
    assert after.outcome.by == ("cy for dora",)


def test_what_no_longer_counts_is_taken_back_and_what_rested_on_it_is_open_again() -> None:
    by_key = (Consent(by="cy", kids=("k1",)), Consent(by="dora", kids=("k2",)))
    pending = PendingApproval(approval_request(people=3), by_key)
    assert pending.keeping(lambda consent: "k1" not in consent.kids).approved_by == ("dora",)
    approved = PendingApproval(approval_request(), by_key, outcome=ApprovalOutcome(status="approved"))
    assert approved.keeping(lambda consent: True) == approved
    assert approved.keeping(lambda consent: "k1" not in consent.kids).outcome is None
    rejected = PendingApproval(approval_request(), by_key, outcome=ApprovalOutcome(status="rejected"))
    assert rejected.keeping(lambda consent: False) == rejected


def test_the_last_decisions_that_did_not_count_are_shown_and_all_are_counted() -> None:
    pending = PendingApproval(approval_request())
    for number in range(25):
        attempt = RefusedAttempt(at=DEADLINE, by=f"nobody-{number}", verdict="approve", reason="no")
        pending = pending.with_refused(attempt)
    shown = pending.shown()
    assert (shown.refusals, len(shown.refused), shown.refused[-1].by) == (25, 20, "nobody-24")


@given(st.lists(st.sampled_from(["cy", "dora"]), max_size=2, unique=True), st.booleans())
def test_the_next_execution_takes_an_approval_up_as_it_was(names: list[str], with_keys: bool) -> None:
    consents = tuple(Consent(by=name, kids=(name,) if with_keys else ()) for name in names)
    pending = PendingApproval(approval_request(people=3), consents, refusals=2)
    assert PendingApproval.of(pending.shown()).consents == consents
    assert PendingApproval.of(pending.shown()).refusals == 2


@pytest.mark.parametrize(
    ("seconds_before", "role", "counts"),
    [
        (3600, "ops", False),
        (1800, "ops", True),
        (3600, "finance", True),
        (1800, "finance", True),
        (1, "x", False),
    ],
)
def test_the_next_roles_count_once_their_time_has_come(seconds_before: int, role: str, counts: bool) -> None:
    request = approval_request(roles=("finance",)).model_copy(
        update={
            "quorum": Quorum(roles=("finance",), next_roles=("ops",)),
            "next_roles_from": DEADLINE - timedelta(seconds=1800),
        }
    )
    said = decided_by(roles=(role,), seconds_before_deadline=seconds_before)
    assert isinstance(judged(PendingApproval(request), said), PendingApproval) == counts


def test_next_roles_without_roles_make_no_sense() -> None:
    with pytest.raises(ValidationError, match="any role may decide anyway"):
        Quorum(next_roles=("ops",))


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
    decision = ApprovalDecision(approval_id=ApprovalId("approval-1"), by=" Bob \u2003 Ross ", roles=("ops",))
    approver = TrustedApprovers().verify(decision, "approve", approval_request(), RUN, DEADLINE)
    assert approver == Approver(subject="Bob Ross", roles=("ops",), method="trusted")


@pytest.mark.parametrize(
    "spelled",
    [
        "bob r\u043ess",
        "B\u041eB ROSS",
        "bob r0ss",
        "bob\u00a0ross",
        "\uff42ob ross",
        "8ob ross",
        "bob ro\u017fs",
    ],
)
def test_a_name_that_looks_like_another_is_no_second_person(spelled: str) -> None:
    approved = PendingApproval(approval_request(people=2), (Consent(by="Bob Ross"),))
    after = judged(approved, decided_by(spelled=spelled))
    assert isinstance(after, Refusal) == (spelled != "8ob ross")
    asked = PendingApproval(approval_request(people=2, requested_by="bob ross"))
    assert isinstance(judged(asked, decided_by(spelled=spelled)), Refusal) == (spelled != "8ob ross")


@pytest.mark.parametrize("role", ["fin\u0430nce", "FINANCE\u200b", "f\u0456nance"])
def test_a_role_that_only_looks_like_the_one_asked_for_is_not_it(role: str) -> None:
    approver = Approver.model_construct(
        subject="cy", roles=(role,), method="signed", kids=(), on_behalf_of=None
    )
    decision = ApprovalDecision(approval_id=ApprovalId("approval-1"), by="cy")
    pending = PendingApproval(approval_request(roles=("finance",)))
    refused = judge(pending, "approve", decision, approver, DEADLINE - timedelta(hours=1))
    assert isinstance(refused, Refusal)
    assert "none of the roles" in refused.reason


def test_a_role_in_other_case_or_width_is_the_role() -> None:
    pending = PendingApproval(approval_request(roles=("Finance",)))
    assert isinstance(judged(pending, decided_by(roles=("\uff26INANCE",))), PendingApproval)


@given(sayings(), st.sampled_from([(), ("finance",)]))
def test_a_refusal_is_for_being_late_exactly_if_the_same_would_have_counted_earlier(
    said: Said, roles: tuple[str, ...]
) -> None:
    pending = PendingApproval(approval_request(roles=roles, requested_by=REQUESTER))
    late = judged(pending, replace(said, seconds_before_deadline=-1))
    earlier = judged(pending, replace(said, seconds_before_deadline=1))
    assert isinstance(late, Refusal)
    assert late.is_late == isinstance(earlier, PendingApproval)


def signing(pending: PendingApproval, verdict: Verdict, at: int, **who: Any) -> PendingApproval | Refusal:
    """What becomes of a decision that Bob, who has the role, signed at a time."""
    said = {"subject": "bob", "roles": ("finance",), "kids": ("bob-1",), **who}
    approver = Approver(method="signed", signed_at=at, **said)
    decision = ApprovalDecision(approval_id=ApprovalId("approval-1"), by="bob")
    after = judge(pending, verdict, decision, approver, DEADLINE - timedelta(hours=1))
    if isinstance(after, PendingApproval):
        return after
    return pending.with_refused(
        RefusedAttempt(at=DEADLINE - timedelta(hours=1), by="bob", verdict=verdict, reason=after.reason),
        approver,
    )


def of_finance(people: int = 2) -> PendingApproval:
    return PendingApproval(approval_request(people=people, roles=("finance",)))


def status_of(pending: PendingApproval | Refusal) -> str:
    assert isinstance(pending, PendingApproval)
    return pending.outcome.status if pending.outcome else f"{len(pending.consents)} agreed"


@pytest.mark.parametrize(("at", "status"), [(99, "1 agreed"), (100, "1 agreed"), (101, "rejected")])
def test_a_rejection_that_was_signed_before_the_same_persons_approval_does_not_count(
    at: int, status: str
) -> None:
    approved = signing(of_finance(), "approve", 100)
    assert isinstance(approved, PendingApproval)
    after = signing(approved, "reject", at)
    assert status_of(after) == status
    if status == "1 agreed":
        assert isinstance(after, PendingApproval)
        assert "signed otherwise at 1970-01-01T00:01:40" in after.refused[-1].reason
        assert "sign anew what is meant" in after.refused[-1].reason


def test_what_did_not_count_is_later_than_what_was_signed_before_it_all_the_same() -> None:
    # Bob lacked the role, which his key has by the time the older one is sent.
    refused = signing(of_finance(), "approve", 100, roles=())
    assert isinstance(refused, PendingApproval)
    assert status_of(refused) == "0 agreed"
    assert status_of(signing(refused, "reject", 99)) == "0 agreed"
    assert status_of(signing(refused, "approve", 99)) == "1 agreed"


@pytest.mark.parametrize(("at", "status"), [(99, "0 agreed"), (100, "0 agreed"), (101, "1 agreed")])
def test_an_approval_from_before_one_that_was_taken_back_does_not_count(at: int, status: str) -> None:
    approved = signing(of_finance(), "approve", 100, kids=("bob-2",))
    assert isinstance(approved, PendingApproval)
    taken_back = approved.keeping(lambda consent: "bob-2" not in consent.kids)
    carried = PendingApproval.of(taken_back.shown())
    assert carried.latest == taken_back.latest
    assert status_of(signing(carried, "approve", at)) == status


def test_of_what_is_open_again_the_consent_of_somebody_who_said_no_since_is_not_kept() -> None:
    bob = signing(of_finance(), "approve", 100)
    assert isinstance(bob, PendingApproval)
    both = signing(bob, "approve", 100, subject="dora", kids=("dora-1",))
    assert isinstance(both, PendingApproval)
    too_late = signing(both, "reject", 101)
    assert isinstance(too_late, PendingApproval)
    assert status_of(too_late) == "approved"
    assert status_of(too_late.keeping(lambda consent: consent.by != "dora")) == "0 agreed"


def test_where_nobody_signs_decisions_count_in_the_order_in_which_they_come() -> None:
    approved = judged(PendingApproval(approval_request(people=2)), decided_by())
    assert isinstance(approved, PendingApproval)
    rejected = judged(approved, decided_by(verdict="reject"))
    assert status_of(rejected) == "rejected"
    assert approved.latest == ()


@pytest.mark.parametrize(
    ("people", "approved", "refused", "says"),
    [
        (1, (), 0, "nobody decided before"),
        (2, (), 2, "no decision counted before"),
        (2, ("cy",), 0, "1 of 2 people approved (cy) before"),
        (3, ("cy", "dora"), 1, "2 of 3 people approved (cy, dora) before"),
    ],
)
def test_a_deadline_that_passes_leaves_on_record_who_of_how_many_had_decided(
    people: int, approved: tuple[str, ...], refused: int, says: str
) -> None:
    consents = tuple(Consent(by=name) for name in approved)
    pending = PendingApproval(approval_request(people=people), consents, refusals=refused)
    outcome = expire(pending).outcome
    assert outcome is not None
    assert outcome.by == approved
    refusals = f"; decisions that did not count: {refused}" if refused else ""
    assert outcome.reason == f"{says} {DEADLINE.isoformat()}{refusals}"


def test_a_rejection_that_had_expired_takes_the_same_persons_older_approval_along() -> None:
    approved = signing(of_finance(), "approve", 100)
    assert isinstance(approved, PendingApproval)
    person = Approver(subject="bob", roles=("finance",), method="signed", signed_at=101)
    expired = Refusal("the signature expired", is_late=True, of=person)
    for at, consents in ((DEADLINE - timedelta(hours=1), 0), (DEADLINE, 1)):
        attempt = RefusedAttempt(at=at, by="bob", verdict="reject", reason=expired.reason)
        assert len(approved.with_refused(attempt, expired).consents) == consents


def test_who_approved_and_no_longer_counts_is_told_in_the_next_execution_too() -> None:
    approved = signing(of_finance(), "approve", 100)
    assert isinstance(approved, PendingApproval)
    outcome = expire(PendingApproval.of(approved.keeping(lambda consent: False).shown())).outcome
    assert outcome is not None
    assert outcome.reason.startswith("no decision counted before")
    assert outcome.reason.endswith("; approved, and no longer counts: bob")
