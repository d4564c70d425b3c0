"""What an attempt has begun in this process, and what of it still runs: the tool's body, tasks, threads.

A time limit ends the wait for a tool, not the tool: a thread can't be stopped, and a task may hear of no
cancellation. An attempt knows the threads of ``run_blocking``, and the tasks that were made within its body
while a worker runs (``tasks_known``). It can't know threads and processes that the tool made in another way.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from contextvars import Context, ContextVar, copy_context
from typing import Any, Generic, ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")

GRACE_SECONDS = 0.5
"""How long an attempt waits for what it has cancelled: most tools end at once."""

_RUNNING: ContextVar["Running[Any] | None"] = ContextVar("agentflow_running", default=None)


async def run_blocking(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a blocking function in a thread that agentflow knows of.

    For clients that block, in tools and probes::

        charge = await run_blocking(stripe.Charge.create, amount=500, idempotency_key=context.idempotency_key)

    As ``asyncio.to_thread`` does, it takes the context variables along, and leaves the thread behind when the
    tool is cancelled or its time is over. Here no other attempt at the same write acts before the thread has
    ended, or a person has said what happened. Each call has a thread of its own, which doesn't keep the
    process from its end.
    """
    outcome: Future[R] = Future()
    outcome.set_running_or_notify_cancel()  # from now on it can't be cancelled: a thread can't either
    context = copy_context()

    def work() -> None:
        try:
            result = context.run(function, *args, **kwargs)
        except StopIteration as error:
            # No future can carry it: whoever waits would wait for ever.
            raised = RuntimeError(f"{_name_of(function)} raised StopIteration")
            raised.__cause__ = error
            outcome.set_exception(raised)
        except BaseException as error:
            outcome.set_exception(error)
        else:
            outcome.set_result(result)

    if (running := _RUNNING.get()) is not None:
        running.add_thread(outcome, _name_of(function))
    try:
        threading.Thread(target=work, name=f"agentflow-{_name_of(function)}", daemon=True).start()
    except RuntimeError as error:
        outcome.set_exception(error)
    return await asyncio.wrap_future(outcome)


class Running(Generic[R]):
    """What one attempt has begun, and what of it still runs. Of the event loop that made it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._body: asyncio.Task[R] | None = None
        self._is_left_behind = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._threads: dict[Future[Any], str] = {}
        self._changed = asyncio.Event()
        self.came_back: list[str] = []
        """How threads ended, in words, the first one first."""

    async def body(self, work: Coroutine[Any, Any, R]) -> R:
        """Await the tool's body, and if it is to be cancelled, go on without it soon.

        Raises:
            asyncio.CancelledError: whoever waits was cancelled; the body may still run.
        """

        async def known() -> R:
            _RUNNING.set(self)
            return await work

        body = self._body = asyncio.ensure_future(known())
        body.add_done_callback(self._body_ended)
        try:
            await asyncio.wait({body})
        except asyncio.CancelledError:
            body.cancel()
            # Before the next wait, which may be cancelled as well: two time limits end at once.
            self._is_left_behind = True
            await asyncio.wait({body}, timeout=GRACE_SECONDS)
            if not body.done():
                raise
            self._is_left_behind = False
        return body.result()

    @property
    def left(self) -> tuple[str, ...]:
        """What still runs, by name."""
        body = ("the tool itself",) if self._body is not None and not self._body.done() else ()
        tasks = sorted(f"task {_task_name(task)}" for task in self._tasks if not task.done())
        threads = sorted(f"thread {name}" for name in self._threads.values())
        return (*body, *tasks, *threads)

    async def outlives(self) -> bool:
        """Whether something still runs after a moment's grace."""
        try:
            async with asyncio.timeout(GRACE_SECONDS):
                while self.left:
                    await self.change()
        except TimeoutError:
            return True
        return False

    async def change(self, seconds: float | None = None) -> None:
        """Wait until something of it ends, for some seconds at most."""
        self._changed.clear()
        if not self.left:
            return
        waiting = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait({waiting}, timeout=seconds)
        finally:
            waiting.cancel()

    def late_body(self) -> "asyncio.Task[R] | None":
        """The body, if it has ended after it was left behind."""
        body = self._body
        return body if self._is_left_behind and body is not None and body.done() else None

    def cancel_again(self) -> None:
        """Ask a body that hears of no first cancellation once more."""
        if self._body is not None:
            self._body.cancel()

    def add_task(self, task: asyncio.Task[Any]) -> None:
        """Know of a task that was made within the body."""
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)

    def add_thread(self, outcome: Future[Any], name: str) -> None:
        """Know of a thread, by what it will come back with."""
        self._threads[outcome] = name

        def ended(_: Future[Any]) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody is left to be told
                self._loop.call_soon_threadsafe(self._thread_ended, outcome)

        outcome.add_done_callback(ended)

    def _body_ended(self, body: "asyncio.Task[R]") -> None:
        if self._is_left_behind:
            error = None if body.cancelled() else body.exception()
            how = "was cancelled" if body.cancelled() else "returned"
            self.came_back.append(f"the tool itself {how if error is None else f'raised {_told(error)}'}")
        self._changed.set()

    def _task_ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        self._changed.set()

    def _thread_ended(self, outcome: Future[Any]) -> None:
        error = outcome.exception()
        how = "returned" if error is None else f"raised {_told(error)}"
        self.came_back.append(f"thread {self._threads.pop(outcome)} {how}")
        self._changed.set()


def apart() -> Context:
    """A copy of the context for tasks that belong to no call: connections, pools.

    ``asyncio.create_task(work(), context=apart())``: no attempt waits for its end.
    """
    context = copy_context()
    context.run(_RUNNING.set, None)
    return context


@contextmanager
def tasks_known() -> Generator[None]:
    """Have attempts know of the tasks that are made within their bodies, while the block runs.

    A factory of the loop's own goes on making the tasks.
    """
    loop = asyncio.get_running_loop()
    factory = loop.get_task_factory()
    if not isinstance(factory, _KnowingFactory):
        factory = _KnowingFactory(factory)
        loop.set_task_factory(cast(Any, factory))
    factory.users += 1
    try:
        yield
    finally:
        factory.users -= 1
        # Somebody may have put another around it meanwhile; where no attempt runs, it does nothing.
        if not factory.users and loop.get_task_factory() is factory:
            loop.set_task_factory(factory.before)


class _KnowingFactory:
    """Makes tasks, and has the attempt know of them within whose body they are made."""

    def __init__(self, before: Any) -> None:
        self.before = before
        self.users = 0

    def __call__(
        self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **options: Any
    ) -> "asyncio.Future[Any]":
        make: Callable[..., asyncio.Future[Any]] = self.before or _plain_task
        task = make(loop, work, **options)
        context: Context | None = options.get("context")
        running = _RUNNING.get() if context is None else context.get(_RUNNING)
        if running is not None and isinstance(task, asyncio.Task):
            running.add_task(task)
        return task


def _plain_task(
    loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **options: Any
) -> asyncio.Task[Any]:
    return asyncio.Task(work, loop=loop, **options)


def _name_of(function: object) -> str:
    wrapped: object = getattr(function, "func", function)  # functools.partial
    return str(getattr(wrapped, "__qualname__", type(wrapped).__qualname__))


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:500]


def _task_name(task: asyncio.Task[Any]) -> str:
    return str(getattr(task.get_coro(), "__qualname__", task.get_name()))
