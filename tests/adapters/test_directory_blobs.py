import asyncio
import resource
import shutil
import signal
from pathlib import Path

import pytest

from agentflow.adapters.directory_blobs import MAX_RUNS, DirectoryBlobStore
from agentflow.adapters.memory_blobs import MemoryBlobStore
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


async def test_several_are_put_at_once(store: BlobStore) -> None:
    await store.put_all(ROOT, {NAME: b"one", OTHER_NAME: b"two"})
    assert (await store.get(ROOT, NAME), await store.get(ROOT, OTHER_NAME)) == (b"one", b"two")


async def test_other_bytes_under_a_name_mend_it(store: BlobStore) -> None:
    await store.put(ROOT, NAME, b"damaged")
    await store.put(ROOT, NAME, b"data")
    assert await store.get(ROOT, NAME) == b"data"


def pack(directory: Path) -> Path:
    (found,) = (directory / ROOT).iterdir()
    return found


async def test_a_run_takes_one_file_of_each_worker(tmp_path: Path) -> None:
    for store in (DirectoryBlobStore(tmp_path), DirectoryBlobStore(tmp_path)):
        for number in range(50):
            await store.put(ROOT, sha256_of(number), b"data")
    assert len(list((tmp_path / ROOT).iterdir())) == 2


async def test_a_directory_outlives_the_process_and_is_shared(tmp_path: Path) -> None:
    await DirectoryBlobStore(tmp_path).put(ROOT, NAME, b"data")
    assert await DirectoryBlobStore(tmp_path).get(ROOT, NAME) == b"data"


async def test_what_another_worker_appends_later_is_found(tmp_path: Path) -> None:
    ours, theirs = DirectoryBlobStore(tmp_path), DirectoryBlobStore(tmp_path)
    for number in range(3):
        await theirs.put(ROOT, sha256_of(number), str(number).encode())
        assert await ours.get(ROOT, sha256_of(number)) == str(number).encode()


async def test_a_whole_blob_is_not_written_again(tmp_path: Path) -> None:
    store = DirectoryBlobStore(tmp_path)
    await store.put(ROOT, NAME, b"data")
    before = pack(tmp_path).stat().st_size
    await store.put(ROOT, NAME, b"data")
    assert pack(tmp_path).stat().st_size == before


async def test_a_blob_that_was_altered_by_a_byte_is_missing_and_is_mended(tmp_path: Path) -> None:
    store = DirectoryBlobStore(tmp_path)
    await store.put_all(ROOT, {NAME: b"data", OTHER_NAME: b"more"})
    pack(tmp_path).write_bytes(pack(tmp_path).read_bytes().replace(b"data", b"dat4"))
    for reader in (store, DirectoryBlobStore(tmp_path)):
        assert await reader.get(ROOT, NAME) is None
        assert await reader.get(ROOT, OTHER_NAME) == b"more"
    await store.put(ROOT, NAME, b"data")
    for reader in (store, DirectoryBlobStore(tmp_path)):
        assert await reader.get(ROOT, NAME) == b"data"


async def test_a_blob_whose_writer_died_halfway_is_missing_and_the_ones_before_are_there(
    tmp_path: Path,
) -> None:
    await DirectoryBlobStore(tmp_path).put_all(ROOT, {NAME: b"data", OTHER_NAME: b"x" * 1_000})
    whole = pack(tmp_path).read_bytes()
    for length in (len(whole) - 1, len(whole) - 1_000, len(whole) - 1_040):
        pack(tmp_path).write_bytes(whole[:length])
        reader = DirectoryBlobStore(tmp_path)
        assert await reader.get(ROOT, NAME) == b"data"
        assert await reader.get(ROOT, OTHER_NAME) is None


async def test_a_pack_of_something_else_is_ignored(tmp_path: Path) -> None:
    store = DirectoryBlobStore(tmp_path)
    await store.put(ROOT, NAME, b"data")
    (tmp_path / ROOT / "0.pack").write_bytes(b"not a pack, whatever its name says " * 10)
    assert await DirectoryBlobStore(tmp_path).get(ROOT, NAME) == b"data"


async def test_blobs_put_after_the_directory_was_taken_away_are_there(tmp_path: Path) -> None:
    store = DirectoryBlobStore(tmp_path / "blobs")
    await store.put(ROOT, NAME, b"data")
    shutil.rmtree(tmp_path / "blobs")
    assert await store.get(ROOT, NAME) is None
    await store.put(ROOT, OTHER_NAME, b"more")
    assert await DirectoryBlobStore(tmp_path / "blobs").get(ROOT, OTHER_NAME) == b"more"


async def test_more_runs_than_are_remembered_are_all_there(tmp_path: Path) -> None:
    store = DirectoryBlobStore(tmp_path)
    roots = [sha256_of(number) for number in range(MAX_RUNS + 5)]
    for root in roots:
        await store.put(root, NAME, root.encode())
    assert [await store.get(root, NAME) for root in roots] == [root.encode() for root in roots]


async def test_a_blob_that_does_not_fit_leaves_the_ones_before_and_after_whole(tmp_path: Path) -> None:
    store = DirectoryBlobStore(tmp_path)
    await store.put(ROOT, NAME, b"data")
    size = pack(tmp_path).stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, hard))
    try:
        with pytest.raises(OSError, match="large"):
            await store.put(ROOT, OTHER_NAME, b"x" * 1_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    await store.put(ROOT, OTHER_NAME, b"more")
    reader = DirectoryBlobStore(tmp_path)
    assert (await reader.get(ROOT, NAME), await reader.get(ROOT, OTHER_NAME)) == (b"data", b"more")


async def test_a_directory_that_can_not_be_written_says_so_and_is_read_as_empty(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = DirectoryBlobStore(tmp_path / "file")
    with pytest.raises(NotADirectoryError):
        await store.put(ROOT, NAME, b"data")
    assert await store.get(ROOT, NAME) is None


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
