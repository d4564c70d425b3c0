"""Usage reports: a provider, or a gateway before it, reports for a call what can't have been used.

Or another model answered than the one that was asked. The report goes through the adapter, as pydantic-ai
hands it on, and is settled on a run's budget. A breach is a charge below the worst case that is on no
record, one below what was reported, or one above the worst case after which the run goes on. The guards are
that a report is held against itself, the text and the worst case, and that a name is only the model's own.
Each has a twin without it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from types import SimpleNamespace
from typing import Any, cast

from pydantic_ai.messages import ModelResponse, ModelResponsePart, TextPart, ToolCallPart
from pydantic_ai.usage import RequestUsage

from agentflow.adapters.pydantic_ai_reports import to_usage
from agentflow.contracts.budget import Budget, Usage
from agentflow.contracts.messages import AssistantMessage, ToolCall
from agentflow.contracts.model import ChatResponse, ModelPrice, ModelSpec
from agentflow.contracts.wire import ToolCallId
from agentflow.core import model_names, usage
from agentflow.core.budget import Purse, attempts
from agentflow.core.pricing import cost_usd, worst_case
from agentflow.workflow.charging import Reserved, settle
from agentflow.workflow.run import Run
from benchmarks.attacks.stage import Stage
from benchmarks.attacks.tried import Tally, Tried
from benchmarks.attacks.twins import replaced

ASKED = "openai:gpt-4o"
VERSIONS = ("gpt-4o-2024-08-06", "gpt-4o", "GPT-4o", "models/gpt-4o", "")
WORDS = ("refund", "the", "order", "of", "Alice", "naïve", "数据", "🙂", "42.50", "because", "-", "\n")


@dataclass(frozen=True)
class Lie:
    """One report, and what must come of it."""

    kind: str
    usage: Usage
    message: AssistantMessage
    prompt_bytes: int
    model: str = ""
    price: ModelPrice | None = None
    """Of the model that answered, where the worker's price book knows it."""
    wants: str = "worst"
    """``worst``: the worst case, and a note; ``stop``: the run stops; ``dear``: its price, and a note."""


@dataclass
class Charged:
    """A run's books, as far as a charge touches them."""

    purse: Purse
    turn: int = 1
    measured: tuple[int, int] | None = None
    other_models: frozenset[tuple[str, str]] = frozenset()
    notes: list[str] = field(default_factory=list[str])
    log: Any = field(default_factory=lambda: SimpleNamespace(debug=lambda *_, **__: None))

    def note(self, subject: str, accepted: bool, detail: str) -> None:
        """Keep a line of the decision log."""
        del subject, accepted
        self.notes.append(detail)


