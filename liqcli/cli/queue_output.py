"""How the queue's figures and borrowers are shown: documents for scripts, tables for people, lines for export."""

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

from liqcli.cli.render import address, health, print_table, say
from liqcli.errors import InputError
from liqcli.model import NO_DEBT, WAD, Tier
from liqcli.text import safe

if TYPE_CHECKING:
    from liqcli.store.queue import QueueItem, QueueStats

T = TypeVar("T")
_TRIES_LIMIT = 2**16
_FIRST_TO_GO = ("score", "tries", "state", "tier", "age", "because", "last failure")


def stats_document(found: "QueueStats") -> dict[str, Any]:
    """Depth, age, rates and waits."""
    return {
        "items": found.items,
        "leased": found.leased,
        "dead": found.dead,
        "later": found.later,
        "paused": found.paused,
        "by_tier": {tier.value: asdict(depth) for tier, depth in found.by_tier.items()},
        "rates": {"in_per_s": found.in_per_s, "out_per_s": found.out_per_s},
        "wait_ms": asdict(found.wait_ms),
        "totals": dict(found.totals),
    }


def item_document(item: "QueueItem") -> dict[str, Any]:
    """One borrower; exact numbers as strings."""
    return {
        "borrower": item.borrower,
        "score": item.score,
        "tier": item.tier.value,
        "health_factor": None if item.health_factor is None else str(item.health_factor),
        "health_factor_float": None if item.health_factor in (None, NO_DEBT) else item.health_factor / WAD,
        "because": item.because,
        "age_s": item.age_s,
        "tries": item.tries,
        "leased": item.leased,
        "state": item.state.value,
        "failure": item.failure,
    }


def print_stats(found: "QueueStats") -> None:
    """A row a tier, and a line for the whole."""
    rows = [
        [
            tier.value,
            f"{depth.depth:,}",
            _seconds(depth.oldest_s),
            *map(_ms, asdict(found.wait_ms_by_tier[tier]).values()),
        ]
        for tier, depth in found.by_tier.items()
    ]
    print_table(["tier", "depth", "oldest", "wait p50", "p95", "p99"], rows)
    paused = " · PAUSED: liq queue resume" if found.paused else ""
    print(
        f"{found.items:,} items · {found.leased:,} leased · {found.dead:,} dead letters"
        f" · in {found.in_per_s:.1f}/s, out {found.out_per_s:.1f}/s{paused}"
    )


def print_items(items: list["QueueItem"], *, none: str = "the queue is empty") -> None:
    """A row a borrower; `none` is said where there is no row."""
    rows = [
        [
            address(item.borrower),
            item.tier.value,
            health(item.health_factor),
            f"{item.score:.4f}",
            safe(item.because),
            _seconds(item.age_s),
            str(item.tries),
            item.state.value,
            safe(item.failure or ""),
        ]
        for item in items
    ]
    header = ["borrower", "tier", "HF", "score", "because", "age", "tries", "state", "last failure"]
    print_table(header, rows, left=2, first_to_go=_FIRST_TO_GO, folds=["last failure"])
    if not items:
        say(none)


def items_in(lines: Iterable[str], *, source: str) -> Iterator["QueueItem"]:
    """The borrowers of exported lines; InputError names the line that is none."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            item = _item(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as err:
            why = safe(f"{type(err).__name__}: {err}", limit=120)
            raise InputError(
                f"line {number} of {source} is no borrower of a queue: {why}",
                hint="nothing was taken in; `liq queue export` writes such lines",
            ) from err
        yield item


def _item(facts: dict[str, Any]) -> "QueueItem":
    from liqcli.store.queue import QueueItem, State

    exact = facts["health_factor"]
    return QueueItem(
        borrower=_within(facts["borrower"].lower(), _is_address(facts["borrower"])),
        score=_number(facts["score"]),
        tier=Tier(facts["tier"]),
        health_factor=None if exact is None else _within(int(exact), 0 <= int(exact) <= NO_DEBT),
        because=str(facts["because"]),
        age_s=_within(_number(facts["age_s"]), facts["age_s"] >= 0),
        tries=_within(int(facts["tries"]), 0 <= facts["tries"] < _TRIES_LIMIT),
        state=State(facts["state"]),
        failure=None if facts.get("failure") is None else str(facts["failure"]),
    )


def _is_address(text: str) -> bool:
    from liqcli.cli.options import ADDRESS

    return ADDRESS.fullmatch(text) is not None


def _number(value: Any) -> float:
    number = float(value)
    return _within(number, math.isfinite(number))


def _within(value: T, is_so: bool) -> T:
    if not is_so:
        raise ValueError(f"{value!r} is out of range")
    return value


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f} ms"
