"""URLs: as browsers read them, by the URL standard (WHATWG) and Unicode's UTS 46; and as they are told."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from ada_url import URL

from agentflow.contracts.person import refused_as


@dataclass(frozen=True)
class Url:
    """A URL, taken apart and made plain."""

    href: str
    scheme: str
    """With its colon."""
    user: str
    """User information before the host."""
    host: str
    """In ASCII, with its port; of a scheme without hosts, empty."""

    def is_within(self, other: "Url") -> bool:
        """Whether it leads to the same host, as the same user, and to no path above the other's."""
        return (self.scheme, self.user, self.host) == (other.scheme, other.user, other.host) and (
            self.href.startswith(other.href)
        )


def read_url(text: str) -> Url | None:
    """The URL that a text is; ``None`` if it is none that leads to the same place for every reader.

    A character that Unicode 14 didn't have is read otherwise by older tables: such a text is none.
    """
    if not text.isascii() and any(refused_as(char) == _UNASSIGNED for char in text):
        return None
    try:
        url = URL(text)
        return Url(str(url.href), str(url.protocol), f"{url.username}:{url.password}", str(url.host))
    except ValueError:
        return None


def place_of(url: str) -> str:
    """Where a URL leads, for logs and errors: scheme, host and port. The rest of it may be a secret."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "a URL"
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{port}" if parts.scheme and host else "a URL"


def without_urls(text: str) -> str:
    """A text, such as an error's, with ``place_of`` in place of each URL of the web.

    Of a path that an HTTP library tells as the URL of a request, nothing is left.
    """
    return _PATH.sub("/...", _URL.sub(lambda url: place_of(url[0]), text))


_UNASSIGNED = refused_as("\U000e0080")
_URL = re.compile(r"\b(?:https?|wss?)://[^\s'\"<>\\]+", re.IGNORECASE)
_PATH = re.compile(r"(?<=url: )/[^\s'\"<>]+", re.IGNORECASE)
