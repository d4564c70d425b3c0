import os
import resource
import shutil
import signal
from pathlib import Path

import pytest

from agentflow.adapters.directory_blobs import MAX_RUNS, DirectoryBlobStore
from agentflow.contracts.wire import sha256_of

ROOT, OTHER_ROOT = sha256_of("root"), sha256_of("other root")
NAME, OTHER_NAME = sha256_of("name"), sha256_of("other name")


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


def open_packs(directory: Path) -> dict[str, bool]:
    """Of each run, whether this process has its pack open."""
    opened = {os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")}
    return {path.parent.name: str(path) in opened for path in directory.glob("*/*.pack")}


async def test_more_runs_than_are_remembered_are_all_there(tmp_path: Path) -> None:
    store = DirectoryBlobStore(tmp_path)
    roots = [sha256_of(number) for number in range(MAX_RUNS + 5)]
    for root in roots:
        await store.put(root, NAME, root.encode())
    assert [await store.get(root, NAME) for root in roots] == [root.encode() for root in roots]


async def test_of_long_runs_only_the_latest_are_remembered_and_all_are_there(tmp_path: Path) -> None:
    store = DirectoryBlobStore(tmp_path, max_places=25)
    roots = [sha256_of(f"run {number}") for number in range(6)]
    names = [sha256_of(f"blob {number}") for number in range(10)]
    for root in roots:
        for name in names:
            await store.put(root, name, root.encode())
    assert open_packs(tmp_path) == {root: root in roots[-2:] for root in roots}
    for root in roots:
        assert [await store.get(root, name) for name in names] == [root.encode()] * 10
    assert sum(open_packs(tmp_path).values()) <= 2


async def test_a_run_that_was_forgotten_and_goes_on_has_what_it_had(tmp_path: Path) -> None:
    store = DirectoryBlobStore(tmp_path, max_places=1)
    await store.put(ROOT, NAME, b"data")
    await store.put(sha256_of("another run"), NAME, b"its own")
    await store.put(ROOT, OTHER_NAME, b"more")
    assert (await store.get(ROOT, NAME), await store.get(ROOT, OTHER_NAME)) == (b"data", b"more")


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
