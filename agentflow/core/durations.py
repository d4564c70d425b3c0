"""Options that are lengths of time: each has a least value, below which nobody means it, and a greatest."""

from datetime import timedelta

from agentflow.contracts.wire import GREATEST_DURATION, LEAST_DURATION
from agentflow.errors import ConfigurationError


def checked(option: str, given: object, least: timedelta = LEAST_DURATION) -> timedelta:
    """The length of time, if it is one, not too short, and not so long that no date can be reckoned with it.

    Raises:
        ConfigurationError: it isn't.
    """
    if not isinstance(given, timedelta) or given < least:
        raise ConfigurationError(f"{option}= is a timedelta of at least {_told(least)}, not {given!r}")
    if given > GREATEST_DURATION:
        raise ConfigurationError(f"{option}= is at most {GREATEST_DURATION.days} days, not {given!r}")
    return given


def _told(span: timedelta) -> str:
    return f"{span.total_seconds():g} s"
