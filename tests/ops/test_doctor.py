"""The checks against real parts, some of them behind faults: every finding names what is so and what to do."""

import asyncio
import json
import time
from dataclasses import replace

import pytest

from liqcli.config import load_settings
from liqcli.errors import Unreachable, WrongTarget
from liqcli.ops import doctor
from liqcli.ops.checks import node
from liqcli.ops.checks.finding import Scope, fail, ok
from liqcli.sandbox.valkey import start_valkey
from liqcli.store.connection import open_redis
from liqcli.store.leader import LeaderLease
from liqcli.store.queue import namespace_of
from tests.chain.servers import http, rpc
from tests.chain.servers import node as serve

NAMES = ("config", "secrets", "rpc", "rpc logs", "rpc state", "ws", "market", "oracle", "oracle ages", "liquidator")
NAMES += ("flash loan", "redis", "policy", "wallet", "nonce", "big blocks", "host", "disk")
REFUSED = "http://127.0.0.1:1"


@pytest.fixture
def scope(world, tmp_path, monkeypatch):
    """The session's market as a bot of one's own would meet it: no sandbox to be lenient about."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    facts = world.facts
    flags = {"network": "local", "pool_addresses_provider": facts.provider, "data_dir": tmp_path / "data"}
    settings = load_settings({**flags, "rpc": {"url": facts.rpc_url}})
    return Scope(
        settings=settings,
        origins={("network",): "command line", ("market",): "default"},
        files=(),
        key_directories=(),
        rpc_urls=(facts.rpc_url,),
        market="sandbox",
        provider=facts.provider,
        chain_id=facts.chain_id,
        exchange=settings.exchange.model_copy(update={"liquidator": facts.contract}),
        signer=facts.liquidator,
    )


async def found(scope, **options):
    """Every check by its name."""
    checks = await doctor.examine(scope, **options)
    return {check.name: check for check in checks}


def settings_with(scope, **sections):
    """The scope with other settings."""
    changed = {
        name: getattr(scope.settings, name).model_copy(update=values) if isinstance(values, dict) else values
        for name, values in sections.items()
    }
    return replace(scope, settings=scope.settings.model_copy(update=changed))


async def test_a_sound_place_passes(scope):
    """Nothing fails, and nobody waits for the examination."""
    started = time.monotonic()
    checks = await found(scope)
    assert time.monotonic() - started < 20.0
    assert {name for name, check in checks.items() if check.status == "fail"} == set()
    assert set(NAMES) <= set(checks)
    assert doctor.refusal(list(checks.values())) is None


async def test_a_dead_node_fails_in_the_words_of_the_error(scope):
    """Where nothing listens, rpc and market fail, and the refusal keeps the exit code 4."""
    checks = await doctor.examine(replace(scope, rpc_urls=(REFUSED,)))
    failures = {check.name for check in checks if check.status == "fail"}
    assert failures == {"rpc", "market", "wallet"}
    assert isinstance(doctor.refusal(checks), Unreachable)


async def test_the_wrong_chain_fails(scope):
    """A node of another chain is no target, whatever else it answers."""
    checks = await doctor.examine(replace(scope, chain_id=998))
    refused = doctor.refusal(checks)
    assert isinstance(refused, WrongTarget)
    assert "is chain 999" in refused.message


async def test_a_dead_fallback_is_only_a_warning(scope):
    """The bot starts without it."""
    checks = await found(replace(scope, rpc_urls=(*scope.rpc_urls, REFUSED)))
    assert checks["rpc 2"].status == "warn"


async def test_no_contract_at_the_provider_fails(scope):
    """An address without code is no market."""
    checks = await found(replace(scope, provider="0x" + "12" * 20))
    assert checks["market"].status == "fail"
    assert "no contract at 0x1212" in checks["market"].what


async def test_an_old_head_fails_where_the_network_promises_a_fresh_one(scope, chain):
    """A node that stands still must not be decided upon."""
    await asyncio.sleep(1.2)
    checks = await found(settings_with(scope, rpc={"max_head_age_s": 0.5}))
    assert chain.rpc is not None
    assert checks["rpc"].status == "fail"


@pytest.mark.parametrize(("most", "status"), [(1000, "ok"), (50, "warn"), (3, "fail")])
async def test_the_span_of_logs_is_found(scope, most, status):
    """The widest range a node takes is told, and what to set."""

    def respond(request):
        return answer_of(request, head=5000, most=most)

    async with serve(respond) as (url, _):
        checks = {check.name: check async for check in node.check(scope, url=url, number=1)}
    assert checks["rpc logs"].status == status
    assert (f"takes {most:,} blocks" in checks["rpc logs"].what) == (status != "fail")
    assert checks["rpc limit"].status == "ok", "a question that was too much to ask is not held against the node"


@pytest.mark.parametrize(("told", "status"), [(4000, "ok"), (5000, "warn")])
async def test_old_state_that_is_the_newest_is_seen_through(scope, told, status):
    """A node that ignores the block tag is told apart from one that honours it."""

    def respond(request):
        return answer_of(request, head=5000, most=1000, told=told)

    async with serve(respond) as (url, _):
        checks = {check.name: check async for check in node.check(scope, url=url, number=1)}
    assert checks["rpc state"].status == status


def answer_of(request, *, head, most, told=None):
    """A node's answer; `most` blocks of logs a call, `told` is the block that an old state claims to be."""
    method, params = request["method"], request["params"]
    results = {
        "eth_chainId": "0x3e7",
        "eth_blockNumber": hex(head),
        "eth_getBlockByNumber": {"number": hex(head), "timestamp": hex(int(time.time()))},
        "eth_getLogs": [],
        "eth_call": f"0x{told or int(params[-1], 16) if method == 'eth_call' else 0:064x}",
    }
    facts = {"result": results[method]}
    if method == "eth_getLogs" and int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16) + 1 > most:
        facts = {"error": {"code": -32000, "message": "block range is too wide"}}
    return http(json.dumps(rpc(id=request["id"], **facts)))


