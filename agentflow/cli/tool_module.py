"""The module that ``agentflow tools import`` writes: contracts as they were when somebody looked at them."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from agentflow.adapters.whole_file import write_whole
from agentflow.cli.exits import misused, refused
from agentflow.cli.project import load_module
from agentflow.contracts.tools import ToolContract
from agentflow.contracts.wire import Json
from agentflow.core.imported import ImportedTool, drift

MARK = "# Written by `agentflow tools import`"


def module_text(contracts: Sequence[ToolContract]) -> str:
    """The module: an ``ImportedTool`` for each contract."""
    sources = dict.fromkeys(contract.source.server for contract in contracts if contract.source)
    lines = [
        f"{MARK}: import again to change it, and say what is yours with adapted(...).",
        "# ruff: noqa",
        "# fmt: off",
        f'"""Tools of {_one_line(", ".join(sources))}."""',
        "",
        "from agentflow.imported import ImportedTool",
    ]
    for contract in contracts:
        document = contract.model_dump(mode="json", exclude={"options"})
        lines += ["", f"{contract.name} = ImportedTool.of({_literal(document, '')})"]
    return "\n".join(lines) + "\n"


def changes(path: Path, contracts: Sequence[ToolContract]) -> list[str]:
    """How the contracts differ from those that a module was written with.

    Raises:
        ConfigurationError: it can't be imported.
    """
    module = load_module(str(path))
    before = {
        tool.contract.name: tool.contract for tool in vars(module).values() if isinstance(tool, ImportedTool)
    }
    after = {contract.name: contract for contract in contracts}
    found = [f"{name} is new" for name in after if name not in before]
    found += [f"{name} is not listed any more" for name in before if name not in after]
    differences = ((name, drift(before[name], after[name])) for name in after if name in before)
    return [*found, *(f"{name}: {difference}" for name, difference in differences if difference)]


def write_module(path: Path, text: str) -> None:
    """Write the module, unless that would overwrite what somebody else wrote.

    Raises:
        CommandFailed: it would, or it can't be written.
    """
    try:
        if path.exists() and not path.read_text("utf-8").startswith(MARK):
            raise refused(f"{path} was not written by `agentflow tools import`: it stays as it is")
        write_whole(path, text.encode(), mode=0o644)
    except (OSError, UnicodeDecodeError) as error:
        raise misused(f"--out: {path} can't be written: {error}") from None


def _literal(value: Json, indent: str) -> str:
    """A value as Python writes it, a line for each part: so that a change is seen for what it is."""
    inner = f"{indent}    "
    if isinstance(value, dict) and value:
        parts = cast(dict[str, Json], value).items()
        lines = [f"{inner}{key!r}: {_literal(part, inner)}," for key, part in parts]
        return "\n".join(["{", *lines, f"{indent}}}"])
    if isinstance(value, list) and any(isinstance(part, dict | list) for part in cast(list[Json], value)):
        lines = [f"{inner}{_literal(part, inner)}," for part in cast(list[Json], value)]
        return "\n".join(["[", *lines, f"{indent}]"])
    return repr(cast(object, value))


def _one_line(text: str) -> str:
    """A title from elsewhere, in which nothing ends the docstring."""
    return " ".join(text.split()).replace("\\", "/").replace('"', "'")[:90]
