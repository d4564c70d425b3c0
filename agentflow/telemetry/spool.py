"""Spans on the disk before a step is over, and on their way to a collector after it.

A batch in memory is lost when its worker is killed, and what a dead worker's workflow code recorded is never
recorded again. So a span is in a file first, which a killed process leaves behind for the next one.
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import structlog
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from agentflow.private_files import make_folder, open_file
from agentflow.telemetry import metrics
from agentflow.telemetry.file_lock import locked
from agentflow.telemetry.logs import failure
from agentflow.telemetry.span_encoding import SpanEncoder

_LOG = structlog.get_logger("agentflow")

MAX_FILE_BYTES = 1024 * 1024
"""Of one file, which is one request to the collector."""
MAX_SPOOL_BYTES = 64 * 1024 * 1024
"""Of all files: what doesn't fit while a collector is down is dropped, and counted."""
SEND_EVERY = 1.0
"""Seconds between requests."""
MAX_PAUSE = 30.0
"""Seconds between tries while the collector doesn't answer."""
_SUFFIX = ".spans"
_LENGTH = 4


Sender = Callable[[bytes], bool]
"""Sends an ``ExportTraceServiceRequest`` of OTLP, in bytes; whether the collector has it. Never raises."""


class SpanSpool(SpanProcessor):
    """Writes each span to a file when it ends, and sends files in the background.

    At least once: a process that dies between the collector's answer and the file's end leaves spans to be
    sent again, under the same ids. The collector's speed is nobody's business but the background thread's.
    """

    def __init__(
        self,
        directory: Path,
        send: Sender,
        *,
        max_bytes: int = MAX_SPOOL_BYTES,
        every: float = SEND_EVERY,
    ) -> None:
        """Open the spool.

        Args:
            directory: Of this machine, for all processes that share a collector. Made if it isn't there.
            send: Sends spans.
            max_bytes: Of all files in it.
            every: Seconds between requests.

        Raises:
            OSError: the directory can't be written to.
        """
        make_folder(directory)
        self._directory = directory
        self._send = send
        self._encoder = SpanEncoder()
        self._max_bytes = max_bytes
        self._every = every
        self._lock = threading.Lock()
        self._current: _File | None = None
        self._full: list[_File] = []
        self._left = max_bytes - sum(file.stat().st_size for file in directory.glob(f"*{_SUFFIX}"))
        self._stop = threading.Event()
        self.dropped: int = 0
        """Spans that found no room."""
        self._thread = threading.Thread(target=self._run, name="agentflow-spans", daemon=True)
        self._thread.start()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing: a span is written when it ends."""

    def on_end(self, span: ReadableSpan) -> None:
        """Write it. What can't be written is dropped, and counted: no run fails for its spans."""
        context = span.get_span_context()
        if context is None or not context.trace_flags.sampled:
            return
        try:
            data = self._encoder.encoded(span)
            with self._lock:
                if self._left < len(data) + _LENGTH:
                    raise OSError("the spool is full")
                if self._current is None:
                    self._current = _File.made(self._directory)
                self._current.append(data)
                self._left -= len(data) + _LENGTH
                if self._current.size > MAX_FILE_BYTES:
                    self._rotate()
        except Exception as error:
            self.dropped += 1
            metrics.dropped("spans")
            if self.dropped.bit_count() == 1:
                # At 1, 2, 4, 8 …: a collector that is down for hours must not flood the log.
                _LOG.warning("spans dropped", spans=self.dropped, **failure(error))

    def shutdown(self) -> None:
        """Send what is there, for a moment. What the collector doesn't take stays for the next process."""
        self._stop.set()
        self._thread.join(timeout=10)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what is there. Whether the collector has it."""
        return self._send_all()

    def _rotate(self) -> None:
        if self._current is not None:
            self._full.append(self._current)
            self._current = None

    def _run(self) -> None:
        pause = self._every
        while not self._stop.is_set():
            self._stop.wait(pause)
            is_sent = self._send_all()
            pause = self._every if is_sent else min(pause * 2, MAX_PAUSE)
        self._send_all()

    def _send_all(self) -> bool:
        with self._lock:
            self._rotate()
            mine, self._full = self._full, []
        left = [file for file in [*mine, *_orphans(self._directory)] if not self._sent(file)]
        with self._lock:
            self._full = [*left, *self._full]
        return not left

    def _sent(self, file: "_File") -> bool:
        spans = file.frames()
        if spans and not self._send(b"".join(spans)):
            return False
        with self._lock:
            self._left += file.size
        file.remove()
        return True


class _File:
    """One file of the spool. Whoever has its lock is alive and will send it."""

    def __init__(self, path: Path, handle: int, size: int) -> None:
        self._path = path
        self._handle = handle
        self.size = size

    @classmethod
    def made(cls, directory: Path) -> "_File":
        path = directory / f"{uuid4().hex}{_SUFFIX}"
        handle = open_file(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND)
        locked(handle)
        return cls(path, handle, 0)

    def append(self, data: bytes) -> None:
        # In one call: a process that is killed leaves whole spans, or a beginning that is not read.
        frame = len(data).to_bytes(_LENGTH, "big") + data
        if os.write(self._handle, frame) < len(frame):
            # The disk is full. What is written next must not be taken for this span's end.
            os.ftruncate(self._handle, self.size)
            raise OSError("the disk is full")
        self.size += len(frame)

    def frames(self) -> list[bytes]:
        """The spans in it. Requests of OTLP can be put behind each other: together they are one."""
        os.lseek(self._handle, 0, os.SEEK_SET)
        data = os.read(self._handle, self.size)
        found: list[bytes] = []
        at = 0
        while at + _LENGTH <= len(data):
            end = at + _LENGTH + int.from_bytes(data[at : at + _LENGTH], "big")
            if end > len(data):
                break
            found.append(data[at + _LENGTH : end])
            at = end
        return found

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._handle)


def _orphans(directory: Path) -> list[_File]:
    """Files of processes that are no more."""
    found: list[_File] = []
    for path in sorted(directory.glob(f"*{_SUFFIX}")):
        try:
            handle = os.open(path, os.O_RDWR | os.O_APPEND)
        except OSError:
            # Somebody else has sent it by now.
            continue
        # The size after the lock: its owner may have been writing until then.
        if locked(handle) and path.exists():
            found.append(_File(path, handle, os.fstat(handle).st_size))
        else:
            os.close(handle)
    return found


def http_sender(endpoint: str, headers: dict[str, str], timeout: float = 10.0) -> Sender:
    """Sends to a collector over HTTP (OTLP's protobuf encoding).

    Args:
        endpoint: Such as ``http://localhost:4318/v1/traces``.
        headers: Sent along; they may hold secrets, and are never logged.
        timeout: Seconds for a request.
    """
    import requests

    session: Any = requests.Session()
    all_headers = {**headers, "Content-Type": "application/x-protobuf"}

    def send(request: bytes) -> bool:
        try:
            answer = session.post(endpoint, data=request, headers=all_headers, timeout=timeout)
        except requests.RequestException:
            return False
        status: int = answer.status_code
        if status >= 500 or status in (408, 429):
            return False
        if status >= 300:
            # What it will never take must not be kept for ever.
            _LOG.warning("spans refused by the collector", status=status)
        return True

    return send
