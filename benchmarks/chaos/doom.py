"""Deaths that are meant for one write: the worker that carries it out dies at named moments, each once."""

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from agentflow.contracts.effects import EffectRecord
from agentflow.ports.ledger import EffectLedger

Moment = Literal["after_intend", "before_end", "after_end"]
"""``after_intend``: the intent is recorded, and the tool was not called. ``before_end``: the tool has ended,
or its probe has, or a person is to be asked, and the ledger has not heard of it. ``after_end``: the ledger
has, and Temporal has not."""


class Doom:
    """Fulfils ``EffectLedger`` around another one.

    A death leaves a file ``deaths/RUN.NUMBER``, durably, before the process dies: it happens once, and others
    may act on it before the next attempt comes.
    """

    def __init__(
        self, ledger: EffectLedger, moments: Mapping[str, Sequence[Moment]], directory: Path
    ) -> None:
        self._ledger = ledger
        self._moments = moments
        self._directory = directory

    def __repr__(self) -> str:
        return repr(self._ledger)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    async def insert(self, record: EffectRecord) -> bool:
        """Keep a new record, and perhaps die before or after."""
        self._before(record)
        return self._after(record, await self._ledger.insert(record))

    async def replace(self, record: EffectRecord, *, version: int) -> bool:
        """Change a record, and perhaps die before or after."""
        self._before(record)
        return self._after(record, await self._ledger.replace(record, version=version))

    def _before(self, record: EffectRecord) -> None:
        if record.state != "intended" and record.attempts:
            self._pass_by("before_end", record.workflow_id)

    def _after(self, record: EffectRecord, written: bool) -> bool:
        if written and record.attempts:
            self._pass_by("after_intend" if record.state == "intended" else "after_end", record.workflow_id)
        return written

    def _pass_by(self, moment: Moment, workflow_id: str) -> None:
        for number, due in enumerate(self._moments.get(workflow_id, ())):
            mark = self._directory / mark_of(workflow_id, number)
            if mark.exists():
                continue
            if due == moment:
                _write_durably(mark)
                os.kill(os.getpid(), signal.SIGKILL)
            return  # deaths come in their order


def mark_of(workflow_id: str, number: int) -> str:
    """The name of the file that a death leaves, under the directory of the world."""
    return f"deaths/{workflow_id}.{number}"


def _write_durably(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT)
    os.fsync(handle)
    os.close(handle)
