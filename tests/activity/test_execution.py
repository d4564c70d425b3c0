import json
import math
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.failure.v1 import Failure
from temporalio.converter import DataConverter
from temporalio.exceptions import ApplicationError

from agentflow.activity.execution import tool_activity
from agentflow.activity.failures import MAX_MESSAGE
from agentflow.activity.ledger_calls import LedgerCalls
from agentflow.activity.tool import Tool, tool
from agentflow.adapters.directory_blobs import DirectoryBlobStore
from agentflow.adapters.memory_blobs import MemoryBlobStore
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.contracts.tools import ToolErrorKind, ToolResult
from agentflow.core.idempotency import run_root
from agentflow.core.transcript import text_hash, tool_text
from agentflow.errors import ConfigurationError, ToolError
from agentflow.testing.settings import TEST_SEAL_KEYS
from tests.activity.outside import WORKFLOW_ID, Bank, carried_out, failure, invocation_of


async def state_of(ledger: SQLiteLedger, tool: Tool[..., Any]) -> str | None:
    """What the ledger says of the tool's call."""
    found = await ledger.get(invocation_of(tool).ledger_key)
    return found.record.state if found else None


def kind_of(result: ToolResult) -> ToolErrorKind | None:
    return result.error.kind if result.error else None


async def test_a_read_needs_no_ledger_and_is_done_again(bank: Bank) -> None:
    for _ in range(2):
        assert (await carried_out(bank.statement, None)).ok
    assert len(bank.payments) == 2


# ---------------------------------------------------------------- not allowed


async def test_a_decision_on_other_arguments_is_refused(bank: Bank, ledger: SQLiteLedger) -> None:
    swapped = invocation_of(bank.pay, {"to": "mallory"}, bound_to={"to": "ada"})
    error = await failure(bank.pay, ledger, swapped)
    assert (error.type, error.non_retryable) == ("EffectConflictError", True)
    assert bank.attempts == []
    assert await state_of(ledger, bank.pay) is None


@pytest.mark.parametrize("verdict", ["ask", "deny"])
@pytest.mark.parametrize("name", ["pay", "pay_by_key", "statement"])
async def test_without_an_allow_no_tool_runs(
    bank: Bank, ledger: SQLiteLedger, name: str, verdict: Any
) -> None:
    bound = getattr(bank, name)
    error = await failure(bound, ledger, invocation_of(bound, verdict=verdict))
    assert (error.type, error.non_retryable) == ("EffectConflictError", True)
    assert bank.attempts == []


async def test_a_decision_on_another_tool_is_refused(bank: Bank, ledger: SQLiteLedger) -> None:
    for_another = invocation_of(bank.pay_by_key)
    assert (await failure(bank.pay, ledger, for_another)).type == "EffectConflictError"
    assert bank.attempts == []


def test_a_tool_that_writes_without_a_ledger_is_refused(bank: Bank) -> None:
    with pytest.raises(ConfigurationError, match="needs ledger="):
        tool_activity(bank.pay, None, MemoryBlobStore())


def test_a_tool_without_its_object_is_refused(ledger: SQLiteLedger) -> None:
    with pytest.raises(ConfigurationError, match="tools_of"):
        tool_activity(Bank.pay, LedgerCalls(ledger, TEST_SEAL_KEYS), MemoryBlobStore())


# ---------------------------------------------------------------- outputs


@pytest.mark.parametrize(
    "answer",
    [{"number": "one", "to": "ada"}, {"number": 1}, "paid", [1], object(), {"number": math.nan, "to": "a"}],
)
async def test_an_output_off_the_contract_is_told_and_the_write_counts_as_done(
    bank: Bank, ledger: SQLiteLedger, answer: object
) -> None:
    bank.answer = answer
    assert kind_of(await carried_out(bank.pay, ledger)) == "invalid_output"
    assert await state_of(ledger, bank.pay) == "done"
    again = await carried_out(bank.pay, ledger, attempt=2)
    assert (kind_of(again), again.replayed) == ("invalid_output", True)
    assert bank.payments == ["ada"]


@pytest.mark.filterwarnings("error")
async def test_an_output_off_the_contract_is_quoted_in_no_warning(bank: Bank) -> None:
    bank.answer = {"number": "secret", "to": "ada"}
    result = await carried_out(bank.statement, None)
    assert result.error is not None
    assert result.error.message.startswith("the output breaks its contract: number: ")


