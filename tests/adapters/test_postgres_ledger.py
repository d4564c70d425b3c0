"""What is special about a ledger in PostgreSQL: the server, its connections, its tables and its clock."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from agentflow.adapters.ledgers import migrate
from agentflow.adapters.postgres_ledger import PostgresLedger
from agentflow.contracts.effects import EffectQuery
from agentflow.contracts.ledger import Adoption
from agentflow.contracts.wire import sha256_of
from agentflow.errors import ConfigurationError, LedgerError
from tests.adapters.ledger_places import PostgresPlace, record

MIGRATIONS = [
    "0001_effects.sql",
    "0002_stops.sql",
    "0003_runs.sql",
    "0004_identity.sql",
    "0005_purges.sql",
    "0006_seals.sql",
]


@pytest.fixture
async def empty(postgres_server: str) -> AsyncIterator[PostgresPlace]:
    """A schema without tables."""
    place = PostgresPlace(postgres_server)
    await place.make_schema()
    yield place
    await place.close()


@pytest.fixture
async def ledger(postgres: PostgresPlace) -> AsyncIterator[PostgresLedger]:
    ledger = PostgresLedger(postgres.conninfo)
    yield ledger
    await ledger.close()


def ledger_of(place: PostgresPlace, **options: Any) -> PostgresLedger:
    return PostgresLedger(place.conninfo, **options)


async def kill_connections(place: PostgresPlace) -> int:
    """End the server's side of every connection of the ledgers."""
    killed = await place.execute(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'agentflow'"
    )
    return len(killed)


# ---------------------------------------------------------------- connections


async def test_a_ledger_goes_on_after_the_server_ended_its_connections(
    postgres: PostgresPlace, ledger: PostgresLedger
) -> None:
    await asyncio.gather(*(ledger.insert(record(number)) for number in range(20)))
    for number in range(20, 25):
        assert await kill_connections(postgres) >= 1
        assert await ledger.insert(record(number))
    assert len((await ledger.find(EffectQuery())).effects) == 25


async def test_a_connection_that_ends_in_the_middle_of_a_statement_is_a_ledger_error_once(
    postgres: PostgresPlace, ledger: PostgresLedger
) -> None:
    await ledger.insert(record())
    async with await psycopg.AsyncConnection.connect(postgres.conninfo) as holder:
        await holder.execute("SELECT * FROM agentflow_effects FOR UPDATE")
        waiting = asyncio.create_task(ledger.replace(record(attempts=2), version=1))
        await until_somebody_waits_for_a_lock(postgres)
        await kill_connections(postgres)
        with pytest.raises(LedgerError, match="terminating connection"):
            await waiting
    assert await ledger.replace(record(attempts=3), version=1)


async def test_a_statement_that_waits_too_long_is_a_ledger_error_and_the_next_one_works(
    postgres: PostgresPlace,
) -> None:
    ledger = ledger_of(postgres, timeout=timedelta(seconds=1))
    await ledger.insert(record())
    async with await psycopg.AsyncConnection.connect(postgres.conninfo) as holder:
        await holder.execute("SELECT * FROM agentflow_effects FOR UPDATE")
        with pytest.raises(LedgerError, match="statement timeout"):
            await ledger.replace(record(attempts=2), version=1)
    assert await ledger.replace(record(attempts=3), version=1)
    await ledger.close()


async def test_a_server_that_stops_answering_is_a_ledger_error(postgres: PostgresPlace) -> None:
    ledger = ledger_of(postgres, pool_size=1, timeout=timedelta(seconds=1))
    await ledger.insert(record())
    ((pid,),) = await postgres.execute(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'agentflow' AND state = 'idle'"
        f" AND query LIKE '%{'agentflow_effects'}%'"
    )
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(LedgerError):
            await ledger.get(record().key)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert await ledger.get(record().key) is not None
    await ledger.close()


async def test_all_connections_being_in_use_too_long_is_a_ledger_error(postgres: PostgresPlace) -> None:
    ledger = ledger_of(postgres, pool_size=1, timeout=timedelta(seconds=2))
    await ledger.insert(record())
    async with await psycopg.AsyncConnection.connect(postgres.conninfo) as holder:
        await holder.execute("SELECT * FROM agentflow_effects FOR UPDATE")
        outcomes = await asyncio.gather(
            *(ledger.replace(record(attempts=2), version=1) for _ in range(4)), return_exceptions=True
        )
    assert {type(outcome) for outcome in outcomes} == {LedgerError}
    assert await ledger.replace(record(attempts=3), version=1)
    await ledger.close()


