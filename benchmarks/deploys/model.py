"""The model: it follows the script of each run's state, and keeps what it was told."""

import json
from collections import defaultdict
from typing import Any

from agentflow.contracts.messages import AssistantMessage, UserMessage
from agentflow.contracts.model import ModelAnswer, ModelCall
from agentflow.testing import ScriptedModel
from benchmarks.deploys.outside import Outside
from benchmarks.deploys.states import STATES


class Clerks:
    """Fulfils ``ModelClient`` for the runs of all workers."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self.told: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        """All but the conversation of each call, by run."""

    async def chat(self, call: ModelCall) -> ModelAnswer:
        """Say the next line, when the gate is open."""
        order = _order(call)
        run, turn = order["run"], sum(message.kind == "assistant" for message in call.messages)
        self.told[run].append(
            call.model_dump(mode="json", exclude={"messages", "timeout", "idempotency_key"})
        )
        await self._outside.pass_through(run, f"turn {turn}")
        script = STATES[order["state"]].script
        # Each call has a model of its own: none keeps the calls of all runs.
        line: AssistantMessage = script[min(turn, len(script) - 1)]
        return await ScriptedModel(lambda _: line).chat(call)


def _order(call: ModelCall) -> dict[str, str]:
    first = call.messages[0]
    assert isinstance(first, UserMessage)
    return json.loads(first.text)
