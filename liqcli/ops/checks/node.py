"""One RPC endpoint: the right chain, a fresh head, how fast, how wide its logs, whether old state is really old."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from statistics import quantiles
from time import perf_counter

from liqcli.chain.abi import quantity, unhex
from liqcli.chain.rpc import NoAnswer, Rpc, RpcError
from liqcli.errors import LiqError, Reverted, Unreachable, WrongTarget
from liqcli.ops.checks.finding import Check, Scope, Status, fail, failed, ok, warn

TIMEOUT_S = 2.0
_SAMPLES = 8
_SAMPLING_S = 0.8
"""A distant node is asked less often: what it cannot do is more worth knowing than its latency."""
_SPANS = (1000, 500, 100, 50, 10)
_HOUR_BLOCKS = 3600
_DEPTH = 1000
_FAST_CLOCK_S = 10.0
_NOBODY = "0x000000000000000000000000000000000000dead"
_TELL_BLOCK_NUMBER = "0x4360005260206000f3"
"""Init code that returns the number of the block it runs in: NUMBER, MSTORE, RETURN 32 bytes."""
_LATEST_HEADER = ("latest", False)
_TOO_MANY = 429
_LIMITED = "the node limits how often it is asked"
_LIMITED_FIX = "set rpc.requests_per_minute to what its provider allows"


@dataclass(frozen=True, slots=True)
class _Head:
    block: int
    age_s: float


@dataclass(frozen=True, slots=True)
class _Met:
    """How plain questions, which any node answers, went."""

    requests: int
    errors: int


async def check(scope: Scope, *, url: str, number: int) -> AsyncIterator[Check]:
    """Whether this endpoint can serve the bot; what only a fallback lacks is a warning."""
    name = "rpc" if number == 1 else f"rpc {number}"
    async with Rpc(url, timeout_s=min(TIMEOUT_S, scope.settings.rpc.timeout_s)) as rpc:
        try:
            found = await _reach(scope, rpc, name)
        except LiqError as err:
            yield _softened(failed(name, err), is_fallback=number > 1)
            return
        yield _softened(found, is_fallback=number > 1)
        head = await _head(rpc)
        met = _Met(rpc.requests, rpc.errors)  # what follows asks for more than every node gives
        probes = [await _logs(scope, rpc, head, f"{name} logs"), await _state(rpc, head, f"{name} state")]
        for probe in probes:
            yield probe
        is_limited = any(probe.what == _LIMITED for probe in probes)
        yield _limit(scope, url, f"{name} limit", met=met, is_limited=is_limited)


async def _reach(scope: Scope, rpc: Rpc, name: str) -> Check:
    """Chain, head and latency on one line."""
    chain_id = await rpc.chain_id()
    if scope.chain_id not in (chain_id, None):
        raise WrongTarget(
            f"the RPC at {rpc.shown_url} is chain {chain_id}, but --network is {scope.settings.network}"
            f" ({scope.chain_id})",
            hint="another --network, or another URL",
        )
    taken = await _latencies(rpc)
    p50, p95 = (quantiles(taken, n=20, method="inclusive")[place] for place in (9, 18))
    head = await _head(rpc)
    told = f"{rpc.shown_url} · {p50:.0f} ms p50, {p95:.0f} ms p95 · chain {chain_id} · head {head.age_s:.1f} s old"
    oldest = None if scope.is_sandbox else scope.settings.max_head_age_s
    if oldest is not None and head.age_s > oldest:
        return fail(name, told, "another RPC: --rpc URL; or is this machine's clock fast? timedatectl")
    if oldest is not None and head.age_s < -_FAST_CLOCK_S:
        return warn(name, told, "this machine's clock is slow: timedatectl set-ntp true")
    return ok(name, told)


async def _latencies(rpc: Rpc) -> list[float]:
    """Milliseconds of some questions one after another, two at least."""
    taken, until = [await _timed(rpc), await _timed(rpc)], perf_counter() + _SAMPLING_S
    while len(taken) < _SAMPLES and perf_counter() < until:
        taken.append(await _timed(rpc))
    return sorted(taken)


async def _timed(rpc: Rpc) -> float:
    started = perf_counter()
    await rpc.block_number()
    return (perf_counter() - started) * 1000


async def _head(rpc: Rpc) -> _Head:
    block = await rpc.call("eth_getBlockByNumber", *_LATEST_HEADER)
    if not isinstance(block, dict):
        raise Unreachable(f"the RPC at {rpc.shown_url} has no latest block", hint="is the node still syncing?")
    return _Head(quantity(block.get("number")), time.time() - quantity(block.get("timestamp")))


async def _logs(scope: Scope, rpc: Rpc, head: _Head, name: str) -> Check:
    """The widest range of blocks that eth_getLogs takes, from the configured one down."""
    wanted = scope.settings.rpc.log_window_blocks
    for span in (wanted, *(span for span in _SPANS if span < wanted)):
        try:
            await _get_logs(rpc, max(head.block - span + 1, 0), head.block)
        except (RpcError, NoAnswer, Reverted) as err:
            if _is_limited(err):
                return warn(name, _LIMITED, _LIMITED_FIX)
            continue
        told = f"eth_getLogs takes {span:,} blocks a call"
        if span == wanted:
            return ok(name, told)
        calls = -(-_HOUR_BLOCKS // span)
        return warn(
            name, f"{told}, not {wanted:,}: one hour of blocks is {calls} calls", f"rpc.log_window_blocks = {span}"
        )
    return fail(name, "eth_getLogs is refused even for 10 blocks", "borrowers are found by logs: --rpc URL")


async def _get_logs(rpc: Rpc, first: int, last: int) -> None:
    await rpc.call("eth_getLogs", {"fromBlock": hex(first), "toBlock": hex(last), "address": _NOBODY})


async def _state(rpc: Rpc, head: _Head, name: str) -> Check:
    """Some nodes answer a question about an old block with the newest state, and do not say so."""
    old = max(head.block - _DEPTH, 1)
    if old >= head.block:
        return ok(name, "the chain is too young to have old state")
    try:
        answer = unhex(await rpc.call("eth_call", {"data": _TELL_BLOCK_NUMBER}, hex(old)))
    except LiqError as err:
        if _is_limited(err):
            return warn(name, _LIMITED, _LIMITED_FIX)
        return ok(name, "only the newest state; liq needs no older one")
    told = int.from_bytes(answer[:32])
    if told == old:
        return ok(name, f"state {head.block - old:,} blocks back is honoured")
    return warn(
        name, f"a question about block {old:,} is answered as of {told:,}", "audits of old blocks need an archive RPC"
    )


def _limit(scope: Scope, url: str, name: str, *, met: _Met, is_limited: bool) -> Check:
    limit = scope.settings.requests_per_minute(url)
    if is_limited:
        return warn(name, f"met one; {limit or 'none'} a minute is set", _LIMITED_FIX)
    if met.errors:
        told = f"{met.errors} of {met.requests} plain questions failed"
        return warn(name, told, "lower rpc.requests_per_minute, or use another RPC")
    if limit is None:
        return ok(name, f"none set, none met in {met.requests} requests")
    polls = 60 / scope.settings.rpc.poll_interval_s
    if polls > limit:
        fix = f"rpc.poll_interval_s = {-(-120 // limit)}"
        return warn(name, f"{limit} requests a minute, and {polls:.0f} looks at the head", fix)
    return ok(name, f"{limit} requests a minute; liq waits rather than ask more")


def _is_limited(err: LiqError) -> bool:
    return (isinstance(err, RpcError) and err.is_rate_limit) or (isinstance(err, NoAnswer) and err.status == _TOO_MANY)


def _softened(found: Check, *, is_fallback: bool) -> Check:
    if not is_fallback or found.status is not Status.FAIL:
        return found
    return warn(found.name, found.what, found.fix or "see rpc.fallback_urls")
