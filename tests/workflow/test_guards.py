import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import WorkflowEnvironment

from agentflow.ports.guards import GuardedText
from agentflow.testing import ScriptedModel, answer, call
from tests.workflow.agents import Banker
from tests.workflow.harness import serving
from tests.workflow.stepping_agents import Careful

DONE = answer({"account": "alice", "amount": "10.00"})
LOOK = call("balance", account="alice")


@dataclass
class Watch:
    """A guard that refuses what holds a word, and does odd things on demand."""

    word: str = "forbidden"
    error: BaseException | None = None
    answer: Any = None
    seconds: float = 0
    seen: list[GuardedText] = field(default_factory=list[GuardedText])
    outputs: list[Any] = field(default_factory=list[Any])

    async def check_input(self, texts: Sequence[GuardedText]) -> str | None:
        self.seen += texts
        return await self._verdict(" ".join(text.text for text in texts))

    async def check_output(self, output: Any) -> str | None:
        self.outputs.append(output)
        return await self._verdict(str(output))

    async def _verdict(self, text: str) -> str | None:
        await asyncio.sleep(self.seconds)
        if self.error:
            raise self.error
        if self.answer is not None:
            return self.answer
        return f"it says {self.word}" if self.word in text else None


FAILING = [
    (Watch(error=ValueError("the text was 12345")), "it failed: ValueError"),
    (Watch(error=SystemExit()), "it failed: RuntimeError"),
    (Watch(error=KeyboardInterrupt()), "it failed: RuntimeError"),
    (Watch(error=asyncio.CancelledError()), "it failed: RuntimeError"),
    (Watch(answer=True), "it answered bool"),
    (Watch(answer=""), ""),
    (Watch(seconds=30), "it took longer than 0.2 s"),
]


async def test_a_guard_sees_each_text_once_before_the_model_does(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    watch = Watch()
    async with serving(temporal, ScriptedModel([LOOK, DONE]), tmp_path, input_guard=watch) as bank:
        assert (await bank.run(Banker, "pay alice")).status == "completed"
    assert [(text.label, text.text) for text in watch.seen] == [
        ("person", "pay alice"),
        ("tool:balance", '{"account":"alice","balance":"100.00","note":""}'),
    ]


async def test_what_the_input_guard_refuses_no_model_sees_and_the_run_is_denied(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = ScriptedModel([DONE])
    async with serving(temporal, model, tmp_path, input_guard=Watch()) as bank:
        outcome = await bank.run(Banker, "something forbidden")
    assert (outcome.status, outcome.reason) == ("denied", "the input guard refused: it says forbidden")
    assert model.requests == []
    assert outcome.cost_usd == 0


@pytest.mark.parametrize(("guard", "why"), FAILING, ids=lambda part: None)
async def test_an_input_guard_that_can_not_say_yes_refuses(
    temporal: WorkflowEnvironment, tmp_path: Path, guard: Watch, why: str
) -> None:
    model = ScriptedModel([DONE])
    limit = timedelta(seconds=0.2)
    async with serving(temporal, model, tmp_path, input_guard=guard, guard_timeout=limit) as bank:
        outcome = await bank.run(Banker, "hello")
    assert (outcome.status, outcome.reason) == ("denied", f"the input guard refused: {why}")
    assert model.requests == []


async def test_the_output_guard_sees_output_and_evidence(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    watch = Watch()
    async with serving(temporal, ScriptedModel([answer("bye")]), tmp_path, output_guard=watch) as bank:
        handle = await bank.start(Careful)
        request = await bank.pending(handle)
        await bank.agents.reject(handle.id, request.id, by="ann")
        assert (await handle.result()).status == "completed"
    assert watch.outputs == [{"output": "kept open: rejected", "evidence": ["100.00"]}]


@pytest.mark.parametrize(
    ("guard", "why"), [(Watch("alice"), "it says alice"), *FAILING], ids=lambda part: None
)
async def test_an_output_that_the_guard_does_not_let_through_stays_in(
    temporal: WorkflowEnvironment, tmp_path: Path, guard: Watch, why: str
) -> None:
    limit = timedelta(seconds=0.2)
    async with serving(
        temporal, ScriptedModel([DONE]), tmp_path, output_guard=guard, guard_timeout=limit
    ) as bank:
        outcome = await bank.run(Banker)
    assert (outcome.status, outcome.reason) == ("denied", f"the output guard refused: {why}")
    assert outcome.output is None
    assert outcome.evidence == ()
