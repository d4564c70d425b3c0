"""What a tool promises, what it is asked, and what it answers."""

from collections.abc import Collection
from datetime import timedelta
from decimal import Decimal
from string import Formatter
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from agentflow.contracts.derived import Derived
from agentflow.contracts.grounds import Grounds
from agentflow.contracts.rules import Decision
from agentflow.contracts.sources import ToolSource
from agentflow.contracts.tags import ToldValues
from agentflow.contracts.wire import (
    Contract,
    Duration,
    Json,
    Price,
    Sha256,
    ToolCallId,
    is_empty,
    is_false,
    is_none,
)
from agentflow.contracts.work import Work

Effect = Literal["read", "write", "irreversible"]
"""``read`` changes nothing; ``write`` can be undone by another act; ``irreversible`` cannot."""

Recovery = Literal["key", "probe", "ask"]
"""What happens when an earlier attempt died in the middle of a write.

``key``: the outside system honours the idempotency key, so the tool is called again with the same one.
``probe``: a function of the tool asks the outside system whether it happened. ``ask``: a person says.
"""

ToolErrorKind = Literal["unknown_tool", "invalid_arguments", "denied", "rejected", "failed", "invalid_output"]
"""Why a call has no output: it wasn't on offer; its arguments break the contract; a rule denied it; a
person (or a deadline) refused it; the tool said no; its output broke the contract."""


LOCAL_LIMIT = timedelta(seconds=5)
"""Longest time for one attempt of a local tool. A workflow task has 10 s; while it waits, the run can't be
asked anything."""


def _exact(value: object) -> object:
    if isinstance(value, float | bool):
        raise ValueError(f'a price is an exact amount, and {value!r} is none: write Decimal("0.10")')
    return value


CallPrice = Annotated[Price, BeforeValidator(_exact)]
"""Dollars for one call. A float is refused: 0.1 is no amount that it can hold."""


class RetryOptions(Contract):
    """How Temporal retries an activity."""

    max_attempts: int = Field(default=4, ge=1, le=100)
    """Attempts in all, the first one included."""
    initial_interval: Duration = timedelta(seconds=1)
    """Wait before the second attempt."""
    backoff: float = Field(default=2.0, ge=1)
    """Each wait is this many times the one before."""
    max_interval: Duration = timedelta(seconds=30)
    """No wait is longer."""

    @model_validator(mode="after")
    def _check_intervals(self) -> Self:
        if self.max_interval < self.initial_interval:
            raise ValueError(
                f"max_interval ({self.max_interval}) is shorter than initial_interval "
                f"({self.initial_interval}): give both"
            )
        return self


class ToolOptions(Contract):
    """How a tool runs, as against what it means."""

    start_to_close_timeout: Duration = timedelta(seconds=30)
    """Longest time for one attempt."""
    schedule_to_close_timeout: Duration | None = None
    """Longest time for all attempts, waiting for a worker included. ``None`` leaves it to the number of
    attempts, since the timer of each call would take a seventh of the server's time; on a ``task_queue`` of
    its own, where nobody may be listening, it is 10 minutes."""
    heartbeat_timeout: Duration = timedelta(seconds=20)
    """An attempt whose worker is silent this long counts as dead. The worker's event loop beats by
    itself while the tool awaits; a tool that blocks the loop is silent."""
    retry: RetryOptions = RetryOptions()
    max_effect_delay: timedelta = Field(default=timedelta(seconds=30), ge=timedelta(0))
    """Longest time in which a request that nobody waits for any more may still have its effect at the outside
    system: its own time-outs and queues. Until then no other attempt acts, and no probe's "no" is believed.
    Not waited for with ``recovery="key"``."""
    key_lifetime: Duration = timedelta(hours=24)
    """How long the outside system remembers an idempotency key; Stripe's do for 24 hours. With
    ``recovery="key"``, a person is asked after that."""
    cost_usd: CallPrice = Decimal(0)
    """Price of one call, charged to the run's budget for each attempt that was made or may have been."""
    probe_cost_usd: CallPrice | None = Field(default=None, exclude_if=is_none)
    """Price of one call of its probe, charged alike; ``None`` is that of a call of the tool."""
    task_queue: str | None = None
    """Task queue of the worker pool that runs it; ``None`` is the run's own."""
    max_argument_bytes: int = Field(default=256 * 1024, ge=1)
    """Longest arguments, as JSON in UTF-8; longer ones are refused before scheduling."""
    max_result_bytes: int = Field(default=256 * 1024, ge=1)
    """Longest output, as JSON in UTF-8; a longer one is refused on the worker. Beyond what a payload takes
    (``Manifest.max_payload_bytes``), the plugin needs ``external_storage``."""
    max_told_bytes: int = Field(default=64 * 1024, ge=1)
    """How much of an output the model is told, as JSON in UTF-8. Of a longer one it sees the beginning, the
    size and a handle; rules, citations and history have the whole."""


