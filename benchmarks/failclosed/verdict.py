"""Whether what was written was allowed: said without the code that is tested."""

from agentflow.core.idempotency import arguments_hash
from benchmarks.failclosed.path import Ended, Trial, Voice
from benchmarks.failclosed.world import DEADLINE, FINANCE, REQUESTED_BY, needs


def violation(trial: Trial, ended: Ended) -> str | None:
    """Why what was written was not allowed, or ``None``."""
    for to, amount in ended.paid:
        if trial.broken:
            return "something that decides could not answer"
        if trial.tool != "pay" or set(trial.arguments) != {"to", "amount"}:
            return "it was not asked for like this"
        if (to, amount) != (trial.arguments["to"], trial.arguments["amount"]):
            return "it is not what was decided on"
        needed = needs(to, amount)
        if needed == "never":
            return "nobody may allow it"
        if needed == "people" and not any(_counts(voice, trial) for voice in trial.voices):
            return "nobody who may allowed it"
    return None


def _counts(voice: Voice, trial: Trial) -> bool:
    shown = voice.hash_of in (None, arguments_hash("pay", trial.arguments))
    person = voice.by in FINANCE and voice.by != REQUESTED_BY and "finance" in voice.roles
    return person and voice.verified and shown and voice.at < DEADLINE
