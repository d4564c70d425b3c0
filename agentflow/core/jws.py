"""Tokens that people sign: JSON Web Signatures in compact form, by the keys that a run knows.

Pure: the workflow verifies them, and its replay comes to the same. What is refused here is refused before any
cryptography: an ``alg`` that isn't the key's own (``none`` is nobody's), a header with more in it than
``alg``, ``kid`` and ``typ``, or with one of them twice, a token of another type, a key that anybody can sign
with.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from joserfc import jws
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import CompactSignature, JWSRegistry
from joserfc.util import urlsafe_b64decode

from agentflow.contracts.identity import MAX_TOKEN_CHARACTERS, ApproverKey
from agentflow.contracts.wire import Json
from agentflow.core.approval import Refusal
from agentflow.core.key_strength import ed25519_problem, rsa_problem
from agentflow.core.strict_json import strict_json

Key = OKPKey | ECKey | RSAKey

_KINDS: Mapping[str, tuple[type[OKPKey] | type[ECKey] | type[RSAKey], dict[str, str]]] = {
    "EdDSA": (OKPKey, {"kty": "OKP", "crv": "Ed25519"}),
    "Ed25519": (OKPKey, {"kty": "OKP", "crv": "Ed25519"}),
    "ES256": (ECKey, {"kty": "EC", "crv": "P-256"}),
    "RS256": (RSAKey, {"kty": "RSA"}),
}
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")


class _Registry(JWSRegistry):
    """These algorithms and no others. Without joserfc's warning that ``EdDSA`` has a newer name."""

    max_payload_length = MAX_TOKEN_CHARACTERS

    def get_alg(self, name: str) -> Any:
        if name not in _KINDS:
            raise UnsupportedAlgorithmError(f"Algorithm of {name!r} is not supported")
        return self.algorithms[name]


_REGISTRY = _Registry()


def imported_key(alg: str, jwk: Mapping[str, str]) -> Key:
    """A key from its JWK.

    Raises:
        ValueError: it isn't of the algorithm's kind, or too weak.
    """
    kind, members = _KINDS[alg]
    if wrong := [
        f"{name} is {jwk.get(name)!r}, not {value!r}"
        for name, value in members.items()
        if jwk.get(name) != value
    ]:
        raise ValueError(f"it is no key for {alg}: {', '.join(wrong)}")
    try:
        key = kind.import_key(dict(jwk))
        problem = _weakness(key, jwk)
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"it is no key for {alg}: {error}") from None
    if problem:
        raise ValueError(f"it is no key for {alg}: {problem}")
    return key


def _weakness(key: Key, jwk: Mapping[str, str]) -> str | None:
    """Why nobody should believe what is signed with a key."""
    match key:
        case OKPKey():
            return ed25519_problem(urlsafe_b64decode(jwk["x"].encode("ascii")))
        case RSAKey():
            numbers = key.public_key.public_numbers()
            return rsa_problem(numbers.n, numbers.e)
        case ECKey():
            # A point that isn't on the curve is refused as the key is made, which joserfc may put off.
            key.public_key.public_numbers()
            return None


def public_members(key: Key) -> dict[str, str]:
    """A key as it may be shown."""
    members = cast(Mapping[str, object], key.as_dict(private=False))
    return {name: str(members[name]) for name in ("kty", "crv", "x", "y", "n", "e") if name in members}


def payload_of(token: str) -> bytes:
    """What a token says, believed or not.

    Raises:
        ValueError: it is no token.
    """
    try:
        return _extracted(token).payload
    except JoseError as error:
        raise ValueError(str(error)) from None


def signed(payload: bytes, key: Key, *, alg: str, kid: str, typ: str) -> str:
    """A token over a payload."""
    return jws.serialize_compact({"alg": alg, "kid": kid, "typ": typ}, payload, key, registry=_REGISTRY)


def verified(token: str, typ: str, keys: Mapping[str, ApproverKey]) -> tuple[ApproverKey, bytes] | Refusal:
    """The key that signed a token and the token's payload, or why it is not to be believed.

    Args:
        token: In compact form.
        typ: The type it must have.
        keys: Those that count, by ``kid``.
    """
    try:
        found = _extracted(token)
        header = _header_of(token)
        kid = header.get("kid")
        key = keys.get(kid) if isinstance(kid, str) else None
        objection = next(_objections(header, key, typ), None)
        if objection or key is None:
            return Refusal(objection or "the key is unknown")
        if jws.validate_compact(found, imported_key(key.alg, key.jwk), registry=_REGISTRY):
            return key, found.payload
    except (JoseError, ValueError) as error:
        return Refusal(f"the token can't be read: {error}"[:600])
    return Refusal(f"the signature is not by the key {key.kid}")


def _extracted(token: str) -> CompactSignature:
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise ValueError(f"it has {len(token)} characters, more than {MAX_TOKEN_CHARACTERS}")
    if not _COMPACT.fullmatch(token):
        # Python's decoder skips what is no base64url, so that one signature would have many spellings.
        raise ValueError("it is not of three parts in base64url")
    return jws.extract_compact(token.encode("ascii"), registry=_REGISTRY)


def _header_of(token: str) -> Mapping[str, Json]:
    """The protected header, in which nothing is twice."""
    header = strict_json(urlsafe_b64decode(token.partition(".")[0].encode("ascii")))
    if not isinstance(header, dict):
        raise ValueError("its header is no object")
    return cast(Mapping[str, Json], header)


def _objections(header: Mapping[str, object], key: ApproverKey | None, typ: str) -> Iterator[str]:
    """What is wrong with a token before its signature is looked at."""
    if set(header) != {"alg", "kid", "typ"}:
        yield f"the token's header has {', '.join(sorted(header))[:200]}; it must have alg, kid and typ"
    if key is None:
        yield f"the key {str(header.get('kid'))[:200]!r} is unknown"
    elif header.get("alg") != key.alg:
        yield f"the token's alg is {str(header.get('alg'))[:40]!r}; that of the key {key.kid} is {key.alg}"
    if header.get("typ") != typ:
        yield f"the token is of type {str(header.get('typ'))[:80]!r}, not {typ}"
