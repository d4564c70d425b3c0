"""The places that a text names: URLs, host names, e-mail addresses, shares, telephone numbers.

Nobody knows which program will look for links in a text that an agent writes, and each has rules of its own.
So whatever one of them may follow is a link here, and where they may differ on its end, it is known only if
it leads to one place. Words made of a link on purpose ("evil dot com") are none.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from agentflow.contracts.person import refused_as
from agentflow.core.readings import TooManyReadingsError, readings
from agentflow.core.urls import read_url

MAX_TEXT = 100_000
"""Characters. A longer text isn't read: it is one link, from its beginning to its end."""
MAX_LINK = 4_096
"""Characters. What is longer is known to nobody."""
MAX_LINKS = 1_000
"""Links of one text. A text with more is one link."""

# Each alternative begins where no character of its own kind comes before, so that a long text is read once.
# A full stop of East Asia is a dot of a host name.
_START = re.compile(
    r"""(?<![\w@.。-])(?P<host>(?:[\w-]+[.。])+(?:xn--[\w-]{2,59}|[^\W\d_]{2,63}))"""
    r"""|(?<![a-z0-9+.-])(?P<scheme>[a-z][a-z0-9+.-]*):(?P<slashes>[\\/]*)(?=[^\s\\/])"""
    r"""|(?<![\w\\/])(?P<share>[\\/]{2,})(?=[\w\[%@?.])"""
    r"""|(?P<mail>(?:(?<![\w.+!\#$%*^~`"-])[\w.+!\#$%*^~`"-]+|)@)(?=[\w\[])"""
    r"""|(?<![\w.])(?P<ip>\d{1,3}(?:\.\d{1,3}){3}(?![\w.])|\[[0-9a-f]*:[0-9a-f:.]*\])""",
    re.IGNORECASE | re.VERBOSE,
)
_SIGNS = re.compile(r"[.:@/\\]")
"""Without one of them, a word of ASCII has no link."""
_LOCAL_REST = re.compile(r"[\w.+!#$%*^~`-]*@(?=[\w\[])")
_MAIL_HOST = re.compile(r"[\w.。-]+|\[[^\s\]]*\]")
_AFTER_HOST = re.compile(r"(?::\d+)?(?:[/?\\#]|$)|:\d")
_WORD = re.compile(r"[^ \t\n\r\f\v]+")
_QUOTED = re.compile(r"""=\s*"([^"]*)"|=\s*'([^']*)'|<([^<>]*)>""")
_PIECE = re.compile(r"""[^\s"'<>(){},;|*`=:/\\?#@\[\]]+""")
_ENDS = re.compile(r"""["'<>`\s]""")
_TRAILING = ".,;:!?)]}\"'\u2019\u201d\u00bb"
_LEADING = "\"'([{<\u2018\u201c\u00ab"
_IGNORED = ("an invisible format character", "an invisible (default-ignorable) character")

_PLAIN = re.compile(r"""(?:[^\W\d_]+|[\d.,:/%$€£¥+-]+)[.,;:!?)\]}"']*(?=\s|$)""")
"""After the colon of what is no scheme: ``Re:invent``, ``Total:45.00``."""
_SCHEMES = frozenset(
    re.findall(
        r"\S+",
        """
        about acct bitcoin blob callto cid data dns ethereum facetime facetime-audio fax feed file filesystem
        ftp geo gopher http https im imap intent irc itms-apps itms-services jar javascript ldap ldaps
        lightning line magnet mailto maps market mid mms modem monero msteams news nfs nntp pkcs11 pop pres
        rlogin rtsp sftp shortcuts sip sips skype slack sms smb smsto snmp ssh svn tel telnet tg tn3270 udp
        urn vbscript view-source vnc wais weixin whatsapp ws wss xmpp zoommtg zoomus
        """,
    )
)
"""Schemes that need no slashes to lead somewhere. Others count where what follows is no plain word."""
_CARRIERS = ("mailto", "tel", "sms")
"""Schemes that lead to what is written after them, and to nothing else."""

_MAX_CJK = 4
_MAX_KATAKANA = 8
"""Letters of the longest top-level domains in these scripts. More of them after a stop are a sentence."""
_CJK = re.compile(r"[\u2e80-\u30ff\u3130-\u9fff\uac00-\ud7af]+")
_KATAKANA = re.compile(r"[\u30a0-\u30ff]+")

