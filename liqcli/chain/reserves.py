"""A market's reserves and e-mode categories: what to ask the pool, and how its packed answers read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from liqcli.aave.account import EMode, Reserve
from liqcli.aave.ray import Version
from liqcli.chain.abi import (
    GET_EMODE_COLLATERAL_BITMAP,
    GET_EMODE_COLLATERAL_CONFIG,
    GET_EMODE_DATA,
    GET_EMODE_ISOLATED,
    GET_EMODE_LTVZERO_BITMAP,
    GET_RESERVE_DATA,
    GET_RESERVES_LIST,
    SYMBOL,
    ZERO_ADDRESS,
    address_of,
    encode_call,
    read_array,
    read_text,
    words,
)
from liqcli.chain.aggregate import Aggregator, Read
from liqcli.errors import Unreachable, WrongTarget
from liqcli.model import Address
from liqcli.text import short_address

WRAPPED_NATIVE: Address = "0x" + "55" * 20
"""WHYPE on HyperEVM; on a chain of one's own it is known by its symbol."""
_RESERVE_WORDS = 15
_LONGEST_SYMBOL = 64


class Unknown(Unreachable):
    """The node answers, but what it says is not enough to know this borrower or market; `reason` is to count by."""

    def __init__(self, message: str, *, reason: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ReserveTokens:
    """One reserve's place in the pool; `symbol` is the token's own text, untrusted."""

    id: int
    asset: Address
    symbol: str
    decimals: int
    a_token: Address
    debt_token: Address


async def read_reserves(aggregator: Aggregator, pool: Address) -> tuple[ReserveTokens, ...]:
    """Every listed reserve; ids may have gaps where reserves were dropped."""
    (listed,) = (await aggregator.read([(pool, encode_call(GET_RESERVES_LIST))])).results
    assets = [address_of(word) for word in read_array(required(listed, "getReservesList"))]
    reads: list[Read] = [(pool, encode_call(GET_RESERVE_DATA, asset)) for asset in assets]
    symbols: list[Read] = [(asset, SYMBOL) for asset in assets]
    results = (await aggregator.read([*reads, *symbols])).results
    return tuple(
        _tokens(asset, words(required(data, "getReserveData"), _RESERVE_WORDS), symbol)
        for asset, data, symbol in zip(assets, results[: len(assets)], results[len(assets) :], strict=True)
    )


def _tokens(asset: Address, data: Sequence[int], symbol: bytes | None) -> ReserveTokens:
    return ReserveTokens(
        id=data[7],
        asset=asset,
        symbol=read_text(symbol)[:_LONGEST_SYMBOL] if symbol else short_address(asset),
        decimals=data[0] >> 48 & 0xFF,
        a_token=address_of(data[8]),
        debt_token=address_of(data[10]),
    )


def wrapped_native(reserves: Iterable[ReserveTokens]) -> ReserveTokens | None:
    """The reserve whose price is that of gas money."""
    ranked = sorted(reserves, key=lambda reserve: reserve.asset != WRAPPED_NATIVE)
    return next((reserve for reserve in ranked if reserve.asset == WRAPPED_NATIVE or reserve.symbol == "WHYPE"), None)


def decode_reserve(answer: bytes, *, price: int, grace_until: int) -> Reserve:
    """A reserve's state from `getReserveData`, whose first word is the configuration bitmap."""
    data = words(answer, _RESERVE_WORDS)
    bits = data[0]
    return Reserve(
        id=data[7],
        decimals=bits >> 48 & 0xFF,
        price=price,
        ltv=bits & 0xFFFF,
        liquidation_threshold=bits >> 16 & 0xFFFF,
        liquidation_bonus=bits >> 32 & 0xFFFF,
        protocol_fee=bits >> 152 & 0xFFFF,
        emode_category=bits >> 168 & 0xFF,
        liquidity_index=data[1],
        liquidity_rate=data[2],
        variable_borrow_index=data[3],
        variable_borrow_rate=data[4],
        last_update=data[6],
        active=bool(bits >> 56 & 1),
        frozen=bool(bits >> 57 & 1),
        paused=bool(bits >> 60 & 1),
        grace_until=grace_until,
    )


def emode_reads(version: Version, pool: Address, category: int) -> list[Read]:
    """What describes a category in this version: one struct up to 3.1, bitmaps since."""
    selectors = [GET_EMODE_DATA]
    if version >= (3, 2):
        selectors = [GET_EMODE_COLLATERAL_CONFIG, GET_EMODE_COLLATERAL_BITMAP]
    if version >= (3, 6):
        selectors.append(GET_EMODE_LTVZERO_BITMAP)
    if version >= (3, 7):
        selectors.append(GET_EMODE_ISOLATED)
    return [(pool, encode_call(selector, category)) for selector in selectors]


def emode_price_source(version: Version, results: Sequence[bytes | None]) -> Address | None:
    """The asset whose price all of a category's assets take, up to 3.1; usually none."""
    if version >= (3, 2):
        return None
    source = address_of(words(required(results[0], "getEModeCategoryData"), 5)[4])
    return None if source == ZERO_ADDRESS else source


def decode_emode(version: Version, results: Sequence[bytes | None], *, price: int) -> EMode:
    """A category from the answers to `emode_reads`."""
    answers = [required(result, "getEModeCategory") for result in results]
    if version < (3, 2):
        # The struct holds a string, so it starts with the offset of its body.
        _, ltv, threshold, bonus = words(answers[0], 4)
        return EMode(ltv, threshold, bonus, price=price)
    ltv, threshold, bonus = words(answers[0], 3)
    bitmap, ltvzero, isolated = [*(words(answer, 1)[0] for answer in answers[1:]), 0, 0][:3]
    return EMode(ltv, threshold, bonus, 0, bitmap, ltvzero, isolated=bool(isolated))


def required(result: bytes | None, what: str) -> bytes:
    """The answer to a read without which nothing is known."""
    if result is None:
        raise Unknown(f"the market refused {what}", reason="read refused")
    return result


def not_a_pool(address: Address, what: str) -> WrongTarget:
    """The error for a contract that does not answer as Aave V3 does."""
    return WrongTarget(
        f"{address} is a contract, but not {what}",
        hint="check --pool-addresses-provider, or name a preset: --market hyperlend",
    )
