"""Source text of what agents and rules are made of: releases and rule sets are known by it."""

import inspect
import sys
from functools import lru_cache
from types import CodeType


def module_source(module: str) -> str | None:
    """A loaded module's source text, or ``None`` where there is only its code."""
    loaded = sys.modules.get(module)
    try:
        return inspect.getsource(loaded) if loaded else None
    except (OSError, TypeError):
        return None


@lru_cache(maxsize=4_096)
def code_source(code: CodeType) -> str | None:
    """A function's source text, or ``None`` where there is only its code.

    Read once a process: the sandbox makes an agent's class anew for each run, of equal code.
    """
    try:
        return inspect.getsource(code)
    except (OSError, TypeError, SyntaxError):
        return None
