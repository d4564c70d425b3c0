"""A conversation that outgrew its model's context, made shorter.

A strategy looks at the outline of the conversation and says what may go. What it decides is an entry of
the transcript (``CompactionMessage``), so history and audit have what was said and what the model was shown.
"""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from agentflow.contracts.messages import CompactionMessage, Entry, Message, ToolMessage, UserMessage
from agentflow.contracts.wire import exactly
from agentflow.core.pricing import message_token_bound

CLEARED = "[this output was removed to save space; call the tool again if you need it]"
"""What the model sees in place of a tool's output that was cleared."""

_SUMMARISE = (
    "Summarise the conversation so far for yourself: the task, what was found out with exact names, numbers "
    "and ids, what was done and what is still to do. The summary replaces the conversation."
)


@dataclass(frozen=True)
class Outlined:
    """One message as a strategy sees it."""

    kind: Literal["user", "assistant", "tool"]
    tokens: int
    """An upper bound of its input tokens."""


Outline = tuple[Outlined, ...]


@dataclass(frozen=True)
class Summarise:
    """Have a model write what replaces the messages from ``start`` up to ``end``: a turn of its own."""

    start: int
    end: int
    instructions: str = _SUMMARISE
    model: int = -1
    """Which model of the route: by default the last, cheapest one."""


class CompactionStrategy(Protocol):
    """Says how a conversation gets shorter. Called in workflow code, so it is pure: no I/O, no clock."""

    @property
    def name(self) -> str:
        """Shown to the auditor."""
        ...

    def plan(self, outline: Outline, excess: int) -> CompactionMessage | Summarise | None:
        """What to do about a conversation that is too long.

        Args:
            outline: The messages that the model would see, the oldest first.
            excess: By how many tokens at least the outline must shrink.

        Returns:
            The compaction, or ``None`` when nothing may go: then a person is asked.
        """
        ...


NOTHING_MAY_GO = "nothing more may go"

Planned = tuple[CompactionMessage | Summarise | None, str]
"""A plan; or ``None``, and why."""


def planned(strategy: CompactionStrategy, outline: Outline, excess: int, models: int) -> Planned:
    """A strategy's plan, if it is one for this conversation. Never raises.

    Args:
        strategy: A user's own, perhaps.
        outline: What is to become shorter.
        excess: By how many tokens at least.
        models: How many the route has.
    """
    try:
        plan: object = strategy.plan(outline, excess)
        if plan is None:
            return None, NOTHING_MAY_GO
        if type(plan) is CompactionMessage:
            return shortening(outline, exactly(CompactionMessage, plan))
        if type(plan) is Summarise and _is_sound(plan, len(outline), models):
            return plan, ""
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        return None, f"the compaction failed: {type(error).__name__}"
    if inspect.iscoroutine(plan):
        plan.close()
    return None, f"the compaction answered {type(plan).__name__}, which is no plan for it"


def shortening(
    outline: Outline, compaction: CompactionMessage | None
) -> tuple[CompactionMessage | None, str]:
    """The compaction, if it makes the conversation shorter. One that doesn't would come again and again."""
    if compaction is None:
        return None, NOTHING_MAY_GO
    length = len(outline)
    is_there = compaction.start <= compaction.end <= length and compaction.clear_before <= length
    if not is_there or _tokens(compact_outline(outline, compaction)) >= _tokens(outline):
        return None, "the compaction makes it no shorter"
    return compaction, ""


def _tokens(outline: Outline) -> int:
    return sum(message.tokens for message in outline)


def _is_sound(plan: Summarise, length: int, models: int) -> bool:
    numbers = (plan.start, plan.end, plan.model)
    if any(type(number) is not int for number in numbers) or type(plan.instructions) is not str:
        return False
    return 0 <= plan.start < plan.end <= length and -models <= plan.model < models


@dataclass(frozen=True)
class ClearToolOutputs:
    """Clears the oldest outputs of tools: as many as must go, and half as much again.

    It clears more than must go, since each compaction makes a provider's prompt cache begin anew.
    """

    keep: int = 3
    """The latest outputs that always stay."""
    name: str = "clear_tool_outputs"

    def plan(self, outline: Outline, excess: int) -> CompactionMessage | None:
        """Clear outputs, the oldest first."""
        outputs = [place for place, message in enumerate(outline) if message.kind == "tool"]
        gained, before = 0, 0
        for place in outputs[: max(len(outputs) - self.keep, 0)]:
            gained += max(outline[place].tokens - _CLEARED_TOKENS, 0)
            before = place + 1
            if 2 * gained >= 3 * excess:
                break
        if gained < excess:
            return None
        return CompactionMessage(strategy=self.name, clear_before=before)


@dataclass(frozen=True)
class SummariseOldest:
    """Has the cheapest model of the route summarise all but the first message and the latest turns."""

    keep: int = 6
    """The latest messages that stay as they are; more, where a turn would be torn apart."""
    name: str = "summarise_oldest"

    def plan(self, outline: Outline, excess: int) -> Summarise | None:
        """Summarise what is between the task and the latest turns."""
        end = turn_start(outline, len(outline) - self.keep)
        gained = sum(message.tokens for message in outline[1:end])
        return Summarise(1, end) if end > 2 and gained > excess else None


def turn_start(outline: Outline, place: int) -> int:
    """The last place at or before ``place`` where a turn begins: no call is torn from its result there."""
    place = min(max(place, 0), len(outline))
    while 0 < place < len(outline) and outline[place].kind == "tool":
        place -= 1
    return place


def outlined(message: Message) -> Outlined:
    """A message's line in the outline."""
    return Outlined(message.kind, message_token_bound(message))


def compact_outline(outline: Outline, compaction: CompactionMessage) -> Outline:
    """The outline after a compaction."""
    cleared = tuple(
        replace(line, tokens=min(line.tokens, _CLEARED_TOKENS))
        if line.kind == "tool" and place < compaction.clear_before
        else line
        for place, line in enumerate(outline)
    )
    if compaction.start == compaction.end:
        return cleared
    return (*cleared[: compaction.start], outlined(_summary(compaction)), *cleared[compaction.end :])


def compacted(entries: Sequence[Entry]) -> tuple[Message, ...]:
    """What the model sees of a conversation, compactions carried out."""
    seen: list[Message] = []
    for entry in entries:
        # Not isinstance, which takes far longer for a pydantic class: each turn goes through all of it.
        if entry.kind == "compaction":
            seen = _compact(seen, entry)
        else:
            seen.append(entry)
    return tuple(seen)


def _compact(seen: list[Message], compaction: CompactionMessage) -> list[Message]:
    cleared: list[Message] = [
        message.model_copy(update={"content": CLEARED})
        if isinstance(message, ToolMessage) and place < compaction.clear_before
        else message
        for place, message in enumerate(seen)
    ]
    if compaction.start == compaction.end:
        return cleared
    return [*cleared[: compaction.start], _summary(compaction), *cleared[compaction.end :]]


def _summary(compaction: CompactionMessage) -> UserMessage:
    return UserMessage(text=compaction.summary, label="summary")


_CLEARED_TOKENS = len(CLEARED) + 100
"""An upper bound of a cleared output's tokens; 100 are for the tool's name and what is around the message."""