IsKnown = Callable[[str], bool]


def links(text: str) -> tuple[str, ...]:
    """The places that a text names."""
    return unknown_links(text, lambda _: False)


def unknown_links(text: str, is_known: IsKnown) -> tuple[str, ...]:
    """The places that a text names, in any of its readings, and that aren't known.

    A text that can't be read, as it is too long or encoded too often, is a place as a whole.

    Args:
        text: Any.
        is_known: Tells of a link, as it stands in the text, whether it is.
    """
    found = _Found(is_known)
    try:
        if len(text) > MAX_TEXT:
            raise TooManyReadingsError(f"the text is longer than {MAX_TEXT} characters: send it in parts")
        found.look_at(text)
        for reading in islice(readings(_to_decode(text, is_known)), 1, None):
            found.look_at(reading)
    except TooManyReadingsError:
        return () if is_known(text) else (text,)
    return tuple(found.unknown)


def _to_decode(text: str, is_known: IsKnown) -> str:
    """The text without the words that are a known link as they stand: ``?a=1&copy=2`` is no copyright."""
    if "://" not in text or _QUOTED.search(text):
        return text

    def kept(match: re.Match[str]) -> str:
        word = match[0].rstrip(_TRAILING)
        return " " if "://" in word and len(word) <= MAX_LINK and is_known(word) else match[0]

    return _WORD.sub(kept, text)


class _Found:
    """The links of a text that aren't known."""

    def __init__(self, is_known: IsKnown) -> None:
        self._is_known = is_known
        self._left = MAX_LINKS
        self._seen: dict[str, bool] = {}
        self.unknown: dict[str, None] = {}

    def look_at(self, text: str) -> None:
        for value in dict.fromkeys(_values(text)):
            if whole := _whole(value):
                self._count()
                if not _leads_on(value.split()[0], whole):
                    self._add(whole, as_written=True)
        for raw in dict.fromkeys(_WORD.findall(text)):
            if raw.isascii() and not _SIGNS.search(raw):
                continue
            word = _Word(raw, raw if raw.isascii() else _plain(raw))
            for link in word.links():
                self._count()
                self._add(link, as_written=word.has_as_written(link))

    def _count(self) -> None:
        if not self._left:
            raise TooManyReadingsError(f"the text has more than {MAX_LINKS} links: send it in parts")
        self._left -= 1

    def _add(self, link: str, *, as_written: bool) -> None:
        if link not in self._seen:
            self._seen[link] = len(link) <= MAX_LINK and _is_known(link, self._is_known)
        if not (as_written and self._seen[link]):
            self.unknown[link] = None


def _values(text: str) -> Iterator[str]:
    """Values of attributes, and what is in angle brackets: there white space is no end."""
    return (next(filter(None, match.groups()), "") for match in _QUOTED.finditer(text))


def _whole(value: str) -> str | None:
    """A link with white space in it, without what browsers leave out; ``None`` where the value is none."""
    if len(value.split(maxsplit=1)) < 2:
        return None
    whole = re.sub(r"[\t\n\r]", "", value).strip()
    start = _START.match(whole)
    return whole if start and (start["scheme"] or start["share"]) else None


def _leads_on(cut: str, whole: str) -> bool:
    """Whether a link leads to where it does when it is cut off, or to somewhere below."""
    near, far = read_url(_absolute(cut)), read_url(_absolute(whole))
    if near is None:
        return False
    if far is None:
        # No browser opens it. Others may see an address in it.
        return not re.search(r"[@\\]", whole[len(cut) :])
    return far.is_within(near)


def _absolute(link: str) -> str:
    if re.match(r"[a-z][a-z0-9+-]*:(?!\d)|[a-z][a-z0-9+.-]*:[\\/]", link, re.IGNORECASE):
        return link
    return f"https:{link}" if link[:1] in ("/", "\\") else f"https://{link}"


