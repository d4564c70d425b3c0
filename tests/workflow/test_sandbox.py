"""What the sandbox of agents leaves out. It hooks into parts of the SDK that are not public."""

from pathlib import Path

from temporalio.testing import WorkflowEnvironment

from agentflow.testing import ScriptedModel, answer
from agentflow.workflow import sandbox
from tests.workflow.chatting_agents import Forgetful
from tests.workflow.harness import serving


async def test_a_workflow_task_runs_code_that_is_compiled_already(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    compiled = sandbox._compiled.cache_info  # pyright: ignore[reportPrivateUsage]
    async with serving(temporal, ScriptedModel([answer("ok")] * 2), tmp_path) as bank:
        await bank.run(Forgetful)
        before = compiled()
        await bank.run(Forgetful)
    assert (compiled().misses, compiled().hits > before.hits) == (before.misses, True)
