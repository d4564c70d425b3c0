"""URLs as browsers read them: by the URL standard (WHATWG) and Unicode Technical Standard 46."""

from dataclasses import dataclass

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


_UNASSIGNED = refused_as("\U000e0080")
