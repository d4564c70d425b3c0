"""Values in a history, as JSON, and what becomes of those that can't be read."""

import json
from collections.abc import Sequence

from temporalio.api.common.v1 import Payload
from temporalio.converter import DataConverter

from agentflow.contracts.audit import GapKind
from agentflow.contracts.wire import Json

_PLAIN = b"json/plain"


class UnreadableError(Exception):
    """A value can't be read."""

    def __init__(self, gap: GapKind, error: Exception) -> None:
        super().__init__(f"{type(error).__name__}: {error}")
        self.gap: GapKind = gap


class Payloads:
    """Decodes with the client's converter: its codec and its external storage."""

    def __init__(self, converter: DataConverter) -> None:
        self._converter = converter
        self._is_plain = converter.payload_codec is None

    async def value(self, payloads: Sequence[Payload]) -> Json:
        """The first value; ``None`` where there is none.

        Raises:
            UnreadableError: it can't be decoded, or external storage doesn't have it.
        """
        found = await self.values(payloads[:1])
        return found[0] if found else None

    async def values(self, payloads: Sequence[Payload]) -> list[Json]:
        """All values.

        Raises:
            UnreadableError: one can't be decoded, or external storage doesn't have it.
        """
        if self._is_plain and all(_is_here(payload) for payload in payloads):
            try:
                return [json.loads(payload.data) for payload in payloads]
            except ValueError as error:
                raise UnreadableError("unreadable_payload", error) from error
        try:
            return await self._converter.decode(payloads)
        except Exception as error:
            is_elsewhere = any(payload.external_payloads for payload in payloads)
            raise UnreadableError("missing_blob" if is_elsewhere else "unreadable_payload", error) from error


def _is_here(payload: Payload) -> bool:
    return payload.metadata.get("encoding") == _PLAIN and not payload.external_payloads
