"""Personal and secret values, planted in real runs and looked for in all that leaves of them.

``python -m benchmarks.redaction``: at least 1,024 values of each kind in fields that types mark, as many in
free text for the kinds that are told by their form, and, apart, names and telephone numbers in free text that
nothing tells. They are in tasks, outputs, errors, exceptions, arguments and answers. Logs with texts at
DEBUG, spans with contents, metrics, search attributes, details, summaries and memo are searched, and an audit
bundle of all runs in the form that may be given away; in small letters, with and without separators.
"""

import argparse
import asyncio
import logging
import os
import random
import re
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Worker

from agentflow import AgentClient, AgentTask, tools_of
from agentflow.adapters.detect_secrets import DetectSecrets
from agentflow.adapters.dev_server import DevServer
from agentflow.contracts.approval import ApprovalRequest
from agentflow.contracts.escalation import Escalation, Resolution
from agentflow.contracts.messages import AssistantMessage
from agentflow.contracts.model import ModelCall
from agentflow.contracts.names import SEARCH_ATTRIBUTES
from agentflow.redaction import Redactor
from agentflow.telemetry.content import CAPTURE
from agentflow.telemetry.logs import configure_logs
from agentflow.telemetry.metering import configure_metrics
from agentflow.telemetry.tracing import configure_tracing
from agentflow.testing import ScriptedModel, answer, call, scripted_plugin
from benchmarks.command_line import machine, print_report
from benchmarks.redaction.agent import Clerk, Found, Office, Person, Ticket
from benchmarks.redaction.bundles import read_bundle
from benchmarks.redaction.sinks import Sinks, collector
from benchmarks.redaction.values import FREE, PATTERNED, TAGGED

IN_A_RUN = 8
"""Values of each kind: half of them first come up in the task, half in a tool's output."""
AT_ONCE = 16
SINKS = (
    *("logs", "spans", "metrics", "search_attributes", "details", "summaries", "memo"),
    *("decision_log", "shared_texts"),
)

Values = dict[str, list[str]]
_PLACEHOLDER = re.compile(r"\[(?:email|card|name|iban|ssn|phone|secret|api_key)\]")


@dataclass
class Plant:
    """What is planted in one run."""

    ticket: str
    tagged: Values
    patterned: Values
    free: Values
    run: str = field(default="")

    @staticmethod
    def made(number: int, chance: random.Random) -> "Plant":
        """Values of each kind."""

        def some(kinds: dict[str, object]) -> Values:
            return {kind: [make(chance) for _ in range(IN_A_RUN)] for kind, make in kinds.items()}  # type: ignore[operator]

        return Plant(f"ticket-{number}", some(dict(TAGGED)), some(dict(PATTERNED)), some(dict(FREE)))

    def people(self, first: int, last: int) -> list[Person]:
        """Somebody for each of the tagged values."""
        return [
            Person(**{kind: values[place] for kind, values in self.tagged.items()})
            for place in range(first, last)
        ]

    def letter(self) -> str:
        """A free text with all that is told by its form, and what nothing tells."""
        return f"{self.ticket}: " + "; ".join(
            v for kind in (self.patterned, self.free) for vs in kind.values() for v in vs
        )

    def complaint(self) -> str:
        """A free text with all that is tagged."""
        return f"{self.ticket} has " + ", ".join(v for values in self.tagged.values() for v in values)

    def office(self, office: Office) -> None:
        """Have the tools say it."""
        half = IN_A_RUN // 2
        office.outputs[self.ticket] = Found(people=self.people(half, IN_A_RUN), note=self.letter())
        office.errors[self.ticket] = (self.letter(), self.complaint())


def model(plants: dict[str, Plant]) -> ScriptedModel:
    """A model that finds, is refused, pays, breaks, and says all it knows."""

    def says(asked: ModelCall) -> AssistantMessage:
        first = next(m.text for m in asked.messages if m.kind == "user")
        found = re.search(r"ticket-\d+", first)
        assert found
        plant = plants[found[0]]
        turn = sum(1 for message in asked.messages if message.kind == "assistant")
        person = plant.people(0, 1)[0].model_dump()
        script = [
            call("find", ticket=plant.ticket),
            call("check", ticket=plant.ticket),
            call("pay", person=person, text=plant.complaint()),
            call("crash", ticket=plant.ticket),
            answer(f"{plant.letter()} {plant.complaint()}"),
        ]
        return script[min(turn, len(script) - 1)]

    return ScriptedModel(says)


