"""`liq health`: a probe for supervisors and containers; it loads next to nothing and needs no secret."""

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from liqcli.cli.render import print_json
from liqcli.errors import LiqError, NotRunning, UsageError
from liqcli.lock import holder_of
from liqcli.ops.problems import problems_of
from liqcli.text import safe, shown_url

_UNHEALTHY = 1
_SILENT_S = 10.0
"""A bot tells how it stands every 2 s."""
_TIMEOUT_S = 3.0
_OK = 200
_UNAVAILABLE = 503


def health(
    *,
    url: Annotated[str | None, typer.Option(help="Ask this address instead: http://127.0.0.1:9109/readyz.")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(envvar="LIQ_DATA_DIR", help="The bot's data directory.", show_envvar=True)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Say whether the running bot is healthy: exit 0 healthy, 1 not, 7 not running.

    Example: liq health
    """
    problems = _asked(url) if url else _told(data_dir or _data_dir())
    if as_json:
        print_json({"healthy": not problems, "problems": problems})
    elif problems:
        print("\n".join(f"unhealthy: {safe(problem)}" for problem in problems))
    else:
        print("healthy")
    if problems:
        raise typer.Exit(_UNHEALTHY)


def _told(data_dir: Path) -> list[str]:
    """What the bot that holds the directory last told of itself, and whether it has fallen silent."""
    facts = holder_of(data_dir, "run")
    if facts is None:
        raise NotRunning(f"no bot is running on {data_dir}", hint="liq run --sandbox, or --data-dir DIR")
    if "status" not in facts:
        return ["it is still starting"]
    silent_s = time.time() - (data_dir / "run.json").stat().st_mtime
    silence = [f"it has told nothing for {silent_s:.0f} s"] if silent_s > _SILENT_S else []
    return silence + problems_of(facts["status"])


def _asked(url: str) -> list[str]:
    """What a bot's own page answers; NotRunning when nobody does."""
    from http.client import HTTPConnection, HTTPException, HTTPSConnection
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f'"{shown_url(url)}" is no http address', hint="--url http://127.0.0.1:9109/readyz")
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


def _data_dir() -> Path:
    """Where Settings would put the data; read here without them, because loading them costs more than the probe."""
    import tomllib

    import platformdirs

    for path in (Path("liq.toml"), Path(platformdirs.user_config_dir("liq")) / "config.toml"):
        try:
            named = tomllib.loads(path.read_text(encoding="utf-8")).get("data_dir")
        except FileNotFoundError:
            continue
        except (OSError, ValueError, RecursionError) as err:
            print(f"{path} cannot be read ({safe(str(err), limit=100)}); liq config validate", file=sys.stderr)
            continue
        if isinstance(named, str):
            return Path(named)
    return Path(platformdirs.user_data_dir("liq"))
