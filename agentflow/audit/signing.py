"""Who vouches for a bundle: an Ed25519 key (RFC 8032)."""

import base64
import os
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal
from uuid import uuid4

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from agentflow.adapters.whole_file import write_whole
from agentflow.errors import AuditError

Signed = Literal["digest", "cover"]
"""What a signature is over."""


def _context(what: Signed) -> bytes:
    """What is signed begins with it: a signature made for something else is none here."""
    return f"agentflow audit {what} v1\n".encode()


@dataclass(frozen=True)
class ExportSigner:
    """The private key of whoever exports."""

    key: Ed25519PrivateKey

    @classmethod
    def load_or_make(cls, path: Path) -> "ExportSigner":
        """The key in a file (PKCS #8, PEM), made there if there is none; its public half is beside it.

        Raises:
            AuditError: the file can't be read or written, or holds no such key.
        """
        try:
            if not path.exists():
                cls._make(path)
            key = serialization.load_pem_private_key(path.read_bytes(), password=None)
            if not isinstance(key, Ed25519PrivateKey):
                raise AuditError(f"the signing key {path} is no Ed25519 key")
            signer = cls(key)
            if not public_path(path).exists():
                write_whole(public_path(path), signer.public.pem, mode=0o644)
        except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise AuditError(f"the signing key {path} can't be used: {error}") from None
        return signer

    @classmethod
    def _make(cls, path: Path) -> None:
        if public_path(path).exists():
            # All that was exported names it; another one in its place would make none of that verify.
            raise AuditError(
                f"the signing key {path} is gone, and {public_path(path)} is there: restore it, or begin "
                "anew in another home"
            )
        # The private half first: the public one follows from it.
        aside = path.with_name(f".{path.name}.{uuid4().hex}")
        write_whole(aside, cls(Ed25519PrivateKey.generate())._pem)
        try:
            # Of two at once, one makes the key and both use it.
            with suppress(FileExistsError):
                os.link(aside, path)
        finally:
            aside.unlink()

    @property
    def public(self) -> "ExportVerifier":
        """The public half."""
        return ExportVerifier(self.key.public_key())

    def signature(self, data: bytes, what: Signed = "digest") -> str:
        """Of bytes, in base64."""
        return base64.b64encode(self.key.sign(_context(what) + data)).decode()

    @property
    def _pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


@dataclass(frozen=True)
class ExportVerifier:
    """The public key of whoever exports."""

    key: Ed25519PublicKey

    @classmethod
    def load(cls, path: Path) -> "ExportVerifier":
        """The key in a file (SubjectPublicKeyInfo, PEM).

        Raises:
            AuditError: the file can't be read, or holds no such key.
        """
        try:
            key = serialization.load_pem_public_key(path.read_bytes())
        except (OSError, ValueError, UnsupportedAlgorithm) as error:
            raise AuditError(f"the public key {path} can't be used: {error}") from None
        if not isinstance(key, Ed25519PublicKey):
            raise AuditError(f"the public key {path} is no Ed25519 key")
        return cls(key)

    @classmethod
    def of(cls, encoded: str) -> "ExportVerifier":
        """The key from its 32 bytes in base64.

        Raises:
            AuditError: it is none.
        """
        try:
            return cls(Ed25519PublicKey.from_public_bytes(base64.b64decode(encoded, validate=True)))
        except ValueError as error:
            raise AuditError(f"the bundle's public key can't be used: {error}") from None

    @property
    def encoded(self) -> str:
        """Its 32 bytes in base64."""
        return base64.b64encode(self._raw).decode()

    @property
    def pem(self) -> bytes:
        """As a file has it."""
        return self.key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @property
    def fingerprint(self) -> str:
        """SHA-256 of its 32 bytes: what people compare."""
        return sha256(self._raw).hexdigest()

    def verifies(self, signature: str, data: bytes, what: Signed = "digest") -> bool:
        """Whether the key signed the bytes."""
        try:
            self.key.verify(base64.b64decode(signature, validate=True), _context(what) + data)
        except (InvalidSignature, ValueError):
            return False
        return True

    @property
    def _raw(self) -> bytes:
        return self.key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def public_path(path: Path) -> Path:
    """Where the public half of a signing key is."""
    return path.with_suffix(".pub.pem")
