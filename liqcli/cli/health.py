"""`liq health`: a probe for supervisors and containers; it loads next to nothing and needs no secret."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from liqcli.cli.render import print_json
from liqcli.errors import LiqError, NotRunning, UsageError
from liqcli.forms import checked_url
from liqcli.lock import holder_of
from liqcli.ops.problems import problems_of, silence_of
from liqcli.place import data_directory
from liqcli.text import safe, shown_url

_UNHEALTHY = 1
_TIMEOUT_S = 3.0
_OK = 200
_UNAVAILABLE = 503


def health(
    *,
    url: Annotated[str | None, typer.Option(help="Ask this address instead: http://127.0.0.1:9109/readyz.")] = None,
    data_dir: Annotated[str | None, typer.Option(help="The bot's data directory.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> int:
    """Say whether the running bot is healthy: exit 0 healthy, 1 not, 7 not running.

    Example: liq health
    """
    problems = _asked(url) if url else _told(Path(data_dir) if data_dir else data_directory())
    if as_json:
        print_json({"healthy": not problems, "problems": problems})
    elif problems:
        print("\n".join(f"unhealthy: {safe(problem)}" for problem in problems))
    else:
        print("healthy")
    return _UNHEALTHY if problems else 0


def plainly_given(args: Sequence[str]) -> dict[str, Any] | None:
    """The options of `health` where nothing is to be explained, else None: Typer costs more than the whole probe."""
    given: dict[str, Any] = {}
    words = iter(args)
    for word in words:
        if word == "--json":
            given["as_json"] = True
        elif word in ("--url", "--data-dir") and (value := next(words, "-")) and not value.startswith("-"):
            given[word.removeprefix("--").replace("-", "_")] = value
        else:
            return None
    return given


def _told(data_dir: Path) -> list[str]:
    """What the bot that holds the directory last told of itself, and whether it has fallen silent."""
    facts = holder_of(data_dir, "run")
    if facts is None:
        raise NotRunning(f"no bot is running on {data_dir}", hint="liq run --sandbox, or --data-dir DIR")
    if "status" not in facts:
        return [facts.get("standby", "it is still starting")]
    return silence_of(data_dir) + problems_of(facts["status"])


def _asked(url: str) -> list[str]:
    """What a bot's own page answers; NotRunning when nobody does."""
    from http.client import HTTPConnection, HTTPException, HTTPSConnection
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(checked_url(url, "http://", "https://"))
    except ValueError:
        raise UsageError(f'"{shown_url(url)}" is no http address', hint="--url http://127.0.0.1:9109/readyz") from None
    connection = (HTTPConnection if parts.scheme == "http" else HTTPSConnection)(parts.netloc, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", parts.path or "/readyz")
        response = connection.getresponse()
        body = response.read(64 * 1024)
    except (OSError, HTTPException) as err:
        raise NotRunning(f"nobody answers at {shown_url(url)} ({err})", hint="is it started with --http?") from err
    finally:
        connection.close()
    if response.status == _OK:
        return []
    if response.status == _UNAVAILABLE:
        return _problems_in(body)
    raise LiqError(f"{shown_url(url)} answered {response.status} {safe(response.reason)}", hint="try its /readyz")


def _problems_in(body: bytes) -> list[str]:
    """The problems that the page lists, or its text."""
    try:
        document: Any = json.loads(body)
    except ValueError:
        document = None
    listed = document.get("problems") if isinstance(document, dict) else None
    return [str(problem) for problem in listed or [body.decode(errors="replace").strip() or "it says 503"]]
