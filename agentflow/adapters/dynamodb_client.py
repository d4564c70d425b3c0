"""boto3's DynamoDB client, in threads, with time limits and the ledger's errors."""

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol, TypeVar, cast
from urllib.parse import urlsplit

import boto3.session  # pyright: ignore[reportMissingTypeStubs]
from botocore.config import Config  # pyright: ignore[reportMissingTypeStubs]
from botocore.exceptions import (  # pyright: ignore[reportMissingTypeStubs]
    BotoCoreError,
    ClientError,
    NoRegionError,
)

from agentflow.activity.machine_clock import uptime_us
from agentflow.adapters.dynamodb_clock import StoreClock
from agentflow.core.durations import checked
from agentflow.errors import AgentflowError, ConfigurationError, LedgerError

ResultT = TypeVar("ResultT")

_CONNECTIONS = 10
"""As many as botocore keeps."""


class DynamoDBClient(Protocol):
    """What is used of boto3's client."""

    def get_item(self, **request: Any) -> Any:
        """One item."""
        ...

    def put_item(self, **request: Any) -> Any:
        """Put an item, on a condition."""
        ...

    def update_item(self, **request: Any) -> Any:
        """Change an item, on a condition."""
        ...

    def delete_item(self, **request: Any) -> Any:
        """Delete an item, on a condition."""
        ...

    def transact_write_items(self, **request: Any) -> Any:
        """Make several changes, all or none."""
        ...

    def query(self, **request: Any) -> Any:
        """Items of an index, in order."""
        ...

    def scan(self, **request: Any) -> Any:
        """All items, in no order."""
        ...

    def describe_table(self, **request: Any) -> Any:
        """The table, and what becomes of it."""
        ...

    def create_table(self, **request: Any) -> Any:
        """Begin to make the table."""
        ...

    def update_continuous_backups(self, **request: Any) -> Any:
        """Turn on point-in-time recovery."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


class RefusedRequest(AgentflowError):  # noqa: N818 - an answer of DynamoDB that its caller looks at
    """DynamoDB refused a request; ``code`` is its word for why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass
class _Threads:
    """Of one process: neither the threads nor the connections may be used in a fork of it."""

    client: DynamoDBClient | None
    pool: ThreadPoolExecutor
    process: int = field(default_factory=os.getpid)
    one_maker: threading.Lock = field(default_factory=threading.Lock)


