"""Reads OpenAPI documents: JSON or YAML, from a file or over HTTP."""

import asyncio
import json
from pathlib import Path
from typing import Any, ClassVar, cast

from agentflow.adapters.http import ACCEPTED, answers_up_to, http_library
from agentflow.contracts.wire import Json
from agentflow.core.urls import place_of, without_urls
from agentflow.errors import ConfigurationError, MissingExtraError

MAX_DOCUMENT_BYTES = 64 * 1024 * 1024
FETCH_SECONDS = 60.0
MAX_REDIRECTS = 5


async def read_openapi(place: str) -> Json:
    """A document as JSON.

    Args:
        place: A file, or a URL of HTTP(S).

    Raises:
        ConfigurationError: it can't be read, is too long, or is neither JSON nor YAML.
        MissingExtraError: it is over HTTP or YAML, and the ``openapi`` extra isn't installed.
    """
    if place.startswith(("http://", "https://")):
        return parse_openapi(await _fetch(place), place_of(place))
    return parse_openapi(_read(Path(place)), place)


def parse_openapi(raw: bytes, place: str = "the document") -> Json:
    """A document's bytes as JSON.

    Args:
        raw: JSON or YAML, in UTF-8.
        place: Named in errors.

    Raises:
        ConfigurationError: it is neither.
        MissingExtraError: it is no JSON, and the ``openapi`` extra isn't installed.
    """
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{place} is not UTF-8: {error}") from None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _parse_yaml(text, place)


def _parse_yaml(text: str, place: str) -> Json:
    try:
        import yaml
    except ImportError as error:
        raise MissingExtraError("a document in YAML", "openapi") from error
    try:
        return _with_text_keys(yaml.load(text, Loader=_loader(yaml)))  # noqa: S506 - made of the safe one
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{place} is neither JSON nor YAML: {str(error)[:500]}") from None


def _loader(yaml: Any) -> Any:
    """YAML as JSON has it: a date stays text, and only true and false are booleans, as in YAML 1.2."""
    base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc, valid-type]
        yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {
            first: [
                (tag, pattern)
                for tag, pattern in resolvers
                if tag != "tag:yaml.org,2002:timestamp"
                and (tag != "tag:yaml.org,2002:bool" or first in "tTfF")
            ]
            for first, resolvers in base.yaml_implicit_resolvers.items()
        }

    return Loader


def _with_text_keys(value: Any) -> Json:
    """Response codes are numbers in YAML, and texts in JSON."""
    if isinstance(value, dict):
        return {str(key): _with_text_keys(part) for key, part in cast(dict[Any, Any], value).items()}
    if isinstance(value, list):
        return [_with_text_keys(part) for part in cast(list[Any], value)]
    return value


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_DOCUMENT_BYTES:
            raise ConfigurationError(f"{path} is longer than {MAX_DOCUMENT_BYTES} bytes")
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror}") from None


async def _fetch(url: str) -> bytes:
    http = http_library("a document over HTTP", "openapi")
    found = bytearray()
    try:
        async with (
            asyncio.timeout(FETCH_SECONDS),
            http.AsyncClient(
                follow_redirects=True,
                max_redirects=MAX_REDIRECTS,
                timeout=FETCH_SECONDS,
                headers=ACCEPTED,
                event_hooks=answers_up_to(http, None),
            ) as client,
            client.stream("GET", url) as response,
        ):
            response.raise_for_status()
            async for part in response.aiter_bytes():
                found += part
                if len(found) > MAX_DOCUMENT_BYTES:
                    raise ConfigurationError(f"{place_of(url)} is longer than {MAX_DOCUMENT_BYTES} bytes")
    except TimeoutError:
        raise ConfigurationError(f"{place_of(url)} can't be fetched within {FETCH_SECONDS:g} s") from None
    except (http.HTTPError, http.InvalidURL) as error:
        raise ConfigurationError(without_urls(f"{place_of(url)} can't be fetched: {error}")) from None
    return bytes(found)
