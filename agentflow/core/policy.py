"""Rules: what may run, what may not, and what needs people.

Deny beats ask beats allow. Where no rule matches, reads run and writes don't. A rule that raises, or
answers anything but True or False, denies. Allow and ask rules hold in the tiers they name, and
``production`` must be named: a write there needs a rule that was written for it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from agentflow.contracts.budget import Spend
from agentflow.contracts.rules import Decision, Quorum, Tier, Verdict
from agentflow.contracts.tools import ToolContract
from agentflow.contracts.wire import Json, Sha256
from agentflow.core.idempotency import arguments_hash

UNHASHABLE = Sha256("0" * 64)
"""Stands in the decision on arguments that have no canonical JSON; nothing can match it."""

_PRECEDENCE: Mapping[Verdict, int] = {"deny": 0, "ask": 1, "allow": 2}


@dataclass(frozen=True)
class PastCall:
    """A tool call of this run that has been carried out."""

    call_id: str
    tool: str
    arguments: Mapping[str, Json]
    output: Json


@dataclass(frozen=True)
class RuleContext:
    """Everything a rule may look at."""

    tool: ToolContract
    arguments: Mapping[str, Json]
    """They fit the tool's contract already."""
    tier: Tier
    tenant: str
    customer_tier: str
    requested_by: str
    task_input: Json
    """The task's input as JSON."""
    model: str
    model_proven: bool
    """Whether the release names the model as proven for this agent."""
    spend: Spend
    past_calls: tuple[PastCall, ...] = ()

    def amount(self, argument: str) -> Decimal:
        """An argument as an exact amount.

        Raises:
            ValueError: it is missing, not a number, not finite or negative: the rule then denies.
        """
        value = self.arguments.get(argument)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError(f"{argument} is not an amount")
        return to_amount(str(value))

    def outputs(self, tool: str) -> tuple[Json, ...]:
        """Recorded outputs of a tool in this run, the oldest first."""
        return tuple(call.output for call in self.past_calls if call.tool == tool)


Condition = Callable[[RuleContext], bool]


def _always(context: RuleContext) -> bool:
    return True


@dataclass(frozen=True)
class Rule:
    """One rule. Make it with ``allow``, ``deny`` or ``ask``."""

    name: str
    verdict: Verdict
    reason: str
    """For the person who reads the decision, and for the model that is refused."""
    when: Condition = _always
    tools: tuple[str, ...] = ()
    """Names of the tools it is for; empty is all."""
    tiers: tuple[Tier, ...] = ("dev", "staging")
    quorum: Quorum | None = None


def allow(
    name: str,
    *,
    reason: str,
    when: Condition = _always,
    tools: Sequence[str] = (),
    tiers: Sequence[Tier] = ("dev", "staging"),
) -> Rule:
    """A rule that lets matching calls run. Name ``production`` in ``tiers`` to let them run there."""
    return Rule(name, "allow", reason, when, tuple(tools), tuple(tiers))


def deny(name: str, *, reason: str, when: Condition = _always, tools: Sequence[str] = ()) -> Rule:
    """A rule that stops matching calls, in every tier, whatever other rules say."""
    return Rule(name, "deny", reason, when, tuple(tools), ("dev", "staging", "production"))


def ask(
    name: str,
    *,
    reason: str,
    when: Condition = _always,
    tools: Sequence[str] = (),
    tiers: Sequence[Tier] = ("dev", "staging"),
    people: int = 1,
    roles: Sequence[str] = (),
) -> Rule:
    """A rule that lets matching calls run if ``people`` different people with one of ``roles`` agree."""
    quorum = Quorum(people=people, roles=tuple(roles))
    return Rule(name, "ask", reason, when, tuple(tools), tuple(tiers), quorum)


