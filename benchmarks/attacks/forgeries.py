"""Decisions that must not count although an approver's key signed something: generated, a kind at a time."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Any

from joserfc.jws import JWSRegistry

from agentflow.adapters.signer import Signer
from agentflow.contracts.approval import ApprovalRequest
from agentflow.contracts.identity import DECISION_TYPE, DELEGATION_TYPE, RESOLUTION_TYPE
from agentflow.core.jws import signed
from benchmarks.attacks.tokens import claims_of, decided

ANN = Signer.generate("ann", ("finance",), kid="ann-1")
BOB = Signer.generate("bob", ("finance",), "ES256", kid="bob-1")
CY = Signer.generate("cy", ("support",), kid="cy-1")
EVE = Signer.generate("eve", ("finance",), kid="eve-1")
"""Nobody lists her key."""
APPROVERS = (ANN, BOB, CY)

HOUR = timedelta(hours=1)
_WORDS = ("", "x", "approve", "finance", "ann", "approval-1", "pay", "null", "\u0000", "0" * 64)


@dataclass(frozen=True)
class Pending:
    """The payment that waits, and what else real approvers have signed."""

    here: ApprovalRequest
    others: Sequence[ApprovalRequest]
    """Of other runs and of other amounts, tools and approvals."""


@dataclass(frozen=True)
class Forgery:
    """A decision to send."""

    kind: str
    token: str
    beside: Mapping[str, Any]
    """Of the payload, besides the approval's id."""


def forgery(random: Random, pending: Pending) -> Forgery:
    """One of them."""
    return random.choice(
        [_a_claim, _a_claim, _a_claim, _a_header, _a_time, _a_replay, _a_delegation, _a_key]
    )(random, pending)


def _a_claim(random: Random, pending: Pending) -> Forgery:
    """Of each claim: missing, twice, another action's, of another type, empty, under another name."""
    signer = random.choice([ANN, ANN, BOB])
    true = decided(signer, pending.here)
    name = random.choice(list(true))
    kind, text = _spoiled(random, true, name, pending)
    token = signed(text.encode(), signer.key, alg=signer.alg, kid=signer.kid, typ=DECISION_TYPE)
    return Forgery(f"claim {kind}: {name}", token, _beside(random, signer, true, text))


def _spoiled(  # noqa: PLR0911 - one for each way
    random: Random, true: dict[str, Any], name: str, pending: Pending
) -> tuple[str, str]:
    value, members = true[name], list(true.items())
    another = _another(random, name, value, pending)
    without = [member for member in members if member[0] != name]
    match random.choice(["missing", "twice", "two", "another's", "of another type", "misspelt", "unknown"]):
        case "missing":
            return "missing", _text(random, without)
        case "twice":
            return "twice", _text(random, [*members, (name, value)], shuffled=True)
        case "two":
            first, last = random.sample([(name, value), (name, another)], 2)
            return "twice, differently", _text(random, [first, *without, last])
        case "another's":
            return "of another", _text(random, [*without, (name, another)], shuffled=True)
        case "of another type":
            wrong = _of_another_type(random, name, value)
            return "of another type", _text(random, [*without, (name, wrong)], shuffled=True)
        case "misspelt":
            other = random.choice([name.upper(), name.title(), f"{name} ", f"{name}\u200b", f"\ufeff{name}"])
            return "misspelt", _text(random, [*without, (other, value)])
        case _:
            more = random.choice(["admin", "nbf", "aud", "jti", "tools", "sub2", "\u0000", "__proto__", ""])
            return "unknown beside", _text(random, [*members, (more, random.choice([True, value]))])


def _text(random: Random, members: Sequence[tuple[str, Any]], *, shuffled: bool = False) -> str:
    """JSON, in which a name may be written with escapes and stand twice."""
    listed = list(members)
    if shuffled:
        random.shuffle(listed)
    written: list[str] = []
    for name, value in listed:
        key = json.dumps(name)
        if name and name.isascii() and name.isprintable() and random.random() < 0.2:
            key = f'"\\u{ord(name[0]):04x}{name[1:]}"'
        written.append(f"{key}:{random.choice(['', ' ', chr(10)])}{json.dumps(value)}")
    return "{" + ",".join(written) + "}"


def _another(  # noqa: PLR0911 - one for each claim
    random: Random, name: str, value: Any, pending: Pending
) -> Any:
    """What the claim says in what was signed of something else."""
    match name:
        case "verdict":
            return "reject"
        case "roles":
            return random.choice([["finance", "support"], ["admin"], [], ["Finance", "support"]])
        case "sub":
            return random.choice(["cy", "bob" if value == "ann" else "ann", "eve", "ann@example.com"])
        case "reason":
            return random.choice([7, None, ["because"], "x" * 2001])
        case "iat":
            return int(time.time()) + random.randint(120, 10**6)
        case "exp":
            later = value + random.randint(8 * 86_400, 10**9)
            return random.choice([int(time.time()) - random.randint(1, 10**6), later])
        case "jti":
            return random.choice(["", None, 7, ["x"], "x" * 201])
        case _:
            others = [getattr(one, "id" if name == "approval_id" else name, None) for one in pending.others]
            return random.choice([one for one in others if one and one != value] or [f"{value}x"])


