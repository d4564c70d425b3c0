"""Texts on their way to logs and spans, without what must not leave. What can't be looked at is dropped."""

import threading
from collections.abc import Iterable
from concurrent.futures import Future
from datetime import timedelta
from itertools import islice
from queue import SimpleQueue
from typing import cast

from agentflow.contracts.wire import Json
from agentflow.core.durations import checked
from agentflow.core.known_values import KnownValues
from agentflow.core.patterns import Finding
from agentflow.core.redaction import DROPPED, MAX_SCANNED, PATTERNS, map_texts, redacted, replaced
from agentflow.core.views import REACH, Reach
from agentflow.ports.detectors import Detector
from agentflow.telemetry import metrics

TIMEOUT = timedelta(milliseconds=250)
"""For one detector and one text. Logging waits for it, and so does the run."""

MAX_FINDINGS = MAX_SCANNED
"""Of one detector in one text."""

NOTHING_KNOWN = KnownValues()


class Redactor:
    """Takes out what a text must not tell.

    Cards, IBANs, social security numbers, e-mail addresses, telephone numbers and keys; the values that a
    run's types mark; and what further detectors find.
    """

    def __init__(self, *detectors: Detector, timeout: timedelta = TIMEOUT, reach: Reach = REACH) -> None:
        """Put it together.

        Args:
            *detectors: Such as ``DetectSecrets()`` and ``Presidio(...)``.
            timeout: For one detector and one text.
            reach: How far what is encoded in a text is decoded; a text with more in it is dropped.
        """
        self._reach = reach
        seconds = checked("timeout", timeout).total_seconds()
        self._watched = [_Watched(detector, seconds) for detector in detectors]

    def text(self, text: str, known: KnownValues = NOTHING_KNOWN) -> str:
        """The text with ``[kind]`` in place of what must not leave. Never raises."""
        # In the order of their cost; what is dropped for one needn't be looked at by the next.
        clean = redacted(text, (known.find, *PATTERNS), self._reach)
        if clean.startswith(DROPPED):
            metrics.dropped("texts")
            return clean
        for watched in self._watched:
            found = watched.find(clean[:MAX_SCANNED])
            if found is None:
                metrics.dropped("texts")
                return f"{DROPPED}{watched.name} could not look at it]"
            clean = replaced(clean, found)
        return clean

    def json(self, value: Json, known: KnownValues = NOTHING_KNOWN, limit: int | None = None) -> Json:
        """A JSON value with all its texts redacted, names of fields included.

        Args:
            value: The value.
            known: The run's marked values.
            limit: Characters of each text; of a longer one the beginning is kept.
        """
        return map_texts(value, lambda text: self.text(text, known)[:limit])


def _findings(found: object, length: int) -> list[Finding]:
    """What a detector answers, if it is findings in the text.

    Raises:
        ValueError: it isn't: then nobody has looked at the text.
    """
    listed = list(islice(cast(Iterable[object], found), MAX_FINDINGS + 1))
    if len(listed) > MAX_FINDINGS:
        raise ValueError("more findings than a text can have")
    findings = [finding for finding in listed if type(finding) is Finding and _is_in(finding, length)]
    if len(findings) < len(listed):
        raise ValueError("something that is no finding")
    return findings


def _is_in(finding: Finding, length: int) -> bool:
    if type(finding.start) is not int or type(finding.end) is not int or type(finding.kind) is not str:
        return False
    return 0 <= finding.start <= finding.end <= length


class _Watched:
    """A detector in a thread of its own, so that one that hangs holds nobody up for long."""

    def __init__(self, detector: Detector, timeout: float) -> None:
        self.name = str(detector.name)
        self._detector = detector
        self._timeout = timeout
        self._lock = threading.Lock()
        self._asked: SimpleQueue[tuple[str, Future[list[Finding]]]] = SimpleQueue()
        self._last: Future[list[Finding]] | None = None
        self._thread: threading.Thread | None = None

    def find(self, text: str) -> Iterable[Finding] | None:
        """What it finds; ``None`` if it raises, takes too long, or isn't back from the text before."""
        with self._lock:
            if self._last is not None and not self._last.done():
                return None
            if self._thread is None:
                # Only now: a process that forks after it was made has no threads of before.
                self._thread = threading.Thread(target=self._run, name=f"agentflow-{self.name}", daemon=True)
                self._thread.start()
            asked: Future[list[Finding]] = Future()
            self._last = asked
            self._asked.put((text, asked))
            try:
                return asked.result(timeout=self._timeout)
            except Exception:
                return None

    def _run(self) -> None:
        while True:
            text, asked = self._asked.get()
            try:
                asked.set_result(_findings(self._detector.find(text), len(text)))
            except BaseException as error:
                asked.set_exception(error)
