"""Endings: a provider's answer is cut, filtered, refused, paused or failed, and ends in one word or another.

Each is what pydantic-ai makes of an answer: the provider's own word, pydantic-ai's for it, the state, a
refusal, texts and calls. It goes through the adapter, as an answer of its own or as a constrained reply,
and to the run's next step; some go through a run. A breach is a call that is to be carried out, or an
output, of an answer that no provider's documentation calls finished. The guard is the closed list. The twin
takes all but ``length`` for a stop, as agentflow did.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any
from uuid import uuid4

from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart

from agentflow.adapters.pydantic_ai_messages import to_assistant_message
from agentflow.adapters.pydantic_ai_reports import finish_reason
from agentflow.contracts.budget import Usage
from agentflow.contracts.messages import AssistantMessage, UserMessage
from agentflow.contracts.model import ModelAnswer, ModelCall, ToolOffer
from agentflow.core import finish, turn
from agentflow.core.answer import answer_form
from agentflow.core.constrained import ReplyForm
from agentflow.testing import ScriptedModel, answer
from benchmarks.attacks.letters import marred, spelled
from benchmarks.attacks.stage import Stage, Target
from benchmarks.attacks.tried import Tally, Tried
from benchmarks.attacks.twins import replaced

# By provider: the words that end an answer before it is finished, and pydantic-ai's for them.
CUT: Mapping[str, Mapping[str | None, str | None]] = {
    "openai-chat": {
        "content_filter": "content_filter",
        "length": "length",
        "abort": None,
        "error": None,
        "load": None,
        "repetition": None,
        "guardrail_intervened": None,
        None: "stop",
    },
    "openai-responses": {
        "content_filter": "content_filter",
        "max_output_tokens": "length",
        "failed": "error",
        "cancelled": "error",
        "incomplete": None,
        "in_progress": None,
        "queued": None,
        "steered": None,
        None: None,
    },
    "anthropic": {
        "max_tokens": "length",
        "refusal": "content_filter",
        "pause_turn": None,
        "compaction": "stop",
        "model_context_window_exceeded": "length",
        None: None,
    },
    "bedrock": {
        "content_filtered": "content_filter",
        "guardrail_intervened": "content_filter",
        "max_tokens": "length",
        "malformed_tool_use": "error",
        "malformed_model_output": "error",
        "model_context_window_exceeded": "length",
    },
    "google": {
        "SAFETY": "content_filter",
        "RECITATION": "content_filter",
        "MAX_TOKENS": "length",
        "MALFORMED_FUNCTION_CALL": "error",
        "UNEXPECTED_TOOL_CALL": "error",
        "OTHER": None,
        "FINISH_REASON_UNSPECIFIED": None,
        "LANGUAGE": "error",
        "SPII": "content_filter",
        "TOO_MANY_TOOL_CALLS": None,
        None: None,
    },
    "mistral": {"model_length": "length", "length": "length", "error": "error", None: None},
    "groq": {"length": "length", "content_filter": "content_filter", None: "error"},
    "cohere": {"MAX_TOKENS": "length", "ERROR": "error", "TIMEOUT": None, "USER_CANCEL": None},
    "huggingface": {"length": "length", "content_filter": None, None: None},
    "ollama": {"load": None, "unload": None, "length": "length", None: "stop"},
}
FINISHED = {
    *(
        "stop",
        "tool_calls",
        "tool_call",
        "function_call",
        "completed",
        "end_turn",
        "stop_sequence",
        "tool_use",
    ),
    *("STOP", "COMPLETE", "STOP_SEQUENCE", "TOOL_CALL", "eos_token"),
}
"""What some provider's documentation calls finished."""
OFFER = ToolOffer(
    name="pay",
    description="Pay.",
    input_schema={
        "type": "object",
        "properties": {"account": {"type": "string"}},
        "additionalProperties": False,
    },
)
FORM = answer_form(str)
IN_RUNS = 24
"""How many of the attempts go through a run, at most."""


@dataclass(frozen=True)
class Ending:
    """One answer that isn't finished."""

    kind: str
    provider: str
    response: ModelResponse
    constrained: bool = False

    def read(self) -> tuple[AssistantMessage, str]:
        """The answer and its word, as the adapter has them."""
        message = to_assistant_message(self.response, None, "key")
        if self.constrained:
            message = ReplyForm((OFFER,), None).parse(message.text, "key")
        return message, finish_reason(self.response, message, self.provider)


