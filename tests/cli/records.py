"""Records of an effect ledger, kept through its adapter as a worker would."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.contracts.effects import EffectRecord
from agentflow.contracts.tools import ToolResult
from agentflow.contracts.wire import ToolCallId, sha256_of

HOSTILE = "[red]1[/red]\x1b[2J\u202e\n9"
DONE: dict[str, Any] = {"state": "done", "result": ToolResult(output={"id": "re_1"}).model_dump_json()}


def a_record(**changes: Any) -> EffectRecord:
    """A write whose attempt ended without a record: abandoned, unless changes say otherwise."""
    name = str(uuid4())
    fields: dict[str, Any] = {
        "key": sha256_of(name),
        "namespace": "default",
        "workflow_id": f"no-such-run-{name}",
        "run_id": "run-1",
        "tool": "wire",
        "tool_call_id": ToolCallId("call-1"),
        "arguments_hash": sha256_of({}),
        "owner": "1/1/owner",
        "lease": timedelta(0),
    }
    return EffectRecord(**(fields | changes))


async def kept(ledger: Path, *records: EffectRecord) -> None:
    """Keep records in a SQLite ledger."""
    store = SQLiteLedger(ledger)
    for record in records:
        assert await store.insert(record)
    await store.close()


async def record_in(ledger: Path, key: str) -> EffectRecord:
    """A record as it is now."""
    store = SQLiteLedger(ledger)
    stored = await store.get(key)  # pyright: ignore[reportArgumentType]
    await store.close()
    assert stored
    return stored.record
