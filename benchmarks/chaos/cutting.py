"""A proxy in front of a store that cuts its connections in mid write: for ledgers that are servers."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Self

from agentflow.adapters.process import HOST

Upstream = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
"""Opens a connection to the store."""

_CUT = 0.9
"""How likely a connection is cut."""
_EARLIEST, _LATEST = 200, 4_000
"""After how many bytes, both ways together."""


class CuttingProxy:
    """From ``async with`` to the end of its block."""

    def __init__(self, upstream: Upstream, seed: int) -> None:
        self._upstream = upstream
        self._random = random.Random(f"{seed}/cuts")
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.cuts = 0

    @property
    def port(self) -> int:
        """Where it listens, on this machine."""
        assert self._server is not None
        return self._server.sockets[0].getsockname()[1]

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, HOST, 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            away_reader, away = await self._upstream()
        except OSError:
            writer.close()
            return
        finally:
            self._connections.discard(task)
        self._connections.add(task)
        budget = _Budget(self._random.randint(_EARLIEST, _LATEST) if self._random.random() < _CUT else None)
        both = [
            asyncio.create_task(_pump(reader, away, budget)),
            asyncio.create_task(_pump(away_reader, writer, budget)),
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.cuts += budget.is_spent
            for one in both:
                one.cancel()
            for end in (writer, away):
                end.transport.abort()
            self._connections.discard(task)


class _Budget:
    def __init__(self, left: int | None) -> None:
        self._left = left

    @property
    def is_spent(self) -> bool:
        return self._left == 0

    def take(self, wanted: int) -> int:
        if self._left is None:
            return wanted
        taken = min(wanted, self._left)
        self._left -= taken
        return taken


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, budget: _Budget) -> None:
    """Hand bytes on until one side ends, or no more are allowed: then the last message ends in its middle."""
    try:
        while data := await reader.read(65_536):
            writer.write(data[: budget.take(len(data))])
            await writer.drain()
            if budget.is_spent:
                return
    except OSError:
        return
