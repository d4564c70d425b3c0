"""Approvers' keys as a JWK Set (RFC 7517).

Each key has a member ``agentflow`` that says for whom it speaks::

    {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "...", "kid": "rita-1", "alg": "EdDSA",
               "agentflow": {"subjects": ["rita@example.com"], "roles": ["finance"],
                             "expires": "2027-12-31T00:00:00Z"}}]}

``not_before``, ``expires`` and ``revoked_at`` are optional. Nothing in the set is passed over: a key that
can't be used is an error.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import cast

from pydantic import ValidationError

from agentflow.contracts.identity import ApproverKey
from agentflow.contracts.wire import Json, canonical_json
from agentflow.core.answer import describe_errors
from agentflow.core.jws import imported_key
from agentflow.core.person import look_alikes
from agentflow.core.strict_json import strict_json
from agentflow.errors import ConfigurationError

MAX_KEYS = 500
"""They are in each run's history: 500 are some 200 kB."""

_OURS = "agentflow"
_PUBLIC = {"kty", "crv", "x", "y", "n", "e"}
_PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
_OTHERS = {"kid", "alg", "use", "key_ops", "x5u", "x5c", "x5t", "x5t#S256"}
"""What RFC 7517 has besides. What it doesn't have may be a limit that somebody meant, in the wrong place."""
_SIGNING = {"use": "sig", "key_ops": ["verify"]}


def keys_of_set(text: bytes) -> tuple[ApproverKey, ...]:
    """The keys of a JWK Set.

    Raises:
        ConfigurationError: it can't be read, or has a key that can't be used; the text says which.
    """
    try:
        document = strict_json(text)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"it is no JSON: {error}") from None
    listed = cast(Mapping[str, Json], document).get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ConfigurationError('it is no JWK Set: {"keys": [...]}')
    entries = cast(list[Json], listed)
    if len(entries) > MAX_KEYS:
        raise ConfigurationError(f"it has {len(entries)} keys, more than {MAX_KEYS}")
    return checked_keys(_key(number, entry) for number, entry in enumerate(entries, 1))


def checked_keys(found: Iterable[object]) -> tuple[ApproverKey, ...]:
    """The keys that a source gave, once each has been looked at.

    Raises:
        ConfigurationError: one is no ``ApproverKey``, can't be used, or is there twice; the text says which.
    """
    keys = tuple(_usable(number, key) for number, key in enumerate(found, 1))
    if alike := look_alikes(role for key in keys for role in key.roles):
        raise ConfigurationError(f"two roles look alike and are not the same: {' and '.join(alike)}")
    if twice := [kid for kid, count in Counter(key.kid for key in keys).items() if count > 1]:
        raise ConfigurationError(f"two keys have the kid {', '.join(twice)}")
    owners: dict[bytes, str] = {}
    for key in keys:
        # Two names for one key would make its holder two people.
        first = owners.setdefault(imported_key(key.alg, key.jwk).as_der(private=False), key.kid)
        if first != key.kid:
            raise ConfigurationError(
                f"{first} and {key.kid} are one key: give each person a key of their own"
            )
    return keys


def entry_of(key: ApproverKey) -> Json:
    """A key as the set has it."""
    ours = key.model_dump(mode="json", exclude={"kid", "alg", "jwk"})
    return {**key.jwk, "kid": key.kid, "alg": key.alg, "use": "sig", _OURS: ours}


def _key(number: int, entry: Json) -> ApproverKey:
    if not isinstance(entry, dict):
        raise ConfigurationError(f"key {number} is no object")
    members = cast(dict[str, Json], entry)
    name = f"key {number} ({members.get('kid', 'without kid')})"
    if private := sorted(_PRIVATE & set(members)):
        raise ConfigurationError(
            f"{name} has the private members {', '.join(private)}: whoever reads the set can sign; "
            "make another key"
        )
    if wrong := sorted(name for name, value in _SIGNING.items() if members.get(name, value) != value):
        raise ConfigurationError(f"{name} is not for verifying signatures: {', '.join(wrong)}")
    if not isinstance(members.get(_OURS), dict):
        raise ConfigurationError(f'{name} does not say for whom it speaks: "{_OURS}": {{"subjects": [...]}}')
    ours = cast(dict[str, Json], members[_OURS])
    _check_members(name, members, ours)
    given = {
        **ours,
        "kid": members.get("kid"),
        "alg": members.get("alg"),
        "jwk": {part: value for part, value in members.items() if part in _PUBLIC},
    }
    try:
        # As JSON, and strictly: 20271231 is no date.
        return ApproverKey.model_validate_json(canonical_json(given), strict=True)
    except ValidationError as error:
        raise ConfigurationError(f"{name}: {describe_errors(error)}") from None


def _usable(number: int, key: object) -> ApproverKey:
    if type(key) is not ApproverKey:
        raise ConfigurationError(f"key {number} is {type(key).__name__}, not ApproverKey")
    name = f"key {number} ({key.kid})"
    try:
        imported_key(key.alg, key.jwk)
    except ValueError as error:
        raise ConfigurationError(f"{name}: {error}") from None
    if bad := [pattern for pattern in key.subjects if not _is_subject(pattern)]:
        raise ConfigurationError(f"{name}: {bad[0]!r} is neither a person nor *@domain nor *")
    if not key.subjects:
        raise ConfigurationError(f"{name} speaks for nobody: subjects is empty")
    return key


def _check_members(name: str, members: Mapping[str, Json], ours: Mapping[str, Json]) -> None:
    """A member in the wrong place, or misspelt, may be a limit that somebody believes in."""
    if unknown := sorted(set(members) - _PUBLIC - _OTHERS - {_OURS}):
        raise ConfigurationError(
            f'{name} has {", ".join(unknown)}, which JWKs do not have: limits of the key go into "{_OURS}"'
        )
    if misplaced := sorted({"kid", "alg", "jwk"} & set(ours)):
        raise ConfigurationError(f'{name}: {", ".join(misplaced)} does not belong into "{_OURS}"')


def _is_subject(pattern: str) -> bool:
    if "*" not in pattern:
        return True
    return pattern == "*" or (pattern.startswith("*@") and "*" not in pattern[2:] and len(pattern) > 2)
