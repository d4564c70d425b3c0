"""What makes models misuse a tool, and people unable to judge its calls: findings on a contract."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from agentflow.contracts.tools import ToolContract
from agentflow.contracts.wire import Json

MAX_DESCRIPTION = 1_024
"""Characters. OpenAI takes no more; of a longer one a model follows the beginning."""
MAX_SCHEMA_BYTES = 8_192
"""Of the arguments' schema: each model call pays for all of it."""
MAX_ARGUMENTS = 20
"""Beyond it models leave out and mix up."""

_ENUM = re.compile(r"\b(one of|either|allowed values|possible values|must be|valid values)\b", re.IGNORECASE)
_FEW_WORDS = 3

Schema = dict[str, Json]


@dataclass(frozen=True)
class ToolFinding:
    """One thing that should be better."""

    tool: str
    rule: str
    """A name that can be looked up in docs/tools.md."""
    place: str
    """Where: an argument, or nothing for the whole tool."""
    advice: str


def lint(contract: ToolContract) -> tuple[ToolFinding, ...]:
    """All findings on a contract."""
    found = [*_whole(contract), *_safety(contract)]
    properties = cast(Schema, contract.input_schema.get("properties", {}))
    for name, schema in properties.items():
        found += _argument(name, cast(Schema, schema) if isinstance(schema, dict) else {})
    return tuple(ToolFinding(contract.name, rule, place, advice) for rule, place, advice in found)


_Found = tuple[str, str, str]


def _whole(contract: ToolContract) -> Iterator[_Found]:
    words = len(contract.description.split())
    if words < _FEW_WORDS:
        yield "no-description", "", "say what it does, when to use it, and when not"
    if len(contract.description) > MAX_DESCRIPTION:
        yield (
            "long-description",
            "",
            f"{len(contract.description)} characters; models follow the first {MAX_DESCRIPTION}",
        )
    size = len(json.dumps(contract.input_schema))
    if size > MAX_SCHEMA_BYTES:
        yield "large-schema", "", f"its arguments take {size} bytes of each model call: fix or drop some"
    count = len(cast(Schema, contract.input_schema.get("properties", {})))
    if count > MAX_ARGUMENTS:
        yield "many-arguments", "", f"{count} arguments: models mix them up from {MAX_ARGUMENTS} on"
    if not contract.output_schema:
        yield "no-output", "", "whatever it answers passes: give it an output schema"
    if _is_recursive(contract.input_schema):
        yield "recursive-arguments", "", "some providers refuse a schema that refers to itself"


def _safety(contract: ToolContract) -> Iterator[_Found]:
    if contract.effect_is_claimed:
        yield (
            "claimed-effect",
            "",
            'that it only reads is its server\'s word: look, and say adapted(effect="read")',
        )
    if contract.effect == "read":
        return
    if contract.recovery == "ask":
        yield (
            "no-recovery",
            "",
            "an attempt that dies leaves a person to find out what happened: key or probe?",
        )
    if contract.sinks is None and contract.input_schema.get("properties"):
        yield "no-sinks", "", "name its arguments of consequence: until then all of them are"
    if contract.sentence is None:
        yield "no-sentence", "", "say in a sentence what a call does, for whoever approves it"


def _argument(name: str, schema: Schema) -> Iterator[_Found]:
    if not ("description" in schema or "enum" in schema or "const" in schema or "$ref" in schema):
        yield "no-argument-description", name, "say what it is, with its unit or form"
    if not set(schema) & {"type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref", "not"}:
        yield "any-type", name, "it takes any JSON: give it a type"
    if _is_open(schema):
        yield "open-object", name, "it takes properties that nobody named, and no rule looks at"
    said = str(schema.get("description", ""))
    if schema.get("type") == "string" and _ENUM.search(said):
        yield "enum-in-words", name, "its description lists values: make it an enum"


def _is_open(schema: Schema) -> bool:
    kinds = schema.get("type")
    is_object = kinds == "object" or (isinstance(kinds, list) and "object" in kinds)
    if is_object and schema.get("additionalProperties") is not False:
        return True
    parts = [*cast(list[Json], schema.get("anyOf", [])), *cast(list[Json], schema.get("oneOf", []))]
    return any(_is_open(cast(Schema, part)) for part in parts if isinstance(part, dict))


def _is_recursive(schema: Schema) -> bool:
    definitions = cast(Schema, schema.get("$defs", {}))
    links = {name: _references(part) for name, part in definitions.items()}
    for start, first in links.items():
        seen: set[str] = set()
        todo = list(first)
        while todo:
            name = todo.pop()
            if name == start:
                return True
            if name not in seen:
                seen.add(name)
                todo += links.get(name, ())
    return False


def _references(schema: Json) -> set[str]:
    return set(re.findall(r'"\$ref": "#/\$defs/([^"]+)"', json.dumps(schema)))
