"""The ledger: every decision about a borrower, dry or live, a line each in one file a day; read again by `liq report`.

Lines are written as they come and not synced: the journal, not the ledger, decides what was signed.
"""

import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from liqcli.bot.notes import Note
from liqcli.model import Address

logger = logging.getLogger(__name__)

STARTED, ENDED = "run", "end"
_DECISIONS = {"plan", "dry run", "skip", "sent", "won", "failed", "recovered", "liquidated"}


@dataclass(frozen=True, slots=True)
class Rival:
    """Who liquidated a borrower we had planned for; `blocks_later` counts from the block we planned at."""

    tx_hash: str
    liquidator: Address
    block: int
    blocks_later: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided about a borrower, or that a run began or ended; profits in base currency, gas in wei."""

    at: float
    kind: str
    market: str
    mode: str
    borrower: Address | None = None
    block: int | None = None
    health_factor: int | None = None
    debt_asset: Address | None = None
    collateral_asset: Address | None = None
    debt_to_cover: int | None = None
    expected_base: int | None = None
    profit_base: int | None = None
    gas_used: int | None = None
    gas_wei: int | None = None
    tx_hash: str | None = None
    reading_age_s: float | None = None
    why: str = ""
    reason: str = ""
    rival: Rival | None = None

    @property
    def time(self) -> datetime:
        """When, in UTC."""
        return datetime.fromtimestamp(self.at, UTC)


class Ledger:
    """Appends decisions of one run over one market; a disk that refuses them costs lines, never the run."""

    def __init__(self, directory: Path, *, market: str, mode: str) -> None:
        self._dropped = 0
        self._directory = directory
        self._market = market
        self._mode = mode

    def note(self, note: Note) -> None:
        """Write down what a running bot says, where it is a decision."""
        if note.kind in _DECISIONS:
            self.write(self._decision(note))

    def mark(self, kind: str) -> None:
        """Write down that the run began or ended."""
        self.write(Decision(_now(), kind, self._market, self._mode))

    def lost(self, note: Note, rival: Rival) -> None:
        """Write down to whom a planned liquidation was lost."""
        facts = asdict(self._decision(note)) | {"kind": "lost", "rival": rival}
        self.write(Decision(**facts))

    def write(self, decision: Decision) -> None:
        """Append one line to the file of its day."""
        line = json.dumps({name: value for name, value in asdict(decision).items() if value not in (None, "")})
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            with (self._directory / f"{decision.time:%Y-%m-%d}.jsonl").open("a") as file:
                file.write(line + "\n")
        except OSError as err:
            if not self._dropped:
                logger.warning("the ledger in %s takes no lines: %s", self._directory, err.strerror)
            self._dropped += 1
        else:
            self._say_gap()

    def _say_gap(self) -> None:
        if self._dropped:
            logger.warning("the ledger in %s takes lines again; %d are missing", self._directory, self._dropped)
            self._dropped = 0

    def _decision(self, note: Note) -> Decision:
        plan, receipt, reading, now = note.plan, note.receipt, note.reading, _now()
        return Decision(
            at=now,
            kind=note.kind,
            market=self._market,
            mode=self._mode,
            borrower=plan.borrower if plan else reading.borrower if reading else None,
            block=receipt.block if receipt else plan.block if plan else reading.block if reading else None,
            health_factor=plan.health_factor if plan else reading.health_factor if reading else None,
            debt_asset=plan.debt_asset if plan else None,
            collateral_asset=plan.collateral_asset if plan else None,
            debt_to_cover=plan.debt_to_cover if plan else None,
            expected_base=plan.profit_base if plan else None,
            profit_base=receipt.profit_base if receipt else None,
            gas_used=receipt.gas_used if receipt else None,
            gas_wei=receipt.gas_used * receipt.gas_price if receipt else None,
            tx_hash=receipt.tx_hash if receipt else note.tx_hash or None,
            reading_age_s=round(now - reading.at, 3) if reading else None,
            why=note.text,
            reason=note.reason,
        )


def read_decisions(directory: Path, since: datetime, until: datetime | None = None) -> Iterator[Decision]:
    """The decisions of a span of time in their order; a line that a crash cut is left out."""
    until = until or datetime.now(UTC) + timedelta(days=1)
    for path in sorted(directory.glob("????-??-??.jsonl")):
        if f"{since:%Y-%m-%d}" <= path.stem <= f"{until:%Y-%m-%d}":
            for line in path.read_text(errors="replace").splitlines():
                decision = _read(line)
                if decision is not None and since <= decision.time <= until:
                    yield decision


def _read(line: str) -> Decision | None:
    try:
        facts: dict[str, Any] = json.loads(line)
    except ValueError:
        return None
    if rival := facts.get("rival"):
        facts["rival"] = Rival(**rival)
    known = {field.name for field in fields(Decision)}
    return Decision(**{name: value for name, value in facts.items() if name in known})


def _now() -> float:
    return datetime.now(UTC).timestamp()
