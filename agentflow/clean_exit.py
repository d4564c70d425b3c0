"""Lets a process that used a Temporal client end without a crash or a hang.

The Temporal SDK runs gRPC on native threads of its own. Such a thread hands each answer, and each
cancellation, to Python, for which it needs the interpreter lock; nothing joins it at exit. A thread that
asks for the lock once the interpreter is finalising never gets it (before Python 3.14 CPython unwinds its
stack): the process dies of SIGSEGV or SIGABRT after all its work is done or, as the interpreter then waits
for that very thread, hangs for ever. https://github.com/temporalio/sdk-python/issues/300
"""

import atexit
import gc
import os
import sys
import threading
import time
from typing import Any

# The SDK's native runtime ends when the last native object that shares it is dropped; that drop joins the
# runtime's threads, with the lock released. Instances of these own a native object each, as _ref.
_OWNERS = (
    ("temporalio.bridge.client", "Client"),
    ("temporalio.bridge.worker", "Worker"),
    ("temporalio.bridge.runtime", "Runtime"),
)

# Seconds. The pause lets cancellations reach the threads; the limit ends the wait for those that hand over.
_PAUSE = 0.05
_LIMIT = 0.25

# Acquired by the first caller and never released: a flag that two threads can't both find unset.
_installed = threading.Lock()


def ensure_clean_exit() -> None:
    """Stop the Temporal SDK's native threads at interpreter exit, before they can crash or hang it.

    Call it before a client connects or a replayer starts; ``AgentflowPlugin`` does. Later calls do nothing,
    from any thread. It adds about 0.06 s to the exit, at most about 0.25 s, and leaves the exit code,
    buffered output and all other exit hooks alone. Exit hooks that were registered before this call can't
    use a client.

    A child forked after the call isn't helped: the SDK supports no fork, so leave it by ``os._exit``.
    """
    if _installed.acquire(blocking=False):
        atexit.register(_stop_native_threads, os.getpid())


def _stop_native_threads(installed_by: int) -> None:
    if os.getpid() != installed_by:
        return  # forked: the drop would wait for threads that this process doesn't have
    deadline = time.monotonic() + _LIMIT
    time.sleep(_PAUSE)
    # A thread that hands a client over shares the runtime until it is done: the drop would not be the last.
    while _handing_over() and time.monotonic() < deadline:
        time.sleep(0.005)
    # The SDK has no close(), and a client may live in a global, a traceback or an object of the application:
    # only the collector knows them all. From an SDK with other names nothing is dropped; the wait remains.
    found = (getattr(sys.modules.get(module), name, None) for module, name in _OWNERS)
    kinds: list[Any] = [kind for kind in found if kind is not None]
    for owner in gc.get_referrers(*kinds):
        if type(owner) in kinds:
            owner.__dict__.pop("_ref", None)


def _handing_over() -> bool:
    """Whether a thread that Python did not start holds the interpreter lock, or waits for it."""
    # Documented, despite its name; sys._current_frames() leaves out threads without a Python frame.
    states = sys._current_exceptions()  # pyright: ignore[reportPrivateUsage]
    return bool(states.keys() - {thread.ident for thread in threading.enumerate()})