def _of_another_type(random: Random, name: str, value: Any) -> Any:
    made = [None, True, random.randint(-9, 9), random.random(), random.choice(_WORDS), [], {}, [value]]
    made += [{name: value}, str(value) if not isinstance(value, str) else [value], float("1e30")]
    if isinstance(value, int):
        made += [float(value), f"{value}", value * 10**12, -value]
    while True:
        wrong = random.choice(made)
        is_honest = type(wrong) is str and name in ("reason", "jti")
        if not is_honest and (type(wrong) is not type(value) or wrong != value):
            return wrong


def _beside(random: Random, signer: Signer, true: Mapping[str, Any], text: str) -> dict[str, Any]:
    """What stands beside the token: as little as may be, what was signed, or what is pending."""
    told: dict[str, Any] = {"by": signer.subject}
    try:
        says: Any = json.loads(text)
    except ValueError:
        says = {}
    match random.choice(["nothing", "what was signed", "what is pending"]):
        case "nothing":
            return told
        case "what was signed":
            source: Mapping[str, Any] = says
        case _:
            source = true
    names = ("arguments_hash", "roles", "reason", "verdict")
    kept = {name: source[name] for name in names if name in source and random.random() < 0.7}
    return {**told, **{name: value for name, value in kept.items() if _is_sendable(name, value)}}


def _is_sendable(name: str, value: Any) -> bool:
    """Whether the door would take it at all: what it won't, hides what is asked here."""
    if name == "roles":
        return isinstance(value, list)
    return isinstance(value, str) and (name != "verdict" or value == "approve")


def _a_header(random: Random, pending: Pending) -> Forgery:
    """A true payload under a header that is not one: with more, twice, of another type or algorithm."""
    signer = random.choice([ANN, BOB])
    payload = json.dumps(decided(signer, pending.here)).encode()
    true = {"alg": signer.alg, "kid": signer.kid, "typ": DECISION_TYPE}
    name = random.choice(list(true))
    members = list(true.items())
    match random.choice(["twice", "more", "missing", "other", "none", "hmac", "unsigned"]):
        case "twice":
            kind, header = f"{name} twice", _text(random, [*members, (name, true[name])], shuffled=True)
        case "more":
            more = random.choice(["crit", "b64", "jwk", "jku", "x5u", "x5c", "cty", "zip", "exp", "nonce"])
            value: Any = {"crit": ["exp"], "b64": True, "jwk": signer.public().jwk}.get(more, "x")
            kind, header = f"with {more}", _text(random, [*members, (more, value)])
        case "missing":
            kind, header = f"without {name}", _text(random, [one for one in members if one[0] != name])
        case "other":
            others = {
                "alg": [alg for alg in ("EdDSA", "Ed25519", "ES256", "RS256", "ES384") if alg != signer.alg],
                "kid": ["cy-1", "eve-1", "", None, 1, ["ann-1"], "ANN-1"],
                "typ": ["JWT", RESOLUTION_TYPE, DELEGATION_TYPE, DECISION_TYPE.upper(), "", None],
            }
            value = random.choice(others[name])
            kind, header = f"another {name}", _text(random, list({**true, name: value}.items()))
        case "none":
            alg = random.choice(["none", "None", "NONE", "nOnE", ""])
            header = _text(random, list({**true, "alg": alg}.items()))
            token = f"{_b64(header.encode())}.{_b64(payload)}."
            return Forgery("header: alg none", token, {"by": signer.subject})
        case "hmac":
            header = json.dumps({**true, "alg": random.choice(["HS256", "HS512"])})
            input_ = f"{_b64(header.encode())}.{_b64(payload)}"
            secret = random.choice([signer.key.as_pem(private=False), signer.public().jwk["x"].encode()])
            code = hmac.new(secret, input_.encode(), hashlib.sha256).digest()
            return Forgery("header: alg HMAC", f"{input_}.{_b64(code)}", {"by": signer.subject})
        case _:
            header = json.dumps(true)
            code = random.choice([b"", b"\0" * 64, random.randbytes(64), random.randbytes(65)])
            token = f"{_b64(header.encode())}.{_b64(payload)}.{_b64(code)}"
            return Forgery("no signature", token, {"by": signer.subject})
    return Forgery(f"header: {kind}", _under(header, payload, signer), {"by": signer.subject})


