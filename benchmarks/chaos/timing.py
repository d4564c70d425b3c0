"""How long things take in the chaos run, and how the times hang together.

A request to payments is given up by its client after ``CLIENT_TIMEOUT``, and has its effect ``LATEST_EFFECT``
after its arrival at the latest, whether anybody waits for it or not: the proxy sees to that. So an effect is
at most ``LATEST_EFFECT`` later than the attempt that asked for it; ``MAX_EFFECT_DELAY`` has a margin for a
busy machine on top, and the proxy counts what broke it.
"""

from datetime import timedelta

from agentflow import RetryOptions, ToolOptions

CLIENT_TIMEOUT = timedelta(seconds=1.5)
LATEST_EFFECT = timedelta(seconds=3.5)
MAX_EFFECT_DELAY = timedelta(seconds=5)

HEARTBEAT_TIMEOUT = timedelta(seconds=3)
"""How long Temporal takes to find out that a worker has died."""

QUICKLY = RetryOptions(
    max_attempts=20,
    initial_interval=timedelta(milliseconds=200),
    backoff=1.5,
    max_interval=timedelta(seconds=2),
)
"""A call may meet with several deaths, each of which costs it an attempt or two."""

REFUND_OPTIONS = ToolOptions(
    start_to_close_timeout=timedelta(seconds=5),
    heartbeat_timeout=HEARTBEAT_TIMEOUT,
    retry=QUICKLY,
    max_effect_delay=MAX_EFFECT_DELAY,
)

BLOCKING_OPTIONS = REFUND_OPTIONS.model_copy(update={"start_to_close_timeout": timedelta(seconds=3)})

OUTLIVING = timedelta(seconds=14)
"""How long a thread thinks before it asks payments: longer than its attempt and ``MAX_EFFECT_DELAY``."""

CRON = "@every 8s"

STICKY_TIMEOUT = timedelta(seconds=2)
"""How long a workflow task waits for the worker that has the run in its memory, which may be dead."""
