"""By hand: the whole list of messages goes to each model call."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from benchmarks.engine.by_hand import LIMIT, Message, look_up, naive_chat
    from benchmarks.engine.script import INSTRUCTIONS, Job


@workflow.defn
class Naive:
    """Passes the whole list of messages to each model call."""

    @workflow.run
    async def run(self, turns: int) -> str:
        """Let the model work until it answers."""
        messages: list[Message] = [
            {"role": "system", "content": INSTRUCTIONS},
            {"role": "user", "content": Job(turns).text},
        ]
        while True:
            answer = await workflow.execute_activity(naive_chat, messages, start_to_close_timeout=LIMIT)
            messages.append(answer)
            if "tool_calls" not in answer:
                return answer["content"]
            for call in answer["tool_calls"]:
                output = await workflow.execute_activity(
                    look_up, call["arguments"]["number"], start_to_close_timeout=LIMIT
                )
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": output})
