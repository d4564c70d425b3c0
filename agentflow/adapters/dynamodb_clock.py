"""DynamoDB's time, as the ``Date`` of its answers tells it: no worker's clock has a say in it."""

import threading
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, cast

from agentflow.activity.machine_clock import uptime_us
from agentflow.adapters.ledger_rows import moment_us

STALE_US = 600_000_000
"""After ten minutes the time is asked for anew."""

_SECOND_US = 1_000_000
"""A ``Date`` has whole seconds."""
_APART_US = 1_000_000
"""What the clocks of the servers behind one endpoint may differ by; AWS's do by milliseconds."""
_WIDEST_US = 60_000_000
"""No request is waited for as long: what is further off is a clock that was set."""
_DRIFT = 1_000
"""A clock that is not set gains or loses a thousandth at most; quartz does a twentieth of that."""


class _Ahead(NamedTuple):
    """How far DynamoDB's clock is ahead of this machine's uptime."""

    least_us: int
    most_us: int
    at_us: int
    """The uptime when that was known."""

    def by(self, now_us: int) -> "_Ahead":
        """As well as it is known by a later uptime."""
        drift = (now_us - self.at_us) // _DRIFT + 1
        return _Ahead(self.least_us - drift, self.most_us + drift, now_us)


class StoreClock:
    """When it is, at the earliest and at the latest, since an answer was heard.

    An answer was dated between the moment that its request was sent and the moment that it was heard, by this
    machine's time since its start. That, and the second that a date is cut to, is how wide one answer leaves
    it; several together make it narrower.
    """

    def __init__(self) -> None:
        self._ahead: _Ahead | None = None
        self._latest_us = 0
        self._lock = threading.Lock()

    @property
    def is_known(self) -> bool:
        """Whether an answer was heard lately."""
        ahead = self._ahead
        return ahead is not None and uptime_us() - ahead.at_us < STALE_US

    def hear(self, answer: object, sent_us: int) -> None:
        """Take the date of an answer of boto3's, if it has one."""
        date_us = _date_of(answer)
        if date_us is None:
            return
        heard_us = uptime_us()
        told = _Ahead(date_us - heard_us, date_us + _SECOND_US + _APART_US - sent_us, heard_us)
        with self._lock:
            known = told if self._ahead is None else self._ahead.by(heard_us)
            both = _Ahead(max(told.least_us, known.least_us), min(told.most_us, known.most_us), heard_us)
            # What fits no more is of before the clock was set, or before this machine stood still.
            self._ahead = both if both.least_us <= both.most_us else told

    def earliest_us(self) -> int:
        """No later than now, in microseconds since 1970."""
        now_us = uptime_us()
        return now_us + self._by(now_us).least_us

    def latest_us(self) -> int:
        """No earlier than now by any of the servers, and later each time, in microseconds since 1970."""
        now_us = uptime_us()
        latest_us = now_us + self._by(now_us).most_us
        with self._lock:
            ahead_us = self._latest_us - latest_us
            # What is written first is told first, also where the clock has become known better in between.
            self._latest_us = self._latest_us + 1 if 0 <= ahead_us <= _WIDEST_US else latest_us
            return self._latest_us

    def _by(self, now_us: int) -> _Ahead:
        if self._ahead is None:
            raise LookupError("no answer with a date was heard")
        return self._ahead.by(now_us)


def _date_of(answer: object) -> int | None:
    if not isinstance(answer, Mapping):
        return None
    said: Any = cast(Mapping[str, Any], answer).get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    try:
        return moment_us(parsedate_to_datetime(said))
    except (TypeError, ValueError):
        # No date, or one without a zone.
        return None
