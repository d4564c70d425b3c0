"""Temporal and a worker in a process of their own, as they are in real life, until standard input closes."""

import asyncio
import json
import shutil
import sys
import tempfile
from pathlib import Path

from cashier import Cashier
from cashier_tools import pay, transfer
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from agentflow.adapters.search_attributes import register_search_attributes
from agentflow.contracts.model import ModelCall
from agentflow.testing import ScriptedModel, answer, call, scripted_plugin
from agentflow.testing.scripted import Line

TASK_QUEUE = "cashier"

HOSTILE = "[red]1[/red]\x1b[2J\u202e\n9"


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
    if is_first_turn and word == "transfer":
        return call("transfer", amount=amount)
    return answer({"amount": amount})


async def main() -> None:
    path = shutil.which("temporal", path=str(Path(sys.executable).parent)) or shutil.which("temporal")
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=path, dev_server_log_level="error"
    ) as env:
        await register_search_attributes(env.client)
        directory = Path(tempfile.mkdtemp())
        plugin = scripted_plugin(ScriptedModel(script), tools=(pay, transfer), directory=directory)
        client = await env.connect_client(plugins=[plugin])
        async with Worker(client, task_queue=TASK_QUEUE, workflows=[Cashier]):
            address = client.service_client.config.target_host
            print(json.dumps({"address": address}), flush=True)
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
