"""The ledgers of the chaos run: real ones, and one that remembers nothing."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.contracts.effects import EffectPage, EffectQuery, EffectRecord, StoredEffect
from agentflow.contracts.ledger import Adoption, LedgerIdentity
from agentflow.contracts.purges import MAX_PURGES, Purge
from agentflow.contracts.stops import Stop
from agentflow.contracts.wire import Sha256
from agentflow.ports.ledger import EffectLedger

WorldName = Literal["sqlite", "postgres", "dynamodb", "off"]
"""By where the ledger is kept; ``off`` keeps nothing."""

_CONNECTIONS = 3
"""Of each worker to PostgreSQL, which takes a hundred in all."""


def open_ledger(world: WorldName, address: str, **options: Any) -> EffectLedger:
    """A ledger.

    Args:
        world: Which kind.
        address: Its file, its connection string, or its table with ``@`` and the endpoint.
        options: The adapter's own.
    """
    match world:
        case "sqlite":
            return SQLiteLedger(Path(address), **options)
        case "postgres":
            from agentflow.adapters.postgres_ledger import PostgresLedger

            return PostgresLedger(address, pool_size=_CONNECTIONS, **options)
        case "dynamodb":
            from agentflow.adapters.dynamodb_ledger import DynamoDBLedger
            from benchmarks.chaos.dynamodb import REGION

            table, _, endpoint = address.partition("@")
            return DynamoDBLedger(table, region=REGION, endpoint=endpoint, **options)
        case "off":
            return ForgetfulLedger()


class ForgetfulLedger:
    """Says yes to everything and keeps nothing: what a worker without a ledger would do."""

    async def check(self) -> None:
        """Nothing to set up."""

    async def identity(self) -> LedgerIdentity:
        """It has a name, and nothing else."""
        return LedgerIdentity(id="none")

    async def adopt(self, adoption: Adoption) -> LedgerIdentity:
        """It can lose nothing."""
        return await self.identity()

    async def insert(self, record: EffectRecord) -> bool:
        """Every attempt is the first."""
        return True

    async def get(self, key: Sha256) -> StoredEffect | None:
        """There is nothing."""
        return None

    async def replace(self, record: EffectRecord, *, version: int) -> bool:
        """As if it were kept."""
        return True

    async def of_work(self, work: Sha256) -> tuple[StoredEffect, ...]:
        """There is nothing."""
        return ()

    async def find(self, query: EffectQuery, *, limit: int = 100, cursor: str | None = None) -> EffectPage:
        """There is nothing."""
        return EffectPage(effects=())

    async def clock(self) -> datetime:
        """The machine's."""
        return datetime.now(UTC)

    async def forget(self, versions: Mapping[Sha256, int]) -> int:
        """There is nothing."""
        return 0

    async def forget_stops(self, namespace: str, before: datetime) -> int:
        """There is nothing."""
        return 0

    async def keep_purge(self, purge: Purge) -> None:
        """As if it were kept."""

    async def purges(self, *, limit: int = MAX_PURGES) -> tuple[Purge, ...]:
        """There is nothing."""
        return ()

    async def stops(self, namespace: str) -> tuple[Stop, ...]:
        """Nothing is forbidden."""
        return ()

    async def stop(self, namespace: str, key: str, *, by: str, reason: str = "") -> bool:
        """As if it were kept."""
        return True

    async def lift(self, namespace: str, key: str, *, by: str, reason: str = "") -> bool:
        """There is nothing."""
        return False

    async def stops_log(self, namespace: str, *, limit: int = 100) -> tuple[Stop, ...]:
        """There is nothing."""
        return ()

    async def close(self) -> None:
        """Nothing to let go of."""
