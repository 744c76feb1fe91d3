"""Decide: the most profitable liquidation of one borrower by the rules of the pool's version, or why there is none."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from liqcli.aave.account import AccountData, account_data
from liqcli.aave.ray import PERCENT, div_ceil, percent_mul, percent_mul_ceil
from liqcli.bot.amounts import Choice, choices_of
from liqcli.chain.abi import ZERO_ADDRESS
from liqcli.chain.exchange import Exchange
from liqcli.chain.market import Market
from liqcli.chain.reserves import wrapped_native
from liqcli.chain.routes import Offers, Quote, Sale
from liqcli.chain.snapshot import Snapshot
from liqcli.config import LimitSettings
from liqcli.model import BASE_UNIT, WAD, Address, Exit, Liquidation, ProfitLine
from liqcli.text import safe

LIQUIDATION_GAS = 600_000
"""What a liquidationCall without a swap takes; 364,000 was measured on 3.0.2, upgrades and rewards add to it."""
CONTRACT_GAS = 120_000
"""What the Liquidator and a flash loan add."""
SWAP_GAS = 120_000
"""What each pool on the way adds; 533,000 to 717,000 was measured for the whole with one or two."""
_REASONS = {
    "ReserveInactive": "reserve inactive",
    "ReservePaused": "reserve paused",
    "PriceOracleSentinelCheckFailed": "price oracle sentinel",
    "LiquidationGraceSentinelCheckFailed": "grace period",
    "CollateralCannotBeLiquidated": "no liquidatable collateral",
    "MustNotLeaveDust": "would leave dust",
    "InvalidAmount": "would leave dust",
}
_NO_LOAN = "the pool cannot lend the debt"
_NO_EXIT = "no exchange buys the collateral"
_TOO_MUCH_GAS = "gas over the small-block limit"


@dataclass(frozen=True, slots=True)
class Skip:
    """Why a borrower is left alone: `reason` to count by, `text` with the numbers in it."""

    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Prospects:
    """What the pool would accept about a borrower, and its reasons against the rest."""

    snapshot: Snapshot
    account: AccountData
    choices: Sequence[Choice]
    refusals: Sequence[str]

    def asset(self, reserve_id: int) -> Address:
        """The token of a reserve."""
        return self.snapshot.tokens[reserve_id].asset

    def sale(self, choice: Choice) -> Sale:
        """What would have to be sold after it."""
        seized = choice.seizure.collateral_received
        return Sale(self.asset(choice.collateral.id), self.asset(choice.debt.id), seized)

    @property
    def sales(self) -> Iterator[Sale]:
        """Every sale that a quote is wanted for."""
        return (self.sale(choice) for choice in self.choices if choice.is_sale)

    @property
    def priced(self) -> list[Address]:
        """Every asset whose price weighs on the account."""
        position = self.snapshot.position
        return [token.asset for number, token in self.snapshot.tokens.items() if position.uses(number)]

    @property
    def loans(self) -> Iterator[Address]:
        """Every asset that would have to be borrowed."""
        return (self.asset(choice.debt.id) for choice in self.choices)


async def decide(
    snapshot: Snapshot, market: Market, exchange: Exchange | None, limits: LimitSettings
) -> Liquidation | Skip:
    """The best liquidation at the current base fee and the exchange's quotes; with own funds where there is none."""
    prospects = prospects_of(snapshot, ladder=exchange is not None)
    if isinstance(prospects, Skip):
        return prospects
    gas_price, updated_at, offers = await asyncio.gather(
        market.rpc.gas_price(), market.feeds.updated_at(prospects.priced), _offers(prospects, exchange)
    )
    stale = _stale(snapshot, updated_at, limits.max_price_age_s)
    return stale or best_of(prospects, min_profit_base=limits.min_profit_base, gas_price=gas_price, offers=offers)


async def _offers(prospects: Prospects, exchange: Exchange | None) -> Offers | None:
    return await exchange.offers(prospects.sales, prospects.loans) if exchange else None


