"""How fast the kill switch stops writes: many runs that write again and again, and then a freeze.

``python -m benchmarks.freezing --runs 100``. Each run writes in a loop of its own code. Printed is how long
after the command the last write was carried out, how long until every run had been told, and what they said.
"""

import argparse
import asyncio
import json
import logging
import os
import platform
import statistics
import sys
import time
from uuid import uuid4

import structlog
from temporalio.client import Client
from temporalio.worker import Worker

from agentflow import AgentClient, AgentTask, tools_of
from agentflow.adapters.dev_server import DevServer
from agentflow.adapters.freezes import Freezes
from agentflow.contracts.freeze import Freeze
from agentflow.contracts.names import SEARCH_ATTRIBUTES
from agentflow.testing import MemoryLedger, ScriptedModel, scripted_plugin
from benchmarks.freezing_agent import Scribe, Writer

TASK_QUEUE = "freezing"


async def measure(runs: int) -> dict[str, float]:
    """One round: start the runs, let them write, freeze, and look when the last write was."""
    scribe = Scribe()
    plugin = scripted_plugin(ScriptedModel([]), tools=tools_of(scribe), ledger=MemoryLedger())
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
            told = await Freezes(client).freeze(Freeze(scope="fleet", by="ops", reason=str(uuid4())), (0,))
            reached = time.monotonic() - began
            writes = len(scribe.written)
            await asyncio.sleep(3)
            after = max((at for _, at in scribe.written), default=began) - began
            late = sum(at > began + 1 for _, at in scribe.written)
            frozen = sum([bool((await agents.status(run)).frozen) for run in ids])
            await asyncio.gather(*(client.get_workflow_handle(run).terminate() for run in ids))
    return {
        "told": told.runs,
        "frozen": frozen,
        "writes_before": writes,
        "writes_a_second_later": late,
        "told_after_s": round(reached, 3),
        "last_write_after_s": round(max(after, 0), 3),
    }


def main() -> int:
    """Measure, print the figures, and answer the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.freezing", description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    given = parser.parse_args()
    logging.getLogger("temporalio").setLevel(logging.ERROR)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    rounds = [asyncio.run(measure(given.runs)) for _ in range(given.rounds)]
    report = {
        "runs": given.runs,
        **{name: statistics.median(one[name] for one in rounds) for name in rounds[0]},
        "worst_last_write_after_s": max(one["last_write_after_s"] for one in rounds),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    print(json.dumps(report, indent=None if given.json else 2))
    return 1 if any(one["frozen"] != given.runs or one["writes_a_second_later"] for one in rounds) else 0


if __name__ == "__main__":
    sys.exit(main())
