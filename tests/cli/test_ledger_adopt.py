"""``agentflow ledger info`` and ``adopt``: which ledger it is, and what one lacks that was moved or restored."""

import shutil

from agentflow.adapters.sqlite_ledger import SQLiteLedger
from tests.cli.harness import CommandLine
from tests.cli.records import a_record, kept


async def id_of(ledger: SQLiteLedger) -> str:
    return (await ledger.identity()).id


async def moved(beside: CommandLine) -> str:
    """A ledger that was restored from a copy of itself, and the id that it was made with."""
    record = a_record()
    await kept(beside.ledger, record)
    ledger = SQLiteLedger(beside.ledger)
    made = await id_of(ledger)
    await ledger.close()
    backup = beside.ledger.with_suffix(".backup")
    shutil.copy(beside.ledger, backup)
    beside.ledger.unlink()
    backup.rename(beside.ledger)
    return made


async def test_info_says_which_ledger_it_is(beside: CommandLine) -> None:
    await kept(beside.ledger, a_record())
    ledger = SQLiteLedger(beside.ledger)
    assert beside("ledger", "info", "--json").document["id"] == await id_of(ledger)
    await ledger.close()


async def test_info_of_one_that_was_restored_says_what_to_do(beside: CommandLine) -> None:
    await moved(beside)
    result = beside("ledger", "info")
    assert result.exit_code == 1
    assert "`agentflow ledger adopt` says what is missing" in result.stderr


async def test_the_records_of_one_that_was_restored_can_be_looked_at_before_it_is_adopted(
    beside: CommandLine,
) -> None:
    await moved(beside)
    assert len(beside("ledger", "list", "--json").document["effects"]) == 1


async def test_one_that_lacks_nothing_keeps_its_name(beside: CommandLine) -> None:
    made = await moved(beside)
    adopted = beside("ledger", "adopt", "--by", "olga", "--nothing-missing", "--yes", "--json").document
    assert (adopted["id"], adopted.get("stands_for")) == (made, None)
    assert beside("ledger", "info", "--json").document["id"] == made


async def test_one_that_lacks_something_stands_for_what_it_was(beside: CommandLine) -> None:
    made = await moved(beside)
    result = beside("ledger", "adopt", "--by", "olga", "--missing", "all since noon", "--yes")
    assert f"stands for {made}, of which there may be missing: all since noon" in result.stdout


async def test_what_is_missing_must_be_said_one_way_or_the_other(beside: CommandLine) -> None:
    await kept(beside.ledger, a_record())
    for words in ((), ("--nothing-missing", "--missing", "all"), ("--missing", "  ")):
        result = beside("ledger", "adopt", "--by", "olga", *words, "--yes")
        assert result.exit_code == 2
        assert "say either --nothing-missing or --missing TEXT" in result.stderr


async def test_a_lost_ledger_lacks_something(beside: CommandLine) -> None:
    await kept(beside.ledger, a_record())
    words = ("--nothing-missing", "--instead-of", "5e1f")
    result = beside("ledger", "adopt", "--by", "olga", *words, "--yes")
    assert result.exit_code == 2
    assert "say what of the other ledger may be missing" in result.stderr


async def test_nobody_adopts_without_a_yes(beside: CommandLine) -> None:
    await moved(beside)
    result = beside("ledger", "adopt", "--by", "olga", "--nothing-missing")
    assert result.exit_code == 2
    assert "the ledger stays as it is" in result.stderr
    assert beside("ledger", "info").exit_code == 1