SinkKind = Literal["value", "words", "links"]
"""``value``: the argument itself says where to or what. ``words``: each of its words does, as the date and
the time of ``2026-05-20 10:00`` do. ``links``: of a text, the URLs, host names and e-mail addresses do."""


class Sink(Contract):
    """An argument of consequence: recipient, account, URL, amount, id. Rules ask where its value is from."""

    argument: str
    kind: SinkKind = "value"
    derived: Derived | None = Field(default=None, exclude_if=is_none)
    """How its value may be worked out of trusted numbers, where it is none of them itself."""

    @staticmethod
    def of(sink: "str | Sink") -> "Sink":
        """A sink, which its argument's name may stand for."""
        return Sink(argument=sink) if isinstance(sink, str) else sink

    @model_validator(mode="after")
    def _check_derived(self) -> Self:
        if self.derived is None:
            return self
        if self.kind != "value":
            raise ValueError(f'the sink {self.argument!r} is derived: only kind="value" can be')
        if self.argument in self.derived.arguments:
            raise ValueError(f"the sink {self.argument!r} is derived of itself: anything would do")
        return self


def check_sentence(sentence: str, arguments: Collection[str]) -> None:
    """See to it that a sentence's ``{places}`` are arguments, as they are: no formats, no attributes.

    Raises:
        ValueError: one is not.
    """
    for _, name, form, conversion in Formatter().parse(sentence):
        if name is not None and (name not in arguments or form or conversion):
            known = ", ".join(arguments) or "none"
            raise ValueError(f"the sentence's {{{name}}} is no argument of it; there are: {known}")


class ToolContract(Contract):
    """What a tool promises. JSON Schemas are of Draft 2020-12."""

    name: str = Field(pattern=r"^[a-zA-Z][a-zA-Z0-9_]{0,63}$")
    description: str
    input_schema: dict[str, Json]
    output_schema: dict[str, Json]
    effect: Effect
    scopes: tuple[str, ...] = ()
    """Permissions it needs. A release that doesn't grant all of them can't use it."""
    sinks: tuple[Sink, ...] | None = Field(default=None, exclude_if=is_none)
    """Arguments of consequence; ``None``, where nobody has said, is all of them."""
    trusted_output: bool = Field(default=False, exclude_if=is_false)
    """Whether its word may be taken: a directory, a price list. Never what outsiders wrote."""
    recovery: Recovery = "ask"
    local: bool = Field(default=False, exclude_if=is_false)
    """Whether a call runs as a local activity: in the workflow's own worker, within its workflow task. Takes
    one event of history in place of six. For reads of a few seconds at most."""
    options: ToolOptions = ToolOptions()
    sentence: str | None = Field(default=None, exclude_if=is_none)
    """What a call does, for whoever approves it: ``Refund {amount_cents} cents of {payment_id}``."""
    source: ToolSource | None = Field(default=None, exclude_if=is_none)
    """Where the contract is from, if it is none of our own functions."""
    effect_is_claimed: bool = Field(default=False, exclude_if=is_false)
    """Whether that it only reads is the word of the server that it is from, and nobody else's."""

    @property
    def import_digest(self) -> Sha256 | None:
        """Names the import that it is from; ``None`` for a function of our own."""
        return self.source.digest if self.source else None

    @property
    def sure_effect(self) -> Effect:
        """What rules may rest on: a tool that only claims to read may do anything."""
        return "irreversible" if self.effect_is_claimed else self.effect

    @model_validator(mode="after")
    def _check_sentence(self) -> Self:
        if self.sentence is not None:
            check_sentence(self.sentence, self.input_schema.get("properties", {}))
        return self

    @model_validator(mode="after")
    def _check_sinks(self) -> Self:
        properties = self.input_schema.get("properties", {})
        for sink in self.sinks or ():
            known = ", ".join(properties) or "none"
            if sink.argument not in properties:
                raise ValueError(f"the sink {sink.argument!r} is no argument of it; there are: {known}")
            for name in sink.derived.arguments if sink.derived else ():
                if name not in properties:
                    raise ValueError(
                        f"the sink {sink.argument!r} is derived of {name!r}, which is no argument of it; "
                        f"there are: {known}"
                    )
        return self

    @property
    def probe_cost_usd(self) -> Decimal:
        """Price of one call of its probe; zero where it is never asked."""
        if self.effect == "read" or self.recovery != "probe":
            return Decimal(0)
        own = self.options.probe_cost_usd
        return self.options.cost_usd if own is None else own

    @model_validator(mode="after")
    def _check_prices(self) -> Self:
        # Options that were changed by ``model_copy`` have been checked by nobody.
        ToolOptions.model_validate(self.options.model_dump(warnings=False))
        return self

    @model_validator(mode="after")
    def _check_local(self) -> Self:
        if not self.local:
            return self
        if self.effect != "read":
            raise ValueError('only reads can be local: a write needs its own record; use effect="read"')
        if self.options.cost_usd:
            raise ValueError(
                "a local tool has no price, as an attempt whose worker dies leaves no trace to charge for: "
                "leave local or options.cost_usd out"
            )
        if self.options.task_queue is not None:
            raise ValueError("a local tool runs in the run's own worker: leave task_queue out")
        if self.options.start_to_close_timeout > LOCAL_LIMIT:
            raise ValueError(
                f"a local tool takes {LOCAL_LIMIT.total_seconds():g} s at most, since it holds up a workflow "
                "task: lower options.start_to_close_timeout, or leave local out"
            )
        return self


