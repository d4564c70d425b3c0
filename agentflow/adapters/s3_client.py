"""boto3's S3 client, in threads, with time limits and errors that say where."""

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, Protocol, TypeVar, cast
from urllib.parse import urlsplit

import boto3.session  # pyright: ignore[reportMissingTypeStubs]
from botocore.config import Config  # pyright: ignore[reportMissingTypeStubs]
from botocore.exceptions import (  # pyright: ignore[reportMissingTypeStubs]
    BotoCoreError,
    ClientError,
    NoRegionError,
)

from agentflow.core.durations import checked
from agentflow.errors import ConfigurationError

ResultT = TypeVar("ResultT")

CONNECTIONS = 20
"""Requests at once, of one store in one process."""
MAX_OBJECT_BYTES = 256 * 1024 * 1024
"""Of an object that is read; nothing that agentflow writes is as long."""
_PIECE = 1024 * 1024
_MISSING = ("NoSuchKey", "404", "NotFound")
_TAKEN = ("PreconditionFailed", "412", "ConditionalRequestConflict", "409")


class S3Error(OSError):
    """S3 can't be reached, or refused a request; the text has the bucket, the key and the cause."""


class _Client(Protocol):
    """What is used of boto3's client."""

    def get_object(self, **request: Any) -> Any: ...
    def put_object(self, **request: Any) -> Any: ...
    def head_object(self, **request: Any) -> Any: ...
    def list_object_versions(self, **request: Any) -> Any: ...
    def head_bucket(self, **request: Any) -> Any: ...


