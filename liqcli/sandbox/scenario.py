"""What happens on the sandbox's chain: borrowers act, arrive and leave, prices move, and traders follow them."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence

from liqcli.chain.rpc import Rpc
from liqcli.errors import LiqError
from liqcli.model import Address
from liqcli.sandbox.acts import Act, Stage, arrival, choose, departure, read_holdings
from liqcli.sandbox.arbitrage import Arbitrage
from liqcli.sandbox.borrowers import fund
from liqcli.sandbox.calls import set_price
from liqcli.sandbox.course import price_course
from liqcli.sandbox.exchange import Exchange
from liqcli.sandbox.market import Deployment
from liqcli.sandbox.node import restore_base_fee
from liqcli.sandbox.plans import Plan, health_factor_at, plan_borrower
from liqcli.sandbox.transactions import try_all

ACTS_A_STEP = 4
SHORTEST_PAUSE_S = 0.01
FEED_DEVIATION = 0.001
"""A feed is set when its price has moved by this much, as real feeds do."""
NEWCOMER_CHANCE = 0.08
GROWTH = 1.02
"""From so many times the first people on, one leaves for each who comes: a long play stays as it is."""
NEWCOMER_SPREAD = (0.35, 0.95)
FAILURES_IN_A_ROW = 10


class Scenario:
    """The play and where it stands; `done` and `refused` count acts by kind."""

    def __init__(
        self,
        rpc: Rpc,
        market: Deployment,
        plans: Sequence[Plan],
        *,
        exchange: Exchange,
        seed: int,
        pause_s: float,
    ) -> None:
        self._rpc = rpc
        self._market = market
        self._arbitrage = Arbitrage(rpc, exchange, trader=market.deployer)
        self._seed = seed
        self._pause_s = pause_s
        self._dice = random.Random(f"{seed}:scenario")  # noqa: S311 - a scenario, not a secret
        self._course = price_course(seed)
        self._newcomers = 0
        self._most_people = round(len(plans) * GROWTH)
        self.people = [plan.borrower for plan in plans]
        self.prices = {asset.listing.symbol: asset.listing.price for asset in market.assets}
        self.done: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.steps = 0

    async def step(self) -> None:
        """One second of the play, which is one block: prices move and a few borrowers act, by real transactions."""
        await restore_base_fee(self._rpc)
        stage = Stage(self._market, self.prices, self.people, self._dice)
        cast = self._dice.sample(self.people, min(ACTS_A_STEP, len(self.people)))
        leaving = self._leaving(cast)
        holdings = await read_holdings(self._rpc, self._market, [*cast, *leaving])
        acts = [*self._price_acts(next(self._course)), *(choose(stage, held) for held in holdings[: len(cast)])]
        acts += [departure(stage, held) for held in holdings[len(cast) :]]
        acts += [Act("trade", [trade]) for trade in await self._arbitrage.trades(self.prices)]
        acts += await self._newcomer_acts(stage)
        await self._perform([act for act in acts if act is not None])
        self.steps += 1

    async def play(self, progress: Callable[[str], None]) -> None:
        """Step after step until cancelled; a node that stays away ends it with a word to `progress`."""
        loop, failures = asyncio.get_running_loop(), 0
        while True:
            due = loop.time() + self._pause_s
            try:
                await self.step()
                failures = 0
            except LiqError as err:
                failures += 1
                if failures == FAILURES_IN_A_ROW:
                    progress(f"the scenario stopped: {err.message}")
                    return
            await asyncio.sleep(max(SHORTEST_PAUSE_S, due - loop.time()))

    async def _perform(self, acts: Sequence[Act]) -> None:
        transactions = [step for act in acts for step in act.transactions]
        if not transactions:
            await self._rpc.call("evm_mine")
        outcomes = iter(await try_all(self._rpc, transactions))
        for act in acts:
            succeeded = [next(outcomes).succeeded for _ in act.transactions]
            (self.done if all(succeeded) else self.refused)[act.kind] += 1

    def _price_acts(self, course: dict[str, int]) -> list[Act]:
        moved = [
            asset
            for asset in self._market.assets
            if abs(course[asset.listing.symbol] / self.prices[asset.listing.symbol] - 1.0) >= FEED_DEVIATION
        ]
        self.prices |= {asset.listing.symbol: course[asset.listing.symbol] for asset in moved}
        return [
            Act("price", [set_price(self._market.deployer, asset, course[asset.listing.symbol])]) for asset in moved
        ]

    def _leaving(self, cast: Sequence[Address]) -> list[Address]:
        """Who leaves in this step, if anybody; whose departure is refused keeps the position and does nothing more."""
        if len(self.people) <= self._most_people:
            return []
        leaver = self._dice.choice([person for person in self.people if person not in cast])
        self.people.remove(leaver)
        return [leaver]

    async def _newcomer_acts(self, stage: Stage) -> list[Act]:
        if self._dice.random() >= NEWCOMER_CHANCE:
            return []
        self._newcomers += 1
        aim = health_factor_at(self._dice.uniform(*NEWCOMER_SPREAD))
        plan = plan_borrower(f"{self._seed}:newcomer:{self._newcomers}", aim)
        await fund(self._rpc, [plan.borrower])
        self.people.append(plan.borrower)
        return [arrival(stage, plan)]
