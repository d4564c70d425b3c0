"""Child servers: they come up, say why not, and never outlive who started them."""

import asyncio
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agentflow.adapters.process import (
    HOST,
    LocalProcess,
    Probe,
    answers_http,
    free_port,
    is_free,
    start_on_ports,
)
from agentflow.errors import LocalProcessError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills by signals")

REPORT = f"""
import os, signal, socket, subprocess, sys
line = socket.create_connection(({HOST!r}, int(sys.argv[1])))
line.sendall(f"{{os.getpid()}} {{os.getsid(0)}}\\n".encode())
"""
WAIT = "line.recv(1)"
HTTP_SERVER = "import sys, http.server as h; h.test(h.SimpleHTTPRequestHandler, port=int(sys.argv[1]), bind='127.0.0.1')"

PARENT = """
import asyncio, sys
from agentflow.adapters.process import LocalProcess

async def main():
    async def ready():
        return True
    async with LocalProcess("child", [sys.executable, "-c", sys.argv[1], sys.argv[2]], ready=ready):
        await asyncio.Event().wait()

asyncio.run(main())
"""


@dataclass
class Witness:
    """Where children report; the connection closes when the last process that holds it ends."""

    port: int = 0
    reports: asyncio.Queue[tuple[asyncio.StreamReader, int, int]] = field(default_factory=asyncio.Queue)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pid, session = map(int, (await reader.readline()).split())
        self.writers.append(writer)
        await self.reports.put((reader, pid, session))

    async def saw(self, reader: asyncio.StreamReader) -> str:
        """What the child still said until it was gone."""
        async with asyncio.timeout(20):
            return (await reader.read()).decode()


@pytest.fixture(autouse=True)
def logs_in_a_folder_of_the_test(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
async def witness() -> AsyncIterator[Witness]:
    made = Witness()
    server = await asyncio.start_server(made.take, HOST, 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    for writer in made.writers:
        writer.close()
    server.close()


async def at_once() -> bool:
    return True


async def never() -> bool:
    return False


def child(code: str, *arguments: object, ready: Probe = at_once, **options: Any) -> LocalProcess:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return LocalProcess("child", command, ready=ready, **options)


async def test_sigkill_of_the_parent_ends_the_child(witness: Witness):
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT, REPORT + WAIT, str(witness.port)),
        cwd=Path(__file__).parents[2],
    )
    reader, _, _ = await witness.reports.get()
    parent.kill()
    assert await witness.saw(reader) == ""
    assert await parent.wait() == -signal.SIGKILL


async def test_ctrl_c_in_the_terminal_does_not_reach_the_child(witness: Witness):
    async with child(REPORT + WAIT, witness.port):
        _, _, session = await witness.reports.get()
    assert session != os.getsid(0)


async def test_leaving_the_block_ends_the_child(witness: Witness):
    async with child(REPORT + WAIT, witness.port):
        reader, pid, _ = await witness.reports.get()
    assert await witness.saw(reader) == ""
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_stop_is_idempotent(witness: Witness):
    started = child(REPORT + WAIT, witness.port)
    await started.start()
    await started.stop()
    await started.stop()


async def test_stop_ends_what_the_child_started(witness: Witness):
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {REPORT + WAIT!r}, sys.argv[1]])"
    async with child(code, witness.port):
        reader, _, _ = await witness.reports.get()
    assert await witness.saw(reader) == ""


async def test_a_child_that_ends_takes_along_what_it_started(witness: Witness):
    start_another = f"subprocess.Popen([sys.executable, '-c', {REPORT + WAIT!r}, sys.argv[1]])\n"
    async with child(REPORT + start_another + WAIT, witness.port):
        _, pid, _ = await witness.reports.get()
        grandchild, _, _ = await witness.reports.get()
        os.kill(pid, signal.SIGKILL)
        assert await witness.saw(grandchild) == ""


async def test_the_child_may_tidy_up_when_it_is_asked_to_end(witness: Witness):
    tidy = (
        "signal.signal(signal.SIGTERM, lambda *_: (line.sendall(b'tidy'), sys.exit()))\nline.sendall(b'!')\n"
    )
    async with child(REPORT + tidy + WAIT, witness.port):
        reader, _, _ = await witness.reports.get()
        await reader.readexactly(1)
    assert await witness.saw(reader) == "tidy"


