"""Checks of the plugin's options: each raises ``ConfigurationError`` for what would fail later, in a run."""

from collections.abc import Sequence
from typing import Any

from agentflow.activity.worker_tool import WorkerTool
from agentflow.core.catalog import check_closed
from agentflow.core.durations import checked
from agentflow.errors import ConfigurationError


def known(option: str, given: str, choices: Sequence[str]) -> Any:
    """The option, if it is one of the choices."""
    if given not in choices:
        raise ConfigurationError(f"there is no {option} {given!r}: {option}= is one of {', '.join(choices)}")
    return given


def check_port(option: str, port: str | type, given: object) -> None:
    """Refuse a thing in the place of another now: it would be found out at the first run."""
    if given is None:
        return
    if isinstance(port, type):
        fits = isinstance(given, port)
    else:
        fits = not isinstance(given, type) and callable(getattr(given, port, None))
    if not fits:
        wanted = port.__name__ if isinstance(port, type) else f"an object with {port}()"
        raise ConfigurationError(f"{option}= is {wanted}, not {type(given).__name__}")


def check_length(option: str, given: object) -> None:
    """Refuse what is no length of time, or one of next to nothing."""
    if given is not None:
        checked(option, given)


def check_tools(tools: Sequence[WorkerTool]) -> None:
    """Refuse two tools of one name, and one with arguments that its schema doesn't name."""
    names = [tool.contract.name for tool in tools]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigurationError(f"two tools are named {', '.join(twice)}: give one of each another name=")
    for tool in tools:
        check_closed(tool.contract)


def check_sizes(tools: Sequence[WorkerTool], limit: int) -> None:
    """Refuse a tool that may say more than a payload takes.

    Args:
        tools: All of the worker's.
        limit: The longest single value that a run may send, in bytes.
    """
    for tool in tools:
        options = tool.contract.options
        if max(options.max_result_bytes, options.max_argument_bytes) > limit:
            raise ConfigurationError(
                f"{tool!r} takes or gives more than the {limit} bytes that fit a payload: give the plugin "
                "external_storage=, or lower its max_argument_bytes and max_result_bytes"
            )
