"""The columns find everybody whom exact integers would liquidate, and follow every change."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liqcli.aave.account import Position
from liqcli.book.columns import Columns
from liqcli.book.kernels import WIDTH
from liqcli.book.moment import account_at, liquidatable, moment_at, repriced
from liqcli.model import WAD
from tests.aave.vectors import emodes_of, position_of, read_positions, reserves_of, version_of
from tests.book.markets import NOW, moments, positions

VECTORS = list(read_positions())


def columns_of(held):
    """Columns with these positions in them."""
    columns = Columns()
    for position in held:
        columns.put(position)
    return columns


def decided(moment, columns, held):
    """Whom the bot would liquidate: candidates of the columns, confirmed exactly."""
    by_borrower = {position.borrower: position for position in held}
    chosen = [by_borrower[borrower] for borrower in columns.candidates()]
    return {position.borrower for position, _ in liquidatable(moment, chosen)}


@given(st.data())
@settings(max_examples=150)
def test_same_side_of_one_always(data):
    """Candidates confirmed exactly are just those whom exact integers put below one, even within a hair of it."""
    moment = data.draw(moments())
    held = [data.draw(positions(moment, number)) for number in range(5)]
    columns = columns_of(held)
    columns.revalue(moment)
    exact = {position.borrower for position, _ in liquidatable(moment, held)}
    assert decided(moment, columns, held) == exact


@pytest.mark.parametrize(("name", "vector"), VECTORS, ids=[name for name, _ in VECTORS])
def test_golden_positions_agree(name, vector):
    """On the contracts' own vectors the float health factor is the exact one, lower by no more than rounding can be."""
    position = position_of(vector)
    moment = moment_at(version_of(vector["version"]), reserves_of(vector), emodes_of(vector), vector["now"])
    columns = columns_of([position])
    columns.revalue(moment)
    found, exact = columns.health_of(position.borrower), account_at(moment, position)
    if exact.debt_base == 0:
        assert found is None, name
    else:
        expected = exact.health_factor / WAD
        rounding = 4 * columns.weigh(moment).blur / 10_000 / exact.debt_base * max(expected, 1.0)
        assert expected - rounding - 1e-9 <= found <= expected * (1 + 1e-9), name


@given(st.data())
@settings(max_examples=60)
def test_one_price_moves_only_its_holders_and_all_of_them(data):
    """Revaluing one reserve moves its holders and who was put in since, and nobody else."""
    moment = data.draw(moments(most_reserves=2))
    held = [data.draw(positions(moment, number)) for number in range(5)]
    columns, before, after = columns_of(held), columns_of(held), columns_of(held)
    columns.revalue(moment, reserve_ids=())
    before.revalue(moment)
    reserve_id = data.draw(st.sampled_from(sorted(moment.reserves)))
    moved = repriced(moment, {reserve_id: data.draw(st.integers(1, 10**13))})
    held[3] = data.draw(positions(moment, 3))
    for each in (columns, after):
        each.put(held[3])
    columns.revalue(moved, reserve_ids=[reserve_id])
    after.revalue(moved)
    for position in held:
        touched = position is held[3] or reserve_id in {*position.scaled_debt, *position.collateral_ids}
        expected = (after if touched else before).health_of(position.borrower)
        assert columns.health_of(position.borrower) == pytest.approx(expected, nan_ok=True)


def market(reserve_count, version=(3, 0, 2)):
    """A plain market: every reserve costs a dollar and has a threshold of 80 %."""
    vector = next(vector for name, vector in VECTORS if name == "3.0.2-0")
    like = replace(
        next(iter(reserves_of(vector).values())),
        decimals=8, price=10**8, liquidation_threshold=8000, emode_category=0, liquidity_index=10**27,
        liquidity_rate=0, variable_borrow_index=10**27, variable_borrow_rate=0, last_update=NOW,
    )  # fmt: skip
    return moment_at(version, {n: replace(like, id=n) for n in range(reserve_count)}, {}, NOW)


def borrower(number, collateral, debt, emode=0):
    """A borrower of dollars by reserve id."""
    scaled = [{n: usd * 10**8 for n, usd in side.items()} for side in (collateral, debt)]
    return Position(f"0x{number:040x}", *scaled, frozenset(collateral), emode)


def test_a_borrower_with_many_entries_is_whole():
    """Who holds more than a row has room for is valued like everybody, and leaves nothing behind when it shrinks."""
    moment = market(12)
    wide = borrower(1, dict.fromkeys(range(8), 1000), dict.fromkeys(range(8, 12), 1000))
    columns = columns_of([wide, borrower(2, {0: 1000}, {1: 400})])
    columns.revalue(moment)
    assert len(wide.collateral_ids) > WIDTH
    assert columns.health_of(wide.borrower) == pytest.approx(1.6, rel=1e-6)
    columns.put(borrower(1, {0: 1000}, {1: 1000}))
    columns.revalue(moment)
    assert columns.health_of(wide.borrower) == pytest.approx(0.8, rel=1e-6)


def test_an_unknown_price_is_unknown_health():
    """Whoever needs a price that is missing or zero has no health factor, is a candidate, and is not liquidated."""
    moment = market(3)
    held = [borrower(1, {0: 1000}, {1: 100}), borrower(2, {0: 1000}, {2: 100})]
    columns = columns_of(held)
    for unpriced in (repriced(moment, {2: 0}), replace(moment, reserves={n: moment.reserves[n] for n in (0, 1)})):
        columns.revalue(unpriced)
        assert math.isnan(columns.health_of(held[1].borrower))
        assert columns.candidates() == [held[1].borrower]
        assert not list(liquidatable(unpriced, held))


def test_a_changed_position_is_unknown_until_valued():
    """Between `put` and `revalue` nobody passes for healthy."""
    moment = market(2)
    columns = columns_of([borrower(1, {0: 1000}, {1: 100})])
    assert columns.candidates() == [f"0x{1:040x}"]
    columns.revalue(moment)
    assert columns.candidates() == []


def test_who_has_no_debt_has_no_row():
    """A borrower who repays everything leaves, and the row is taken by the next one."""
    moment = market(2)
    columns = columns_of([borrower(1, {0: 1000}, {1: 100}), borrower(2, {0: 1000}, {1: 100})])
    columns.put(borrower(1, {0: 1000}, {}))
    columns.revalue(moment)
    assert len(columns) == 1
    assert columns.health_of(f"0x{1:040x}") is None
    assert columns.candidates() == []
    columns.put(borrower(3, {0: 1000}, {1: 900}))
    columns.revalue(moment)
    assert columns.candidates() == [f"0x{3:040x}"]


def test_more_kinds_than_a_byte_counts():
    """Hundreds of combinations of reserve, side and e-mode are told apart."""
    moment = replace(market(60), emodes={})
    held = [borrower(n * 60 + m, {m: 1000}, {(m + 1) % 60: 400 + n}) for n in range(4) for m in range(60)]
    emodes = {number: replace_emode(number) for number in (1, 2, 3)}
    held = [replace(position, emode=index // 60) for index, position in enumerate(held)]
    columns = columns_of(held)
    columns.revalue(replace(moment, emodes=emodes))
    found = np.array([columns.health_of(position.borrower) for position in held])
    expected = [800 / (400 + index // 60) for index in range(len(held))]
    assert found == pytest.approx(expected, rel=1e-6)


def replace_emode(number):
    """A category that no reserve is in."""
    vector = next(vector for _, vector in VECTORS if emodes_of(vector))
    return replace(next(iter(emodes_of(vector).values())), price=number, collateral_bitmap=0)