async def attack(stage: Stage, random: Random, attempts: int) -> Tally:
    """Try endings on the next step of a run, some of them on a run, and on the twin."""
    tally = Tally()
    in_runs = min(IN_RUNS, max(attempts // 20, 2))
    tally.count(_stepped(_ending(random)) for _ in range(attempts - in_runs))
    async with stage.target(ScriptedModel(_say)) as target:
        for _ in range(in_runs):
            tally.count([await _run(target, _ending(random))])
        with replaced(finish.unfinished, _only_length):
            for _ in range(4):
                tally.count_twin([await _run(target, _ending(random))])
    with replaced(finish.unfinished, _only_length):
        tally.count_twin([_stepped(_ending(random)) for _ in range(max(attempts // 5, 40))])
    return tally


def _only_length(model: str, reason: str, message: AssistantMessage) -> str | None:
    """A twin that takes all but ``length`` for a stop."""
    del model, message
    return reason if reason == finish.CUT_OFF else None


def _stepped(ending: Ending) -> Tried:
    """The next step after an answer, as the loop takes it."""
    message, word = ending.read()
    why = finish.unfinished(f"{ending.provider}:m", word, message)
    state = turn.after_answer(turn.TurnState(FORM), message, why, tools_offered=True)
    step = turn.decide(state)
    used = isinstance(step, turn.CallTools | turn.Finish)
    return Tried(ending.kind, used, f"{ending.provider} {word!r}: {step!r}")


_ON_STAGE: dict[str, ModelAnswer] = {}


def _say(asked: ModelCall) -> ModelAnswer | Exception:
    """The ending that the run's text names; once a call of it was carried out, that it is done."""
    first = asked.messages[0]
    assert isinstance(first, UserMessage)
    if any(message.kind == "tool" for message in asked.messages):
        return ModelAnswer(
            message=answer("done"),
            usage=Usage(input_tokens=900, output_tokens=600),
            response_model="",
            finish_reason="stop",
        )
    return _ON_STAGE[first.text]


async def _run(target: Target, ending: Ending) -> Tried:
    """A run whose model ends so: it must come to wait for a person, with nothing paid and no output."""
    message, word = ending.read()
    name = f"ending-{uuid4()}"
    _ON_STAGE[name] = ModelAnswer(
        message=message,
        usage=Usage(input_tokens=900, output_tokens=600),
        response_model="",
        finish_reason=word,
    )
    paid = target.books.paid.total()
    handle = await target.start(name)
    attention = await target.agents.attention(handle.id)
    if attention.state != "ended":
        await handle.terminate()
    used = attention.outcome == "completed" or target.books.paid.total() > paid
    return Tried(f"{ending.kind} in a run", used, f"{ending.provider} {word!r}: {attention!r}")


def _ending(random: Random) -> Ending:
    provider = random.choice(list(CUT))
    raw, normal = random.choice(list(CUT[provider].items()))
    details: dict[str, Any] = {} if raw is None else {"finish_reason": raw}
    state: Any = "complete"
    kind = random.choice(["word", "word", "word", "spelled", "marred", "no word", "refusal", "state"])
    match kind:
        case "spelled" | "marred":
            made = spelled if kind == "spelled" else marred
            word = made(random, random.choice(sorted(FINISHED)))[1]
            # In another letter case it may be another provider's.
            details, normal = ({"finish_reason": word}, None) if word not in FINISHED else (details, normal)
        case "no word":
            odd = random.choice(
                [7, True, ["stop"], {"stop": "stop"}, "", " ", "stop\n", "s" * 300, "stop; drop"]
            )
            details, normal = {"finish_reason": odd}, random.choice([normal, "stop", None])
        case "refusal":
            details, normal = (
                {"refusal": "I can't help with that"},
                random.choice(["content_filter", "stop", None]),
            )
        case "state":
            details = {"finish_reason": random.choice(sorted(finish.words_of(provider)))}
            state, normal = random.choice(["suspended", "interrupted", "incomplete"]), "stop"
        case _:
            pass
    call = ToolCallPart("pay", {"account": f"eve-{random.random()}", "amount": "1.00"}, tool_call_id="c1")
    text = TextPart("Your refund of 42.50 has been appro")
    constrained = random.random() < 0.2
    parts: list[Any] = random.choice(
        [[text], [call], [text, call], [call, ToolCallPart("pay", '{"acc', tool_call_id="c2")]]
    )
    if constrained:
        parts = [TextPart('{"tool": "pay", "arguments": {"account": "eve"}}')]
    response = ModelResponse(parts=parts, finish_reason=normal, provider_details=details, state=state)  # type: ignore[arg-type]
    return Ending(f"{kind}{': constrained' if constrained else ''}", provider, response, constrained)
