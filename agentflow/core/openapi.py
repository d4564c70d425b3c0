"""Operations of an OpenAPI document (3.0 and 3.1) as tool contracts."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from pydantic import ValidationError

from agentflow.contracts.sources import AuthKind, AuthScheme, OpenApiSource, RequestArgument, Style
from agentflow.contracts.tools import ToolContract
from agentflow.contracts.wire import Json
from agentflow.core.answer import describe_errors
from agentflow.core.closing import closed
from agentflow.core.imported import NO_DIGEST, with_digest
from agentflow.core.imported_schema import Schema, Schemas
from agentflow.core.tool_names import tool_name
from agentflow.core.words import near
from agentflow.errors import ConfigurationError

METHODS = ("get", "head", "post", "put", "patch", "delete")
_READS = ("get", "head")
_IGNORED_HEADERS = ("accept", "content-type", "authorization")
"""OpenAPI says that these are no parameters."""
_KEY_HEADER = "idempotency-key"
"""draft-ietf-httpapi-idempotency-key-header; Stripe's and others' as well."""
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Operation:
    """One operation of a document, not looked at yet."""

    method: str
    path: str
    id: str | None
    summary: str
    definition: Schema
    shared: Sequence[Json]
    """Parameters of the whole path."""

    @property
    def label(self) -> str:
        """Such as ``GET /orders/{id}``: it names one operation, whatever the document calls it."""
        return f"{self.method.upper()} {self.path}"


class OpenApiDocument:
    """A parsed document. Operations are looked at when they are asked for."""

    def __init__(self, document: Json) -> None:
        """Take a document.

        Raises:
            ConfigurationError: it is none of OpenAPI 3.0 or 3.1.
        """
        if not isinstance(document, dict):
            raise ConfigurationError("this is no OpenAPI document: it isn't an object")
        given = cast(Schema, document)
        version = str(given.get("openapi", ""))
        if not version.startswith(("3.0", "3.1")):
            said = (
                f"OpenAPI {version}" if version else "no OpenAPI" if "swagger" not in given else "Swagger 2"
            )
            raise ConfigurationError(f"this is {said}; OpenAPI 3.0 and 3.1 can be read")
        info: Json = given.get("info")
        about = cast(Schema, info) if isinstance(info, dict) else {}
        self.title: str = str(about.get("title") or "untitled API")
        self.version: str = str(about.get("version") or "")
        self._document = given
        self._is_3_0 = version.startswith("3.0")
        self._schemas = Schemas(given, is_3_0=self._is_3_0)
        self.operations: tuple[Operation, ...] = tuple(self._found())

    def _found(self) -> list[Operation]:
        paths: Json = self._document.get("paths")
        if not isinstance(paths, dict):
            raise ConfigurationError(f"{self.title} has no paths")
        found: list[Operation] = []
        for path, item in cast(Schema, paths).items():
            parts = self._schemas.resolved(item, path)
            for method in METHODS:
                if isinstance(definition := parts.get(method), dict):
                    given = cast(Schema, definition)
                    summary = str(given.get("summary") or given.get("description") or "").strip()
                    shared = cast(list[Json], parts.get("parameters") or [])
                    name = given.get("operationId")
                    found.append(Operation(method, path, str(name) if name else None, summary, given, shared))
        return found

    def contracts(
        self, selectors: Sequence[str], *, without_patterns: bool = False
    ) -> tuple[ToolContract, ...]:
        """The contracts of the operations that are listed, and of no others.

        Args:
            selectors: ``operationId`` or ``GET /path``, either with ``=name`` for a tool name of one's own.
            without_patterns: Leave out patterns that can't be tested in linear time.

        Raises:
            ConfigurationError: nothing is listed; one is unknown, or the name of two; two tools would have
                one name; an operation can't be a tool. The text says what to write.
        """
        if not selectors:
            raise ConfigurationError(
                f"{self.title} has {len(self.operations)} operations: list those that the agent needs"
            )
        made = tuple(self.contract(selector, without_patterns=without_patterns) for selector in selectors)
        names = [contract.name for contract in made]
        for contract, selector in zip(made, selectors, strict=True):
            if names.count(contract.name) > 1:
                raise ConfigurationError(
                    f"two operations would be the tool {contract.name}: write '{selector}=another_name'"
                )
        return made

    def contract(self, selector: str, *, without_patterns: bool = False) -> ToolContract:
        """One operation's contract; see ``contracts``."""
        operation, name = self._selected(selector)
        name = name or tool_name(operation.id or operation.label)
        return self._contract(operation, name, without_patterns=without_patterns)

    def current(self, source: OpenApiSource, name: str) -> ToolContract | None:
        """What an import of a source's operation would be today; ``None`` if there is none.

        Raises:
            ConfigurationError: it can't be a tool any more.
        """
        for operation in self.operations:
            if operation.label == source.operation:
                return self._contract(operation, name, without_patterns=source.without_patterns)
        return None

    def _selected(self, selector: str) -> tuple[Operation, str | None]:
        for wanted, name in ((selector, None), selector.rpartition("=")[::2]):
            found = [one for one in self.operations if wanted and wanted in (one.id, one.label)]
            if len(found) > 1:
                labels = " or ".join(f"'{one.label}'" for one in found)
                raise ConfigurationError(f"{len(found)} operations are named {wanted}: write {labels}")
            if found:
                return found[0], name
        known = [said for one in self.operations for said in (one.id, one.label) if said]
        hint = near(selector, known)
        raise ConfigurationError(
            f"{self.title} has no operation {selector!r} among its {len(self.operations)}{hint}"
        )

    def _contract(self, operation: Operation, name: str, *, without_patterns: bool) -> ToolContract:
        where = f"operation {operation.label}"
        schemas = Schemas(self._document, is_3_0=self._is_3_0, without_patterns=without_patterns)
        request = _Request(schemas, operation, where)
        source = OpenApiSource(
            server=self.title,
            version=self.version,
            method=operation.method.upper(),
            path=operation.path,
            arguments=tuple(request.arguments),
            media_type=request.media_type,
            auth=self._auth(operation, where),
            key_header=request.key_header,
            without_patterns=without_patterns,
            digest=NO_DIGEST,
        )
        said = (str(operation.definition.get(key) or "").strip() for key in ("summary", "description"))
        try:
            contract = ToolContract(
                name=name,
                description="\n\n".join(dict.fromkeys(text for text in said if text)) or operation.label,
                input_schema=closed(schemas.standing_alone(request.schema(), where)),
                output_schema=self._output_schema(schemas, operation, where),
                effect="read" if operation.method in _READS else "write",
                recovery="key" if request.key_header and operation.method not in _READS else "ask",
                source=source,
            )
        except ValidationError as error:
            raise ConfigurationError(f"{where} can't be a tool: {describe_errors(error)}") from None
        return with_digest(contract)

    def _output_schema(self, using: Schemas, operation: Operation, where: str) -> Schema:
        """What the successful responses have: JSON as it is, other texts as a string, nothing as ``null``."""
        responses: Json = operation.definition.get("responses")
        given = cast(Schema, responses) if isinstance(responses, dict) else {}
        good = [code for code in given if re.fullmatch(r"2(\d\d|XX)", str(code))] or [
            code for code in given if code == "default"
        ]
        schemas: list[Schema] = []
        for code in good:
            response = self._schemas.resolved(given[code], f"{where}, response {code}")
            schema = _json_content(response.get("content"))
            if schema is None:
                schema = {"type": "string"} if response.get("content") else {"type": "null"}
            if schema not in schemas:
                schemas.append(schema)
        if not schemas:
            return {}
        return using.standing_alone(schemas[0] if len(schemas) == 1 else {"anyOf": schemas}, where)

    def _auth(self, operation: Operation, where: str) -> tuple[tuple[AuthScheme, ...], ...]:
        wanted: Json = operation.definition.get("security", self._document.get("security"))
        components = self._schemas.resolved(self._document.get("components") or {}, where)
        schemes = cast(Schema, components.get("securitySchemes") or {})
        found: list[tuple[AuthScheme, ...]] = []
        for alternative in cast(list[Schema], wanted or []):
            found.append(tuple(self._scheme(name, schemes, where) for name in alternative))
        return tuple(found)

    def _scheme(self, name: str, schemes: Schema, where: str) -> AuthScheme:
        if name not in schemes:
            raise ConfigurationError(f"{where}: there is no security scheme {name!r}")
        scheme = self._schemas.resolved(schemes[name], where)
        kind, http = scheme.get("type"), str(scheme.get("scheme", "")).lower()
        if kind in ("oauth2", "openIdConnect") or (kind == "http" and http == "bearer"):
            return AuthScheme(scheme=name, kind="bearer")
        if kind == "http" and http == "basic":
            return AuthScheme(scheme=name, kind="basic")
        if kind == "apiKey" and scheme.get("in") in ("header", "query", "cookie"):
            return AuthScheme(scheme=name, kind=cast(AuthKind, scheme["in"]), name=str(scheme.get("name")))
        raise ConfigurationError(
            f"{where}: security scheme {name!r} is a {kind} {http}, which is not supported"
        )


