"""Replies to customers: an outbox that keeps each reply once, and the tool that writes to it."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import Field

from activities.shop import Email
from activities.sqlite import SqliteFile
from agentflow.activity.context import ToolContext
from agentflow.activity.tool import tool
from agentflow.contracts.tools import Sink
from agentflow.contracts.wire import Contract
from agentflow.errors import EffectConflictError

Subject = Annotated[str, Field(pattern=r"^[^\r\n]+$", min_length=1, max_length=200)]
"""One line: a line break in a subject would let its writer add e-mail headers."""

Body = Annotated[str, Field(min_length=1, max_length=8000)]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS replies (
    number          INTEGER PRIMARY KEY AUTOINCREMENT,
    idempotency_key TEXT NOT NULL UNIQUE,
    recipient       TEXT NOT NULL,
    subject         TEXT NOT NULL,
    body            TEXT NOT NULL,
    stored_at       TEXT NOT NULL
);
"""


class StoredReply(Contract):
    """A reply in the outbox."""

    reply_id: str
    idempotency_key: str
    to: Email
    subject: str
    body: str
    stored_at: datetime


class Outbox:
    """Replies waiting to be sent, in a SQLite file: one for each idempotency key."""

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path, _SCHEMA)

    async def add(self, key: str, to: str, subject: str, body: str) -> StoredReply:
        """Store a reply, or answer the one that is already stored under the key.

        Raises:
            EffectConflictError: the key is taken by another reply.
        """

        def change(connection: sqlite3.Connection) -> StoredReply:
            connection.execute(
                "INSERT INTO replies (idempotency_key, recipient, subject, body, stored_at) "
                "VALUES (?, ?, ?, ?, ?) ON CONFLICT (idempotency_key) DO NOTHING",
                (key, to, subject, body, datetime.now(UTC).isoformat()),
            )
            row = connection.execute("SELECT * FROM replies WHERE idempotency_key = ?", (key,)).fetchone()
            return _reply_from(row)

        stored = await self._file.write(change)
        if (stored.to, stored.subject, stored.body) != (to, subject, body):
            raise EffectConflictError(f"{stored.reply_id} is another reply with the same idempotency key")
        return stored

    async def list(self) -> tuple[StoredReply, ...]:
        """Every reply, the oldest first."""

        def query(connection: sqlite3.Connection) -> tuple[StoredReply, ...]:
            rows = connection.execute("SELECT * FROM replies ORDER BY number").fetchall()
            return tuple(_reply_from(row) for row in rows)

        return await self._file.read(query)


class Reply(Contract):
    """A reply that will reach the customer."""

    reply_id: str
    to: Email
    subject: str


class ReplyTools:
    """What an agent may say to customers."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    @tool(
        effect="write",
        scopes=("replies:send",),
        sinks=("to", Sink(argument="subject", kind="links"), Sink(argument="body", kind="links")),
        recovery="key",
        sentence="Send {to} the reply {subject}",
    )
    async def send_reply(self, context: ToolContext, to: Email, subject: Subject, body: Body) -> Reply:
        """Send the customer a reply by e-mail.

        Args:
            context: Names the call; its key keeps the reply from being stored twice.
            to: The customer's address, as the ticket has it.
            subject: One line.
            body: Plain text, in the customer's language.
        """
        stored = await self._outbox.add(context.idempotency_key, to, subject, body)
        return Reply(reply_id=stored.reply_id, to=stored.to, subject=stored.subject)


def _reply_from(row: sqlite3.Row) -> StoredReply:
    return StoredReply(
        reply_id=f"RPL-{row['number']}",
        idempotency_key=row["idempotency_key"],
        to=row["recipient"],
        subject=row["subject"],
        body=row["body"],
        stored_at=datetime.fromisoformat(row["stored_at"]),
    )
