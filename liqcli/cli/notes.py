"""The lines of a running bot: one per event, and the summary it ends with."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from liqcli.cli.render import address, health, usd
from liqcli.model import Address, Liquidation, Pace, Tier
from liqcli.text import safe, short_address

if TYPE_CHECKING:
    from collections import Counter

    from liqcli.bot.engine import Engine
    from liqcli.bot.notes import Note
    from liqcli.bot.tally import CacheUse
    from liqcli.chain.market import Market


_BELOW_SHOWN = 3


class Printer:
    """Puts a run's lines into words as they happen, and hands each to `write`."""

    def __init__(self, market: "Market", *, write: Callable[[str], None]) -> None:
        self._market = market
        self._tokens = {reserve.asset: reserve for reserve in market.reserves}
        self._print = write

    def banner(self, mode: str) -> None:
        """What runs where, and whether it can send."""
        market = self._market
        version = ".".join(map(str, market.version))
        pool = short_address(market.addresses.pool)
        self._print(
            f"liq · chain {market.chain_id} · {safe(market.name)} · pool {pool} (Aave v{version}) · {mode.upper()}"
        )

    def note(self, note: "Note") -> None:
        """One line: time, kind, and what there is to know; a receipt adds its profit line by line."""
        self._line(note.kind, " ".join(filter(None, [self._facts(note), safe(note.text)])))
        if note.receipt is not None and note.receipt.succeeded:
            for line in note.receipt.profit:
                self._line("", f"{line.what:<20} {usd(line.base):>18}")

    def summary(self, engine: "Engine") -> None:
        """The whole run in a few lines."""
        tally, tiers, stream = engine.tally, engine.by_tier(), engine.stream
        lagged, recovered = (stream.counts.lagged, stream.counts.recovered) if stream else (0, 0)
        self._print("─" * 80)
        self._print(f"ran {tally.duration_s:.1f} s · {len(engine.mirror):,} borrowers · " + _tiers_line(tiers))
        self._print(
            f"events    received {engine.events.received:,}, applied {tally.applied:,}, coalesced {tally.coalesced:,},"
            f" lagged {lagged:,}, recovered {recovered:,}, lost {tally.lost:,}"
        )
        self._print(
            f"liquidations  planned {tally.planned}, sent {tally.sent}, won {tally.won}, failed {tally.failed},"
            f" skipped {tally.skipped.total()}"
        )
        for reason, count in tally.skipped.most_common():
            self._print(f"  skipped {count:>4}  {safe(reason)}")
        self._print(f"profit    {usd(tally.profit_base)}")
        self._print(_cache_line(tally.cache))
        self._print(_latency_line(engine))
        for line in _standing_lines(engine):
            self._print(line)

    def _facts(self, note: "Note") -> str:
        if note.reading is None:
            return ""
        who = short_address(note.reading.borrower)
        if note.receipt is not None:
            receipt = note.receipt
            profit = usd(receipt.profit_base)
            return (
                f"{who} {profit} net, block {receipt.block:,}, gas {receipt.gas_used:,}, tx {address(receipt.tx_hash)}"
            )
        if note.tx_hash:
            return f"{who} tx {address(note.tx_hash)}"
        facts = f"{who} HF {health(note.reading.health_factor)}"
        return facts if note.plan is None else f"{facts} {self._plan(note.plan)}"

    def _plan(self, plan: Liquidation) -> str:
        repay = self._amount(plan.debt_asset, plan.debt_to_cover)
        seize = self._amount(plan.collateral_asset, plan.expected_collateral)
        return f"repay {repay} for {seize}, est {usd(plan.profit_base)}"

    def _amount(self, asset: Address, amount: int) -> str:
        token = self._tokens[asset]
        return f"{amount / 10**token.decimals:,.4f} {safe(token.symbol, limit=12)}"

    def _line(self, kind: str, text: str) -> None:
        now = datetime.now().astimezone().strftime("%H:%M:%S.%f")[:-3]
        self._print(f"{now if kind else '':<12} {kind:<9} {text}".rstrip())


def _standing_lines(engine: "Engine") -> Iterator[str]:
    """Who could be liquidated at the end, and who is next: silence has to be explained."""
    below = [who for who in engine.mirror.candidates() if (found := engine.reading(who)) and found.is_liquidatable]
    unknown = len(engine.mirror.book.unknown)
    if below:
        more = ", ..." if len(below) > _BELOW_SHOWN else ""
        shown = ", ".join(short_address(who) for who in below[:_BELOW_SHOWN])
        yield f"below 1   {len(below):,} still: {shown}{more}; liq why ADDR tells why"
    if unknown:
        yield f"unknown   {unknown:,}, counted as critical until they are read again"
    if (closest := engine.closest()) is not None:
        of = " (of those from 1 on)" if below else ""
        yield f"closest to liquidation  {short_address(closest.borrower)} HF {health(closest.health_factor)}{of}"


def _tiers_line(tiers: "Counter[Tier]") -> str:
    return ", ".join(f"{tier.value} {tiers[tier]:,}" for tier in Tier)


def _cache_line(use: "CacheUse") -> str:
    found = (f"{pace.value} {use.hits[pace]:,} of {use.hits[pace] + use.misses[pace]:,}" for pace in Pace)
    return f"cache     hits {', '.join(found)} · saved {use.saved_calls.total():,} calls"


def _latency_line(engine: "Engine") -> str:
    stages = {"event to queue": engine.tally.event_to_queue, "event to send": engine.tally.event_to_send}
    shown = []
    for name, latency in stages.items():
        found = latency.percentiles()
        shown.append(f"{name} p50 {_ms(found.p50)} p95 {_ms(found.p95)} p99 {_ms(found.p99)}")
    return "latency   " + " · ".join(shown)


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f} ms"
