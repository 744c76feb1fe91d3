"""A sender on the sandbox's chain, with somebody to liquidate."""

from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from liqcli.bot.execute import Executor
from liqcli.chain.market import Market, open_market
from liqcli.model import Liquidation
from liqcli.sandbox.transactions import OFF, ON
from liqcli.sandbox.world import World
from liqcli.wallet.journal import Journal
from tests.wallet.faults import FaultyRpc
from tests.wallet.stage import fall, small_plans
from tests.wallet.wallets import sender_on


@dataclass
class Scene:
    """The chain after a fall of prices, a journal's directory, and plans for those below one."""

    world: World
    market: Market
    rpc: FaultyRpc
    directory: Path
    plans: list[Liquidation]
    told: list[str]

    def executor(self, **options) -> Executor:
        """An executor on the journal that lies there, as after a start."""
        return Executor(self.market, sender_on(self.rpc, self.world, self.directory, tell=self.told.append, **options))

    def journal(self) -> Journal:
        """What is on disk now."""
        return Journal(self.directory / "journal")

    async def count(self) -> int:
        """How many transactions of the key were mined."""
        return int(await self.world.rpc.call("eth_getTransactionCount", self.world.facts.liquidator, "latest"), 16)

    async def mine(self) -> None:
        """One block."""
        await self.world.rpc.call("evm_mine")

    @asynccontextmanager
    async def mined_by_hand(self):
        """Blocks come from `mine` only."""
        await self.world.rpc.call("evm_setAutomine", OFF)
        try:
            yield
        finally:
            await self.world.rpc.call("anvil_dropAllTransactions")
            await self.world.rpc.call("evm_setAutomine", ON)


@pytest.fixture
async def scene(chain, tmp_path):
    """A fresh journal on a chain where ten plans would go through."""
    await fall(chain, 20)
    async with FaultyRpc(chain.facts.rpc_url) as rpc:
        market = await open_market(rpc, name="scene", provider=chain.facts.provider, chain_id=999)
        yield Scene(chain, market, rpc, tmp_path, await small_plans(chain, market, 10), [])
