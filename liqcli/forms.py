"""The forms that settings have: URLs, addresses, paths, HOST:PORT; ValueError says what is wrong without a secret."""

import re
from pathlib import Path
from urllib.parse import urlsplit

from liqcli.text import HOST, shown_url

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")


def checked_url(url: str, *schemes: str) -> str:
    """A URL with one of these schemes and a host; `unix://` has a path instead."""
    if not url.startswith(schemes):
        raise ValueError(f'no scheme it can use; did you mean "{shown_url(schemes[0] + url.rpartition("://")[2])}"?')
    if not url.startswith("unix://") and not _has_hosts(url):
        raise ValueError("no host and port it can use; in a password / ? # @ are written %2F %3F %23 %40")
    return url


def checked_address(address: str) -> str:
    """An address, lowered."""
    if _ADDRESS.fullmatch(address) is None:
        raise ValueError(f"{address!r} is no address")
    return address.lower()


def at_home(path: Path) -> Path:
    """A path whose `~` stands for a user's home."""
    try:
        return path.expanduser()
    except RuntimeError as err:
        raise ValueError(f"no home is known for {path.parts[0]!r}") from err


def host_and_port(address: str) -> tuple[str, int]:
    """The parts of `HOST:PORT`; port 0 takes a free one."""
    try:
        parts = urlsplit(f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or port is None or parts.netloc != address or "@" in address:
        raise ValueError("is no HOST:PORT, such as 127.0.0.1:9109")
    return host, port


def _has_hosts(url: str) -> bool:
    """Whether each host of a URL, of a cluster's there are several, is one, and its port a number that ports have."""
    try:
        hosts = urlsplit(url).netloc.rpartition("@")[2].split(",")
        ports = [urlsplit(f"//{host}").port for host in hosts]
    except ValueError:
        return False
    return 0 not in ports and all(HOST.fullmatch(host) for host in hosts)
