"""A run from its task to its outcome: begun, pinned and checked, within its wall time, and ended."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeVar

from pydantic_core import to_jsonable_python
from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError, is_cancelled_exception

from agentflow.contracts.effects import EarlierEffects
from agentflow.contracts.guards import OutputCheck, OutputVerdict
from agentflow.contracts.manifest import Manifest, ManifestRequest, SpentBefore
from agentflow.contracts.outcome import AgentOutcome, OutcomeStatus
from agentflow.contracts.recorded import Recorded
from agentflow.contracts.task import AgentTask
from agentflow.core.outcome import shorter_and_shorter
from agentflow.core.requester import as_of_now, was_verified
from agentflow.core.task_input import read_input
from agentflow.errors import (
    BudgetExhausted,
    ConfigurationError,
    PayloadTooLargeError,
    RunDenied,
    RunEscalated,
    RunStopped,
)
from agentflow.telemetry import semconv
from agentflow.telemetry.spans import workflow_span
from agentflow.workflow import dispatch
from agentflow.workflow.children import refuse_child
from agentflow.workflow.continuation import Continuation
from agentflow.workflow.definition import AgentDefinition
from agentflow.workflow.failures import failure_of
from agentflow.workflow.lineage import chain
from agentflow.workflow.recording import recorded
from agentflow.workflow.requester import requester_of_start
from agentflow.workflow.run import Run
from agentflow.workflow.wall_clock import WallClock, WallTimeOverError

InputT = TypeVar("InputT")
OutputT = TypeVar("OutputT")


class Steps(Protocol[InputT, OutputT]):
    """What an agent does between the two ends of its run."""

    async def preflight(self, task: AgentTask[InputT]) -> None:
        """Refuse a task that no model should see."""
        ...

    async def perform(self, task: AgentTask[InputT]) -> OutputT:
        """Do the task."""
        ...

    async def postflight(self, output: OutputT) -> None:
        """Withhold an output that should not leave."""
        ...


class Lifecycle(Generic[InputT, OutputT]):
    """Takes one run from its task to its outcome."""

    def __init__(self, run: Run, continuation: Continuation, steps: Steps[InputT, OutputT]) -> None:
        self._run = run
        self._continuation = continuation
        self._steps = steps
        self._is_first = True
        """Whether the run begins with this execution."""

    async def from_task_to_outcome(self, task: AgentTask[InputT]) -> AgentOutcome[OutputT]:
        """Do the task; whatever ends the run is in the outcome.

        Raises:
            ApplicationError: there is a bug in the agent; the run fails with its text.
        """
        with workflow_span(f"{semconv.INVOKE_AGENT} {self._run.definition.name}") as span:
            span.set_attributes(self._about(task))
            try:
                outcome = await self._ended(task)
                # Whoever cancels an execution that has ended has nothing to wait for.
                with suppress(asyncio.CancelledError):
                    await self._run.calls.outgoing.room_to_end()
            finally:
                # Known once the state of the execution before is taken up.
                span.set_attribute(semconv.EXECUTION, self._run.executions + 1)
            span.set_attributes(
                {
                    semconv.OUTCOME: outcome.status,
                    semconv.COST_USD: float(outcome.cost_usd),
                    semconv.RELEASE: outcome.release,
                    semconv.TIER: self._run.tier or "",
                }
            )
            return outcome

    def _about(self, task: AgentTask[InputT]) -> dict[str, str | int]:
        definition = self._run.definition
        return {
            semconv.OPERATION_NAME: semconv.INVOKE_AGENT,
            semconv.AGENT_NAME: definition.name,
            semconv.AGENT_VERSION: definition.release.version,
            semconv.RULES: definition.rules_name.id,
            semconv.TENANT: task.tenant,
            semconv.CUSTOMER_TIER: task.customer_tier,
        }

    async def _ended(self, task: AgentTask[InputT]) -> AgentOutcome[OutputT]:
        try:
            output = await self._within_wall_time(task)
        except RunStopped as stop:
            return self._outcome(_status_of(stop), reason=stop.reason)
        except PayloadTooLargeError as error:
            return self._outcome("denied", reason=str(error))
        except ConfigurationError as error:
            return self._outcome("denied", reason=str(error))
        except WallTimeOverError:
            limit = self._run.purse.budget.wall_time
            return self._outcome("timed_out", reason=f"the run took longer than its wall_time of {limit}")
        except (asyncio.CancelledError, FailureError) as error:
            if is_cancelled_exception(error):
                return self._outcome("cancelled", reason="the run was cancelled")
            self._run.fail()
            raise
        except (Exception, KeyboardInterrupt, SystemExit) as bug:
            # Outside a FailureError it would fail the workflow task, which is retried for ever.
            text = f"{self._run.definition.name} failed: {type(bug).__name__}: {bug}"
            settled = self._run.fail()
            raise ApplicationError(text, settled, type="AgentBug", non_retryable=True) from bug
        return self._outcome("completed", output=output)

    async def _within_wall_time(self, task: AgentTask[InputT]) -> OutputT:
        await self._begin(task)
        if not self._is_first:
            await self._compare_release()
        limit = self._run.purse.budget.wall_time
        left = limit - (workflow.now() - self._run.started_at) if limit else None
        async with WallClock(left):
            return await self._start_to_end(task)

    async def _begin(self, task: AgentTask[InputT]) -> None:
        """Take the task, and what an execution before this one knew; pin the run if there was none.

        Before the manifest is there, nothing may depend on the agent's class, which a deploy changes.
        """
        run = self._run
        run.begin(task)
        if fault := task.name_fault:
            raise RunDenied(f"the task can't be taken: {fault}")
        refuse_child()
        self._is_first = not await self._continuation.take_up()
        if self._is_first:
            _refuse_retried_cron()
            await self._pin()
            run.set_budget()
            # As it was sent: what the input type makes of it has another size when a deploy changes the type.
            dispatch.sized("the task", task.given, run.definition.max_input_bytes)
        run.has_taken_up()

    async def _start_to_end(self, task: AgentTask[InputT]) -> OutputT:
        definition = self._run.definition
        if self._is_first and definition.checks_task:
            await self._checked("preflight", self._steps.preflight(task))
        output = await self._steps.perform(task)
        self._run.redaction.of_answer(output)
        if definition.checks_output:
            await self._checked("postflight", self._steps.postflight(output))
        if self._run.manifest.output_guard:
            await self._guarded(output)
        return output

    async def _guarded(self, output: OutputT) -> None:
        """Let the output guard see what is about to leave. Who can't be asked has not said yes."""
        run = self._run
        check = OutputCheck(
            output=to_jsonable_python(output), evidence=tuple(found.value for found in run.evidence)
        )
        try:
            verdict = await dispatch.guard_output(run.calls, check, run.max_payload_bytes)
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            verdict = OutputVerdict(refusal=f"it could not be asked: {failure_of(error).message}")
        dispatch.heed_cancellation()
        if verdict.refusal is not None:
            # What it must not say it must not cite.
            run.evidence = ()
            run.note("check", False, f"output guard: {verdict.refusal}")
            raise RunDenied(f"the output guard refused: {verdict.refusal}")

    async def _pin(self) -> None:
        """The run's first step: what it depends on is fixed from here on."""
        manifest = await self._manifest()
        self._run.pin(manifest)
        if manifest.task_input and (problem := manifest.task_input.problem):
            raise ApplicationError(problem, type="MalformedInput", non_retryable=True)
        if manifest.problem:
            raise RunDenied(manifest.problem)
        if manifest.spent_before:
            _refuse_unknown(manifest.spent_before)
        if manifest.requesters is not None:
            self._run.requester = requester_of_start(self._run, manifest.requesters)

    async def _compare_release(self) -> None:
        """Record whose code goes on from here: a worker of another release may have taken up the run."""
        pinned, present = self._run.manifest, await self._manifest()
        if present.spent_before:
            _refuse_unknown(present.spent_before)
            self._run.tried_before(present.spent_before)
        self._run.freeze_too(present.frozen)
        self._run.identify_too(present.approver_keys, present.signature_terms)
        if present.requesters and not present.requesters.unverified and not was_verified(self._run.requester):
            raise RunDenied("who asked for the run is not verified, and its worker wants that by now")
        if present.requesters and self._run.requester:
            requester = as_of_now(self._run.requester, present.requesters, workflow.now())
            if requester != self._run.requester:
                self._run.note("revocation", True, f"requester: not verified any more: {requester.detail}")
            self._run.requester = requester
        if present.release_id != pinned.release_id:
            self._run.note(
                "continuation",
                True,
                f"its code is of release {present.release_id} from here on; the run began with "
                f"{pinned.release_id}, and keeps all that it is pinned to",
            )

    async def _manifest(self) -> Manifest:
        definition = self._run.definition
        request = ManifestRequest(
            agent=definition.name,
            models=definition.models,
            release=definition.release,
            tools_hash=definition.tools_hash,
            rules=definition.rules_name,
            writes=any(contract.sure_effect != "read" for contract in definition.catalog.contracts.values()),
            tenant=self._run.task.tenant,
            imported={
                name: contract.import_digest
                for name, contract in definition.catalog.contracts.items()
                if contract.import_digest
            },
            chain=chain(),
            execution=workflow.info().original_execution_run_id,
            # One that continued as new has one attempt again, and its purse with it.
            tried_before=workflow.info().attempt > 1,
            earlier_effects=_earlier_effects(definition),
            pinned=definition.pinned if self._is_first else {},
            task_input=read_input(self._run.task) if self._is_first else None,
        )
        manifest = await dispatch.resolve_manifest(self._run.calls, request)
        self._run.lineage.begin(was_reset=manifest.was_reset)
        return manifest

    async def _checked(self, name: str, check: Coroutine[Any, Any, None]) -> None:
        """A check that fails in any way of its own refuses: it could not say yes.

        What it came to is recorded: a run that it let pass is not stopped by the check of a later deploy.
        """
        run = self._run
        problem: str | None = None
        try:
            await check
        except RunDenied as denied:
            problem = denied.reason
        except (RunStopped, FailureError, asyncio.CancelledError) as stop:
            run.note("check", False, f"{name}: {stop}")
            raise
        except (Exception, KeyboardInterrupt, SystemExit) as error:
            # Any other BaseException may be Temporal's, which ends an execution that is evicted.
            problem = f"{name} could not decide: {type(error).__name__}: {error}"
        kept = await recorded(run.calls, name, Recorded(problem=problem))
        if kept.problem is not None:
            run.note("check", False, f"{name}: {kept.problem}")
            raise RunDenied(kept.problem)

    def _outcome(
        self, status: OutcomeStatus, *, output: OutputT | None = None, reason: str = ""
    ) -> AgentOutcome[OutputT]:
        run = self._run
        run.purse = run.purse.closed()
        whole = AgentOutcome(
            status=status,
            output=output,
            reason=reason,
            usage=run.purse.settled,
            cost_usd=run.purse.settled.cost_usd,
            evidence=run.evidence,
            tool_calls=run.summaries,
            release=run.status().release,
            transcript_head=run.transcript.head,
        )
        outcome = whole
        for outcome in shorter_and_shorter(whole):
            # An outcome that is too long would fail the workflow task, which is retried for ever.
            if dispatch.fits(outcome, run.max_payload_bytes):
                break
        run.end(outcome.status, outcome.reason)
        return outcome


def _earlier_effects(definition: AgentDefinition[Any]) -> EarlierEffects:
    """What the agent says; a cron schedule has said it already."""
    return "again" if workflow.info().cron_schedule else definition.earlier_effects


def _refuse_retried_cron() -> None:
    """Nothing tells the retry of a cron's execution from the next one: it would do all writes again.

    Raises:
        RunDenied: the run has both.
    """
    info = workflow.info()
    if info.cron_schedule and info.retry_policy:
        raise RunDenied(
            "a run with a cron schedule must not have a retry policy: its activities have their own, and the "
            "retry of an execution can't be told from the next one"
        )


def _refuse_unknown(before: SpentBefore) -> None:
    """No try begins with a whole budget.

    Raises:
        RunDenied: nobody can tell what the tries before this one spent.
    """
    if before.problem is not None:
        raise RunDenied(before.problem)


def _status_of(stop: RunStopped) -> OutcomeStatus:
    match stop:
        case BudgetExhausted():
            return "budget_exhausted"
        case RunEscalated():
            return "escalated"
        case _:
            return "denied"
