"""A tool call as the request of an OpenAPI operation: arguments in their places, written in their styles."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import quote, urlencode

from agentflow.contracts.sources import OpenApiSource, RequestArgument
from agentflow.contracts.wire import Json
from agentflow.errors import ToolError

_SEPARATORS = {"form": ",", "simple": ",", "spaceDelimited": " ", "pipeDelimited": "|"}


@dataclass
class OutsideRequest:
    """What is sent, but for who sends it."""

    method: str
    path: str
    query: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    headers: dict[str, str] = field(default_factory=dict[str, str])
    cookies: dict[str, str] = field(default_factory=dict[str, str])
    body: bytes | None = None


def build_request(source: OpenApiSource, arguments: Mapping[str, Json], key: str) -> OutsideRequest:
    """Make the request of a call.

    Args:
        source: The operation.
        arguments: The call's, by the tool's names, the fixed ones included.
        key: The idempotency key, sent where the operation takes one.

    Raises:
        ToolError: a value can't be where it would have to be: a path of its own, a header of two lines.
    """
    request = OutsideRequest(source.method, source.path)
    for one in source.arguments:
        if one.argument not in arguments:
            continue
        value = arguments[one.argument]
        match one.place:
            case "path":
                request.path = request.path.replace(f"{{{one.name}}}", _segment(one, value))
            case "query":
                request.query += _pairs(one, value)
            case "header":
                request.headers[one.name] = _line(one, _joined(one, value))
            case "cookie":
                request.cookies[one.name] = quote(_joined(one, value), safe="")
            case "body" | "whole_body":
                pass
    _add_body(source, arguments, request)
    if source.key_header:
        request.headers[source.key_header] = key
    return request


def _add_body(source: OpenApiSource, arguments: Mapping[str, Json], request: OutsideRequest) -> None:
    parts = [one for one in source.arguments if one.place == "body"]
    whole = [one for one in source.arguments if one.place == "whole_body" and one.argument in arguments]
    if source.media_type is None or not (parts or whole):
        return
    content: Json = {one.name: arguments[one.argument] for one in parts if one.argument in arguments}
    if whole:
        content = arguments[whole[0].argument]
    request.body = _encoded(source.media_type, content)
    request.headers["Content-Type"] = source.media_type


def _encoded(media_type: str, content: Json) -> bytes:
    if media_type == "application/x-www-form-urlencoded":
        given = cast(dict[str, Json], content) if isinstance(content, dict) else {"": content}
        pairs = [pair for name, value in given.items() for pair in _form_pairs(name, value)]
        return urlencode(pairs).encode()
    return json.dumps(content, ensure_ascii=False, allow_nan=False).encode(errors="replace")


def _form_pairs(name: str, value: Json) -> list[tuple[str, str]]:
    """Objects and lists in brackets, as those who take forms do: ``card[number]``, ``items[0][id]``."""
    if isinstance(value, dict):
        parts = cast(dict[str, Json], value).items()
        return [pair for key, part in parts for pair in _form_pairs(f"{name}[{key}]", part)]
    if isinstance(value, list):
        items = enumerate(cast(list[Json], value))
        return [pair for index, part in items for pair in _form_pairs(f"{name}[{index}]", part)]
    return [] if value is None else [(name, _text(value))]


def _segment(one: RequestArgument, value: Json) -> str:
    text = _joined(one, value)
    # Clients and servers take dots away: the request would go to another operation.
    if text.strip() in ("", ".", ".."):
        raise ToolError(f"{one.argument}: {text!r} can't be part of a path")
    return quote(text, safe="")


def _line(one: RequestArgument, text: str) -> str:
    if not text.isascii() or not text.isprintable():
        raise ToolError(f"{one.argument}: a header takes one line of ASCII")
    return text


def _pairs(one: RequestArgument, value: Json) -> list[tuple[str, str]]:
    if value is None:
        return []
    if one.style == "deepObject" and isinstance(value, dict):
        return [
            (f"{one.name}[{key}]", _text(part))
            for key, part in cast(dict[str, Json], value).items()
            if part is not None
        ]
    if one.style == "form" and one.explode and isinstance(value, list):
        return [(one.name, _text(part)) for part in cast(list[Json], value)]
    if one.style == "form" and one.explode and isinstance(value, dict):
        return [(key, _text(part)) for key, part in cast(dict[str, Json], value).items()]
    return [(one.name, _joined(one, value))]


def _joined(one: RequestArgument, value: Json) -> str:
    if one.style == "json":
        return json.dumps(value, ensure_ascii=False)
    separator = _SEPARATORS.get(one.style, ",")
    if isinstance(value, list):
        return separator.join(_text(part) for part in cast(list[Json], value))
    if isinstance(value, dict):
        parts = cast(dict[str, Json], value).items()
        if one.explode and one.style == "simple":
            return separator.join(f"{key}={_text(part)}" for key, part in parts)
        return separator.join(f"{key}{separator}{_text(part)}" for key, part in parts)
    return _text(value)


def _text(value: Json) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
