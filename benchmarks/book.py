"""The columns of the book, beside numpy and a plain copy of memory: `python -m benchmarks.book [--quick]`.

20 reserves, 2 to 5 positions each, health factors from 0.995 up. Ways alternate and the best round of each counts (of
price moves, which are all different, the fastest tenth), in CPU time of this thread.
"""

import argparse
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from benchmarks.figure import figure
from liqcli.aave.account import Position, Reserve
from liqcli.aave.ray import RAY
from liqcli.book.columns import Columns
from liqcli.book.kernels import Entries, Table, value_all
from liqcli.book.moment import Moment, account_at, liquidatable, moment_at, repriced
from liqcli.book.shock import Triggers
from liqcli.model import WAD

VERSION = (3, 0, 2)
"""The release whose truncated thresholds take longest."""
RESERVES, NOW = 20, 1_800_000_000
DISTINCT = 10_000
ROUNDS = 25
PRICE_MOVES = 200
CANDIDATES = 1_000


def main(sizes: list[int]) -> bool:
    """Measure and print everything; true when every target is met."""
    moment = _moment()
    drawn = list(_positions(moment, DISTINCT))
    results = [_exact(moment, drawn)]
    for size in sizes:
        columns = Columns()
        for number in range(size):
            columns.put(replace(drawn[number % DISTINCT], borrower=f"0x{number:040x}"))
        results += _full(columns, moment, size)
        results += _one_price(columns, moment, size)
    return all(results)


def _moment() -> Moment:
    dice = random.Random(1)
    reserves = {number: _reserve(dice, number) for number in range(RESERVES)}
    return moment_at(VERSION, reserves, {}, NOW)


def _reserve(dice: random.Random, number: int) -> Reserve:
    return Reserve(
        id=number,
        decimals=18,
        price=dice.randint(10**8, 10**12),
        ltv=6000,
        liquidation_threshold=dice.randint(40, 90) * 100,
        liquidation_bonus=10_500,
        protocol_fee=1000,
        emode_category=0,
        liquidity_index=RAY + dice.getrandbits(88),
        liquidity_rate=RAY // 20,
        variable_borrow_index=RAY + dice.getrandbits(88),
        variable_borrow_rate=RAY // 15,
        last_update=NOW - 1000,
        active=True,
        frozen=False,
        paused=False,
        grace_until=0,
    )


def _positions(moment: Moment, count: int) -> Iterator[Position]:
    """Borrowers whose debts are scaled to the health factor they aim at; one in 500 is within a per cent of one."""
    dice = random.Random(2)
    for number in range(count):
        ids = dice.sample(range(RESERVES), dice.randint(2, 5))
        split = dice.randint(1, len(ids) - 1)
        amounts = {reserve_id: int(dice.lognormvariate(46.0, 2.0)) for reserve_id in ids}
        held, owed = ({name: amounts[name] for name in part} for part in (ids[:split], ids[split:]))
        position = Position(f"0x{number:040x}", held, owed, frozenset(held), 0)
        aim = dice.uniform(0.995, 1.01) if number % 500 == 0 else 1.02 + dice.expovariate(1.0)
        factor = account_at(moment, position).health_factor / WAD / aim
        yield replace(position, scaled_debt={name: max(int(amount * factor), 1) for name, amount in owed.items()})


def _full(columns: Columns, moment: Moment, size: int) -> list[bool]:
    """Every health factor after prices and indexes changed."""
    entries, table = columns.entries(), columns.weigh(moment)
    health, source = np.empty(size), np.ones(entries.kinds.nbytes + entries.amounts.nbytes + 8 * size, np.uint8)
    target = np.empty_like(source)
    by_bincount = _bincount(entries, table, size)
    kernel, whole, numpy_way, copy = _best(
        lambda: value_all(entries.kinds, entries.amounts, table, health),
        lambda: columns.revalue(moment),
        by_bincount,
        lambda: np.copyto(target, source),
    )
    if not np.allclose(by_bincount(), health, rtol=1e-4):
        sys.exit("numpy and the columns disagree")
    at_100k = 0.5 if size == 100_000 else None
    copies = 3.0 if size == 1_000_000 else None
    return [
        figure(f"book.pass_{size}", kernel, "ms cpu", at_most=at_100k, of="value"),
        figure(f"book.pass_{size}_beside_copy", kernel, "ms cpu", reference=copy, at_most=copies),
        figure(f"book.pass_{size}_beside_bincount", kernel, "ms cpu", reference=numpy_way),
        figure(f"book.revalue_{size}_with_weights", whole, "ms cpu", reference=kernel),
        figure(f"book.memory_{size}", columns.bytes_used / size, "bytes/borrower", at_most=100.0, of="value"),
    ]


