"""`liq doctor`: everything a run depends on, examined at once; each finding says what to type next."""

import asyncio
import os
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from textwrap import wrap
from time import perf_counter
from typing import TYPE_CHECKING, Any

import typer

from liqcli.cli import options, wallet
from liqcli.cli.render import print_json, safe_lines, say
from liqcli.config import Explained, config_files
from liqcli.errors import ConfigError, LiqError, SecretError
from liqcli.layers import WrongSettings
from liqcli.lock import holder_of
from liqcli.text import safe

if TYPE_CHECKING:
    from liqcli.cli.connect import Target
    from liqcli.ops.checks.finding import Check, Scope

_FAILED = 1
_LEFT = 22
_START_TICKS = 19
"""Field 22 of proc(5), counted from the one after the name."""
_NARROWEST = 40
_WHOLE_S = 4.6
"""Of the five seconds that the process may take; the rest is its end."""
_LEAST_S = 1.5
_PATIENT_S = 10.0
"""Before a run a slow node is waited for: it is refused for what it cannot do."""


def doctor(
    *,
    account: wallet.Account = None,
    keystore: wallet.Keystore = None,
    password_file: wallet.PasswordFile = None,
    as_json: options.Json = False,
    network: options.Network = None,
    market: options.MarketName = None,
    provider: options.Provider = None,
    rpc: options.RpcUrl = None,
    redis: options.RedisUrl = None,
    config: options.ConfigFile = None,
    sandbox: options.Sandbox = False,
) -> None:
    """Examine everything a run depends on: settings, node, market, Redis, key, machine; exit 1 when something fails.

    Example: liq doctor --sandbox
    """
    started = perf_counter()
    try:
        explained = options.explained_from(
            network=network, market=market, provider=provider, rpc=rpc, redis=redis, config=config
        )
    except ConfigError as err:
        checks = _unusable(err)
    else:
        key = _Key(account, keystore, password_file)
        started, checks = asyncio.run(_examine(explained, config, key, sandbox=sandbox))
    _show(checks, perf_counter() - started, as_json=as_json)
    if any(check.status == "fail" for check in checks):
        raise typer.Exit(_FAILED)


async def preflight(
    explained: Explained,
    target: "Target",
    *,
    account: str | None = None,
    keystore: Path | None = None,
    config: Path | None = None,
) -> None:
    """What `liq run` looks at before it starts; raises for the first failure, and says in a line what was found.

    A sandbox is ours and was just made: only what is cheap is examined there.
    """
    from liqcli.ops.doctor import examine, refusal

    started = perf_counter()
    key = _Key(account, keystore, None)
    scope = _scope(explained, target, key, config)
    checks = await examine(scope, deadline_s=_PATIENT_S, cheap=target.is_sandbox)
    if (refused := refusal(checks)) is not None:
        raise refused
    counts = Counter(check.status.value for check in checks)
    for check in checks:
        if check.status == "warn":
            say(f"warning: {check.name}: {safe(check.what)}{f' ({safe(check.fix)})' if check.fix else ''}")
    told = f"{counts['ok']} checks passed, {_warnings(counts)}, {counts['skip']} skipped"
    say(f"{told} in {perf_counter() - started:.1f} s; `liq doctor` shows them")


class _Key:
    """What the command line says of the key; its address, if it can be known without a password."""

    def __init__(self, account: str | None, keystore: Path | None, password_file: Path | None) -> None:
        self.account = account
        self.keystore = keystore
        self.password_file = password_file
        self.problem: LiqError | None = None

    def address(self, explained: Explained) -> tuple[str | None, str]:
        """The address, or why there is none to examine."""
        from liqcli.wallet.keystore import described

        if self.account is None and self.keystore is None:
            return None, ""
        settings = explained.settings
        try:
            if self.password_file is not None:
                opened = wallet.load_key(
                    settings, account=self.account, keystore=self.keystore, password_file=self.password_file
                )
                return opened.address, ""
            path = wallet.keystore_path(settings, account=self.account, keystore=self.keystore)
            address, why = described(path)
            if why:
                raise SecretError(why, hint=f"chmod 600 {path}" if "can read" in why else "liq keys list")
        except LiqError as err:
            self.problem = err
            return None, err.message
        return address, "the keystore names no address: give --password-file to open it"


