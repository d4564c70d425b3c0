"""Seals: message authentication codes by which workers know what their own kind has made.

Whoever reaches Temporal can start an activity, start a workflow, and complete an activity, with any value.
So what a run hands to its activities, what those answer, and what a run takes along when it continues as new
each carry a seal: HMAC-SHA-256 (RFC 2104), cut to 128 bits (NIST SP 800-107), by a key of the workers.

A seal is over the bytes of the payload as it was sent, and over what it is good for: the purpose (one
activity type, in one direction), namespace, workflow id, chain of executions, execution, call and time.
Nothing of what it covers is parsed before it has been checked.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from agentflow.contracts.names import FAILURE_SEAL
from agentflow.contracts.wire import Json, canonical_json

MIN_KEY_BYTES = 32
MAC_BYTES = 16
MAX_CHARACTERS = 800
"""Of a seal as text; most have some 100."""

_VERSION = "1"
_KID = re.compile(r"[A-Za-z0-9_-]{1,32}")
_NUMBER = re.compile(r"[0-9]{1,12}")
_NAME = re.compile(r"[A-Za-z0-9_:-]{1,200}")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SHORT = "~"
"""How a run id begins that is written in base64: Temporal's are UUIDs, and there is a seal in every event."""


@dataclass(frozen=True)
class SealKeys:
    """The keys of a fleet of workers.

    All of them are believed; ``current`` seals. To replace a key, give every worker the new one first, then
    make it the current one, then take the old one away.
    """

    current: str
    """The id of the key that seals."""
    keys: Mapping[str, bytes] = field(repr=False)
    """Each of 32 bytes or more, by its id: at most 32 letters, digits, ``-`` and ``_``."""

    def __post_init__(self) -> None:
        if self.current not in self.keys:
            raise ValueError(f"the current key {self.current!r} is not among the keys")
        for kid, key in self.keys.items():
            if not _KID.fullmatch(kid):
                raise ValueError(f"{kid!r} is no key id: at most 32 letters, digits, - and _")
            if len(key) < MIN_KEY_BYTES:
                raise ValueError(f"the key {kid} has {len(key)} bytes; it needs {MIN_KEY_BYTES} or more")

    def mac(self, message: bytes) -> tuple[str, bytes]:
        """The current key's id and its code over a message."""
        return self.current, _mac(self.keys[self.current], message)

    def is_genuine(self, kid: str, message: bytes, mac: bytes) -> bool:
        """Whether one of the keys made the code."""
        key = self.keys.get(kid)
        return key is not None and hmac.compare_digest(_mac(key, message), mac)


ANY_EXECUTION = "-"
"""In place of a run id: good in each execution of the chain."""
NEVER = 253_402_300_799
"""The end of the year 9999, for what stays good."""


@dataclass(frozen=True)
class Scope:
    """What one seal is good for."""

    purpose: str
    """``argument:TYPE`` and ``result:TYPE`` of an activity type; ``state`` for a run's next execution."""
    namespace: str
    workflow_id: str
    chain: str
    """The run id of the chain's first execution: it stays through resets and continue-as-new."""
    run_id: str
    """Of the execution that sealed, or ``ANY_EXECUTION``."""
    call: str
    """Names the call within the run: letters, digits, ``_``, ``:`` and ``-``."""
    expires: int
    """Seconds since 1970 in UTC. It is not good from then on."""
    attempts: int = 0
    """How many attempts at the call it is good for; 0 is any number."""

    def message(self, metadata: Mapping[str, bytes], data: bytes) -> bytes:
        """What is authenticated. Each part has its length before it, so no two scopes have one message."""
        words = (
            _VERSION,
            self.purpose,
            self.namespace,
            self.workflow_id,
            self.chain,
            self.run_id,
            self.call,
            str(self.expires),
            str(self.attempts),
            str(len(metadata)),
        )
        return b"".join(
            _with_length(part)
            for part in (*(word.encode("utf-8", "surrogatepass") for word in words), *_flat(metadata), data)
        )


