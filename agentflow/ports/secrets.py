"""Secrets by reference: contracts, histories and logs hold a name, and the worker knows the secret."""

from typing import Protocol


class SecretSource(Protocol):
    """Where a worker's secrets are: its environment, a vault."""

    async def secret(self, name: str) -> str | None:
        """The secret of a name, fresh: it may have been rotated. ``None`` if there is none.

        Args:
            name: A security scheme of an OpenAPI document, or whatever the worker's own settings name.
        """
        ...