def decide(rules: Sequence[Rule], context: RuleContext) -> Decision:
    """What the rules say of one call with exactly these arguments. Never raises; doubt denies."""
    try:
        binding = arguments_hash(context.tool.name, context.arguments)
    except (ValueError, TypeError, RecursionError) as error:
        return Decision(
            verdict="deny",
            rule="error",
            reason=f"the arguments can't be hashed: {error}",
            arguments_hash=UNHASHABLE,
        )
    matching: list[Rule] = []
    for rule in rules:
        if rule.tools and context.tool.name not in rule.tools:
            continue
        try:
            matches: object = rule.when(context)
        except Exception as error:
            return _failed(rule, f"raised {type(error).__name__}{_told(error)}", binding)
        if matches is not True and matches is not False:
            return _failed(rule, f"answered {type(matches).__name__}, not True or False", binding)
        if matches and context.tier in rule.tiers:
            matching.append(rule)
    return _first(matching, context, binding)


def _first(matching: Sequence[Rule], context: RuleContext, binding: Sha256) -> Decision:
    """The strictest matching rule. Several ``ask`` rules all hold: see ``_joint``."""
    strictest = min(
        matching,
        key=lambda rule: (_PRECEDENCE[rule.verdict], -(rule.quorum.people if rule.quorum else 0)),
        default=None,
    )
    is_read = context.tool.effect == "read"
    if strictest is None:
        return _default(context, binding)
    if strictest.verdict == "allow" and not is_read and not context.model_proven:
        return Decision(
            verdict="ask",
            rule="unproven_model",
            reason=f"{strictest.name} would allow it, but {context.model} is not proven for this agent",
            arguments_hash=binding,
            quorum=Quorum(),
        )
    if strictest.verdict == "ask":
        return _joint([rule for rule in matching if rule.verdict == "ask"], binding)
    return Decision(
        verdict=strictest.verdict, rule=strictest.name, reason=strictest.reason, arguments_hash=binding
    )


def _joint(asking: Sequence[Rule], binding: Sha256) -> Decision:
    """One question for all ``ask`` rules: the most people that any wants, in roles that all accept."""
    named = ", ".join(rule.name for rule in asking)
    reason = "; ".join(dict.fromkeys(rule.reason for rule in asking))
    quorums = [rule.quorum or Quorum() for rule in asking]
    wanted = [set(quorum.roles) for quorum in quorums if quorum.roles]
    roles = set[str].intersection(*wanted) if wanted else set[str]()
    if wanted and not roles:
        # Nobody could satisfy both, and asking for one of them would drop the other.
        why = f"rules {named} ask for roles that no one person has"
        return Decision(verdict="deny", rule=named, reason=why, arguments_hash=binding)
    joint = Quorum(people=max(quorum.people for quorum in quorums), roles=tuple(sorted(roles)))
    return Decision(verdict="ask", rule=named, reason=reason, arguments_hash=binding, quorum=joint)


def _default(context: RuleContext, binding: Sha256) -> Decision:
    if context.tool.effect == "read":
        return Decision(verdict="allow", rule="default", reason="reads are free", arguments_hash=binding)
    reason = f"no rule allows {context.tool.name} in tier {context.tier}"
    return Decision(verdict="deny", rule="default", reason=reason, arguments_hash=binding)


def _failed(rule: Rule, how: str, binding: Sha256) -> Decision:
    # An error may quote an argument, and that may hold what no contract takes: a lone surrogate.
    reason = f"rule {rule.name} {how}"[:500].encode(errors="replace").decode()
    return Decision(verdict="deny", rule="error", reason=reason, arguments_hash=binding)


def _told(error: Exception) -> str:
    try:
        return f": {error}"
    except Exception:
        # Even the text of an error is code of the rule's, and a failure in it is a denial too.
        return ", which has no text"


def to_amount(text: str) -> Decimal:
    """A text as an exact amount.

    Raises:
        ValueError: it isn't a finite number, or is negative.
    """
    try:
        amount = Decimal(text)
    except InvalidOperation as error:
        raise ValueError(f"{text[:40]!r} is not an amount") from error
    if not amount.is_finite() or amount < 0:
        raise ValueError(f"{text[:40]!r} is not a finite amount of at least zero")
    return amount
