"""A run's records: what its history tells, and what its own code says when it is replayed on that history."""

from dataclasses import dataclass
from typing import Any

from temporalio.client import WorkflowHistory
from temporalio.converter import DataConverter

from agentflow.adapters.history.finding import Finding, time_of, told
from agentflow.adapters.history.reader import read_run
from agentflow.adapters.history.story import Story
from agentflow.audit.replaying import ReplayedRuns
from agentflow.audit.selection import SelectedRun


@dataclass(frozen=True)
class RunFindings:
    """All that is known of one run, in the order in which it happened."""

    story: Story
    executions: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def end(self) -> Finding | None:
        """How it ended; ``None`` if it hadn't."""
        ends = (each for each in reversed(self.findings) if each.kind in ("outcome", "ended"))
        return next(ends, None)

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
    for execution in run.executions:
        if execution.history is not None and story.is_agent:
            findings += await _replayed(story, execution.run_id, execution.history, replayed)
    # What code worked out follows the events that it had seen; the sort leaves all else as it was read.
    findings.sort(key=lambda each: (places[each.execution], each.event or 0, each.source == "replay"))
    return RunFindings(story, tuple(places), tuple(findings))


async def _replayed(
    story: Story, run_id: str, history: WorkflowHistory, replayed: ReplayedRuns | None
) -> list[Finding]:
    last = history.events[-1]
    at = time_of(last.event_time)
    if replayed is None or not replayed.knows(story.workflow_type):
        return [Finding.gap("not_replayed", at, run_id, last.event_id)]
    findings, failure = await replayed.findings(run_id, history)
    if failure is not None:
        diverged = Finding.gap("diverged", at, run_id, last.event_id)
        diverged.contents = told(failure=str(failure))
        # What code says that does something else is no record of what was done.
        return [diverged]
    return findings


def _say_foreign(story: Story, run: SelectedRun) -> None:
    known = next((each for each in run.executions if each.history), None)
    if known is not None and known.history is not None and story.findings:
        story.add(Finding.gap("foreign_workflow", story.findings[0].at, known.run_id, 1))
