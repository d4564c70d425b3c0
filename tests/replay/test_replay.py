"""Histories that earlier code recorded replay on today's: in the sandbox, with the shipped plugin."""

from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from agentflow import AgentflowPlugin
from tests.workflow.deciding_agents import Wirer
from tests.workflow.harness import ALL_AGENTS
from tests.workflow.importing_agents import Noter
from tests.workflow.retried_agents import Stumbler
from tests.workflow.verifying_agents import Badged
from workflows.support_refund import SupportRefund

AGENTS = [*ALL_AGENTS, Noter, SupportRefund, Badged, Wirer, Stumbler]
HISTORIES = sorted((Path(__file__).parent / "histories").glob("*.json"))
TEXTS = {path.stem: path.read_text("utf-8") for path in HISTORIES}


def test_there_are_histories_to_replay() -> None:
    assert HISTORIES


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
async def test_a_recorded_history_replays(path: Path) -> None:
    history = WorkflowHistory.from_json(path.stem, TEXTS[path.stem])
    replayer = Replayer(workflows=AGENTS, plugins=[AgentflowPlugin()])
    result = await replayer.replay_workflow(history)
    assert result.replay_failure is None


async def test_a_history_that_today_would_write_otherwise_is_found_out() -> None:
    text = TEXTS[HISTORIES[0].stem].replace('"name": "chat"', '"name": "chatter"')
    history = WorkflowHistory.from_json("changed", text)
    replayer = Replayer(workflows=AGENTS, plugins=[AgentflowPlugin()])
    with pytest.raises(Exception, match=r"(?i)nondeterminism"):
        await replayer.replay_workflow(history)
