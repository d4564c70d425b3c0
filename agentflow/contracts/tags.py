"""Marks on types: whose values are personal, and which are secret."""

from dataclasses import dataclass
from typing import Any

from pydantic import Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue

from agentflow.contracts.wire import Contract, is_false

TAG = "x-agentflow-redact"
"""Keyword of JSON Schema that carries the mark; its value is what stands in the value's place."""


@dataclass(frozen=True)
class Personal:
    """A value about a person: ``email: Annotated[str, Personal("email")]``.

    In the input of a task, in a tool's arguments and its output, in an answer. Wherever the value turns up in
    what leaves for logs, spans, details or memo, ``[email]`` stands there. Models, tools and history have it.
    """

    kind: str = "personal"
    """What stands in its place, in brackets."""

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Put the mark into the type's JSON Schema, which goes wherever the contract goes."""
        return {**handler(schema), TAG: self.kind}


@dataclass(frozen=True)
class Secret(Personal):
    """A value that nobody should read, such as a password: as ``Personal``."""

    kind: str = "secret"


class ToldValues(Contract):
    """The marked values of a run, for an activity that works for it and may log or trace texts."""

    kinds: dict[str, str] = Field(default_factory=dict[str, str])
    """Each value, and what stands in its place."""
    is_full: bool = Field(default=False, exclude_if=is_false)
    """Whether there are more than are told: then no text may be."""
