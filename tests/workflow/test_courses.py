"""How long a call pauses between its activities."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agentflow.contracts.tools import RetryOptions
from agentflow.workflow.course import Course
from agentflow.workflow.failures import Failure

REFUSED = Failure("LedgerError", "no route", 1, False, not_begun=True)


class Call:
    """As much of an allowed call as its course looks at."""

    def __init__(self, retry: RetryOptions) -> None:
        self.contract: Any = self
        self.options: Any = self
        self.retry = retry
        self.effect, self.recovery = "write", "key"


@pytest.mark.parametrize("backoff", [1.0, 2.0, 10.0, 1e6])
def test_a_pause_is_never_longer_than_the_longest_however_often_a_ledger_refuses(backoff: float) -> None:
    retry = RetryOptions(max_attempts=100, backoff=backoff, max_interval=timedelta(seconds=30))
    call: Any = Call(retry)
    course = Course(call, datetime.now(UTC), retry.max_attempts, retry.max_attempts)
    pauses = [course.after(REFUSED) for _ in range(100)]
    assert all(pause is not None and pause <= retry.max_interval for pause in pauses[:-1])
    assert pauses[-1] is None
