"""`liq status`: how the running bot stands, on one screen; the exit code tells a script."""

from typing import Any

import typer

from liqcli.cli import options
from liqcli.cli.render import address, print_json, print_table
from liqcli.config import Settings
from liqcli.errors import NotRunning
from liqcli.lock import Facts, holder_of
from liqcli.model import Tier
from liqcli.ops.problems import pauses_of, problems_of, silence_of
from liqcli.text import safe

_UNHEALTHY = 1
_CHANGES_SHOWN = 3


def status(*, as_json: options.Json = False, config: options.ConfigFile = None) -> None:
    """Show how the running bot stands: head, tiers, channels, tuning; exit 0 healthy, 1 not, 7 not running.

    Example: liq status --json
    """
    settings = options.settings_from(config=config)
    facts = running_bot(settings)
    document = {
        **facts["status"],
        "pid": facts["pid"],
        "started": facts["started"],
        "problems": silence_of(settings.data_dir) + problems_of(facts["status"]),
    }
    if as_json:
        print_json(document)
    else:
        _print(document)
    if document["problems"]:
        raise typer.Exit(_UNHEALTHY)


def running_bot(settings: Settings) -> Facts:
    """What the running bot last told of itself; NotRunning when there is none."""
    facts = holder_of(settings.data_dir, "run")
    if facts is None:
        raise NotRunning("no bot is running here", hint="liq run --sandbox, or set LIQ_DATA_DIR to the bot's")
    if "standby" in facts:
        raise NotRunning(
            f"the bot of pid {facts['pid']} is on {safe(facts['standby'])}", hint="it takes over when that one ends"
        )
    if "status" not in facts:
        raise NotRunning(f"the bot of pid {facts.get('pid')} is still starting", hint="try again in a few seconds")
    return facts


def _print(found: dict[str, Any]) -> None:
    head, events, sent = found["head"], found["events"], found["liquidations"]
    age = f"head {head['block']:,}, {head['age_s']:.1f} s old"
    print(f"{found['mode'].upper()} · {safe(found['market'])} · pid {found['pid']} since {found['started']} · {age}")
    print_table(
        ["tier", "borrowers", "every", "batch", "workers"], [_tier_row(found, tier) for tier in found["pacing"]]
    )
    print_table(
        ["pace", "cache hits", "misses", "saved calls"],
        [[pace, *(f"{count:,}" for count in counts.values())] for pace, counts in found["cache"]["by_pace"].items()],
    )
    for name, channel in found["channels"].items():
        if channel is not None:
            print(f"{name} channel {_channel(channel)}")
    print(f"events received {events['received']:,}, applied {events['applied']:,}, lost {events['lost']:,}")
    print(f"liquidations sent {sent['sent']:,}, won {sent['won']:,}, failed {sent['failed']:,}")
    print(f"profit ${found['profit_usd']:,.2f}")
    if found["closest"]:
        closest, critical = found["closest"], found["by_tier"][Tier.CRITICAL.value]
        beside = f", of the healthy; {critical:,} below 1 or unknown: liq scan --tier critical" if critical else ""
        print(f"closest to liquidation {address(closest['borrower'])} HF {closest['health_factor_float']:.4f}{beside}")
    for pause in pauses_of(found):
        print(pause)
    for change in found["tuning"][-_CHANGES_SHOWN:]:
        print(f"tuned {change}")
    for problem in found["problems"]:
        print(f"problem: {problem}")


def _tier_row(found: dict[str, Any], tier: str) -> list[str]:
    pacing = found["pacing"][tier]
    every, batch, workers = pacing["interval_s"], pacing["batch"], pacing["workers"]
    return [tier, f"{found['by_tier'][tier]:,}", f"{every:g} s", f"{batch:,}", str(workers)]


def _channel(found: dict[str, int]) -> str:
    held, capacity, most, waits = (found[name] for name in ("held", "capacity", "high_water", "waits"))
    return f"{held:,} of {capacity:,} held, most {most:,}, senders waited {waits:,} times"
