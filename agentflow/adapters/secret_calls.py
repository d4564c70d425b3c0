"""A secret out of a worker's source, if it is one."""

from agentflow.activity.bounded import answered, close_unawaited
from agentflow.errors import AgentflowError, ToolUnavailableError
from agentflow.ports.secrets import SecretSource

SECRET_SECONDS = 10.0
"""For one secret."""


async def secret_of(source: SecretSource | None, name: str) -> str | None:
    """The secret of a name; ``None`` if there is none.

    Raises:
        ToolUnavailableError: the source failed, takes too long, or answers what can be no secret, which
            the text has nothing of.
    """
    if source is None:
        return None
    try:
        found: object = await answered(lambda: source.secret(name), SECRET_SECONDS)
    except AgentflowError:
        raise
    except Exception as error:
        raise ToolUnavailableError(f"the secret {name} can't be had: {type(error).__name__}") from None
    if found is None:
        return None
    if type(found) is not str or not found.strip() or not found.isprintable():
        close_unawaited(found)
        raise ToolUnavailableError(f"the secret {name} is no printable text, but {type(found).__name__}")
    return found
