"""The parts of a bot put together for `liq run`: the engine over the exact book, and what makes it live."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from liqcli.cli import wallet
from liqcli.config import Settings
from liqcli.errors import ConfigError

if TYPE_CHECKING:
    from liqcli.bot.engine import Engine
    from liqcli.bot.execute import Executor
    from liqcli.bot.notes import Tell
    from liqcli.chain.exchange import Exchange
    from liqcli.chain.market import Market
    from liqcli.cli.connect import Target
    from liqcli.store.cache import HealthCache
    from liqcli.store.queue import BorrowerQueue
    from liqcli.wallet.keys import Key


async def open_engine(
    stack: AsyncExitStack,
    settings: Settings,
    target: "Target",
    market: "Market",
    store: "tuple[BorrowerQueue, HealthCache]",
    *,
    tell: "Tell",
) -> "Engine":
    """The parts put together over the exact book, for a dry run."""
    from liqcli.book.mirror import Mirror
    from liqcli.book.opening import checkpoint_path
    from liqcli.bot.engine import Engine
    from liqcli.chain.exchange import open_exchange
    from liqcli.cli import connect
    from liqcli.cli.catching_up import caught_up, saved_at

    mirror = Mirror(await caught_up(market, settings, target))
    await mirror.open()
    return Engine(
        market=market,
        mirror=mirror,
        queue=store[0],
        cache=store[1],
        settings=settings,
        executor=None,
        exchange=await open_exchange(market, target.exchange),
        tell=tell,
        checkpoint=saved_at(checkpoint_path(settings.data_dir, mirror.book.identity), settings),
        stream=await connect.open_stream(stack, settings, market),
    )


async def make_live(
    stack: AsyncExitStack,
    engine: "Engine",
    target: "Target",
    open_key: Callable[[AsyncExitStack, "Target"], "Key"],
    *,
    tell: "Tell",
    redis_url: str,
) -> None:
    """Give the engine an executor, through policy and journal; in a dry run no key is ever built."""
    key = open_key(stack, target)
    _require_owner(engine.exchange, key)
    settings, market = engine.settings, engine.market
    engine.executor = await _open_executor(stack, settings, target, market, tell, key=key, redis_url=redis_url)


def _require_owner(exchange: "Exchange | None", key: "Key") -> None:
    """Only its owner may call a Liquidator."""
    if exchange is not None and exchange.owner != key.address:
        raise ConfigError(
            f"the Liquidator at {exchange.contract} belongs to {exchange.owner}, not to {key.address}",
            hint="use its owner's key, or deploy one of your own: liq contract deploy",
        )


async def _open_executor(
    stack: AsyncExitStack,
    settings: Settings,
    target: "Target",
    market: "Market",
    tell: "Tell",
    *,
    key: "Key",
    redis_url: str,
) -> "Executor":
    from liqcli.bot.notes import Note

    own = (market.addresses.pool, *([target.exchange.liquidator] if target.exchange.liquidator else []))
    return await wallet.open_executor(
        stack,
        settings,
        market,
        key,
        contracts=own if target.is_sandbox else settings.policy.contracts,
        sandbox=target.is_sandbox,
        redis_url=redis_url,
        tell=lambda text: tell(Note("warn", text)),
    )