async def one_run(agents: AgentClient, queue: str, plant: Plant, sinks: Sinks) -> None:
    """Start a run, look at it whenever it waits, and at the end."""
    task = AgentTask(
        input=Ticket(people=plant.people(0, IN_A_RUN // 2), text=plant.letter()), requested_by="ops"
    )
    plant.run = await agents.start(Clerk, task, task_queue=queue)
    handle: WorkflowHandle[object, object] = agents.temporal.get_workflow_handle(plant.run)
    asked = await _approval(agents, plant.run)
    await sinks.look(handle)
    await agents.approve(plant.run, asked.id, by="ann", reason=plant.complaint()[:1_900])
    await _escalation(agents, plant.run)
    await sinks.look(handle)
    await agents.resolve(plant.run, Resolution(action="guide", by="ann", text=plant.complaint()[:1_900]))
    outcome = await agents.result(plant.run, str)
    assert outcome.status == "completed", outcome.reason
    await sinks.look(handle)
    await sinks.read_history(handle)


async def _approval(agents: AgentClient, run: str) -> ApprovalRequest:
    while True:
        if waiting := (await agents.attention(run)).approvals:
            return waiting[0]


async def _escalation(agents: AgentClient, run: str) -> Escalation:
    while True:
        if found := (await agents.attention(run)).escalation:
            return found
        await asyncio.sleep(0.05)


async def measured(runs: int, seed: int) -> dict[str, object]:
    """All runs, and what is found of them."""
    chance = random.Random(seed)
    plants = [Plant.made(number, chance) for number in range(runs)]
    sinks, office = Sinks(), Office()
    for plant in plants:
        plant.office(office)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as directory, collector(sinks) as receiver:
        place = Path(directory)
        os.environ |= {CAPTURE: "true", "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint}
        redactor = Redactor(DetectSecrets())
        configure_logs(level=logging.DEBUG, file=place / "log", texts=redactor)
        tracing = configure_tracing(spool=place / "spool")
        async with (
            DevServer(ui=False, search_attributes=SEARCH_ATTRIBUTES) as server,
            configure_metrics() as metrics,
        ):
            plugin = scripted_plugin(
                model({plant.ticket: plant for plant in plants}),
                tools=tools_of(office),
                directory=place,
                redactor=redactor,
            )
            client = await Client.connect(server.address, plugins=[plugin], runtime=metrics.runtime)
            agents, free = AgentClient(client), asyncio.Semaphore(AT_ONCE)

            async def bounded(plant: Plant) -> None:
                async with free:
                    await one_run(agents, "redaction", plant, sinks)

            async with Worker(client, task_queue="redaction", workflows=[Clerk]):
                await asyncio.gather(*(bounded(plant) for plant in plants))
            await read_bundle(client, [plant.run for plant in plants], place, redactor, sinks)
        tracing.force_flush()
        tracing.shutdown()
        sinks.read_log(place / "log")
    took = time.perf_counter() - began
    return {**verdict(plants, sinks), "runs": runs, "seconds": round(took, 1)}


def verdict(plants: list[Plant], sinks: Sinks) -> dict[str, object]:
    """What was found where."""
    tagged, patterned, free = (
        _found([(plant.run, values) for plant in plants if (values := getattr(plant, group))], sinks)
        for group in ("tagged", "patterned", "free")
    )
    texts = {sink: "\n".join(t for texts in sinks.texts[sink].values() for t in texts) for sink in SINKS}
    return {
        "leaks": tagged.leaks.total() + patterned.leaks.total(),
        "leaks_by_sink": dict(tagged.by_sink + patterned.by_sink),
        "per_type": {"tagged": tagged.per_type(), "patterned": patterned.per_type()},
        "free_text": free.per_type(),
        "free_text_by_sink": dict(free.by_sink),
        "not_planted": tagged.not_planted + patterned.not_planted + free.not_planted,
        "kilobytes_searched": {sink: sinks.size(sink) // 1024 for sink in SINKS},
        "placeholders": {sink: len(_PLACEHOLDER.findall(text)) for sink, text in texts.items()},
        "texts_dropped": sum(text.count("[dropped:") for text in texts.values()),
    }


@dataclass
class _Group:
    planted: Counter[str] = field(default_factory=Counter[str])
    leaks: Counter[str] = field(default_factory=Counter[str])
    by_sink: Counter[str] = field(default_factory=Counter[str])
    not_planted: int = 0
    """Values that history doesn't have: to miss them elsewhere would say nothing."""

    def per_type(self) -> dict[str, dict[str, int]]:
        return {kind: {"planted": count, "found": self.leaks[kind]} for kind, count in self.planted.items()}


def _found(planted: list[tuple[str, Values]], sinks: Sinks) -> _Group:
    group = _Group()
    for run, kinds in planted:
        texts = {sink: sinks.whole(sink, run) for sink in SINKS}
        history = sinks.whole("history", run)
        for kind, values in kinds.items():
            group.planted[kind] += len(values)
            for value in values:
                group.not_planted += not _is_in(value, history)
                found = [sink for sink, text in texts.items() if _is_in(value, text)]
                group.by_sink.update(found)
                group.leaks[kind] += bool(found)
    return group


def _is_in(value: str, text: str) -> bool:
    bare = re.sub(r"[\s().+-]", "", value)
    return value.lower() in text or (bare.isdecimal() and bare in text)


def main() -> None:
    """Measure, and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, default=128)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--json", action="store_true", help="print the figures as JSON in the last line")
    chosen = options.parse_args()
    found = asyncio.run(measured(chosen.runs, chosen.seed))
    print(f"{found['runs']} runs in {found['seconds']} s; searched, in kB: {found['kilobytes_searched']}")
    print(f"in place of values: {found['placeholders']}; texts dropped: {found['texts_dropped']}")
    print(f"planted and not in history, so not looked for: {found['not_planted']}")
    groups: dict[str, dict[str, dict[str, int]]] = {**found["per_type"], "free text": found["free_text"]}  # type: ignore[dict-item]
    for group, kinds in groups.items():
        for kind, counts in kinds.items():
            print(f"  {group:<10} {kind:<15} planted {counts['planted']:>6}   found {counts['found']}")
    print(
        f"leaks: {found['leaks']} {found['leaks_by_sink']}; free text by sink: {found['free_text_by_sink']}"
    )
    if chosen.json:
        print_report({**found, **machine()}, as_json=True)
    sys.exit(0 if found["leaks"] == 0 and found["not_planted"] == 0 else 1)


if __name__ == "__main__":
    main()
