"""A worker for ``Cashier`` in a process of its own, until that is ended."""

import asyncio
import os
from pathlib import Path

from temporalio.client import Client
from temporalio.worker import Worker

from agentflow.adapters.jwks_file import JwksFile
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.contracts.model import ModelCall
from agentflow.testing import ScriptedModel, answer, call, scripted_plugin
from agentflow.testing.scripted import Line
from tests.cli.agents import Cashier
from tests.cli.tools import pay, transfer, wire

HOSTILE = "[red]1[/red]\x1b[2J\u202e\n9"
"""An argument that would colour, clear and reverse the approver's screen."""


def script(asked: ModelCall) -> Line:
    """The first word of the task says what to do; the second, if there is one, is the amount."""
    first = asked.messages[0]
    assert first.kind == "user"
    word, _, amount = first.text.partition(" ")
    is_first_turn = not any(message.kind == "assistant" for message in asked.messages)
    if word == "stuck":
        guided = any(message.kind == "user" and "be brief" in message.text for message in asked.messages)
        return answer({"amount": "0.00"}) if guided else answer("I don't know")
    if is_first_turn and word == "pay":
        return call("pay", order="1", amount=amount)
    if is_first_turn and word == "hostile":
        return call("pay", order=HOSTILE, amount="1.00")
    if is_first_turn and word == "wire":
        return call("wire", amount=amount, to="DE00")
    if is_first_turn and word == "wire-hostile":
        return call("wire", amount="1.00", to=HOSTILE)
    if is_first_turn and word == "transfer":
        return call("transfer", amount=amount)
    return answer({"amount": amount})


async def main(address: str, task_queue: str, ledger: Path) -> None:
    approvers = os.environ.get("AGENTFLOW_APPROVERS")
    plugin = scripted_plugin(
        ScriptedModel(script),
        tools=(pay, transfer, wire),
        ledger=SQLiteLedger(ledger),
        approvers=JwksFile(approvers) if approvers else None,
    )
    client = await Client.connect(address, plugins=[plugin])
    async with Worker(client, task_queue=task_queue, workflows=[Cashier]):
        await asyncio.Event().wait()


def run(task_queue: str) -> None:
    asyncio.run(main(os.environ["TEMPORAL_ADDRESS"], task_queue, Path(os.environ["AGENTFLOW_LEDGER"])))
