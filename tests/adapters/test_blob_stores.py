"""What every blob store does."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from agentflow.adapters import s3_client
from agentflow.adapters.memory_blobs import MemoryBlobStore
from agentflow.adapters.stores import open_blobs
from agentflow.contracts.wire import Sha256, sha256_of
from agentflow.errors import ConfigurationError
from agentflow.ports.blobs import BlobStore
from tests.adapters.s3_server import S3Server

ROOT, OTHER_ROOT = sha256_of("root"), sha256_of("other root")
NAME, OTHER_NAME = sha256_of("name"), sha256_of("other name")


@dataclass(frozen=True)
class Places:
    """Makes stores; those of one place share what is in it."""

    kind: str
    directory: Path
    s3: S3Server
    bucket: str

    async def new(self) -> str:
        match self.kind:
            case "directory":
                return str(self.directory / "blobs")
            case "s3":
                return self.s3.url(self.bucket, f"team/{uuid4()}")
            case _:
                return "memory:"


@pytest.fixture(scope="module")
async def bucket(s3: S3Server) -> str:
    """SeaweedFS makes volumes for each bucket, so the tests share one where they can."""
    return await s3.new_bucket()


@pytest.fixture(params=["memory", "directory", "s3"])
async def places(request: pytest.FixtureRequest, tmp_path: Path, s3: S3Server, bucket: str) -> Places:
    return Places(request.param, tmp_path, s3, bucket)


@pytest.fixture
async def store(places: Places) -> BlobStore:
    return open_blobs(await places.new())


@pytest.mark.parametrize("data", [b"", b"text", bytes(range(256)) * 1000], ids=["empty", "text", "binary"])
async def test_what_was_put_is_there(store: BlobStore, data: bytes) -> None:
    await store.put(ROOT, NAME, data)
    assert await store.get(ROOT, NAME) == data


async def test_what_was_not_put_is_not_there(store: BlobStore) -> None:
    await store.put(ROOT, NAME, b"data")
    assert await store.get(ROOT, OTHER_NAME) is None
    assert await store.get(OTHER_ROOT, NAME) is None


async def test_of_an_object_that_somebody_made_too_long_no_more_is_read(
    s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_blobs(s3.url(bucket, f"team/{uuid4()}"))
    await store.put(ROOT, NAME, bytes(3_000_000))
    monkeypatch.setattr(s3_client, "MAX_OBJECT_BYTES", 2_000_000)
    assert await store.get(ROOT, NAME) is None


async def test_two_runs_keep_the_same_name_apart(store: BlobStore) -> None:
    await store.put(ROOT, NAME, b"ours")
    await store.put(OTHER_ROOT, NAME, b"theirs")
    assert (await store.get(ROOT, NAME), await store.get(OTHER_ROOT, NAME)) == (b"ours", b"theirs")


async def test_many_may_put_the_same_at_once(store: BlobStore) -> None:
    await asyncio.gather(*(store.put(ROOT, NAME, b"data" * 1000) for _ in range(20)))
    assert await store.get(ROOT, NAME) == b"data" * 1000


async def test_several_are_put_at_once(store: BlobStore) -> None:
    await store.put_all(ROOT, {NAME: b"one", OTHER_NAME: b"two"})
    assert (await store.get(ROOT, NAME), await store.get(ROOT, OTHER_NAME)) == (b"one", b"two")


async def test_other_bytes_under_a_name_mend_it(store: BlobStore) -> None:
    await store.put(ROOT, NAME, b"damaged")
    await store.put(ROOT, NAME, b"data")
    assert await store.get(ROOT, NAME) == b"data"


async def test_ten_megabytes_are_kept_whole(store: BlobStore) -> None:
    data = bytes(range(256)) * 40_000
    await store.put(ROOT, NAME, data)
    assert await store.get(ROOT, NAME) == data


async def test_what_one_worker_puts_another_finds(places: Places) -> None:
    if places.kind == "memory":
        pytest.skip("memory is a process's own")
    place = await places.new()
    await open_blobs(place).put(ROOT, NAME, b"data")
    assert await open_blobs(place).get(ROOT, NAME) == b"data"


# ---------------------------------------------------------------- memory


async def test_memory_forgets_the_oldest_beyond_its_bound() -> None:
    store = MemoryBlobStore(max_bytes=10)
    names = [sha256_of(number) for number in range(3)]
    for name in names:
        await store.put(ROOT, name, b"12345")
    assert [await store.get(ROOT, name) for name in names] == [None, b"12345", b"12345"]


async def test_memory_keeps_the_latest_blob_however_large() -> None:
    store = MemoryBlobStore(max_bytes=10)
    await store.put(ROOT, NAME, b"1")
    await store.put(ROOT, OTHER_NAME, b"x" * 100)
    assert (await store.get(ROOT, NAME), await store.get(ROOT, OTHER_NAME)) == (None, b"x" * 100)


async def test_a_blob_put_twice_takes_the_room_of_one() -> None:
    store = MemoryBlobStore(max_bytes=10)
    for _ in range(5):
        await store.put(ROOT, NAME, b"12345")
    await store.put(ROOT, OTHER_NAME, b"12345")
    assert await store.get(ROOT, NAME) == b"12345"


# ---------------------------------------------------------------- S3


async def objects(s3: S3Server, bucket: str, prefix: str) -> list[str]:
    found = await asyncio.to_thread(s3.client().list_objects_v2, Bucket=bucket, Prefix=prefix)
    return [entry["Key"] for entry in found.get("Contents", [])]


async def test_objects_are_under_the_prefix_and_the_run(s3: S3Server, bucket: str) -> None:
    await open_blobs(s3.url(bucket, "team/agents")).put(ROOT, NAME, b"data")
    assert await objects(s3, bucket, "team/agents/") == [f"team/agents/{ROOT}/{NAME}"]
    assert await open_blobs(s3.url(bucket, "another")).get(ROOT, NAME) is None


async def test_objects_are_encrypted_with_the_key_that_was_given(s3: S3Server, bucket: str) -> None:
    await open_blobs(s3.url(bucket, "secret", kms_key="alias-agents")).put(ROOT, NAME, b"data")
    (key,) = await objects(s3, bucket, "secret/")
    head: Any = await asyncio.to_thread(s3.client().head_object, Bucket=bucket, Key=key)
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "alias-agents")


async def test_a_bucket_that_is_not_there_is_said_so_with_what_to_do(s3: S3Server) -> None:
    store: Any = open_blobs(s3.url("no-such-bucket"))
    with pytest.raises(ConfigurationError, match=r"no-such-bucket.*make the bucket"):
        await store.check()


async def test_a_bucket_that_is_there_passes_the_check(s3: S3Server, bucket: str) -> None:
    store: Any = open_blobs(s3.url(bucket))
    await store.check()


async def test_a_store_that_is_down_is_read_as_empty_and_can_not_be_written() -> None:
    store: Any = open_blobs("s3://bucket/prefix?region=us-east-1&endpoint=http://127.0.0.1:9")
    await store.check()
    assert await store.get(ROOT, NAME) is None
    with pytest.raises(OSError, match=f"S3 bucket bucket at 127.0.0.1:9, key prefix/{ROOT}/{NAME}"):
        await store.put(ROOT, NAME, b"data")


# ---------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ftp://host/path",
        "s3://",
        "s3://bucket?color=red",
        "s3://bucket?region=",
        "s3://user:hunter2@bucket/prefix",
        "file://host/path",
        "file:",
        "memory:x",
    ],
)
def test_an_address_that_is_none_is_refused_without_being_quoted(address: str) -> None:
    with pytest.raises(ConfigurationError, match="is no address of a blob store") as caught:
        open_blobs(address)
    assert "hunter2" not in str(caught.value)


def test_credentials_in_an_endpoint_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="has a user in it") as caught:
        open_blobs("s3://bucket?endpoint=http://me:hunter2@host")
    assert "hunter2" not in str(caught.value)


async def test_a_directory_may_be_given_as_a_file_address(tmp_path: Path) -> None:
    await open_blobs(f"file://{tmp_path}/with%20space").put(Sha256(ROOT), NAME, b"data")
    assert await open_blobs(str(tmp_path / "with space")).get(ROOT, NAME) == b"data"
