"""The ``verify_approver`` activity: an agent's own verifier at work, in bounded time.

What it answers is looked at by type before anybody counts for anything: a verifier that says yes in another
way than with an ``Approver`` has said no.
"""

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import timedelta
from typing import cast

import structlog
from pydantic import ValidationError

from agentflow.contracts.approval import Approver
from agentflow.contracts.verification import Verification, VerificationRequest
from agentflow.core.answer import describe_errors
from agentflow.core.approval import Refusal, Verdict
from agentflow.ports.approvers import ApproverVerifier
from agentflow.telemetry.logs import failure

VERIFY_TIMEOUT = timedelta(seconds=8)
"""A verifier that takes longer verifies nobody. A workflow task has 10 s, and waits for it."""
MAX_THREADS = 32
"""Of verifiers that aren't coroutine functions. One that hangs keeps its thread for ever."""
MAX_ANSWER_BYTES = 16_384

_LOG = structlog.get_logger("agentflow")


class VerificationActivity:
    """Asks the verifiers of a worker's agents."""

    def __init__(self, verifiers: Mapping[str, ApproverVerifier]) -> None:
        self._verifiers = dict(verifiers)
        self._timeout = VERIFY_TIMEOUT.total_seconds()
        self._threads = 0

    async def verify_approver(self, request: VerificationRequest) -> Verification:
        """Who sent a decision or a resolution. It never raises: who can't be verified is nobody."""
        verifier = self._verifiers.get(request.agent)
        if verifier is None:
            return _nobody(f"this worker has no verifier of {request.agent}")
        try:
            ask, told = _question(verifier, request)
            answer = await self._answer(ask, told)
            return _checked(answer, verifier.method)
        except TimeoutError:
            return _nobody(f"it took longer than {self._timeout:g} s")
        except Exception as error:
            # Its text may quote what somebody sent: it goes into the worker's log and not into history.
            _LOG.warning("verifier failed", agent=request.agent, **failure(error))
            return _nobody(type(error).__name__)

    async def _answer(self, ask: Callable[..., object], told: tuple[object, ...]) -> object:
        if inspect.iscoroutinefunction(ask):
            return await _within(asyncio.ensure_future(_awaited(ask, told)), self._timeout)
        if self._threads >= MAX_THREADS:
            return Refusal(f"{self._threads} verifications hang already")
        return await _within(self._in_thread(ask, told), self._timeout)

    def _in_thread(self, ask: Callable[..., object], told: tuple[object, ...]) -> asyncio.Future[object]:
        """The answer of a function that may block: its thread holds up neither the worker nor its end."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[object] = loop.create_future()
        self._threads += 1

        def end(answer: object, error: BaseException | None) -> None:
            self._threads -= 1
            if done.done():
                return
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(answer)

        def run() -> None:
            answer: object = None
            raised: BaseException | None = None
            try:
                answer = ask(*told)
            except BaseException as error:
                raised = error if isinstance(error, Exception) else RuntimeError(type(error).__name__)
            try:
                loop.call_soon_threadsafe(end, answer, raised)
            except RuntimeError:
                # The worker is gone, and nobody waits any more.
                return

        threading.Thread(target=run, name="agentflow-verifier", daemon=True).start()
        return done


async def _awaited(ask: Callable[..., Awaitable[object]], told: tuple[object, ...]) -> object:
    try:
        return await ask(*told)
    except (SystemExit, KeyboardInterrupt) as error:
        # It would end the worker.
        raise RuntimeError(type(error).__name__) from None


async def _within(answer: "asyncio.Future[object]", seconds: float) -> object:
    """An answer in time. What doesn't heed its cancellation is left alone.

    Raises:
        TimeoutError: there was none.
    """
    done, _ = await asyncio.wait({answer}, timeout=seconds)
    if not done:
        answer.cancel()
        raise TimeoutError
    return answer.result()


def _question(
    verifier: ApproverVerifier, request: VerificationRequest
) -> tuple[Callable[..., object], tuple[object, ...]]:
    if request.decision is not None and request.request is not None:
        verdict = cast(Verdict, request.verdict)
        return verifier.verify, (request.decision, verdict, request.request, request.run, request.now)
    return verifier.verify_resolution, (request.resolution, request.escalation, request.run, request.now)


def _checked(answer: object, method: str) -> Verification:
    """What a verifier answered, if that is an answer."""
    if type(answer) is Refusal:
        return Verification(refusal=str(answer.reason)[:600] or "the verifier says no")
    if type(answer) is not Approver:
        kind = type(answer).__name__
        if inspect.iscoroutine(answer):
            answer.close()
            kind = "a coroutine (write it as async def)"
        return _nobody(f"it answered {kind}, not Approver or Refusal")
    try:
        # One that was made past its own checks is made again, with them.
        approver = Approver.model_validate(answer.model_dump(warnings=False), strict=True)
    except ValidationError as error:
        return _nobody(f"its answer is malformed: {describe_errors(error)}")
    problem = next(_problems(approver, method), None)
    return _nobody(problem) if problem else Verification(approver=approver)


def _problems(approver: Approver, method: str) -> Iterator[str]:
    if approver.method != method:
        yield f"it answered by the method {approver.method[:80]!r}, and is {method!r}"
    if not approver.subject.strip():
        yield "it names nobody"
    if len(approver.model_dump_json()) > MAX_ANSWER_BYTES:
        yield f"its answer is longer than {MAX_ANSWER_BYTES} bytes"


def _nobody(why: str) -> Verification:
    return Verification(refusal=f"the identity could not be verified: {why}"[:600])
