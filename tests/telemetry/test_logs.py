"""What a run logs, and to whom."""

import logging
from pathlib import Path

import pytest
import structlog
from temporalio.testing import WorkflowEnvironment

from agentflow.telemetry.logs import flush_logs
from agentflow.testing import ScriptedModel, answer
from tests.workflow.chatting_agents import Forgetful
from tests.workflow.harness import serving

pytestmark = pytest.mark.usefixtures("logs_as_they_were")


async def logged(
    temporal: WorkflowEnvironment, directory: Path, capsys: pytest.CaptureFixture[str]
) -> tuple[bool, bool]:
    """Whether a run's beginning is logged, and whether each of its steps is."""
    async with serving(temporal, ScriptedModel([answer("ok")]), directory) as bank:
        await bank.run(Forgetful)
    assert flush_logs()
    printed = capsys.readouterr().out
    return "run started" in printed, "model answered" in printed


async def test_steps_are_not_printed_where_nobody_configured_logs(
    temporal: WorkflowEnvironment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await logged(temporal, tmp_path, capsys) == (True, False)


async def test_steps_are_logged_at_debug(
    temporal: WorkflowEnvironment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG))
    assert await logged(temporal, tmp_path, capsys) == (True, True)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    assert await logged(temporal, tmp_path, capsys) == (True, False)
