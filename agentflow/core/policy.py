"""What the rules say of one call.

Deny beats ask beats allow. Where no rule matches, reads run and writes don't. A rule that raises anything,
``BaseException`` included, or answers anything but True or False, denies. While a freeze holds, nothing is
written.
"""

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from agentflow.contracts.rules import Decision, Quorum, Verdict
from agentflow.contracts.wire import Json, Sha256
from agentflow.core.idempotency import arguments_hash
from agentflow.core.person import folded, same_name, same_person
from agentflow.core.rule_checks import quorum_problem
from agentflow.core.rule_context import RuleContext
from agentflow.core.rule_names import effects_for
from agentflow.core.rules import Match, Policies, Rule

UNHASHABLE = Sha256("0" * 64)
"""Stands in the decision on arguments that have no canonical JSON; nothing can match it."""

FindingKind = Literal["matched", "not_for", "not_met", "failed"]
"""``matched``: it says its verdict. ``not_for``: it is for other tools, effects, scopes, tenants or tiers.
``not_met``: its condition is not met. ``failed``: it could not be asked, and so the call is denied."""

_INTERRUPT = "_InterruptDeadlockError"
"""Temporal's, by name: nothing here imports it."""

_PRECEDENCE: Mapping[Verdict, int] = {"deny": 0, "ask": 1, "allow": 2}


@dataclass(frozen=True)
class Finding:
    """What became of one rule."""

    kind: FindingKind
    match: Match
    why: str = ""


@dataclass(frozen=True)
class Explanation:
    """A decision, and what each rule had to do with it."""

    decision: Decision
    findings: tuple[Finding, ...]

    def __str__(self) -> str:
        """In words, a line each."""
        decision = self.decision
        lines = [f"{decision.verdict}, by {decision.rule}: {decision.reason}"]
        if decision.quorum is not None:
            roles = f" with the role {' or '.join(decision.quorum.roles)}" if decision.quorum.roles else ""
            people = "a person" if decision.quorum.people == 1 else f"{decision.quorum.people} people"
            lines.append(f"needs {people}{roles}")
        for finding in self.findings:
            lines.append(
                f"  {_SAID[finding.kind]} {finding.match.verdict} {finding.match.name}: {finding.why}"
            )
        return "\n".join(lines)


_SAID: Mapping[FindingKind, str] = {
    "matched": "+",
    "not_for": "-",
    "not_met": "-",
    "failed": "!",
}


def decide(rules: Sequence[Rule], context: RuleContext, policies: Sequence[Policies] = ()) -> Decision:
    """What the rules say of one call with exactly these arguments. Never raises; doubt denies."""
    return _decided(context, _findings(rules, context, policies))


def explain(rules: Sequence[Rule], context: RuleContext, policies: Sequence[Policies] = ()) -> Explanation:
    """The decision on a call, with which rules matched, which did not, and why. Never raises."""
    findings = tuple(_findings(rules, context, policies))
    decision = _decided(context, findings)
    return Explanation(decision, () if decision.arguments_hash == UNHASHABLE else findings)


def binding_of(tool: str, arguments: Mapping[str, Json]) -> Sha256:
    """The hash that binds a decision to the arguments of a call; ``UNHASHABLE`` where they have none."""
    return _hashed(tool, arguments)[0]


def _hashed(tool: str, arguments: Mapping[str, Json]) -> tuple[Sha256, str]:
    try:
        return arguments_hash(tool, arguments), ""
    except (ValueError, TypeError, RecursionError) as error:
        return UNHASHABLE, f"the arguments can't be hashed: {error}"


def concerns(rule: Rule, context: RuleContext) -> bool:
    """Whether a rule is for calls of this tool, effect, scope and tenant, and its condition asked of them."""
    return _is_for_others(rule, context) is None


