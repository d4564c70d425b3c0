from pathlib import Path

import pytest

from agentflow.activity import hold
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.testing import MemoryLedger
from tests.activity.outside import Bank


@pytest.fixture
def bank() -> Bank:
    return Bank()


@pytest.fixture
def ledger(tmp_path: Path) -> SQLiteLedger:
    return SQLiteLedger(tmp_path / "ledger.sqlite")


@pytest.fixture
def memory() -> MemoryLedger:
    """A ledger whose clock the test moves."""
    return MemoryLedger()


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hold, "PAUSE_SECONDS", 0)
