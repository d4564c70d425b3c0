"""A worker's wrong clock, as its Python code sees it. Temporal's core and monotonic clocks stay right."""

import datetime
import sys
import time
from typing import Any

OFFSET = datetime.timedelta(days=400)
"""As long as a ledger keeps what has ended: a clock that is late by it forgets all of it."""


class _Instances(type):
    """Values that others made by the true class are values of the shifted one too."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, datetime.datetime)


def shift(seconds: float) -> None:
    """Let ``time.time``, ``time.time_ns`` and agentflow's ``datetime.now`` be off by so much.

    Call it after agentflow was imported: what it made of ``datetime`` in its contracts stays as it is.
    """
    true_time, true_time_ns = time.time, time.time_ns
    time.time = lambda: true_time() + seconds
    time.time_ns = lambda: true_time_ns() + int(seconds * 1e9)

    class Shifted(datetime.datetime, metaclass=_Instances):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            return datetime.datetime.now(tz) + datetime.timedelta(seconds=seconds)

    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "agentflow" and getattr(module, "datetime", None) is datetime.datetime:
            module.__dict__["datetime"] = Shifted
