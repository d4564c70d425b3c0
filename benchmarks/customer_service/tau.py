"""tau-bench's tools, data and tasks, read from a copy of its repository.

The tools and tasks are Python modules, and are run: give it a copy that you trust. Their packages are not
imported, as those need model providers' libraries.
"""

import importlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

DOMAINS = ("retail", "airline")

Call = tuple[str, dict[str, Any]]
"""Function and arguments."""


@dataclass(frozen=True)
class TauTask:
    """One task: what the customer wants, and the calls that do it."""

    number: int
    user_id: str
    instruction: str
    calls: Sequence[Call]


class Tau:
    """One domain of tau-bench."""

    def __init__(self, copy: Path, domain: str) -> None:
        """Read a domain.

        Raises:
            FileNotFoundError: it is no copy of tau-bench.
        """
        self.domain = domain
        self._place = copy / "tau_bench" / "envs" / domain
        self.policy = (self._place / "wiki.md").read_text()
        _stand_in(copy, domain)
        tools = importlib.import_module(f"tau_bench.envs.{domain}.tools")
        self._tools = {tool.get_info()["function"]["name"]: tool for tool in tools.ALL_TOOLS}
        module = importlib.import_module(f"tau_bench.envs.{domain}.tasks_test")
        found: list[Any] = module.TASKS_TEST if domain == "retail" else module.TASKS
        self.tasks = [_task(number, task) for number, task in enumerate(found)]
        self._data = {
            path.stem: json.loads(path.read_text()) for path in sorted((self._place / "data").glob("*.json"))
        }

    def fresh(self) -> "World":
        """The domain's data as it is before a task."""
        return World(self._tools, json.loads(json.dumps(self._data)))

    def schema(self, function: str) -> dict[str, Any]:
        """The JSON Schema of a tool's arguments, closed."""
        return {**self._info(function)["parameters"], "additionalProperties": False}

    def description(self, function: str) -> str:
        """A tool's."""
        return self._info(function)["description"]

    @property
    def functions(self) -> Sequence[str]:
        """The tools' names."""
        return list(self._tools)

    def _info(self, function: str) -> dict[str, Any]:
        return self._tools[function].get_info()["function"]


@dataclass
class World:
    """The data of one task, and the tools that act on it."""

    tools: Mapping[str, Any]
    data: dict[str, Any]

    def act(self, function: str, arguments: Mapping[str, Any]) -> Any:
        """A tool's output: JSON, or a text where it is none."""
        said = self.tools[function].invoke(self.data, **json.loads(json.dumps(arguments)))
        try:
            return json.loads(said)
        except (TypeError, ValueError):
            return said


def _task(number: int, task: Any) -> TauTask:
    return TauTask(
        number, task.user_id, task.instruction, [(call.name, dict(call.kwargs)) for call in task.actions]
    )


def _stand_in(copy: Path, domain: str) -> None:
    """Packages that hold tau-bench's modules, and do nothing when they are imported."""
    root = copy / "tau_bench"
    for name, place in {
        "tau_bench": root,
        "tau_bench.envs": root / "envs",
        f"tau_bench.envs.{domain}": root / "envs" / domain,
    }.items():
        package = ModuleType(name)
        package.__path__ = [str(place)]
        sys.modules[name] = package
    types = ModuleType("tau_bench.types")
    types.Task = types.Action = SimpleNamespace  # type: ignore[attr-defined]
    sys.modules["tau_bench.types"] = types
