"""What is special about a ledger in a file: the file itself, and the processes that share it."""

# ruff: noqa: ASYNC240 - a test may touch a file while nothing else runs

import asyncio
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.contracts.effects import EffectQuery
from agentflow.errors import ConfigurationError, LedgerError
from tests.adapters.ledger_places import record

NOBODY = 65534
PROJECT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.sqlite"


@pytest.fixture
async def ledger(path: Path) -> AsyncIterator[SQLiteLedger]:
    ledger = SQLiteLedger(path)
    yield ledger
    await ledger.close()


async def tools_in(ledger: SQLiteLedger) -> list[str]:
    return [effect.record.tool for effect in (await ledger.find(EffectQuery())).effects]


def program(text: str) -> list[str]:
    """A command that runs a program with what these programs need."""
    start = """
        import asyncio, os, signal, sqlite3, sys
        from pathlib import Path
        from agentflow.adapters.sqlite_ledger import SQLiteLedger
        from agentflow.contracts.wire import sha256_of
        from agentflow.errors import LedgerError
        from tests.adapters.ledger_places import record
    """
    return [sys.executable, "-c", textwrap.dedent(start) + textwrap.dedent(text)]


def ran(text: str, *arguments: object, code: int = 0) -> str:
    """What a program printed in a process of its own."""
    command = [*program(text), *map(str, arguments)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout.strip()


# ---------------------------------------------------------------- the file


async def test_the_file_and_its_folder_are_made_by_the_first_use(path: Path, ledger: SQLiteLedger) -> None:
    assert not path.parent.exists()
    await ledger.check()
    assert path.exists()


async def test_the_last_to_close_leaves_one_file_with_everything(path: Path, ledger: SQLiteLedger) -> None:
    await ledger.insert(record())
    await ledger.close()
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    shutil.copy(path, path.parent / "copy.sqlite")
    assert await tools_in(SQLiteLedger(path.parent / "copy.sqlite")) == ["pay"]


async def test_columns_have_types_that_the_database_holds_to(path: Path, ledger: SQLiteLedger) -> None:
    await ledger.insert(record())
    with closing(sqlite3.connect(path)) as connection, pytest.raises(sqlite3.IntegrityError):
        connection.execute("UPDATE agentflow_effects SET attempts = 'many'")


async def test_a_relative_path_is_told_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert repr(SQLiteLedger(Path("ledger.sqlite"))) == f"SQLiteLedger('{tmp_path}/ledger.sqlite')"


async def test_a_file_of_a_newer_version_is_refused_with_what_to_do(path: Path, ledger: SQLiteLedger) -> None:
    await ledger.close()
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(ConfigurationError, match=rf"{path} is of version 99.*upgrade agentflow-temporal"):
        await ledger.check()


async def test_a_migration_that_fails_leaves_the_file_as_it_was(path: Path, ledger: SQLiteLedger) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        # The name of the last index: everything before it works.
        connection.execute("CREATE TABLE agentflow_effects_ended (x)")
    with pytest.raises(LedgerError, match="agentflow_effects_ended"):
        await ledger.insert(record())
    with closing(sqlite3.connect(path)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master")]
        version = connection.execute("PRAGMA user_version").fetchone()
    assert (names, version) == (["agentflow_effects_ended"], (0,))


async def test_a_record_that_can_not_be_understood_is_named(path: Path, ledger: SQLiteLedger) -> None:
    await ledger.insert(record())
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE agentflow_effects SET attempts = -1")
    with pytest.raises(LedgerError, match=f"{path}.*{record().key}.*attempts"):
        await ledger.get(record().key)


# ---------------------------------------------------------------- many processes


def side_by_side(text: str, path: Path, *, rounds: int = 1, count: int = 4) -> list[list[str]]:
    """What so many processes answer in each round, which all of them begin at once.

    A round is ``one_round(path, number)``, which the text defines. The processes are forked before anything is open.
    """
    loop = f"""
        import json

        pipes = [(os.pipe(), os.pipe()) for _ in range({count})]
        for (asked, _), (_, said) in pipes:
            if not os.fork():
                signal.alarm(60)  # it must not outlive the test
                with asyncio.Runner() as runner, open(asked) as numbers, open(said, "w") as answers:
                    for number in numbers:
                        answer = runner.run(one_round(Path(sys.argv[1]), int(number)))
                        print(answer, file=answers, flush=True)
                        if int(number) == {rounds} - 1:
                            os._exit(0)
        answers = [open(said) for _, (said, _) in pipes]
        for _, (_, said) in pipes:
            os.close(said)  # who waits for one that died reads the end
        told = []
        for number in range({rounds}):
            for (_, ask), _ in pipes:
                os.write(ask, b"%d\\n" % number)
            told.append([answer.readline().strip() for answer in answers])
        print(json.dumps(told))
    """
    return json.loads(ran(textwrap.dedent(text) + textwrap.dedent(loop), path))


def test_of_four_processes_one_wins_each_key(path: Path) -> None:
    said = side_by_side(
        """
        ledgers = {}

        async def one_round(path, number):
            ledger = ledgers.setdefault(path, SQLiteLedger(path))
            return await ledger.insert(record(number))
        """,
        path,
        rounds=100,
    )
    assert [sorted(answers) for answers in said] == [["False", "False", "False", "True"]] * 100


def test_no_change_of_four_processes_gets_lost(path: Path) -> None:
    side_by_side(
        """
        async def one_round(path, number):
            ledger = SQLiteLedger(path)
            await ledger.insert(record(attempts=1))
            changed = 0
            while changed < 25:
                found = await ledger.get(record().key)
                more = found.record.model_copy(update={"attempts": found.record.attempts + 1})
                changed += await ledger.replace(more, version=found.version)
        """,
        path,
    )
    found = asyncio.run(SQLiteLedger(path).get(record().key))
    assert found is not None
    assert (found.record.attempts, found.version) == (101, 101)


def test_processes_that_make_a_file_at_once_do_not_fail(tmp_path: Path) -> None:
    said = side_by_side(
        """
        async def one_round(path, number):
            ledger = SQLiteLedger(path / f"{number}.sqlite")
            try:
                return await ledger.insert(record())
            except LedgerError as error:
                return error
            finally:
                await ledger.close()
        """,
        tmp_path,
        rounds=100,
    )
    assert [sorted(answers) for answers in said] == [["False", "False", "False", "True"]] * 100


def test_a_record_outlives_its_process_however_that_ends(path: Path) -> None:
    ran(
        """
        async def main():
            await SQLiteLedger(Path(sys.argv[1])).insert(record())
            os.kill(os.getpid(), signal.SIGKILL)

        asyncio.run(main())
        """,
        path,
        code=-signal.SIGKILL,
    )
    found = asyncio.run(SQLiteLedger(path).get(record().key))
    assert found is not None
    assert found.record == record()


def test_a_ledger_works_on_both_sides_of_a_fork(path: Path) -> None:
    said = ran(
        """
        ledger = SQLiteLedger(Path(sys.argv[1]))
        asyncio.run(ledger.insert(record(1)))
        if not (child := os.fork()):
            signal.alarm(60)  # it must not outlive the test
            print(asyncio.run(ledger.insert(record(1))), asyncio.run(ledger.insert(record(2))), flush=True)
            asyncio.run(ledger.close())
            os._exit(0)
        os.waitpid(child, 0)
        print(asyncio.run(ledger.insert(record(2))), asyncio.run(ledger.insert(record(3))))
        """,
        path,
    )
    assert said.splitlines() == ["False True", "False True"]


# ---------------------------------------------------------------- out of use


OPERATIONS: dict[str, Callable[[SQLiteLedger], Awaitable[Any]]] = {
    "check": lambda ledger: ledger.check(),
    "insert": lambda ledger: ledger.insert(record()),
    "get": lambda ledger: ledger.get(record().key),
    "replace": lambda ledger: ledger.replace(record(), version=1),
    "find": lambda ledger: ledger.find(EffectQuery()),
    "forget": lambda ledger: ledger.forget({record().key: 1}),
    "purges": lambda ledger: ledger.purges(),
}


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_no_operation_passes_over_a_file_that_is_no_database(
    path: Path, ledger: SQLiteLedger, operation: str
) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is a letter, not a database " * 50)
    with pytest.raises(LedgerError, match=rf"{path} can't be used: file is not a database"):
        await OPERATIONS[operation](ledger)
    assert path.read_bytes().startswith(b"this is a letter")


async def test_a_file_that_is_damaged_while_it_is_in_use_is_a_ledger_error(
    path: Path, ledger: SQLiteLedger
) -> None:
    await ledger.insert(record())
    await ledger.close()
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 40_000)
    with pytest.raises(LedgerError, match=rf"{path} can't be used: database disk image is malformed"):
        await ledger.get(record().key)


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
def read_only() -> Iterator[Path]:
    # Not pytest's own temporary directory: nobody can't enter it.
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "ledger.sqlite"
        ledger = SQLiteLedger(path)
        asyncio.run(ledger.insert(record(1)))
        asyncio.run(ledger.close())
        path.chmod(0o444)
        path.parent.chmod(0o555)
        yield path
        path.parent.chmod(0o755)


async def test_a_read_only_file_is_named_with_the_cause(read_only: Path) -> None:
    with nobody(), pytest.raises(LedgerError, match=re.escape(str(read_only))) as refused:
        await SQLiteLedger(read_only).insert(record(2))
    assert isinstance(refused.value.__cause__, sqlite3.OperationalError)
    assert str(refused.value.__cause__) in str(refused.value)


async def test_a_folder_that_can_not_be_made_is_a_ledger_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match=r"file/ledger.sqlite can't be used: .*(exists|directory)"):
        await SQLiteLedger(tmp_path / "file" / "ledger.sqlite").insert(record())


