"""Keeps in history what an agent's code came to, where a deploy may change the code under a run.

A replay runs the code of today and gets the answer of then. What depends on data alone, which the manifest
has, needs no record.
"""

from datetime import timedelta
from typing import TypeVar

from temporalio.common import RetryPolicy

from agentflow.contracts.names import RECORD_ACTIVITY
from agentflow.contracts.recorded import Recorded, RecordedVerdict, SummaryPlan
from agentflow.contracts.rules import Decision
from agentflow.core.answer import Accepted, Unusable, as_recorded
from agentflow.core.compaction import Planned, Summarise
from agentflow.workflow.sealed_calls import Call, CallNames, as_sent, execute_locally

AnswerT = TypeVar("AnswerT")


async def recorded(calls: CallNames, kind: str, found: Recorded) -> Recorded:
    """Record what code came to, and answer what is on record.

    Args:
        calls: Names the call.
        kind: Of what is recorded: the kinds are counted apart.
        found: What the code of today comes to.
    """
    return await execute_locally(
        calls,
        Call(
            RECORD_ACTIVITY,
            calls.name(f"record-{kind}"),
            as_sent(found),
            Recorded,
            RetryPolicy(maximum_attempts=3),
        ),
        schedule_to_close_timeout=timedelta(seconds=30),
    )


def verdict_of(decision: Decision) -> RecordedVerdict:
    """What is recorded of a decision: the rest of it is known wherever it is read."""
    return RecordedVerdict(
        verdict=decision.verdict, rule=decision.rule, reason=decision.reason, quorum=decision.quorum
    )


async def recorded_check(
    calls: CallNames, found: Accepted[AnswerT] | Unusable, answer: object
) -> Accepted[AnswerT] | Unusable:
    """An answer's check by the code of its type, as it first came out.

    Args:
        calls: Names the call.
        found: What the check comes to now.
        answer: The answer as JSON, which is the run's if the check of then took it.
    """
    problem = found.problem if isinstance(found, Unusable) else None
    kept = await recorded(calls, "answer", Recorded(problem=problem))
    return as_recorded(found, kept.problem, answer)


async def recorded_plan(calls: CallNames, found: Planned, strategy: str) -> tuple[Planned, str]:
    """A plan to make a conversation shorter, as it first came out, and the name of the strategy it is of.

    Args:
        calls: Names the call.
        found: What the strategy of today plans.
        strategy: Its name.
    """
    plan, problem = found
    as_summary = (
        SummaryPlan(
            start=plan.start,
            end=plan.end,
            instructions=plan.instructions,
            model=plan.model,
            strategy=strategy,
        )
        if isinstance(plan, Summarise)
        else None
    )
    shorter = None if isinstance(plan, Summarise) else plan
    kept = await recorded(
        calls,
        "compaction",
        Recorded(problem=problem or None, compaction=shorter, summary=as_summary),
    )
    if kept.summary is not None:
        said = kept.summary
        summarise = Summarise(said.start, said.end, said.instructions, said.model)
        return (summarise, ""), said.strategy or strategy
    return (kept.compaction, kept.problem or ""), strategy
