"""Wraps the keys of runs with AWS KMS: the files alone are worth nothing."""

from typing import Any

from agentflow.errors import AuditError


class KmsWrapper:
    """Encrypts each key under one KMS key, bound to the run's key id by the encryption context."""

    name = "aws-kms"

    def __init__(self, kms_key: str, *, region: str | None = None, endpoint: str | None = None) -> None:
        """Describe it. Credentials come from where boto3 finds them.

        Args:
            kms_key: Id, alias or ARN of a symmetric KMS key.
            region: By default what boto3 is configured to.
            endpoint: URL of another server that speaks KMS's language.

        Raises:
            AuditError: boto3 isn't configured.
        """
        # Here, since commands that use no KMS import this file too.
        import boto3.session  # pyright: ignore[reportMissingTypeStubs]
        from botocore.config import Config  # pyright: ignore[reportMissingTypeStubs]
        from botocore.exceptions import (  # pyright: ignore[reportMissingTypeStubs]
            BotoCoreError,
            ClientError,
        )

        self._kms_key = kms_key
        self._errors = (BotoCoreError, ClientError)
        config: Any = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 3})
        try:
            session: Any = boto3.session.Session()
            self._client: Any = session.client(
                "kms", region_name=region, endpoint_url=endpoint, config=config
            )
        except self._errors as error:
            raise AuditError(f"AWS KMS can't be used: {error}") from None

    def wrap(self, key_id: str, key: bytes) -> bytes:
        """The key, encrypted by KMS."""
        return self._call("encrypt", "CiphertextBlob", key_id, Plaintext=key)

    def unwrap(self, key_id: str, wrapped: bytes) -> bytes:
        """The key, decrypted by KMS."""
        return self._call("decrypt", "Plaintext", key_id, CiphertextBlob=wrapped)

    def _call(self, name: str, part: str, key_id: str, **request: Any) -> bytes:
        # What was wrapped for one run isn't unwrapped for another.
        context = {"agentflow:audit-key": key_id}
        try:
            call: Any = getattr(self._client, name)
            answer: bytes = call(KeyId=self._kms_key, EncryptionContext=context, **request)[part]
        except self._errors as error:
            raise AuditError(f"AWS KMS could not {name} with {self._kms_key}: {error}") from None
        return answer
