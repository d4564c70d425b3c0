"""Who decides by signature: only what was signed counts, by whom, for what, in which roles, and while it holds."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentflow.adapters.signer import Signer
from agentflow.contracts.approval import ApprovalDecision, ApprovalRequest, Approver
from agentflow.contracts.escalation import Escalation, Resolution
from agentflow.contracts.identity import (
    DECISION_TYPE,
    ApproverKey,
    SignatureTerms,
    SigningAlgorithm,
    UsedDelegation,
)
from agentflow.contracts.wire import ApprovalId, sha256_of
from agentflow.core.approval import PendingApproval, Refusal, judge
from agentflow.core.consents import gone_keys, key_hash
from agentflow.core.jws import signed
from agentflow.core.signed_approvers import SignedApprovers
from agentflow.errors import AgentflowError
from tests.core.samples import DEADLINE, approval_request

RUN = sha256_of("run")
TERMS = SignatureTerms()
NOW = DEADLINE - timedelta(hours=1)
ALGORITHMS: tuple[SigningAlgorithm, ...] = ("EdDSA", "Ed25519", "ES256", "RS256")
BOB = Signer.generate("bob", ("finance",), kid="bob-1")
CY = Signer.generate("cy", ("support",), kid="cy-1")
DORA = Signer.generate("dora", ("finance", "legal"), kid="dora-1")
IMPOSTOR = Signer.generate("bob", ("finance",), kid="bob-1")


def asked(**changes: Any) -> ApprovalRequest:
    return approval_request(**changes).model_copy(update={"run": RUN, "identity": "signed"})


def keys(*signers: Signer) -> list[ApproverKey]:
    return [signer.public() for signer in signers]


def verified(
    decision: ApprovalDecision, among: list[ApproverKey] | None = None, now: datetime = NOW, **said: Any
) -> Approver | Refusal:
    approvers = SignedApprovers(
        keys(BOB, CY, DORA) if among is None else among,
        said.get("revoked", ()),
        terms=TERMS,
        revoked_delegations=said.get("revoked_delegations", ()),
    )
    verdict = said.get("verdict", decision.verdict)
    return approvers.verify(decision, verdict, asked(), said.get("run", RUN), now)


def why(found: Approver | Refusal) -> str:
    assert isinstance(found, Refusal), found
    return found.reason


def by_bob(**said: Any) -> ApprovalDecision:
    return BOB.decision(asked(), "approve", now=NOW, **said)


def claims(**changes: Any) -> dict[str, Any]:
    return {
        "sub": "bob",
        "iat": int(NOW.timestamp()),
        "exp": int(NOW.timestamp()) + 60,
        "run": RUN,
        "approval_id": "approval-1",
        "tool": "refund",
        "arguments_hash": asked().arguments_hash,
        "verdict": "approve",
        "reason": "",
        "roles": ["finance"],
        **changes,
    }


def hand_made(payload: Any, typ: str = DECISION_TYPE, signer: Signer = BOB) -> ApprovalDecision:
    token = signed(json.dumps(payload).encode(), signer.key, alg=signer.alg, kid=signer.kid, typ=typ)
    return by_bob().model_copy(update={"token": token, "roles": ()})


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_decision_that_is_signed_is_by_that_person_in_those_roles(alg: SigningAlgorithm) -> None:
    signer = Signer.generate("eve", ("finance",), alg)
    decision = signer.decision(asked(), "approve", reason="fine", now=NOW)
    found = verified(decision, [signer.public()])
    assert found == Approver(
        subject="eve",
        roles=("finance",),
        method="signed",
        kids=(signer.kid,),
        key_hashes=(key_hash(signer.public()),),
        signed_at=int(NOW.timestamp()),
        reason="fine",
    )


def test_a_decision_that_somebody_writes_by_hand_from_the_documentation_counts() -> None:
    assert isinstance(verified(hand_made(claims())), Approver)


@dataclass(frozen=True)
class Lie:
    """Something that is not as it was signed, and what the refusal says of it."""

    decision: ApprovalDecision
    says: str
    run: str = RUN
    verdict: str = "approve"


LIES: dict[str, Lie] = {
    "no token": Lie(by_bob().model_copy(update={"token": None}), "has no token"),
    "another approval": Lie(
        by_bob().model_copy(update={"approval_id": "approval-2"}),
        "says approval 'approval-1', not 'approval-2'",
    ),
    "other arguments": Lie(
        by_bob().model_copy(update={"arguments_hash": sha256_of("more")}), "says arguments"
    ),
    "another person": Lie(by_bob().model_copy(update={"by": "dora"}), "says person 'bob', not 'dora'"),
    "another reason": Lie(by_bob().model_copy(update={"reason": "the boss said so"}), "says reason"),
    "other roles": Lie(by_bob().model_copy(update={"roles": ("legal",)}), "says roles"),
    "another verdict": Lie(by_bob(), "for another verdict: 'approve', not 'reject'", verdict="reject"),
    "another run": Lie(by_bob(), "another run", run=sha256_of("the next run of that id")),
    "impostor": Lie(IMPOSTOR.decision(asked(), "approve", now=NOW), "not by the key bob-1"),
    "unknown key": Lie(
        Signer.generate("bob", kid="x").decision(asked(), "approve", now=NOW), "the key 'x' is unknown"
    ),
    "another type": Lie(hand_made(claims(), typ="JWT"), "of type 'JWT'"),
    "another person's key": Lie(hand_made(claims(sub="dora")), "does not speak for dora"),
    "a role it may not give": Lie(hand_made(claims(roles=["legal"])), "may not give the role legal"),
    "signed tomorrow": Lie(
        hand_made(claims(iat=int((NOW + timedelta(days=1)).timestamp()))), "which is in the future"
    ),
    "no expiry": Lie(hand_made({k: v for k, v in claims().items() if k != "exp"}), "exp: Field required"),
    "expiry as a float": Lie(hand_made(claims(exp=1e300)), "exp"),
    "an expiry beyond all dates": Lie(hand_made(claims(iat=-(10**30))), "malformed"),
    "a claim nobody knows": Lie(hand_made(claims(admin=True)), "admin"),
    "claims that are none": Lie(hand_made([1]), "malformed"),
    "no compact form": Lie(by_bob().model_copy(update={"token": "a.b"}), "can't be read"),
    "not ASCII": Lie(by_bob().model_copy(update={"token": "ä.ö.ü"}), "can't be read"),
    "too long": Lie(by_bob().model_copy(update={"token": "a" * 20_000}), "more than"),
}


@pytest.mark.parametrize("name", LIES)
def test_what_is_not_as_it_was_signed_does_not_count(name: str) -> None:
    lie = LIES[name]
    assert lie.says in why(verified(lie.decision, run=lie.run, verdict=lie.verdict))


def with_header(**members: Any) -> ApprovalDecision:
    """Bob's decision with another header, signature and all."""
    decision = by_bob()
    header, payload, signature = str(decision.token).split(".")
    changed = {**json.loads(base64.urlsafe_b64decode(header + "==")), **members}
    kept = {name: value for name, value in changed.items() if value is not None}
    written = base64.urlsafe_b64encode(json.dumps(kept).encode()).rstrip(b"=").decode()
    if members.get("alg") == "none":
        signature = ""
    return decision.model_copy(update={"token": f"{written}.{payload}.{signature}"})


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"alg": "none"}, "alg is 'none'"),
        ({"alg": "HS256"}, "alg is 'HS256'"),
        ({"alg": "RS256"}, "alg is 'RS256'"),
        ({"alg": None}, "header"),
        ({"kid": None}, "header"),
        ({"kid": 7}, "unknown"),
        ({"jwk": {"kty": "oct"}}, "header has"),
        ({"crit": ["b64"], "b64": False}, "header has"),
        ({"jku": "https://evil.example/keys"}, "header has"),
    ],
    ids=str,
)
def test_a_header_that_is_not_the_keys_own_is_refused(members: dict[str, Any], says: str) -> None:
    refusal = why(verified(with_header(**members)))
    assert says in refusal or "can't be read" in refusal


