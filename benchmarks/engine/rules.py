"""The rules of the agent on agentflow."""

from agentflow import RuleContext, allow, ask, deny

TURNS_AT_MOST = 5_000


def _known(context: RuleContext) -> bool:
    number = context.arguments["number"]
    return isinstance(number, int) and 0 < number <= TURNS_AT_MOST


def _repeated(context: RuleContext) -> bool:
    return len(context.past_calls) > TURNS_AT_MOST


RULES = (
    deny("too_often", reason="the run looks up more than it may", when=_repeated),
    ask("corrections", reason="a person reads corrections", tools=("correct",)),
    allow("known_records", reason="the record exists", tools=("look_up",), when=_known),
)
