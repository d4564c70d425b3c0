import asyncio
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.contracts.wire import Sha256, sha256_of
from agentflow.errors import EffectConflictError, LedgerError
from agentflow.ports.ledger import LedgerEntry

KEY, OTHER_KEY = sha256_of("key"), sha256_of("other key")
ARGUMENTS, OTHER_ARGUMENTS = sha256_of("arguments"), sha256_of("other arguments")
NOBODY = 65534


@pytest.fixture
def ledger(tmp_path: Path) -> SQLiteLedger:
    return SQLiteLedger(tmp_path / "state" / "ledger.sqlite")


async def claimed(ledger: SQLiteLedger, key: Sha256 = KEY) -> LedgerEntry:
    return await ledger.begin(key, "refund", ARGUMENTS)


async def test_the_first_to_begin_is_new_and_the_next_finds_the_intent(ledger: SQLiteLedger) -> None:
    assert await claimed(ledger) == LedgerEntry("new")
    assert await claimed(ledger) == LedgerEntry("intended")
    assert await claimed(ledger, OTHER_KEY) == LedgerEntry("new")


@pytest.mark.parametrize("state", ["done", "failed"])
async def test_an_ending_is_kept_with_its_result(ledger: SQLiteLedger, state: str) -> None:
    await claimed(ledger)
    await ledger.finish(KEY, state, b'{"output":1}')  # type: ignore[arg-type]
    assert await claimed(ledger) == LedgerEntry(state, b'{"output":1}')  # type: ignore[arg-type]


async def test_the_first_ending_stays(ledger: SQLiteLedger) -> None:
    await claimed(ledger)
    await ledger.finish(KEY, "done", b"first")
    await ledger.finish(KEY, "failed", b"second")
    assert await claimed(ledger) == LedgerEntry("done", b"first")


async def test_what_ended_can_not_be_withdrawn(ledger: SQLiteLedger) -> None:
    await claimed(ledger)
    await ledger.finish(KEY, "done", b"result")
    await ledger.withdraw(KEY)
    assert await claimed(ledger) == LedgerEntry("done", b"result")


async def test_a_withdrawn_intent_is_forgotten_and_no_other(ledger: SQLiteLedger) -> None:
    await claimed(ledger)
    await claimed(ledger, OTHER_KEY)
    await ledger.withdraw(KEY)
    assert await claimed(ledger) == LedgerEntry("new")
    assert await claimed(ledger, OTHER_KEY) == LedgerEntry("intended")


@pytest.mark.parametrize("ended", [False, True])
async def test_a_key_that_belongs_to_other_arguments_is_a_conflict(ledger: SQLiteLedger, ended: bool) -> None:
    await claimed(ledger)
    if ended:
        await ledger.finish(KEY, "done", b"result")
    with pytest.raises(EffectConflictError, match=f"{KEY}.*other arguments"):
        await ledger.begin(KEY, "refund", OTHER_ARGUMENTS)
    assert await claimed(ledger) == (LedgerEntry("done", b"result") if ended else LedgerEntry("intended"))


async def test_the_record_outlives_the_process(tmp_path: Path) -> None:
    await claimed(SQLiteLedger(tmp_path / "ledger.sqlite"))
    assert await claimed(SQLiteLedger(tmp_path / "ledger.sqlite")) == LedgerEntry("intended")


async def test_a_record_says_when_it_began_and_ended(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = SQLiteLedger(path)
    await claimed(ledger)
    await ledger.finish(KEY, "done", b"result")
    connection = sqlite3.connect(path)
    began, ended = connection.execute("SELECT created_at, ended_at FROM effects").fetchone()
    connection.close()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", began)
    assert began <= ended


# ---------------------------------------------------------------- many at once


def test_of_fifty_threads_one_wins(tmp_path: Path) -> None:
    together = threading.Barrier(50)

    def claim(number: int) -> str:
        # The file isn't there yet: making it is part of the race.
        ledger = SQLiteLedger(tmp_path / "ledger.sqlite")
        together.wait(timeout=60)
        return asyncio.run(claimed(ledger)).state

    with ThreadPoolExecutor(50) as threads:
        states = Counter(threads.map(claim, range(50)))
    assert states == {"new": 1, "intended": 49}


async def test_of_fifty_tasks_one_wins(ledger: SQLiteLedger) -> None:
    entries = await asyncio.gather(*(claimed(ledger) for _ in range(50)))
    assert Counter(entry.state for entry in entries) == {"new": 1, "intended": 49}


CLAIM_ALL = """
import asyncio, sys
from pathlib import Path
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.contracts.wire import sha256_of

async def main():
    ledger = SQLiteLedger(Path(sys.argv[1]))
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(20):
        print((await ledger.begin(sha256_of(number), "refund", sha256_of("arguments"))).state)

asyncio.run(main())
"""


def test_of_four_processes_one_wins_each_key(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CLAIM_ALL, str(tmp_path / "ledger.sqlite")]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path.cwd())
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    claims = [process.communicate(timeout=60)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    for states in zip(*claims, strict=True):
        assert Counter(states) == {"new": 1, "intended": 3}
    assert len(claims[0]) == 20


# ---------------------------------------------------------------- out of reach


@contextmanager
def nobody() -> Iterator[None]:
    """As a user whom file permissions stop, which they don't stop root from anything."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.fixture
def read_only_ledger() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "ledger.sqlite"
        asyncio.run(claimed(SQLiteLedger(path)))
        path.chmod(0o444)
        path.parent.chmod(0o555)
        yield path
        path.parent.chmod(0o755)


async def test_a_read_only_file_is_named_with_the_cause(read_only_ledger: Path) -> None:
    with nobody(), pytest.raises(LedgerError, match=re.escape(str(read_only_ledger))) as refused:
        await claimed(SQLiteLedger(read_only_ledger), OTHER_KEY)
    assert isinstance(refused.value.__cause__, sqlite3.OperationalError)
    assert str(refused.value.__cause__) in str(refused.value)


@pytest.mark.parametrize("operation", ["begin", "finish", "withdraw"])
async def test_no_operation_passes_over_a_file_that_is_no_database(tmp_path: Path, operation: str) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"this is a letter, not a database " * 50)
    ledger = SQLiteLedger(path)
    operations = {
        "begin": lambda: ledger.begin(KEY, "refund", ARGUMENTS),
        "finish": lambda: ledger.finish(KEY, "done", b""),
        "withdraw": lambda: ledger.withdraw(KEY),
    }
    with pytest.raises(LedgerError, match="file is not a database"):
        await operations[operation]()


async def test_a_directory_that_can_not_be_made_is_a_ledger_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match=r"file/ledger.sqlite can.t be used"):
        await claimed(SQLiteLedger(tmp_path / "file" / "ledger.sqlite"))


async def test_a_ledger_that_stays_locked_is_a_ledger_error(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = SQLiteLedger(path, busy_timeout_seconds=0.01)
    await claimed(ledger)
    holder = sqlite3.connect(path, isolation_level=None)
    try:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerError, match="locked"):
            await claimed(ledger, OTHER_KEY)
    finally:
        holder.close()
    assert await claimed(ledger, OTHER_KEY) == LedgerEntry("new")