@given(st.data())
def test_a_token_with_any_byte_changed_does_not_count(data: st.DataObject) -> None:
    decision = by_bob()
    parts = [base64.urlsafe_b64decode(part + "==") for part in str(decision.token).split(".")]
    which = data.draw(st.integers(0, 2))
    at = data.draw(st.integers(0, len(parts[which]) - 1))
    changed = bytearray(parts[which])
    changed[at] ^= data.draw(st.integers(1, 255))
    parts[which] = bytes(changed)
    token = ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
    assert isinstance(verified(decision.model_copy(update={"token": token})), Refusal)


@given(st.text(max_size=300))
def test_whatever_is_sent_as_a_token_nothing_raises(token: str) -> None:
    assert isinstance(verified(by_bob().model_copy(update={"token": token})), Refusal)


@pytest.mark.parametrize(("seconds", "counts"), [(0, True), (59, True), (60, False), (3_600, False)])
def test_a_signature_counts_until_it_expires(seconds: int, counts: bool) -> None:
    decision = by_bob(valid_for=timedelta(seconds=60))
    found = verified(decision, now=NOW + timedelta(seconds=seconds))
    assert isinstance(found, Approver) == counts


@pytest.mark.parametrize(("ahead", "counts"), [(0, True), (60, True), (62, False)])
def test_a_signers_clock_may_be_a_minute_ahead(ahead: int, counts: bool) -> None:
    decision = BOB.decision(asked(), "approve", now=NOW + timedelta(seconds=ahead))
    assert isinstance(verified(decision), Approver) == counts


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"revoked_at": NOW}, "revoked"),
        ({"expires": NOW}, "expired"),
        ({"not_before": NOW + timedelta(seconds=1)}, "not valid before"),
        ({"subjects": ("dora",)}, "does not speak for bob"),
        ({"subjects": ("*@example.com",)}, "does not speak for bob"),
    ],
)
def test_a_key_counts_for_its_people_while_it_is_valid(changes: dict[str, Any], says: str) -> None:
    key = BOB.public().model_copy(update=changes)
    assert says in why(verified(by_bob(), [key]))


