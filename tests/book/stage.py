"""A real market for a sync test: transactions mined one call each, and books held against the pool."""

import asyncio
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from liqcli.book.audit import compare
from liqcli.book.follow import Follower, begin_at_first_block, begin_at_head
from liqcli.book.reads import read_truth
from liqcli.chain.abi import LIQUIDATION_CALL, encode_call
from liqcli.chain.logs import decode_liquidation
from liqcli.chain.market import open_market
from liqcli.errors import Reverted
from liqcli.sandbox import calls
from liqcli.sandbox.aave36.build import artifact
from liqcli.sandbox.borrowers import fund
from liqcli.sandbox.market import TREASURY, aave_artifact
from liqcli.sandbox.transactions import FEES, Transaction, encode_function, send_all
from liqcli.sandbox.world import open_world

PEOPLE = tuple(f"0x{number:040x}" for number in range(0xB0B001, 0xB0B007))
STRANGER = "0x00000000000000000000000000000000005eed01"
RICH_USD = 1e9


class Stage:
    """One node with the contracts, an event loop of its own, and two books: from the first block, and from the head."""

    def __init__(self, aave="3.0.2"):
        self.loop = asyncio.new_event_loop()
        self.stack = AsyncExitStack()
        self.directory = tempfile.TemporaryDirectory()
        self.aave = aave
        self.world = self.run(self._open())
        self.rpc = self.world.rpc
        self.deployment = self.world.deployment
        self.start = self.run(self.rpc.call("evm_snapshot"))
        self.steps = self.done = self.liquidated = 0

    def run(self, coroutine):
        """The result of a coroutine."""
        return self.loop.run_until_complete(coroutine)

    def close(self):
        """End the node."""
        self.run(self.stack.aclose())
        self.run(self.loop.shutdown_asyncgens())
        self.loop.close()
        self.directory.cleanup()

    async def _open(self):
        options = {"scenario": False, "block_time": None, "redis": False, "aave": self.aave}
        opened = open_world(Path(self.directory.name), borrowers=4, **options)
        world = await self.stack.enter_async_context(opened)
        everyone = [*PEOPLE, world.facts.liquidator]
        await fund(world.rpc, everyone)
        steps = []
        for who in everyone:
            for asset in world.deployment.assets:
                steps.append(calls.mint(who, asset, asset.listing.amount(RICH_USD)))
                steps.append(calls.approve(who, asset, world.deployment.pool))
        await send_all(world.rpc, steps)
        await send_all(world.rpc, [step for place, who in enumerate(PEOPLE) for step in _start(world, place, who)])
        return world

    def reset(self):
        """The chain as it was in the beginning, and new books."""
        self.run(self._reset())

    async def _reset(self):
        await self.rpc.call("evm_revert", self.start)
        self.start = await self.rpc.call("evm_snapshot")
        self.market = await open_market(self.rpc, name="stage", provider=self.world.facts.provider, chain_id=None)
        self.whole = Follower(self.market, await begin_at_first_block(self.market, 0), window_blocks=1000)
        self.late = Follower(self.market, await begin_at_head(self.market), window_blocks=1000)
        self.prices = {asset.listing.symbol: asset.listing.price for asset in self.deployment.assets}
        self.head = (await self.market.head())[0]

    @property
    def book(self):
        """The book that knows the market from its first block."""
        return self.whole.book

    def everyone(self):
        """All accounts that can have anything."""
        known = [plan.borrower for plan in self.world.plans]
        return [*PEOPLE, STRANGER, TREASURY, self.world.facts.liquidator, self.deployment.deployer, *known]

    def send(self, *transactions):
        """Mine each in a block of its own; how many the chain accepted."""
        return sum(self.run(self._send(transaction)) for transaction in transactions)

    def send_together(self, transactions):
        """Mine all of them in one block."""
        self.run(self._send_together(transactions))

    async def _send(self, transaction):
        receipt = await self.rpc.call("eth_sendTransactionSync", _fields(transaction))
        self.head = int(receipt["blockNumber"], 16)
        return receipt["status"] == "0x1"

    async def _send_together(self, transactions):
        await self.rpc.call("evm_setAutomine", False)  # noqa: FBT003 - JSON-RPC's own argument
        try:
            for transaction in transactions:
                await self.rpc.call("eth_sendTransaction", _fields(transaction))
            await self.rpc.call("evm_mine")
        finally:
            await self.rpc.call("evm_setAutomine", True)  # noqa: FBT003 - JSON-RPC's own argument

    def pass_time(self, seconds):
        """A block so many seconds later."""
        self.run(self.rpc.call("evm_increaseTime", seconds))
        self.run(self.rpc.call("evm_mine"))

    def price(self, symbol, price):
        """Move a feed, within a factor of a thousand of where it began."""
        begin = self.deployment.asset(symbol).listing.price
        self.prices[symbol] = max(begin // 1000, min(price, begin * 1000))
        self.send(calls.set_price(self.deployment.deployer, self.deployment.asset(symbol), self.prices[symbol]))

    def configure(self, function, *args):
        """Call the configurator as its admin."""
        admin = aave_artifact("PoolConfigurator") if self.aave == "3.0.2" else artifact("PoolConfiguratorInstance")
        data = encode_function(admin, function, args)
        self.send(Transaction(self.deployment.deployer, self.deployment.configurator, data, function))

    def liquidate(self, borrower, collateral, debt, amount, *, receive_a_token):
        """A liquidation by the liquidator, one second after the head: its log, or why the pool refused it."""
        arguments = (collateral.token, debt.token, borrower, amount, int(receive_a_token))
        data = encode_call(LIQUIDATION_CALL, *arguments)
        call = Transaction(self.world.facts.liquidator, self.deployment.pool, data, "liquidate")
        return self.run(self._liquidate(call))

    async def _liquidate(self, call):
        at = (await self.market.head())[1] + 1
        await self.rpc.call("evm_setNextBlockTimestamp", at)
        receipt = await self.rpc.call("eth_sendTransactionSync", _fields(call))
        done = [found for log in receipt["logs"] if (found := decode_liquidation(log))]
        return at, done[0] if done else None, "" if done else await reason_of(self.rpc, call)

    def audit(self):
        """Both books against the pool at one block; raises when the book from the first block does not know someone."""
        self.run(self._audit())

    async def _audit(self):
        self.steps += 1
        truth = await read_truth(
            self.market, self.everyone(), sources=self.book.price_sources, categories=self.book.categories
        )
        await self.whole.catch_up(truth.block)
        report = compare(self.book, truth)
        assert report.mismatches == ()
        assert report.unknown == {}
        assert self.book.cursor == truth.block
        if self.late.book.unknown:
            await self.late.heal()
        await self.late.catch_up(truth.block)
        assert compare(self.late.book, truth).mismatches == ()
        # A comparison mends what logs left wrong: nothing may ever have needed it.
        assert (self.book.gaps, self.late.book.gaps) == (0, 0)


def _start(world, place, who):
    """Two collaterals and a debt for everyone, all different."""
    pool, assets = world.deployment.pool, world.deployment.assets
    for step in (0, 2):
        asset = assets[(place + step) % len(assets)]
        yield calls.supply(who, pool, asset, asset.listing.amount(20_000.0), who)
    asset = assets[(place + 4) % len(assets)]
    yield calls.borrow(who, pool, asset, asset.listing.amount(12_000.0))


async def reason_of(rpc, transaction):
    """Why the newest state refuses a transaction."""
    try:
        await rpc.call("eth_call", _fields(transaction), "latest")
    except Reverted as err:
        return err.reason
    return ""


def _fields(transaction):
    return {
        "from": transaction.sender,
        "to": transaction.to,
        "gas": hex(transaction.gas),
        "data": "0x" + transaction.data.hex(),
        **FEES,
    }
