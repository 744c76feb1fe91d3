"""The market: its contracts, its release, its prices, and the contract that liquidates by flash loan."""

from collections.abc import AsyncIterator

from liqcli.chain.abi import unhex
from liqcli.chain.aggregate import AGGREGATOR
from liqcli.chain.exchange import open_exchange
from liqcli.chain.market import Market, Prices, open_market
from liqcli.chain.rpc import Rpc
from liqcli.errors import LiqError
from liqcli.ops.checks.finding import Check, Scope, fail, failed, ok, skip, warn
from liqcli.ops.checks.node import TIMEOUT_S
from liqcli.text import safe, short_address

_SHOWN_SYMBOLS = 4


async def check(scope: Scope) -> AsyncIterator[Check]:
    """Everything that is read from the market before the first borrower."""
    if not scope.rpc_urls or scope.provider is None:
        yield fail("market", "no RPC endpoint is set", "--rpc URL, or try everything locally: liq doctor --sandbox")
        return
    async with Rpc(scope.rpc_urls[0], timeout_s=TIMEOUT_S) as rpc:
        market = await open_market(rpc, name=scope.market, provider=scope.provider, chain_id=scope.chain_id)
        yield await _market(market)
        prices = await market.prices()
        yield _prices(market, prices)
        yield await _ages(market, prices, scope.settings.limits.max_price_age_s)
        try:
            async for found in _liquidator(scope, market):
                yield found
        except LiqError as err:
            yield failed("liquidator", err)


async def _market(market: Market) -> Check:
    version = ".".join(map(str, market.version))
    pool = short_address(market.addresses.pool)
    told = f"{safe(market.name)} pool {pool} · Aave v{version} · {len(market.reserves)} reserves"
    if not unhex(await market.rpc.call("eth_getCode", AGGREGATOR, "latest")):
        return ok("market", f"{told} · no Multicall3: our code is lent to each call")
    return ok("market", told)


def _prices(market: Market, prices: Prices) -> Check:
    missing = [reserve.symbol for reserve in market.reserves if reserve.asset not in prices.by_asset]
    if not missing:
        return ok("oracle", f"a price for each of {len(market.reserves)} assets")
    fix = "who holds them is unknown and not liquidated; tell the market's maintainers"
    return warn("oracle", f"no price for {_listed(missing)}", fix)


async def _ages(market: Market, prices: Prices, oldest_s: float) -> Check:
    updated_at = await market.feeds.updated_at([reserve.asset for reserve in market.reserves])
    silent = len(market.reserves) - len(updated_at)
    untold = f", {silent} of {len(market.reserves)} do not say" if silent else ""
    if not updated_at:
        return ok("oracle ages", f"none of {len(market.reserves)} feeds says when it was renewed")
    ages = {asset: prices.at - at for asset, at in updated_at.items()}
    stale = [reserve.symbol for reserve in market.reserves if ages.get(reserve.asset, 0) > oldest_s]
    if stale:
        fix = "liquidations with them wait; limits.max_price_age_s is the bound"
        return warn("oracle ages", f"older than {oldest_s:,.0f} s: {_listed(stale)}{untold}", fix)
    return ok("oracle ages", f"the oldest price is {max(ages.values()):,} s old{untold}")


async def _liquidator(scope: Scope, market: Market) -> AsyncIterator[Check]:
    """The deployed contract, its owner, and what it can borrow."""
    exchange = await open_exchange(market, scope.exchange)
    if exchange is None:
        yield skip("liquidator", "none set: liquidations take tokens of your own", "liq contract deploy")
        return
    told = f"{short_address(exchange.contract)} of {short_address(exchange.owner)}"
    if scope.signer is not None and exchange.owner != scope.signer:
        fix = "use its owner's key, or deploy one of your own: liq contract deploy"
        yield fail("liquidator", f"{told}, but the key is {short_address(scope.signer)}", fix)
    else:
        yield ok("liquidator", told)
    if not scope.exchange.flash_loan:
        yield skip("flash loan", "exchange.flash_loan is false: the owner's tokens are taken")
        return
    offers = await exchange.offers((), [reserve.asset for reserve in market.reserves])
    lent = sum(amount > 0 for amount in offers.lendable.values())
    told = f"the pool lends {lent} of {len(market.reserves)} assets at {offers.premium_bps} bps"
    yield (
        ok("flash loan", told)
        if lent
        else fail("flash loan", told, "exchange.flash_loan = false, with tokens of your own")
    )


def _listed(symbols: list[str]) -> str:
    shown = ", ".join(safe(symbol, limit=12) for symbol in symbols[:_SHOWN_SYMBOLS])
    return shown + (f" and {len(symbols) - _SHOWN_SYMBOLS} more" if len(symbols) > _SHOWN_SYMBOLS else "")
