"""Arguments in their canonical form: what a tool's own types make of them, written as JSON again.

    raw ── parse ──▶ typed ── write ──▶ canonical ── parse ──▶ the same typed values

That one value is decided on, hashed, approved, recorded and given to the tool. Whatever has no such form is
refused: a type that writes something else than it reads, a value that changes each time it is read.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from decimal import Decimal
from functools import cached_property
from typing import Any, cast

from pydantic import BaseModel, RootModel, SecretBytes, SecretStr, ValidationError

from agentflow.contracts.wire import Json, canonical_json
from agentflow.core.answer import describe_errors
from agentflow.core.argument_types import runs_code
from agentflow.core.schema import SchemaCheck

_SIMPLE = (str, int, float, bool, type(None))
"""Types of which there is nothing more to say than what is written."""
_PLAIN_DIGITS = 60
"""Beyond so many, a number is written with an exponent."""


class NotCanonicalError(ValueError):
    """The tool would get other arguments than the ones that were decided on."""


class ArgumentForm:
    """The canonical form of one tool's arguments."""

    def __init__(self, model: type[BaseModel], check: SchemaCheck) -> None:
        """Take the tool's types.

        Args:
            model: Of the arguments, by their names as aliases.
            check: Of the contract's input schema.
        """
        self._model = model
        self._check = check

    @cached_property
    def runs_code(self) -> bool:
        """Whether the types call code of the user's."""
        return runs_code(self._model)

    def canonical(self, arguments: Mapping[str, Json]) -> dict[str, Json]:
        """The arguments in their canonical form, defaults included.

        Raises:
            ValueError: they don't fit the types or the contract, or have no canonical form. The text is for
                the model.
        """
        text = canonical_json(dict(arguments))
        try:
            typed = self._model.model_validate_json(text)
            written, as_text = _written(typed)
        except ValidationError as error:
            # The schema's words are the ones that the model was given.
            raise ValueError(self._check(dict(arguments)) or describe_errors(error)) from None
        if as_text == text:
            return written
        if _holds(written, dict(arguments)):
            # Nothing but defaults was added.
            return written if written == arguments else self._settled(typed, written)
        if problem := self._check(dict(arguments)) or _lost(dict(arguments), written, typed):
            raise ValueError(problem)
        if problem := self._check(written):
            raise ValueError(f"read by the tool's types, the arguments break its contract: {problem}")
        return self._settled(typed, written)

    def parsed(self, arguments: Mapping[str, Json]) -> BaseModel:
        """The arguments as the types make them.

        Raises:
            ValueError: they don't fit. A ``pydantic.ValidationError`` says where.
        """
        # As JSON and not as Python values: a strict type takes a date as text only from JSON.
        return self._model.model_validate_json(canonical_json(dict(arguments)))

    def parsed_as_decided(self, arguments: Mapping[str, Json]) -> BaseModel:
        """The arguments as the types make them, if that is what they say.

        Raises:
            NotCanonicalError: the types make something else of them.
            ValueError: they don't fit.
        """
        text = canonical_json(dict(arguments))
        typed = self._model.model_validate_json(text)
        try:
            written, as_text = _written(typed)
        except ValueError as error:
            raise NotCanonicalError(f"the tool's types can't be written as JSON: {error}") from None
        if as_text != text and (places := _differences(dict(arguments), written, "")):
            raise NotCanonicalError(
                f"{', '.join(places[:5])}: the tool would get something else than what was decided on; write "
                "the arguments as the tool's types do, defaults included"
            )
        return typed

    def _settled(self, typed: BaseModel, written: dict[str, Json]) -> dict[str, Json]:
        try:
            again = self.parsed(written)
            places = _differences(written, _written(again)[0], "")
        except ValidationError as error:
            said = describe_errors(error)
            raise ValueError(f"the tool's types don't read what they write: {said}") from None
        if places:
            raise ValueError(
                f"{', '.join(places[:5])}: the tool's types make something else of it each time they read it"
            )
        if not _is_one(typed, again):
            raise ValueError("the tool's types write something else than what they read")
        return written


def _written(typed: BaseModel) -> tuple[dict[str, Json], bytes]:
    """What the types write, as JSON value and as JSON text."""
    plain: dict[str, Json] = typed.model_dump(mode="json", by_alias=True, round_trip=True, warnings=False)
    values = vars(typed).values()
    # Most arguments are, and type() takes a tenth of isinstance() in a worker: the sandbox wraps that.
    is_simple = all(type(value) in _SIMPLE for value in values)
    if not (is_simple and len(plain) == len(values) and not typed.model_extra):
        plain = cast(dict[str, Json], _plain(typed, plain))
    # Neither NaN nor anything else that JSON hasn't.
    text = canonical_json(plain)
    text.decode()
    return plain, text


def _plain(typed: object, plain: Json) -> Json:
    """What was written of a value, with secrets in it and sets in order."""
    if type(typed) in _SIMPLE:
        return plain
    if isinstance(typed, SecretStr | SecretBytes):
        secret = typed.get_secret_value()
        return secret if isinstance(secret, str) else secret.decode()
    if isinstance(typed, Decimal) and isinstance(plain, str) and abs(typed.adjusted()) <= _PLAIN_DIGITS:
        # 1E+9 is for nobody who has to agree to it.
        return f"{typed:f}"
    if isinstance(typed, RootModel):
        return _plain(cast(Any, typed).root, plain)
    if isinstance(plain, list):
        return _plain_items(typed, cast(list[Json], plain))
    return _plain_parts(typed, cast(dict[str, Json], plain)) if isinstance(plain, dict) else plain


