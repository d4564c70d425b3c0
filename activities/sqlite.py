"""One SQLite file that any number of threads and worker processes may use at once."""

import asyncio
import sqlite3
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from agentflow.private_files import make_file, make_folder

T = TypeVar("T")

_LOCK_WAIT = timedelta(seconds=10)
"""How long an operation waits for another process's write; they take milliseconds."""


class SqliteFile:
    """A SQLite file, opened anew for each operation.

    Short-lived connections keep no state between operations: nothing to share between threads, nothing
    left locked by a process that was killed.
    """

    def __init__(self, path: Path, schema: str) -> None:
        self._path = path
        self._schema = schema
        """``CREATE … IF NOT EXISTS`` statements, run whenever the file is opened."""

    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Run a query in a thread, on one snapshot of the database."""
        return await asyncio.to_thread(self._in_transaction, "BEGIN", query)

    async def write(self, change: Callable[[sqlite3.Connection], T]) -> T:
        """Run a change in a thread. It is the only writer meanwhile, and happens wholly or not at all."""
        return await asyncio.to_thread(self._in_transaction, "BEGIN IMMEDIATE", change)

    def _in_transaction(self, begin: str, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._connection() as connection:
            connection.execute(begin)
            try:
                result = work(connection)
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
            return result

    @contextmanager
    def _connection(self) -> Generator[sqlite3.Connection]:
        make_folder(self._path.parent)
        make_file(self._path)
        # isolation_level=None: transactions begin where we say so, not where Python's driver guesses.
        opened = sqlite3.connect(self._path, timeout=_LOCK_WAIT.total_seconds(), isolation_level=None)
        with closing(opened) as connection:
            connection.row_factory = sqlite3.Row
            # No WAL: switching a new file to it fails at once, busy time-out or not, when two workers do.
            connection.execute("PRAGMA foreign_keys = ON")
            connection.executescript(self._schema)
            yield connection
