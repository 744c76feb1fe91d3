"""`liq markets`: the markets known by name, and how a fork of one's own becomes one."""

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from liqcli.cli import options
from liqcli.cli.render import print_json, print_table, say
from liqcli.config import Settings
from liqcli.errors import ConfigError, InputError, UsageError
from liqcli.presets import MarketPreset, presets, user_directory, user_markets
from liqcli.text import safe

app = typer.Typer(help="Markets known by name: presets, and forks of your own.", epilog="Example: liq markets")

_NAME_CHARS = "abcdefghijklmnopqrstuvwxyz0123456789_-"
Name = Annotated[str, typer.Argument(help="The market's name.", show_default=False)]


@app.callback(invoke_without_command=True)
def markets(context: typer.Context, *, as_json: options.Json = False) -> None:
    """List the markets that --market takes, with their PoolAddressesProviders.

    Example: liq markets
    """
    if context.invoked_subcommand is not None:
        return
    found = [*_listed(presets()["markets"], "preset"), *_listed(user_markets(), str(_path()))]
    if as_json:
        print_json({"markets": found})
        return
    header = ["market", "network", "PoolAddressesProvider", "first block", "from"]
    rows = [
        [
            safe(row["market"]),
            safe(row["network"]),
            row["pool_addresses_provider"],
            f"{row['first_block']}",
            row["from"],
        ]
        for row in found
    ]
    print_table(header, rows, left=5, first_to_go=["first block"], folds=["from"])


@app.command()
def add(
    name: Name,
    *,
    provider: Annotated[
        str, typer.Option("--pool-addresses-provider", help="The market's PoolAddressesProvider.", show_default=False)
    ],
    network: Annotated[str, typer.Option(help="hyperevm, hyperevm-testnet, or local for any chain.")] = "hyperevm",
    first_block: Annotated[int, typer.Option(metavar="BLOCK", help="The block it began with.", min=0)] = 0,
) -> None:
    """Make a fork known by a name, so that --market NAME finds it; an existing name is never replaced.

    Example: liq markets add myfork --pool-addresses-provider 0x72c98246a98bFe64022a3190e7710E157497170C
    """
    known, mine = presets(), user_markets()
    if not name or set(name) - set(_NAME_CHARS):
        raise UsageError(f'"{safe(name, limit=40)}" is no name for a market', hint="small letters, digits, - and _")
    if name in {**known["markets"], **mine}:
        raise UsageError(f"there is a market {name} already", hint="see `liq markets`; choose another name")
    if network not in {*known["networks"], "local"}:
        raise UsageError(f'unknown network "{safe(network)}"', hint=f"{', '.join(known['networks'])} or local")
    options.address_named(provider)
    preset = MarketPreset(network=network, pool_addresses_provider=provider, first_block=first_block)
    _write(_path(), {**mine, name: preset.model_dump()})
    say(f"written to {_path()}")
    print(f"liq scan --market {name}")


@app.command()
def show(
    name: Annotated[str | None, typer.Argument(help="The market's name; the configured one without.")] = None,
    *,
    as_json: options.Json = False,
    network: options.Network = None,
    provider: options.Provider = None,
    rpc: options.RpcUrl = None,
    config: options.ConfigFile = None,
    sandbox: options.Sandbox = False,
) -> None:
    """Ask the chain for a market's contracts, its release and its reserves.

    Example: liq markets show --sandbox
    """
    settings = options.settings_from(network=network, market=name, provider=provider, rpc=rpc, config=config)
    found = asyncio.run(_resolve(settings, sandbox=sandbox))
    if as_json:
        print_json(found)
        return
    for key in ("market", "chain_id", "version", *found["addresses"]):
        print(f"{key:<14} {found['addresses'].get(key) or found[key]}")
    rows = [[safe(row["symbol"], limit=20), row["asset"], str(row["decimals"])] for row in found["reserves"]]
    print_table(["reserve", "asset", "decimals"], rows, left=2)


async def _resolve(settings: Settings, *, sandbox: bool) -> dict[str, Any]:
    from dataclasses import asdict

    from liqcli.cli import connect

    async with AsyncExitStack() as stack:
        target = await connect.find_target(stack, settings, sandbox=sandbox, tell=say)
        market = await connect.open_market_at(stack, settings, target)
        reserves = [
            {"symbol": safe(reserve.symbol), "asset": reserve.asset, "decimals": reserve.decimals}
            for reserve in market.reserves
        ]
        return {
            "market": market.name,
            "chain_id": market.chain_id,
            "version": ".".join(map(str, market.version)),
            "addresses": asdict(market.addresses),
            "reserves": reserves,
        }


def _listed(known: dict[str, Any], source: str) -> list[dict[str, Any]]:
    return [{"market": name, **facts, "from": source} for name, facts in known.items()]


def _path() -> Path:
    return user_directory() / "markets.toml"


def _write(path: Path, known: dict[str, dict[str, Any]]) -> None:
    """Replace the file whole, so that a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.is_symlink():
        raise InputError(f"{path} is a symbolic link", hint="replace it by a file of its own")
    fresh = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        fresh.touch(mode=0o600)
        fresh.write_text("# Written by `liq markets add`.\n" + "".join(map(_table, known.items())), encoding="utf-8")
        fresh.replace(path)
    except OSError as err:
        raise ConfigError(f"cannot write {path} ({err.strerror})", hint="set XDG_CONFIG_HOME") from err


def _table(market: tuple[str, dict[str, Any]]) -> str:
    """One market as TOML; its strings were checked to hold nothing that needs escaping."""
    name, facts = market
    lines = [f"{key} = {value}" if isinstance(value, int) else f'{key} = "{value}"' for key, value in facts.items()]
    return "\n".join(["", f"[markets.{name}]", *lines, ""])
