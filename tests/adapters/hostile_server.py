"""A server that answers as no server should, and counts what it got rid of."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cache

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
OPEN = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
PART = b"10000\r\n" + b" " * 0x10000 + b"\r\n"


@cache
def packed() -> bytes:
    """Little that becomes a lot."""
    return gzip.compress(bytes(200_000_000), 9)


Send = Callable[[bytes], Awaitable[None]]


async def endless_body(send: Send) -> None:
    await send(OPEN)
    while True:
        await send(PART)


async def endless_error(send: Send) -> None:
    await send(OPEN.replace(b"200 OK", b"500 No"))
    while True:
        await send(PART)


async def endless_head(send: Send) -> None:
    await send(HEAD)
    while True:
        await send(b"X-Filler: " + b"x" * 60_000 + b"\r\n")


async def endless_hints(send: Send) -> None:
    while True:
        await send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 100)


async def dripping_head(send: Send) -> None:
    await send(HEAD)
    while True:
        await send(b"X: y\r\n")
        await asyncio.sleep(0.02)


async def dripping_body(send: Send) -> None:
    await send(OPEN)
    while True:
        await send(b"1\r\n \r\n")
        await asyncio.sleep(0.02)


async def bomb(send: Send) -> None:
    await send(HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed()) + packed())


async def bomb_in_a_bomb(send: Send) -> None:
    twice = gzip.compress(packed(), 9)
    await send(HEAD + b"Content-Encoding: gzip, gzip\r\nContent-Length: %d\r\n\r\n" % len(twice) + twice)


async def redirects(send: Send) -> None:
    await send(b"HTTP/1.1 302 Found\r\nLocation: /again?token=s3cret\r\nContent-Length: 0\r\n\r\n")


async def refusal(send: Send) -> None:
    await send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")


ANSWERS = {
    answer.__name__: answer
    for answer in (
        endless_body,
        endless_error,
        endless_head,
        endless_hints,
        dripping_head,
        dripping_body,
        bomb,
        bomb_in_a_bomb,
        redirects,
    )
}


class HostileServer:
    """Answers every request in one way, on this machine."""

    def __init__(self) -> None:
        self.answer = refusal
        self.sent = 0
        self.place = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def send(data: bytes) -> None:
            writer.write(data)
            await writer.drain()
            self.sent += len(data)

        try:
            await reader.readuntil(b"\r\n\r\n")
            await self.answer(send)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def hostile_server() -> AsyncIterator[HostileServer]:
    """Serve until the block ends."""
    found = HostileServer()
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.place = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield found
    server.close()