async def attack(stage: Stage, random: Random, attempts: int) -> Tally:
    """Try reports, and some of them on twins."""
    del stage
    tally = Tally()
    tally.count(_tried(_lie(random), random) for _ in range(attempts))
    for twin in (_taken_at_their_word, _without_a_bound, _by_how_they_begin):
        with twin():
            tally.count_twin([_tried(_lie(random), random) for _ in range(max(attempts // 8, 40))])
    return tally


def _taken_at_their_word() -> AbstractContextManager[None]:
    """A twin that believes each report, as most programs do."""

    def fine(*_: object) -> tuple[str, ...]:
        return ()

    return replaced(usage.contradictions, fine)


def _without_a_bound() -> AbstractContextManager[None]:
    """A twin that goes on whatever a call cost."""

    def fine(*_: object) -> None:
        return None

    return replaced(usage._excess, fine)  # pyright: ignore[reportPrivateUsage]


@contextmanager
def _by_how_they_begin() -> Iterator[None]:
    """A twin that takes each name that begins alike for the model's."""

    def alike(asked: str, answered: str, known_as: Sequence[str] = ()) -> bool:
        del known_as
        return answered.lower().startswith(asked.partition(":")[2][:4].lower())

    with replaced(model_names.is_same_model, alike):
        yield


def _tried(lie: Lie, random: Random) -> Tried:
    price = ModelPrice(
        input_usd_per_mtok=Decimal(random.choice(["0.05", "1", "15", "75.5"])),
        output_usd_per_mtok=Decimal(random.choice(["0.4", "4", "75", "150"])),
    )
    worst = worst_case(price, lie.prompt_bytes + 2_000, 1_024)
    tries = random.randint(1, 4)
    model, before = ModelSpec(name=ASKED, price=price), random.randint(0, tries - 1)
    reserve = attempts(worst, tries)
    run = Charged(Purse(Budget(cost_usd=reserve.cost_usd, model_calls=None)).reserve("chat", reserve))
    response = ChatResponse(
        text=lie.message.text,
        tool_calls=lie.message.tool_calls,
        usage=lie.usage,
        head="0" * 16,
        response_model=lie.model,
        response_price=lie.price,
        attempt=before + 1,
    )
    stop = settle(cast(Run, run), Reserved("chat", model, worst, tries, lie.prompt_bytes), response)
    paid = run.purse.settled.cost_usd - worst.cost_usd * before
    reported = max(cost_usd(lie.usage, one) for one in (price, lie.price) if one)
    wrong = _wrong(
        lie, paid, max(reported, worst.cost_usd if lie.wants == "worst" else Decimal(0)), stop, run
    )
    return Tried(lie.kind, wrong is not None, f"{wrong}: {lie.usage!r} by {lie.model!r}, charged {paid}")


def _wrong(lie: Lie, paid: Decimal, least: Decimal, stop: str | None, run: Charged) -> str | None:
    if paid < least:
        return f"less than {least}"
    limit = run.purse.budget.cost_usd or Decimal(0)
    if stop is None and (lie.wants == "stop" or run.purse.settled.cost_usd > limit):
        return "above the worst case, and the run goes on"
    if run.purse.reservations:
        return "something is still set aside"
    return None if run.notes else "nothing is on record"


Odd = Callable[[Random, Mapping[str, int], int], Mapping[str, Any]]
"""Given true figures and the bytes of the prompt: those that are reported otherwise."""


def _cached(random: Random, true: Mapping[str, int], prompt: int) -> Mapping[str, Any]:
    del prompt
    above = true["input_tokens"] + random.choice([1, 7, 10_000])
    read = random.randint(0, above)
    return {"cache_read_tokens": read, "cache_write_tokens": above - read}


def _no_number(random: Random, true: Mapping[str, int], prompt: int) -> Mapping[str, Any]:
    del prompt
    odd = random.choice([None, "12", 3.5, float("nan"), float("inf"), True, 10**30, [1], {}])
    return {random.choice([*true, "cache_read_tokens", "output_reasoning_tokens"]): odd}


def _far_above(random: Random, true: Mapping[str, int], prompt: int) -> Mapping[str, Any]:
    del prompt
    return {random.choice(list(true)): random.randint(10**8, 10**9)}


ODD: Mapping[str, Odd] = {
    "no output": lambda random, true, prompt: {"output_tokens": 0},
    "little output": lambda random, true, prompt: {"output_tokens": random.randint(0, 1)},
    "no input": lambda random, true, prompt: {"input_tokens": 0},
    "little input": lambda random, true, prompt: {"input_tokens": random.randint(0, prompt // 4_096)},
    "reasoning": lambda random, true, prompt: {
        "output_reasoning_tokens": true["output_tokens"] + random.choice([1, 7, 10_000])
    },
    "total": lambda random, true, prompt: {
        "details": {"total_tokens": sum(true.values()) + random.choice([1, 7, 10_000])}
    },
    "cached": _cached,
    "negative": lambda random, true, prompt: {random.choice(list(true)): -random.choice([1, 7, 10_000])},
    "no number": _no_number,
    "absent": lambda random, true, prompt: {"unmeasured_requests": 1},
    "nothing": lambda random, true, prompt: {"input_tokens": 0, "output_tokens": 0},
}
DEAR = ModelPrice(input_usd_per_mtok=Decimal(200), output_usd_per_mtok=Decimal(900))


def _lie(random: Random) -> Lie:
    message, prompt = _message(random), random.choice([0, 900, 20_000, 400_000])
    # Honest, but for what follows: a token for three or four characters.
    true = {
        "input_tokens": prompt // 4 + 50,
        "output_tokens": len(message.model_dump_json()) // 3 + 10,
    }

    def reported(odd: Odd = lambda *_: {}) -> Usage:
        return to_usage(
            ModelResponse(_parts(message), usage=RequestUsage(**{**true, **odd(random, true, prompt)}))
        )

    kind = random.choice([*ODD, "far above", "unknown model", "dear model"])
    name = random.choice(VERSIONS)
    match kind:
        case "far above":
            return Lie(kind, reported(_far_above), message, prompt, name, wants="stop")
        case "unknown model":
            return Lie(kind, reported(), message, prompt, _other(random))
        case "dear model":
            return Lie(kind, reported(), message, prompt, _other(random), DEAR, "dear")
        case _:
            return Lie(kind, reported(ODD[kind]), message, prompt, name)


def _parts(message: AssistantMessage) -> list[ModelResponsePart]:
    calls = [ToolCallPart(call.tool, call.arguments, tool_call_id=call.id) for call in message.tool_calls]
    return [*([TextPart(message.text)] if message.text else []), *calls]


def _other(random: Random) -> str:
    """The name of another model, which looks like the one that was asked."""
    end = random.choice(["mini", "32k", "audio-preview", "but-dear", "2024-13-45", "8192", "pro", "x" * 40])
    return random.choice(
        [f"gpt-4o-{end}", f"gpt-4o{end}", f"gpt-4o-2024-08-06-{end}", f"{end}/gpt-4o", "o1-pro"]
    )


def _message(random: Random) -> AssistantMessage:
    text = " ".join(random.choice(WORDS) + str(random.random())[2:6] for _ in range(random.randint(60, 300)))
    if random.random() < 0.3:
        arguments = {"account": "eve", "note": text}
        return AssistantMessage(tool_calls=(ToolCall(id=ToolCallId("c"), tool="pay", arguments=arguments),))
    return AssistantMessage(text=text)