@dataclass(frozen=True)
class Seal:
    """A seal as it travels. Nothing in it is to be believed before its code is checked."""

    kid: str
    mac: bytes
    chain: str
    run_id: str
    call: str
    expires: int
    attempts: int = 0

    @classmethod
    def over(cls, scope: Scope, code: tuple[str, bytes]) -> "Seal":
        """A seal for a scope.

        Args:
            scope: What it is good for.
            code: The key's id, and its code over the scope's message.
        """
        kid, mac = code
        return cls(kid, mac, scope.chain, scope.run_id, scope.call, scope.expires, scope.attempts)

    def scope(self, purpose: str, namespace: str, workflow_id: str) -> Scope:
        """What it would be good for, opened in this place for this purpose."""
        return Scope(
            purpose,
            namespace,
            workflow_id,
            self.chain,
            self.run_id,
            self.call,
            self.expires,
            self.attempts,
        )

    def __str__(self) -> str:
        run_id = "" if self.run_id == self.chain else _shortened(self.run_id)
        limits = (str(self.expires), str(self.attempts))
        parts = (_VERSION, self.kid, *limits, _shortened(self.chain), run_id, self.call, _base64(self.mac))
        return ".".join(parts)

    @classmethod
    def read(cls, text: bytes | str) -> "Seal | None":
        """The seal in a text; ``None`` if it is none."""
        if isinstance(text, bytes):
            text = text.decode("ascii", "replace")
        parts = text.split(".") if len(text) <= MAX_CHARACTERS else []
        if len(parts) != 8 or parts[0] != _VERSION:
            return None
        _, kid, expires, attempts, chain, run_id, call, code = parts
        chain = _in_full(chain)
        run_id, mac = _in_full(run_id) or chain, _bytes_of(code)
        names = ((_NAME, name) for name in (chain, run_id, call))
        forms = ((_KID, kid), (_NUMBER, expires), (_NUMBER, attempts), *names)
        if mac is None or not all(form.fullmatch(part) for form, part in forms):
            return None
        seal = cls(kid, mac, chain, run_id, call, int(expires), int(attempts))
        # There is one way to write it.
        return seal if str(seal) == text else None


def failure_data(kind: str | None, non_retryable: bool, facts: Mapping[str, Json]) -> bytes:
    """What of a failure its seal is over: type, whether it is for good, and its facts, which the run goes by.

    Not the text, which people read and Temporal may shorten.

    Raises:
        ValueError: the facts are no JSON of bounded depth.
        TypeError: they are no JSON.
    """
    return canonical_json(
        [kind, non_retryable, {name: facts[name] for name in facts if name != FAILURE_SEAL}]
    )


def _shortened(run_id: str) -> str:
    return f"{_SHORT}{_base64(UUID(run_id).bytes)}" if _UUID.fullmatch(run_id) else run_id


def _in_full(written: str) -> str:
    """A run id as it was before ``_shortened``; what is none stays as it is, and is no name."""
    known = _bytes_of(written[1:]) if written.startswith(_SHORT) else None
    return written if known is None else str(UUID(bytes=known))


def _base64(code: bytes) -> str:
    return base64.urlsafe_b64encode(code).decode().rstrip("=")


def _bytes_of(text: str) -> bytes | None:
    """The 16 bytes of a text in base64."""
    try:
        found = base64.b64decode(f"{text}==", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return found if len(found) == MAC_BYTES else None


def _mac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, hashlib.sha256)[:MAC_BYTES]


def _flat(metadata: Mapping[str, bytes]) -> Iterator[bytes]:
    for name in sorted(metadata):
        yield name.encode("utf-8", "surrogatepass")
        yield metadata[name]


def _with_length(part: bytes) -> bytes:
    return len(part).to_bytes(8, "big") + part
