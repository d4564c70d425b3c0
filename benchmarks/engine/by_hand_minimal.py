"""By hand: nothing that is in history already is passed again."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from benchmarks.engine.by_hand import LIMIT, look_up, minimal_chat


@workflow.defn
class Minimal:
    """Passes nothing that is in history already."""

    @workflow.run
    async def run(self, turns: int) -> str:
        """Let the model work until it answers."""
        turn = 0
        while True:
            answer = await workflow.execute_activity(
                minimal_chat, args=[turn, turns], start_to_close_timeout=LIMIT
            )
            if "tool_calls" not in answer:
                return answer["content"]
            for call in answer["tool_calls"]:
                await workflow.execute_activity(
                    look_up, call["arguments"]["number"], start_to_close_timeout=LIMIT
                )
                turn += 1
