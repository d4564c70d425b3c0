"""How long an execution's history is, as of places to which a replay comes as well.

What follows a local activity may run in another workflow task in a replay, with another length (ADR 42). So
it is measured where an activity was answered that the run's next step waits for, and where a timer fired.
"""

from dataclasses import dataclass

from temporalio import workflow


@dataclass(frozen=True)
class HistoryLength:
    """Of one execution, at one place."""

    events: int = 0
    bytes: int = 0
    is_long: bool = False
    """Whether the server would have the run continue as new."""


def length_here() -> HistoryLength:
    """The length up to the workflow task that runs. Not to be asked where a local activity ended before."""
    info = workflow.info()
    return HistoryLength(
        info.get_current_history_length(),
        info.get_current_history_size(),
        info.is_continue_as_new_suggested(),
    )


class MeasuredHistory:
    """The length as the steps of one execution last measured it.

    What goes on beside its steps, as signals and notices do, must not measure: in a replay it may come after
    a step that it came before.
    """

    def __init__(self) -> None:
        self.length: HistoryLength = HistoryLength()
        self.checkpoints: int = 0
        """How many there were since."""

    def measure(self) -> None:
        """An activity that the run's next step waited for was answered just now, or a timer fired."""
        self.length = length_here()
        self.checkpoints = 0
