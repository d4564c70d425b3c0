"""Lists of approvers' keys: what can't be used is an error that says which key and why."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from agentflow.adapters.signer import Signer
from agentflow.contracts.identity import SigningAlgorithm
from agentflow.core.jwks import MAX_KEYS, entry_of, keys_of_set
from agentflow.errors import ConfigurationError

ANN = entry_of(Signer.generate("ann", ("finance",), kid="ann-1").public())
OURS = {"subjects": ["ann"]}


def problem(*entries: Any) -> str:
    with pytest.raises(ConfigurationError) as refused:
        keys_of_set(json.dumps({"keys": entries}).encode())
    return str(refused.value)


@pytest.mark.parametrize("alg", ["EdDSA", "Ed25519", "ES256", "RS256"])
def test_a_key_comes_back_as_it_was_written(alg: SigningAlgorithm) -> None:
    public = Signer.generate("ann", ("finance", "legal"), alg).public()
    assert keys_of_set(json.dumps({"keys": [entry_of(public)]}).encode()) == (public,)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"expires": "2026-01-01T00:00:00Z"}, "expires, which JWKs do not have"),
        ({"exp": 1}, "exp, which JWKs do not have"),
        ({"Use": "sig"}, "Use, which JWKs do not have"),
        ({"d": "AAAA"}, "private members d"),
        ({"kid": None}, "kid"),
        ({"alg": "none"}, "alg"),
        ({"alg": "HS256"}, "alg"),
        ({"alg": "ES256"}, "no key for ES256"),
        ({"crv": "Ed448"}, "no key for EdDSA"),
        ({"x": "AAAA"}, "no key for EdDSA"),
        ({"use": "enc"}, "not for verifying"),
        ({"key_ops": ["sign"]}, "not for verifying"),
        ({"agentflow": None}, "for whom it speaks"),
        ({"agentflow": {}}, "subjects"),
        ({"agentflow": {"subjects": []}}, "speaks for nobody"),
        ({"agentflow": {"subjects": ["  "]}}, "is empty"),
        ({"agentflow": {"subjects": ["an\u200bn"]}}, "U+200B"),
        ({"agentflow": {"subjects": ["ann"], "roles": ["fin\u00adance"]}}, "U+00AD"),
        ({"agentflow": {"subjects": ["ann*"]}}, "neither a person"),
        ({"agentflow": {"subjects": ["*example.com"]}}, "neither a person"),
        ({"agentflow": {"subjects": ["*@"]}}, "neither a person"),
        ({"agentflow": {"subjects": ["ann"], "role": ["ceo"]}}, "role"),
        ({"agentflow": {"subjects": ["ann"], "expires": "soon"}}, "expires"),
        ({"agentflow": {"subjects": ["ann"], "expires": "2030-01-01T00:00:00"}}, "expires"),
    ],
    ids=str,
)
def test_a_key_that_can_not_be_used_is_an_error(changes: dict[str, Any], says: str) -> None:
    refusal = problem({**ANN, **changes})
    assert says in refusal
    assert "key 1" in refusal


def test_a_symmetric_key_is_an_error() -> None:
    secret = OctKey.generate_key(256).as_dict()
    assert "private members k" in problem({**secret, "kid": "k", "alg": "HS256", "agentflow": OURS})


def test_a_weak_key_is_an_error() -> None:
    weak = RSAKey.generate_key(1024).as_dict(private=False)
    assert "1024 bits" in problem({**weak, "kid": "k", "alg": "RS256", "agentflow": OURS})


def test_a_key_on_another_curve_is_an_error() -> None:
    other = ECKey.generate_key("P-384").as_dict(private=False)
    assert "P-384" in problem({**other, "kid": "k", "alg": "ES256", "agentflow": OURS})


def test_two_keys_of_one_name_are_an_error() -> None:
    assert "two keys have the kid ann-1" in problem(ANN, ANN)


def test_more_keys_than_a_history_should_hold_are_an_error() -> None:
    assert "more than 500" in problem(*[ANN] * (MAX_KEYS + 1))


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{}", b'{"keys": {}}', b'{"keys": [1]}', b"\xff", b"[" * 10_000]
)
def test_what_is_no_set_is_an_error(text: bytes) -> None:
    with pytest.raises(ConfigurationError):
        keys_of_set(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.text() | st.integers(),
        lambda j: st.lists(j) | st.dictionaries(st.text(), j),
    )
)
def test_whatever_a_key_is_it_is_an_error_or_a_key(entry: Any) -> None:
    problem(entry)
    problem({**ANN, "jwk": entry, "agentflow": entry})


@pytest.mark.parametrize(
    ("once", "twice"),
    [
        ('"roles": ["finance"]', '"roles": ["finance"], "roles": []'),
        ('"kid": "k"', '"kid": "k", "kid": "l"'),
        ('"keys": [', '"keys": [], "keys": ['),
    ],
)
def test_a_name_that_stands_twice_is_an_error(once: str, twice: str) -> None:
    ours = {**OURS, "roles": ["finance"]}
    key = OKPKey.generate_key("Ed25519").as_dict(private=False)
    entry = {name: value for name, value in key.items() if name in ("kty", "crv", "x")}
    text = json.dumps({"keys": [{**entry, "kid": "k", "alg": "EdDSA", "agentflow": ours}]})
    assert keys_of_set(text.encode())
    assert once in text
    with pytest.raises(ConfigurationError, match="is there twice"):
        keys_of_set(text.replace(once, twice).encode())


@pytest.mark.parametrize("member", ["kid", "alg", "jwk", "role", "expire", "Roles"])
def test_a_member_of_ours_that_means_nothing_there_is_an_error(member: str) -> None:
    key = OKPKey.generate_key("Ed25519").as_dict(private=False)
    entry = {name: value for name, value in key.items() if name in ("kty", "crv", "x")}
    ours = {**OURS, member: "x"}
    text = json.dumps({"keys": [{**entry, "kid": "k", "alg": "EdDSA", "agentflow": ours}]})
    with pytest.raises(ConfigurationError, match=member):
        keys_of_set(text.encode())
