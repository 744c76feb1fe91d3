"""While a bot runs in one terminal, the others look at its chain and its queue."""

import csv
import io

from liqcli.model import WAD


def test_scan_attaches_to_the_running_sandbox(running):
    """The scan reads the running chain, and leaves it running."""
    first, second = running.liq("scan", "--sandbox", "--json"), running.liq("scan", "--json")
    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert "attached to the sandbox of pid" in first.err
    assert second.json["block"] >= first.json["block"] > 0
    assert first.json["read"] >= 190
    assert first.json["failed"] == 0


def test_scan_shows_each_borrower_in_its_tier(running):
    """Exact wad strings, floats beside them, and tiers that fit the health factor."""
    document = running.liq("scan", "--json", "--tier", "high", "--tier", "medium-risk").json
    assert document["tiers"] == ["high_risk", "medium_risk"]
    assert document["borrowers"]
    for found in document["borrowers"]:
        ceiling = {"high_risk": 1.05, "medium_risk": 1.2}[found["tier"]]
        assert WAD <= int(found["health_factor"]) < ceiling * WAD
        assert abs(found["health_factor_float"] - int(found["health_factor"]) / WAD) < 1e-12
        assert found["best"] is None


def test_scan_filters_and_limits(running):
    """--hf-below, --min-debt and --limit narrow the answer, the riskiest first."""
    found = running.liq("scan", "--json", "--hf-below", "1.5", "--min-debt", "1000", "--limit", "5").json["borrowers"]
    factors = [int(borrower["health_factor"]) for borrower in found]
    assert len(found) == 5
    assert factors == sorted(factors)
    assert all(factor < 1.5 * WAD for factor in factors)
    assert all(borrower["debt_usd"] >= 1000 for borrower in found)


def test_scan_as_csv_is_a_table_for_a_program(running):
    """--csv has a header and full addresses."""
    rows = list(csv.DictReader(io.StringIO(running.liq("scan", "--csv", "--limit", "3").out)))
    assert len(rows) == 3
    assert all(len(row["borrower"]) == 42 for row in rows)


def test_fail_on_found_is_for_scripts(running):
    """Exit 10 when anybody is shown, 0 when nobody is."""
    assert running.liq("scan", "--fail-on-found", "--limit", "1").code == 10
    assert running.liq("scan", "--fail-on-found", "--hf-below", "0.01").code == 0


def test_queue_stats_are_those_of_the_running_bot(running):
    """Counters grow with the bot's work, and every tier is there."""
    document = running.liq("queue", "stats", "--json").json
    assert document["totals"]["done"] > 0
    assert list(document["by_tier"]) == ["critical", "high_risk", "medium_risk", "low_risk", "safe"]
    assert document.keys() >= {"items", "leased", "dead", "rates", "wait_ms"}


def test_queue_peek_takes_nothing_out(running):
    """Peeking leaves the counters of claims to the bot."""
    finished = running.liq("queue", "peek", "-n", "3", "--json", "--sandbox")
    assert finished.code == 0, finished.err
    for item in finished.json["items"]:
        assert item.keys() >= {"borrower", "score", "tier", "health_factor", "because", "age_s", "tries", "leased"}


def test_scan_alone_starts_a_sandbox_and_ends_it(place):
    """Without a running one, --sandbox starts a chain for the command; some borrowers are liquidatable on it."""
    finished = place.liq("scan", "--tier", "critical", "--sandbox", "--json")
    assert finished.code == 0, finished.err
    critical = finished.json["borrowers"]
    assert critical
    assert all(int(found["health_factor"]) < WAD for found in critical)
    best = [found["best"] for found in critical if found["best"]]
    assert best
    assert all(int(plan["debt_to_cover"]) > 0 and plan["profit_usd"] > 0 for plan in best)
    assert place.liq("queue", "stats").code == 7


def test_a_sandbox_kept_up_serves_the_others(place):
    """`liq sandbox up` prints its addresses; scan attaches; a second one is refused; SIGTERM ends it."""
    with place.start("sandbox", "up", "--borrowers", "40") as process:
        lines = dict(process.stdout.readline().split(maxsplit=1) for _ in range(7))
        assert lines["rpc_url"].startswith("http://127.0.0.1:")
        assert place.liq("scan", "--json").json["read"] >= 40
        assert place.liq("sandbox", "up").code == 7
        run = place.liq("run", "--sandbox", "--duration", "3s", "--json")
        assert run.code == 0, run.err
        assert run.json["borrowers"] >= 35  # somebody may have paid everything back by now
        process.terminate()
        process.communicate(timeout=10)
        assert process.returncode == 0
