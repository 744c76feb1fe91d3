"""Pushing a borrower that is already queued."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from liqcli.errors import InputError
from liqcli.model import NO_DEBT, Tier
from liqcli.store.entries import State, base_of, pack_entries, pack_wide, unpack_item, unpack_wide
from liqcli.store.queue import BorrowerQueue, Entry
from tests.store.conftest import NAMESPACE, address, entry


async def test_a_thousand_events_are_one_member(queue: BorrowerQueue) -> None:
    """Events for one borrower merge, in one call or in many."""
    assert await queue.push([entry(1)] * 1500) == 1
    assert await queue.push([entry(1)]) == 0
    stats = await queue.stats()
    assert (stats.items, stats.totals["pushed"], stats.totals["merged"]) == (1, 1501, 1500)


async def test_the_most_urgent_score_wins(queue: BorrowerQueue) -> None:
    """Whatever the order of arrival, the most urgent tier and score stay."""
    await queue.push([entry(1, 0.9, Tier.SAFE), entry(1, 0.8, Tier.HIGH_RISK), entry(1, 0.1, Tier.LOW_RISK)])
    [claim] = await queue.claim(1)
    assert (claim.tier, claim.score) == (Tier.HIGH_RISK, 0.8)


async def test_the_same_again_changes_nothing(queue: BorrowerQueue, redis: Redis) -> None:
    """A borrower pushed twice with the same facts keeps its place in the order, and its reason stands once."""
    await queue.push([entry(1, 0.3, health_factor=7), entry(2, 0.3)])
    before = await redis.dump(f"{{{NAMESPACE}:s0}}:queue"), await redis.dump(f"{{{NAMESPACE}:s0}}:info")
    await asyncio.sleep(0.01)
    assert await queue.push([entry(1, 0.3, health_factor=7), entry(2, 0.3)]) == 0
    assert (await redis.dump(f"{{{NAMESPACE}:s0}}:queue"), await redis.dump(f"{{{NAMESPACE}:s0}}:info")) == before


async def test_the_newest_health_factor_wins(queue: BorrowerQueue) -> None:
    """The last known health factor is kept exactly; an event that knows none does not erase it."""
    await queue.push([entry(1, health_factor=5)])
    await queue.push([entry(1, health_factor=NO_DEBT)])
    await queue.push([entry(1, health_factor=None)])
    item = await queue.show(address(1))
    assert item is not None
    assert item.health_factor == NO_DEBT


async def test_reasons_are_merged_and_bounded(queue: BorrowerQueue) -> None:
    """Each reason stands once, and no flood of reasons can grow an entry without end."""
    await queue.push([entry(1, because=because) for because in ("sweep", "price", "sweep", "sweeper")])
    assert (await queue.peek(1))[0].because == "sweep, price, sweeper"
    await queue.push([entry(1, because=f"reason {number}") for number in range(1000)])
    assert len((await queue.peek(1))[0].because) <= 160


async def test_hostile_text_is_only_text(queue: BorrowerQueue) -> None:
    """A reason may hold anything, is cut between characters and comes back as it was."""
    await queue.push([entry(1, because="\x1b[2J%s\0\r\n$5"), entry(2, because="é" * 100)])
    assert {item.because for item in await queue.peek(2)} == {"\x1b[2J%s\0\r\n$5", "é" * 40}


@pytest.mark.parametrize("borrower", ["", "0x", "0x12", "zz" * 21, "0x" + "g" * 40, "0x" + "1" * 42, "1" * 42])
async def test_only_addresses_are_taken(queue: BorrowerQueue, borrower: str) -> None:
    """Anything but an address is refused before it reaches Redis."""
    with pytest.raises(InputError, match="not an address"):
        await queue.push([Entry(borrower, 0.0, Tier.SAFE, None, "test")])


@given(
    score=st.floats(-1000, 1000).map(lambda score: round(score, 4)),
    tier=st.sampled_from(Tier),
    health_factor=st.none() | st.integers(0, 2**256 - 1),
    because=st.text(max_size=20, alphabet=st.characters(exclude_categories=["Cs"])),
)
def test_packing_is_exact(score: float, tier: Tier, health_factor: int | None, because: str) -> None:
    """Tier, score to four digits, health factor and reason come out as they went in."""
    row, _ = pack_entries([Entry(address(1), score, tier, health_factor, because)])
    item = unpack_item(row[:20], row[21:], base_of(tier, score) + 1000.0, 3000.0, None)
    assert (item.score, item.tier, item.health_factor, item.because) == (score, tier, health_factor, because)
    assert (item.age_s, item.state) == (2.0, State.READY)


@given(st.none() | st.integers(0, 2**256 - 1), st.binary(max_size=5))
def test_wide_integers_round_trip(number: int | None, rest: bytes) -> None:
    """An integer of up to 256 bits, or none, and whatever follows it."""
    assert unpack_wide(pack_wide(number) + rest) == (number, rest)