def test_a_decision_that_was_signed_before_the_key_was_revoked_and_comes_after_does_not_count() -> None:
    key = BOB.public().model_copy(update={"revoked_at": NOW + timedelta(seconds=5)})
    assert isinstance(verified(by_bob(), [key], now=NOW + timedelta(seconds=4)), Approver)
    assert "revoked" in why(verified(by_bob(), [key], now=NOW + timedelta(seconds=5)))


def test_a_key_that_the_run_heard_is_revoked_does_not_count() -> None:
    assert "revoked" in why(verified(by_bob(), revoked=("bob-1",)))


def test_an_identity_providers_key_speaks_for_everybody_of_its_domain() -> None:
    provider = Signer.generate("unused", ("finance",), kid="idp")
    key = provider.public().model_copy(update={"subjects": ("*@example.com",)})
    decision = provider.decision(asked(), "approve", subject="Eve@Example.com", now=NOW)
    assert isinstance(verified(decision, [key]), Approver)
    other = provider.decision(asked(), "approve", subject="eve@evil-example.com", now=NOW)
    assert "does not speak for" in why(verified(other, [key]))


def delegated(**changes: Any) -> str:
    said = {"to": "cy", "roles": ("finance",), "valid_for": timedelta(hours=1), "now": NOW, **changes}
    return DORA.delegation(said["to"], said["roles"], said["valid_for"], now=said["now"], jti=said.get("jti"))


def by_cy(token: str, **said: Any) -> ApprovalDecision:
    return CY.decision(asked(), "approve", delegation=token, now=NOW, **said)


def test_who_stands_in_for_another_decides_in_the_others_roles() -> None:
    assert verified(by_cy(delegated(jti="one"))) == Approver(
        subject="cy",
        roles=("finance",),
        method="signed",
        kids=("cy-1", "dora-1"),
        key_hashes=(key_hash(CY.public()), key_hash(DORA.public())),
        on_behalf_of="dora",
        delegation=UsedDelegation(id="one", until=int(NOW.timestamp()) + 3_600),
        signed_at=int(NOW.timestamp()),
        reason="",
    )


@pytest.mark.parametrize(
    ("decision", "says"),
    [
        (by_cy(delegated(), roles=("support",)), "dora did not delegate the role support"),
        (by_cy(delegated(roles=("ceo",))), "may not give the role ceo"),
        (by_cy(delegated(to="bob")), "is to bob, not to cy"),
        (by_cy(delegated(valid_for=timedelta(hours=1), now=NOW - timedelta(hours=1))), "expired"),
        (by_cy(delegated(now=NOW + timedelta(hours=1))), "future"),
        (DORA.decision(asked(), "approve", delegation=delegated(to="dora"), now=NOW), "who gave it"),
        (by_cy(str(by_bob().token), roles=("finance",)), "of type"),
    ],
)
def test_a_delegation_holds_for_whom_it_names_in_which_roles_and_how_long(
    decision: ApprovalDecision, says: str
) -> None:
    assert says in why(verified(decision))


@pytest.mark.parametrize("kid", ["cy-1", "dora-1"])
def test_a_delegation_ends_with_either_key(kid: str) -> None:
    assert "revoked" in why(verified(by_cy(delegated()), revoked=(kid,)))


def test_a_delegation_can_not_be_passed_on() -> None:
    passed_on = CY.delegation("bob", ("finance",), timedelta(hours=1), now=NOW)
    decision = BOB.decision(asked(), "approve", delegation=passed_on, now=NOW)
    assert "may not give the role finance" in why(verified(decision))


def test_nothing_is_signed_that_is_not_what_its_hash_says() -> None:
    request = asked().model_copy(update={"arguments": {"order": "ORD-8"}})
    with pytest.raises(AgentflowError, match="nothing was signed"):
        BOB.decision(request, "approve")
    with pytest.raises(AgentflowError, match="takes no signed decisions"):
        BOB.decision(approval_request(), "approve")


