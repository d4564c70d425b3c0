"""The project in the current directory: ``[tool.agentflow]`` of its ``pyproject.toml``.

=============  ===========================================================================
``worker``     ``"module:attribute"``; runs the worker, for ``agentflow dev`` and ``demo``
``workflows``  ``["module", "module:Class"]``; the agents, for ``agentflow replay``
``stack``      ``"module:attribute"``; starts the outside systems a local worker needs
``demo``       ``"module:attribute"``; what ``agentflow demo`` runs
=============  ===========================================================================
"""

import importlib
import importlib.util
import sys
import tomllib
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from agentflow.core.answer import describe_errors
from agentflow.errors import ConfigurationError

_NAME = r"[A-Za-z_]\w*"
_DOTTED = rf"{_NAME}(\.{_NAME})*"

ObjectPath = Annotated[str, StringConstraints(pattern=rf"^{_DOTTED}:{_DOTTED}$")]
"""``module:attribute``, both with dots if need be."""
ModulePath = Annotated[str, StringConstraints(pattern=rf"^{_DOTTED}(:{_DOTTED})?$")]
"""``module``, or ``module:Class``."""


class Project(BaseModel):
    """What ``[tool.agentflow]`` says; all of it is optional."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid")

    worker: ObjectPath | None = None
    """What runs the worker, for ``agentflow dev`` and ``demo``."""
    workflows: tuple[ModulePath, ...] = Field(default=())
    """Where the agents are, for ``agentflow replay``."""
    stack: ObjectPath | None = None
    """What starts the outside systems that a local worker needs."""
    demo: ObjectPath | None = None
    """What ``agentflow demo`` runs."""

    @classmethod
    def load_from(cls, directory: Path) -> "Project":
        """Read ``pyproject.toml`` of a directory; without one nothing is set.

        Raises:
            ConfigurationError: it can't be read, or ``[tool.agentflow]`` is wrong; the text says where.
        """
        path = directory / "pyproject.toml"
        try:
            document = tomllib.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"{path} can't be read: {error}") from error
        tools: Any = document.get("tool", {})
        try:
            # TOML lets "tool" be anything; only a table can hold ours.
            return cls.model_validate(tools.get("agentflow", {})) if hasattr(tools, "get") else cls()
        except ValidationError as error:
            raise ConfigurationError(f"[tool.agentflow] in {path}: {describe_errors(error)}") from error

    def load(self, key: Literal["worker", "stack", "demo"]) -> Any:
        """The object that a key names.

        Raises:
            ConfigurationError: the key isn't set, or names nothing that can be imported.
        """
        path: str | None = getattr(self, key)
        if path is None:
            raise ConfigurationError(
                f"pyproject.toml doesn't say what the {key} is: write {key} = "
                f'"module:attribute" under [tool.agentflow]'
            )
        return load_object(path)


def load_object(path: str) -> Any:
    """Import ``module:attribute`` or ``file.py:attribute``; modules of the current directory are found.

    Raises:
        ConfigurationError: it names nothing, or importing it fails; the text says why.
    """
    # From the right: a path may begin with a drive.
    module_name, _, attribute = path.rpartition(":")
    if not module_name or not attribute:
        raise ConfigurationError(f"{path!r} must be module:attribute")
    found: Any = load_module(module_name)
    for name in attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise ConfigurationError(f"module {module_name} has no {attribute}") from None
    return found


def load_module(name: str) -> ModuleType:
    """Import a module, or a file that ends in ``.py``; modules of the current directory are found.

    Raises:
        ConfigurationError: there is none by that name, or importing it fails; the text says why.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        # An installed command's path starts with its own directory, not with the project's.
        sys.path.insert(0, here)
    try:
        return _load_file(Path(name)) if name.endswith(".py") else importlib.import_module(name)
    except ConfigurationError:
        raise
    except Exception as error:
        # Whatever a user's module raises while it is imported is the user's to read, not our traceback.
        raise ConfigurationError(_import_problem(name, error)) from error


def _load_file(path: Path) -> ModuleType:
    # Its name says where it is from, so that two versions of one file can be loaded side by side.
    name = f"agentflow_file_{path.resolve().as_posix()}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ConfigurationError(f"there is no file {path}")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _import_problem(name: str, error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
        return f"there is no module {name}: run this in the project's directory, or install the project"
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"module {name} can't be imported: {type(error).__name__}: {error} ({last.filename}:{last.lineno})"


def workflows_of_project() -> Sequence[str]:
    """Where this directory's ``pyproject.toml`` says that the agents are.

    Raises:
        ConfigurationError: it doesn't say.
    """
    if named := Project.load_from(Path.cwd()).workflows:
        return named
    raise ConfigurationError(
        "say where the agents are: --workflows MODULE, or in pyproject.toml under [tool.agentflow] "
        'workflows = ["module"]'
    )