class DynamoDB:
    """Calls DynamoDB. Made when it is first used, and again after ``close``."""

    def __init__(
        self,
        place: str,
        table: str,
        *,
        client: DynamoDBClient | None,
        region: str | None,
        endpoint: str | None,
        timeout: timedelta,
    ) -> None:
        """Describe the client.

        Args:
            place: The ledger's, for errors.
            table: The ledger's.
            client: One to use as it is; the others are for one that is made.
            region: By default what boto3 is configured to.
            endpoint: By default AWS.
            timeout: How long one request may take.
        """
        self.place = place
        self.table = table
        self._clock = StoreClock()
        self._given = client
        self._region = region
        self._endpoint = endpoint
        self._seconds = checked("timeout", timeout).total_seconds()
        self._threads: _Threads | None = None

    async def call(
        self, work: Callable[[DynamoDBClient], ResultT], *, expect: tuple[str, ...] = ()
    ) -> ResultT:
        """Make a request in a thread.

        Args:
            work: Makes it.
            expect: Codes of refusals that the caller can do something with.

        Raises:
            RefusedRequest: one of those came.
            ConfigurationError: there is no such client.
            LedgerError: DynamoDB refused for another reason, or can't be reached.
        """
        threads = self._of_this_process()

        def run() -> ResultT:
            client, sent_us = self._client(threads), uptime_us()
            try:
                answer = work(client)
            except ClientError as error:
                self._clock.hear(cast(Any, error).response, sent_us)
                raise
            self._clock.hear(answer, sent_us)
            return answer

        limit = 2 * self._seconds
        try:
            # A request has its own time limits; looking up a name or credentials has none.
            async with asyncio.timeout(limit):
                return await asyncio.get_running_loop().run_in_executor(threads.pool, run)
        except TimeoutError as error:
            raise self.error(f"no answer within {limit:g} s") from error
        except ClientError as error:
            code = _code(error)
            if code in expect:
                raise RefusedRequest(code) from None
            missing = code == "ResourceNotFoundException"
            raise self.error(
                f"{error}" + ("; has `agentflow ledger migrate` run?" if missing else "")
            ) from error
        except (BotoCoreError, OSError) as error:
            raise self.error(str(error)) from error

    async def now_us(self) -> int:
        """No earlier than now by DynamoDB's clock, in microseconds since 1970: what a write is stamped with.

        Raises:
            LedgerError: DynamoDB can't be reached, or doesn't say when it answers.
        """
        if not self._clock.is_known:
            await self._ask()
        return self._known(self._clock.latest_us)

    def past_us(self) -> int:
        """No later than now by DynamoDB's clock, after an answer: what an age is counted to.

        Raises:
            LedgerError: DynamoDB doesn't say when it answers.
        """
        return self._known(self._clock.earliest_us)

    async def time_us(self) -> int:
        """The time by DynamoDB's clock, asked for now; up to a second and the answer's way too early.

        Raises:
            LedgerError: DynamoDB can't be reached, or doesn't say when it answers.
        """
        await self._ask()
        return self.past_us()

    async def _ask(self) -> None:
        # Refusals are dated as well.
        with suppress(RefusedRequest):
            await self.call(
                lambda client: client.get_item(TableName=self.table, Key={"key": {"S": "clock#"}}),
                expect=("ResourceNotFoundException",),
            )

    def _known(self, time_us: Callable[[], int]) -> int:
        try:
            return time_us()
        except LookupError:
            raise self.error(
                "its answers have no Date, which ages are counted by: give DynamoDBLedger a boto3 client"
            ) from None

    def error(self, why: str) -> LedgerError:
        """Why the ledger can't be used, with its place."""
        return LedgerError(f"the effect ledger {self.place} can't be used: {why}")

    async def close(self) -> None:
        """Close the connections."""
        threads, self._threads = self._threads, None
        if threads is not None and threads.process == os.getpid():
            threads.pool.shutdown(wait=False)
            if threads.client is not None and self._given is None:
                threads.client.close()

    def _of_this_process(self) -> _Threads:
        if self._threads is None or self._threads.process != os.getpid():
            pool = ThreadPoolExecutor(_CONNECTIONS, thread_name_prefix="agentflow-ledger")
            self._threads = _Threads(self._given, pool)
        return self._threads

    def _client(self, threads: _Threads) -> DynamoDBClient:
        # Made here, in a thread: boto3 reads megabytes of JSON for it.
        with threads.one_maker:
            if threads.client is None:
                threads.client = self._made()
        return threads.client

    def _made(self) -> DynamoDBClient:
        config = Config(
            connect_timeout=max(1, self._seconds / 2),
            read_timeout=self._seconds,
            max_pool_connections=_CONNECTIONS,
            # A write that is repeated after its answer was lost would find its own record in the way.
            retries={"mode": "standard", "total_max_attempts": 1},
        )
        try:
            session: Any = cast(Any, boto3.session).Session(region_name=self._region)
            client: DynamoDBClient = session.client("dynamodb", endpoint_url=self._endpoint, config=config)
        except (NoRegionError, ValueError) as error:
            raise ConfigurationError(
                f"the effect ledger {self.place} can't be used: {error} "
                "(give it as dynamodb://TABLE?region=…&endpoint=…, or set AWS_REGION)"
            ) from error
        return client


def _code(error: Any) -> str:
    return error.response.get("Error", {}).get("Code", "")


def place_of_table(table: str, region: str | None, endpoint: str | None) -> str:
    """Where a table is, for errors.

    Raises:
        ConfigurationError: there are credentials in the endpoint, which botocore would tell in its errors.
    """
    if endpoint:
        host = urlsplit(endpoint).netloc
        if "@" in host:
            raise ConfigurationError(
                f"the endpoint of the effect ledger dynamodb {table} has a user in it: give boto3 the "
                "credentials by its environment variables, a profile or a role"
            )
        return f"dynamodb {table} at {host}"
    return f"dynamodb {table} in {region}" if region else f"dynamodb {table}"
