"""A queue of its own for each test, and ways to make time pass for it."""

import random

import pytest_asyncio
from redis.asyncio import Redis

from liqcli.model import Tier
from liqcli.store.entries import place
from liqcli.store.queue import BorrowerQueue, Entry, State

NAMESPACE = "liq:999:testmarket:v1"


@pytest_asyncio.fixture(loop_scope="session")
async def queue(redis: Redis) -> BorrowerQueue:
    """A queue with the default lease on an empty database."""
    return BorrowerQueue(redis, namespace=NAMESPACE)


def address(number: int) -> str:
    """A fixed, spread-out address for a number."""
    return f"0x{random.Random(number).getrandbits(160):040x}"


def entry(number: int, score: float = 0.0, tier: Tier = Tier.CRITICAL, **facts: object) -> Entry:
    """An entry for the borrower of that number."""
    return Entry(address(number), score, tier, facts.get("health_factor"), str(facts.get("because", "borrow")))


async def let_end(redis: Redis, state: State, *borrowers: str, namespace: str = NAMESPACE) -> None:
    """Make leases (LEASED) or back-offs (LATER) end now, as if the time had passed."""
    first, end = (float(bound.strip("(")) for bound in place(state))
    for borrower in borrowers:
        member = bytes.fromhex(borrower[2:])
        assert first < await redis.zscore(f"{{{namespace}:s0}}:queue", member) < end
        await redis.zadd(f"{{{namespace}:s0}}:queue", {member: first}, xx=True)
