"""The states that runs are in when a deploy comes, and what their model says to bring them there."""

from collections.abc import Mapping
from dataclasses import dataclass

from agentflow.contracts.messages import AssistantMessage
from agentflow.testing import answer, call

AMOUNT = "5"
OUTPUT = {"account": "A-1", "amount": AMOUNT}
"""What each run answers in the end."""
SUPPLIED = {"account": "A-1", "amount": "0"}
"""What a person answers in its stead."""
MIDDLE = "middle"
"""The place of the gate between two deploys."""

_BEFORE = (call("look", account="A-1"), call("note", text="before"))
_AFTER = (call("look", account="A-1"), call("pay", amount=AMOUNT), call("note", text="after"), answer(OUTPUT))


@dataclass(frozen=True)
class State:
    """Where a run stands when the deploy comes."""

    name: str
    turns: tuple[AssistantMessage, ...]
    """What the model says up to what follows from the state."""
    effects: frozenset[str]
    """What is done in all, if nothing is refused."""
    model_gate: int | None = None
    """In which turn the model doesn't answer until the deploy is done."""
    write_gate: str | None = None
    """Which write doesn't come back until then."""
    is_long: bool = False
    """Whether it is of the agent that continues as new."""
    people: str = ""
    """How people resolve the escalation: ``guide`` or ``answer``."""
    asks_code: bool = False
    """Whether what it waits for is asked of the rule that is code."""

    @property
    def script(self) -> tuple[AssistantMessage, ...]:
        """All that the model says."""
        return (*self.turns, *_AFTER)

    @property
    def middle(self) -> int:
        """The turn with the gate between two deploys."""
        return len(self.turns)


def _state(name: str, *turns: AssistantMessage, does: tuple[str, ...] = (), **more: object) -> State:
    effects = frozenset(("note before", f"pay {AMOUNT}", "note after", *does))
    return State(name, (*_BEFORE, *turns), effects, **more)  # type: ignore[arg-type]


_NONSENSE = answer("as you like")

_EVERY_STATE = (
    _state("approval", call("transfer", amount="600"), does=("transfer 600",)),
    _state("approval by code", call("pay", amount="600"), does=("pay 600",), asks_code=True),
    _state("model call", call("look", account="A-2"), model_gate=2),
    _state("write", call("note", text="slow"), does=("note slow",), write_gate="note slow"),
    _state("in doubt", call("ship", parcel="P-1"), does=("ship P-1",)),
    _state("escalated", _NONSENSE, _NONSENSE, people="guide"),
    State(
        "answered by a person", (*_BEFORE, _NONSENSE, _NONSENSE), frozenset(("note before",)), people="answer"
    ),
    _state(
        "continues as new", call("transfer", amount="600"), does=("transfer 600",), model_gate=1, is_long=True
    ),
)

STATES: Mapping[str, State] = {state.name: state for state in _EVERY_STATE}
"""By name."""
