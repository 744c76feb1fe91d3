"""Where seized collateral is sold: which pools there are, and what the exchanges' own contracts say a sale brings."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations, product

from liqcli.chain.abi import (
    BALANCE_OF,
    FACTORY,
    FLASHLOAN_PREMIUM_TOTAL,
    GET_BLOCK_GAS_LIMIT,
    GET_PAIR,
    GET_POOL_OF_FEE,
    GET_RESERVE_DATA,
    LIQUIDATOR_OWNER,
    LIQUIDATOR_POOL,
    LIQUIDATOR_STYLE_OF,
    address_of,
    encode_call,
    words,
)
from liqcli.chain.aggregate import AGGREGATOR, Read
from liqcli.chain.market import Market
from liqcli.chain.reserves import required
from liqcli.chain.routes import Offers, Quote, Route, Sale, Venue, routes_between
from liqcli.config import ExchangeSettings
from liqcli.errors import ConfigError, LiqError, WrongTarget
from liqcli.model import Address

_LOOKUPS_IN_ONE_CALL = 500
_QUOTES_IN_ONE_CALL = 60
"""A V3 quote makes the whole swap, and nodes bound the gas of a call."""
_FLASH_LOANS_ENABLED = 63
_NO_FEE = 0
"""V2 pools do not name theirs."""


class Exchange:
    """Our Liquidator and the venues it may sell at; pools that open later are seen by `reload`."""

    def __init__(self, market: Market, settings: ExchangeSettings, *, contract: Address, owner: Address) -> None:
        self.contract = contract
        self.owner = owner
        self._market = market
        self._settings = settings
        self._venues: tuple[Venue, ...] = ()
        self._routes: dict[tuple[Address, Address], tuple[Route, ...]] = {}

    async def reload(self) -> None:
        """Look the pools up again."""
        assets = [reserve.asset for reserve in self._market.reserves]
        self._venues = tuple([await self._venue(assets, *names) for names in self._routers()])
        self._routes = {}

    async def keep(self, every_s: float, *, warn: Callable[[str], None]) -> None:
        """Look the pools up every so often until cancelled; those known stay while that fails."""
        while True:
            await asyncio.sleep(every_s)
            try:
                await self.reload()
            except LiqError as err:
                warn(f"going on with the pools known: {err}")

    def routes(self, sold: Address, bought: Address) -> tuple[Route, ...]:
        """Every way from one token to another: straight, and over a hub."""
        if (sold, bought) not in self._routes:
            self._routes[sold, bought] = routes_between(self._venues, sold, bought)
        return self._routes[sold, bought]

    async def offers(self, sales: Iterable[Sale], loans: Iterable[Address]) -> Offers:
        """Quotes for all sales, and what the pool lends of these assets, at the newest block."""
        asked = [(sale, route) for sale in dict.fromkeys(sales) for route in self.routes(sale.sold, sale.bought)]
        assets = list(dict.fromkeys(loans))
        terms = self._terms(assets)
        answers = await self._read([*terms, *(route.asking(sale.amount) for sale, route in asked)], _QUOTES_IN_ONE_CALL)
        premium, gas_limit, *states = map(_number, answers[: len(terms)])
        settings = self._settings
        return Offers(
            contract=self.contract,
            flash_loan=settings.flash_loan,
            premium_bps=premium,
            margin_bps=settings.margin_bps,
            gas_limit=gas_limit,
            lendable=dict(zip(assets, map(_lendable, states[::2], states[1::2]), strict=True)),
            quotes=_quotes(asked, answers[len(terms) :]),
        )

    def _terms(self, assets: Sequence[Address]) -> list[Read]:
        """The flash loan's premium, the block's gas limit, and of each asset whether it may be lent, and how much.

        A pool of 3.1 or later counts its own balance, which is never more than the aToken's.
        """
        pool = self._market.addresses.pool
        a_tokens = {reserve.asset: reserve.a_token for reserve in self._market.reserves}
        of_assets = (
            read
            for asset in assets
            for read in (
                (pool, encode_call(GET_RESERVE_DATA, asset)),
                (asset, encode_call(BALANCE_OF, a_tokens[asset])),
            )
        )
        return [(pool, FLASHLOAN_PREMIUM_TOTAL), (AGGREGATOR, GET_BLOCK_GAS_LIMIT), *of_assets]

    async def _read(self, reads: Sequence[Read], at_once: int) -> list[bytes | None]:
        chunks = [reads[start : start + at_once] for start in range(0, len(reads), at_once)]
        answers = await asyncio.gather(*map(self._market.aggregator.read, chunks))
        return [result for answer in answers for result in answer.results]

    def _routers(self) -> Iterator[tuple[Address, Address, tuple[int, ...]]]:
        """Router, quoter, and the fees to look for."""
        yield from ((router, router, ()) for router in self._settings.routers_v2)
        for router, quoter in zip(self._settings.routers_v3, self._settings.quoters_v3, strict=True):
            yield router, quoter, self._settings.fees_v3

    async def _venue(self, assets: Sequence[Address], router: Address, quoter: Address, fees: tuple[int, ...]) -> Venue:
        (answer,) = (await self._market.aggregator.read([(router, encode_call(FACTORY))])).results
        if not answer:
            raise WrongTarget(f"the router {router} names no factory", hint="check exchange.routers_v2 and routers_v3")
        factory = address_of(words(answer, 1)[0])
        places = list(product(combinations(assets, 2), fees or (_NO_FEE,)))
        found = [
            place
            for place, pool in zip(places, await self._pools(factory, places, is_v3=bool(fees)), strict=True)
            if pool
        ]
        pools: dict[frozenset[Address], tuple[int, ...]] = {}
        for pair, fee in found:
            pools[frozenset(pair)] = (*pools.get(frozenset(pair), ()), fee)
        return Venue(router, quoter, bool(fees), pools)

    async def _pools(
        self, factory: Address, places: Sequence[tuple[tuple[Address, ...], int]], *, is_v3: bool
    ) -> list[int]:
        reads: list[Read] = [
            (factory, encode_call(GET_POOL_OF_FEE, *pair, fee) if is_v3 else encode_call(GET_PAIR, *pair))
            for pair, fee in places
        ]
        return [_number(answer) if answer else 0 for answer in await self._read(reads, _LOOKUPS_IN_ONE_CALL)]


async def open_exchange(market: Market, settings: ExchangeSettings) -> Exchange | None:
    """The configured Liquidator with its venues, None without one; WrongTarget when it is not this pool's."""
    if settings.liquidator is None:
        return None
    routers = (*settings.routers_v2, *settings.routers_v3)
    selectors = [encode_call(LIQUIDATOR_OWNER), encode_call(LIQUIDATOR_POOL)]
    selectors += [encode_call(LIQUIDATOR_STYLE_OF, router) for router in routers]
    answers = await market.aggregator.read([(settings.liquidator, data) for data in selectors])
    if not all(answers.results):
        raise WrongTarget(f"there is no Liquidator at {settings.liquidator}", hint="`liq contract deploy` makes one")
    owner, pool, *styles = [_number(answer) for answer in answers.results]
    if address_of(pool) != market.addresses.pool:
        message = (
            f"the Liquidator at {settings.liquidator} works on the pool {address_of(pool)}, not {market.addresses.pool}"
        )
        raise WrongTarget(message, hint="each market needs a Liquidator of its own")
    _require_allowed(settings, dict(zip(routers, styles, strict=True)))
    exchange = Exchange(market, settings, contract=settings.liquidator, owner=address_of(owner))
    await exchange.reload()
    return exchange


def _require_allowed(settings: ExchangeSettings, styles: Mapping[Address, int]) -> None:
    wanted = {**dict.fromkeys(settings.routers_v2, 1), **dict.fromkeys(settings.routers_v3, 2)}
    for router, style in wanted.items():
        if styles[router] != style:
            raise ConfigError(
                f"the Liquidator at {settings.liquidator} does not allow the router {router}",
                hint="its owner may call allow(router, style), or deploy one anew with `liq contract deploy`",
            )


def _quotes(asked: Sequence[tuple[Sale, Route]], answers: Sequence[bytes | None]) -> dict[Sale, tuple[Quote, ...]]:
    """By sale; a route that cannot take the amount is left out."""
    quotes: dict[Sale, tuple[Quote, ...]] = {}
    for (sale, route), answer in zip(asked, answers, strict=True):
        if answer:
            quotes[sale] = (*quotes.get(sale, ()), Quote(route, route.proceeds(answer)))
    return quotes


def _lendable(configuration: int, held: int) -> int:
    return held if configuration >> _FLASH_LOANS_ENABLED & 1 else 0


def _number(answer: bytes | None) -> int:
    return words(required(answer, "an exchange's state"), 1)[0]
