"""A head that is old, stands still or goes back stops decisions, and says why."""

import asyncio
import re
import time
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from liqcli.chain.head import HeadWatch


def now():
    """The present second, as a block's timestamp."""
    return int(time.time())


def test_nothing_is_decided_before_a_head_was_seen():
    """A watch that has seen nothing is not current."""
    assert HeadWatch(max_age_s=None).state().reason == "no head was seen yet"


def test_a_fresh_head_is_current():
    """The newest block of this moment lets decisions pass."""
    state = HeadWatch(max_age_s=30).see(100, now())
    assert (state.block, state.is_current, state.reason) == (100, True, "")


def test_an_old_block_is_not_current():
    """A node that follows the chain from far behind is found out by its blocks' own time."""
    state = HeadWatch(max_age_s=30).see(100, now() - 40)
    assert not state.is_current
    assert re.fullmatch("block 100 is 4[01] s old, or this machine's clock is fast", state.reason)


async def test_a_frozen_head_stops_decisions_once_it_is_too_old():
    """The same head again and again is renewed by nobody: it grows old without an answer, too."""
    watch = HeadWatch(max_age_s=0.15)
    assert watch.see(100, now() + 60).is_current
    await asyncio.sleep(0.2)
    assert watch.state().reason.startswith("no block after 100 for")
    assert not watch.see(100, now() + 60).is_current
    assert watch.see(101, now() + 60).is_current


async def test_a_local_chain_may_stand_still():
    """Without a limit only going back matters."""
    watch = HeadWatch(max_age_s=None)
    assert watch.see(100, 1_000_000_000).is_current
    assert watch.state().is_current


def test_a_head_that_goes_back_stops_decisions_until_it_is_back():
    """What a node says behind the newest block ever seen is not the state of the chain."""
    watch = HeadWatch(max_age_s=30)
    watch.see(100, now())
    state = watch.see(98, now())
    assert state.reason == "the head went back from block 100 to 98"
    assert state.block == 100
    assert not watch.see(99, now()).is_current
    assert watch.see(100, now()).is_current
    assert watch.steps_back == 1


@given(st.lists(st.integers(0, 50), min_size=1, max_size=60))
def test_the_head_never_goes_back(heads):
    """Whatever nodes answer, the block is the highest seen, and it is current exactly when it was just answered."""
    watch, seen = HeadWatch(max_age_s=30), []
    for block in heads:
        seen.append(block)
        state = watch.see(block, now())
        assert state.block == max(seen)
        assert state.is_current == (block == max(seen))
    assert watch.steps_back == sum(after < before for before, after in pairwise(seen))
