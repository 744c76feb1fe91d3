"""`liq report`: the ledger of decisions, summed up."""

import csv
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from liqcli.cli import options
from liqcli.cli.record import ledger_directory
from liqcli.cli.render import print_json, print_table, say
from liqcli.cli.run import seconds_of
from liqcli.config import Settings
from liqcli.errors import UsageError
from liqcli.model import BASE_UNIT
from liqcli.text import safe

if TYPE_CHECKING:
    from liqcli.bot.ledger import Decision
    from liqcli.bot.report import Report

_COLUMNS = (
    "at", "kind", "market", "mode", "borrower", "block", "health_factor", "debt_asset", "collateral_asset",
    "debt_to_cover", "expected_usd", "profit_usd", "gas_used", "gas_wei", "tx_hash", "why", "lost_to", "lost_in_block",
    "lost_in_tx", "blocks_later",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def report(
    *,
    since: Annotated[str, typer.Option(help="How far back: 24h, 7d.")] = "24h",
    as_json: options.Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Every decision as CSV on stdout.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a page with charts to this file.")] = None,
    config: options.ConfigFile = None,
) -> None:
    """Sum up what the bot decided, sent and earned, from its ledger.

    Example: liq report --since 24h --html report.html
    """
    if as_json and as_csv:
        raise UsageError("--json and --csv both want stdout", hint="give one of them")
    found = _read(options.settings_from(config=config), seconds_of(since))
    if html is not None:
        _write_page(found, html)
    if as_json:
        print_json(_document(found))
    elif as_csv:
        _print_csv(found)
    else:
        _print_people(found)


def _read(settings: Settings, back_s: float) -> "tuple[Report, ...]":
    from liqcli.bot.ledger import read_decisions
    from liqcli.bot.report import reports_on

    until = datetime.now(UTC)
    since = until - timedelta(seconds=back_s)
    decisions = list(read_decisions(ledger_directory(settings), since))
    return reports_on(decisions, since=since, until=until)


def _write_page(found: "tuple[Report, ...]", path: Path) -> None:
    from liqcli.bot.report_page import render_page
    from liqcli.lag.output import write_file

    write_file(path, render_page(found).encode())
    say(f"written to {path}")


def _document(found: "tuple[Report, ...]") -> dict[str, Any]:
    """The sums on top are those of the most real mode; never of two modes together."""
    return {
        "since": found[0].since.isoformat(timespec="seconds"),
        "until": found[0].until.isoformat(timespec="seconds"),
        "mode": found[0].mode or None,
        **_sums(found[0]),
        "modes": {report.mode: _sums(report) for report in found if report.mode},
        "decisions": [_row(decision) for decision in _decisions(found)],
    }


def _decisions(found: "tuple[Report, ...]") -> "list[Decision]":
    """Those of all modes in their order; each says its mode."""
    return sorted((decision for report in found for decision in report.decisions), key=lambda decision: decision.at)


def _sums(found: "Report") -> dict[str, Any]:
    return {
        "runs": found.runs,
        "counts": dict(found.counts),
        "skipped": dict(found.skipped),
        "expected_base": str(found.expected_base),
        "expected_usd": found.expected_base / BASE_UNIT,
        "profit_base": str(found.profit_base),
        "profit_usd": found.profit_base / BASE_UNIT,
        "gas_wei": str(found.gas_wei),
    }


def _row(decision: "Decision") -> dict[str, Any]:
    """One decision in the columns of the CSV; big integers as strings."""
    rival = decision.rival
    return {
        "at": decision.time.isoformat(timespec="milliseconds"),
        "kind": decision.kind,
        "market": decision.market,
        "mode": decision.mode,
        "borrower": decision.borrower,
        "block": decision.block,
        "health_factor": _text(decision.health_factor),
        "debt_asset": decision.debt_asset,
        "collateral_asset": decision.collateral_asset,
        "debt_to_cover": _text(decision.debt_to_cover),
        "expected_usd": None if decision.expected_base is None else decision.expected_base / BASE_UNIT,
        "profit_usd": None if decision.profit_base is None else decision.profit_base / BASE_UNIT,
        "gas_used": decision.gas_used,
        "gas_wei": _text(decision.gas_wei),
        "tx_hash": decision.tx_hash,
        "why": safe(decision.why),
        "lost_to": rival and rival.liquidator,
        "lost_in_block": rival and rival.block,
        "lost_in_tx": rival and rival.tx_hash,
        "blocks_later": rival and rival.blocks_later,
    }


def _print_csv(found: "tuple[Report, ...]") -> None:
    writer = csv.DictWriter(sys.stdout, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for decision in _decisions(found):
        writer.writerow({name: _cell(value) for name, value in _row(decision).items()})


def _cell(value: Any) -> Any:
    """Text that a spreadsheet would run as a formula gets a quote before it; numbers stay numbers."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _print_people(found: "tuple[Report, ...]") -> None:
    from liqcli.bot.report_page import summary_rows

    if not any(report.decisions for report in found):
        say("the ledger holds no decisions of that time; it is written by liq run")
        return
    modes = [report.mode for report in found]
    print_table(["decisions", *modes], summary_rows(found))
    skipped = sum((report.skipped for report in found), Counter[str]())
    rows = [[safe(why), *(f"{report.skipped[why]:,}" for report in found)] for why, _ in skipped.most_common(10)]
    if rows:
        print_table(["left alone because", *modes], rows)


def _text(value: int | None) -> str | None:
    return None if value is None else str(value)
