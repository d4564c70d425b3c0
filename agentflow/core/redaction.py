"""Texts and JSON without what must not leave: pure, for workflow code and for all other."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import cast

from agentflow.contracts.wire import Json
from agentflow.core.patterns import Finding, find_patterns

Find = Callable[[str], Iterable[Finding]]
"""Finds what must not leave in a text. What it raises drops the text."""

DROPPED = "[dropped: "
"""What stands in place of a text that can't be looked at begins so."""
MAX_SCANNED = 20_000
"""Characters of a text that are looked at; what is behind them is dropped."""
_EDGE = 2_000
"""Characters before the cut that are dropped with it: a value may have been cut in two."""


def redacted(text: str, finders: Sequence[Find]) -> str:
    """The text with ``[kind]`` in place of what the finders find.

    What can't be looked at is dropped: with a finder that fails, all of it.
    """
    scanned = text[:MAX_SCANNED]
    try:
        findings = [finding for find in finders for finding in find(scanned)]
    except Exception as error:
        return f"{DROPPED}{type(error).__name__}]"
    if len(text) > len(scanned):
        findings.append(Finding(MAX_SCANNED - _EDGE, MAX_SCANNED, f"{len(text) - MAX_SCANNED + _EDGE} more"))
    return _without(scanned, findings)


def map_texts(value: Json, change: Callable[[str], str], *, numbers: bool = True) -> Json:
    """A JSON value with each text changed, names of fields included.

    Args:
        value: The value.
        change: Of a text.
        numbers: Whether a number that it changes as text becomes that text.
    """
    if isinstance(value, str):
        return change(value)
    if numbers and isinstance(value, int | float) and not isinstance(value, bool):
        text = str(value)
        return value if (changed := change(text)) == text else changed
    if isinstance(value, Mapping):
        parts = cast(Mapping[str, Json], value).items()
        return {change(name): map_texts(part, change, numbers=numbers) for name, part in parts}
    if isinstance(value, list | tuple):
        return [map_texts(part, change, numbers=numbers) for part in cast(Sequence[Json], value)]
    return value


def _without(text: str, findings: Iterable[Finding]) -> str:
    """Overlapping findings are one, and have the first one's name."""
    parts: list[str] = []
    end = 0
    for finding in sorted(findings, key=lambda found: (found.start, -found.end)):
        if finding.start >= end:
            parts += [text[end : finding.start], f"[{finding.kind}]"]
        end = max(end, finding.end)
    return "".join([*parts, text[end:]])


PATTERNS: tuple[Find, ...] = (find_patterns,)
