"""Secrets taken out of what an outside system says: an error text may quote what it was sent."""

import base64
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from agentflow.contracts.wire import Json
from agentflow.core.redaction import map_texts

MIN_SECRET = 4
"""Characters: of a shorter one, every other word would be taken out."""


def scrubbed(text: str, secrets: Iterable[str]) -> str:
    """The text without the secrets, as they are and as URLs and basic authentication write them."""
    return _without(text, _forms(secrets))


def scrubbed_json(value: Json, secrets: Iterable[str]) -> Json:
    """A JSON value with the secrets taken out of all its texts, keys included."""
    forms = _forms(secrets)
    return map_texts(value, lambda text: _without(text, forms), numbers=False) if forms else value


def forms_of(secret: str) -> tuple[str, ...]:
    """A secret as it is, and as URLs and basic authentication write it."""
    data = secret.encode(errors="surrogatepass")
    return secret, quote(data, safe=""), base64.b64encode(data).decode()


def _without(text: str, forms: Sequence[str]) -> str:
    for form in forms:
        text = text.replace(form, "[secret]")
    return text


def _forms(secrets: Iterable[str]) -> list[str]:
    """All that stands for a secret, the longest first: one may be part of another."""
    forms: set[str] = set()
    for secret in secrets:
        if len(secret) >= MIN_SECRET:
            forms.update(forms_of(secret))
    return sorted(forms, key=len, reverse=True)
