"""What Temporal's core says of a failed replay, in words for people."""

from agentflow.cli.divergence import Divergence, divergence_of

NONDETERMINISM = (
    'Workflow activation completion failed: Failure { failure: Some(Failure { message: "[TMPRL1100] '
    'Nondeterminism error: Activity machine does not handle this event: HistoryEvent(id: 5, TimerStarted)", '
    'source: "", stack_trace: "", failure_info: Some(ApplicationFailureInfo(ApplicationFailureInfo '
    '{ r#type: "", non_retryable: false })) }), force_cause: NonDeterministicError }'
)
EXCEPTION = (
    '4: Workflow activation completion failed: Failure { failure: Some(Failure { message: "no \\"refund\\"", '
    'source: "", stack_trace: "  File \\"/lib/instance.py\\", line 534, in activate\\n  File '
    '\\"/src/agents.py\\", line 7, in run\\n", failure_info: Some(ApplicationFailureInfo('
    'ApplicationFailureInfo { r#type: "ValueError", non_retryable: false })) }) }'
)


def test_a_nondeterminism_error_names_the_event() -> None:
    assert divergence_of(RuntimeError(NONDETERMINISM)) == Divergence(
        message="Activity machine does not handle this event: HistoryEvent(id: 5, TimerStarted)",
        event_id=5,
        event_type="TimerStarted",
    )


def test_an_exception_names_its_type_and_place() -> None:
    told = divergence_of(RuntimeError(EXCEPTION))
    assert str(told) == 'ValueError: no "refund" (/src/agents.py:7)'


def test_a_text_of_another_form_is_told_as_it_is() -> None:
    assert divergence_of(RuntimeError("the worker is gone")) == Divergence("the worker is gone")