def _plain_items(typed: object, items: list[Json]) -> list[Json]:
    if not isinstance(typed, AbstractSet | Sequence):
        return items
    values = cast(Collection[object], typed)
    if len(values) != len(items):
        return items
    made = [_plain(*pair) for pair in zip(values, items, strict=True)]
    # A set has another order in each process.
    return sorted(made, key=canonical_json) if isinstance(typed, AbstractSet) else made


def _plain_parts(typed: object, parts: dict[str, Json]) -> dict[str, Json]:
    if isinstance(typed, Mapping):
        values = tuple(cast(Mapping[object, object], typed).values())
        if len(values) == len(parts):
            return {key: _plain(value, parts[key]) for key, value in zip(parts, values, strict=True)}
    fields = _fields(cast(object, typed))
    if parts.keys() < fields.keys():
        # The tool would get it, and no rule see it.
        unwritten = ", ".join(sorted(fields.keys() - parts.keys()))
        raise ValueError(f"the tool's types leave out what they read when they write it: {unwritten[:200]}")
    return {key: _plain(fields[key], part) if key in fields else part for key, part in parts.items()}


def _fields(typed: object) -> dict[str, object]:
    """The values of an object by the names under which they are written."""
    if isinstance(typed, BaseModel):
        named = type(typed).model_fields
        own = {
            field.serialization_alias or field.alias or name: getattr(typed, name)
            for name, field in named.items()
        }
        return {**(typed.model_extra or {}), **own}
    if dataclasses.is_dataclass(typed) and not isinstance(typed, type):
        return {field.name: getattr(typed, field.name, None) for field in dataclasses.fields(typed)}
    return {}


def _is_one(first: object, second: object) -> bool:
    """Whether two values that a tool gets are the same. Types that can't be compared are taken for it."""
    if type(first) is not type(second):
        return False
    if type(first) in _SIMPLE:
        return first == second
    if fields := _fields(first):
        others = _fields(second)
        return all(_is_one(value, others.get(name)) for name, value in fields.items())
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        left, right = cast(Mapping[object, object], first), cast(Mapping[object, object], second)
        return len(left) == len(right) and all(
            key in right and _is_one(value, right[key]) for key, value in left.items()
        )
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        ones, others = cast(Sequence[object], first), cast(Sequence[object], second)
        return len(ones) == len(others) and all(map(_is_one, ones, others))
    kind: type[object] = type(cast(object, first))
    return kind.__eq__ is object.__eq__ or first == second


def _holds(written: Json, raw: Json) -> bool:
    """Whether all that was sent is in what was written, unchanged."""
    if isinstance(raw, dict) and isinstance(written, dict):
        parts, whole = cast(dict[str, Json], raw), cast(dict[str, Json], written)
        return all(key in whole and _holds(whole[key], part) for key, part in parts.items())
    if isinstance(raw, list) and isinstance(written, list):
        items, made = cast(list[Json], raw), cast(list[Json], written)
        return len(items) == len(made) and all(map(_holds, made, items))
    return _is_same(written, raw)


def _is_same(one: Json, other: Json) -> bool:
    """Whether two simple values are one in JSON: 1 and 1.0 are, 1 and true aren't."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one == other
    return type(one) is type(other) and one == other


def _differences(decided: Json, written: Json, place: str) -> list[str]:
    """Where two values aren't the same, by names and positions; values are never quoted."""
    if isinstance(decided, dict) and isinstance(written, dict):
        left, right = cast(dict[str, Json], decided), cast(dict[str, Json], written)
        found: list[str] = []
        for key in dict.fromkeys((*left, *right)):
            inner = f"{place}/{key[:80]}" if place else key[:80]
            if key not in left or key not in right:
                found.append(f"{inner} ({'is missing' if key not in left else 'is not taken'})")
            else:
                found += _differences(left[key], right[key], inner)
        return found
    if isinstance(decided, list) and isinstance(written, list):
        ones, others = cast(list[Json], decided), cast(list[Json], written)
        if len(ones) == len(others):
            pairs = enumerate(zip(ones, others, strict=True))
            return [at for index, pair in pairs for at in _differences(*pair, f"{place}/{index}")]
    elif _is_same(decided, written):
        return []
    return [place or "the arguments"]


def _lost(raw: Json, written: Json, typed: object, place: str = "") -> str | None:
    """What was sent and is nowhere in what the tool gets, or ``None``."""
    if isinstance(raw, dict) and isinstance(written, dict):
        sent, kept = cast(dict[str, Json], raw), cast(dict[str, Json], written)
        is_map = isinstance(typed, Mapping)
        missing = [key for key in sent if key not in kept]
        if missing and (not is_map or len(kept) < len(sent)):
            return f"{place or 'value'}: the tool takes no {', '.join(missing[:5])[:200]}"
        inner = cast(Mapping[object, object], typed) if is_map else _fields(typed)
        for key, part in sent.items():
            at = f"{place}/{key}"[:200].lstrip("/")
            if key in kept and (found := _lost(part, kept[key], inner.get(key), at)):
                return found
    if isinstance(raw, list) and isinstance(written, list) and isinstance(typed, Sequence):
        values = cast(Sequence[object], typed)
        for trio in zip(cast(list[Json], raw), cast(list[Json], written), values, strict=False):
            if found := _lost(*trio, place):
                return found
    return None