def _bincount(entries: Entries, table: Table, size: int) -> Callable[[], np.ndarray]:
    """The same by numpy, from a list of entries."""
    used = np.flatnonzero(entries.kinds.ravel())
    rows, kinds, amounts = used // entries.kinds.shape[1], entries.kinds.ravel()[used], entries.amounts.ravel()[used]

    def revalue() -> np.ndarray:
        collateral = np.bincount(rows, amounts * table.collateral[kinds], size)
        threshold = np.bincount(rows, amounts * table.threshold[kinds], size)
        debt = np.bincount(rows, amounts * table.debt[kinds], size)
        average = np.floor(threshold / collateral + 1e-9)
        return (collateral * average - table.blur) / (debt + table.blur)

    return revalue


def _one_price(columns: Columns, moment: Moment, size: int) -> list[bool]:
    """One price moves by a little, as feeds do: whom it may have taken below one, and all of its holders."""
    triggers, dice, prices = Triggers(columns), random.Random(3), {n: r.price for n, r in moment.reserves.items()}
    triggers.candidates(moment)
    columns.revalue(moment, reserve_ids=())
    visits, crossing, holders = [], [], []
    for _ in range(PRICE_MOVES):
        number = dice.randrange(RESERVES)
        prices[number] = int(prices[number] * dice.uniform(0.998, 1.002))
        moved = repriced(moment, prices)
        crossing.append(_ms(lambda moved=moved, number=number: triggers.candidates(moved, reserve_ids=[number])))
        holders.append(_ms(lambda moved=moved, number=number: columns.revalue(moved, reserve_ids=[number])))
        visits.append(triggers.visited)
    limit = 0.1 if size == 100_000 else None
    near, far = float(np.quantile(crossing, 0.1)), float(np.quantile(holders, 0.1))
    return [
        figure(f"book.one_price_{size}", near, "ms cpu, those it may have moved", at_most=limit, of="value"),
        figure(f"book.one_price_{size}_holders", far, "ms cpu, everybody who holds it", reference=near),
        figure(f"book.one_price_{size}_visited", float(np.median(visits)), "borrowers", reference=float(size)),
    ]


def _exact(moment: Moment, drawn: list[Position]) -> bool:
    """A thousand candidates confirmed with exact integers, interest included."""
    fresh = replace(moment, reserves={n: replace(r, last_update=NOW - 1) for n, r in moment.reserves.items()})
    chosen = drawn[:CANDIDATES]

    def confirm() -> None:
        at = moment_at(VERSION, fresh.reserves, {}, NOW)
        list(liquidatable(at, chosen))

    (best,) = _best(confirm)
    return figure("book.exact_1000", best, "ms cpu", at_most=10.0, of="value")


def _best(*ways: Callable[[], object]) -> list[float]:
    """Milliseconds of each way's best round, after one to warm up."""
    for way in ways:
        way()
    rounds = [[_ms(way) for way in ways] for _ in range(ROUNDS)]
    return [min(times) for times in zip(*rounds, strict=True)]


def _ms(way: Callable[[], object]) -> float:
    began = time.thread_time()
    way()
    return (time.thread_time() - began) * 1e3


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="without a million borrowers")
    quick = parser.parse_args().quick
    sys.exit(0 if main([10_000, 100_000] if quick else [10_000, 100_000, 1_000_000]) else 1)
