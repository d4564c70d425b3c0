import asyncio
import json
import math
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from temporalio.api.failure.v1 import Failure
from temporalio.converter import DataConverter
from temporalio.exceptions import ApplicationError

from agentflow.activity.execution import tool_activity
from agentflow.activity.failures import MAX_MESSAGE
from agentflow.activity.tool import Tool, tool, tools_of
from agentflow.adapters.local_blobs import DirectoryBlobStore, MemoryBlobStore
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.contracts.names import EFFECT_UNKNOWN_ERROR
from agentflow.contracts.tools import ToolErrorKind, ToolInvocation, ToolResult
from agentflow.contracts.wire import sha256_of
from agentflow.core.idempotency import run_root
from agentflow.core.transcript import text_hash, tool_text
from agentflow.errors import ConfigurationError, ToolError, ToolUnavailableError
from agentflow.ports.ledger import LedgerEntry
from tests.activity.outside import WORKFLOW_ID, Bank, carried_out, environment, failure, invocation_of


async def recorded(ledger: SQLiteLedger, tool: Tool[..., Any]) -> LedgerEntry:
    """What the ledger knows of the tool's call."""
    invocation = invocation_of(tool)
    return await ledger.begin(invocation.ledger_key, tool.contract.name, invocation.decision.arguments_hash)


def kind_of(result: ToolResult) -> ToolErrorKind | None:
    return result.error.kind if result.error else None


# ---------------------------------------------------------------- once


async def test_a_write_is_done_and_recorded(bank: Bank, ledger: SQLiteLedger) -> None:
    result = await carried_out(bank.pay, ledger)
    assert result.output == {"number": 1, "to": "ada"}
    assert not result.replayed
    entry = await recorded(ledger, bank.pay)
    assert entry.state == "done"
    assert ToolResult.model_validate_json(entry.result or b"").output == result.output


async def test_a_write_that_is_done_is_not_done_again(bank: Bank, ledger: SQLiteLedger) -> None:
    first = await carried_out(bank.pay, ledger)
    again = await carried_out(bank.pay, ledger, attempt=2)
    assert bank.payments == ["ada"]
    assert (again.output, again.replayed) == (first.output, True)


async def test_another_call_with_the_same_arguments_is_another_write(
    bank: Bank, ledger: SQLiteLedger
) -> None:
    for index in (1, 2):
        await carried_out(bank.pay, ledger, invocation_of(bank.pay, index=index))
    assert bank.payments == ["ada", "ada"]
    assert len(set(bank.keys)) == 2


async def test_a_read_needs_no_ledger_and_is_done_again(bank: Bank) -> None:
    for _ in range(2):
        assert (await carried_out(bank.statement, None)).ok
    assert len(bank.payments) == 2


async def test_the_tool_is_told_its_key_and_attempt(bank: Bank, ledger: SQLiteLedger) -> None:
    await carried_out(bank.pay, ledger, attempt=3)
    assert bank.attempts == [3]
    assert bank.keys == [invocation_of(bank.pay).ledger_key]


# ---------------------------------------------------------------- in doubt


async def test_a_write_that_a_dead_attempt_began_is_not_done_but_asked_about(
    bank: Bank, ledger: SQLiteLedger
) -> None:
    assert (await recorded(ledger, bank.pay)).state == "new"
    error = await failure(bank.pay, ledger, attempt=2)
    assert (error.type, error.non_retryable) == (EFFECT_UNKNOWN_ERROR, True)
    assert invocation_of(bank.pay).ledger_key in error.message
    assert bank.payments == []


async def test_a_write_with_an_idempotency_key_is_called_again_with_the_same_key(
    bank: Bank, ledger: SQLiteLedger
) -> None:
    bank.error = ConnectionError("lost on the way back")
    error = await failure(bank.pay_by_key, ledger)
    assert not error.non_retryable
    bank.error = None
    assert (await carried_out(bank.pay_by_key, ledger, attempt=2)).ok
    assert len(bank.keys) == 2
    assert len(set(bank.keys)) == 1
    assert (await recorded(ledger, bank.pay_by_key)).state == "done"


