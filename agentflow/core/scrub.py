"""Secrets taken out of what an outside system says: an error text may quote what it was sent."""

import base64
from collections.abc import Iterable
from typing import cast
from urllib.parse import quote

from agentflow.contracts.wire import Json

MIN_SECRET = 4
"""Characters: of a shorter one, every other word would be taken out."""


def scrubbed(text: str, secrets: Iterable[str]) -> str:
    """The text without the secrets, as they are and as URLs and basic authentication write them."""
    forms = {form for secret in secrets if len(secret) >= MIN_SECRET for form in _forms(secret)}
    # The longest first: one may be part of another.
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, "[secret]")
    return text


def scrubbed_json(value: Json, secrets: Iterable[str]) -> Json:
    """A JSON value with the secrets taken out of all its texts, keys included."""
    known = tuple(secrets)
    if isinstance(value, str):
        return scrubbed(value, known)
    if isinstance(value, list):
        return [scrubbed_json(part, known) for part in cast(list[Json], value)]
    if isinstance(value, dict):
        parts = cast(dict[str, Json], value).items()
        return {scrubbed(key, known): scrubbed_json(part, known) for key, part in parts}
    return value


def _forms(secret: str) -> set[str]:
    return {secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode()}
