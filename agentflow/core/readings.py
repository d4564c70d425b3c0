"""A text as any reader may read it: what is encoded in it decoded, one kind or all, one within the other.

For guards, which look at what a text says and not at where. The decoders are those that redaction has.
"""

import re
from collections.abc import Iterator

from agentflow.core.encoded import decoded
from agentflow.core.escapes import EACH_BY_ITSELF, unescaped, unquoted
from agentflow.core.views import Reach, TooManyFormsError, View, views

MAX_DECODED = 2_000_000
"""Characters of all readings of one text, or the text once more."""

_CODE = re.compile(r"=[89A-F][0-9A-F]|=3D")


class TooManyReadingsError(ValueError):
    """A text can be read in more ways than are looked at, or is encoded deeper."""


def readings(text: str) -> Iterator[str]:
    """The text itself, then each text that decoding makes of it, ``views.DEPTH`` times over.

    Raises:
        TooManyReadingsError: they are longer than ``MAX_DECODED`` characters in all, or encoded deeper.
    """
    reach = Reach(times=max(1, MAX_DECODED // max(len(text), 1_000)))
    try:
        for view in views(text, _DECODERS, reach):
            yield view.text
    except TooManyFormsError:
        raise TooManyReadingsError(
            f"what decoding makes of the text is longer than {MAX_DECODED} characters, or is encoded within "
            f"itself more than {reach.depth} deep: send it in parts, and plain"
        ) from None


def squeezed(text: str) -> str:
    """The text with one space in place of whatever white space it has, and none around it."""
    return " ".join(text.split())


def _of_mail(view: View) -> View | None:
    # A line that ends with = is broken in mail only; elsewhere it gives the next one a name.
    return unquoted(view) if _CODE.search(view.text) else None


def _of_tokens(view: View) -> View | None:
    # Some bytes of pictures and keys look like a short text, by chance.
    found = decoded(view)
    return found if found is not None and found.is_meant else None


_DECODERS = (unescaped, *EACH_BY_ITSELF, _of_mail, _of_tokens)
