"""Structured logs: JSON for machines, colours for a terminal, silence on replay."""

import logging
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, Literal

import structlog
from temporalio import workflow

LogFormat = Literal["json", "console"]


def configure_logs(
    log_format: LogFormat = "json", level: int = logging.INFO, file: Path | None = None
) -> None:
    """Send structlog's events, and the standard library's, to one place in one format.

    For applications (a worker's ``main``); the library never calls it.

    Args:
        log_format: ``json`` for machines, ``console`` for a terminal.
        level: Events below it are dropped.
        file: Where to; by default standard error, so that standard output stays free for what a
            command prints.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer() if log_format == "json" else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.FileHandler(file, encoding="utf-8") if file else logging.StreamHandler(sys.stderr)
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            renderer,
        ],
    )
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=level, force=True)


class RunLog:
    """The log of one run, for workflow code: bound to its ids, silent while history is replayed."""

    def __init__(self) -> None:
        info = workflow.info()
        self._log = structlog.get_logger("agentflow").bind(workflow_id=info.workflow_id, run_id=info.run_id)

    def debug(self, event: str, **fields: object) -> None:
        """A step was taken; at each turn there are several."""
        # Where nobody has configured structlog it prints whatever it is given.
        if structlog.is_configured() and not workflow.unsafe.is_replaying():
            self._log.debug(event, **_short(fields))

    def info(self, event: str, **fields: object) -> None:
        """Something happened."""
        if not workflow.unsafe.is_replaying():
            self._log.info(event, **_short(fields))

    def warning(self, event: str, **fields: object) -> None:
        """Something was refused, or needs a person."""
        if not workflow.unsafe.is_replaying():
            self._log.warning(event, **_short(fields))


def _short(fields: MutableMapping[str, object]) -> dict[str, object]:
    """No field may flood the log: an error's text can be as long as a provider likes."""
    return {name: v[:500] if isinstance(v, str) else v for name, v in fields.items() if v is not None}
