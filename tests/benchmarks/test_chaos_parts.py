"""What does harm in a chaos run does it: deaths in a write, clocks, disks, cut connections, changed rows."""

import asyncio
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from agentflow.adapters.process import HOST
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.contracts.effects import EffectRecord
from agentflow.contracts.wire import sha256_of
from benchmarks.chaos.cutting import CuttingProxy
from benchmarks.chaos.rows import SQLiteRows


def record(name: str, workflow_id: str = "refund-1") -> EffectRecord:
    return EffectRecord.model_validate(
        {
            "key": sha256_of(name),
            "namespace": "default",
            "workflow_id": workflow_id,
            "run_id": "r",
            "tool": "t",
            "tool_call_id": "c",
            "arguments_hash": sha256_of("a"),
            "owner": "o",
            "lease": timedelta(seconds=1),
        }
    )


def python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """In a process of its own, as what is tried here would spoil this one."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)


_DOOMED = """
import asyncio, sys
from pathlib import Path
from agentflow.testing import MemoryLedger
from benchmarks.chaos.doom import Doom
from tests.benchmarks.test_chaos_parts import record

async def write():
    moments = {"refund-1": ("before_end", "after_intend")}
    ledger = Doom(MemoryLedger(), moments, Path(sys.argv[1]))
    intent = record("one")
    await ledger.insert(record("other", "refund-2"))
    await ledger.insert(intent)
    print("intended", flush=True)
    await ledger.replace(intent.model_copy(update={"state": "done"}), version=1)
    print("done")

asyncio.run(write())
"""


def test_two_deaths_in_one_write_come_in_their_order_and_once_each(tmp_path: Path) -> None:
    first, second, third = (python(_DOOMED, tmp_path) for _ in range(3))
    assert (first.returncode, first.stdout.split()) == (-signal.SIGKILL, ["intended"])
    assert (second.returncode, second.stdout) == (-signal.SIGKILL, "")
    assert (third.returncode, third.stdout.split()) == (0, ["intended", "done"])
    assert {mark.name for mark in (tmp_path / "deaths").iterdir()} == {"refund-1.0", "refund-1.1"}


_SHIFTED = """
import datetime, time
from agentflow.activity import permits
from agentflow.adapters import sqlite_ledger
from benchmarks.chaos.clock import shift

right = time.time()
shift(400 * 86_400)
days = [
    (time.time() - right) / 86_400,
    (sqlite_ledger._now_us() / 1e6 - right) / 86_400,
    (permits.datetime.now(datetime.UTC).timestamp() - right) / 86_400,
]
print(*(round(day) for day in days), isinstance(datetime.datetime.now(), permits.datetime))
"""


def test_a_shifted_clock_is_what_agentflow_sees() -> None:
    assert python(_SHIFTED).stdout.split() == ["400", "400", "400", "True"]


_FULL = """
import asyncio, sys
from pathlib import Path
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.errors import LedgerError
from benchmarks.chaos.disk import FullDisk
from tests.benchmarks.test_chaos_parts import record

async def fill(path):
    ledger = FullDisk(SQLiteLedger(path), path, "1")
    kept, failed = [], 0
    for number in range(60):
        one = record(f"{number}")
        try:
            assert await ledger.insert(one)
            kept.append(one.key)
        except LedgerError:
            failed += 1
    there = [await ledger.get(key) is not None for key in kept]
    print(failed > 5, len(kept) > 5, all(there))

asyncio.run(fill(Path(sys.argv[1])))
"""


def test_a_full_disk_fails_some_writes_and_loses_none_that_was_taken(tmp_path: Path) -> None:
    ended = python(_FULL, tmp_path / "ledger.sqlite")
    assert ended.stdout.split() == ["True", "True", "True"], ended.stderr


async def test_a_cutting_proxy_ends_some_connections_in_the_middle_of_a_message() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1_000):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, HOST, 0)
    port = server.sockets[0].getsockname()[1]

    async def heard(proxy: CuttingProxy) -> int:
        reader, writer = await asyncio.open_connection(HOST, proxy.port)
        writer.write(b"x" * 8_000)
        try:
            return len(await reader.readexactly(8_000))
        except asyncio.IncompleteReadError as error:
            return len(error.partial)
        except ConnectionError:
            return 0
        finally:
            writer.close()

    async with server, CuttingProxy(lambda: asyncio.open_connection(HOST, port), seed=1) as proxy:
        lengths = [await heard(proxy) for _ in range(20)]
    assert 0 < sum(length < 8_000 for length in lengths) < 20
    assert proxy.cuts == sum(length < 8_000 for length in lengths)


@pytest.fixture
async def ledger(tmp_path: Path) -> SQLiteLedger:
    ledger = SQLiteLedger(tmp_path / "ledger.sqlite")
    await ledger.insert(record("one"))
    return ledger


async def test_rows_are_changed_and_deleted_past_the_ledger(ledger: SQLiteLedger, tmp_path: Path) -> None:
    rows, key = SQLiteRows(tmp_path / "ledger.sqlite"), sha256_of("one")
    assert rows.change("refund-1", {"attempts": 0}) == 1
    stored = await ledger.get(key)
    assert stored is not None
    assert stored.record.attempts == 0
    assert rows.delete("refund-1") == 1
    assert await ledger.get(key) is None
    await ledger.close()


async def test_a_restored_backup_lacks_what_was_written_after_it(
    ledger: SQLiteLedger, tmp_path: Path
) -> None:
    rows = SQLiteRows(tmp_path / "ledger.sqlite")
    backup = rows.backup()
    await ledger.insert(record("two", "refund-2"))
    await ledger.close()
    assert rows.knows(backup, "refund-1")
    assert not rows.knows(backup, "refund-2")
    rows.restore(backup)
    assert await ledger.get(sha256_of("one")) is not None
    assert await ledger.get(sha256_of("two")) is None
    await ledger.close()
