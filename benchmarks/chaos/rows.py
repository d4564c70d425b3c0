"""A ledger's rows as somebody sees them who may write into its store, past agentflow."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol, TypeVar

Backup = Any
"""All that a ledger's store holds, as its kind keeps it."""

ResultT = TypeVar("ResultT")

TABLE = "agentflow_effects"


class Rows(Protocol):
    """The store of one ledger. Every method blocks."""

    def change(self, workflow_id: str, columns: dict[str, str | int]) -> int:
        """Change the rows of a run; answer how many there were."""
        ...

    def delete(self, workflow_id: str) -> int:
        """Delete the rows of a run; answer how many there were."""
        ...

    def empty(self) -> None:
        """Delete the rows of all runs."""
        ...

    def backup(self) -> Backup:
        """A copy of all that is there."""
        ...

    def knows(self, backup: Backup, workflow_id: str) -> bool:
        """Whether a copy has rows of a run."""
        ...

    def restore(self, backup: Backup) -> None:
        """Put a copy in the place of all that is there. No worker may be at work."""
        ...


class SQLiteRows:
    """Of a ledger in a file; a copy is a file, too."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._copies = 0

    def change(self, workflow_id: str, columns: dict[str, str | int]) -> int:
        """Change them by SQL."""
        assignments = ", ".join(f"{name} = ?" for name in columns)
        return self._execute(
            f"UPDATE {TABLE} SET {assignments} WHERE workflow_id = ?", [*columns.values(), workflow_id]
        )

    def delete(self, workflow_id: str) -> int:
        """Delete them by SQL."""
        return self._execute(f"DELETE FROM {TABLE} WHERE workflow_id = ?", [workflow_id])

    def empty(self) -> None:
        """Delete all by SQL."""
        self._execute(f"DELETE FROM {TABLE}", [])

    def backup(self) -> Path:
        """A copy of the file, as SQLite itself makes it."""
        self._copies += 1
        copy = self._path.with_name(f"{self._path.name}.backup-{self._copies}")
        with closing(sqlite3.connect(self._path)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        return copy

    def knows(self, backup: Path, workflow_id: str) -> bool:
        """Look into the copy."""
        found = f"SELECT EXISTS (SELECT 1 FROM {TABLE} WHERE workflow_id = ?)"
        with closing(sqlite3.connect(backup)) as connection:
            return bool(connection.execute(found, [workflow_id]).fetchone()[0])

    def restore(self, backup: Path) -> None:
        """Put the copy where the file was, and take its log away."""
        fresh = self._path.with_name(f"{self._path.name}.fresh")
        shutil.copyfile(backup, fresh)
        for side in ("-wal", "-shm"):
            self._path.with_name(f"{self._path.name}{side}").unlink(missing_ok=True)
        os.replace(fresh, self._path)

    def _execute(self, sql: str, values: Sequence[str | int]) -> int:
        with closing(sqlite3.connect(self._path, timeout=20)) as connection, connection:
            return connection.execute(sql, values).rowcount


class PostgresRows:
    """Of a ledger in a schema of its own."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo

    def change(self, workflow_id: str, columns: dict[str, str | int]) -> int:
        """Change them by SQL."""
        assignments = ", ".join(f"{name} = %s" for name in columns)
        values = [*columns.values(), workflow_id]
        return self._do(
            lambda run: run(f"UPDATE {TABLE} SET {assignments} WHERE workflow_id = %s", values).rowcount
        )

    def delete(self, workflow_id: str) -> int:
        """Delete them by SQL."""
        return self._do(
            lambda run: run(f"DELETE FROM {TABLE} WHERE workflow_id = %s", [workflow_id]).rowcount
        )

    def empty(self) -> None:
        """Delete all by SQL."""
        self._do(lambda run: run(f"DELETE FROM {TABLE}", None))

    def backup(self) -> dict[str, list[tuple[Any, ...]]]:
        """All rows of all tables of the schema."""
        return self._do(
            lambda run: {table: run(f'SELECT * FROM "{table}"', None).fetchall() for table in _tables(run)}
        )

    def knows(self, backup: dict[str, list[tuple[Any, ...]]], workflow_id: str) -> bool:
        """Look for the run in each row."""
        return any(workflow_id in row for row in backup[TABLE])

    def restore(self, backup: dict[str, list[tuple[Any, ...]]]) -> None:
        """Put them in the place of those that are there, in one transaction."""

        def change(run: Any) -> None:
            for table, rows in backup.items():
                run(f'DELETE FROM "{table}"', None)
                for row in rows:
                    places = ", ".join(["%s"] * len(row))
                    run(f'INSERT INTO "{table}" OVERRIDING SYSTEM VALUE VALUES ({places})', row)

        self._do(change)

    def _do(self, work: Callable[[Any], ResultT]) -> ResultT:
        import psycopg

        with psycopg.connect(self._conninfo) as connection:
            return work(lambda sql, values: connection.execute(sql.encode(), values))


def _tables(run: Any) -> list[str]:
    found = run(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()", None
    )
    return [row[0] for row in found.fetchall()]


class DynamoDBRows:
    """Of a ledger in a table of its own."""

    def __init__(self, table: str, endpoint: str) -> None:
        import boto3.session

        from benchmarks.chaos.dynamodb import REGION

        session: Any = boto3.session.Session(region_name=REGION)  # pyright: ignore[reportUnknownMemberType]
        self._client: Any = session.client("dynamodb", endpoint_url=endpoint)
        self._table = table

    def change(self, workflow_id: str, columns: dict[str, str | int]) -> int:
        """Put changed items. One that has an end is none of the open ones any more."""
        found = self._of(workflow_id)
        for item in found:
            item |= {
                name: {"N": str(value)} if isinstance(value, int) else {"S": value}
                for name, value in columns.items()
            }
            if item["state"]["S"] in ("done", "failed"):
                item.pop("open", None)
            self._put(item)
        return len(found)

    def delete(self, workflow_id: str) -> int:
        """Delete the items. What names them as of one piece of work stays."""
        found = self._of(workflow_id)
        for item in found:
            self._drop(item)
        return len(found)

    def empty(self) -> None:
        """Delete all items but what was stopped."""
        for item in self.backup():
            if "workflow_id" in item or "keys" in item:
                self._drop(item)

    def backup(self) -> list[dict[str, Any]]:
        """All items."""
        pages = self._client.get_paginator("scan").paginate(TableName=self._table, ConsistentRead=True)
        return [item for page in pages for item in page["Items"]]

    def knows(self, backup: list[dict[str, Any]], workflow_id: str) -> bool:
        """Look for the run in each item."""
        return any(item.get("workflow_id") == {"S": workflow_id} for item in backup)

    def restore(self, backup: list[dict[str, Any]]) -> None:
        """Delete all, and put the copies."""
        for item in self.backup():
            self._drop(item)
        for item in backup:
            self._put(item)

    def _of(self, workflow_id: str) -> list[dict[str, Any]]:
        return [item for item in self.backup() if item.get("workflow_id") == {"S": workflow_id}]

    def _put(self, item: dict[str, Any]) -> None:
        self._client.put_item(TableName=self._table, Item=item)

    def _drop(self, item: dict[str, Any]) -> None:
        self._client.delete_item(TableName=self._table, Key={"key": item["key"]})
