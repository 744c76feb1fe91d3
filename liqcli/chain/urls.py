"""URLs of nodes carry keys: what must be taken out of foreign text."""

from urllib.parse import parse_qsl, unquote, urlsplit

from liqcli.text import safe

_SHORTEST_SECRET = 6


def secrets_in(url: str) -> list[str]:
    """Every part of a URL that may be a key, longest first."""
    parts = urlsplit(url)
    credentials = [text for text in (parts.username, parts.password) if text]
    query = [value for _, value in parse_qsl(parts.query)]
    rest = [text for text in (*parts.path.split("/"), parts.query, parts.path, *query) if len(text) >= _SHORTEST_SECRET]
    return sorted({form for text in (*credentials, *rest) for form in (text, unquote(text))}, key=len, reverse=True)


def without_secrets(text: str, secrets: list[str]) -> str:
    """Foreign text as one safe line, with every secret starred out."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return safe(text, limit=200)
