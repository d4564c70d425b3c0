"""Texts and JSON without what must not leave: pure, for workflow code and for all other."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import cast

from agentflow.contracts.wire import Json
from agentflow.core.encoded import decoded
from agentflow.core.escapes import unescaped, unquoted
from agentflow.core.folding import normalised
from agentflow.core.patterns import Finding, find_patterns
from agentflow.core.views import REACH, Reach, views

Find = Callable[[str], Iterable[Finding]]
"""Finds what must not leave in a text. What it raises drops the text."""

PATTERNS: tuple[Find, ...] = (find_patterns,)
"""What is told by its form, in any text."""

DROPPED = "[dropped: "
"""What stands in place of a text that can't be looked at begins so."""
MAX_SCANNED = 20_000
"""Characters of a text that are looked at; what is behind them is dropped."""
_EDGE = 2_000
"""Characters before the cut that are dropped with it: a value may have been cut in two."""


def redacted(text: str, finders: Sequence[Find], reach: Reach = REACH) -> str:
    """The text with ``[kind]`` in place of what the finders find in it, however it is encoded there.

    What can't be looked at is dropped: with a finder that fails, or more encodings than the reach, all of it.

    Args:
        text: The text.
        finders: Each is asked about the text and about all that is encoded in it.
        reach: How far it is decoded.
    """
    try:
        findings = found_in(text[:MAX_SCANNED], finders, reach)
    except Exception as error:
        return f"{DROPPED}{type(error).__name__}]"
    return replaced(text, findings)


def found_in(text: str, finders: Sequence[Find], reach: Reach = REACH) -> list[Finding]:
    """Where a text has what the finders find in it, or the token that it is encoded in.

    Raises:
        TooManyFormsError: more is encoded in it than the reach.
    """
    findings: list[Finding] = []
    for view in views(text, (unescaped, unquoted, decoded), reach):
        plain = normalised(view)
        for find in finders:
            for finding in find(plain.text):
                findings.append(Finding(*plain.place(finding.start, finding.end), finding.kind))
    return findings


def replaced(text: str, findings: Iterable[Finding]) -> str:
    """The text with ``[kind]`` in place of what was found in its first ``MAX_SCANNED`` characters."""
    known = list(findings)
    if len(text) > MAX_SCANNED:
        known.append(Finding(MAX_SCANNED - _EDGE, MAX_SCANNED, f"{len(text) - MAX_SCANNED + _EDGE} more"))
    return without(text[:MAX_SCANNED], known)


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


def without(text: str, findings: Iterable[Finding]) -> str:
    """The text with ``[kind]`` in place of each finding. Where some overlap, the first one's."""
    parts: list[str] = []
    end = 0
    for finding in sorted(findings, key=lambda found: (found.start, -found.end)):
        if finding.start >= end:
            parts += [text[end : finding.start], f"[{finding.kind}]"]
        end = max(end, finding.end)
    return "".join([*parts, text[end:]])
