"""What stands on the page, worked out: the template only places it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from agentflow.adapters.history.finding import Finding, document, end_of, first_of
from agentflow.audit.report import words
from agentflow.audit.report.told import ToldRun
from agentflow.contracts.wire import Json
from agentflow.core.words import dollars, span

MAX_TEXT = 20_000
"""Characters of one text on the page."""
_MIN_WIDTH = 0.4
"""Percent of the picture that a step takes at least, so that it can be seen."""


@dataclass(frozen=True)
class Bar:
    """A line of the timeline picture."""

    kind: str
    name: str
    state: str
    start: float
    """Percent of the picture's width."""
    width: float
    took: str
    at: str


@dataclass(frozen=True)
class Turn:
    """A model call, and what it cost."""

    number: int
    model: str
    tokens: str
    cost: str
    share: float
    """Percent of the dearest turn."""
    said: str


@dataclass(frozen=True)
class Line:
    """Something that was decided."""

    at: str
    what: str
    verdict: str
    rule: str
    why: str
    note: str = ""


@dataclass(frozen=True)
class Voice:
    """What a person said of an action."""

    at: str
    who: str
    verdict: str
    identity: str
    counted: str
    why: str


@dataclass(frozen=True)
class Asked:
    """An action that waited for people."""

    approval_id: str
    what: str
    rule: str
    needs: str
    took: str
    arguments: str
    voices: tuple[Voice, ...]


@dataclass(frozen=True)
class Cited:
    """A place that a reason rests on."""

    tool: str
    pointer: str
    value: str
    place: str
    is_there: bool


@dataclass(frozen=True)
class Said:
    """What was said at a place, folded away until somebody looks."""

    title: str
    parts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Page:
    """All of it."""

    title: str
    agent: str
    workflow_id: str
    status: str
    status_words: str
    summary: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    bars: tuple[Bar, ...]
    scale: tuple[str, str]
    turns: tuple[Turn, ...]
    decisions: tuple[Line, ...]
    approvals: tuple[Asked, ...]
    explanation: str
    explanation_words: str
    reason: str
    output: str
    citations: tuple[Cited, ...]
    said: tuple[Said, ...]
    gaps: tuple[str, ...]
    has_contents: bool
    proof: str


def page_of(run: ToldRun) -> Page:
    """The page of a run."""
    findings = run.findings
    end = end_of(findings)
    status = str(end.facts.get("status", "open")) if end else "open"
    manifest = first_of(findings, "manifest")
    begun, over = _extent(findings)
    explanation = str(end.facts.get("explanation", "")) if end else ""
    return Page(
        title=f"{run.workflow_type}: {status}",
        agent=str(_fact(manifest, "agent") or run.workflow_type),
        workflow_id=run.workflow_id,
        status=status,
        status_words=words.OUTCOMES.get(status, ""),
        summary=tuple(words.summary(findings, status)),
        facts=tuple(_facts(run, end, begun, over)),
        bars=tuple(_bars(findings, begun, over)),
        scale=(_clock(begun), _clock(over)),
        turns=tuple(_turns(findings)),
        decisions=tuple(_decisions(findings)),
        approvals=tuple(_approvals(findings)),
        explanation=explanation,
        explanation_words=words.EXPLANATIONS.get(explanation, ""),
        reason=str(end.contents.get("reason", "")) if end else "",
        output=_text(end.contents["output"]) if end and "output" in end.contents else "",
        citations=tuple(_citations(end)),
        said=tuple(_said(findings)),
        gaps=tuple(_gaps(findings)),
        has_contents=run.has_contents,
        proof=run.proof,
    )


def _facts(run: ToldRun, end: Finding | None, begun: datetime, over: datetime) -> Iterator[tuple[str, str]]:
    started, manifest = first_of(run.findings, "started"), first_of(run.findings, "manifest")
    yield "Asked for by", "{} ({})".format(*words.asked_by(started))
    yield "For", f"tenant {_fact(started, 'tenant') or 'default'}"
    yield "Began", _clock(begun)
    yield "Ended" if end else "Last seen", f"{_clock(over)}, after {_span(over - begun)}"
    cost = end.facts.get("cost_usd") if end else None
    if cost is not None:
        yield "Cost", dollars(Decimal(str(cost)))
    limit = next((each.facts["limit_usd"] for each in run.findings if "limit_usd" in each.facts), None)
    if limit is not None:
        yield "Budget", dollars(Decimal(str(limit)))
    yield "Version of the agent", str(_fact(manifest, "release") or "unknown")
    yield "Rules", str(_fact(manifest, "rules") or "unknown")
    yield "Environment", str(_fact(manifest, "tier") or "unknown")


def _bars(findings: Sequence[Finding], begun: datetime, over: datetime) -> Iterator[Bar]:
    whole = max((over - begun).total_seconds(), 0.001)
    for finding in findings:
        if (kind := words.STEPS.get(finding.kind)) is None:
            continue
        took = int(finding.facts.get("milliseconds") or 0) / 1_000
        start = 100 * (finding.at - begun).total_seconds() / whole
        width = max(100 * took / whole, _MIN_WIDTH)
        yield Bar(
            kind=finding.kind,
            name=f"{kind} {words.name_of(finding)}".strip(),
            state=str(finding.facts.get("state", "done")),
            start=round(min(start, 100 - _MIN_WIDTH), 2),
            width=round(min(width, 100 - min(start, 100 - _MIN_WIDTH)), 2),
            took=_span(timedelta(seconds=took)) if took else "",
            at=_clock(finding.at),
        )