def _stale(snapshot: Snapshot, updated_at: Mapping[Address, int], max_age_s: float) -> Skip | None:
    """A health factor of old prices is not known."""
    symbols = {token.asset: token.symbol for token in snapshot.tokens.values()}
    ages = {asset: snapshot.at - at for asset, at in updated_at.items()}
    old = max(ages, key=lambda asset: ages[asset], default=None)
    if old is None or ages[old] <= max_age_s:
        return None
    text = f"stale price: {safe(symbols[old])} was last priced {ages[old] / 3600:,.1f} h ago"
    return Skip("stale price", text)


def best_liquidation(snapshot: Snapshot, *, min_profit_base: int, gas_price: int) -> Liquidation | Skip:
    """The pair and amount that earn most with own funds after gas, if that is at least `min_profit_base`."""
    prospects = prospects_of(snapshot, ladder=False)
    if isinstance(prospects, Skip):
        return prospects
    return best_of(prospects, min_profit_base=min_profit_base, gas_price=gas_price)


def prospects_of(snapshot: Snapshot, *, ladder: bool) -> Prospects | Skip:
    """What could be done about a borrower, before prices of exits and gas are asked for."""
    account = account_data(snapshot.version, snapshot.reserves, snapshot.emodes, snapshot.position, snapshot.at)
    if account.debt_base == 0:
        return Skip("no debt", "no debt")
    if account.health_factor >= WAD:
        return Skip("healthy", f"healthy: health factor {account.health_factor / WAD:.6f}")
    choices, refusals = choices_of(snapshot, account, ladder=ladder)
    return Prospects(snapshot, account, choices, refusals) if choices else _refused(refusals)


def best_of(
    prospects: Prospects,
    *,
    min_profit_base: int,
    gas_price: int,
    offers: Offers | None = None,
) -> Liquidation | Skip:
    """The prospect that leaves most after the margin (`gas_price` in wei), if that is at least `min_profit_base`."""
    gas = _Gas.of(prospects.snapshot, gas_price)
    if gas is None:
        return Skip("gas money has no price", "the market lists no wrapped native token that has a price")
    refusals = list(prospects.refusals)
    plans = list(_plans(prospects, gas, offers, min_profit_base, refusals))
    if not plans:
        return _refused(refusals)
    best = max(plans, key=lambda plan: plan.profit_base - _margin(plan, offers))
    margin = _margin(best, offers)
    if best.profit_base - margin < min_profit_base:
        less = f" less a margin of {_usd(margin)}" if margin else ""
        text = f"profit {_usd(best.profit_base)}{less} below min_profit {_usd(min_profit_base)}"
        return Skip("profit below min_profit", text)
    return best


@dataclass(frozen=True, slots=True)
class _Gas:
    """What gas costs: its price in wei, and the native token's price and unit."""

    price_wei: int
    native_price: int
    native_unit: int

    @classmethod
    def of(cls, snapshot: Snapshot, price_wei: int) -> "_Gas | None":
        """None where gas costs something and the native token has no price."""
        native = wrapped_native(snapshot.tokens.values())
        reserve = snapshot.reserves.get(native.id) if native else None
        if reserve is None:
            return cls(0, 0, 1) if price_wei == 0 else None
        return cls(price_wei, reserve.price, reserve.unit)

    def base(self, units: int) -> int:
        """So much gas in base currency, rounded up."""
        return div_ceil(units * self.price_wei * self.native_price, self.native_unit)


def _plans(
    prospects: Prospects, gas: _Gas, offers: Offers | None, min_profit_base: int, refusals: list[str]
) -> Iterator[Liquidation]:
    """Every way to carry a choice out; what cannot be is added to the refusals."""
    for choice in prospects.choices:
        if offers is None:
            yield _with_own_funds(prospects, choice, gas)
            continue
        quotes = list(_quotes(prospects, choice, offers, refusals))
        fitting = [quote for quote in quotes if _gas_units(quote) <= offers.gas_limit]
        if len(fitting) < len(quotes):
            refusals.append(_TOO_MUCH_GAS)
        for quote in fitting:
            yield _through_contract(prospects, choice, gas, offers, quote, min_profit_base=min_profit_base)


def _quotes(prospects: Prospects, choice: Choice, offers: Offers, refusals: list[str]) -> Iterator[Quote | None]:
    """The exits of a choice; None is the one that needs no sale."""
    taken = choice.seizure.collateral_received if not choice.is_sale else 0
    if offers.flash_loan and choice.call_amount + taken > offers.lendable[prospects.asset(choice.debt.id)]:
        refusals.append(_NO_LOAN)
    elif not choice.is_sale:
        yield None
    elif quotes := offers.quotes.get(prospects.sale(choice)):
        yield from quotes
    else:
        refusals.append(_NO_EXIT)


