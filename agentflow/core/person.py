"""When two names are one person."""

import unicodedata


def person(name: str) -> str:
    """A name as it is compared: names that differ only in case, spaces or encoding are one person."""
    return " ".join(unicodedata.normalize("NFKC", name).split()).casefold()