async def until_full(ledger: SQLiteLedger) -> tuple[int, LedgerError]:
    """How many records found room, and why the next did not."""
    for number in range(1_000):
        try:
            await ledger.insert(record(number, result="x" * 20_000))
        except LedgerError as error:
            return number, error
    raise AssertionError("the disk does not end")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if sys.platform != "linux" or os.geteuid() != 0 or subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("only root can make a small disk, and only on Linux")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


async def test_a_full_disk_is_a_ledger_error_and_takes_nothing_with_it(small_disk: Path) -> None:
    (small_disk / "other").write_bytes(b"x" * 300_000)
    ledger = SQLiteLedger(small_disk / "ledger.sqlite")
    count, error = await until_full(ledger)
    assert count > 0
    assert f"{small_disk}/ledger.sqlite can't be used: database or disk is full" in str(error)
    for number in range(count):
        assert await ledger.get(record(number).key) is not None
    assert await ledger.get(record(count).key) is None
    (small_disk / "other").unlink()
    assert await ledger.insert(record(count))
    await ledger.close()
    with closing(sqlite3.connect(small_disk / "ledger.sqlite")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def test_a_disk_without_room_for_a_new_ledger_is_a_ledger_error(small_disk: Path) -> None:
    (small_disk / "other").write_bytes(b"x" * 1_044_480)
    with pytest.raises(LedgerError, match=r"ledger.sqlite can't be used: .*(full|I/O)"):
        await SQLiteLedger(small_disk / "ledger.sqlite").insert(record())


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such limits on Windows")
def test_a_file_that_may_grow_no_more_is_a_ledger_error(path: Path) -> None:
    said = ran(
        """
        import resource
        from tests.adapters.test_sqlite_ledger import until_full

        resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
        ledger = SQLiteLedger(Path(sys.argv[1]))

        async def main():
            count, error = await until_full(ledger)
            assert count > 0
            assert [await ledger.get(record(number).key) for number in range(count + 1)].index(None) == count
            print(error)

        asyncio.run(main())
        """,
        path,
    )
    assert re.fullmatch(rf"the effect ledger {path} can't be used: (disk I/O error|.* full)", said)


# ---------------------------------------------------------------- locked


@contextmanager
def locked(path: Path) -> Iterator[sqlite3.Connection]:
    """As by another process that takes long over a write."""
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        yield holder


async def test_a_ledger_that_stays_locked_is_a_ledger_error_and_works_again_after(path: Path) -> None:
    ledger = SQLiteLedger(path, busy_timeout=timedelta(milliseconds=10))
    await ledger.insert(record(1))
    with locked(path):
        with pytest.raises(LedgerError, match=f"{path} can't be used: database is locked"):
            await ledger.insert(record(2))
        assert await ledger.get(record(1).key) is not None
    assert await ledger.insert(record(2))
    await ledger.close()


async def test_many_that_wait_for_a_lock_wait_at_the_same_time(path: Path) -> None:
    ledger = SQLiteLedger(path, busy_timeout=timedelta(seconds=1))
    await ledger.check()
    async with asyncio.timeout(30):
        with locked(path):
            inserts = (ledger.insert(record(number)) for number in range(100))
            answers = await asyncio.gather(*inserts, return_exceptions=True)
    assert {type(answer) for answer in answers} == {LedgerError}
    await ledger.close()


async def test_the_event_loop_goes_on_while_an_operation_waits_for_a_lock(
    path: Path, ledger: SQLiteLedger
) -> None:
    await ledger.check()
    with locked(path) as holder:
        waiting = asyncio.create_task(ledger.insert(record()))
        await asyncio.sleep(0)
        # Were the loop held up, nobody would ever come here.
        holder.execute("ROLLBACK")
        assert await waiting


async def test_a_cancelled_operation_leaves_a_ledger_that_works(path: Path, ledger: SQLiteLedger) -> None:
    await ledger.check()
    with locked(path):
        waiting = asyncio.create_task(ledger.insert(record(1)))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert await ledger.insert(record(2))


async def test_another_applications_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "customers.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE customers (name TEXT)")
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="another application's database"):
        await SQLiteLedger(path).check()
    assert path.read_bytes() == before