def _gas_units(quote: Quote | None) -> int:
    return LIQUIDATION_GAS + CONTRACT_GAS + SWAP_GAS * (quote.route.swaps if quote else 0)


def _with_own_funds(prospects: Prospects, choice: Choice, gas: _Gas) -> Liquidation:
    lines = (*_exchanged(choice), ProfitLine("gas", -gas.base(LIQUIDATION_GAS)))
    return _liquidation(prospects, choice, lines, LIQUIDATION_GAS * gas.price_wei, None)


def _through_contract(
    prospects: Prospects, choice: Choice, gas: _Gas, offers: Offers, quote: Quote | None, *, min_profit_base: int
) -> Liquidation:
    """The swap's line makes the sum what the contract pays out, less gas."""
    debt, units = choice.debt, _gas_units(quote)
    premium = _premium(prospects, choice, offers) if offers.flash_loan else 0
    proceeds = quote.proceeds if quote else choice.seizure.collateral_received
    least = div_ceil(max(min_profit_base + gas.base(units), 0) * debt.unit, debt.price)
    through = Exit(
        contract=offers.contract,
        router=quote.route.router if quote else ZERO_ADDRESS,
        path=quote.route.path if quote else "0x",
        flash_loan=offers.flash_loan,
        premium=premium,
        proceeds=proceeds,
        profit=proceeds - choice.seizure.debt_covered - premium,
        min_profit=least,
        debt_price=debt.price,
        debt_unit=debt.unit,
    )
    collateral, repaid = _exchanged(choice)
    lent = ProfitLine("flash-loan premium", -div_ceil(premium * debt.price, debt.unit))
    swap = ProfitLine("swap", through.value(through.profit) - collateral.base - repaid.base - lent.base)
    lines = (collateral, repaid, lent, swap, ProfitLine("gas", -gas.base(units)))
    return _liquidation(prospects, choice, lines, units * gas.price_wei, through)


def _premium(prospects: Prospects, choice: Choice, offers: Offers) -> int:
    """On the whole loan, what the pool does not take of it included."""
    rounded = percent_mul_ceil if prospects.snapshot.version >= (3, 5) else percent_mul
    return rounded(choice.call_amount, offers.premium_bps)


def _exchanged(choice: Choice) -> tuple[ProfitLine, ProfitLine]:
    received = choice.seizure.collateral_received * choice.collateral.price // choice.collateral.unit
    repaid = div_ceil(choice.seizure.debt_covered * choice.debt.price, choice.debt.unit)
    return ProfitLine("seized collateral", received), ProfitLine("repaid debt", -repaid)


def _liquidation(
    prospects: Prospects, choice: Choice, lines: tuple[ProfitLine, ...], fee_wei: int, through: Exit | None
) -> Liquidation:
    snapshot = prospects.snapshot
    return Liquidation(
        borrower=snapshot.position.borrower,
        debt_asset=prospects.asset(choice.debt.id),
        collateral_asset=prospects.asset(choice.collateral.id),
        debt_to_cover=choice.seizure.debt_covered,
        call_amount=choice.call_amount,
        expected_collateral=choice.seizure.collateral_received,
        gas_fee_wei=fee_wei,
        block=snapshot.block,
        health_factor=prospects.account.health_factor,
        profit=lines,
        exit=through,
    )


def _margin(plan: Liquidation, offers: Offers | None) -> int:
    """What the market may move until the block; nothing where nothing is sold."""
    if offers is None or plan.exit is None or plan.collateral_asset == plan.debt_asset:
        return 0
    return div_ceil(plan.exit.value(plan.exit.proceeds) * offers.margin_bps, PERCENT)


def _refused(refusals: Iterable[str]) -> Skip:
    """The reasons, or that nothing is left to seize."""
    reasons = sorted({_REASONS.get(reason, reason) for reason in refusals})
    if not reasons:
        return Skip("no collateral", "nothing is left to seize")
    return Skip(reasons[0], ", ".join(reasons))


def _usd(base: int) -> str:
    return f"{base / BASE_UNIT:,.2f}"
