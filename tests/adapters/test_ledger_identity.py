"""Which ledger it is: the same one wherever it is opened, and another one as soon as it is a copy."""

import asyncio
import shutil
from pathlib import Path

import pytest

from agentflow.adapters.ledger_card import LedgerCard, place_with_timeline
from agentflow.adapters.ledgers import migrate
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.contracts.ledger import Adoption
from agentflow.errors import ConfigurationError, LedgerError
from agentflow.testing import MemoryLedger
from tests.adapters.ledger_places import DynamoDBPlace, Place, record

NOTHING_LOST = Adoption(by="olga")
SINCE_NOON = Adoption(by="olga", lost="all since noon")


async def test_whoever_opens_a_ledger_finds_the_same_identity(place: Place) -> None:
    ids = {(await ledger.identity()).id for ledger in (place.open(), place.open(), place.open())}
    assert len(ids) == 1


async def test_what_is_written_leaves_the_identity_as_it_is(place: Place) -> None:
    ledger = place.open()
    before = await ledger.identity()
    await ledger.insert(record())
    await ledger.replace(record(state="done"), version=1)
    assert await ledger.identity() == before


async def test_a_file_that_takes_the_place_and_the_number_of_a_deleted_one_is_another(tmp_path: Path) -> None:
    path, backup = tmp_path / "ledger.sqlite", tmp_path / "backup.sqlite"
    made = SQLiteLedger(path)
    await made.insert(record())
    await made.close()
    shutil.copy(path, backup)
    # As an operator restores it; many file systems give the new file the old one's number.
    path.unlink()
    shutil.copy(backup, path)
    with pytest.raises(ConfigurationError, match="`agentflow ledger adopt` says what is missing"):
        await SQLiteLedger(path).check()


async def test_an_adopted_ledger_that_lost_nothing_keeps_its_name(place: Place) -> None:
    ledger = place.open()
    before = await ledger.identity()
    assert await ledger.adopt(NOTHING_LOST) == before == await place.open().identity()


async def test_an_adopted_ledger_that_lost_something_stands_for_what_it_was(place: Place) -> None:
    ledger = place.open()
    before = await ledger.identity()
    after = await ledger.adopt(SINCE_NOON)
    assert after.id != before.id
    assert [(one.lost, one.by) for one in after.losses_of(before.id)] == [("all since noon", "olga")]
    assert await place.open().identity() == after


async def test_a_ledger_can_stand_for_one_that_is_gone(place: Place) -> None:
    ledger = place.open()
    before = await ledger.identity()
    after = await ledger.adopt(Adoption(by="olga", lost="all of it", instead_of="5e1f"))
    assert after.id == before.id
    assert [one.lost for one in after.losses_of("5e1f")] == ["all of it"]


async def test_of_a_ledger_that_is_gone_something_is_lost(place: Place) -> None:
    ledger = place.open()
    with pytest.raises(ValueError, match="say what of the other ledger may be missing"):
        await ledger.adopt(Adoption(by="olga", instead_of="5e1f"))
    with pytest.raises(ValueError, match="is this very ledger"):
        await ledger.adopt(Adoption(by="olga", lost="all of it", instead_of=(await ledger.identity()).id))


async def test_two_that_open_a_new_file_at_once_give_it_one_name(tmp_path: Path) -> None:
    ledgers = [SQLiteLedger(tmp_path / "ledger.sqlite") for _ in range(8)]
    ids = {identity.id for identity in await asyncio.gather(*(ledger.identity() for ledger in ledgers))}
    assert len(ids) == 1
    for ledger in ledgers:
        await ledger.close()


async def test_two_ledgers_are_two(tmp_path: Path) -> None:
    one, other = SQLiteLedger(tmp_path / "one.sqlite"), SQLiteLedger(tmp_path / "other.sqlite")
    assert (await one.identity()).id != (await other.identity()).id
    assert (await MemoryLedger().identity()).id != (await MemoryLedger().identity()).id