async def _examine(
    explained: Explained, config: Path | None, key: _Key, *, sandbox: bool
) -> tuple[float, list["Check"]]:
    """When the examination began, without the start of a sandbox for it, and what it found."""
    from liqcli.cli import connect
    from liqcli.ops.checks.finding import fail, failed
    from liqcli.ops.doctor import DEADLINE_S, examine

    left_s = min(max(_WHOLE_S - process_age_s(), _LEAST_S), DEADLINE_S)
    async with AsyncExitStack() as stack:
        target, problems = None, []
        try:
            target = await connect.find_target(stack, explained.settings, sandbox=sandbox, tell=say)
        except ConfigError:
            pass  # no endpoint is set: the check of the market says so
        except LiqError as err:
            problems.append(failed("sandbox", err))
        except OSError as err:
            problems.append(
                fail("sandbox", f"cannot be started: {err}", "LIQ_DATA_DIR=DIR with a directory of its own")
            )
        if target is not None and target.is_sandbox:
            wallet.say_unused(key.account, key.keystore)
        started = perf_counter()
        checks = await examine(_scope(explained, target, key, config), deadline_s=left_s)
        if key.problem is not None:
            problems.append(failed("wallet", key.problem))
        return started, [*problems, *checks]


def process_age_s() -> float:
    """Seconds since this process was started, its loading included; 0 where there is no /proc to tell."""
    try:
        started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[_START_TICKS])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError):
        return 0.0


def _scope(explained: Explained, target: "Target | None", key: _Key, config: Path | None) -> "Scope":
    from liqcli.ops.checks.finding import Scope

    settings = explained.settings
    is_sandbox = target is not None and target.is_sandbox
    signer, note = key.address(explained)
    if is_sandbox:
        signer, note = (holder_of(settings.data_dir, "sandbox") or {}).get("liquidator"), ""
    running = holder_of(settings.data_dir, "run") or {}
    urls = () if target is None else (target.rpc_url, *(() if is_sandbox else settings.rpc.fallback_urls))
    return Scope(
        settings=settings,
        origins=explained.origins,
        files=tuple(path for path in config_files(config) if path.is_file()),
        key_directories=wallet.key_directories(settings),
        rpc_urls=urls,
        market=settings.market if target is None else target.market,
        provider=None if target is None else target.provider,
        chain_id=settings.chain_id if target is None else target.chain_id,
        exchange=settings.exchange if target is None else target.exchange,
        is_sandbox=is_sandbox,
        redis_url=settings.redis.url or (target and target.redis_url) or running.get("redis_url"),
        signer=signer,
        signer_note=note,
    )


def _unusable(err: ConfigError) -> list["Check"]:
    """Settings that cannot be used leave nothing else to examine."""
    from liqcli.ops.checks.finding import fail, failed, skip

    rest = skip("the rest", "needs settings that can be used", "liq config validate")
    if isinstance(err, WrongSettings):
        return [*(fail("config", problem.message, problem.hint) for problem in err.problems), rest]
    return [failed("config", err), rest]


def _show(checks: list["Check"], seconds: float, *, as_json: bool) -> None:
    checks = [replace(check, fix=check.fix.replace("liq COMMAND", "liq doctor")) for check in checks]
    counts = Counter(check.status.value for check in checks)
    if as_json:
        print_json(
            {"checks": [_document(check) for check in checks], "duration_s": round(seconds, 3), **_tally(counts)}
        )
        return
    show = _print_wrapped if sys.stdout.isatty() else _print_whole
    for check in checks:
        show(check)
    told = f"{counts['fail']} failed, {_warnings(counts)}, {counts['ok']} ok, {counts['skip']} skipped"
    say(f"{told} in {seconds:.1f} s")


def _warnings(counts: Counter[str]) -> str:
    return f"{counts['warn']} warning{'' if counts['warn'] == 1 else 's'}"


def _document(check: "Check") -> dict[str, Any]:
    return {
        "name": check.name,
        "status": check.status.value,
        "what": safe_lines(check.what),
        "fix": safe(check.fix) or None,
    }


def _tally(counts: Counter[str]) -> dict[str, int]:
    return {"failed": counts["fail"], "warned": counts["warn"], "passed": counts["ok"], "skipped": counts["skip"]}


def _print_whole(check: "Check") -> None:
    print("\t".join((check.status.value, check.name, safe(check.what), safe(check.fix))))


def _print_wrapped(check: "Check") -> None:
    """Status and name on the left; what and fix beside them, however narrow the terminal."""
    from shutil import get_terminal_size

    shouted = check.status.value.upper() if check.status in ("fail", "warn") else check.status.value
    width = max(get_terminal_size().columns - _LEFT, _NARROWEST)
    lines = wrap(safe(check.what), width) or [""]
    if check.fix and check.status != "ok":
        lines += [
            f"> {line}" if number == 0 else f"  {line}" for number, line in enumerate(wrap(safe(check.fix), width - 2))
        ]
    print(f" {shouted:<5} {check.name:<14} {lines[0]}")
    for line in lines[1:]:
        print(f"{'':{_LEFT}}{line}")
