"""The key's account on chain: gas money, nonces, the kind of block it goes to; and what the policy lets it call."""

from collections.abc import AsyncIterator
from pathlib import Path

from liqcli.chain.abi import quantity
from liqcli.chain.rpc import Rpc, RpcError
from liqcli.errors import AlreadyRunning, Unreachable
from liqcli.lock import hold
from liqcli.model import WAD, Address
from liqcli.ops.checks.finding import Check, Scope, fail, ok, skip, warn
from liqcli.ops.checks.node import TIMEOUT_S
from liqcli.text import short_address

_COMFORTABLE = 10
"""Liquidations that the balance should pay for at the highest price allowed."""
_GWEI = 10**9
_MEMPOOL_NONCES = 8


async def check(scope: Scope) -> AsyncIterator[Check]:
    """Whether the key could send now; without one there is only a dry run to examine."""
    yield _policy(scope)
    if scope.signer is None:
        yield skip("wallet", scope.signer_note or "no key is named: a dry run needs none", "liq doctor --account NAME")
        return
    if not scope.rpc_urls:
        return
    async with Rpc(scope.rpc_urls[0], timeout_s=TIMEOUT_S) as rpc:
        yield await _balance(scope, rpc, scope.signer)
        yield await _nonces(scope, rpc, scope.signer)
        yield await _blocks(rpc, scope.signer)


def _policy(scope: Scope) -> Check:
    policy = scope.settings.policy
    if scope.is_sandbox:
        return ok("policy", "the sandbox's own contracts and key")
    if not policy.live:
        return skip("policy", "policy.live is false: nothing can be sent", "liq config show; then  live = true")
    if not policy.contracts:
        return fail(
            "policy", "policy.live is true, but no contract may be called", "liq markets show NAME has the pool"
        )
    wanted = scope.exchange.liquidator
    if wanted is not None and wanted not in policy.contracts:
        return fail(
            "policy", f"policy.contracts lacks the liquidator {wanted}", "add it there, or leave it out of exchange"
        )
    return ok("policy", f"{len(policy.contracts)} contracts, at most ${policy.max_day_loss_usd:,.2f} lost a day")


async def _balance(scope: Scope, rpc: Rpc, signer: Address) -> Check:
    """The node wants gas limit x price in the account, though less is spent."""
    policy = scope.settings.policy
    balance = quantity(await rpc.call("eth_getBalance", signer, "latest"))
    now, most = await rpc.gas_price(), round(policy.max_gas_price_gwei * _GWEI)
    told = f"{short_address(signer)} has {balance / WAD:,.4f} for gas at {now / _GWEI:,.2f} gwei"
    if balance < policy.max_gas * now:
        need = policy.max_gas * now / WAD
        return fail("wallet", f"{told}: too little for one liquidation ({need:,.4f})", f"send gas money to {signer}")
    if balance < policy.max_gas * most:
        need = policy.max_gas * most / WAD
        fix = f"send more to {signer}, or lower policy.max_gas_price_gwei"
        return warn("wallet", f"{told}: too little at policy.max_gas_price_gwei ({need:,.4f})", fix)
    return ok("wallet", f"{told}: {balance // (policy.max_gas * max(now, 1)):,} liquidations")


async def _nonces(scope: Scope, rpc: Rpc, signer: Address) -> Check:
    mined = quantity(await rpc.call("eth_getTransactionCount", signer, "latest"))
    try:
        pending = quantity(await rpc.call("eth_getTransactionCount", signer, "pending"))
    except RpcError:
        pending = mined
    waiting = pending - mined
    if waiting >= _MEMPOOL_NONCES:
        return fail(
            "nonce",
            f"{waiting} transactions wait; HyperEVM takes the next {_MEMPOOL_NONCES} only",
            "wait, or cancel them",
        )
    if waiting > 0:
        return warn("nonce", f"{mined:,} mined, {waiting} more wait", "does another program use this key?")
    return _journalled(scope, signer, mined)


def _journalled(scope: Scope, signer: Address, mined: int) -> Check:
    """What our journal still waits for lies at the chain's nonce or after it, without a hole between."""
    path = scope.settings.data_dir / "wallet" / f"{scope.chain_id}-{signer}.journal"
    expected = _open_nonces(path) if scope.chain_id is not None and not scope.is_sandbox else []
    missing = [nonce for nonce in range(mined, max(expected, default=mined)) if nonce not in expected]
    if missing:
        return warn(
            "nonce",
            f"nonce {missing[0]:,} is missing before ours from {min(expected):,}",
            "liq run mends the gap when it starts",
        )
    return ok("nonce", f"{mined:,} mined, none waits")


def _open_nonces(path: Path) -> list[int]:
    """What is open in a journal that no bot uses; one that is used is its bot's business."""
    from liqcli.wallet.journal import Journal

    if not path.exists():
        return []
    try:
        with hold(path.parent, path.stem, {}):
            journal = Journal(path)
            journal.close()
    except AlreadyRunning:
        return []
    return list(journal.open)


async def _blocks(rpc: Rpc, signer: Address) -> Check:
    """A key with HyperEVM's flag for big blocks waits up to a minute for one."""
    try:
        is_big = await rpc.call("eth_usingBigBlocks", signer)
    except (RpcError, Unreachable):
        return skip("big blocks", "this node does not say which blocks the key goes to")
    if is_big is True:
        return fail(
            "big blocks",
            "the key goes to big blocks, one a minute",
            "unset usingBigBlocks (evmUserModify) on HyperCore",
        )
    return ok("big blocks", "the key goes to small blocks, one a second")