async def test_a_signer_without_gas_money_fails(scope):
    """The node wants gas limit x price in the account."""
    checks = await found(replace(scope, signer="0x" + "34" * 20))
    assert checks["wallet"].status == "fail"
    assert checks["wallet"].fix == "send gas money to 0x" + "34" * 20
    assert checks["liquidator"].status == "fail"


async def test_a_forgetful_redis_is_told(scope, tmp_path):
    """No persistence, eviction with a memory limit, a foreign writer and another leader are each named."""
    server = await start_valkey(tmp_path / "valkey", persist=False)
    client = await open_redis(server.url, timeout_s=2.0)
    namespace = namespace_of(scope.chain_id, scope.market)
    checks = await found(replace(scope, redis_url=server.url))
    assert (checks["redis"].status, checks["redis disk"].status, checks["redis memory"].status) == ("ok", "warn", "ok")
    await client.config_set("maxmemory-policy", "allkeys-lru")
    await client.config_set("maxmemory", "100mb")
    lease = LeaderLease(client, namespace=namespace, owner="elsewhere:1:1")
    assert await lease.acquire()
    checks = await found(replace(scope, redis_url=server.url))
    assert checks["redis memory"].status == "fail"
    assert "elsewhere:1:1 leads" in checks["redis writers"].what
    await client.set(f"{{{namespace}:s0}}:queue", "mine")
    checks = await found(replace(scope, redis_url=server.url))
    assert checks["redis writers"].status == "fail"
    await client.aclose()
    await server.stop()


async def test_no_redis_fails_in_the_words_of_the_error(scope):
    """A server that is not there is unreachable."""
    checks = await found(replace(scope, redis_url="redis://127.0.0.1:1/0"))
    assert checks["redis"].status == "fail"
    assert "Redis is not answering" in checks["redis"].what


@pytest.mark.parametrize(("mode", "status"), [(0o600, "ok"), (0o644, "fail"), (0o620, "fail")])
async def test_a_settings_file_with_a_secret_is_ours_alone(scope, tmp_path, mode, status):
    """Others may neither read a URL that may hold a key, nor change the file."""
    path = tmp_path / "liq.toml"
    path.write_text("")
    path.chmod(mode)
    wanted = settings_with(scope, rpc={"url": "https://node.example/v2/a-long-key"})
    checks = await found(replace(wanted, files=(path,)), cheap=True)
    assert checks["secrets"].status == status
    assert status == "ok" or checks["secrets"].fix == f"chmod 600 {path}"


async def test_live_without_a_contract_to_call_fails(scope):
    """policy.live alone allows nothing."""
    checks = await found(settings_with(scope, policy={"live": True}))
    assert checks["policy"].status == "fail"


async def test_a_taken_address_of_the_page_fails(scope):
    """Another program listens there: said before the start, not after it."""
    async with serve(lambda _: None) as (url, _):
        taken = settings_with(scope, http={"listen": url.removeprefix("http://")})
        assert (await found(taken, cheap=True))["page"].status == "fail"
    assert (await found(taken, cheap=True))["page"].status == "ok"


async def test_a_pause_is_told(scope):
    """Who wonders why nothing is sent learns it here."""
    scope.settings.data_dir.mkdir()
    (scope.settings.data_dir / "PAUSE").touch()
    assert (await found(scope, cheap=True))["paused"].fix == "liq resume"


async def test_no_check_can_break_or_hold_up_the_others(scope):
    """A check that raises and one that hangs are findings; what they found before is kept."""

    async def breaks(_):
        yield ok("one", "found before")
        raise ZeroDivisionError("oops\x1b[2J")

    async def hangs(_):
        yield ok("two", "found before")
        await asyncio.sleep(60)

    broken = await doctor._within(1.0, "breaks", breaks(scope))
    hung = await doctor._within(0.2, "hangs", hangs(scope))
    assert [check.status for check in broken] == ["ok", "fail"]
    assert "ZeroDivisionError: oops?[2J" in broken[1].what
    assert [check.status for check in hung] == ["ok", "fail"]


def test_a_refusal_without_an_error_of_its_own_names_the_check():
    """The first failure is told with its cure, and how many more there are."""
    refused = doctor.refusal([ok("a", "fine"), fail("disk", "full", "free some"), fail("b", "bad")])
    assert refused.message == "disk: full (and 1 more failed: liq doctor)"
    assert refused.hint == "free some; --skip-checks starts anyway"


async def test_a_node_that_never_answers_costs_no_more_than_the_deadline(scope):
    """A silent node is told within the five seconds."""
    async with serve(lambda _: None) as (url, _):
        started = time.monotonic()
        checks = await found(replace(scope, rpc_urls=(url,)))
        assert time.monotonic() - started < 20.0
    assert checks["rpc"].status == checks["market"].status == "fail"
