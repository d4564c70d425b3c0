"""A store with what this process has just kept in front of it."""

from pathlib import Path

import pytest

from agentflow.adapters.directory_blobs import DirectoryBlobStore
from agentflow.adapters.memory_blobs import MemoryBlobStore
from agentflow.adapters.recent_blobs import RecentBlobs
from agentflow.contracts.wire import sha256_of

ROOT, OTHER_ROOT = sha256_of("root"), sha256_of("other root")
NAME, OTHER_NAME = sha256_of("name"), sha256_of("other name")


async def test_what_was_put_reaches_the_store() -> None:
    store = MemoryBlobStore()
    await RecentBlobs(store).put_all(ROOT, {NAME: b"text"})
    assert await store.get(ROOT, NAME) == b"text"


async def test_what_was_just_put_is_there_though_the_store_has_lost_it() -> None:
    recent = RecentBlobs(lost := MemoryBlobStore(max_bytes=0))
    await recent.put(ROOT, NAME, b"text")
    await recent.put(ROOT, OTHER_NAME, b"")
    assert await lost.get(ROOT, NAME) is None
    assert await recent.get(ROOT, NAME) == b"text"


async def test_what_is_not_recent_comes_from_the_store() -> None:
    store = MemoryBlobStore()
    await store.put(ROOT, NAME, b"text")
    assert await RecentBlobs(store).get(ROOT, NAME) == b"text"


async def test_it_remembers_up_to_its_bound() -> None:
    recent = RecentBlobs(MemoryBlobStore(max_bytes=0), max_bytes=10)
    await recent.put(ROOT, NAME, b"six  .")
    await recent.put(ROOT, OTHER_NAME, b"five.")
    assert [await recent.get(ROOT, name) for name in (NAME, OTHER_NAME)] == [None, b"five."]


async def test_roots_share_nothing() -> None:
    recent = RecentBlobs(MemoryBlobStore())
    await recent.put(ROOT, NAME, b"text")
    assert await recent.get(OTHER_ROOT, NAME) is None


async def test_a_store_that_cannot_be_written_is_told_and_what_was_put_is_there(tmp_path: Path) -> None:
    (blocked := tmp_path / "blobs").write_text("a file where the directory should be")
    recent = RecentBlobs(DirectoryBlobStore(blocked))
    with pytest.raises(OSError, match="blobs"):
        await recent.put(ROOT, NAME, b"text")
    assert await recent.get(ROOT, NAME) == b"text"
