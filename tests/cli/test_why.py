"""`liq why`: what happened to a borrower, step by step, from a running bot."""

import json
import time

STAGES = {"seen", "scored", "queued", "read"}


def winners(running):
    """Whom the running bot has liquidated, the last one first."""
    lines = [
        line
        for ledger in (running.directory / "data" / "ledger").glob("*.jsonl")
        for line in ledger.read_text().splitlines(keepends=True)
    ]
    return [json.loads(line)["borrower"] for line in reversed(lines) if '"won"' in line and line.endswith("\n")]


def steps_of_a_winner(running):
    """What is told of somebody who was liquidated and still owes; who owes nothing any more has no score."""
    until = time.monotonic() + 90
    while time.monotonic() < until:
        for borrower in winners(running):
            finished = running.liq("why", borrower, "--sandbox", "--json")
            assert finished.code == 0, finished.err
            if "scored" in [step["stage"] for step in finished.json["steps"]]:
                return finished.json["steps"]
        time.sleep(0.2)
    raise AssertionError("nobody was liquidated in part")


def test_a_liquidation_is_told_from_plan_to_profit(running):
    """Planned, sent, won, in their order, then how the borrower stands now."""
    steps = steps_of_a_winner(running)
    told = [step["stage"] for step in steps]
    assert told.index("planned") < told.index("sent") < told.index("won")
    assert set(told) >= STAGES
    assert told[-1] in ("planned", "skipped")
    times = [step["at"] for step in steps if step["at"]]
    assert times == sorted(times)


def test_a_healthy_borrower_is_skipped_with_a_reason(running):
    """Whoever is far from falling is told so, by a shortened address."""
    *_, safest = running.liq("scan", "--sandbox", "--tier", "safe", "--json").json["borrowers"]  # stays in its tier
    borrower = safest["borrower"]
    finished = running.liq("why", f"{borrower[:8]}..{borrower[-6:]}", "--sandbox")
    assert finished.code == 0, finished.err
    assert finished.out.startswith(borrower)
    assert "\tskipped\t" in finished.out
    assert "healthy" in finished.out
    assert "\tHF from 1.5 on: looked at every 900 s" in finished.out


def test_a_stranger_owes_nothing(running):
    """Somebody without debt is not watched, and that is said."""
    finished = running.liq("why", "0x" + "7" * 40, "--sandbox")
    assert finished.code == 0, finished.err
    assert "it owes nothing" in finished.out


def test_without_a_bot_it_says_that_nothing_is_queued(place, running):
    """On a chain alone, the queue is no mystery: there is none."""
    sandbox = json.loads((running.directory / "data" / "sandbox.json").read_text())
    connection = ("--rpc", sandbox["rpc_url"], "--pool-addresses-provider", sandbox["provider"], "--market", "mine")
    finished = place.liq("why", "0x" + "7" * 40, *connection)
    assert finished.code == 0, finished.err
    assert "no bot is running here" in finished.out
