"""Two runs side by side: what was decided, what it cost, how it ended."""

import difflib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from agentflow.adapters.history.finding import Finding, document, end_of
from agentflow.contracts.wire import Json, canonical_json


@dataclass(frozen=True)
class Decided:
    """What was decided on one call of a tool."""

    tool: str
    arguments: Json
    verdict: str
    rule: str
    reason: str


@dataclass(frozen=True)
class Side:
    """One of the two runs."""

    release: str
    rules: str
    model: str
    status: str
    output: Json
    reason: str
    cost_usd: Decimal
    model_calls: int
    input_tokens: int
    output_tokens: int
    decisions: tuple[Decided, ...]


@dataclass(frozen=True)
class Pair:
    """A call in both runs, or in one of them."""

    recorded: Decided | None
    now: Decided | None

    @property
    def is_same(self) -> bool:
        """Whether the same was decided."""
        return (
            self.recorded is not None
            and self.now is not None
            and (self.recorded.verdict, self.recorded.rule) == (self.now.verdict, self.now.rule)
        )


def side_of(findings: Sequence[Finding]) -> Side:
    """A run, as it is compared."""
    manifest = document(next((each.facts for each in reversed(findings) if each.kind == "manifest"), None))
    end = end_of(findings)
    facts: dict[str, Any] = dict(end.facts) if end else {}
    usage = document(facts.get("usage"))
    models: list[Json] = manifest.get("models") or [{}]
    return Side(
        release=str(manifest.get("release", "")),
        rules=str(manifest.get("rules", "")),
        model=str(document(models[0]).get("model", "")),
        status=str(facts.get("status", "open")),
        output=end.contents.get("output") if end else None,
        reason=str(end.contents.get("reason", "")) if end else "",
        cost_usd=Decimal(str(facts.get("cost_usd", 0))),
        model_calls=int(usage.get("model_calls", 0)),
        input_tokens=int(usage.get("input_tokens", 0)),
        output_tokens=int(usage.get("output_tokens", 0)),
        decisions=tuple(_decisions(findings)),
    )


def pairs(recorded: Side, now: Side) -> list[Pair]:
    """The calls of both runs, those of the same tool with the same arguments beside each other."""
    left, right = list(map(_call, recorded.decisions)), list(map(_call, now.decisions))
    found: list[Pair] = []
    for kind, start, end, begin, stop in difflib.SequenceMatcher(None, left, right, False).get_opcodes():
        if kind == "equal":
            both = zip(recorded.decisions[start:end], now.decisions[begin:stop], strict=True)
            found += [Pair(one, other) for one, other in both]
        else:
            found += [Pair(one, None) for one in recorded.decisions[start:end]]
            found += [Pair(None, other) for other in now.decisions[begin:stop]]
    return found


def _call(decided: Decided) -> bytes:
    return canonical_json([decided.tool, decided.arguments])


def _decisions(findings: Sequence[Finding]) -> list[Decided]:
    """The rules' first word on each call."""
    arguments: dict[str, deque[Json]] = {}
    for finding in findings:
        if finding.kind in ("tool_call", "refused_call"):
            name = str(finding.facts.get("tool_call_id"))
            arguments.setdefault(name, deque()).append(finding.contents.get("arguments"))
    found: list[Decided] = []
    asked: set[str] = set()
    for finding in findings:
        facts, name = finding.facts, str(finding.facts.get("tool_call_id"))
        if finding.kind != "decision" or facts.get("subject") != "tool_call":
            continue
        if name in asked:
            # The second word, after people have said theirs.
            asked.remove(name)
            continue
        if facts.get("verdict") == "ask":
            asked.add(name)
        given = arguments.get(name)
        found.append(
            Decided(
                tool=str(facts.get("tool")),
                arguments=given.popleft() if given else None,
                verdict=str(facts.get("verdict")),
                rule=str(facts.get("rule")),
                reason=str(finding.contents.get("detail", "")),
            )
        )
    return found