async def a_copy(tmp_path: Path) -> SQLiteLedger:
    """A ledger of one record, in another place than it was made in."""
    made = SQLiteLedger(tmp_path / "ledger.sqlite")
    await made.insert(record())
    await made.close()
    shutil.copy(tmp_path / "ledger.sqlite", tmp_path / "copy.sqlite")
    return SQLiteLedger(tmp_path / "copy.sqlite")


async def test_a_copied_file_is_refused_with_what_to_do(tmp_path: Path) -> None:
    copy = await a_copy(tmp_path)
    with pytest.raises(ConfigurationError, match=r"moved, copied or restored.*`agentflow ledger adopt`"):
        await copy.check()
    with pytest.raises(LedgerError, match="`agentflow ledger adopt` says what is missing"):
        await copy.identity()


@pytest.mark.parametrize("adoption", [NOTHING_LOST, SINCE_NOON])
async def test_an_adopted_copy_can_be_used_where_it_lies(tmp_path: Path, adoption: Adoption) -> None:
    copy = await a_copy(tmp_path)
    adopted = await copy.adopt(adoption)
    await copy.check()
    assert await SQLiteLedger(tmp_path / "copy.sqlite").identity() == adopted


async def test_the_original_of_a_copy_stays_what_it_is(tmp_path: Path) -> None:
    copy = await a_copy(tmp_path)
    await copy.adopt(SINCE_NOON)
    original = await SQLiteLedger(tmp_path / "ledger.sqlite").identity()
    assert original.id == (await copy.identity()).stands_for[0].id


async def test_a_file_that_is_renamed_within_its_disk_is_the_same_ledger(tmp_path: Path) -> None:
    made = SQLiteLedger(tmp_path / "ledger.sqlite")
    before = await made.identity()
    await made.close()
    (tmp_path / "ledger.sqlite").rename(tmp_path / "renamed.sqlite")
    assert await SQLiteLedger(tmp_path / "renamed.sqlite").identity() == before


async def test_a_table_of_another_number_is_a_restored_one(dynamodb: DynamoDBPlace) -> None:
    ledger = dynamodb.open()
    before = await ledger.identity()
    await dynamodb.restore()
    restored = dynamodb.open()
    with pytest.raises(ConfigurationError, match="`agentflow ledger adopt` says what is missing"):
        await restored.check()
    assert (await restored.adopt(NOTHING_LOST)).id == before.id


def test_a_standby_that_takes_over_has_lost_records_unless_an_operator_says_otherwise() -> None:
    before, after = place_with_timeline("here", "00000001"), place_with_timeline("here", "00000002")
    card = LedgerCard.new(before)
    assert card.is_at(before)
    assert not card.is_at(after)
    with pytest.raises(LedgerError, match="a standby took over, or a backup was restored"):
        card.identity(after, "ledger")
    trusting = card.adopted_by(Adoption(by="olga", trust_failovers=True), after)
    assert trusting.is_at(place_with_timeline("here", "00000003"))
    assert not trusting.is_at(place_with_timeline("elsewhere", "00000003"))


async def test_postgres_tells_its_place_to_the_timeline(postgres: Place) -> None:
    ledger = postgres.open()
    await migrate(ledger)
    card, here = await ledger._card()  # type: ignore[attr-defined]
    assert card.place == here
    assert "/timeline 0000000" in here


def test_operators_words_are_kept_without_end_but_not_without_bound() -> None:
    card = LedgerCard.new("here")
    for _ in range(150):
        card = card.adopted_by(NOTHING_LOST, "here")
    assert len(card.adopted) == 100
    for _ in range(100):
        card = card.adopted_by(SINCE_NOON, "here")
    with pytest.raises(ValueError, match="stands for 100 ledgers already"):
        card.adopted_by(SINCE_NOON, "here")
