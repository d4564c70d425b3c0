from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agentflow.adapters.seal_keys import save_new_seal_keys
from tests.cli.harness import CommandLine
from tests.cli.records import a_record, kept
from tests.cli.test_ledger_resolve import resolve

PAID = '{"output": "paid"}'
NO = '{"error": {"kind": "failed", "message": "no"}}'


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "done", "result": PAID},
        {"state": "failed", "result": NO, "detail": "no attempt of it began"},
        {"state": "done", "result": PAID, "closed_by": "ann"},
        {"state": "intended", "lease": timedelta(days=4000)},
    ],
    ids=["done", "failed", "closed", "under way"],
)
async def test_of_a_record_that_no_worker_wrote_a_person_may_say_what_happened(
    beside: CommandLine, tmp_path: Path, changes: dict[str, Any]
) -> None:
    seals = tmp_path / "seal-keys.json"
    save_new_seal_keys(seals)
    forged = a_record(**changes)
    await kept(beside.ledger, forged)
    shown = beside("ledger", "show", forged.key, "--seals", str(seals))
    assert "no worker of this fleet wrote the record" in shown.stdout
    closed = resolve(beside, forged.key, "did_not_happen", "--seals", str(seals), by="otto")
    assert closed.exit_code == 0
