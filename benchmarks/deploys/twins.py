"""The same without pinning: a run goes on as the agent that its worker has."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from agentflow.contracts.manifest import Manifest
from agentflow.workflow import run
from agentflow.workflow.definition import AgentDefinition

TWIN_CHANGES = ("one word of the instructions", "tool added last", "rule: allow to deny", "price of a tool")
TWIN_PATIENCE = 12
"""Seconds: a run whose workflow tasks fail never ends."""


def _as_its_worker(present: AgentDefinition[Any], _: Manifest) -> AgentDefinition[Any]:
    return present


@contextmanager
def unpinned() -> Iterator[None]:
    """Let runs of this process go on as the agents of their workers."""
    pinning = run.as_pinned
    run.as_pinned = _as_its_worker
    try:
        yield
    finally:
        run.as_pinned = pinning
