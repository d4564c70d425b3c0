"""What happens in every arm: the task, what the model says, what the tool answers."""

from dataclasses import dataclass

INSTRUCTIONS = (
    "You look records up, one after the other, and say when you are done. Never guess what a record says; "
    "look it up. Answer with one word when every record has been seen."
)
OUTPUT_BYTES = 2_000


@dataclass(frozen=True)
class Job:
    """What one run has to do."""

    turns: int

    @property
    def text(self) -> str:
        """As the first message of the conversation."""
        return f"Look at {self.turns} records."

    @property
    def steps(self) -> int:
        """Model calls and tool calls."""
        return 2 * self.turns + 1


def turns_of(text: str) -> int:
    """How many turns the first message asks for."""
    return int(text.split()[2])


def record_text(number: int) -> str:
    """What the tool answers: text of ``OUTPUT_BYTES`` that differs from record to record."""
    line = f"record {number}: account in good standing, last seen at step {number * 7919 % 10_000}; "
    return (line * (OUTPUT_BYTES // len(line) + 1))[:OUTPUT_BYTES]
