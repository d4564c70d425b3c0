"""A connection to the SQLite file of a path, for as long as it is the file of that path."""

import os
import sqlite3
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

from agentflow.adapters.file_birth import made_ns
from agentflow.errors import ConfigurationError
from agentflow.private_files import make_file, make_folder

if sys.platform != "win32":
    import fcntl

_OLDEST_SQLITE = (3, 37, 0)
"""The first that has STRICT tables."""

Identity = tuple[int, int]
"""Device and inode: a path may come to name another file."""


class SQLiteFile:
    """Opens the file when it is first needed, and again when another one is in its place.

    Use it from one thread. The file is in WAL mode, and a commit waits for the disk.
    """

    def __init__(
        self, path: Path, migrations: Sequence[str], prepare: Callable[[sqlite3.Connection], None]
    ) -> None:
        """Describe the file; nothing is opened yet.

        Args:
            path: Where it is. It is made if it isn't there, and its folder too.
            migrations: The first makes version 1, and so on. ``PRAGMA user_version`` says which were run.
            prepare: Called whenever it has been opened, before anything else is done with it.
        """
        self._path = path
        self._migrations = migrations
        self._prepare = prepare
        self._connection: sqlite3.Connection | None = None
        self._opened: Identity | None = None
        self._was_opened = False
        self._opened_beside: dict[Path, Identity | None] = {}

    def current(self, wait: timedelta) -> sqlite3.Connection:
        """A connection to the file that is there now.

        Args:
            wait: How long to wait for a lock of another process, now and when the connection is used.

        Raises:
            ConfigurationError: a newer version of agentflow made the file, or SQLite is too old.
            sqlite3.Error: it can't be used.
            OSError: it can't be reached.
        """
        if self._connection is not None and self._opened != _identity(self._path):
            self.close()
        if self._connection is None:
            self._open(wait)
        assert self._connection is not None
        self._connection.execute(f"PRAGMA busy_timeout = {wait // timedelta(milliseconds=1)}")
        return self._connection

    def still_there(self) -> None:
        """See that what was just done was done to the file of that path.

        Raises:
            OSError: it was done to one that has been moved or deleted meanwhile.
        """
        if self._connection is None:
            return
        if self._opened != _identity(self._path):
            raise OSError("the file was moved, replaced or deleted meanwhile")
        for side, opened in self._opened_beside.items():
            if opened is not None and _identity(side) != opened:
                raise OSError(f"{side.name}, its log, was moved, replaced or deleted meanwhile")

    def forget(self) -> None:
        """Take the next opening for the first one."""
        self._was_opened = False

    def close(self) -> None:
        """Close the connection. The last one to a file moves what is in the log into the file.

        Raises:
            OSError: the file has been moved or deleted, and its log can't be kept apart from the next one's.
        """
        connection, opened = self._connection, self._opened
        self._connection = self._opened = None
        if connection is None:
            return
        try:
            if opened != _identity(self._path):
                self._set_log_aside()
        finally:
            with suppress(sqlite3.Error):
                connection.close()

    def abandon(self) -> sqlite3.Connection | None:
        """Forget the connection without closing it. It must be kept: Python closes what nobody holds."""
        connection, self._connection, self._opened = self._connection, None, None
        return connection

    def _open(self, wait: timedelta) -> None:
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            raise ConfigurationError(
                f"the effect ledger {self._path} needs SQLite 3.37 or newer; this Python has "
                f"{sqlite3.sqlite_version}: use another Python, or a PostgreSQL ledger"
            )
        if self._was_opened and _identity(self._path) is None:
            raise OSError(
                "the file was moved or deleted while it was in use, and a new one would know of nothing: "
                "put it back, or restart this worker to begin with a new one"
            )
        make_folder(self._path.parent)
        # What SQLite keeps beside it gets the file's own mode.
        make_file(self._path)
        before = _identity(self._path)
        # isolation_level=None: each statement is a transaction of its own, unless we say otherwise.
        # check_same_thread=False: after a fork, or in Python's last moments, another thread may drop it.
        connection = sqlite3.connect(
            self._path, timeout=wait.total_seconds(), isolation_level=None, check_same_thread=False
        )
        try:
            self._refuse_another_applications(connection)
            _enter_wal(connection, wait)
            connection.execute("PRAGMA synchronous=FULL")
            self._migrate(connection)
            self._prepare(connection)
            opened = _identity(self._path)
            if before not in (None, opened):
                raise OSError("the file was replaced while it was opened")
        except BaseException:
            connection.close()
            raise
        self._connection, self._opened, self._was_opened = connection, opened, True
        self._opened_beside = {side: _identity(side) for side in self._beside()}

    def _refuse_another_applications(self, connection: sqlite3.Connection) -> None:
        # One statement, so that no process that is just making the ledger is seen half-way.
        foreign = connection.execute(
            "SELECT (SELECT user_version FROM pragma_user_version) = 0"
            " AND EXISTS (SELECT 1 FROM sqlite_master WHERE name NOT LIKE 'agentflow\\_%' ESCAPE '\\')"
        ).fetchone()[0]
        if foreign:
            raise ConfigurationError(f"{self._path} is another application's database: name another file")

    def _migrate(self, connection: sqlite3.Connection) -> None:
        if _version(connection) == len(self._migrations):
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Another process may have done it while this one waited.
            made = _version(connection)
            if made > len(self._migrations):
                raise ConfigurationError(
                    f"the effect ledger {self._path} is of version {made}, this agentflow knows "
                    f"{len(self._migrations)}: upgrade agentflow-temporal"
                )
            for number, script in enumerate(self._migrations[made:], start=made + 1):
                for statement in _statements(script):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # a full disk has rolled back already
                connection.execute("ROLLBACK")
            raise

    def _set_log_aside(self) -> None:
        """Let nobody take the log of a file that isn't there any more for that of the one in its place.

        SQLite finds a log by its name, and would play it into that file. What is in the log only is kept
        under another name: the old file may be wanted.
        """
        with _one_process_in(self._path.parent):
            for side, opened in self._opened_beside.items():
                # Another process may have been here first, and have opened the new file.
                if opened is None or _identity(side) != opened:
                    continue
                if side.name.endswith("-wal") and side.stat().st_size:
                    side.rename(f"{side}.{opened[1]}.orphan")
                else:
                    side.unlink()

    def _beside(self) -> Iterator[Path]:
        for suffix in ("-wal", "-shm"):
            yield self._path.with_name(self._path.name + suffix)


def place_of_file(path: Path) -> str:
    """Names the file that is at a path: another one when it was copied or restored, the same when renamed.

    A file system gives the number of a file that was deleted to the next one, so the time of its birth
    belongs to its name, where that is kept (ext4, XFS, Btrfs, APFS, NTFS).

    Raises:
        OSError: it isn't there.
    """
    made, inode = made_ns(path), f"inode {path.stat().st_ino}"
    return inode if made is None else f"{inode} made {made}"


def _identity(path: Path) -> Identity | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _enter_wal(connection: sqlite3.Connection, wait: timedelta) -> None:
    """Two that switch a new file at once don't wait for each other: SQLite sees a deadlock in it."""
    end = time.monotonic() + wait.total_seconds()
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
        time.sleep(0.01)


def _version(connection: sqlite3.Connection) -> int:
    return connection.execute("PRAGMA user_version").fetchone()[0]


def _statements(script: str) -> Iterator[str]:
    """SQLite's own way to run several statements commits first, so they are run one by one."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


@contextmanager
def _one_process_in(folder: Path) -> Generator[None]:
    # Windows doesn't let go of a file that is open, so nobody comes here.
    if sys.platform == "win32":
        yield
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        yield
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
