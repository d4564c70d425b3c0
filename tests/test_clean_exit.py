"""A process that used a client ends as its own code says: with its exit code, at once, with its output.

Each test has real interpreters of its own. Without ``ensure_clean_exit`` the fault is a race, which the plain scripts
lose in 8 to 18 % of starts; ``SLOW_HANDOVER`` makes it certain. ``INTERRUPTED`` guards the hang that a bare client
has in 80 % of starts; with agentflow imported the race is rarely lost, so it would not fail without the hook.
"""

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path

import pytest
from temporalio.testing import WorkflowEnvironment

HISTORIES = Path(__file__).parent / "replay" / "histories"

CONNECT = """
import asyncio, atexit, os, signal, sys, threading, time, uuid
from temporalio.client import Client
from agentflow import AgentflowPlugin

async def connect():
    return await Client.connect(sys.argv[1], plugins=[AgentflowPlugin()])
"""

LOCAL_CLIENT = """
async def main():
    client = await connect()
    await client.count_workflows()
asyncio.run(main())
"""

GLOBAL_CLIENT = """
client = None
async def main():
    global client
    client = await connect()
    await client.count_workflows()
asyncio.run(main())
"""

FAILING = LOCAL_CLIENT.replace("count_workflows()", "count_workflows()\n    raise RuntimeError('mine')")

CALLS_UNDER_WAY = LOCAL_CLIENT.replace(
    "await client.count_workflows()",
    "await asyncio.wait([asyncio.ensure_future(client.count_workflows()) for _ in range(50)],"
    " return_when=asyncio.FIRST_COMPLETED)",
)

INTERRUPTED = """
async def main():
    client = await connect()
    handle = await client.start_workflow("nobody-runs-this", id=str(uuid.uuid4()), task_queue="empty")
    asyncio.get_running_loop().call_later(0.1, os.kill, os.getpid(), signal.SIGINT)
    await handle.result()
try:
    asyncio.run(main())
except KeyboardInterrupt:
    sys.exit(3)
"""

SLOW_HANDOVER = """
async def main():
    loop = asyncio.get_running_loop()
    wake = loop._write_to_self
    def wake_and_linger():  # as a starved thread does, between waking the loop and letting the client go
        wake()
        if threading.get_ident() != threading.main_thread().ident:
            time.sleep(0.1)
    loop._write_to_self = wake_and_linger
    client = await connect()
    await client.count_workflows()
asyncio.run(main())
"""

NATIVE_THREADS = """
def threads():
    found = 0
    for task in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{task}/comm") as comm:
                found += comm.read().startswith("tokio")
        except OSError:  # it ended meanwhile
            pass
    return found
atexit.register(lambda: print("hook, native threads:", threads()))
"""

EXIT_CODE_AND_HOOKS = (
    NATIVE_THREADS
    + """
client = None
async def main():
    global client
    client = await connect()
    await client.count_workflows()
    print("native threads before:", bool(threads()))
    sys.exit(7)
asyncio.run(main())
"""
)

REPLAYER = (
    NATIVE_THREADS
    + """
from pathlib import Path
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from tests.workflow.agents import Banker
history = WorkflowHistory.from_json("replayed", Path(sys.argv[1]).read_text())
async def main():
    await Replayer(workflows=[Banker], plugins=[AgentflowPlugin()]).replay_workflow(history)
    print("native threads before:", bool(threads()))
    sys.exit(7)
asyncio.run(main())
"""
)

CALLED_OFTEN = """
from agentflow.clean_exit import ensure_clean_exit
before = atexit._ncallbacks()
callers = [threading.Thread(target=ensure_clean_exit) for _ in range(16)]
for caller in callers: caller.start()
for caller in callers: caller.join()
print(atexit._ncallbacks() - before)
"""


FORKED = """
import json

def exit_code(children):
    child, status = os.wait()
    children.remove(child)
    code = os.waitstatus_to_exitcode(status)
    return "hung" if code == -signal.SIGALRM else code

children, codes, script = set(), [], {script!r}
assert len(os.listdir("/proc/self/task")) == 1, "a fork would lack the other threads"
for _ in range({starts}):
    if len(children) == 2:
        codes.append(exit_code(children))
    if not (child := os.fork()):
        signal.alarm(30)
        break
    children.add(child)
else:
    while children:
        codes.append(exit_code(children))
    print(json.dumps(codes))
    script = ""
exec(script)
"""
"""Many processes that end by themselves, two at a time, and none of which has to import everything again: each is
forked before there is a thread or a client, runs the script as its main module, and ends as interpreters do."""


async def start(script: str, argument: str, *, seconds: float = 30) -> tuple[int | str, str, str]:
    """Start one interpreter; its exit code (or ``hung``), its output and its errors."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        CONNECT + script,
        argument,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await asyncio.wait_for(process.communicate(), timeout=seconds)
    except TimeoutError:
        process.kill()
        await process.wait()
        return "hung", "", ""
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


async def exit_codes(script: str, address: str, starts: int) -> Counter[int | str]:
    """The exit codes of so many processes."""
    code, output, errors = await start(FORKED.format(script=script, starts=starts), address, seconds=120)
    assert code == 0, errors
    return Counter(json.loads(output))


@pytest.fixture
def address(temporal: WorkflowEnvironment) -> str:
    return temporal.client.service_client.config.target_host


async def test_a_thread_that_is_slow_to_hand_over_does_not_crash_the_exit(address: str) -> None:
    assert await exit_codes(SLOW_HANDOVER, address, starts=5) == {0: 5}


async def test_interrupting_a_wait_for_a_result_does_not_hang_the_exit(address: str) -> None:
    assert await exit_codes(INTERRUPTED, address, starts=5) == {3: 5}


async def test_the_exit_code_the_output_and_other_hooks_are_kept_and_the_native_threads_are_gone(
    address: str,
) -> None:
    code, output, errors = await start(EXIT_CODE_AND_HOOKS, address)
    assert (code, output.splitlines()) == (7, ["native threads before: True", "hook, native threads: 0"]), (
        errors
    )


async def test_a_process_that_only_replays_ends_without_native_threads_too() -> None:
    code, output, errors = await start(REPLAYER, str(HISTORIES / "0.1.0-reads-and-a-write.json"))
    assert (code, output.splitlines()) == (7, ["native threads before: True", "hook, native threads: 0"]), (
        errors
    )


async def test_many_calls_from_many_threads_install_one_hook(address: str) -> None:
    code, output, errors = await start(CALLED_OFTEN, address)
    assert (code, output.strip()) == (0, "1"), errors


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "code", "starts"),
    [
        pytest.param(LOCAL_CLIENT, 0, 12, id="local"),
        pytest.param(GLOBAL_CLIENT, 0, 6, id="global"),
        pytest.param(FAILING, 1, 5, id="failing"),
        pytest.param(CALLS_UNDER_WAY, 0, 5, id="calls-under-way"),
    ],
)
async def test_many_starts_end_as_their_code_says(address: str, script: str, code: int, starts: int) -> None:
    assert await exit_codes(script, address, starts=starts) == {code: starts}