class ToolInvocation(Contract):
    """The argument of a tool's activity: the call, and the decision that allowed it."""

    call_id: ToolCallId
    arguments: dict[str, Json]
    decision: Decision
    ledger_key: Sha256
    """``hash(run root, call index, tool)``: the same for every attempt and reset."""
    takes: str = Field(default="", exclude_if=is_empty)
    """Names what the run takes the tool for: ``core.catalog.what_it_takes`` of its contract."""
    source: Sha256 | None = Field(default=None, exclude_if=is_none)
    """Of an imported tool: the digest of the import that the run has."""
    known: ToldValues | None = Field(default=None, exclude_if=is_none)
    """The run's marked values, where the run's worker has a redactor."""
    grounds: Grounds | None = Field(default=None, exclude_if=is_none)
    """What a write rests on."""
    work: Work | None = Field(default=None, exclude_if=is_none)
    """What a write does, and for which run."""


class ToolError(Contract):
    """Why there is no output, in words the model can act on."""

    kind: ToolErrorKind
    message: str


class Billed(Contract):
    """What the attempts of one activity have called, or may have: each call may be billed."""

    before: int = Field(default=0, ge=0)
    """How many attempts before the last one may have called the tool once, and its probe once."""
    calls: int = Field(default=0, ge=0)
    """Calls of the tool that the last attempt made."""
    probes: int = Field(default=0, ge=0)
    """Calls of its probe that the last attempt made."""


ONE_CALL = Billed(calls=1)
"""Of a tool that answered at its first attempt."""


def _is_one_call(value: object) -> bool:
    return value == ONE_CALL


class ToolResult(Contract):
    """What a call came to: an output, or an error that the model reads."""

    call_id: ToolCallId = Field(default=ToolCallId(""), exclude_if=is_empty)
    """The call's id, for citations."""
    output: Json = None
    error: ToolError | None = Field(default=None, exclude_if=is_none)
    replayed: bool = Field(default=False, exclude_if=is_false)
    """True when the ledger held the result of an earlier attempt and the tool was not called."""
    counted: str | None = Field(default=None, exclude_if=is_none)
    """Which earlier run of the workflow id did it, where its effect is counted for this call's: the model is
    told."""
    stored: bool = Field(default=False, exclude_if=is_false)
    """True when the run's history has this as its activity gave it, so that a chat can name its text by hash.
    The workflow says so."""
    billed: Billed = Field(default=ONE_CALL, exclude_if=_is_one_call)
    """What its activity has called, or may have."""
    told_bytes: int | None = Field(default=None, exclude_if=is_none)
    """How much of a long output the model is told; ``None`` is all."""

    @property
    def ok(self) -> bool:
        """Whether the tool did what was asked."""
        return self.error is None
