"""Markets and positions drawn at random, many of them within a hair of a health factor of one."""

from dataclasses import replace

from hypothesis import strategies as st

from liqcli.aave.account import EMode, Position, Reserve
from liqcli.book.moment import account_at, moment_at
from liqcli.model import WAD

VERSIONS = [(3, 0, 2), (3, 1), (3, 2), (3, 3), (3, 4), (3, 5), (3, 6), (3, 7)]
RAY = 10**27
NOW = 1_000_000


@st.composite
def reserves(draw, number, lowest_threshold):
    """A reserve with any decimals, price, indexes, rates and thresholds."""
    return Reserve(
        id=number,
        decimals=draw(st.sampled_from([0, 2, 6, 8, 18])),
        price=draw(st.integers(10**4, 10**13)),
        ltv=draw(st.integers(0, 8000)),
        liquidation_threshold=draw(st.integers(lowest_threshold, 9500)),
        liquidation_bonus=10_500,
        protocol_fee=1000,
        emode_category=draw(st.integers(0, 2)),
        liquidity_index=draw(st.integers(RAY, 3 * RAY)),
        liquidity_rate=draw(st.integers(0, RAY)),
        variable_borrow_index=draw(st.integers(RAY, 5 * RAY)),
        variable_borrow_rate=draw(st.integers(0, RAY)),
        last_update=NOW - draw(st.integers(0, 10**6)),
        active=True,
        frozen=False,
        paused=False,
        grace_until=0,
    )


@st.composite
def moments(draw, most_reserves=7):
    """A market of some release at one timestamp, with two e-modes."""
    lowest = draw(st.sampled_from([0, 1, 4000]))
    listed = {n: draw(reserves(n, lowest)) for n in range(draw(st.integers(2, most_reserves)))}
    emodes = {number: draw(emode()) for number in (1, 2)}
    return moment_at(draw(st.sampled_from(VERSIONS)), listed, emodes, NOW)


@st.composite
def emode(draw):
    """A category with everything a release could give it."""
    return EMode(
        ltv=9000,
        liquidation_threshold=draw(st.integers(9000, 9800)),
        liquidation_bonus=10_100,
        price=draw(st.sampled_from([0, 10**8])),
        collateral_bitmap=draw(st.integers(0, 127)),
        isolated=draw(st.booleans()),
    )


@st.composite
def positions(draw, moment, number=0):
    """A borrower, brought close to one by choosing the debt, where that is possible."""
    ids = sorted(moment.reserves)
    held = draw(st.lists(st.sampled_from(ids), min_size=1, unique=True))
    owed = draw(st.lists(st.sampled_from(ids), min_size=1, unique=True))
    amounts = st.integers(1, 10 ** draw(st.sampled_from([4, 12, 24])))
    position = Position(
        borrower=f"0x{number:040x}",
        scaled_collateral={n: draw(amounts) for n in held},
        scaled_debt={n: draw(amounts) for n in owed},
        collateral_ids=frozenset(draw(st.lists(st.sampled_from(held), unique=True))),
        emode=draw(st.integers(0, 2)),
    )
    return beside_one(moment, position, draw(st.integers(-3, 3))) if draw(st.booleans()) else position


def beside_one(moment, position, off):
    """The same borrower with one debt such that the health factor is as near to one as that token's units allow."""
    chosen = min(position.scaled_debt)
    for _ in range(3):
        health_factor = account_at(moment, position).health_factor
        scaled = position.scaled_debt[chosen] * health_factor // WAD
        position = replace(position, scaled_debt={**position.scaled_debt, chosen: max(scaled, 1)})
    return replace(position, scaled_debt={**position.scaled_debt, chosen: max(position.scaled_debt[chosen] + off, 1)})
