"""The connections to a PostgreSQL server of the effect ledger. Extra: ``postgres``."""

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeVar

from agentflow.core.durations import checked
from agentflow.errors import ConfigurationError, LedgerError, MissingExtraError

try:
    import psycopg
    from psycopg import AsyncConnection
    from psycopg.conninfo import conninfo_to_dict
    from psycopg.rows import TupleRow
    from psycopg_pool import AsyncConnectionPool, PoolTimeout
except ImportError as _missing:
    raise MissingExtraError("agentflow.adapters.postgres_server", "postgres") from _missing

ResultT = TypeVar("ResultT")
Row = Sequence[Any]

SET_UP = "run `agentflow ledger migrate`"
# What a database or a role may have set otherwise, and a ledger can't do without: a commit that is on disk
# when it is answered, and an UPDATE that waits for another one instead of failing.
_SETTINGS = (
    "SELECT set_config('statement_timeout', %s, false),"
    " set_config('default_transaction_isolation', 'read committed', false),"
    " CASE current_setting('synchronous_commit') WHEN 'off'"
    " THEN set_config('synchronous_commit', 'on', false) END"
)


class PostgresServer:
    """Runs one statement after another, each with its own commit, and tells failures as the ledger's.

    The connections are made when they are first needed, and each is tried before it is used.
    """

    def __init__(self, conninfo: str, *, pool_size: int, timeout: timedelta) -> None:
        """Describe the server; nothing is connected yet. Arguments and errors as of ``PostgresLedger``."""
        self._timeout = checked("timeout", timeout).total_seconds()
        try:
            given = conninfo_to_dict(conninfo)
        except psycopg.Error:
            # Its text quotes parts of it, the password perhaps.
            raise ConfigurationError(
                "the effect ledger's connection string isn't one that PostgreSQL's libpq reads: "
                "postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with % : / @ in a part as %25 %3A %2F %40"
            ) from None
        self.place: str = _place_of(given)
        self._password = str(given.get("password") or "")
        self._conninfo = conninfo
        self._options = _options(given, timeout)
        self._pool_size = pool_size
        self._pool: AsyncConnectionPool[AsyncConnection[TupleRow]] | None = None
        self._owner: tuple[int, asyncio.AbstractEventLoop] | None = None
        self._cause: Exception | None = None

    async def close(self) -> None:
        """Close the connections. A later operation makes new ones."""
        owner = (os.getpid(), asyncio.get_running_loop())
        pool, self._pool = self._pool, None
        if pool is not None and self._owner == owner:
            await pool.close(self._timeout)

    async def read(self, sql: str, values: Row = ()) -> list[TupleRow]:
        """The rows of a query.

        Raises:
            LedgerError: the server can't be reached, or refuses.
        """

        async def work(connection: AsyncConnection[TupleRow]) -> list[TupleRow]:
            return await (await connection.execute(sql.encode(), values)).fetchall()

        async with self.failures_told():
            return await self.do(work)

    async def write(self, sql: str, values: Row) -> int:
        """How many rows a statement has changed.

        Raises:
            LedgerError: the server can't be reached, or refuses. Whether it did it can't be told.
        """

        async def work(connection: AsyncConnection[TupleRow]) -> int:
            return (await connection.execute(sql.encode(), values)).rowcount

        async with self.failures_told():
            return await self.do(work)

    async def do(
        self, work: Callable[[AsyncConnection[TupleRow]], Awaitable[ResultT]], *, bounded: bool = True
    ) -> ResultT:
        """Do something with a connection; failures are raised as they come.

        Args:
            work: Is handed a connection that answers.
            bounded: Whether it ends after twice the time-out.
        """
        pool = self._current()
        # The server ends a statement that takes too long; this is for a server that doesn't answer at all.
        async with asyncio.timeout(2 * self._timeout if bounded else None):
            await pool.open()
            async with pool.connection() as connection:
                if await _answers(connection):
                    return await work(connection)
            # The server was restarted, say. The pool's own check would find one such connection after
            # another, with longer and longer pauses.
            await pool.check()
            async with pool.connection() as connection:
                return await work(connection)

    @asynccontextmanager
    async def failures_told(self) -> AsyncGenerator[None]:
        """Raise what goes wrong in the block as ``LedgerError``, with what to do."""
        try:
            yield
        except psycopg.errors.UndefinedTable as error:
            text = f"its tables are missing: {SET_UP}"
            raise LedgerError(f"the effect ledger {self.place} can't be used: {text}") from error
        except (psycopg.Error, OSError) as error:
            raise LedgerError(f"the effect ledger {self.place} can't be used: {self._told(error)}") from error

    def _current(self) -> AsyncConnectionPool[AsyncConnection[TupleRow]]:
        """The pool of this process and event loop: connections can't be taken to another."""
        owner = (os.getpid(), asyncio.get_running_loop())
        if self._pool is None or self._owner != owner:
            self._owner = owner
            self._pool = AsyncConnectionPool(
                self._conninfo,
                connection_class=self._remembering_failures(),
                kwargs=self._options,
                min_size=0,
                max_size=self._pool_size,
                open=False,
                configure=self._configure,
                timeout=self._timeout,
                reconnect_timeout=self._timeout,
                name="agentflow-ledger",
            )
        return self._pool

    def _remembering_failures(self) -> type[AsyncConnection[TupleRow]]:
        """The pool's own error says that there was no connection in time, and not why."""

        def remember(cause: Exception | None) -> None:
            self._cause = cause

        class Connection(AsyncConnection[TupleRow]):
            @classmethod
            async def connect(cls, conninfo: str = "", **options: Any) -> Any:
                try:
                    connection = await super().connect(conninfo, **options)
                except (psycopg.Error, OSError) as error:
                    remember(error)
                    raise
                remember(None)
                return connection

        return Connection

    async def _configure(self, connection: AsyncConnection[TupleRow]) -> None:
        await connection.execute(_SETTINGS, (f"{self._timeout * 1_000:.0f}",))

    def _told(self, error: Exception) -> str:
        text = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, PoolTimeout) and self._cause is not None:
            text = " ".join(str(self._cause).split())
        return text.replace(self._password, "***") if self._password else text


async def _answers(connection: AsyncConnection[TupleRow]) -> bool:
    try:
        await AsyncConnectionPool.check_connection(connection)
    except psycopg.OperationalError:
        return False
    return True


def _place_of(given: dict[str, Any]) -> str:
    host = given.get("host") or given.get("hostaddr") or os.environ.get("PGHOST") or "localhost"
    port = f":{given['port']}" if given.get("port") else ""
    database = given.get("dbname") or os.environ.get("PGDATABASE") or given.get("user") or ""
    return f"postgresql {host}{port}/{database}"


def _options(given: dict[str, Any], timeout: timedelta) -> dict[str, Any]:
    """How to connect, beyond what the connection string says itself."""
    seconds = max(1, round(timeout.total_seconds()))
    defaults: dict[str, Any] = {
        "application_name": "agentflow",
        "connect_timeout": seconds,
        # A server that is gone is noticed, and one that only follows another is passed over.
        "keepalives_idle": seconds,
        "keepalives_interval": 1,
        "keepalives_count": 3,
        "tcp_user_timeout": seconds * 1_000,
        "target_session_attrs": "read-write",
    }
    options = {name: value for name, value in defaults.items() if name not in given}
    # A pooler may give each statement to another connection, which knows no statement prepared before.
    return {**options, "autocommit": True, "client_encoding": "utf8", "prepare_threshold": None}
