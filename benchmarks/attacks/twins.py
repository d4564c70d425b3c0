"""Guards taken out, for as long as a block."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def replaced(guard: Any, other: Any) -> Iterator[None]:
    """Agentflow with another function, class or value wherever it has this one as a global."""
    places = [
        (module, name)
        for key, module in list(sys.modules.items())
        if key.partition(".")[0] == "agentflow"
        for name, value in vars(module).items()
        if value is guard
    ]
    assert places, f"agentflow has no {guard!r}"
    for module, name in places:
        setattr(module, name, other)
    try:
        yield
    finally:
        for module, name in places:
            setattr(module, name, guard)
