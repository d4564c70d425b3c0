"""A worker in a process of its own, for tests that kill it: ``python -m tests.workflow.kill_worker``.

It serves the ``Payer`` with a model that reads, pays and answers. Told to stall, its payments tool says
so on standard output and never ends: whoever started it kills it then.
"""

import asyncio
import sys
from pathlib import Path

from temporalio.client import Client
from temporalio.worker import Worker

from agentflow import ToolContext, tool, tools_of
from agentflow.testing import ScriptedModel, answer, call, scripted_plugin
from tests.workflow.harness import ALL_AGENTS
from tests.workflow.tools import Bank

SCRIPT = [
    call("balance", account="alice"),
    call("pay_promptly", account="alice", amount="10.00"),
    answer({"account": "alice", "amount": "10.00"}),
]


class FileBank(Bank):
    """Keeps its books in a file, which outlives the process."""

    def __init__(self, books: Path, *, stall: bool) -> None:
        super().__init__()
        self._books = books
        self._stall = stall

    @tool(effect="write", recovery="key", options=Bank.pay_promptly.contract.options)
    async def pay_promptly(self, context: ToolContext, account: str, amount: str) -> str:
        """Pay an amount to an account."""
        line = f"{context.idempotency_key} {account} {amount}"
        # The outside system honours its key: a second call with it changes nothing.
        made = self._books.read_text().splitlines() if self._books.exists() else []
        if line not in made:
            self._books.write_text("\n".join([*made, line]) + "\n")
        if self._stall:
            print("paid, and stalling", flush=True)
            await asyncio.sleep(3600)
        return f"paid {amount} to {account}"


async def main(address: str, queue: str, directory: Path, stall: bool) -> None:
    bank = FileBank(directory / "books.txt", stall=stall)
    plugin = scripted_plugin(ScriptedModel(SCRIPT), tools=tools_of(bank), directory=directory)
    client = await Client.connect(address, plugins=[plugin])
    async with Worker(client, task_queue=queue, workflows=ALL_AGENTS):
        print("serving", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4] == "stall"))
