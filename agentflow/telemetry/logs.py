"""Structured logs: JSON for machines, colours for a terminal, silence on replay, no text unredacted."""

import logging
import sys
from collections.abc import Callable, MutableMapping, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import partial
from logging.handlers import QueueHandler
from pathlib import Path
from typing import Any, Literal, cast

import structlog
from temporalio import workflow

from agentflow.core.known_values import KnownValues
from agentflow.core.visible import visible_line
from agentflow.private_files import make_file, make_folder
from agentflow.telemetry import log_fields
from agentflow.telemetry.log_writer import LOG_WRITER
from agentflow.telemetry.redactor import NOTHING_KNOWN, Redactor

LogFormat = Literal["json", "console"]

MAX_TEXT = 4_000
"""Characters of a text that is logged."""

KNOWN: ContextVar[KnownValues] = ContextVar("agentflow_known_values", default=NOTHING_KNOWN)
"""The marked values of the run that an activity works for."""


class _Texts:
    """What texts go through. Of the process, as structlog's configuration is: no run depends on it."""

    redactor: Redactor | None = None


def log_texts(redactor: Redactor | None) -> None:
    """Have the library log texts (reasons, errors) through a redactor; ``None``, as at first, logs none.

    For applications that don't call ``configure_logs``.
    """
    _Texts.redactor = redactor


def configure_logs(
    log_format: LogFormat = "json",
    level: int = logging.INFO,
    file: Path | None = None,
    *,
    texts: Redactor | None = None,
    fields: Sequence[str] = (),
) -> None:
    """Send structlog's events, and the standard library's, to one place in one format.

    For applications (a worker's ``main``); the library never calls it. Lines are written by a thread of their
    own: nothing waits for a reader that stalls. A line has the ids of the run and of
    the trace that it is from. Fields that may hold anything (reasons, errors, messages of other loggers) are
    left out, and named in ``withheld``, unless ``texts`` says what they go through.

    Args:
        log_format: ``json`` for machines, ``console`` for a terminal.
        level: Events below it are dropped.
        file: Where to; by default standard error, so that standard output stays free for what a
            command prints.
        texts: What texts go through.
        fields: Of your own log calls, those that never hold a text.
    """
    log_texts(texts)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        # A run's lines have one already, of when it spoke.
        structlog.processors.MaybeTimeStamper(fmt="iso", utc=True),
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
    if file:
        make_folder(file.parent)
        make_file(file)
    handler = _QueuedHandler(
        logging.FileHandler(file, encoding="utf-8") if file else logging.StreamHandler(sys.stderr)
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            _Allowlist(frozenset(fields)),
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            # JSON is ASCII; a terminal shows what it is sent, or obeys it.
            *([] if log_format == "json" else [_seen]),
            renderer,
        ],
    )
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=level, force=True)


def flush_logs(seconds: float = 2.0) -> bool:
    """Wait until all that was logged is written. Answers whether it is, in so many seconds.

    At the end of the interpreter it is done anyway; call it where a process leaves by ``os._exit``.
    """
    return LOG_WRITER.flush(seconds)


class _QueuedHandler(QueueHandler):
    """Makes a line where it is logged, and has it written elsewhere."""

    def __init__(self, writes: logging.Handler) -> None:
        super().__init__(cast(Any, LOG_WRITER))
        self._writes = writes

    def enqueue(self, record: logging.LogRecord) -> None:
        LOG_WRITER.put(partial(self._writes.handle, record))

    def close(self) -> None:
        LOG_WRITER.flush()
        self._writes.close()
        super().close()


class _Allowlist:
    """The last look at a line: what it may say, who speaks, nothing without end."""

    def __init__(self, fields: frozenset[str]) -> None:
        self._fields = fields | log_fields.ALLOWED

    def __call__(
        self, logger: object, method: str, line: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        meta = {name: line.pop(name) for name in ("_record", "_from_structlog") if name in line}
        error = _error_of(line)
        told: dict[str, Any] = {**log_fields.ids()}
        texts: dict[str, Any] = {}
        for name, value in line.items():
            is_ours = name != "event" or line.get("logger") == "agentflow"
            (told if name in self._fields and is_ours else texts)[name] = value
        if error is not None:
            told |= log_fields.of_error(error)
            texts.setdefault("error", error)
        shown = {name: log_fields.bounded(value) for name, value in told.items() if value is not None}
        return {**shown, **_clean(texts), **meta}


def _seen(logger: object, method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The line's texts, each on one line and without what can't be seen."""
    return {name: visible_line(value) if isinstance(value, str) else value for name, value in line.items()}


def _clean(texts: MutableMapping[str, Any]) -> dict[str, Any]:
    """The texts as far as they may be told. ``event`` is always there, since a line is nothing without it."""
    redactor = _Texts.redactor
    if redactor is None:
        withheld = {"withheld": sorted(texts)} if texts else {}
        return {**({"event": "a message"} if "event" in texts else {}), **withheld}
    return {name: _through(redactor, value) for name, value in texts.items()}


class _Clean(str):
    """A text that has been through the redactor. The line's last look at it need not be the second."""


def _through(redactor: Redactor, text: object) -> _Clean:
    if isinstance(text, _Clean):
        return text
    return _Clean(redactor.text(str(text), KNOWN.get())[:MAX_TEXT])


def _error_of(line: MutableMapping[str, Any]) -> BaseException | None:
    given = line.pop("exc_info", None)
    line.pop("exception", None)
    line.pop("stack_info", None)
    if given is True:
        return sys.exc_info()[1]
    if isinstance(given, tuple):
        given = cast(tuple[object, ...], given)[1]
    return given if isinstance(given, BaseException) else None


def failure(error: BaseException) -> dict[str, object]:
    """An error as fields of a line: its type, and its text if texts are logged."""
    told: dict[str, object] = {"error_type": type(error).__name__}
    if redactor := _Texts.redactor:
        told["error"] = _through(redactor, error)
    return told


class RunLog:
    """The log of one run, for workflow code: bound to its ids, silent while history is replayed."""

    def __init__(self, clean: Callable[[str], str]) -> None:
        """Begin it.

        Args:
            clean: A text without the run's marked values.
        """
        info = workflow.info()
        self._clean = clean
        self._log = structlog.get_logger("agentflow").bind(workflow_id=info.workflow_id, run_id=info.run_id)

    def debug(self, event: str, **fields: object) -> None:
        """A step was taken; at each turn there are several."""
        # Where nobody has configured structlog it prints whatever it is given.
        if structlog.is_configured():
            self._tell(self._log.debug, event, fields)

    def info(self, event: str, **fields: object) -> None:
        """Something happened."""
        self._tell(self._log.info, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Something was refused, or needs a person."""
        self._tell(self._log.warning, event, fields)

    def _tell(self, tell: Callable[..., object], event: str, fields: dict[str, object]) -> None:
        if not workflow.unsafe.is_replaying():
            # What the line says of here and now; it is made and written by another thread.
            at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
            told = {"timestamp": at, **log_fields.ids(), **self._told(fields)}
            LOG_WRITER.put(partial(tell, event, **told))

    def _told(self, fields: dict[str, object]) -> dict[str, object]:
        redactor = _Texts.redactor
        texts = log_fields.texts_in(fields)
        told = {
            name: log_fields.bounded(value)
            for name, value in fields.items()
            if name not in texts and value is not None
        }
        if redactor:
            told |= {name: _through(redactor, self._clean(str(fields[name]))) for name in texts}
        return told
