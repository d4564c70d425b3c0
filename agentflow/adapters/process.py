"""Servers on this machine that can't outlive the process that started them."""

import asyncio
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Self

from agentflow.core.durations import checked
from agentflow.errors import LocalProcessError
from agentflow.private_files import CHILD_UMASK, open_file

HOST = "127.0.0.1"
"""Where every server started here listens: this machine only."""

Probe = Callable[[], Awaitable[bool]]
"""Whether a server answers by now. Asked again and again, so ``False`` is no failure."""

_PROBE_INTERVAL_SECONDS = 0.05
_PORT_ATTEMPTS = 3
# Below the ranges that Linux (32768 on), macOS and Windows (49152 on) give to outgoing connections: a port
# from there can be taken by any connection between the moment it was found free and the server's bind.
_FIRST_PORT, _LAST_PORT = 20_000, 32_767
_TAIL_BYTES, _TAIL_LINES = 8_192, 20


class LocalProcess:
    """One child server, from ``async with`` to the end of its block. Start it once.

    The child ends with this process, even when this process is killed: a supervisor between the two ends
    it when their pipe closes (see ``process_supervisor``). What can still orphan it is a SIGKILL of the
    supervisor itself, or a child that leaves its process group. Ctrl-C in the terminal doesn't reach the
    child, so that its users are stopped before it.

    Its output goes to a log file. One that this class made is removed by ``stop``, unless the child ended
    before it was asked to.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        ready: Probe,
        timeout: timedelta = timedelta(seconds=30),
        grace: timedelta = timedelta(seconds=5),
        log_path: Path | None = None,
    ) -> None:
        """Describe the child; nothing is started yet.

        Args:
            name: What to call it in errors and in the log's file name.
            command: The program and its arguments.
            ready: Whether it answers.
            timeout: How long it may take until it does.
            grace: How long it may take to end after SIGTERM; then it is killed.
            log_path: Appended to; by default a new file in the temporary directory.
        """
        self._name = name
        self._command = command
        self._ready = ready
        self._timeout = checked("timeout", timeout)
        self._grace = checked("grace", grace, timedelta(0))
        self._given_log = log_path
        self._log: Path | None = log_path
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._ended = asyncio.Event()

    @property
    def log_path(self) -> Path | None:
        """The log file, once started."""
        return self._log

    async def start(self) -> None:
        """Start the child and wait until it is ready.

        Raises:
            LocalProcessError: it ended first, or took too long. It is stopped then.
        """
        try:
            self._spawn()
            await self._until_ready()
        except BaseException:
            await self._end()
            raise

    async def stop(self) -> None:
        """End the child and wait until it has ended. Does nothing the second time."""
        ended_by_itself = self._supervisor is not None and self._supervisor.poll() is not None
        await self._end()
        if self._log and not self._given_log and not ended_by_itself:
            self._log.unlink(missing_ok=True)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _spawn(self) -> None:
        if self._log is None:
            handle, path = tempfile.mkstemp(prefix=f"agentflow-{self._name}-", suffix=".log")
            os.close(handle)
            self._log = Path(path)
        supervisor = Path(__file__).with_name("process_supervisor.py")
        isolated = [sys.executable, "-I", "-S", str(supervisor)]
        with open(self._log, "ab", opener=open_file) as log:
            # Not asyncio's subprocess: when a loop closes, its transport kills a supervisor that is still
            # at work, and so orphans the server.
            self._supervisor = subprocess.Popen(  # noqa: S603
                [*isolated, str(self._grace.total_seconds()), "--", *self._command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=CHILD_UMASK,
                creationflags=subprocess.CREATE_NEW_PROCESS_GROUP if sys.platform == "win32" else 0,
            )
        threading.Thread(
            target=_set_at_end, args=(self._supervisor, asyncio.get_running_loop(), self._ended), daemon=True
        ).start()

    async def _until_ready(self) -> None:
        ready = asyncio.create_task(_until_true(self._ready))
        ended = asyncio.create_task(self._ended.wait())
        try:
            await asyncio.wait(
                {ready, ended}, timeout=self._timeout.total_seconds(), return_when=asyncio.FIRST_COMPLETED
            )
            if ended.done():
                raise self._error(f"ended with exit code {self._exit_code()} before it was ready")
            if not ready.done():
                raise self._error(
                    f"wasn't ready after {self._timeout.total_seconds():g} s; give it a longer timeout, or"
                    " find out what it waits for"
                )
            ready.result()
        finally:
            ready.cancel()
            ended.cancel()
            await asyncio.gather(ready, ended, return_exceptions=True)

    async def _end(self) -> None:
        if self._supervisor is None:
            return
        assert self._supervisor.stdin is not None
        self._supervisor.stdin.close()
        # No time limit: the supervisor has one.
        await self._ended.wait()

    def _exit_code(self) -> int | None:
        return self._supervisor.poll() if self._supervisor else None

    def _error(self, what: str) -> LocalProcessError:
        tail = "\n".join(f"    {line}" for line in _last_lines(self._log)) or "    (nothing)"
        return LocalProcessError(f"{self._name} {what}. The end of its log, {self._log}:\n{tail}")


async def start_on_ports(
    launch: Callable[[tuple[int, ...]], LocalProcess], *ports: int | None
) -> tuple[LocalProcess, tuple[int, ...]]:
    """Start a server on ports of this machine.

    A port found free can be taken before the server binds it. So when the server fails and one of the
    ports that were chosen for it turns out to be taken, it is started again on others.

    Args:
        launch: Describes the server that listens on these ports.
        ports: Ports to use; ``None`` for a free one.

    Returns:
        The started server and its ports.

    Raises:
        LocalProcessError: a given port is taken, or the server didn't come up.
    """
    for port in ports:
        if port is not None and not is_free(port):
            raise LocalProcessError(
                f"port {port} of {HOST} is taken; stop what listens there, or give another port"
            )
    for attempts_left in reversed(range(_PORT_ATTEMPTS)):
        chosen = _fill(ports)
        process = launch(chosen)
        try:
            await process.start()
        except LocalProcessError:
            if not attempts_left or all(is_free(port) for port in chosen):
                raise
            continue
        return process, chosen
    raise AssertionError("the last attempt returns or raises")


def free_port(taken: Collection[int] = ()) -> int:
    """A port on which nothing listens now.

    Args:
        taken: Ports to leave out.

    Raises:
        LocalProcessError: none was found.
    """
    for _ in range(200):
        port = _FIRST_PORT + secrets.randbelow(_LAST_PORT - _FIRST_PORT + 1)
        if port not in taken and is_free(port):
            return port
    raise LocalProcessError(
        f"found no free port from {_FIRST_PORT} to {_LAST_PORT} of {HOST}; give the ports to use"
    )


def is_free(port: int) -> bool:
    """Whether a server could listen on a port of this machine."""
    with socket.socket() as candidate:
        # As servers do on POSIX, where it lets them take a port whose last connections just closed. On
        # Windows the same option means to share a port with whoever has it.
        if os.name == "posix":
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind((HOST, port))
            # Two sockets may be bound to one port; only one may listen.
            candidate.listen()
        except OSError:
            return False
    return True


def answers_http(port: int, path: str) -> Probe:
    """Ready when a GET of the path is answered with a 2xx status."""
    request = f"GET {path} HTTP/1.0\r\nHost: {HOST}:{port}\r\n\r\n".encode()

    async def probe() -> bool:
        try:
            reader, writer = await asyncio.open_connection(HOST, port)
        except OSError:
            return False
        try:
            writer.write(request)
            _, _, rest = (await reader.readline()).partition(b" ")
        except OSError:
            return False
        finally:
            writer.close()
        return rest.startswith(b"2")

    return probe


def _fill(ports: Sequence[int | None]) -> tuple[int, ...]:
    chosen: list[int] = []
    given = {port for port in ports if port is not None}
    for port in ports:
        chosen.append(free_port({*given, *chosen}) if port is None else port)
    return tuple(chosen)


async def _until_true(probe: Probe) -> None:
    while not await probe():  # noqa: ASYNC110 - another process tells no event
        await asyncio.sleep(_PROBE_INTERVAL_SECONDS)


def _set_at_end(
    process: subprocess.Popen[bytes], loop: asyncio.AbstractEventLoop, ended: asyncio.Event
) -> None:
    process.wait()
    with suppress(RuntimeError):  # the loop is closed, so nobody waits
        loop.call_soon_threadsafe(ended.set)


def _last_lines(log: Path | None) -> list[str]:
    if log is None or not log.exists():
        return []
    with log.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - _TAIL_BYTES))
        return file.read().decode(errors="replace").splitlines()[-_TAIL_LINES:]
