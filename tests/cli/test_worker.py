"""`liq worker` beside a running `liq run`, as processes."""

import json
import signal
import time

FLOOD = 10_000


def connection(running):
    """The options with which another machine reaches the running bot's chain and Redis."""
    sandbox = json.loads((running.directory / "data" / "sandbox.json").read_text())
    return (
        *("--rpc", sandbox["rpc_url"], "--pool-addresses-provider", sandbox["provider"]),
        *("--market", sandbox["market"], "--redis", sandbox["redis_url"]),
    )


def lines_of(count):
    """A flood of queued borrowers, as an export has them."""
    facts = {"tier": "critical", "score": 0.5, "health_factor": None, "because": "borrow", "age_s": 0, "tries": 0}
    return "\n".join(json.dumps({**facts, "borrower": f"0x{number:040x}", "state": "ready"}) for number in range(count))


def totals_of(running):
    """What the queue of a running bot has counted so far."""
    return running.liq("queue", "stats", "--json").json["totals"]


def test_a_worker_shares_the_queue_of_a_run(place, running):
    """From a data directory of its own it takes a part of a flood, sends nothing, and sums up."""
    assert running.liq("queue", "pause").code == 0
    try:
        assert running.liq("queue", "import", "-", text=lines_of(FLOOD)).code == 0
        with place.start("worker", *connection(running), "--json") as process:
            for line in process.stderr:
                if " READY " in line:
                    break
            before = totals_of(running)["claimed"]
            assert running.liq("queue", "resume").code == 0
            while totals_of(running)["claimed"] < before + FLOOD:
                time.sleep(0.5)  # the test's timeout is the limit
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=30)
    finally:
        running.liq("queue", "resume")
    summary = json.loads(out)
    assert process.returncode == 0, err
    assert summary["mode"] == "dry run"
    assert summary["claimed"] > 0
    assert summary["rpc"]["requests"] > 0
    assert summary["liquidations"]["sent"] == 0
    assert summary["claimed"] < totals_of(running)["claimed"]


def test_a_worker_needs_a_shared_redis(place, running):
    """It never starts a server of its own: exit 3, and the option to give."""
    rpc, name = connection(running)[:2], connection(running)[2:6]
    finished = place.liq("worker", *rpc, *name, "--duration", "1s")
    assert finished.code == 3, finished.err
    assert "hint: liq worker --redis URL" in finished.err


def test_a_live_worker_is_not_started_by_accident(place, running):
    """--live needs policy.live, and a key of its own."""
    finished = place.liq("worker", *connection(running), "--live", "--duration", "1s")
    assert finished.code == 3, finished.err
    assert "policy.live is false" in finished.err
    allowed = place.liq("worker", *connection(running), "--live", "--yes", "--duration", "1s", LIQ_POLICY__LIVE="true")
    assert allowed.code == 6, allowed.err
    assert "--live needs a key" in allowed.err
