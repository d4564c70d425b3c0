"""The workflow that ``benchmarks.floods`` compares with: it waits for one word, without agentflow."""

from temporalio import workflow


@workflow.defn
class Bare:
    """Waits for one word, and does nothing with any other."""

    def __init__(self) -> None:
        """Have heard nothing."""
        self._is_over = False

    @workflow.run
    async def run(self) -> str:
        """Wait."""
        await workflow.wait_condition(lambda: self._is_over)
        return "over"

    @workflow.signal
    def approve(self, decision: dict[str, str]) -> None:
        """Take a word."""
        self._is_over = self._is_over or decision.get("by") == "ann"
