"""What a ledger keeps of itself: its name, the place it was made in, and what operators said of it.

A copy of a ledger has the card of the one it was copied from, and lies in another place: so it is told apart.
"""

from datetime import UTC, datetime
from typing import Self
from uuid import uuid4

from pydantic import Field, ValidationError

from agentflow.contracts.ledger import MAX_PREDECESSORS, Adoption, LedgerIdentity, Predecessor
from agentflow.contracts.wire import Contract, is_empty
from agentflow.errors import LedgerError, LedgerMovedError

_TIMELINE = "/timeline "
"""Before the last part of a place, for a store whose standby may take over."""


def place_with_timeline(place: str, timeline: str) -> str:
    """A place that becomes another one when a standby takes over, which may have lost the newest records."""
    return f"{place}{_TIMELINE}{timeline}"


class LedgerCard(Contract):
    """A ledger's record of itself, as JSON in the ledger."""

    id: str = Field(min_length=1, max_length=64)
    place: str
    """Where it lies, in the words of its kind: a file's inode, a database's and a table's number."""
    made_at: datetime
    trusts_failovers: bool = False
    """Whether an operator said that a standby that takes over has lost nothing."""
    stands_for: tuple[Predecessor, ...] = Field(default=(), exclude_if=is_empty)
    adopted: tuple[Predecessor, ...] = Field(default=(), exclude_if=is_empty)
    """What operators said when nothing was lost: on record, and of no further meaning."""

    @classmethod
    def new(cls, place: str) -> Self:
        """The card of a ledger that is just made."""
        return cls(id=uuid4().hex, place=place, made_at=datetime.now(UTC))

    @classmethod
    def read(cls, text: str, name: str) -> Self:
        """A card as the ledger has it.

        Args:
            text: JSON.
            name: The ledger's, for errors.

        Raises:
            LedgerError: it is none that this version of agentflow knows.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise LedgerError(
                f"the effect ledger {name} can't be used: its record of itself is damaged, or of another "
                "version of agentflow"
            ) from error

    def identity(self, here: str, name: str) -> LedgerIdentity:
        """Which ledger it is.

        Args:
            here: Where it lies now.
            name: The ledger's, for errors.

        Raises:
            LedgerError: it lies in another place than it was made in: it is a copy.
        """
        if not self.is_at(here):
            raise LedgerError(_why_not(self, here, name))
        return LedgerIdentity(id=self.id, stands_for=self.stands_for)

    def adopted_by(self, adoption: Adoption, here: str) -> Self:
        """The card after an operator's word.

        Raises:
            ValueError: it is to stand for another ledger, of which nothing is lost, or for too many.
        """
        said = Predecessor(id=self.id, lost=adoption.lost, by=adoption.by, at=datetime.now(UTC))
        changes: dict[str, object] = {"place": here}
        if adoption.trust_failovers:
            changes["trusts_failovers"] = True
        if adoption.instead_of is not None:
            if not adoption.lost:
                raise ValueError("say what of the other ledger may be missing: all of it, say")
            if adoption.instead_of == self.id:
                raise ValueError(f"{self.id} is this very ledger")
            before = (*self.stands_for, said.model_copy(update={"id": adoption.instead_of, "is_other": True}))
            changes["stands_for"] = before
        elif adoption.lost:
            # Its runs go on with it, as it stands for what it was, and with more care.
            changes |= {"id": uuid4().hex, "stands_for": (*self.stands_for, said)}
        else:
            changes["adopted"] = (*self.adopted, said)[-MAX_PREDECESSORS:]
        changed = self.model_copy(update=changes)
        if len(changed.stands_for) > MAX_PREDECESSORS:
            raise ValueError(f"it stands for {MAX_PREDECESSORS} ledgers already: make a new one")
        return changed

    def is_at(self, here: str) -> bool:
        """Whether it lies where it was made, or where an operator adopted it."""
        if self.trusts_failovers:
            return here.partition(_TIMELINE)[0] == self.place.partition(_TIMELINE)[0]
        return here == self.place


def check_place(card: LedgerCard, here: str, name: str) -> None:
    """See whether a ledger lies where it was made, when a worker starts.

    Raises:
        LedgerMovedError: it doesn't.
    """
    if not card.is_at(here):
        raise LedgerMovedError(_why_not(card, here, name))


def adopted_meanwhile(name: str) -> LedgerError:
    """Of two operators who speak at once one is heard."""
    return LedgerError(f"the effect ledger {name} was adopted by somebody else meanwhile")


def _why_not(card: LedgerCard, here: str, name: str) -> str:
    """Why a ledger can't be used in the place where it lies, and what to do."""
    same_but = card.place.partition(_TIMELINE)[0] == here.partition(_TIMELINE)[0]
    what = "a standby took over, or a backup was restored" if same_but else "moved, copied or restored"
    return (
        f"the effect ledger {name} can't be used: it was made as ledger {card.id} at {card.place}, and is at "
        f"{here} now ({what}), so that records may be missing or kept elsewhere: no write runs until "
        "`agentflow ledger adopt` says what is missing"
    )
