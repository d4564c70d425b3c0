"""A run's records: what its history tells, and what its own code says when it is replayed on that history."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from temporalio.client import WorkflowHistory
from temporalio.converter import DataConverter

from agentflow.adapters.history.finding import Finding, end_of, time_of, told
from agentflow.adapters.history.reader import read_run
from agentflow.adapters.history.story import Story
from agentflow.audit.replaying import ReplayedRuns
from agentflow.audit.selection import SelectedRun
from agentflow.contracts.tags import ToldValues
from agentflow.core.known_values import KnownValues


@dataclass(frozen=True)
class RunFindings:
    """All that is known of one run, in the order in which it happened."""

    story: Story
    executions: tuple[str, ...]
    findings: tuple[Finding, ...]
    known: ToldValues | None
    """Its values that types mark as personal or secret; ``None`` where nobody could find out."""

    @property
    def end(self) -> Finding | None:
        """How it ended; ``None`` if it hadn't."""
        return end_of(self.findings)

    def fact(self, name: str) -> Any:
        """The first finding's word on it."""
        return next((each.facts[name] for each in self.findings if name in each.facts), None)


async def findings_of(
    run: SelectedRun, converter: DataConverter, replayed: ReplayedRuns | None
) -> RunFindings:
    """Read a run.

    Args:
        run: The run, with its histories.
        converter: That its payloads need.
        replayed: Replays it, where its code is at hand.
    """
    story = await read_run(converter, run.workflow_id, run.executions)
    if not story.is_agent:
        _say_foreign(story, run)
    places = {execution.run_id: number for number, execution in enumerate(run.executions)}
    findings = list(story.findings)
    known: list[KnownValues | None] = []
    for execution in run.executions:
        if execution.history is not None and story.is_agent:
            more, values = await _replayed(story, execution.run_id, execution.history, replayed)
            findings += more
            known.append(values)
    # What code worked out follows the events that it had seen; the sort leaves all else as it was read.
    findings.sort(key=lambda each: (places[each.execution], each.event or 0, each.source == "replay"))
    return RunFindings(story, tuple(places), tuple(findings), _together(known))


async def _replayed(
    story: Story, run_id: str, history: WorkflowHistory, replayed: ReplayedRuns | None
) -> tuple[Sequence[Finding], KnownValues | None]:
    last = history.events[-1]
    at = time_of(last.event_time)
    if replayed is None or not replayed.knows(story.workflow_type):
        return [Finding.gap("not_replayed", at, run_id, last.event_id)], None
    told_by_run = await replayed.told(run_id, history)
    if told_by_run.failure is not None:
        diverged = Finding.gap("diverged", at, run_id, last.event_id)
        diverged.contents = told(failure=str(told_by_run.failure))
        # What code says that does something else is no record of what was done.
        return [diverged], None
    return told_by_run.findings, told_by_run.known


def _together(known: Sequence[KnownValues | None]) -> ToldValues | None:
    """The values of all executions, if each of them could be asked."""
    values = [each for each in known if each is not None]
    if not values or len(values) < len(known):
        return None
    kinds = {value: kind for each in values for value, kind in each.kinds.items()}
    return ToldValues(kinds=kinds, is_full=any(each.is_full for each in values))


def _say_foreign(story: Story, run: SelectedRun) -> None:
    known = next((each for each in run.executions if each.history), None)
    if known is not None and known.history is not None and story.findings:
        story.add(Finding.gap("foreign_workflow", story.findings[0].at, known.run_id, 1))
