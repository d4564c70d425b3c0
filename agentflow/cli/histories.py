"""Where ``agentflow replay`` finds what it needs: histories in files, agents in modules."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from temporalio.client import WorkflowHistory

from agentflow.audit.replaying import ReplayedRuns
from agentflow.cli.connection import client_plugin, silent_runtime
from agentflow.cli.exits import misused
from agentflow.cli.project import Project, load_module, load_object
from agentflow.cli.session import Session
from agentflow.errors import ConfigurationError
from agentflow.workflow.agent import AgentWorkflow
from agentflow.workflow.definition import workflow_type_of

_CLOSING = tuple(
    f"workflow_execution_{end}_event"
    for end in ("completed", "failed", "timed_out", "canceled", "terminated", "continued_as_new")
)


@dataclass(frozen=True)
class RecordedRun:
    """A history, and where it came from."""

    history: WorkflowHistory
    source: str

    @property
    def workflow_type(self) -> str:
        """The workflow type that made it."""
        return self.history.events[0].workflow_execution_started_event_attributes.workflow_type.name

    @property
    def is_open(self) -> bool:
        """Whether the execution was at work when its history was read."""
        last = self.history.events[-1].WhichOneof("attributes") or ""
        return not last.startswith(_CLOSING)


def read_histories(files: Sequence[Path], directory: Path | None) -> list[RecordedRun]:
    """The histories in files, and in the ``*.json`` of a directory.

    Raises:
        CommandFailed: a file is no history, or the directory has none.
    """
    found = [*files]
    if directory:
        in_directory = sorted(directory.glob("*.json"))
        if not in_directory:
            raise misused(f"{directory} has no *.json")
        found += in_directory
    return [_read(path) for path in found]


def recorded(history: WorkflowHistory, source: str) -> RecordedRun:
    """A history that begins as histories do.

    Raises:
        CommandFailed: it doesn't.
    """
    if not history.events or not history.events[0].HasField("workflow_execution_started_event_attributes"):
        raise misused(f"{source} is no history of a run: it doesn't begin with its start")
    return RecordedRun(history, source)


def load_agents(paths: Iterable[str]) -> dict[str, type]:
    """The agents in modules, and the classes that are named, by workflow type.

    Args:
        paths: ``module``, for every agent in it, or ``module:Class``.

    Raises:
        ConfigurationError: one can't be imported or has no agent, or two have the same workflow type.
    """
    agents: dict[str, type] = {}
    for path in paths:
        found = [_workflow(path)] if ":" in path else list(_agents_in(path))
        if not found:
            raise ConfigurationError(f"module {path} has no AgentWorkflow subclass with @workflow.defn")
        for agent in found:
            name = workflow_type_of(agent)
            assert name is not None  # both ways of finding agents looked
            if agents.setdefault(name, agent) is not agent:
                other = agents[name]
                raise ConfigurationError(f"{agent.__module__} and {other.__module__} both have a {name}")
    return agents


def agents_at_hand(session: Session, namespace: str, workflows: Sequence[str] | None) -> ReplayedRuns:
    """The code that runs are replayed with. Without any, what it would tell is a gap."""
    agents = load_agents(workflows or Project.load_from(Path.cwd()).workflows)
    if not agents:
        session.output.note(
            "no agents are at hand (--workflows, or workflows in pyproject.toml under [tool.agentflow]): "
            "decisions on signals and budgets can't be worked out anew"
        )
    return ReplayedRuns(list(agents.values()), namespace, plugin=client_plugin(), runtime=silent_runtime())


def _workflow(path: str) -> type:
    found = load_object(path)
    if not isinstance(found, type) or workflow_type_of(cast(object, found)) is None:
        raise ConfigurationError(f"{path} is no class with @workflow.defn")
    return found


def _agents_in(name: str) -> Iterator[type]:
    for value in vars(load_module(name)).values():
        kind: type | None = value if isinstance(value, type) else None
        if kind and issubclass(kind, AgentWorkflow) and workflow_type_of(cast(object, kind)) is not None:
            yield kind


def _read(path: Path) -> RecordedRun:
    try:
        history = WorkflowHistory.from_json(path.stem, path.read_text("utf-8"))
    except Exception as error:
        # Each JSON error comes in a class of protobuf's or the SDK's own; all mean the same here.
        raise misused(f"{path} is no workflow history: {type(error).__name__}: {error}") from error
    found = recorded(history, str(path))
    started: Any = history.events[0].workflow_execution_started_event_attributes
    # What a run decides can depend on its id, so the file's name is only for histories without one.
    return RecordedRun(WorkflowHistory(started.workflow_id or path.stem, history.events), found.source)
