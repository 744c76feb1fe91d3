"""The steps of a borrower's story: what the ledger tells, what the book and the queue hold, what would be done now."""

from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from liqcli.cli.render import health, usd
from liqcli.config import Settings
from liqcli.errors import Unreachable
from liqcli.lock import holder_of
from liqcli.model import NO_DEBT, WAD, Address, Liquidation, Reading
from liqcli.text import safe

if TYPE_CHECKING:
    from liqcli.book.mirror import Mirror
    from liqcli.bot.ledger import Decision
    from liqcli.chain.market import Market
    from liqcli.cli.connect import Target
    from liqcli.store.cache import HealthCache
    from liqcli.store.queue import BorrowerQueue, QueueItem

_STAGES = {
    "plan": "planned",
    "dry run": "not sent",
    "skip": "skipped",
    "lost": "lost",
    "missed": "missed",
    "liquidated": "liquidated",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened to a borrower, or is so now; `at` is the second it was decided, None for now."""

    stage: str
    what: str
    why: str = ""
    at: float | None = None


def decided(decision: "Decision", market: "Market") -> Iterator[Step]:
    """What a bot wrote into its ledger."""
    facts = [
        f"block {decision.block:,}" if decision.block is not None else "",
        f"HF {health(decision.health_factor)}" if decision.health_factor is not None else "",
        _plan(decision, market),
        f"{usd(decision.profit_base)} net" if decision.profit_base is not None else "",
        f"tx {decision.tx_hash}" if decision.tx_hash else "",
        f"to {decision.rival.liquidator}" if decision.rival else "",
    ]
    what = ", ".join(filter(None, facts)) + (": so say the chain's logs" if decision.kind == "liquidated" else "")
    yield Step(_STAGES.get(decision.kind, decision.kind), what, decision.why, decision.at)


def _plan(decision: "Decision", market: "Market") -> str:
    if decision.debt_asset is None or decision.debt_to_cover is None or decision.profit_base is not None:
        return ""
    reserves = {reserve.asset: reserve for reserve in market.reserves}
    debt, collateral = reserves.get(decision.debt_asset), reserves.get(decision.collateral_asset or "")
    if debt is None or collateral is None:
        return ""
    repaid = f"{decision.debt_to_cover / 10**debt.decimals:,.4f} {safe(debt.symbol, limit=12)}"
    return f"repay {repaid} for {safe(collateral.symbol, limit=12)}, est {usd(decision.expected_base)}"


def seen(mirror: "Mirror", who: Address, settings: Settings) -> Iterator[Step]:
    """What the book knows of the borrower, and which tier that makes."""
    from liqcli.bot.risk import tier_of

    unknown = mirror.book.why_unknown(who)
    reading = mirror.reading(who)
    if unknown is not None or reading is None:
        yield Step("seen", "its state is not known: it is read again first of all", unknown or "")
        yield Step("scored", "critical", "unknown is not healthy")
        return
    if reading.health_factor == NO_DEBT:
        yield Step(
            "seen", f"it owes nothing, and holds {usd(reading.collateral_base)}", "nobody without debt is watched"
        )
        return
    yield Step("seen", f"owes {usd(reading.debt_base)} against {usd(reading.collateral_base)}, HF {_exact(reading)}")
    tier = tier_of(reading.health_factor, settings.tiers)
    policy = settings.tiers.policy(tier)
    wakes = reading.health_factor < settings.event_threshold * WAD
    events = "and at each move of a price" if wakes else f"prices wake it below {settings.event_threshold:g}"
    low, below = settings.tiers.bounds(tier)
    span = f"HF below {below:g}" if below < float("inf") else f"HF from {low:g} on"
    yield Step("scored", tier.value, f"{span}: looked at every {policy.interval_s:g} s, {events}")


async def queued(
    stack: AsyncExitStack, settings: Settings, target: "Target", market: "Market", who: Address
) -> list[Step]:
    """What the queue and the cache hold, where a bot has one."""
    from liqcli.cli import connect

    running = holder_of(settings.data_dir, "run") or {}
    redis_url = settings.redis.url or target.redis_url or running.get("redis_url")
    if redis_url is None:
        return [Step("queued", "no: no bot is running here, and no Redis is named", "liq run, or --redis URL")]
    try:
        namespace = connect.namespace_at(market.chain_id, market.name)
        queue, cache = await connect.open_store(stack, settings, redis_url, namespace)
        return [*await _in_queue(queue, who), await _last_read(cache, who)]
    except Unreachable as err:
        return [Step("queued", "not known", err.message)]


async def _in_queue(queue: "BorrowerQueue", who: Address) -> list[Step]:
    item = await queue.show(who)
    paused = (
        [Step("paused", "nothing is claimed from the queue", "liq queue resume")] if await queue.is_paused() else []
    )
    if item is None:
        return [*paused, Step("queued", "not now: it was looked at", "it comes back with its next event or sweep")]
    return [*paused, Step("queued", f"{item.age_s:.1f} s ago, score {item.score:.4f}", item.because), *_claimed(item)]


def _claimed(item: "QueueItem") -> Iterator[Step]:
    told = {
        "ready": "no worker has taken it yet",
        "leased": "a worker has it",
        "later": f"it waits for try {item.tries + 1}",
        "dead": f"given up after {item.tries} tries; its next event wakes it",
    }
    yield Step("claimed", told[item.state.value], item.failure or "")


async def _last_read(cache: "HealthCache", who: Address) -> Step:
    found = (await cache.get_many([who])).get(who)
    if found is None:
        return Step("read", "no fresh reading: the next look asks the chain")
    return Step("read", f"HF {_exact(found)} at block {found.block:,}", "fresh: not read again until its pace says so")


async def decided_now(market: "Market", target: "Target", who: Address, settings: Settings) -> list[Step]:
    """What a bot of these settings would do at the newest block."""
    from liqcli.bot.decide import decide
    from liqcli.chain.exchange import open_exchange
    from liqcli.chain.reserves import Unknown

    try:
        snapshot = await market.snapshot(who)
    except Unknown as err:
        return [Step("skipped", "at the newest block", str(err))]
    exchange = await open_exchange(market, target.exchange)
    found = await decide(snapshot, market, exchange, settings.limits)
    if isinstance(found, Liquidation):
        what = f"worth {usd(found.profit_base)} at block {snapshot.block:,}: liq position {who} has it line by line"
        return [Step("planned", what)]
    return [Step("skipped", f"at block {snapshot.block:,}", found.text)]


def hindered(settings: Settings) -> Iterator[Step]:
    """What keeps a plan from being sent, whoever the borrower is."""
    from liqcli.config import pause_file

    running = holder_of(settings.data_dir, "run") or {}
    if pause_file(settings).exists():
        yield Step("sent", "no: signing is paused", "liq resume")
    elif running.get("mode") == "dry run":
        yield Step("sent", "no: the running bot is a dry run", "liq run --live")
    elif not running:
        yield Step("sent", "no: no bot is running here", "liq run")


def _exact(reading: Reading) -> str:
    return health(reading.health_factor)