async def test_a_cancelled_operation_leaves_a_ledger_that_works(
    postgres: PostgresPlace,
) -> None:
    ledger = ledger_of(postgres, pool_size=1)
    await ledger.insert(record())
    async with await psycopg.AsyncConnection.connect(postgres.conninfo) as holder:
        await holder.execute("SELECT * FROM agentflow_effects FOR UPDATE")
        waiting = asyncio.create_task(ledger.replace(record(attempts=2), version=1))
        await until_somebody_waits_for_a_lock(postgres)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert await ledger.replace(record(attempts=3), version=1)
    await ledger.close()


async def test_no_more_connections_are_made_than_allowed(postgres: PostgresPlace) -> None:
    ledger = ledger_of(postgres, pool_size=3)
    before = await connections(postgres)
    await asyncio.gather(*(ledger.insert(record(number)) for number in range(100)))
    assert await connections(postgres) - before <= 3
    await ledger.close()


async def test_closing_ends_the_connections(postgres: PostgresPlace) -> None:
    ledger = ledger_of(postgres)
    await ledger.insert(record())
    await ledger.close()
    await postgres.execute("SELECT pg_stat_clear_snapshot()")
    assert await eventually_no_connections(postgres)


async def test_a_wrong_password_or_database_is_a_ledger_error_that_names_it(postgres_server: str) -> None:
    ledger = PostgresLedger(
        postgres_server.replace("/postgres?", "/nothing-here?"), timeout=timedelta(seconds=1)
    )
    with pytest.raises(LedgerError, match=r"nothing-here can't be used: .*database \"nothing-here\""):
        await ledger.check()
    await ledger.close()


# ---------------------------------------------------------------- what it insists on


async def test_a_commit_waits_for_the_disk_whatever_the_role_says(postgres: PostgresPlace) -> None:
    conninfo = f"{postgres.conninfo}%20-csynchronous_commit%3Doff"
    assert await setting(conninfo, "synchronous_commit") == "on"


async def test_a_stronger_commit_is_left_as_it_is(postgres: PostgresPlace) -> None:
    conninfo = f"{postgres.conninfo}%20-csynchronous_commit%3Dremote_apply"
    assert await setting(conninfo, "synchronous_commit") == "remote_apply"


async def test_one_wins_and_nobody_fails_also_where_transactions_are_serializable(
    postgres: PostgresPlace,
) -> None:
    conninfo = f"{postgres.conninfo}%20-cdefault_transaction_isolation%3Dserializable"
    ledger = PostgresLedger(conninfo)
    await ledger.insert(record())
    won = await asyncio.gather(*(ledger.replace(record(attempts=2), version=1) for _ in range(20)))
    assert sorted(won) == [False] * 19 + [True]
    await ledger.close()


