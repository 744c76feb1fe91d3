"""`liq run --live` with an operator's key against a chain that is not its own, and kill -9 at random times."""

import asyncio
import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

from liqcli.chain.abi import encode_call
from liqcli.chain.logs import decode_liquidation
from liqcli.chain.market import open_market
from liqcli.chain.rpc import Rpc
from liqcli.chain.topics import LIQUIDATION_CALL
from liqcli.store.connection import open_redis
from liqcli.wallet.journal import Journal
from liqcli.wallet.keys import Key
from tests.canary import CANARY, forms
from tests.cli.conftest import Place
from tests.faults.node import bad_gateway

ADDRESS = Key(CANARY).address
PLENTY = 10**30
MINT, APPROVE = bytes.fromhex("40c10f19"), bytes.fromhex("095ea7b3")
KILLS = 50 if os.environ.get("LIQ_LONG") else 4
RACES = 20 if os.environ.get("LIQ_LONG") else 2


@pytest.fixture
def up(tmp_path_factory):
    """A sandbox that stays up while bots come and go; its facts."""
    place = Place(tmp_path_factory.mktemp("up"))
    with place.start("sandbox", "up", "--borrowers", "150", "--speed", "2", "--json") as process:
        process.stdout.readline()
        yield place, json.loads((place.directory / "data" / "sandbox.json").read_text())
        process.terminate()
        process.communicate(timeout=20)


@pytest.fixture
async def funded(up):
    """The canary's address has gas money, tokens, and lets the pool take them."""
    _, facts = up
    async with Rpc(facts["rpc_url"]) as rpc:
        market = await open_market(rpc, name="x", provider=facts["provider"], chain_id=999)
        await rpc.call("anvil_setBalance", ADDRESS, hex(10**21))
        for reserve in market.reserves:
            for selector, who in ((MINT, ADDRESS), (APPROVE, facts["pool"])):
                data = "0x" + encode_call(selector, who, PLENTY).hex()
                fields = {"from": ADDRESS, "to": reserve.asset, "data": data, "gas": hex(10**6)}
                await rpc.call("eth_sendTransaction", fields | {"maxFeePerGas": hex(10**11)})
                await rpc.call("evm_mine")
    return facts


def operator(directory, facts, keystore=None):
    """A place with the canary's keystore, consent in its settings and a password file; the words of a live run."""
    place = Place(directory)
    (directory / "liq.toml").write_text(f'[policy]\nlive = true\ncontracts = ["{facts["pool"]}"]\n')
    password = directory / "password"
    password.write_text("hunter2-canary")
    password.chmod(0o600)
    if keystore is None:
        imported = place.liq("keys", "import", "canary", "--password-file", str(password), text=CANARY)
        assert imported.out.strip() == ADDRESS, imported.err
    named = ("--account", "canary") if keystore is None else ("--keystore", str(keystore))
    chain = ("--rpc", facts["rpc_url"], "--pool-addresses-provider", facts["provider"], "--market", "mine")
    return place, ("run", "--live", "--yes", *named, "--password-file", str(password), *chain)


def tree(pid):
    """The command lines and environments of a process and all below it."""
    found = [Path(f"/proc/{pid}/cmdline").read_bytes(), Path(f"/proc/{pid}/environ").read_bytes()]
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += tree(child)
    return found


def commands(live):
    """What an operator types next, with the key at hand or with a wrong password; their words."""
    where, password = live[-6:], live[live.index("--password-file") + 1]
    return [
        ("report", "--json", "--html", "report.html"),
        ("report", "--csv"),
        ("report",),
        ("keys", "list"),
        ("keys", "list", "--json"),
        ("keys", "check", "canary", "--password-file", password),
        ("keys", "check", "canary", "--password-file", "liq.toml"),
        ("config", "show", "--origin"),
        ("config", "show", "--json"),
        ("why", ADDRESS, *where),
        ("position", ADDRESS, *where),
        ("status", "--json"),
        ("doctor", "--account", "canary", *where),
        ("run", "--live", "--yes", "--account", "nobody", *where, "--duration", "1s"),
        ("run", "--live", "--yes", "--keystore", "liq.toml", *where, "--duration", "1s"),
        ("run", "--live", "--yes", "--account", "canary", "--password-file", "liq.toml", *where, "--duration", "1s"),
        ("contract", "deploy", "--yes", "--account", "canary", "--password-file", "liq.toml", *where),
        ("worker", "--live", "--yes", "--account", "canary", "--password-file", "liq.toml", *where, "--duration", "1s"),
        ("audit", "missed", "--from-block", "1", "--to-block", "20", *where),
    ]


async def redis_dump(url):
    """Every key of a Redis with its serialised value."""
    redis = await open_redis(url, timeout_s=5.0)
    try:
        return [part for key in await redis.keys("*") for part in (key, await redis.dump(key) or b"")]
    finally:
        await redis.aclose()


