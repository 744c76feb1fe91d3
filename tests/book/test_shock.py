"""Triggers visit few borrowers and miss none."""

import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from liqcli.book.columns import Columns
from liqcli.book.moment import account_at, liquidatable, moment_at, repriced
from liqcli.book.shock import Triggers
from liqcli.model import WAD
from tests.book.markets import NOW, moments, positions
from tests.book.test_columns import borrower, columns_of, market


def below_one(moment, held):
    """Everybody whom exact integers put below one."""
    return {position.borrower for position, _ in liquidatable(moment, held)}


@given(st.data())
@settings(max_examples=60)
def test_nobody_below_one_is_missed(data):
    """Through price moves, interest and changed positions, everybody below one is among the candidates."""
    moment = data.draw(moments())
    held = {number: data.draw(positions(moment, number)) for number in range(5)}
    columns = columns_of(held.values())
    triggers = Triggers(columns)
    for _ in range(data.draw(st.integers(1, 6))):
        changed = data.draw(positions(moment, data.draw(st.integers(0, 6))))
        held[int(changed.borrower, 16)] = changed
        columns.put(changed)
        later = moment.now + data.draw(st.sampled_from([0, 1, 10**6]))
        moment = moment_at(moment.version, moment.reserves, moment.emodes, later)
        factors = data.draw(st.lists(st.floats(0.5, 2.0), max_size=3))
        moved = dict(zip(sorted(moment.reserves), factors, strict=False))
        prices = {number: max(int(moment.reserves[number].price * factor), 1) for number, factor in moved.items()}
        moment = repriced(moment, prices)
        assert below_one(moment, held.values()) <= set(triggers.candidates(moment))


def crowd(moment, count):
    """Borrowers of two dollars-like reserves with health factors from 1.01 up, a few in each per cent."""
    dice = random.Random(7)
    for number in range(count):
        collateral, debt = dice.sample(sorted(moment.reserves), 2)
        position = borrower(number, {collateral: 10**6}, {debt: 10**6})
        aim = dice.uniform(1.01, 3.0)
        owed = position.scaled_debt[debt] * account_at(moment, position).health_factor // WAD
        yield replace(position, scaled_debt={debt: int(owed / aim)})


def test_a_small_move_visits_only_those_it_may_have_moved():
    """A price falls by a per cent: of a thousand borrowers only those near the edge are looked at."""
    moment = market(10)
    held = list(crowd(moment, 1000))
    triggers = Triggers(columns_of(held))
    assert triggers.candidates(moment) == []
    assert triggers.visited == 1000
    moved = repriced(moment, {3: moment.reserves[3].price * 99 // 100})
    assert triggers.candidates(moved, reserve_ids=[3]) == []
    assert triggers.visited < 20


def test_borrowers_fall_in_the_order_of_their_margins():
    """A price falling step by step brings up exactly those who are below one at each step, first the nearest."""
    moment = market(10)
    held = list(crowd(moment, 500))
    triggers = Triggers(columns_of(held))
    for percent in range(100, 40, -1):
        moved = repriced(moment, {3: moment.reserves[3].price * percent // 100})
        found = set(triggers.candidates(moved, reserve_ids=[3]))
        exact = below_one(moved, held)
        assert exact <= found
        assert all(account_at(moved, held[int(name, 16)]).health_factor < 1.002 * WAD for name in found)
    assert exact


def test_many_moves_wear_triggers_out_and_they_are_set_anew():
    """After thousands of moves to and fro the candidates are still just those at the edge."""
    moment = market(4)
    held = list(crowd(moment, 300))
    columns = columns_of(held)
    triggers, dice = Triggers(columns), random.Random(3)
    for _ in range(400):
        prices = {number: int(10**8 * dice.uniform(0.8, 1.2)) for number in moment.reserves}
        moved = repriced(moment, prices)
        found = set(triggers.candidates(moved))
        columns.revalue(moved)
        assert set(columns.candidates(below=1.0)) <= found


def test_an_unknown_price_and_a_departure():
    """Who needs a price that is gone is a candidate until it is back; who left is not."""
    moment = market(3)
    columns = Columns()
    for position in (borrower(1, {0: 1000}, {1: 500}), borrower(2, {0: 1000}, {2: 500})):
        columns.put(position)
    triggers = Triggers(columns)
    assert triggers.candidates(moment) == []
    assert triggers.candidates(repriced(moment, {2: 0})) == [f"0x{2:040x}"]
    assert triggers.candidates(moment) == []
    columns.drop(f"0x{2:040x}")
    assert triggers.candidates(repriced(moment, {2: 0})) == []
    assert moment.now == NOW
