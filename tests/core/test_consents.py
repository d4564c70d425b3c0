"""Whether consents still count: by the keys, roles, people and revocations of now."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.adapters.signer import Signer
from agentflow.contracts.approval import ApprovalDecision, Approver
from agentflow.contracts.identity import ApproverKey, Consent, SignatureTerms, UsedDelegation
from agentflow.contracts.rules import Quorum
from agentflow.contracts.wire import ApprovalId, sha256_of
from agentflow.core.approval import PendingApproval, Refusal, judge
from agentflow.core.consents import Standing, objections_to
from agentflow.core.signed_approvers import SignedApprovers
from tests.core.samples import DEADLINE, approval_request

NOW = DEADLINE - timedelta(hours=1)
RUN = sha256_of("run")
ANN = Signer.generate("ann", ("finance",), kid="ann-1")
BOB = Signer.generate("bob", ("finance", "legal"), kid="bob-1")
CY = Signer.generate("cy", ("support",), kid="cy-1")
OTHER = Signer.generate("ann", ("finance",), kid="ann-1")
SIGNERS = (ANN, BOB, CY)
FINANCE = Quorum(people=1, roles=("finance",))


def keys(**changes: dict[str, Any]) -> list[ApproverKey]:
    return [signer.public().model_copy(update=changes.get(signer.subject, {})) for signer in SIGNERS]


def consent_of(signer: Signer, delegation: str | None = None) -> Consent:
    """A consent as it comes from a token, so that what is judged later is what was remembered then."""
    request = approval_request().model_copy(update={"run": RUN, "identity": "signed"})
    decision = signer.decision(request, "approve", now=NOW, delegation=delegation)
    found = SignedApprovers(keys(), terms=SignatureTerms()).verify(decision, "approve", request, RUN, NOW)
    assert isinstance(found, Approver), found
    return found.consent


def delegated(hours: float = 2) -> str:
    return ANN.delegation("cy", ("finance",), timedelta(hours=hours), now=NOW, jti="d-1")


def standing(**changes: Any) -> Standing:
    said: dict[str, Any] = {
        "identity": "signed",
        "keys": keys(),
        "revoked": (),
        "revoked_delegations": (),
        "now": NOW,
        **changes,
    }
    return Standing(**said)


def objections(*consents: Consent, quorum: Quorum = FINANCE, asked_by: str = "rita", **now: Any) -> str:
    return "; ".join(objections_to(consents, quorum, standing(**now), requested_by=asked_by))


def test_a_consent_counts_as_long_as_nothing_has_changed() -> None:
    assert objections(consent_of(ANN)) == ""
    assert objections(consent_of(CY, delegated())) == ""


CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"revoked": ("ann-1",)}, "the key ann-1 is revoked"),
    ({"keys": keys(ann={"revoked_at": NOW})}, "the key ann-1 is revoked"),
    ({"keys": keys(ann={"expires": NOW})}, "expired"),
    ({"keys": keys(ann={"not_before": NOW + timedelta(seconds=1)})}, "not valid before"),
    ({"keys": keys(ann={"roles": ()})}, "may not give the role finance"),
    ({"keys": keys(ann={"roles": ("support",)})}, "may not give the role finance"),
    ({"keys": keys(ann={"subjects": ("eve",)})}, "does not speak for ann"),
    ({"keys": [BOB.public(), CY.public()]}, "the key ann-1 is unknown"),
    ({"keys": [OTHER.public(), CY.public()]}, "the key ann-1 is another key by now"),
    ({"keys": ()}, "unknown"),
    ({"keys": None}, "unknown"),
    ({"asked_by": "Ann"}, "asked for this run"),
]


@pytest.mark.parametrize("changed", CHANGES, ids=lambda changed: changed[1])
@pytest.mark.parametrize(
    "consent", [consent_of(ANN), consent_of(CY, delegated())], ids=["of ann", "of cy for ann"]
)
def test_a_consent_ends_with_what_it_rests_on(consent: Consent, changed: tuple[dict[str, Any], str]) -> None:
    changes, says = changed
    assert says in objections(consent, **changes)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"revoked_delegations": ("d-1",)}, "the delegation d-1 is revoked"),
        ({"now": NOW + timedelta(hours=2)}, "the delegation d-1 expired"),
        ({"revoked": ("cy-1",)}, "the key cy-1 is revoked"),
        ({"keys": keys(cy={"subjects": ("eve",)})}, "does not speak for cy"),
        ({"asked_by": "cy"}, "asked for this run"),
    ],
)
def test_who_stands_in_for_another_ends_with_either_and_with_the_delegation(
    changes: dict[str, Any], says: str
) -> None:
    assert says in objections(consent_of(CY, delegated()), **changes)


def test_a_consent_in_another_role_than_the_rule_asks_for_does_not_count() -> None:
    assert "has none of the roles finance" in objections(consent_of(CY))
    later = Quorum(roles=("finance",), next_roles=("support",))
    assert objections(consent_of(CY), quorum=later) == ""


TWO = Quorum(people=2)


def test_fewer_than_were_asked_for_do_not_do() -> None:
    assert objections(consent_of(ANN), quorum=TWO) == "1 agreed, and 2 must"
    assert objections(consent_of(ANN), consent_of(BOB), quorum=TWO) == ""


@pytest.mark.parametrize(
    ("second", "says"),
    [
        (consent_of(ANN), "another person is needed"),
        (consent_of(ANN).model_copy(update={"by": "ANN "}), "another person is needed"),
        (consent_of(CY, delegated()), "another person is needed"),
        (consent_of(ANN).model_copy(update={"by": "eve"}), "one that signs for several people counts once"),
        (
            consent_of(ANN).model_copy(update={"by": "eve", "kids": ("ann-2",)}),
            "the same key by another name",
        ),
    ],
    ids=[
        "the same",
        "spelled otherwise",
        "in the same person's place",
        "the same key",
        "the same key renamed",
    ],
)
def test_one_person_or_one_key_is_not_two(second: Consent, says: str) -> None:
    listed = keys(ann={"subjects": ("*",)})
    renamed = listed[0].model_copy(update={"kid": "ann-2"})
    assert says in objections(consent_of(ANN), second, quorum=TWO, keys=[*listed, renamed])


def test_people_who_are_taken_at_their_word_have_names_and_roles_and_no_keys() -> None:
    ann, eve = Consent(by="ann", roles=("finance",)), Consent(by="eve", roles=("ops",))
    assert objections(ann, identity="trusted", keys=None) == ""
    assert "none of the roles" in objections(eve, identity="trusted", keys=None)
    assert "asked for this run" in objections(ann, identity="trusted", keys=None, asked_by="ann")
    assert "another person" in objections(ann, ann, identity="trusted", keys=None, quorum=TWO)


def test_what_is_only_stated_does_not_count_where_decisions_are_signed() -> None:
    assert "names 0 keys" in objections(Consent(by="ann", roles=("finance",)))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda c: c.model_copy(update={"kids": ("bob-1", *c.kids)}),
        lambda c: c.model_copy(update={"kids": ("bob-1",)}),
        lambda c: c.model_copy(update={"by": "bob"}),
        lambda c: c.model_copy(update={"roles": ("legal", "finance")}),
        lambda c: c.model_copy(update={"on_behalf_of": "bob"}),
        lambda c: c.model_copy(update={"key_hashes": (sha256_of("other"),)}),
    ],
)
def test_a_consent_that_was_edited_does_not_count(spoil: Callable[[Consent], Consent]) -> None:
    assert objections(spoil(consent_of(ANN)))


def test_a_service_that_signs_for_everybody_makes_no_quorum_of_two_alone() -> None:
    service = Signer.generate("desk", kid="desk-1")
    key = service.public().model_copy(update={"subjects": ("*@example.com",)})
    approvers = SignedApprovers([key, BOB.public()], terms=SignatureTerms())
    request = approval_request(people=2).model_copy(update={"run": RUN, "identity": "signed"})

    def said(pending: PendingApproval, signer: Signer, who: str) -> PendingApproval | Refusal:
        decision = signer.decision(request, "approve", subject=who, now=NOW, roles=())
        found = approvers.verify(decision, "approve", request, RUN, NOW)
        return judge(pending, "approve", decision, found, NOW)

    one = said(PendingApproval(request), service, "ann@example.com")
    assert isinstance(one, PendingApproval)
    refused = said(one, service, "eve@example.com")
    assert isinstance(refused, Refusal)
    assert "one that signs for several people counts once" in refused.reason
    two = said(one, BOB, "bob")
    assert isinstance(two, PendingApproval)
    assert two.outcome is not None


@given(
    st.lists(st.sampled_from(["ann", "bob", "cy", "cy for ann", "cy for bob"]), max_size=4),
    st.integers(1, 3),
    st.sets(st.sampled_from(["ann-1", "bob-1", "cy-1"]), max_size=2),
)
def test_an_action_rests_on_enough_people_with_keys_that_all_count(
    names: list[str], people: int, revoked: set[str]
) -> None:
    consents = [
        Consent(
            by=name.split(" for ")[0],
            on_behalf_of=name.split(" for ")[1] if " for " in name else None,
            kids=tuple(f"{part}-1" for part in name.split(" for ")),
            delegation=UsedDelegation(id="d", until=int(DEADLINE.timestamp())) if " for " in name else None,
        )
        for name in names
    ]
    used = [part for name in names for part in name.split(" for ")]
    good = (
        len(set(used)) == len(used) and not {f"{part}-1" for part in used} & revoked and len(names) >= people
    )
    found = objections_to(consents, Quorum(people=people), standing(revoked=revoked), requested_by="rita")
    assert (found == ()) == good


def test_the_requester_is_told_by_name_and_not_by_spelling() -> None:
    decision = ApprovalDecision(approval_id=ApprovalId("approval-1"), by="x")
    approver = Approver(subject="Ada  LOVELACE", method="trusted")
    assert isinstance(judge(PendingApproval(approval_request()), "approve", decision, approver, NOW), Refusal)
