"""`liq run --sandbox` from start to summary, as a process."""

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

from liqcli.lock import holder_of
from tests.cli.terminals import on_terminal

DRAIN_S = 10.0
"""How long a bot may drain; stopping now must take less."""


def children_of(pid):
    """The processes a process has started, by /proc."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_alive(pid):
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def all_end(pids):
    """Whether these processes end within seconds: who dies with its parent does so a moment after it."""
    deadline = time.monotonic() + 10
    while any(map(is_alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(map(is_alive, pids))


def ready(process):
    """Read a run's lines until it is READY; returns what was said before."""
    said = []
    for line in process.stdout:
        said.append(line)
        if " READY " in line:
            return said
    raise AssertionError("".join(said) + process.stderr.read())


def test_a_run_liquidates_and_sums_up(place):
    """In a quarter of a minute the bot wins liquidations and says what they brought, in the contract's fields."""
    finished = place.liq("run", "--sandbox", "--duration", "15s", "--json")
    summary = finished.json
    assert finished.code == 0, finished.err
    assert summary["mode"] == "sandbox"
    assert summary["liquidations"]["won"] >= 3
    assert summary["profit_usd"] > 0
    assert summary["events"]["received"] == summary["events"]["applied"] > 0
    assert summary["events"]["lost"] == 0
    assert summary["borrowers"] == sum(summary["by_tier"].values()) >= 190
    assert summary["latency_ms"]["event_to_queue"]["p99"] > 0
    assert summary["rpc"]["requests"] > 0
    assert summary.keys() >= {"network", "market", "duration_s", "cache", "schema_version"}
    assert len(re.findall(r" won ", finished.err)) == summary["liquidations"]["won"]
    assert len(re.findall(r" flash-loan premium ", finished.err)) >= summary["liquidations"]["won"]


def test_dry_run_in_the_sandbox_sends_nothing(place):
    """--dry-run plans only."""
    summary = place.liq("run", "--sandbox", "--dry-run", "--duration", "4s", "--json").json
    assert (summary["mode"], summary["liquidations"]["sent"]) == ("dry run", 0)
    assert summary["liquidations"]["planned"] >= 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_signal_drains_and_prints_the_summary(place, number, code):
    """SIGINT ends with 130, SIGTERM with 0, both after the summary, and no child is left."""
    with place.start("run", "--sandbox") as process:
        ready(process)
        children = children_of(process.pid)
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
        assert process.returncode == code, err
    assert "liquidations  planned" in out
    assert len(children) == 2
    assert all_end(children)


@pytest.mark.parametrize("redis", ["up", "hung"])
def test_two_signals_stop_now(place, redis):
    """The second Ctrl-C does not wait for the drain, whatever hangs; the first alone is answered in a line."""
    with place.start("run", "--sandbox") as process:
        ready(process)
        children = children_of(process.pid)
        if redis == "hung":
            for child in children:
                os.kill(child, signal.SIGSTOP)
        process.send_signal(signal.SIGINT)
        said = [next(line for line in process.stdout if "draining" in line)]
        process.send_signal(signal.SIGINT)
        asked = time.monotonic()
        out, err = process.communicate(timeout=30)
        took_s = time.monotonic() - asked
        assert process.returncode == 130, err
    assert took_s < DRAIN_S
    assert sum("draining" in line for line in [*said, *out.splitlines()]) == 1
    assert all_end(children)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("moment", ["loading", "locked", "node", "sandbox"])
def test_a_signal_during_the_start_undoes_it(place, number, moment):
    """However early it comes, the run ends in order: its code, no traceback, no child and no lock are left."""
    data = place.directory / "data"
    moments = {
        "loading": place.directory,
        "locked": data / "run.json",
        "node": data / "sandbox",
        "sandbox": data / "sandbox.json",
    }
    with place.start("run", "--sandbox") as process:
        until = time.monotonic() + 60
        while not moments[moment].exists() and time.monotonic() < until:
            time.sleep(0.01)
        if moment == "loading":
            time.sleep(0.4)  # the interpreter itself takes a while; Python's own answer to a signal holds until then
        children = children_of(process.pid)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    allowed = {signal.SIGTERM: {0, -signal.SIGTERM}, signal.SIGINT: {130, -signal.SIGINT}}[number]
    assert process.returncode in (allowed if moment == "loading" else {130 if number == signal.SIGINT else 0}), err
    assert "Traceback" not in err or moment == "loading"
    assert all_end(children)
    assert holder_of(data, "run") is holder_of(data, "sandbox") is None


def test_a_run_killed_with_9_leaves_nothing_in_the_way(place):
    """Node and server die with the bot, and the next run starts in the same place."""
    with place.start("run", "--sandbox") as process:
        ready(process)
        children = children_of(process.pid)
        os.kill(process.pid, signal.SIGKILL)
    assert len(children) == 2
    assert all_end(children)
    assert place.liq("run", "--sandbox", "--duration", "1s", "--json").code == 0


def test_ready_counts_everybody(place):
    """READY is said when all 200 borrowers were valued; how soon that is, benchmarks/startup.py measures."""
    with place.start("run", "--sandbox") as process:
        said = ready(process)
        process.kill()
    assert "200 borrowers" in said[-1]


def test_ctrl_c_is_an_answer_to_a_question(place, running):
    """While a live run asks whether it is meant, one Ctrl-C ends it, and nothing was sent."""
    facts = json.loads((running.directory / "data" / "sandbox.json").read_text())
    (place.directory / "liq.toml").write_text(f'[policy]\nlive = true\ncontracts = ["{facts["pool"]}"]\n')
    (place.directory / "password").write_text("a password\n")
    (place.directory / "password").chmod(0o600)
    assert place.liq("keys", "new", "bot", "--password-file", "password").code == 0
    chain = ("--rpc", facts["rpc_url"], "--pool-addresses-provider", facts["provider"], "--market", "mine")
    live = ("run", "--live", "--account", "bot", "--password-file", "password", *chain)
    with on_terminal(place, 100, *live) as terminal:
        terminal.wait_for("this sends real transactions")
        terminal.process.sendintr()
        terminal.to_end()
        terminal.process.wait()
        assert terminal.process.exitstatus == 130, "\n".join(terminal.rows)
    assert holder_of(place.directory / "data", "run") is None


def test_a_market_is_found_by_its_provider_alone(place, running):
    """Outside the sandbox `liq run` resolves all from the PoolAddressesProvider, in dry run, on its own Redis."""
    sandbox = json.loads((running.directory / "data" / "sandbox.json").read_text())
    finished = place.liq(
        *("run", "--rpc", sandbox["rpc_url"], "--pool-addresses-provider", sandbox["provider"]),
        *("--market", "mine", "--duration", "3s", "--json"),
    )
    summary = finished.json
    assert finished.code == 0, finished.err
    assert (summary["mode"], summary["market"], summary["liquidations"]["sent"]) == ("dry run", "mine", 0)
    assert summary["borrowers"] >= 150  # of 200: some have paid everything back by now
    assert list((place.directory / "data" / "redis").rglob("*.aof"))
