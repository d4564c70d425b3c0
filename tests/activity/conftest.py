from pathlib import Path

import pytest

from agentflow.adapters.sqlite_ledger import SQLiteLedger
from tests.activity.outside import Bank


@pytest.fixture
def bank() -> Bank:
    return Bank()


@pytest.fixture
def ledger(tmp_path: Path) -> SQLiteLedger:
    return SQLiteLedger(tmp_path / "ledger.sqlite")
