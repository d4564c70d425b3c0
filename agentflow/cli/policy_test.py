"""``agentflow policy test``."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import RenderableType

from agentflow.cli.exits import misused, refused
from agentflow.cli.options import AsJson
from agentflow.cli.output import safe, table
from agentflow.cli.policy_cases import Case, CaseFile, context_of, read_cases
from agentflow.cli.session import open_session
from agentflow.core.policy import Explanation, explain


@dataclass(frozen=True)
class _Tested:
    """What became of a case."""

    case: Case
    explanation: Explanation

    @property
    def ok(self) -> bool:
        decision = self.explanation.decision
        return decision.verdict == self.case.expect and self.case.rule in (None, decision.rule)


@dataclass(frozen=True)
class _Report:
    rule_sets: tuple[str, ...]
    tested: tuple[_Tested, ...]
    matches: Counter[str]
    """How often each rule matched; those that never did are there too."""

    @property
    def failed(self) -> tuple[_Tested, ...]:
        return tuple(one for one in self.tested if not one.ok)

    @property
    def missed(self) -> tuple[str, ...]:
        return tuple(name for name, times in self.matches.items() if not times)

    @property
    def percent(self) -> int:
        covered = len(self.matches) - len(self.missed)
        return 100 * covered // len(self.matches) if self.matches else 100

    @property
    def summary(self) -> str:
        held = len(self.tested) - len(self.failed)
        said = f"{held} of {len(self.tested)} cases as expected; {self.percent} % of the rules covered"
        return f"{said}; no case for {', '.join(self.missed)}" if self.missed else said


def hold_cases(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Cases, in TOML or JSON.")],
    *,
    min_coverage: Annotated[
        int, typer.Option(min=0, max=100, help="Percent of rules that some case must make match.")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Hold cases against an agent's rules. Exit 1 if one is decided otherwise than it expects.

    Each case is a tool, its arguments, a context, the expected verdict and, if
    you like, the rule that decides. Rules that no case makes match are listed.
    """
    with open_session(context, as_json=as_json) as session:
        report = _hold([read_cases(path) for path in files])
        session.output.result(_document(report), *_views(report))
        if report.failed or report.percent < min_coverage:
            raise refused(report.summary)


def _hold(files: Sequence[CaseFile]) -> _Report:
    tested: list[_Tested] = []
    matches: Counter[str] = Counter()
    for file in files:
        agent = file.agent
        matches.update({rule.name: 0 for rule in agent.rules.rules})
        for case in file.cases:
            if case.expect is None:
                raise misused(f'{file.path}: case {case.name!r} lacks expect = "allow", "ask" or "deny"')
            made = context_of(agent, case.tool, case.arguments, case.context)
            explanation = explain(agent.rules.rules, made, agent.rules.policies)
            matches.update(one.match.name for one in explanation.findings if one.kind == "matched")
            tested.append(_Tested(case, explanation))
    return _Report(tuple(sorted({file.agent.rules_name.id for file in files})), tuple(tested), matches)


def _document(report: _Report) -> dict[str, Any]:
    return {
        "rule_sets": report.rule_sets,
        "cases": [
            {
                "name": one.case.name,
                "ok": one.ok,
                "expected": one.case.expect,
                "expected_rule": one.case.rule,
                "decision": one.explanation.decision,
            }
            for one in report.tested
        ],
        "coverage_percent": report.percent,
        "rules_without_a_case": report.missed,
    }


def _views(report: _Report) -> Iterator[RenderableType]:
    rows = (
        ("ok" if one.ok else "FAILED", one.case.name, decision.verdict, decision.rule)
        for one in report.tested
        for decision in [one.explanation.decision]
    )
    yield table(("", "CASE", "VERDICT", "RULE"), rows)
    for one in report.failed:
        rule = f" by {one.case.rule}" if one.case.rule else ""
        yield safe(f"\n{one.case.name}: expected {one.case.expect}{rule}\n{one.explanation}")
    yield safe(f"\n{report.summary}")
