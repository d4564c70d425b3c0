"""A group of commands one of which is meant where none is named."""

from typing import Any

from typer.core import TyperGroup


class WithList(TyperGroup):
    """``agentflow approvals`` is ``agentflow approvals list``, and so is one with a workflow id."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put ``list`` where no command is."""
        if not args or (args[0] not in self.commands and args[0] != "--help"):
            args = ["list", *args]
        return super().parse_args(ctx, args)
