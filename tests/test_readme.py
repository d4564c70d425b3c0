"""The README's first screen does what it says."""

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

import pytest
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from agentflow import AgentClient, AgentTask
from agentflow.testing import ScriptedModel, answer, call, scripted_plugin
from tests.workflow.harness import eventually

README = Path(__file__).parents[1] / "README.md"


def smallest_agent() -> str:
    block = re.search(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    assert block
    return block[1]


@pytest.fixture
def module(tmp_path: Path) -> Iterator[ModuleType]:
    name = "readme_agent"
    path = tmp_path / f"{name}.py"
    path.write_text(smallest_agent(), "utf-8")
    # Temporal's sandbox imports the module by name for each run.
    sys.path.insert(0, str(tmp_path))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec
    assert spec.loader
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made
    spec.loader.exec_module(made)
    yield made
    sys.path.remove(str(tmp_path))
    del sys.modules[name]


def test_the_smallest_agent_is_under_thirty_lines() -> None:
    assert len([line for line in smallest_agent().splitlines() if line.strip()]) < 30


async def test_the_smallest_agent_asks_a_person_before_it_refunds(
    temporal: WorkflowEnvironment, module: Any, tmp_path: Path
) -> None:
    model = ScriptedModel([call("refund", order="ORD-1", amount_usd=30), answer("refunded $30.00")])
    plugin = scripted_plugin(model, tools=[module.refund], directory=tmp_path)
    client = await temporal.connect_client(plugins=[plugin])
    queue = f"readme-{uuid4()}"
    async with Worker(client, task_queue=queue, workflows=[module.Refunds]):
        agents = AgentClient(client)
        task = AgentTask(input="my lamp is broken", requested_by="rita")
        workflow_id = await agents.start(module.Refunds, task, task_queue=queue)

        async def pending() -> str | None:
            waiting = await agents.pending_approvals(workflow_id)
            return waiting[0].id if waiting else None

        await agents.approve(workflow_id, await eventually(pending), by="ann")
        outcome = await agents.result(workflow_id, str)
    assert outcome.output == "refunded $30.00"


def test_every_file_that_the_readme_links_to_is_there() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README.read_text("utf-8"))
    missing = [link for link in links if "://" not in link and not (README.parent / link).exists()]
    assert missing == []
