"""`liq sandbox`: keep a local chain up for the other commands, or install its parts."""

import asyncio
import signal
from contextlib import AsyncExitStack
from typing import Annotated, Any

import typer

from liqcli.cli import options
from liqcli.cli.render import print_json, say
from liqcli.config import Settings

app = typer.Typer(help="A local chain with the real contracts.", no_args_is_help=True)


@app.command()
def up(
    *,
    borrowers: Annotated[int, typer.Option(help="How many positions to open.", min=1)] = 200,
    seed: Annotated[int, typer.Option(help="The scenario's seed.")] = 1,
    speed: Annotated[float, typer.Option(help="How fast the scenario goes, 1 = as it is.", min=0.01)] = 1.0,
    aave: Annotated[str, typer.Option(help="Aave's release: 3.0.2, or 3.6, which is compiled once.")] = "3.0.2",
    as_json: options.Json = False,
    redis: options.RedisUrl = None,
    config: options.ConfigFile = None,
) -> None:
    """Keep a sandbox up in the foreground; the other commands attach to it with --sandbox.

    Example: liq sandbox up --borrowers 500
    """
    settings = options.settings_from(redis=redis, config=config)
    asyncio.run(_up(settings, as_json=as_json, borrowers=borrowers, seed=seed, speed=speed, aave=aave))


@app.command()
def install() -> None:
    """Fetch the node and the contracts from npm into the user's cache.

    Example: liq sandbox install
    """
    from liqcli.sandbox.npm import install as fetch

    print(fetch())


async def _up(settings: Settings, *, as_json: bool, **world: Any) -> None:
    from liqcli.cli.connect import start_sandbox

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        facts = await start_sandbox(stack, settings, **world)
        shown = {
            key: facts[key] for key in ("rpc_url", "redis_url", "chain_id", "market", "provider", "pool", "liquidator")
        }
        if as_json:
            print_json(shown)
        else:
            print("\n".join(f"{key:<11} {value}" for key, value in shown.items()), flush=True)
        say("up; other commands attach with --sandbox, Ctrl-C ends it")
        await stop.wait()
