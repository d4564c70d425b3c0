"""How fast the kill switch stops writes: many runs that write again and again, and then a freeze.

``python -m benchmarks.freezing --runs 100``. Each run writes in a loop of its own code. Printed is how long
after the command began the last write was carried out, when the command answered, how many writes there were
after that, and what the runs said. Besides: what it costs each write to ask whether it is frozen, of a SQLite
ledger with a hundred revoked keys, where a worker has asked within the second and where it has not.
"""

import argparse
import asyncio
import logging
import statistics
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from temporalio.client import Client
from temporalio.worker import Worker

from agentflow import AgentClient, AgentTask, tools_of
from agentflow.activity.stops import StopReader
from agentflow.adapters.dev_server import DevServer
from agentflow.adapters.freezes import freezes_of
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.contracts.freeze import Freeze
from agentflow.contracts.grounds import Grounds
from agentflow.contracts.names import SEARCH_ATTRIBUTES
from agentflow.testing import MemoryLedger, ScriptedModel, scripted_plugin
from benchmarks.command_line import add_json, machine, print_report, silence_agentflow
from benchmarks.freezing_agent import Scribe, Writer

TASK_QUEUE = "freezing"


async def measure(runs: int) -> dict[str, float]:
    """One round: start the runs, let them write, freeze, and look when the last write was."""
    scribe = Scribe()
    ledger = MemoryLedger()
    plugin = scripted_plugin(ScriptedModel([]), tools=tools_of(scribe), ledger=ledger)
    async with DevServer(ui=False, search_attributes=SEARCH_ATTRIBUTES) as server:
        client = await Client.connect(server.address, plugins=[plugin])
        agents = AgentClient(client)
        async with Worker(client, task_queue=TASK_QUEUE, workflows=[Writer]):
            started = [
                agents.start(Writer, AgentTask(input=str(number), requested_by="ops"), task_queue=TASK_QUEUE)
                for number in range(runs)
            ]
            ids = await asyncio.gather(*started)
            while len(scribe.written) < 3 * runs:  # noqa: ASYNC110 - the tool knows nothing of events
                await asyncio.sleep(0.1)
            began = time.monotonic()
            writes = len(scribe.written)
            fleet = Freeze(scope="fleet", by="ops", reason=str(uuid4()))
            told = await freezes_of(client, ledger).freeze(fleet, sweeps=(0,))
            answered = time.monotonic()
            await asyncio.sleep(2)
            after = max((at for _, at in scribe.written), default=began) - began
            late = sum(at > began + 1 for _, at in scribe.written)
            unforeseen = sum(at > answered for _, at in scribe.written)
            frozen = sum([bool((await agents.status(run)).frozen) for run in ids])
            await asyncio.gather(*(client.get_workflow_handle(run).terminate() for run in ids))
    return {
        "told": told.runs,
        "frozen": frozen,
        "writes_before": writes,
        "writes_a_second_later": late,
        "writes_after_the_answer": unforeseen,
        "answered_after_s": round(answered - began, 3),
        "last_write_after_s": round(max(after, 0), 3),
    }


async def asking(times: int) -> dict[str, float]:
    """What one write's question costs."""
    grounds = Grounds(agent="Writer", tenant="default", requested_by="ops", tier="dev", identity="trusted")
    with tempfile.TemporaryDirectory() as directory:
        ledger = SQLiteLedger(Path(directory) / "ledger.sqlite")
        for number in range(100):
            await ledger.stop("default", f"key:{number}", by="ops")
        cached, fresh = StopReader(ledger), StopReader(ledger, cached_for=timedelta(0))
        took = {"cached": [await _seconds(cached, grounds) for _ in range(times)]}
        took["fresh"] = [await _seconds(fresh, grounds) for _ in range(times)]
        await ledger.close()
    return {f"ask_{name}_us": round(statistics.median(each) * 1e6, 1) for name, each in took.items()}


async def _seconds(standing: StopReader, grounds: Grounds) -> float:
    began = time.perf_counter()
    await standing.objections("default", grounds)
    return time.perf_counter() - began


def main() -> int:
    """Measure, print the figures, and answer the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.freezing", description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    add_json(parser)
    given = parser.parse_args()
    logging.getLogger("temporalio").setLevel(logging.ERROR)
    silence_agentflow()
    rounds = [asyncio.run(measure(given.runs)) for _ in range(given.rounds)]
    report = {
        "runs": given.runs,
        **{name: statistics.median(one[name] for one in rounds) for name in rounds[0]},
        "worst_last_write_after_s": max(one["last_write_after_s"] for one in rounds),
        **asyncio.run(asking(2_000)),
        **machine(),
    }
    print_report(report, as_json=given.json)
    return 1 if any(one["frozen"] != given.runs or one["writes_after_the_answer"] for one in rounds) else 0


if __name__ == "__main__":
    sys.exit(main())
