"""`liq contract`: our Liquidator, the contract that borrows, liquidates, sells and pays in one transaction."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from liqcli.cli import options, wallet
from liqcli.cli.render import print_json, say
from liqcli.config import Settings
from liqcli.errors import ConfigError, Reverted, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable

    from liqcli.chain.market import Market
    from liqcli.cli.connect import Target
    from liqcli.wallet.keys import Key
    from liqcli.wallet.sender import Call, Sender

_GAS_HEADROOM_PERCENT = 10

app = typer.Typer(help="The contract that liquidates by flash loan.", no_args_is_help=True)


@app.callback()
def contract() -> None:
    """Hold the commands about our Liquidator."""


@app.command()
def deploy(
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for the confirmation.")] = False,
    account: wallet.Account = None,
    keystore: wallet.Keystore = None,
    password_file: wallet.PasswordFile = None,
    as_json: options.Json = False,
    network: options.Network = None,
    market: options.MarketName = None,
    provider: options.Provider = None,
    rpc: options.RpcUrl = None,
    redis: options.RedisUrl = None,
    config: options.ConfigFile = None,
    sandbox: options.Sandbox = False,
) -> None:
    """Deploy a Liquidator for one market, owned by the key, with the configured routers allowed.

    Example: liq contract deploy --account hot-wallet
    """
    settings = options.settings_from(
        network=network, market=market, provider=provider, rpc=rpc, redis=redis, config=config
    )
    open_key = partial(
        wallet.key_at, settings=settings, account=account, keystore=keystore, password_file=password_file
    )
    made = asyncio.run(_deploy(settings, sandbox=sandbox, open_key=open_key, confirmed=yes))
    if as_json:
        print_json(made)
        return
    print(f"Liquidator {made['contract']} of {made['owner']} for the pool {made['pool']}")
    say(f'in liq.toml: exchange.liquidator = "{made["contract"]}", and the same among policy.contracts')


async def _deploy(
    settings: Settings, *, sandbox: bool, open_key: "Callable[[AsyncExitStack, Target], Key]", confirmed: bool
) -> dict[str, Any]:
    from liqcli.cli import connect

    async with AsyncExitStack() as stack:
        target = await connect.find_target(stack, settings, sandbox=sandbox, tell=say)
        if not (target.exchange.routers_v2 or target.exchange.routers_v3):
            hint = "name them in liq.toml: exchange.routers_v2, exchange.routers_v3 and exchange.quoters_v3"
            raise ConfigError("a Liquidator needs an exchange's router to sell at, and none is set", hint=hint)
        if not target.is_sandbox:
            wallet.confirm(settings, confirmed=confirmed)
        market = await connect.open_market_at(stack, settings, target)
        redis_url = await connect.find_redis(stack, settings, target)
        key = open_key(stack, target)
        call = await _creation(market, target, key)
        policy = wallet.policy_of(settings, market, (market.addresses.pool,))
        policy = replace(policy, allowed=frozenset(), creations=frozenset({call.data}))
        sender = await wallet.open_sender(
            stack, settings, market, key, policy, sandbox=target.is_sandbox, redis_url=redis_url, tell=say
        )
        return await _made(market, target, sender, call)


async def _creation(market: "Market", target: "Target", key: "Key") -> "Call":
    """The transaction that makes it, with its gas and its price."""
    from liqcli.chain.abi import quantity
    from liqcli.chain.reserves import wrapped_native
    from liqcli.chain.transactions import liquidator_creation
    from liqcli.wallet.sender import FEE_HEADROOM, Call

    exchange = target.exchange
    data = liquidator_creation(market.addresses.pool, exchange.routers_v2, exchange.routers_v3)
    gas = quantity(await market.rpc.call("eth_estimateGas", {"from": key.address, "data": "0x" + data.hex()}))
    native = wrapped_native(market.reserves)
    return Call(
        to=None,
        data=data,
        gas=gas * (100 + _GAS_HEADROOM_PERCENT) // 100,
        max_fee_per_gas=await market.rpc.gas_price() * FEE_HEADROOM,
        subject="the Liquidator's creation",
        native_price=(await market.prices()).by_asset.get(native.asset, 0) if native else 0,
    )


async def _made(market: "Market", target: "Target", sender: "Sender", call: "Call") -> dict[str, Any]:
    """Send it, wait for it, and ask the new contract what it is."""
    from liqcli.chain.abi import quantity
    from liqcli.chain.exchange import open_exchange

    balance = quantity(await market.rpc.call("eth_getBalance", sender.address, "latest"))
    tx_hash = await sender.send(call, balance=balance)
    receipt = (await sender.settled(tx_hash)).receipt
    if receipt is None or not receipt.get("contractAddress"):
        raise Unreachable(f"no contract came of {tx_hash}", hint="look it up in an explorer")
    if quantity(receipt.get("status")) != 1:
        raise Reverted(f"the creation {tx_hash} failed", hint="was its gas enough for a block?")
    address = str(receipt["contractAddress"]).lower()
    exchange = await open_exchange(market, target.exchange.model_copy(update={"liquidator": address}))
    assert exchange is not None
    return {
        "contract": exchange.contract,
        "owner": exchange.owner,
        "pool": market.addresses.pool,
        "routers_v2": list(target.exchange.routers_v2),
        "routers_v3": list(target.exchange.routers_v3),
        "tx": tx_hash,
        "block": quantity(receipt.get("blockNumber")),
        "gas_used": quantity(receipt.get("gasUsed")),
    }
