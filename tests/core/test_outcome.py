from agentflow.contracts.outcome import AgentOutcome, Evidence, ToolCallSummary
from agentflow.contracts.wire import ToolCallId
from agentflow.core.outcome import shorter_and_shorter

LOOKED = ToolCallSummary(tool_call_id=ToolCallId("1"), tool="balance", arguments={}, rule="reads")
PAID = ToolCallSummary(tool_call_id=ToolCallId("2"), tool="pay", arguments={}, rule="small", effect="done")
SEEN = Evidence(tool="balance", tool_call_id=ToolCallId("1"), value=7)
WHOLE = AgentOutcome[str](
    status="completed", output="paid", evidence=(SEEN,), tool_calls=(LOOKED, PAID), release="1+abc"
)


def test_reads_are_left_out_before_writes_and_counted() -> None:
    whole, writes, none, _ = shorter_and_shorter(WHOLE)
    assert whole == WHOLE
    assert (writes.tool_calls, writes.tool_calls_omitted) == ((PAID,), 1)
    assert (none.tool_calls, none.tool_calls_omitted) == ((), 2)
    assert writes.output == none.output == "paid"


def test_a_run_whose_output_can_not_be_delivered_has_not_completed() -> None:
    *_, bare = shorter_and_shorter(WHOLE)
    assert (bare.status, bare.output, bare.evidence, bare.tool_calls_omitted) == ("denied", None, (), 2)
    assert "longer than a payload may be" in bare.reason


def test_how_a_run_was_stopped_is_told_whatever_its_length() -> None:
    stopped = WHOLE.model_copy(update={"status": "escalated", "output": None, "reason": "no" * 1_000_000})
    *_, bare = shorter_and_shorter(stopped)
    assert bare.status == "escalated"
    assert bare.reason == "no" * 5_000
