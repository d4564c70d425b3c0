"""How long a list of many pending approvals takes, and a decision on all of them.

``python -m benchmarks.approvals --runs 500``. Each run waits for one approval. They are listed from what
visibility holds, and beside that, in the same round, by asking each run; then all are approved in a batch.
"""

import argparse
import asyncio
import logging
import statistics
import sys
import time

from temporalio.client import Client
from temporalio.worker import Worker

from agentflow import AgentClient, AgentTask, ApprovalDecision, tools_of
from agentflow.adapters.dev_server import DevServer
from agentflow.contracts.names import SEARCH_ATTRIBUTES
from agentflow.inbox import ASKED_AT_ONCE, ApprovalFilter, Inbox
from agentflow.testing import MemoryLedger, ScriptedModel, scripted_plugin
from benchmarks.approvals_agent import Refunder, Till
from benchmarks.command_line import add_json, machine, print_report, silence_agentflow

TASK_QUEUE = "approvals"


async def measure(runs: int, listings: int) -> dict[str, float]:
    """One round: let the runs wait, list them, decide on all."""
    till = Till()
    plugin = scripted_plugin(ScriptedModel([]), tools=tools_of(till), ledger=MemoryLedger())
    async with DevServer(ui=False, search_attributes=SEARCH_ATTRIBUTES) as server:
        client = await Client.connect(server.address, plugins=[plugin])
        agents = AgentClient(client)
        inbox, wanted = Inbox(agents), ApprovalFilter(roles=("finance",))
        async with Worker(client, task_queue=TASK_QUEUE, workflows=[Refunder]):
            ids = await asyncio.gather(*(_start(agents, number) for number in range(runs)))
            while len(found := await inbox.pending(wanted, limit=2 * runs)) < runs:  # noqa: ASYNC110 - visibility
                await asyncio.sleep(0.2)
            listed: list[float] = []
            for _ in range(listings):
                began = time.perf_counter()
                found = await inbox.pending(wanted, limit=2 * runs)
                listed.append(time.perf_counter() - began)
            asked = await _ask_each(agents, ids)
            decisions = [
                (
                    run.workflow_id,
                    ApprovalDecision(
                        approval_id=request.id,
                        by="ann",
                        roles=("finance",),
                        arguments_hash=request.arguments_hash,
                        verdict="approve",
                    ),
                )
                for run in found
                for request in run.approvals
            ]
            began = time.perf_counter()
            done = await inbox.decide(decisions)
            decided = time.perf_counter() - began
            await asyncio.gather(*(client.get_workflow_handle(run).result() for run in ids))
    return {
        "listed": len(found),
        "counted": sum(one.receipt is not None for one in done),
        "refunds": len(till.refunds),
        "list_s": round(statistics.median(listed), 3),
        "list_worst_s": round(max(listed), 3),
        "asking_each_s": round(asked, 3),
        "decide_all_s": round(decided, 3),
    }


async def _start(agents: AgentClient, number: int) -> str:
    task = AgentTask(input=f"ORD-{number:05}", requested_by="joe")
    return await agents.start(Refunder, task, task_queue=TASK_QUEUE)


async def _ask_each(agents: AgentClient, ids: list[str]) -> float:
    """What the same list takes where each run is asked."""
    free = asyncio.Semaphore(ASKED_AT_ONCE)

    async def ask(run: str) -> None:
        async with free:
            await agents.pending_approvals(run)

    began = time.perf_counter()
    await asyncio.gather(*(ask(run) for run in ids))
    return time.perf_counter() - began


def main() -> int:
    """Measure, print the figures, and answer the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.approvals", description=__doc__)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--listings", type=int, default=5, help="in each round")
    add_json(parser)
    given = parser.parse_args()
    logging.getLogger("temporalio").setLevel(logging.ERROR)
    silence_agentflow()
    rounds = [asyncio.run(measure(given.runs, given.listings)) for _ in range(given.rounds)]
    report = {
        "runs": given.runs,
        **{name: statistics.median(one[name] for one in rounds) for name in rounds[0]},
        "list_worst_s": max(one["list_worst_s"] for one in rounds),
        **machine(),
    }
    print_report(report, as_json=given.json)
    complete = all(one["listed"] == one["counted"] == one["refunds"] == given.runs for one in rounds)
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main())
