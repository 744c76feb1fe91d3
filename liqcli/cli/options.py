"""The connection options that commands share, and how they become Settings."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from liqcli.cli import completion
from liqcli.cli.completion import offering
from liqcli.config import Explained, Settings, explain_settings
from liqcli.errors import UsageError
from liqcli.model import Address, Tier
from liqcli.text import safe

ADDRESS = re.compile(r"0[xX][0-9a-fA-F]{40}")
_PANEL = "Connection"
_SHORT_TIERS = {"high": Tier.HIGH_RISK, "medium": Tier.MEDIUM_RISK, "low": Tier.LOW_RISK}

Network = Annotated[
    str | None,
    typer.Option(
        help="hyperevm, hyperevm-testnet, or local for any chain id.",
        rich_help_panel=_PANEL,
        autocompletion=offering(completion.networks),
    ),
]
MarketName = Annotated[
    str | None,
    typer.Option(
        "--market",
        help="hyperlend, hypurrfi, or a name of your own.",
        rich_help_panel=_PANEL,
        autocompletion=offering(completion.market_names),
    ),
]
Provider = Annotated[
    str | None,
    typer.Option("--pool-addresses-provider", help="A market's PoolAddressesProvider.", rich_help_panel=_PANEL),
]
RpcUrl = Annotated[str | None, typer.Option("--rpc", help="HTTP JSON-RPC endpoint.", rich_help_panel=_PANEL)]
RedisUrl = Annotated[
    str | None,
    typer.Option("--redis", help="Redis URL; an embedded Valkey starts without one.", rich_help_panel=_PANEL),
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="Settings file instead of ./liq.toml.", rich_help_panel=_PANEL)
]
Sandbox = Annotated[
    bool,
    typer.Option(
        "--sandbox", help="A local chain: attach to the one that is up, else start one.", rich_help_panel=_PANEL
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def settings_from(**flags: Any) -> Settings:
    """Settings from the command line over environment, files and presets."""
    return explained_from(**flags).settings


def explained_from(
    *,
    network: str | None = None,
    market: str | None = None,
    provider: str | None = None,
    rpc: str | None = None,
    redis: str | None = None,
    config: Path | None = None,
    **flags: Any,
) -> Explained:
    """The same, with the place that set each value."""
    chosen = {"network": network, "market": market, "pool_addresses_provider": provider}
    return explain_settings({**chosen, "rpc": {"url": rpc}, "redis": {"url": redis}, **flags}, config_file=config)


def address_named(text: str) -> Address:
    """The address a user wrote, checksummed or not."""
    if ADDRESS.fullmatch(text) is None:
        raise UsageError(f'"{safe(text, limit=80)}" is no address', hint="0x and 40 hexadecimal digits")
    return text.lower()


def tier_named(name: str) -> Tier:
    """The tier a user means by `critical`, `high`, `high-risk` or `high_risk`."""
    word = name.strip().lower().replace("-", "_")
    if word in _SHORT_TIERS:
        return _SHORT_TIERS[word]
    try:
        return Tier(word)
    except ValueError:
        known = [*(tier.value for tier in Tier), *_SHORT_TIERS]
        raise UsageError(f'unknown tier "{name}"', hint=_tier_hint(word, known)) from None


def _tier_hint(word: str, known: list[str]) -> str:
    from difflib import get_close_matches

    prefixed = [tier for tier in known if tier.startswith(word)] if word else []
    close = prefixed or get_close_matches(word, known, n=1)
    names = f"Tiers: {', '.join(tier.value for tier in Tier)}"
    return f"did you mean {close[0]}? {names}" if close else names