def _decided(context: RuleContext, findings: Iterable[Finding]) -> Decision:
    """The decision that findings come to; no more of them are looked at than it takes."""
    binding, unhashable = _hashed(context.tool.name, context.arguments)
    if unhashable:
        return Decision(verdict="deny", rule="error", reason=unhashable, arguments_hash=binding)
    if context.frozen and context.tool.sure_effect != "read":
        reason = f"writes are frozen for {', '.join(context.frozen)}"
        return Decision(verdict="deny", rule="frozen", reason=reason, arguments_hash=binding)
    matching: list[Match] = []
    for finding in findings:
        if finding.kind == "failed":
            reason = f"rule {finding.match.name} {finding.why}"[:500]
            return Decision(verdict="deny", rule="error", reason=reason, arguments_hash=binding)
        if finding.kind == "matched":
            matching.append(finding.match)
    return _first(matching, context, binding)


def _findings(rules: Sequence[Rule], context: RuleContext, policies: Sequence[Policies]) -> Iterator[Finding]:
    for rule in rules:
        yield _finding(rule, context)
    for several in policies:
        try:
            matches = _matches(several.judge(context))
        except BaseException as error:
            yield Finding("failed", Match(_name_of(several), "deny", ""), _raised(error))
        else:
            yield from (Finding("matched", match, match.reason) for match in matches)


def _matches(judged: object) -> list[Match]:
    """What an engine says, if it is matches. What another type, or a subclass, would say is anybody's guess.

    Raises:
        ValueError: it isn't.
    """
    if not isinstance(judged, list | tuple):
        if inspect.iscoroutine(judged):
            judged.close()
        raise ValueError(f"it answered {type(judged).__name__}, not a list of matches")
    found = list(cast(Sequence[object], judged))
    for match in found:
        if type(match) is not Match:
            raise ValueError(f"it answered a {type(match).__name__} in the place of a Match")
        if problem := _problem_of(match):
            raise ValueError(f"a match of it can't be used: {problem}")
    return cast(list[Match], found)


def _problem_of(match: Match) -> str | None:
    if any(type(cast(object, text)) is not str for text in (match.name, match.reason, match.verdict)):
        return "its name, reason and verdict are texts"
    if match.verdict not in _PRECEDENCE:
        return f"there is no verdict {match.verdict[:40]!r}"
    if type(cast(object, match.is_guard)) is not bool:
        return "is_guard is True or False"
    if match.quorum is None:
        return None
    return quorum_problem(match.quorum) if match.verdict == "ask" else "a quorum belongs to ask"


def _name_of(policies: Policies) -> str:
    try:
        return f"{policies.engine}"
    except BaseException as error:
        _let_interrupts_pass(error)
        return type(policies).__name__


def _finding(rule: Rule, context: RuleContext) -> Finding:
    match = Match(rule.name, rule.verdict, rule.reason, rule.quorum, rule.is_guard)
    if other := _is_for_others(rule, context):
        return Finding("not_for", match, other)
    try:
        matches: object = rule.when(context)
        if matches is not True and matches is not False:
            # Never by its truth: that of an object is code of its own, and of a coroutine it is yes.
            if inspect.iscoroutine(matches):
                matches.close()
            return Finding("failed", match, f"answered {type(matches).__name__}, not True or False")
    except BaseException as error:
        # Conditions are functions: no cancellation of the run comes out of one, whatever it is named.
        return Finding("failed", match, _raised(error))
    # Asked in every tier all the same: a rule that can't answer must not look sound where it isn't in force.
    if context.tier not in rule.holds_in:
        tiers = ", ".join(rule.holds_in)
        return Finding("not_for", match, f"it holds in {tiers}, not in {context.tier}")
    return Finding("matched", match, rule.reason) if matches else Finding("not_met", match, _condition(rule))


def _is_for_others(rule: Rule, context: RuleContext) -> str | None:
    """What a rule is for, if the call is none of it."""
    tool = context.tool
    if rule.tools and tool.name not in rule.tools:
        return f"it is for {', '.join(rule.tools)}"
    if rule.effects and not effects_for(rule, tool) & set(rule.effects):
        return f"it is for effect {', '.join(rule.effects)}"
    if rule.scopes and not set(rule.scopes) & set(tool.scopes):
        return f"it is for scope {', '.join(rule.scopes)}"
    is_for = same_person if rule.closes else same_name
    if rule.tenants and not any(is_for(context.tenant, tenant) for tenant in rule.tenants):
        return f"it is for tenant {', '.join(rule.tenants)}"
    return None