@pytest.mark.parametrize(
    "error",
    [ConnectionError("lost on the way back"), KeyError("paid"), TimeoutError(), ApplicationError("x")],
)
async def test_a_write_that_fails_in_any_way_of_its_own_is_in_doubt(
    bank: Bank, ledger: SQLiteLedger, error: Exception
) -> None:
    bank.error = error
    failed = await failure(bank.pay, ledger)
    assert (failed.type, failed.non_retryable) == (EFFECT_UNKNOWN_ERROR, True)
    assert type(error).__name__ in failed.message
    assert (await recorded(ledger, bank.pay)).state == "intended"
    bank.error = None
    assert (await failure(bank.pay, ledger, attempt=2)).type == EFFECT_UNKNOWN_ERROR
    assert bank.payments == ["ada"]


async def test_an_answer_that_the_tool_can_not_read_leaves_its_write_in_doubt(
    bank: Bank, ledger: SQLiteLedger
) -> None:
    class Answer(BaseModel):
        number: int

    with pytest.raises(ValueError, match="number") as unreadable:
        Answer.model_validate_json('{"number": "none"}')
    bank.error = unreadable.value
    # Called the arguments' fault, it would be corrected and paid twice.
    assert (await failure(bank.pay, ledger)).type == EFFECT_UNKNOWN_ERROR
    assert bank.payments == ["ada"]


async def test_a_write_that_was_cancelled_midway_is_in_doubt(bank: Bank, ledger: SQLiteLedger) -> None:
    bank.hangs = True
    run, surroundings = tool_activity(bank.pay, ledger, MemoryBlobStore()), environment()
    under_way = asyncio.ensure_future(surroundings.run(run, invocation_of(bank.pay)))
    await bank.paid.wait()
    surroundings.cancel()
    with pytest.raises(asyncio.CancelledError):
        await under_way
    assert (await failure(bank.pay, ledger, attempt=2)).type == EFFECT_UNKNOWN_ERROR
    assert bank.payments == ["ada"]


async def test_a_result_that_can_not_be_recorded_leaves_the_write_in_doubt(
    tmp_path: Path, bank: Bank
) -> None:
    path, aside = tmp_path / "ledger.sqlite", tmp_path / "aside.sqlite"
    ledger = SQLiteLedger(path)

    class Saboteur:
        @tool(effect="write")
        async def pay(self, to: str) -> str:
            """Pay, while somebody takes the ledger away."""
            bank.payments.append(to)
            path.rename(aside)
            path.mkdir()
            return "paid"

    pay = Saboteur().pay
    assert (await failure(pay, ledger)).type == "LedgerError"
    path.rmdir()
    aside.rename(path)
    assert (await failure(pay, ledger, attempt=2)).type == EFFECT_UNKNOWN_ERROR
    assert bank.payments == ["ada"]


# ---------------------------------------------------------------- certainly not


async def test_a_tool_that_could_not_start_withdraws_its_intent_and_may_be_tried_again(
    bank: Bank, ledger: SQLiteLedger
) -> None:
    bank.refusal = ToolUnavailableError("connection refused")
    error = await failure(bank.pay, ledger)
    assert (error.type, error.non_retryable) == ("ToolUnavailableError", False)
    bank.refusal = None
    assert (await carried_out(bank.pay, ledger, attempt=2)).ok
    assert bank.payments == ["ada"]


async def test_a_tools_own_refusal_is_a_result_and_stays_one(bank: Bank, ledger: SQLiteLedger) -> None:
    bank.refusal = ToolError("the account is closed")
    result = await carried_out(bank.pay, ledger)
    assert result.error is not None
    assert (result.error.kind, result.error.message) == ("failed", "the account is closed")
    assert (await recorded(ledger, bank.pay)).state == "failed"
    bank.refusal = None
    again = await carried_out(bank.pay, ledger, attempt=2)
    assert (kind_of(again), again.replayed) == ("failed", True)
    assert bank.payments == []