def _turns(findings: Sequence[Finding]) -> Iterator[Turn]:
    calls = [each for each in findings if each.kind == "model_call"]
    costs = [Decimal(str(each.facts.get("cost_usd") or 0)) for each in calls]
    dearest = max(costs, default=Decimal(0)) or Decimal(1)
    for number, (call, cost) in enumerate(zip(calls, costs, strict=True), start=1):
        usage = document(call.facts.get("usage"))
        tokens = f"{usage.get('input_tokens', 0)} + {usage.get('output_tokens', 0)}" if usage else "unknown"
        yield Turn(
            number=number,
            model=str(call.facts.get("model", "unknown")),
            tokens=tokens,
            cost=dollars(cost),
            share=round(float(100 * cost / dearest), 1),
            said=words.answer_of(call),
        )


def _decisions(findings: Sequence[Finding]) -> Iterator[Line]:
    # A replay tells of each decision; without one, what was carried out or refused does.
    replayed = [each for each in findings if each.kind == "decision"]
    decided = replayed or [each for each in findings if each.kind in ("tool_call", "refused_call")]
    for finding in decided:
        facts, said = finding.facts, finding.contents
        is_allowed = bool(facts.get("accepted")) or facts.get("verdict") == "allow"
        verdict = str(facts.get("verdict") or ("accepted" if is_allowed else "refused"))
        why = said.get("detail") or said.get("reason") or said.get("message") or ""
        yield Line(
            at=_clock(finding.at),
            what=words.decided(finding),
            verdict=verdict,
            rule=str(facts.get("rule") or ""),
            why=str(why),
            note=f"by {facts['by']}" if facts.get("by") else "",
        )


def _approvals(findings: Sequence[Finding]) -> Iterator[Asked]:
    asked = {each.facts["approval_id"]: each for each in findings if each.kind == "approval_requested"}
    voices: dict[str, list[Voice]] = {str(name): [] for name in asked}
    for finding in findings:
        if finding.kind == "approval_decision":
            name = str(finding.facts.get("approval_id") or words.MALFORMED)
            voices.setdefault(name, []).append(_voice(finding))
    for name, heard in voices.items():
        request = asked.get(name)
        facts, said = (request.facts, request.contents) if request else ({}, {})
        people = f"{facts['people']} of {', '.join(facts['roles'])}" if facts.get("roles") else ""
        yield Asked(
            approval_id=name,
            what=str(said.get("sentence") or facts.get("tool") or ""),
            rule=str(facts.get("rule") or ""),
            needs=people or (f"{facts['people']}" if "people" in facts else ""),
            took=_span(timedelta(milliseconds=int(facts.get("milliseconds") or 0))),
            arguments=_text(said["arguments"]) if "arguments" in said else "",
            voices=tuple(heard),
        )


def _voice(finding: Finding) -> Voice:
    facts, said = finding.facts, finding.contents
    counted = facts.get("counted")
    return Voice(
        at=_clock(finding.at),
        who=words.person(facts),
        verdict=str(facts.get("verdict") or "malformed"),
        identity=words.identity(facts),
        counted={True: "counted", False: "did not count", None: ""}[counted],
        why=str(said.get("refused_because") or said.get("not_verified_because") or said.get("reason") or ""),
    )


def _citations(end: Finding | None) -> Iterator[Cited]:
    if end is None:
        return
    evidence: Any = end.contents.get("evidence") or []
    for number, cited in enumerate(end.facts.get("citations") or ()):
        given = document(evidence[number]) if number < len(evidence) else {}
        place = f"event {cited['event']} of execution {cited['execution']}" if "event" in cited else "nowhere"
        yield Cited(
            tool=str(cited.get("tool")),
            pointer=str(given.get("pointer") or "the whole output") if given else "",
            value=_text(given.get("value")) if given else "",
            place=place,
            is_there=bool(cited.get("is_there")),
        )


def _said(findings: Sequence[Finding]) -> Iterator[Said]:
    for finding in findings:
        parts = [
            (words.PARTS[name], _text(value))
            for name, value in finding.contents.items()
            if name in words.PARTS
        ]
        if parts and finding.kind in words.SPOKEN:
            title = f"{_clock(finding.at)} {words.SPOKEN[finding.kind]} {words.name_of(finding)}"
            yield Said(title.strip(), tuple(parts))


def _gaps(findings: Sequence[Finding]) -> Iterator[str]:
    for finding in findings:
        if finding.kind == "gap":
            where = f" (event {finding.event})" if finding.event else ""
            yield f"{words.GAPS.get(finding.facts['gap'], finding.facts['gap'])}{where}"


def _extent(findings: Sequence[Finding]) -> tuple[datetime, datetime]:
    ends = [each.at + timedelta(milliseconds=int(each.facts.get("milliseconds") or 0)) for each in findings]
    return min(each.at for each in findings), max(ends)


def _fact(finding: Finding | None, name: str) -> Json:
    return finding.facts.get(name) if finding else None


def _clock(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _span(time: timedelta) -> str:
    seconds = time.total_seconds()
    return f"{seconds:.2f} s" if seconds < 60 else span(time)


def _text(value: Json) -> str:
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}… ({len(text)} characters)"
