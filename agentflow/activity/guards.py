"""Guards at work: each with a time limit, and every failure a refusal."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import structlog

from agentflow.activity.bounded import answered, close_unawaited
from agentflow.contracts.guards import OutputCheck, OutputVerdict
from agentflow.contracts.messages import Entry, ToolMessage, UserMessage
from agentflow.errors import GuardRefusedError
from agentflow.ports.guards import GuardedText, InputGuard, OutputGuard
from agentflow.telemetry.logs import failure

GUARD_TIMEOUT = timedelta(seconds=10)
"""A guard that takes longer refuses, unless the plugin says otherwise."""

_LOG = structlog.get_logger("agentflow")


async def check_input(guard: InputGuard, timeout: timedelta, entries: Sequence[Entry]) -> None:
    """Let a guard look at what a model is about to see for the first time.

    Raises:
        GuardRefusedError: it refused, or could not say yes.
    """
    texts = [text for entry in entries if (text := _guarded(entry))]
    if texts and (why := await _refusal(lambda: guard.check_input(texts), timeout)) is not None:
        raise GuardRefusedError(f"the input guard refused: {why}")


class OutputGuardActivity:
    """Checks outputs for all runs of a worker."""

    def __init__(self, guard: OutputGuard, timeout: timedelta) -> None:
        self._guard = guard
        self._timeout = timeout

    async def guard_output(self, check: OutputCheck) -> OutputVerdict:
        """Why an output must not leave; a guard that fails refuses."""
        content = {"output": check.output, "evidence": list(check.evidence)}
        refusal = await _refusal(lambda: self._guard.check_output(content), self._timeout)
        return OutputVerdict(refusal=refusal)


def _guarded(entry: Entry) -> GuardedText | None:
    match entry:
        case UserMessage():
            return GuardedText(entry.text, entry.label)
        case ToolMessage():
            return GuardedText(entry.content or "", f"tool:{entry.tool}")
        case _:
            return None


async def _refusal(verdict: Callable[[], Awaitable[object]], timeout: timedelta) -> str | None:
    """Why not, or ``None`` for a yes."""
    try:
        answer = await answered(verdict, timeout.total_seconds())
    except TimeoutError:
        return f"it took longer than {timeout.total_seconds():g} s"
    except Exception as error:
        # Its text may quote what it was to guard: it goes into the worker's log and not into history.
        _LOG.warning("guard failed", **failure(error))
        return f"it failed: {type(error).__name__}"
    if answer is None:
        return None
    close_unawaited(answer)
    return answer[:2_000] if type(answer) is str else f"it answered {type(answer).__name__}"