async def test_arguments_that_the_functions_types_refuse_are_a_result(
    bank: Bank, ledger: SQLiteLedger
) -> None:
    result = await carried_out(bank.pay, ledger, invocation_of(bank.pay, {"to": 7}))
    assert kind_of(result) == "invalid_arguments"
    assert bank.attempts == []


# ---------------------------------------------------------------- not allowed


async def test_a_decision_on_other_arguments_is_refused(bank: Bank, ledger: SQLiteLedger) -> None:
    swapped = invocation_of(bank.pay, {"to": "mallory"}, bound_to={"to": "ada"})
    error = await failure(bank.pay, ledger, swapped)
    assert (error.type, error.non_retryable) == ("EffectConflictError", True)
    assert bank.attempts == []
    assert (await recorded(ledger, bank.pay)).state == "new"


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


async def test_a_key_that_is_taken_by_other_arguments_is_a_conflict(bank: Bank, ledger: SQLiteLedger) -> None:
    await carried_out(bank.pay, ledger)
    error = await failure(bank.pay, ledger, invocation_of(bank.pay, {"to": "mallory"}))
    assert (error.type, error.non_retryable) == ("EffectConflictError", True)
    assert bank.payments == ["ada"]


async def test_a_ledger_that_can_not_be_reached_stops_the_write(tmp_path: Path, bank: Bank) -> None:
    (tmp_path / "file").write_text("not a directory")
    error = await failure(bank.pay, SQLiteLedger(tmp_path / "file" / "ledger.sqlite"))
    assert (error.type, error.non_retryable) == ("LedgerError", False)
    assert bank.attempts == []


def test_a_tool_that_writes_without_a_ledger_is_refused(bank: Bank) -> None:
    with pytest.raises(ConfigurationError, match="needs ledger="):
        tool_activity(bank.pay, None, MemoryBlobStore())


def test_a_tool_without_its_object_is_refused(ledger: SQLiteLedger) -> None:
    with pytest.raises(ConfigurationError, match="tools_of"):
        tool_activity(Bank.pay, ledger, MemoryBlobStore())


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
    assert (await recorded(ledger, bank.pay)).state == "done"
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
    assert (await recorded(ledger, bank.pay_briefly)).state == "done"


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
    assert result.stored
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
    assert not result.stored


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
    assert error.details == ({"attempt": 3},)


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


def test_the_activity_is_of_the_tools_own_type(bank: Bank, ledger: SQLiteLedger) -> None:
    names = {
        getattr(tool_activity(one, ledger, MemoryBlobStore()), "__temporal_activity_definition").name
        for one in tools_of(bank)
    }
    assert names == {"pay", "pay_by_key", "statement", "pay_briefly"}


async def test_no_two_attempts_of_one_call_both_write_whatever_comes_between(
    bank: Bank, ledger: SQLiteLedger
) -> None:
    """Many attempts at once, as after a worker that was thought dead: one pays."""
    invocation: ToolInvocation = invocation_of(bank.pay)
    run = tool_activity(bank.pay, ledger, MemoryBlobStore())
    outcomes = await asyncio.gather(
        *(environment(attempt).run(run, invocation) for attempt in range(1, 9)), return_exceptions=True
    )
    assert bank.payments == ["ada"]
    answers = [outcome for outcome in outcomes if isinstance(outcome, ToolResult)]
    doubts = [outcome for outcome in outcomes if isinstance(outcome, ApplicationError)]
    assert len(answers) + len(doubts) == 8
    assert {doubt.type for doubt in doubts} <= {EFFECT_UNKNOWN_ERROR}
    assert sha256_of([answer.output for answer in answers[:1]]) == sha256_of([{"number": 1, "to": "ada"}])