def _under(header: str, payload: bytes, signer: Signer) -> str:
    """A signature over exactly this header and payload."""
    input_ = f"{_b64(header.encode())}.{_b64(payload)}"
    algorithm: Any = JWSRegistry.algorithms[signer.alg]
    return f"{input_}.{_b64(algorithm.sign(input_.encode(), signer.key))}"


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _a_time(random: Random, pending: Pending) -> Forgery:
    """Too early, too late, or for too long."""
    signer, now = random.choice([ANN, BOB]), int(time.time())
    first, last = random.choice(
        [
            (now - random.randint(900, 10**6), now - random.randint(1, 800)),
            (now, now),
            (now, now - 1),
            (now + random.randint(120, 10**6), now + 10**6 + 900),
            (now - random.randint(0, 100), now + random.randint(901, 10**9)),
            (0, 253_402_300_799),
            (now - random.randint(901, 10**6), now + random.randint(1, 900)),
        ]
    )
    payload = json.dumps({**decided(signer, pending.here), "iat": first, "exp": last})
    token = signed(payload.encode(), signer.key, alg=signer.alg, kid=signer.kid, typ=DECISION_TYPE)
    kind = "expired" if last <= now else "not yet signed" if first > now else "for too long"
    return Forgery(f"time: {kind}", token, {"by": signer.subject})


def _a_replay(random: Random, pending: Pending) -> Forgery:
    """A true token of something else."""
    signer, other = random.choice([ANN, BOB]), random.choice(pending.others)
    token = str(signer.decision(other, "approve").token)
    beside: dict[str, Any] = {"by": signer.subject}
    if random.random() < 0.3:
        beside["arguments_hash"] = random.choice([pending.here.arguments_hash, other.arguments_hash])
    if random.random() < 0.2:
        token = str(signer.decision(pending.here, "reject").token)
        return Forgery("replay: a rejection", token, beside)
    if random.random() < 0.2:
        return Forgery("replay: in another's name", token, {**beside, "by": "cy"})
    return Forgery("replay: of another action", token, beside)


def weak_token(kid: str, reason: str) -> str:
    """Nobody's signature, which verifies by a point of small order."""
    claims = {"sub": "ann", "verdict": "approve", "reason": reason}
    header = json.dumps({"alg": "EdDSA", "kid": kid, "typ": DECISION_TYPE})
    identity, nothing = (1).to_bytes(32, "little"), bytes(32)
    return f"{_b64(header.encode())}.{_b64(json.dumps(claims).encode())}.{_b64(identity + nothing)}"


def _a_key(random: Random, pending: Pending) -> Forgery:
    """Another's key: in an approver's name, in a role that it has not, unlisted."""
    match random.choice(["another's", "role", "unlisted", "other"]):
        case "another's":
            claims = {**decided(CY, pending.here), "sub": "ann", "roles": ["finance"]}
            return _by(CY, CY.kid, claims, "key: in another's name")
        case "role":
            roles = random.choice([["finance"], ["support", "finance"], ["Finance"]])
            return _by(CY, CY.kid, {**decided(CY, pending.here), "roles": roles}, "key: beyond its roles")
        case "unlisted":
            kid = random.choice(["eve-1", "ann-1", "bob-1"])
            claims = {**decided(EVE, pending.here), "sub": random.choice(["eve", "ann"])}
            return _by(EVE, kid, claims, "key: unlisted")
        case _:
            claims = {**decided(CY, pending.here), "sub": "ann", "roles": ["finance"]}
            return _by(CY, "ann-1", claims, "key: under another's kid")


def _by(signer: Signer, kid: str, claims: Mapping[str, Any], kind: str) -> Forgery:
    token = signed(json.dumps(claims).encode(), signer.key, alg=signer.alg, kid=kid, typ=DECISION_TYPE)
    return Forgery(kind, token, {"by": claims["sub"]})


def _a_delegation(random: Random, pending: Pending) -> Forgery:
    """Cy, who has not the role, by a delegation that doesn't hold."""
    true = claims_of(ANN.delegation("cy", ("finance",), HOUR))
    giver, kind, typ, now = ANN, "spoiled", DELEGATION_TYPE, int(time.time())
    text = json.dumps(true)
    match random.choice(["spoiled", "spoiled", "time", "to", "giver", "typ", "chain"]):
        case "spoiled":
            name = random.choice(list(true))
            said, text = _spoiled(random, true, name, pending)
            kind = f"{said}: {name}"
        case "time":
            first, last = random.choice(
                [(now - 900, now - 1), (now, now + 8 * 86_400), (now + 900, now + 1_800)]
            )
            kind, text = "time", json.dumps({**true, "iat": first, "exp": last})
        case "to":
            kind, text = (
                "to another",
                json.dumps({**true, "to": random.choice(["bob", "\u0441y", "cyn", "*"])}),
            )
        case "giver":
            giver = random.choice([EVE, CY])
            kind, text = "by who may not", json.dumps({**true, "sub": giver.subject})
        case "typ":
            typ = random.choice([DECISION_TYPE, RESOLUTION_TYPE, "JWT"])
            kind = "of another type"
        case _:
            passed_on = signed(text.encode(), ANN.key, alg=ANN.alg, kid=ANN.kid, typ=DELEGATION_TYPE)
            giver = BOB
            kind, text = "passed on", json.dumps({**true, "sub": "ann", "delegation": passed_on})
    given = signed(text.encode(), giver.key, alg=giver.alg, kid=giver.kid, typ=typ)
    claims = {**decided(CY, pending.here), "roles": ["finance"], "delegation": given}
    return _by(CY, CY.kid, claims, f"delegation {kind}")