@dataclass(frozen=True)
class _Word:
    """What stands between white space."""

    raw: str
    plain: str
    """As programs compare it: compatible characters replaced, invisible ones left out."""

    def has_as_written(self, link: str) -> bool:
        """Whether a link is spelled as it reads, each time."""
        if self.raw == self.plain:
            return True
        return len(self.raw) <= MAX_LINK and self.raw.count(link) >= self.plain.count(link)

    def links(self) -> Iterator[str]:
        place, is_any = 0, False
        while start := _START.search(self.plain, place):
            link, place = self._link(start)
            if link is not None:
                is_any = True
                yield link
        if not is_any and not self.raw.isascii():
            yield from (piece for piece in _PIECE.findall(self.raw) if _is_host(piece))

    def _link(self, start: re.Match[str]) -> tuple[str | None, int]:
        """The link that begins there, if one does, and where to look on."""
        if start["scheme"]:
            return self._of_scheme(start)
        if start["share"]:
            return self._cut(start.start())
        end: int | None = start.end()
        local = _LOCAL_REST.match(self.plain, end) if start["host"] else None
        if start["mail"] or local:
            end = self._end_of_mail(start.start(), local.end() if local else end)
        elif start["host"]:
            end = _end_of_host(start)
        elif start["ip"][0] == "[" and read_url(f"https://{start['ip']}") is None:
            end = None
        if end is None:
            return None, start.end()
        after = _AFTER_HOST.match(self.plain, end)
        if after and after.end() > end:
            return self._cut(start.start())
        return self.plain[start.start() : end].strip(_TRAILING + _LEADING), end

    def _end_of_mail(self, start: int, at: int) -> int | None:
        host = _MAIL_HOST.match(self.plain, at)
        if host is None:
            return None
        is_mention = at == start + 1 and "." not in host[0]
        is_price = re.fullmatch(r"\d+\.?\d*\.?", host[0]) is not None
        return None if is_mention or is_price else host.end()

    def _of_scheme(self, start: re.Match[str]) -> tuple[str | None, int]:
        # Of what is no scheme, and of a drive's letter, what follows is looked at by itself.
        if len(start["scheme"]) == 1:
            return None, start.end("scheme") + 1
        if not (start["slashes"] or start["scheme"].lower() in _SCHEMES):
            end = start.end()
            while self.plain[end : end + 1] and self.plain[end] in _LEADING:
                end += 1
            if _START.match(self.plain, end) or _PLAIN.match(self.plain, end):
                return None, start.end()
        return self._cut(start.start())

    def _cut(self, start: int) -> tuple[str, int]:
        """The link from there: to its first quote or bracket, or to the end if it leads elsewhere by that."""
        whole = self.plain[start : start + MAX_LINK + 1]
        end = _ENDS.search(whole)
        if end is not None and len(whole) <= MAX_LINK and _leads_on(whole[: end.start()], whole):
            return whole[: end.start()].rstrip(_TRAILING), start + end.start()
        return whole.rstrip(_TRAILING) if len(whole) <= MAX_LINK else whole, len(self.plain)


def _is_known(link: str, is_known: IsKnown) -> bool:
    if is_known(link):
        return True
    scheme, _, rest = link.partition(":")
    return scheme.lower() in _CARRIERS and not re.search(r"[?&,;%]", rest) and is_known(rest)


def _plain(word: str) -> str:
    kept = "".join(char for char in word if char.isascii() or refused_as(char) not in _IGNORED)
    return unicodedata.normalize("NFKC", kept)


def _end_of_host(start: re.Match[str]) -> int | None:
    """Where a host name ends, without the sentences that come after a full stop of East Asia."""
    labels, end = re.split(r"([.。])", start["host"]), start.end()
    while len(labels) > 1:
        last, stop = labels.pop(), labels.pop()
        most = _MAX_KATAKANA if _KATAKANA.fullmatch(last) else _MAX_CJK
        if stop == "." or not _CJK.fullmatch(last) or len(last) <= most:
            return end
        end -= len(last) + 1
    return None


def _is_host(piece: str) -> bool:
    """Whether a browser reads a host name where none was seen."""
    plain = _plain(piece)
    if not ("." in plain or "。" in plain) or len(piece) > MAX_LINK or _START.search(plain):
        return False
    url = read_url(f"https://{piece}")
    if url is None:
        return re.search(r"[.。][^\W\d_]{2,63}$", plain) is not None
    *labels, last = url.host.split(".")
    return bool(labels) and all(labels) and re.fullmatch(r"[a-z]{2,63}|xn--.+", last) is not None