class _Request:
    """How an operation's arguments become one flat list, and get into the request."""

    def __init__(self, schemas: Schemas, operation: Operation, where: str) -> None:
        self._schemas = schemas
        self._where = where
        self._properties: Schema = {}
        self._required: list[str] = []
        self.arguments: list[RequestArgument] = []
        self.media_type: str | None = None
        self.key_header: str | None = None
        own = cast(list[Json], operation.definition.get("parameters") or [])
        parameters = [schemas.resolved(part, where) for part in (*operation.shared, *own)]
        # An operation's own parameter stands in for the path's of the same name.
        for parameter in {(one.get("in"), one.get("name")): one for one in parameters}.values():
            self._add_parameter(parameter)
        self._check_path(operation.path)
        if body := operation.definition.get("requestBody"):
            self._add_body(schemas.resolved(body, where))

    def schema(self) -> Schema:
        """Of the arguments: closed, so that no rule overlooks one."""
        return {
            "type": "object",
            "properties": self._properties,
            "required": self._required,
            "additionalProperties": False,
        }

    def _add_parameter(self, parameter: Schema) -> None:
        name, place = str(parameter.get("name", "")), parameter.get("in")
        if place not in ("path", "query", "header", "cookie") or not name:
            raise ConfigurationError(f"{self._where}: parameter {name!r} is in {place!r}, which is nowhere")
        if place == "header" and name.lower() in _IGNORED_HEADERS:
            return
        if place == "header" and name.lower() == _KEY_HEADER:
            self.key_header = name
            return
        style, explode = self._style(parameter, name, place)
        schema: Json = parameter.get("schema")
        if style == "json":
            schema = _json_content(parameter.get("content"))
            if schema is None:
                raise ConfigurationError(f"{self._where}: parameter {name!r} has no JSON content")
        self._add(
            RequestArgument(
                argument=self._free_name(name, place), name=name, place=place, style=style, explode=explode
            ),
            {} if schema is None else schema,
            parameter.get("description"),
            is_required=place == "path" or parameter.get("required") is True,
        )

    def _style(self, parameter: Schema, name: str, place: str) -> tuple[Style, bool]:
        if parameter.get("content"):
            return "json", False
        usual = "simple" if place in ("path", "header") else "form"
        style = str(parameter.get("style") or usual)
        allowed = {"query": ("form", "spaceDelimited", "pipeDelimited", "deepObject")}.get(place, (usual,))
        if style not in allowed:
            raise ConfigurationError(
                f"{self._where}: parameter {name!r} has the style {style}: not supported"
            )
        return cast(Style, style), bool(parameter.get("explode", style in ("form", "deepObject")))

    def _check_path(self, path: str) -> None:
        known = {one.name for one in self.arguments if one.place == "path"}
        if missing := sorted(set(re.findall(r"{([^{}]*)}", path)) - known):
            raise ConfigurationError(
                f"{self._where}: the path needs {', '.join(missing)}, and no parameter is it"
            )

    def _add_body(self, body: Schema) -> None:
        content = cast(Schema, body.get("content") or {})
        self.media_type = next((kind for kind in content if _is_json(kind)), None)
        if self.media_type is None and _FORM in content:
            self.media_type = _FORM
        if self.media_type is None:
            kinds = ", ".join(content) or "none"
            raise ConfigurationError(f"{self._where}: the body is {kinds}; JSON and forms are supported")
        media = self._schemas.resolved(content[self.media_type], self._where)
        schema: Json = media.get("schema") or {}
        whole = self._schemas.resolved(schema, self._where)
        is_required = body.get("required") is True
        properties: Json = whole.get("properties")
        if self._can_be_flat(whole, is_required=is_required):
            required = cast(list[str], whole.get("required") or [])
            for name, part in cast(Schema, properties).items():
                if isinstance(part, dict) and cast(Schema, part).get("readOnly") is True:
                    continue
                argument = RequestArgument(argument=self._free_name(name, "body"), name=name, place="body")
                self._add(argument, part, None, is_required=name in required)
        else:
            argument = RequestArgument(
                argument=self._free_name("body", "body"), name="body", place="whole_body"
            )
            self._add(argument, schema, body.get("description"), is_required=is_required)

    def _can_be_flat(self, whole: Schema, *, is_required: bool) -> bool:
        """Whether each property of the body can be an argument of its own, which rules can look at."""
        properties: Json = whole.get("properties")
        plain = not any(keyword in whole for keyword in ("allOf", "anyOf", "oneOf", "not", "if", "$ref"))
        open_by_word = whole.get("additionalProperties") not in (None, False)
        return (
            is_required and plain and not open_by_word and isinstance(properties, dict) and properties != {}
        )

    def _add(self, argument: RequestArgument, schema: Json, about: Json, *, is_required: bool) -> None:
        if about and isinstance(schema, dict) and "description" not in schema and "$ref" not in schema:
            schema = {**cast(Schema, schema), "description": str(about)}
        self.arguments.append(argument)
        self._properties[argument.argument] = schema
        if is_required:
            self._required.append(argument.argument)

    def _free_name(self, name: str, place: str) -> str:
        """What the model calls it: providers take letters, digits, ``_``, ``.`` and ``-``."""
        wanted = re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip("_")[:60] or place
        for candidate in (wanted, f"{wanted}_{place}"):
            if candidate not in self._properties:
                return candidate
        raise ConfigurationError(f"{self._where}: two arguments would be named {wanted}")


def _json_content(content: Json) -> Json:
    """The schema of a JSON content; ``None`` where there is none."""
    if not isinstance(content, Mapping):
        return None
    for kind, media in cast(Schema, content).items():
        if _is_json(kind):
            return cast(Schema, media).get("schema", {}) if isinstance(media, dict) else {}
    return None


def _is_json(media_type: str) -> bool:
    kind = media_type.partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")
