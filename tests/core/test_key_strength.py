"""Keys with which anybody could sign: refused where they are listed, and where something is verified."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc.jwk import ECKey, RSAKey

from agentflow.adapters.signer import Signer
from agentflow.contracts.approval import ApprovalDecision
from agentflow.contracts.identity import DECISION_TYPE, ApproverKey
from agentflow.core.approval import Refusal
from agentflow.core.jwks import checked_keys, entry_of, keys_of_set
from agentflow.core.jws import public_members
from agentflow.core.key_strength import ed25519_problem
from agentflow.errors import ConfigurationError
from tests.core.test_signed_approvers import BOB, asked, claims, verified

P = 2**255 - 19
SMALL_ORDER = (
    "00" * 32,
    "01" + "00" * 31,
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "ec" + "ff" * 30 + "7f",
    "ed" + "ff" * 30 + "7f",
    "ee" + "ff" * 30 + "7f",
)
"""All y of the eight points whose order divides 8, those that are not canonical too (libsodium's list)."""
ENCODINGS = [
    bytes.fromhex(y)[:31] + bytes([bytes.fromhex(y)[31] | sign]) for y in SMALL_ORDER for sign in (0, 0x80)
]
P256 = 2**256 - 2**224 + 2**192 + 2**96 - 1


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value: int, size: int = 0) -> str:
    return b64(value.to_bytes(size or (value.bit_length() + 7) // 8 or 1, "big"))


def with_jwk(alg: Any, jwk: dict[str, str]) -> ApproverKey:
    return BOB.public().model_copy(update={"alg": alg, "jwk": jwk})


def ed25519(encoded: bytes) -> ApproverKey:
    return with_jwk("EdDSA", {"kty": "OKP", "crv": "Ed25519", "x": b64(encoded)})


def forged() -> ApprovalDecision:
    """A decision with the signature (R, S) = (1, 0), which no key has made: with a key of order one it verifies."""
    header = b64(json.dumps({"alg": "EdDSA", "kid": BOB.kid, "typ": DECISION_TYPE}).encode())
    signature = b64(bytes([1]) + bytes(63))
    token = f"{header}.{b64(json.dumps(claims()).encode())}.{signature}"
    return BOB.decision(asked(), "approve").model_copy(update={"token": token})


@pytest.mark.parametrize("encoded", ENCODINGS, ids=lambda encoded: encoded.hex()[:4] + encoded.hex()[-2:])
def test_nothing_is_signed_by_a_key_of_small_order(encoded: bytes) -> None:
    key = ed25519(encoded)
    with pytest.raises(ConfigurationError, match="no key for EdDSA"):
        keys_of_set(json.dumps({"keys": [entry_of(key)]}).encode())
    found = verified(forged(), [key])
    assert isinstance(found, Refusal)
    assert "no key for EdDSA" in found.reason


@settings(max_examples=30)
@given(st.binary(min_size=32, max_size=32))
def test_a_key_that_is_no_canonical_point_of_the_curve_is_refused(encoded: bytes) -> None:
    y = int.from_bytes(encoded, "little") & (2**255 - 1)
    d = -121665 * pow(121666, -1, P)
    residue = pow((y * y - 1) * pow(d * y * y + 1, -1, P), (P - 1) // 2, P)
    is_point = y < P and residue == 1 and encoded not in ENCODINGS
    assert (ed25519_problem(encoded) is None) == is_point


def test_the_keys_that_people_make_are_none_of_these() -> None:
    for _ in range(20):
        assert checked_keys([Signer.generate("ann").public()])


EC = public_members(ECKey.generate_key("P-256"))
RSA = public_members(RSAKey.generate_key(2048))


@pytest.mark.parametrize(
    "changes",
    [
        {"x": number(5, 32)},
        {"x": number(0, 32), "y": number(0, 32)},
        {"x": number(P256, 32), "y": number(0, 32)},
        {"y": EC["x"]},
        {"x": ""},
    ],
    ids=["another x", "the origin", "beyond the field", "another y", "nothing"],
)
def test_a_point_off_the_curve_is_no_key(changes: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="no key for ES256"):
        checked_keys([with_jwk("ES256", {**EC, **changes})])


@pytest.mark.parametrize("exponent", [1, 2, 3, 17, 65_535, 65_538, 2**32 + 1, 2**300 + 1])
def test_an_odd_exponent_of_an_ordinary_size_is_needed(exponent: int) -> None:
    with pytest.raises(ConfigurationError, match="no key for RS256"):
        checked_keys([with_jwk("RS256", {**RSA, "e": number(exponent)})])


@pytest.mark.parametrize("bits", [1_024, 2_047, 8_193, 16_384])
def test_a_modulus_of_an_ordinary_size_is_needed(bits: int) -> None:
    with pytest.raises(ConfigurationError, match="no key for RS256"):
        checked_keys([with_jwk("RS256", {**RSA, "n": number(2 ** (bits - 1) + 1)})])


def test_one_key_by_two_names_is_an_error() -> None:
    again = BOB.public().model_copy(update={"kid": "bob-2", "alg": "Ed25519", "subjects": ("dora",)})
    with pytest.raises(ConfigurationError, match="bob-1 and bob-2 are one key"):
        checked_keys([BOB.public(), again])


def test_one_rsa_key_spelled_in_two_ways_is_an_error() -> None:
    padded = b64(b"\0" + base64.urlsafe_b64decode(RSA["n"] + "=="))
    again = with_jwk("RS256", {**RSA, "n": padded}).model_copy(update={"kid": "other"})
    with pytest.raises(ConfigurationError, match="are one key"):
        checked_keys([with_jwk("RS256", RSA), again])


@pytest.mark.parametrize("found", [None, "key", BOB.public().model_dump(), True])
def test_a_source_that_gives_something_else_than_keys_is_an_error(found: Any) -> None:
    with pytest.raises(ConfigurationError, match="not ApproverKey"):
        checked_keys([found])