@pytest.mark.timeout(240)
async def test_a_live_run_earns_and_the_key_is_seen_nowhere(funded, tmp_path):
    """Real liquidations; neither key nor password is in any output, file, argument, environment, or in Redis."""
    place, live = operator(tmp_path, funded)
    seen = []
    with place.start(*live, "--duration", "15s", "--json") as process:
        lines = []
        for line in process.stderr:
            lines.append(line)
            if " READY " in line:
                facts = json.loads((tmp_path / "data" / "run.json").read_text())
                seen += tree(process.pid) + await redis_dump(facts["redis_url"])
                break
        await asyncio.sleep(5)
        seen += tree(process.pid) + await redis_dump(facts["redis_url"])
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, "".join(lines) + err
    summary = json.loads(out)
    assert summary["mode"] == "live"
    assert summary["liquidations"]["won"] >= 1, err
    said = [done for words in commands(live) for done in [place.liq(*words)]]
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "password"]
    seen += [path.read_bytes() for path in files]
    seen += [text.encode() for text in (out, err, *lines, *(text for done in said for text in (done.out, done.err)))]
    assert len(seen) > 40
    assert not [path for path in files if path.name.startswith("core")]
    for form in [*forms(CANARY), b"hunter2-canary"]:
        assert not [where for where in seen if form in where]
    journal = Journal(tmp_path / "data" / "wallet" / f"999-{ADDRESS}.journal")
    assert len(journal.landed_from(0)) == summary["liquidations"]["won"] + summary["liquidations"]["failed"]
    assert not journal.open


async def test_a_dry_run_sends_nothing_over_the_wire(up, tmp_path):
    """A gateway in front of the node writes every method down: plans are made, and no eth_send* is among them."""
    _, facts = up
    place = Place(tmp_path)
    async with bad_gateway(facts["rpc_url"]) as gateway:
        chain = ("--rpc", gateway.url, "--pool-addresses-provider", facts["provider"], "--market", "mine")
        ended = await asyncio.to_thread(place.liq, "run", "--dry-run", *chain, "--duration", "10s", "--json")
    assert ended.code == 0, ended.err
    assert ended.json["mode"] == "dry run"
    assert ended.json["liquidations"]["planned"] >= 1, ended.err
    assert "eth_call" in gateway.asked
    assert not [method for method in gateway.asked if method.startswith(("eth_send", "eth_sign"))]


@pytest.mark.timeout(60 + 40 * RACES)
async def test_of_two_bots_with_one_key_one_goes_on(funded, tmp_path):
    """Started at once in directories of their own with one keystore, one runs and the other ends with 7."""
    first = tmp_path / "first"
    first.mkdir()
    place, live = operator(first, funded)
    keystore = first / "data" / "keys" / "canary"
    for race in range(RACES):
        other = tmp_path / f"other{race}"
        other.mkdir()
        rival, rival_live = operator(other, funded, keystore)
        with place.start(*live, "--duration", "3s") as a, rival.start(*rival_live, "--duration", "3s") as b:
            said = [process.communicate(timeout=60)[1] for process in (a, b)]
        assert sorted([a.returncode, b.returncode]) == [0, 7], said


@pytest.mark.timeout(60 + 20 * KILLS)
async def test_kill_9_at_random_times_doubles_and_forgets_nothing(up):
    """A bot on a chain that stays up is killed again and again: no intent is mined twice, none is forgotten."""
    place, facts = up
    rng = random.Random(9)
    async with Rpc(facts["rpc_url"]) as rpc:
        first = await rpc.block_number()
        before = int(await rpc.call("eth_getTransactionCount", facts["liquidator"], "latest"), 16)
        for _ in range(KILLS):
            said = (place.directory / "said").open("w+")
            with said, place.start("run", "--sandbox", stdout=said, stderr=said) as process:
                wait_until_running(place, process)
                await asyncio.sleep(rng.uniform(0.0, 3.0))
                process.send_signal(signal.SIGKILL)
        ended = place.liq("run", "--sandbox", "--duration", "4s", "--json")
        assert ended.code == 0, ended.err
        journal = Journal(place.directory / "data" / "sandbox" / "wallet" / f"999-{facts['liquidator']}.journal")
        mined = int(await rpc.call("eth_getTransactionCount", facts["liquidator"], "latest"), 16) - before
        landed = journal.landed_from(0)
        assert not journal.open
        assert mined == len(landed) > 0
        assert journal.next_nonce == before + mined
        logs = await rpc.call(
            "eth_getLogs", {"fromBlock": hex(first), "address": facts["pool"], "topics": [LIQUIDATION_CALL]}
        )
        own = [log for log in logs if decode_liquidation(log).liquidator in (facts["liquidator"], facts["contract"])]
        hashes = [log["transactionHash"] for log in own]
        assert len(set(hashes)) == len(hashes)
        assert len({json.dumps(dict(attempt.memo), sort_keys=True) for attempt in landed}) == len(landed)
    journal.close()


def wait_until_running(place, process):
    """Until the bot holds its lock and published what it is."""
    deadline = time.monotonic() + 30
    facts = place.directory / "data" / "run.json"
    while time.monotonic() < deadline and process.poll() is None:
        if facts.exists() and f'"pid": {process.pid}' in facts.read_text() and "namespace" in facts.read_text():
            return
        time.sleep(0.02)
    raise AssertionError((place.directory / "said").read_text())