async def test_a_child_that_ignores_sigterm_is_killed(witness: Witness):
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nline.sendall(b'!')\n"
    async with child(REPORT + deaf + WAIT, witness.port, grace=timedelta(milliseconds=100)):
        reader, _, _ = await witness.reports.get()
        await reader.readexactly(1)
    assert await witness.saw(reader) == ""


async def test_a_start_that_is_cancelled_ends_the_child(witness: Witness):
    start = asyncio.create_task(child(REPORT + WAIT, witness.port, ready=never).start())
    reader, _, _ = await witness.reports.get()
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert await witness.saw(reader) == ""


async def test_a_child_that_ends_early_gives_its_exit_code_and_the_end_of_its_log():
    code = "print('line 1\\n' * 50, flush=True); sys = __import__('sys'); sys.exit('no such table: orders')"
    with pytest.raises(LocalProcessError, match="exit code 1 before it was ready") as failed:
        await child(code, ready=never).start()
    assert str(failed.value).endswith("    no such table: orders")
    assert str(failed.value).count("line 1") < 20


async def test_a_program_that_is_missing_is_named():
    with pytest.raises(LocalProcessError, match=r"cannot start no-such-program: .*No such file"):
        await LocalProcess("child", ["no-such-program"], ready=never).start()


async def test_a_child_that_is_never_ready_is_ended_and_the_error_says_what_to_do(witness: Witness):
    slow = child(REPORT + WAIT, witness.port, ready=never, timeout=timedelta(seconds=1))
    with pytest.raises(LocalProcessError, match="wasn't ready after 1 s; give it a longer timeout"):
        await slow.start()
    reader, _, _ = await witness.reports.get()
    assert await witness.saw(reader) == ""


async def test_a_probe_that_raises_fails_the_start():
    async def broken() -> bool:
        raise ValueError("bad probe")

    with pytest.raises(ValueError, match="bad probe"):
        await child("input()", ready=broken).start()


async def test_the_log_of_a_child_that_was_stopped_is_removed(witness: Witness):
    async with child(REPORT + WAIT, witness.port) as started:
        log = started.log_path
        assert log is not None
        assert log.exists()
    assert not log.exists()


async def test_the_log_of_a_child_that_failed_is_kept():
    failing = child("raise SystemExit('why')", ready=never)
    with pytest.raises(LocalProcessError):
        await failing.start()
    await failing.stop()
    assert failing.log_path is not None
    assert "why" in failing.log_path.read_text()


async def test_a_given_log_file_is_appended_to_and_kept(tmp_path: Path):
    log = tmp_path / "child.log"
    log.write_text("before\n")
    with pytest.raises(LocalProcessError):
        await child("print('after')", ready=never, log_path=log).start()
    assert log.read_text() == "before\nafter\n"


async def test_a_server_that_lost_its_port_is_started_on_another():
    taken: list[socket.socket] = []

    def launch(ports: tuple[int, ...]) -> LocalProcess:
        if not taken:
            taken.append(socket.create_server((HOST, ports[0])))
        return child(HTTP_SERVER, *ports, ready=answers_http(ports[0], "/"))

    process, (port,) = await start_on_ports(launch, None)
    await process.stop()
    assert port != taken[0].getsockname()[1]
    taken[0].close()


async def test_a_server_that_fails_for_its_own_reason_is_started_once():
    launched: list[tuple[int, ...]] = []

    def launch(ports: tuple[int, ...]) -> LocalProcess:
        launched.append(ports)
        return child("raise SystemExit(1)", ready=never)

    with pytest.raises(LocalProcessError):
        await start_on_ports(launch, None, None)
    assert len(launched) == 1
    assert len(set(launched[0])) == 2


async def test_a_given_port_that_is_taken_is_refused_before_anything_starts():
    with socket.create_server((HOST, 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(LocalProcessError, match=f"port {port} of {HOST} is taken; stop what"):
            await start_on_ports(lambda _: child("input()"), port)


def test_a_port_is_free_when_nothing_listens():
    port = free_port()
    with socket.create_server((HOST, port)):
        assert not is_free(port)
    assert is_free(port)
