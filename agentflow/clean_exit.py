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

# The SDK's native runtime ends when the last native object that shares it is dropped, and that drop joins
# the runtime's threads with the lock released. These objects are the ones that own a native one, as _ref.
_OWNERS = (
    ("temporalio.bridge.client", "Client"),
    ("temporalio.bridge.worker", "Worker"),
    ("temporalio.bridge.runtime", "Runtime"),
)

# Seconds in which the native threads may deliver what they have: the cancellations of the calls that were
# under way. A connect under way shares the runtime too, so without this the drop below might not be the last.
_GRACE = 0.05

# Acquired by the first caller and never released: a flag that two threads can't both find unset.
_installed = threading.Lock()


def ensure_clean_exit() -> None:
    """Stop the Temporal SDK's native threads at interpreter exit, before they can crash or hang it.

    Call it when a client connects; ``AgentflowPlugin`` does. Calls after the first do nothing, from any
    thread. It adds about 0.07 s to the exit, and leaves the exit code, buffered output and all other exit
    hooks alone. A client can't be used in an exit hook that was registered before this call.

    Not covered: a process that ends by ``os._exit`` or a signal's default action needs no help; a child
    that was forked after the connect has none of the threads, and should leave by ``os._exit``.
    """
    if _installed.acquire(blocking=False):
        atexit.register(_stop_native_threads, os.getpid())


def _stop_native_threads(installed_by: int) -> None:
    if os.getpid() != installed_by:
        return  # forked: the drop would wait for threads that this process doesn't have
    time.sleep(_GRACE)
    # The SDK has no close(), and clients may live in globals, in tracebacks or in the application's own
    # objects: only the collector knows them all. With an SDK that names its parts otherwise nothing is
    # found, and the pause above is all there is, which still makes a crash rare.
    kinds: list[Any] = [
        kind for module, name in _OWNERS if (kind := getattr(sys.modules.get(module), name, None))
    ]
    for owner in gc.get_referrers(*kinds):
        if type(owner) in kinds:
            vars(owner).pop("_ref", None)
