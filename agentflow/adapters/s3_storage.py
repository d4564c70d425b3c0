"""Temporal's S3 driver for big single values, on boto3."""

from collections.abc import Mapping

from temporalio.contrib.aws.s3driver import S3StorageDriver, S3StorageDriverClient

from agentflow.adapters.s3_client import S3Bucket, S3Error

MAX_OBJECT_BYTES = 50 * 1024 * 1024


def s3_storage_driver(bucket: str, prefix: str = "", **options: str) -> S3StorageDriver:
    """The driver for one bucket.

    Args:
        bucket: Its name.
        prefix: Put before the driver's own keys.
        **options: Of ``S3Bucket``: region, endpoint, kms_key.
    """
    client = BotoStorageClient(S3Bucket(bucket, **options), prefix)  # type: ignore[arg-type]
    return S3StorageDriver(client, bucket=bucket, max_payload_size=MAX_OBJECT_BYTES)


class BotoStorageClient(S3StorageDriverClient):
    """What the driver asks of S3, answered by boto3. Temporal's own client needs aioboto3, which pins it."""

    def __init__(self, bucket: S3Bucket, prefix: str = "") -> None:
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    async def put_object(self, *, bucket: str, key: str, data: bytes) -> None:
        """Upload an object."""
        await self._bucket.put(self._prefix + key, data)

    async def object_exists(self, *, bucket: str, key: str) -> bool:
        """Whether there is an object."""
        return await self._bucket.exists(self._prefix + key)

    async def get_object(self, *, bucket: str, key: str) -> bytes:
        """Download an object.

        Raises:
            S3Error: there is none, or S3 can't be asked.
        """
        data = await self._bucket.get(self._prefix + key)
        if data is None:
            raise S3Error(f"{self._bucket.place}, key {self._prefix + key}: no such object")
        return data

    def describe(self) -> Mapping[str, str]:
        """Where it is, for the driver's errors."""
        return {"place": self._bucket.place, "prefix": self._prefix}
