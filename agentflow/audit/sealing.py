"""What was said in a run, encrypted: one document, one key, and a commitment to each part of it.

Encryption is AES-256-GCM (NIST SP 800-38D) with a random nonce of 96 bits; the document is compressed before.
Commitments are HMAC-SHA256 under a key of their own, both derived from the run's key by HKDF (RFC 5869): once
the run's key is gone, nobody can tell by trying whether a phone number was in it.
"""

import hmac
import json
import os
import zlib
from collections.abc import Mapping
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from agentflow.contracts.wire import Json, canonical_json
from agentflow.errors import AuditError

_NONCE = 12
MAX_CONTENTS = 1024 * 1024 * 1024
"""Bytes of a run's document when it is opened: a small file must not fill the memory."""

Contents = Mapping[str, Json]
"""What was said, by ``SEQ/NAME``: the record's number in its log, and the name that it has there."""


def about(export: str, key_id: str) -> str:
    """What a run's document is sealed with, so that none of another bundle or run is opened in its place."""
    return f"{export}/{key_id}"


class Sealer:
    """Encrypts and opens the contents of one run."""

    def __init__(self, key: bytes) -> None:
        """Derive the two keys from the run's."""
        self._cipher = AESGCM(_derived(key, b"agentflow audit contents v1"))
        self._commitments = _derived(key, b"agentflow audit commitments v1")

    def commitment(self, name: str, value: Json) -> str:
        """Binds a record to a value without telling it."""
        said = name.encode() + b"\x00" + _encoded(value)
        return hmac.new(self._commitments, said, sha256).hexdigest()

    @property
    def check(self) -> str:
        """Tells the key from others, and nothing about it."""
        return hmac.new(self._commitments, b"check", sha256).hexdigest()[:16]

    def seal(self, contents: Contents, about: str) -> bytes:
        """The document, encrypted.

        Args:
            contents: What was said.
            about: Says which bundle and run it is of; a document of another one isn't opened in its place.
        """
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, zlib.compress(_encoded(dict(contents))), about.encode())

    def opened(self, data: bytes, about: str) -> Contents:
        """What ``seal`` was given.

        Raises:
            AuditError: it was changed, is another run's, or isn't what was sealed under this key.
        """
        try:
            packed = self._cipher.decrypt(data[:_NONCE], data[_NONCE:], about.encode())
            unpacking = zlib.decompressobj()
            document = unpacking.decompress(packed, MAX_CONTENTS)
            if unpacking.unconsumed_tail:
                raise AuditError(f"the contents are longer than {MAX_CONTENTS} bytes")
            return json.loads(document)
        except (InvalidTag, ValueError, zlib.error) as error:
            raise AuditError(f"the contents can't be opened: {type(error).__name__}") from None


def _derived(key: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(key)


def _encoded(value: Json) -> bytes:
    try:
        return canonical_json(value)
    except ValueError:
        # NaN, or nesting beyond what decisions take: it was said all the same.
        return canonical_json({"not_plain_json": json.dumps(value, sort_keys=True)})
