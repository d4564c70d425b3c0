"""Where the ledgers of a world are kept: one for each cast of workers that must not disturb the others'."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agentflow.adapters.ledgers import migrate
from agentflow.adapters.process import HOST
from benchmarks.chaos.cutting import CuttingProxy
from benchmarks.chaos.dynamodb import dynamodb
from benchmarks.chaos.ledgers import WorldName, open_ledger
from benchmarks.chaos.postgres import postgres
from benchmarks.chaos.rows import DynamoDBRows, PostgresRows, Rows, SQLiteRows


@dataclass(frozen=True)
class Place:
    """One ledger."""

    address: str
    """``open_ledger`` takes it."""
    rows: Rows | None
    """Its store, past agentflow; ``None`` where nothing is kept."""


class Places(Protocol):
    """The server, or the directory, that ledgers are kept at."""

    @property
    def cuts(self) -> int:
        """How many connections were cut."""
        ...

    async def place(self, name: str) -> Place:
        """A new, empty ledger."""
        ...

    async def cut(self, name: str) -> Place:
        """A new, empty ledger, whose connections are cut now and then; a file has none."""
        ...


@asynccontextmanager
async def places_of(world: WorldName, directory: Path, seed: int) -> AsyncGenerator[Places]:
    """Start what ledgers of this kind need, while the block runs."""
    match world:
        case "sqlite" | "off":
            yield _Files(world, directory)
        case "postgres":
            async with postgres(directory) as socket:
                unix = f"{socket}/.s.PGSQL.5432"
                async with CuttingProxy(lambda: asyncio.open_unix_connection(unix), seed) as proxy:
                    yield _Schemas(socket, proxy)
        case "dynamodb":
            async with (
                dynamodb(directory) as port,
                CuttingProxy(lambda: asyncio.open_connection(HOST, port), seed) as proxy,
            ):
                yield _Tables(port, proxy)


class _Files:
    def __init__(self, world: WorldName, directory: Path) -> None:
        self._world: WorldName = world
        self._directory = directory
        self.cuts = 0

    async def place(self, name: str) -> Place:
        path = self._directory / f"ledger-{name}.sqlite"
        await _made(self._world, str(path))
        return Place(str(path), None if self._world == "off" else SQLiteRows(path))

    async def cut(self, name: str) -> Place:
        return await self.place(name)


class _Schemas:
    def __init__(self, socket: str, proxy: CuttingProxy) -> None:
        self._socket = socket
        self._proxy = proxy

    @property
    def cuts(self) -> int:
        return self._proxy.cuts

    async def place(self, name: str) -> Place:
        address = self._at(name, f"host={self._socket}")
        await asyncio.to_thread(self._make, name)
        await _made("postgres", address)
        return Place(address, PostgresRows(address))

    async def cut(self, name: str) -> Place:
        place = await self.place(name)
        return Place(self._at(name, f"host={HOST} port={self._proxy.port} sslmode=disable"), place.rows)

    def _make(self, name: str) -> None:
        import psycopg

        with psycopg.connect(f"host={self._socket} user=postgres dbname=postgres") as connection:
            connection.execute(f"CREATE SCHEMA chaos_{name}".encode())

    def _at(self, name: str, where: str) -> str:
        return f"{where} user=postgres dbname=postgres options=-csearch_path=chaos_{name}"


class _Tables:
    def __init__(self, port: int, proxy: CuttingProxy) -> None:
        self._port = port
        self._proxy = proxy

    @property
    def cuts(self) -> int:
        return self._proxy.cuts

    async def place(self, name: str) -> Place:
        endpoint = f"http://{HOST}:{self._port}"
        await _made("dynamodb", f"{name}@{endpoint}")
        return Place(f"{name}@{endpoint}", await asyncio.to_thread(DynamoDBRows, name, endpoint))

    async def cut(self, name: str) -> Place:
        place = await self.place(name)
        return Place(f"{name}@http://{HOST}:{self._proxy.port}", place.rows)


async def _made(world: WorldName, address: str) -> None:
    ledger = open_ledger(world, address)
    await migrate(ledger)
    await ledger.close()
