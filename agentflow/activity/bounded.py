"""What others wrote, called in bounded time.

A time limit that only cancels waits for whoever swallows the cancellation. Here nobody waits: what isn't back
in time is cancelled and left behind.
"""

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextvars import copy_context
from typing import TypeVar

ResultT = TypeVar("ResultT")

_LEFT_BEHIND: set[asyncio.Task[object]] = set()
"""Until they end: the event loop itself holds tasks by weak references only."""


async def answered(question: Callable[[], Awaitable[ResultT]], seconds: float) -> ResultT:
    """The answer of a coroutine, if it comes in time.

    Args:
        question: Makes what is awaited. One that answers at once, without being async, fails.
        seconds: How long the answer may take.

    Raises:
        TimeoutError: it doesn't come in time.
        TypeError: there is nothing to await.
        RuntimeError: it raised what is no ``Exception``.
    """

    async def asked() -> ResultT:
        try:
            return await question()
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Raised by the answerer itself: its caller would be taken for cancelled.
            raise _as_failure(error) from error
        except (KeyboardInterrupt, SystemExit) as error:
            # Out of a task, they would end the whole worker.
            raise _as_failure(error) from error

    task = asyncio.ensure_future(asked())
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        _leave(task)
        raise
    if not done:
        _leave(task)
        raise TimeoutError(f"no answer within {seconds:g} s")
    return task.result()


def in_bounded_time(question: Callable[[], ResultT], seconds: float) -> ResultT:
    """The answer of a function, which is called in a thread of its own, if it comes in time.

    Raises:
        TimeoutError: it doesn't.
        RuntimeError: it raised what is no ``Exception``.
    """
    return _asked_in_a_thread(question).result(timeout=seconds)


async def answered_by_thread(question: Callable[[], ResultT], seconds: float) -> ResultT:
    """The answer of a function, called in a thread of its own while the event loop goes on.

    Raises:
        TimeoutError: it doesn't come in time; the thread is left behind.
        RuntimeError: it raised what is no ``Exception``.
    """
    answer = _asked_in_a_thread(question)
    # Shielded, as a thread can't be cancelled: whoever sets the answer later must find it unset.
    return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(answer)), seconds)


def _asked_in_a_thread(question: Callable[[], ResultT]) -> Future[ResultT]:
    """The answer to come of a function that is called in a thread of its own."""
    answer: Future[ResultT] = Future()
    context = copy_context()

    def ask() -> None:
        try:
            answer.set_result(context.run(question))
        except BaseException as error:
            answer.set_exception(error if isinstance(error, Exception) else _as_failure(error))

    # A daemon: one that never ends must not keep the process from its end.
    threading.Thread(target=ask, name="agentflow-asking", daemon=True).start()
    return answer


def close_unawaited(answer: object) -> None:
    """Close a coroutine that came in the place of an answer: it would be told of as never awaited."""
    if inspect.iscoroutine(answer):
        answer.close()


def _as_failure(error: BaseException) -> RuntimeError:
    """What others wrote can fail, and no more: it ends no worker, and cancels nothing."""
    return RuntimeError(f"it raised {type(error).__name__}")


def _leave(task: asyncio.Task[ResultT]) -> None:
    task.cancel()
    _LEFT_BEHIND.add(task)  # pyright: ignore[reportArgumentType] - a set of tasks of any result
    task.add_done_callback(_forget)


def _forget(task: asyncio.Task[object]) -> None:
    _LEFT_BEHIND.discard(task)
    # Asked for, so that asyncio doesn't say that nobody has.
    if not task.cancelled():
        task.exception()
