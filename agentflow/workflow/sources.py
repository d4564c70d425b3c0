"""Source text of the modules that agents and rules are written in: releases and rule sets are known by it."""

import inspect
import sys
from functools import lru_cache


@lru_cache(maxsize=1_024)
def source_of(module: str) -> str | None:
    """A loaded module's source text, or ``None`` where there is only its code.

    Read once a process, when the first class that needs it is made: a file that is changed under a running
    worker is not what the worker runs.
    """
    loaded = sys.modules.get(module)
    if loaded is None:
        return None
    try:
        return inspect.getsource(loaded)
    except (OSError, TypeError):
        return None
