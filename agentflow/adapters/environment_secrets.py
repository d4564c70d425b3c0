"""Secrets from the worker's environment."""

import os
from collections.abc import Mapping


class EnvironmentSecrets:
    """Names, and the environment variables that hold their secrets.

    ``EnvironmentSecrets({"HTTPBearer": "ORDERS_API_TOKEN"})``
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = dict(variables)

    async def secret(self, name: str) -> str | None:
        """The variable's value; ``None`` where there is no such name, or the variable is not set or empty."""
        return os.environ.get(self._variables.get(name, ""), "").strip() or None

    def __repr__(self) -> str:
        return f"EnvironmentSecrets({self._variables})"