def _condition(rule: Rule) -> str:
    """A condition in words: its docstring's first line, or its name."""
    try:
        said = (rule.when.__doc__ or "").strip().partition("\n")[0]
        name = getattr(rule.when, "__name__", type(rule.when).__name__)
        return f"not so: {said or name}"
    except BaseException as error:
        # An object's docstring and name may be properties.
        _let_interrupts_pass(error)
        return "not so"


def _first(matching: Sequence[Match], context: RuleContext, binding: Sha256) -> Decision:
    """The strictest match. Several that ask all hold: see ``_joint``."""
    strictest = min(
        matching,
        key=lambda match: (_PRECEDENCE[match.verdict], -(match.quorum.people if match.quorum else 0)),
        default=None,
    )
    is_read = context.tool.sure_effect == "read"
    if strictest is None:
        return _default(context, binding)
    if strictest.verdict == "ask":
        if not is_read and all(match.is_guard for match in matching):
            return _default(context, binding)
        return _joint([match for match in matching if match.verdict == "ask"], binding)
    if strictest.verdict == "allow" and not is_read and not context.model_proven:
        return Decision(
            verdict="ask",
            rule="unproven_model",
            reason=f"{strictest.name} would allow it, but {context.model} is not proven for this agent",
            arguments_hash=binding,
            quorum=Quorum(),
        )
    return Decision(
        verdict=strictest.verdict, rule=strictest.name, reason=strictest.reason, arguments_hash=binding
    )


def _joint(asking: Sequence[Match], binding: Sha256) -> Decision:
    """One question for all that ask: the most people that any wants, in roles that all accept."""
    named = ", ".join(match.name for match in asking)
    reason = "; ".join(dict.fromkeys(match.reason for match in asking))
    quorums = [match.quorum or Quorum() for match in asking]
    wanted = [set(map(folded, quorum.roles)) for quorum in quorums if quorum.roles]
    roles = set[str].intersection(*wanted) if wanted else set[str]()
    if wanted and not roles:
        # Nobody could satisfy both, and asking for one of them would drop the other.
        why = f"rules {named} ask for roles that no one person has"
        return Decision(verdict="deny", rule=named, reason=why, arguments_hash=binding)
    later = [set(map(folded, (*quorum.roles, *quorum.next_roles))) for quorum in quorums if quorum.roles]
    next_roles = set[str].intersection(*later) - roles if later else set[str]()
    spelled = {folded(role): role for quorum in quorums for role in (*quorum.roles, *quorum.next_roles)}
    joint = Quorum(
        people=max(quorum.people for quorum in quorums),
        roles=tuple(sorted(spelled[role] for role in roles)),
        next_roles=tuple(sorted(spelled[role] for role in next_roles)),
    )
    return Decision(verdict="ask", rule=named, reason=reason, arguments_hash=binding, quorum=joint)


def _default(context: RuleContext, binding: Sha256) -> Decision:
    if context.tool.sure_effect == "read":
        return Decision(verdict="allow", rule="default", reason="reads are free", arguments_hash=binding)
    reason = f"no rule allows {context.tool.name} in tier {context.tier}"
    if context.tool.effect_is_claimed:
        reason += ", and that it only reads is its server's own word"
    return Decision(verdict="deny", rule="default", reason=reason, arguments_hash=binding)


def _raised(error: BaseException) -> str:
    """An error as part of a reason."""
    _let_interrupts_pass(error)
    try:
        told = f": {error}"
    except BaseException as other:
        # Even the text of an error is code of the rule's, and a failure in it is a denial too.
        _let_interrupts_pass(other)
        told = ", which has no text"
    # It may quote an argument, and that may hold what no contract takes: a lone surrogate.
    return f"raised {type(error).__name__}{told}"[:400].encode(errors="replace").decode()


def _let_interrupts_pass(error: BaseException) -> None:
    """Raise Temporal's interrupt of a workflow task that took too long.

    It comes from outside, into a condition that never ends. The task has failed by then, so nothing that is
    decided in it is carried out; its thread must end.
    """
    if type(error).__name__ == _INTERRUPT and type(error).__module__.startswith("temporalio."):
        raise error