class S3Bucket:
    """One bucket of S3, or of a server that speaks its language. Connects when it is first used."""

    def __init__(
        self,
        bucket: str,
        *,
        region: str | None = None,
        endpoint: str | None = None,
        kms_key: str | None = None,
        timeout: timedelta = timedelta(seconds=5),
    ) -> None:
        """Describe the bucket. Credentials come from where boto3 finds them, never from here.

        Args:
            bucket: Its name.
            region: By default what boto3 is configured to.
            endpoint: URL of an S3-compatible server; by default AWS.
            kms_key: Id, alias or ARN of the KMS key that objects are encrypted with (SSE-KMS); by default the
                bucket's own setting.
            timeout: How long one request may take. It is tried twice.

        Raises:
            ConfigurationError: there are credentials in the endpoint.
        """
        if endpoint and "@" in urlsplit(endpoint).netloc:
            raise ConfigurationError(
                f"the endpoint of S3 bucket {bucket} has a user in it: give boto3 the credentials by its "
                "environment variables, a profile or a role"
            )
        self.name = bucket
        self.place: str = f"S3 bucket {bucket}" + (f" at {urlsplit(endpoint).netloc}" if endpoint else "")
        self._region = region
        self._endpoint = endpoint
        self._encryption: dict[str, str] = (
            {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key} if kms_key else {}
        )
        self._seconds = checked("timeout", timeout).total_seconds()
        self._client: _Client | None = None
        self._one_maker = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._process = os.getpid()

    async def versions(self, prefix: str) -> list[tuple[str, str]]:
        """The keys below a prefix, each with its versions, hidden ones too; of a deletion there is none.

        Raises:
            S3Error: S3 can't be asked.
        """

        def read(client: _Client) -> list[tuple[str, str]]:
            found: list[tuple[str, str]] = []
            asked: dict[str, str] = {}
            while True:
                page = client.list_object_versions(Bucket=self.name, Prefix=prefix, **asked)
                found += [(each["Key"], each["VersionId"]) for each in page.get("Versions", ())]
                if not page.get("IsTruncated"):
                    return found
                asked = {
                    "KeyMarker": page["NextKeyMarker"],
                    "VersionIdMarker": page.get("NextVersionIdMarker", ""),
                }

        try:
            return await self._call(read, prefix)
        except _RefusedError as refused:
            raise refused.error from None

    async def get(self, key: str, version: str | None = None) -> bytes | None:
        """An object's bytes, or ``None`` if there is no such object.

        Raises:
            S3Error: S3 can't be asked.
        """

        def read(client: _Client) -> bytes:
            which = {"VersionId": version} if version else {}
            found = bytearray()
            body = client.get_object(Bucket=self.name, Key=key, **which)["Body"]
            # To its end: only there boto3 looks whether all of it came.
            while piece := body.read(_PIECE):
                found += piece
                if len(found) > MAX_OBJECT_BYTES:
                    body.close()
                    raise OSError(f"the object is longer than {MAX_OBJECT_BYTES} bytes")
            return bytes(found)

        try:
            return await self._call(read, key)
        except _RefusedError as refused:
            if refused.code in _MISSING:
                return None
            raise refused.error from None

    async def put(self, key: str, data: bytes, *, if_absent: bool = False, **more: Any) -> bool:
        """Put an object. Answer whether it was written: with ``if_absent``, not if there is one already.

        Args:
            key: The object's.
            data: What is in it.
            if_absent: Write over nothing.
            **more: Of S3's ``PutObject``, such as its metadata.

        Raises:
            S3Error: it could not be written.
        """
        condition = {"IfNoneMatch": "*"} if if_absent else {}
        request: dict[str, Any] = {**condition, **self._encryption, **more}

        def write(client: _Client) -> bool:
            client.put_object(Bucket=self.name, Key=key, Body=data, **request)
            return True

        try:
            return await self._call(write, key)
        except _RefusedError as refused:
            if if_absent and refused.code in _TAKEN:
                return False
            raise refused.error from None

    async def exists(self, key: str) -> bool:
        """Whether there is an object.

        Raises:
            S3Error: S3 can't be asked.
        """
        return await self.head(key) is not None

    async def head(self, key: str) -> dict[str, Any] | None:
        """What S3 says of an object (``HeadObject``), or ``None`` if there is none.

        Raises:
            S3Error: S3 can't be asked.
        """
        try:
            return await self._call(lambda client: client.head_object(Bucket=self.name, Key=key), key)
        except _RefusedError as refused:
            if refused.code in _MISSING:
                return None
            raise refused.error from None

    async def check(self) -> None:
        """See whether the bucket can be used.

        Raises:
            ConfigurationError: there is no such bucket, or these credentials may not use it.
            S3Error: S3 can't be reached now.
        """
        try:
            await self._call(lambda client: client.head_bucket(Bucket=self.name), "")
        except _RefusedError as refused:
            raise ConfigurationError(
                f"{refused.error}: make the bucket, and allow s3:ListBucket, s3:GetObject and s3:PutObject"
            ) from refused.error

    async def _call(self, work: Callable[[_Client], ResultT], key: str) -> ResultT:
        where = f"{self.place}, key {key}" if key else self.place
        limit = 3 * self._seconds
        try:
            # A request has its own time limits; looking up a name or credentials has none.
            async with asyncio.timeout(limit):
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(self._threads(), lambda: work(self._made()))
        except TimeoutError as error:
            raise S3Error(f"{where}: no answer within {limit:g} s") from error
        except ClientError as error:
            code: str = cast(Any, error).response.get("Error", {}).get("Code", "")
            raise _RefusedError(code, S3Error(f"{where}: {error}")) from error
        except (BotoCoreError, OSError) as error:
            raise S3Error(f"{where}: {error}") from error

    def _threads(self) -> ThreadPoolExecutor:
        # Neither the threads nor the connections may be used in a fork of the process.
        if self._pool is None or self._process != os.getpid():
            self._process, self._client = os.getpid(), None
            self._pool = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="agentflow-s3")
        return self._pool

    def _made(self) -> _Client:
        # Made in a thread: boto3 reads megabytes of JSON for it.
        with self._one_maker:
            if self._client is None:
                self._client = self._new_client()
        return self._client

    def _new_client(self) -> _Client:
        config = Config(
            connect_timeout=max(1, self._seconds / 2),
            read_timeout=self._seconds,
            max_pool_connections=CONNECTIONS,
            retries={"mode": "standard", "total_max_attempts": 2},
            # Servers other than AWS need not know a bucket's own host name.
            s3={"addressing_style": "path"} if self._endpoint else None,
        )
        try:
            session: Any = cast(Any, boto3.session).Session(region_name=self._region)
            client: _Client = session.client("s3", endpoint_url=self._endpoint, config=config)
        except (NoRegionError, ValueError) as error:
            raise ConfigurationError(
                f"{self.place} can't be used: {error} (give s3://BUCKET/PREFIX?region=…&endpoint=…, or set "
                "AWS_REGION)"
            ) from error
        return client


class _RefusedError(Exception):
    """S3 refused a request; ``code`` is its word for why."""

    def __init__(self, code: str, error: S3Error) -> None:
        super().__init__(code)
        self.code = code
        self.error = error
