"""Keeps the SDK's log out of what a command says."""

import logging
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def quiet_temporal() -> Generator[None]:
    """A divergence is a result where histories are replayed; the SDK would also log it, with a traceback."""
    logger = logging.getLogger("temporalio")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)
