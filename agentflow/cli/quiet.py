"""Keeps logs out of what a command says."""

import logging
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager


def quiet_temporal() -> AbstractContextManager[None]:
    """A divergence is a result where histories are replayed; the SDK would also log it, with a traceback."""
    return _quiet("temporalio")


def quiet_runs() -> AbstractContextManager[None]:
    """What a run that is done again would log is what the command shows."""
    return _quiet("agentflow")


@contextmanager
def _quiet(name: str) -> Generator[None]:
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)
