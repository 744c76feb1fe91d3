"""The real sender dies before and after each of its I/O calls, and again while it recovers, on the real node.

Each plan repays a hundredth of the debt: a second liquidation would go through as well, so a doubled one shows.
"""

from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from eth_utils.crypto import keccak

from liqcli.bot.execute import Executor
from liqcli.chain.market import open_market
from liqcli.sandbox.transactions import OFF, ON
from liqcli.wallet.sender import Pace
from tests.wallet.faults import Crash, Faults, FaultyJournal, FaultyRpc
from tests.wallet.stage import fall, small_plans
from tests.wallet.wallets import sender_on

QUICK = Pace(poll_first_s=0.001, poll_most_s=0.02, resend_s=0.03, resends=2, replacements=2, foreign_after=3)


@pytest.fixture
def memory_path(tmp_path):
    """A directory in memory where there is one: the thousands of fsyncs then cost nothing."""
    shared = Path("/dev/shm")  # noqa: S108  only this test's own, random directory in it
    if not shared.is_dir():
        yield tmp_path
        return
    with TemporaryDirectory(dir=shared) as directory:
        yield Path(directory)


class Life:
    """One key's story over several lives: what it did is in the journal and on the chain only."""

    def __init__(self, world, market, directory, plan, *, unsynced, forgetful):
        self.world = world
        self.market = market
        self.rpc = market.rpc
        self.path = directory / "journal"
        self.directory = directory
        self.plan = plan
        self.unsynced = unsynced
        self.forgetful = forgetful

    async def live(self, crash_at):
        """Recover, then act unless an earlier life has signed already; True when it came to an end of its own."""
        faults = self.rpc.faults = Faults(crash_at)
        journal = FaultyJournal(self.path, faults, unsynced=self.unsynced)
        executor = Executor(self.market, sender_on(self.rpc, self.world, self.directory, journal=journal, pace=QUICK))
        try:
            await executor.recover()
            if journal.next_nonce == 0:
                await executor.receipt(await executor.send(self.plan), self.plan)
        except Crash:
            if self.forgetful:
                await self.world.rpc.call("anvil_dropAllTransactions")
            return False
        finally:
            journal.close()
            self.rpc.faults = Faults()
        return True

    async def check(self, since, earlier):
        """Exactly one transaction was mined, it is the journal's, and every byte ever sent was in the journal.

        A loaded anvil may mine, after the roll-back, what an earlier story had sent twice: it is told by its hash.
        """
        journal = FaultyJournal(self.path, Faults(), unsynced="kept")
        try:
            assert not journal.open
            [landed] = journal.landed_from(0)
            sent = {"0x" + keccak(bytes.fromhex(raw[2:])).hex() for raw in self.rpc.sent}
            mined = await mined_since(self.world, since)
            assert [tx_hash for tx_hash in mined if tx_hash in sent] == [landed.hash]
            assert set(mined) - sent <= earlier
            earlier |= sent
            receipt = await self.rpc.call("eth_getTransactionReceipt", landed.hash)
            assert (receipt["status"], receipt["from"]) == ("0x1", self.world.facts.liquidator)
            signed = {attempt.raw for attempt in journal.attempts_of(landed.hash)}
            assert set(self.rpc.sent) <= signed
        finally:
            journal.close()


async def mined_since(world, block):
    """The hashes of the key's transactions in later blocks."""
    newest = await world.rpc.block_number()
    blocks = [await world.rpc.call("eth_getBlockByNumber", hex(n), ON) for n in range(block + 1, newest + 1)]
    own = world.facts.liquidator
    return [sent["hash"] for found in blocks for sent in found["transactions"] if sent["from"] == own]


@asynccontextmanager
async def rolled_back(world):
    """The chain as it was, afterwards; an empty mempool too."""
    snapshot = await world.rpc.call("evm_snapshot")
    try:
        yield
    finally:
        await world.rpc.call("anvil_dropAllTransactions")
        await world.rpc.call("evm_revert", snapshot)


@asynccontextmanager
async def mining(world, rpc, *, by_hand):
    """Blocks come from transactions, or from every second look of the sender."""
    if not by_hand:
        yield
        return
    looks = count()

    async def each_look():
        if next(looks) % 2:
            await world.rpc.call("evm_mine")

    rpc.each_look = each_look
    await world.rpc.call("evm_setAutomine", OFF)
    try:
        yield
    finally:
        await world.rpc.call("evm_setAutomine", ON)
        rpc.each_look = None


MODES = [
    pytest.param((False, False, "kept", False), id="mined at once, unsynced bytes kept"),
    pytest.param((False, True, "lost", False), id="mined at once, unsynced bytes lost"),
    pytest.param((True, False, "torn", False), id="mined later, unsynced bytes torn"),
    pytest.param((True, True, "kept", False), id="mined later, the node forgets its mempool"),
    pytest.param((True, False, "lost", True), id="mined later, no broadcast is ever answered"),
]


@pytest.mark.timeout(280)
@pytest.mark.parametrize("mode", MODES)
async def test_a_crash_at_any_moment_doubles_and_forgets_nothing(chain, memory_path, mode):
    """Every crash, and every second crash in the recovery from it, ends in exactly one mined liquidation."""
    by_hand, forgetful, unsynced, deaf = mode
    points, earlier = 0, set()
    async with FaultyRpc(chain.facts.rpc_url) as rpc:
        market = await open_market(rpc, name="crash", provider=chain.facts.provider, chain_id=999)
        await fall(chain)
        [plan] = await small_plans(chain, market, 1)
        since = await rpc.block_number()
        rpc.loses_replies = deaf
        async with mining(chain, rpc, by_hand=by_hand):
            for first in count():
                for second in count():
                    directory = memory_path / f"{first}-{second}"
                    directory.mkdir()
                    rpc.sent.clear()
                    life = Life(chain, market, directory, replace(plan), unsynced=unsynced, forgetful=forgetful)
                    async with rolled_back(chain):
                        ended = await life.live(first)
                        recovered = ended or await life.live(second)
                        assert recovered or await life.live(None)
                        await life.check(since, earlier)
                    points += 1
                    if recovered:
                        break
                if ended:
                    break
    assert points >= 400
