"""A word at a worker's start about stores that everybody on its machine can open."""

from pathlib import Path

import structlog

from agentflow.private_files import is_open_to_others

_LOG = structlog.get_logger("agentflow")


def warn_of_open_stores(*stores: object) -> None:
    """Log each store on this machine that is open to others. It stays as it is: somebody may mean it.

    Args:
        stores: Of any kind; those that are kept on this machine have a ``path``.
    """
    for store in stores:
        path = getattr(store, "path", None)
        if isinstance(path, Path) and is_open_to_others(path):
            _LOG.warning("everybody on this machine can open a store: chmod o= closes it", where=str(path))
