"""Tokens that nobody's tools make: payloads as text, signed with a real key."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from agentflow.adapters.signer import Signer
from agentflow.contracts.wire import Json, sha256_of
from agentflow.core.jws import signed

WRONG_TYPES: tuple[Json, ...] = (None, True, 0, 1.5, "", [], {}, ["x"])


def token_of(signer: Signer, typ: str, payload: str) -> str:
    """A payload, whatever it is, signed."""
    return signed(payload.encode(), signer.key, alg=signer.alg, kid=signer.kid, typ=typ)


def spoiled(claims: Mapping[str, Json], optional: frozenset[str] = frozenset()) -> Iterator[tuple[str, str]]:
    """Payloads of a token, each with one claim that is not as it should be: a name, and the JSON text.

    Of each claim: missing, twice (the same, and first or last another value), of another action, of other types,
    empty; and one claim that nobody knows.
    """
    whole = json.dumps(claims)
    for name, value in claims.items():
        if name not in optional:
            yield f"{name} missing", json.dumps({key: said for key, said in claims.items() if key != name})
        member, other = (
            f"{json.dumps(name)}: {json.dumps(value)}",
            f"{json.dumps(name)}: {json.dumps(another(value))}",
        )
        yield f"{name} twice", f"{whole[:-1]}, {member}}}"
        yield f"{name} and last another", f"{whole[:-1]}, {other}}}"
        yield f"{name} and first another", f"{{{other}, {whole[1:]}"
        yield f"{name} of another", json.dumps({**claims, name: another(value)})
        for wrong in WRONG_TYPES:
            # No reason, no roles and nobody stood in for are honest things to sign.
            is_honest = (name, wrong) in (("reason", ""), ("roles", [])) or (
                wrong is None and name in optional
            )
            if wrong != value and not is_honest:
                yield f"{name} is {json.dumps(wrong)}", json.dumps({**claims, name: wrong})
        if isinstance(value, int):
            yield f"{name} as text", json.dumps({**claims, name: str(value)})
            yield f"{name} with a point", json.dumps({**claims, name: float(value)})
    yield "a claim that nobody knows", json.dumps({**claims, "admin": True})
    yield "no object", json.dumps([claims])


def another(value: Json) -> Any:
    """Another value of the same type: what another action has."""
    match value:
        case int():
            # Of times: too long ago, and too far ahead for the longest life.
            return value + 100_000
        case str() if len(value) == 64:
            return sha256_of(value)
        case str():
            return f"{value}x"
        case list():
            return [*value, "other"]
        case _:
            return "x"
