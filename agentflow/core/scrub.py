"""Secrets taken out of what an outside system says: an error text may quote what it was sent."""

from collections.abc import Iterable

from agentflow.contracts.wire import Json
from agentflow.core.known_values import KnownValues
from agentflow.core.redaction import DROPPED, found_in, map_texts, without
from agentflow.core.views import REACH, Reach, TooManyFormsError

MIN_SECRET = 4
"""Characters: of a shorter one, every other word would be taken out."""


def scrubbed(text: str, secrets: Iterable[str], reach: Reach = REACH) -> str:
    """The text without the secrets, in whatever form they stand there (``core.views``).

    A text with more encoded in it than the reach is dropped as a whole.
    """
    return _without(text, _known(secrets), reach)


def scrubbed_json(value: Json, secrets: Iterable[str], reach: Reach = REACH) -> Json:
    """A JSON value with the secrets taken out of all its texts, keys included."""
    known = _known(secrets)
    return map_texts(value, lambda text: _without(text, known, reach), numbers=False)


def _without(text: str, known: KnownValues, reach: Reach) -> str:
    if not known.kinds:
        return text
    try:
        return without(text, found_in(text, [known.find], reach))
    except TooManyFormsError:
        return f"{DROPPED}more is encoded in it than is looked through]"


def _known(secrets: Iterable[str]) -> KnownValues:
    return KnownValues({secret: "secret" for secret in secrets if len(secret) >= MIN_SECRET})
