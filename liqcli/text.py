"""The border between foreign text and the terminal: token symbols, log lines and RPC strings are only text."""

import re
import unicodedata

HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s:\[\]@]+)(:\d+)?")
"""A host with or without a port, as in a URL."""

_AUTHORITY_ENDS = re.compile(r"[/?#]")
_DROPPED_CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_KEY = re.compile(r"(?:0[xX])?[0-9a-fA-F]{64,}")


def safe(text: str, *, limit: int = 400) -> str:
    """Show foreign text as one plain line: control, bidi and format characters become `?`, long text is cut."""
    shown = "".join("?" if unicodedata.category(char) in _DROPPED_CATEGORIES else char for char in text[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def holds_key(text: str) -> bool:
    """Whether there is something in it that could be a private key: 64 hexadecimal digits."""
    return _KEY.search(text) is not None


def without_keys(text: str) -> str:
    """The text without whatever could be a private key."""
    return _KEY.sub("(64 hex digits, not repeated)", text)


def short_address(address: str) -> str:
    """An address shortened in its middle, still long enough to recognise."""
    return f"{address[:6]}…{address[-4:]}"


def shown_url(url: str) -> str:
    """Scheme and host of a URL, which may carry keys; that there is more is only hinted at.

    Where the host cannot be told from a password with a `/` in it, not even the host.
    """
    scheme, separator, rest = url.rpartition("://")
    authority, *more = _AUTHORITY_ENDS.split(rest, maxsplit=1)
    hosts = authority.rpartition("@")[2]
    is_plain = all(not host or HOST.fullmatch(host) for host in hosts.split(",")) and "@" not in "".join(more)
    hint = "/..." if "".join(more).strip("/") else ""
    return safe(f"{scheme}{separator}{f'{hosts}{hint}' if is_plain else '...'}", limit=200)
