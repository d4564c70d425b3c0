"""Options that belong together, said once for all commands that take them."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

Command = Callable[..., None]


def taking(name: str, maker: Callable[..., Any]) -> Callable[[Command], Command]:
    """Let a command take a maker's options in the place of one parameter, and be given what it makes of them.

    Args:
        name: The command's parameter.
        maker: Its keyword-only parameters are the options.
    """
    options = inspect.signature(maker, eval_str=True).parameters

    def decorate(command: Command) -> Command:
        own = inspect.signature(command, eval_str=True)
        parameters = [
            one
            for parameter in own.parameters.values()
            for one in (options.values() if parameter.name == name else (parameter,))
        ]

        @functools.wraps(command)
        def run(**given: Any) -> None:
            command(**{name: maker(**{option: given.pop(option) for option in options})}, **given)

        # What Typer reads.
        run.__dict__["__signature__"] = own.replace(parameters=parameters)
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        return run

    return decorate