@pytest.mark.parametrize("answer", [object(), {1: object()}, b"\xff"], ids=["object", "deep object", "bytes"])
async def test_an_output_that_is_no_json_is_told_and_the_write_counts_as_done(
    bank: Bank, ledger: SQLiteLedger, answer: object
) -> None:
    bank.answer = answer
    result = await carried_out(bank.pay_briefly, ledger)
    assert result.error is not None
    assert result.error.kind == "invalid_output"
    assert result.error.message.startswith("the output is not JSON")
    assert await state_of(ledger, bank.pay_briefly) == "done"


@pytest.mark.parametrize("number", [math.nan, math.inf])
async def test_an_output_that_is_no_number_of_jsons_is_told(number: float) -> None:
    @tool(effect="read")
    async def measure() -> float:
        """Measure it."""
        return number

    assert kind_of(await carried_out(measure, None, invocation_of(measure, {}))) == "invalid_output"


@pytest.mark.parametrize(("answer", "size"), [("x" * 8, 10), ("x" * 9, 11), ("é" * 5, 12)])
async def test_an_output_beyond_the_limit_is_told_with_size_and_limit(
    bank: Bank, ledger: SQLiteLedger, answer: str, size: int
) -> None:
    bank.answer = answer
    result = await carried_out(bank.pay_briefly, ledger)
    if size <= 10:
        assert result.output == answer
    else:
        assert result.error is not None
        assert result.error.kind == "invalid_output"
        assert result.error.message == f"the output is {size} bytes; the limit is 10 bytes"


async def test_the_output_is_stored_under_the_name_that_the_workflow_will_compute(bank: Bank) -> None:
    blobs = MemoryBlobStore()
    bank.answer = {"number": 7, "to": "ada \ud83d\ude00 é"}
    bank.answer["to"] = "ada é 😀"
    result = await carried_out(bank.statement, None, blobs=blobs)
    # The workflow has the result from history: through JSON, once more.
    received = ToolResult.model_validate_json(result.model_dump_json())
    text = tool_text(received)
    stored = await blobs.get(run_root("default", WORKFLOW_ID), text_hash(text))
    assert stored == text.encode()
    assert json.loads(text) == bank.answer


async def test_a_blob_store_that_can_not_be_written_stops_no_tool(tmp_path: Path, bank: Bank) -> None:
    (tmp_path / "file").write_text("not a directory")
    result = await carried_out(bank.statement, None, blobs=DirectoryBlobStore(tmp_path / "file"))
    assert result.ok


# ---------------------------------------------------------------- failures


def bytes_in_history(error: ApplicationError) -> int:
    failure = Failure()
    converter = DataConverter.default
    converter.failure_converter.to_failure(error, converter.payload_converter, failure)
    return sum(len(part.message) for part in chain(failure))


def chain(failure: Failure) -> list[Failure]:
    return [failure, *chain(failure.cause)] if failure.HasField("cause") else [failure]


async def test_the_text_of_an_error_in_history_is_bounded_its_causes_included(
    bank: Bank, ledger: SQLiteLedger
) -> None:
    bank.error = ValueError("secret " * 100_000)
    assert bytes_in_history(await failure(bank.pay, ledger)) <= MAX_MESSAGE
    assert bytes_in_history(await failure(bank.statement, None)) <= MAX_MESSAGE


async def test_the_failure_shows_where_in_the_tool_it_broke(bank: Bank) -> None:
    bank.error = ValueError("broken")
    error = await failure(bank.statement, None)
    failed = Failure()
    converter = DataConverter.default
    converter.failure_converter.to_failure(error, converter.payload_converter, failed)
    assert "make_payment" in failed.stack_trace


async def test_a_failure_says_which_attempt_it_was(bank: Bank) -> None:
    bank.error = ValueError("broken")
    error = await failure(bank.statement, None, attempt=3)
    assert (error.type, error.message) == ("ValueError", "ValueError: broken")
    nothing_is_known_of_the_two_before = {"before": 2, "calls": 1, "probes": 0}
    assert error.details == ({"attempt": 3, "billed": nothing_is_known_of_the_two_before},)


@pytest.mark.parametrize("text", ["\ud800 is no amount", "x" * 100_000], ids=["surrogate", "long"])
async def test_a_refusals_text_is_made_fit_for_history(bank: Bank, ledger: SQLiteLedger, text: str) -> None:
    bank.refusal = ToolError(text)
    result = await carried_out(bank.pay, ledger)
    assert kind_of(result) == "failed"
    assert len(result.model_dump_json()) < 5_000


async def test_an_error_with_a_lone_surrogate_can_be_sent(bank: Bank) -> None:
    bank.error = OSError("no such file: \udcff")
    error = await failure(bank.statement, None)
    assert bytes_in_history(error) > 0