ESCALATION = Escalation(
    id="escalation-1", reason="stuck", deadline=DEADLINE, answerable=True, run=RUN, identity="signed"
)
GUIDED = BOB.resolution(ESCALATION, Resolution(action="guide", by="bob", text="refund it"), now=NOW)


def answered(
    resolution: Resolution, escalation: Escalation = ESCALATION, run: Any = RUN
) -> Approver | Refusal:
    return SignedApprovers(keys(BOB, CY), terms=TERMS).verify_resolution(resolution, escalation, run, NOW)


def test_an_answer_to_an_escalation_is_by_who_signed_it() -> None:
    found = answered(GUIDED)
    assert isinstance(found, Approver)
    assert (found.subject, found.roles, found.kids) == ("bob", ("finance",), ("bob-1",))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"text": "refund it twice"}, "another answer"),
        ({"action": "abort"}, "another answer"),
        ({"answer": {"a": 1}}, "another answer"),
        ({"result": 1}, "another answer"),
        ({"by": "cy"}, "another person"),
        ({"roles": ("legal",)}, "another roles"),
        ({"token": None}, "has no token"),
        ({"token": by_bob().token}, "of type"),
    ],
)
def test_an_answer_that_is_not_what_was_signed_does_not_count(changes: dict[str, Any], says: str) -> None:
    assert says in why(answered(GUIDED.model_copy(update=changes)))


def test_an_answer_to_another_escalation_or_run_does_not_count() -> None:
    assert "another escalation" in why(answered(GUIDED, ESCALATION.model_copy(update={"id": "escalation-2"})))
    assert "another run" in why(answered(GUIDED, run=sha256_of("other")))


def test_keys_that_are_missing_changed_or_revoked_are_gone() -> None:
    before = keys(BOB, CY, DORA)
    revoked = DORA.public().model_copy(update={"revoked_at": NOW})
    assert gone_keys(before, [*keys(IMPOSTOR), revoked], NOW) == ("bob-1", "cy-1", "dora-1")
    assert gone_keys(before, before, NOW) == ()


@dataclass(frozen=True)
class Sent:
    """One decision that somebody sends, with how it came about."""

    signer: Signer
    standing_in: bool
    tampered: bool
    late: bool

    def decision(self, request: ApprovalRequest) -> ApprovalDecision:
        now = NOW - timedelta(hours=2) if self.late else NOW
        token = DORA.delegation("cy", ("finance",), timedelta(hours=4), now=now) if self.standing_in else None
        made = self.signer.decision(request, "approve", delegation=token, now=now)
        return replace_approval(made) if self.tampered else made


def replace_approval(decision: ApprovalDecision) -> ApprovalDecision:
    return decision.model_copy(update={"approval_id": ApprovalId("approval-7")})


@st.composite
def sendings(draw: st.DrawFn) -> Sent:
    signer = draw(st.sampled_from([BOB, CY, DORA, IMPOSTOR]))
    odd: Callable[[], bool] = lambda: draw(st.integers(0, 5)) == 0  # noqa: E731
    return Sent(signer, standing_in=signer is CY and draw(st.booleans()), tampered=odd(), late=odd())


@settings(max_examples=100)
@given(st.lists(sendings(), max_size=8))
def test_two_are_two_people_with_keys_and_the_role_and_nothing_else_makes_them(sent: list[Sent]) -> None:
    request = asked(people=2, roles=("finance",))
    pending, people = PendingApproval(request), set[str]()
    for one in sent:
        if pending.outcome:
            break
        decision = one.decision(request)
        after = judge(pending, "approve", decision, verified(decision, verdict="approve"), NOW)
        who = {"cy", "dora"} if one.standing_in else {one.signer.subject}
        has_role = one.standing_in or "finance" in one.signer.roles
        honest = not one.tampered and not one.late and one.signer is not IMPOSTOR
        counts = honest and has_role and not (who & people)
        assert isinstance(after, PendingApproval) == counts
        if isinstance(after, PendingApproval):
            pending, people = after, people | who
    assert (pending.outcome is not None) == (len(pending.consents) == 2)


def test_a_signer_does_not_show_its_key() -> None:
    assert repr(BOB) == "Signer('bob', kid='bob-1')"


def test_only_an_expired_signature_over_this_very_action_is_refused_for_being_late() -> None:
    later = NOW + timedelta(hours=1)
    assert isinstance(verified(by_bob()), Approver)
    expired = verified(by_bob(), now=later)
    assert isinstance(expired, Refusal)
    assert expired.is_late
    for other in (
        verified(by_bob(), now=later, run=sha256_of("another run")),
        verified(by_bob(), now=later, verdict="reject"),
        verified(by_bob(), now=later, revoked=(BOB.kid,)),
    ):
        assert isinstance(other, Refusal)
        assert not other.is_late
