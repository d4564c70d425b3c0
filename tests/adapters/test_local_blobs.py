import asyncio
from pathlib import Path

import pytest

from agentflow.adapters.local_blobs import DirectoryBlobStore, MemoryBlobStore
from agentflow.contracts.wire import sha256_of
from agentflow.ports.blobs import BlobStore

ROOT, OTHER_ROOT = sha256_of("root"), sha256_of("other root")
NAME, OTHER_NAME = sha256_of("name"), sha256_of("other name")


@pytest.fixture(params=["memory", "directory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    return MemoryBlobStore() if request.param == "memory" else DirectoryBlobStore(tmp_path / "blobs")


@pytest.mark.parametrize("data", [b"", b"text", bytes(range(256)) * 1000], ids=["empty", "text", "binary"])
async def test_what_was_put_is_there(store: BlobStore, data: bytes) -> None:
    await store.put(ROOT, NAME, data)
    assert await store.get(ROOT, NAME) == data


async def test_what_was_not_put_is_not_there(store: BlobStore) -> None:
    await store.put(ROOT, NAME, b"data")
    assert await store.get(ROOT, OTHER_NAME) is None
    assert await store.get(OTHER_ROOT, NAME) is None


async def test_two_runs_keep_the_same_name_apart(store: BlobStore) -> None:
    await store.put(ROOT, NAME, b"ours")
    await store.put(OTHER_ROOT, NAME, b"theirs")
    assert (await store.get(ROOT, NAME), await store.get(OTHER_ROOT, NAME)) == (b"ours", b"theirs")


async def test_many_may_put_the_same_at_once(store: BlobStore) -> None:
    await asyncio.gather(*(store.put(ROOT, NAME, b"data" * 1000) for _ in range(20)))
    assert await store.get(ROOT, NAME) == b"data" * 1000


async def test_only_whole_blobs_are_in_the_directory(tmp_path: Path) -> None:
    store = DirectoryBlobStore(tmp_path)
    await asyncio.gather(*(store.put(ROOT, NAME, b"data") for _ in range(20)))
    assert [file.name for file in (tmp_path / ROOT).iterdir()] == [NAME]


async def test_a_directory_outlives_the_process_and_is_shared(tmp_path: Path) -> None:
    await DirectoryBlobStore(tmp_path).put(ROOT, NAME, b"data")
    assert await DirectoryBlobStore(tmp_path).get(ROOT, NAME) == b"data"


async def test_a_whole_blob_is_not_written_again(tmp_path: Path) -> None:
    store = DirectoryBlobStore(tmp_path)
    await store.put(ROOT, NAME, b"data")
    before = (tmp_path / ROOT / NAME).stat().st_ino
    await store.put(ROOT, NAME, b"data")
    assert (tmp_path / ROOT / NAME).stat().st_ino == before


async def test_a_damaged_blob_is_mended(tmp_path: Path) -> None:
    store = DirectoryBlobStore(tmp_path)
    await store.put(ROOT, NAME, b"data")
    (tmp_path / ROOT / NAME).write_bytes(b"")
    await store.put(ROOT, NAME, b"data")
    assert await store.get(ROOT, NAME) == b"data"


async def test_a_directory_that_can_not_be_written_says_so_and_is_read_as_empty(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = DirectoryBlobStore(tmp_path / "file")
    with pytest.raises(NotADirectoryError):
        await store.put(ROOT, NAME, b"data")
    assert await store.get(ROOT, NAME) is None


async def test_a_blob_that_can_not_be_put_in_place_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / ROOT / NAME).mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        await DirectoryBlobStore(tmp_path).put(ROOT, NAME, b"data")
    assert [file.name for file in (tmp_path / ROOT).iterdir()] == [NAME]


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
