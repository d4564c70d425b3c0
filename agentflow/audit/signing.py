"""Who vouches for a bundle: an Ed25519 key (RFC 8032)."""

import base64
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from agentflow.adapters.whole_file import write_whole
from agentflow.errors import AuditError

_CONTEXT = b"agentflow audit digest v1\n"
"""What is signed begins with it: a signature made for something else is none here."""


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
                made = cls(Ed25519PrivateKey.generate())
                write_whole(public_path(path), made.public.pem, mode=0o644)
                write_whole(path, made._pem)
                return made
            key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise AuditError(f"the signing key {path} can't be used: {error}") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise AuditError(f"the signing key {path} is no Ed25519 key")
        return cls(key)

    @property
    def public(self) -> "ExportVerifier":
        """The public half."""
        return ExportVerifier(self.key.public_key())

    def signature(self, data: bytes) -> str:
        """Of bytes, in base64."""
        return base64.b64encode(self.key.sign(_CONTEXT + data)).decode()

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

    def verifies(self, signature: str, data: bytes) -> bool:
        """Whether the key signed the bytes."""
        try:
            self.key.verify(base64.b64decode(signature, validate=True), _CONTEXT + data)
        except (InvalidSignature, ValueError):
            return False
        return True

    @property
    def _raw(self) -> bytes:
        return self.key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def public_path(path: Path) -> Path:
    """Where the public half of a signing key is."""
    return path.with_suffix(".pub.pem")