async def test_a_worker_whose_clock_is_wrong_changes_no_age(
    postgres: PostgresPlace, ledger: PostgresLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As far as this process can see, it is 1970.
    monkeypatch.setattr("time.time", lambda: 0.0)
    monkeypatch.setattr("time.time_ns", lambda: 0)
    await ledger.insert(record())
    found = await ledger.get(record().key)
    assert found is not None
    assert found.written_at.year > 2000
    assert found.age < timedelta(minutes=1)


async def test_a_server_clock_that_was_set_back_makes_no_age_less_than_nothing(
    postgres: PostgresPlace, ledger: PostgresLedger
) -> None:
    await ledger.insert(record())
    ahead = timedelta(days=400) // timedelta(microseconds=1)
    await postgres.execute(f"UPDATE agentflow_effects SET written_at_us = written_at_us + {ahead}")
    found = await ledger.get(record().key)
    assert found is not None
    assert found.age == timedelta(0)


# ---------------------------------------------------------------- tables


async def test_migrating_twice_does_it_once(empty: PostgresPlace) -> None:
    ledger = empty.open()
    assert await migrate(ledger) == MIGRATIONS
    assert await migrate(ledger) == []
    await ledger.check()


async def test_of_five_that_migrate_at_once_one_does_it(empty: PostgresPlace) -> None:
    done = await asyncio.gather(*(migrate(empty.open()) for _ in range(5)))
    assert sorted(done) == [[], [], [], [], MIGRATIONS]


async def test_missing_tables_are_told_with_the_command_that_makes_them(empty: PostgresPlace) -> None:
    ledger = empty.open()
    with pytest.raises(ConfigurationError, match="no tables yet: run `agentflow ledger migrate`"):
        await ledger.check()
    with pytest.raises(LedgerError, match="run `agentflow ledger migrate`"):
        await ledger.insert(record())


@pytest.mark.parametrize(
    ("table", "made"), [("stops", MIGRATIONS[1:]), ("ledger", MIGRATIONS[3:]), ("purges", MIGRATIONS[4:])]
)
async def test_tables_that_somebody_dropped_are_missing_and_are_made_again(
    empty: PostgresPlace, table: str, made: list[str]
) -> None:
    ledger = empty.open()
    await migrate(ledger)
    await empty.execute(f"DROP TABLE agentflow_{table}")
    with pytest.raises(ConfigurationError, match="run `agentflow ledger migrate`"):
        await ledger.check()
    assert await migrate(ledger) == made
    assert await ledger.insert(record())
    assert await ledger.stop("default", "fleet", by="olga")
    assert await ledger.purges() == ()


async def test_records_that_somebody_dropped_make_it_another_ledger(empty: PostgresPlace) -> None:
    ledger = empty.open()
    await migrate(ledger)
    await empty.execute("DROP TABLE agentflow_effects")
    with pytest.raises(ConfigurationError, match="run `agentflow ledger migrate`"):
        await ledger.check()
    with pytest.raises(ConfigurationError, match="`agentflow ledger adopt` says what is missing"):
        await migrate(ledger)
    await ledger.adopt(Adoption(by="olga", lost="everything"))
    await ledger.check()


async def test_tables_of_a_newer_version_are_refused_with_what_to_do(empty: PostgresPlace) -> None:
    ledger = empty.open()
    await migrate(ledger)
    await empty.execute("INSERT INTO agentflow_migrations (version, name) VALUES (99, 'of the future')")
    for refused in (ledger.check(), migrate(ledger)):
        with pytest.raises(ConfigurationError, match=r"of version 99.*upgrade agentflow-temporal"):
            await refused


async def test_a_migration_that_fails_leaves_nothing(empty: PostgresPlace) -> None:
    ledger = empty.open()
    # The name of the last index: everything before it works.
    await empty.execute("CREATE TABLE agentflow_effects_ended (x int)")
    with pytest.raises(LedgerError, match="agentflow_effects_ended"):
        await migrate(ledger)
    assert await empty.execute(
        "SELECT to_regclass('agentflow_effects'), to_regclass('agentflow_migrations')"
    ) == [(None, None)]


async def test_a_role_that_may_not_write_is_a_ledger_error(
    postgres: PostgresPlace, ledger: PostgresLedger
) -> None:
    role = postgres.schema.replace("test", "reader")
    await postgres.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'hunter2'")
    await postgres.execute(f"GRANT USAGE ON SCHEMA {postgres.schema} TO {role}")
    await postgres.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {postgres.schema} TO {role}")
    reader = PostgresLedger(postgres.conninfo.replace("//postgres:@", f"//{role}:hunter2@"))
    await reader.check()
    with pytest.raises(LedgerError, match="permission denied") as refused:
        await reader.insert(record())
    assert "hunter2" not in f"{refused.value} {reader!r}"
    await reader.close()


async def test_a_record_that_can_not_be_understood_is_named(
    postgres: PostgresPlace, ledger: PostgresLedger
) -> None:
    await ledger.insert(record())
    await postgres.execute("UPDATE agentflow_effects SET attempts = -1")
    with pytest.raises(LedgerError, match=f"record {sha256_of(1)} is damaged.*attempts"):
        await ledger.get(record().key)


# ---------------------------------------------------------------- what the tests look at


async def connections(place: PostgresPlace) -> int:
    ((count,),) = await place.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'agentflow'"
    )
    return count


async def eventually_no_connections(place: PostgresPlace) -> bool:
    async with asyncio.timeout(30):
        # The server takes a moment to see that a client has gone.
        while await connections(place):  # noqa: ASYNC110 - another process tells no event
            await asyncio.sleep(0.01)
    return True


async def until_somebody_waits_for_a_lock(place: PostgresPlace) -> None:
    async with asyncio.timeout(30):
        while not await place.execute("SELECT 1 FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def setting(conninfo: str, name: str) -> Any:
    """What a setting is in a ledger's own connections."""
    ledger = PostgresLedger(conninfo)

    async def look(connection: psycopg.AsyncConnection[Any]) -> Any:
        return await (await connection.execute("SELECT current_setting(%s)", (name,))).fetchone()

    try:
        (value,) = await ledger._server.do(look)
    finally:
        await ledger.close()
    return value
