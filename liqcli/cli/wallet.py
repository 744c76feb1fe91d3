"""From a key to an executor: its lock, its journal, its policy."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from liqcli.cli.connect import now_iso
from liqcli.config import Settings
from liqcli.lock import hold
from liqcli.model import BASE_UNIT, Address

if TYPE_CHECKING:
    from liqcli.bot.execute import Executor
    from liqcli.chain.market import Market
    from liqcli.wallet.keys import Key
    from liqcli.wallet.policy import Policy

_GWEI = 10**9


def pause_file(settings: Settings) -> Path:
    """The file whose existence keeps anything from being signed; any program may make it."""
    return settings.data_dir / "PAUSE"


async def open_executor(
    stack: AsyncExitStack,
    settings: Settings,
    market: "Market",
    key: "Key",
    *,
    sandbox: bool,
    tell: Callable[[str], None],
) -> "Executor":
    """An executor that alone in this data directory may use the key; its journal and its locks end with the stack."""
    from liqcli.bot.execute import Executor, loss_of
    from liqcli.wallet.journal import Journal
    from liqcli.wallet.policy import Signer
    from liqcli.wallet.sender import Sender

    directory = (settings.data_dir / "sandbox" if sandbox else settings.data_dir) / "wallet"
    name = f"{market.chain_id}-{key.address}"
    stack.enter_context(hold(directory, name, {"started": now_iso()}))
    if sandbox:
        _forget_other_chains(directory, name)
    journal = Journal(directory / f"{name}.journal")
    stack.callback(journal.close)
    contracts = (market.addresses.pool,) if sandbox else settings.policy.contracts
    signer = Signer(key, policy_of(settings, market, contracts))
    return Executor(market, Sender(market.rpc, signer, journal, loss_of=loss_of, tell=tell))


def policy_of(settings: Settings, market: "Market", contracts: tuple[Address, ...]) -> "Policy":
    """The settings' limits for one market, with the calls that these contracts take."""
    from liqcli.chain.abi import LIQUIDATE, LIQUIDATION_CALL
    from liqcli.wallet.policy import Policy

    limits, pool = settings.policy, market.addresses.pool
    return Policy(
        chain_id=market.chain_id,
        allowed=frozenset((contract, LIQUIDATION_CALL if contract == pool else LIQUIDATE) for contract in contracts),
        max_gas=limits.max_gas,
        max_fee_per_gas=round(limits.max_gas_price_gwei * _GWEI),
        max_loss_base=round(limits.max_loss_usd * BASE_UNIT),
        max_day_loss_base=round(limits.max_day_loss_usd * BASE_UNIT),
        max_per_hour=limits.max_per_hour,
        pause_file=pause_file(settings),
    )


def _forget_other_chains(directory: Path, name: str) -> None:
    """Each sandbox has a key of its own: the journals of earlier ones tell of chains that are gone."""
    for path in directory.glob("*-0x*"):
        if path.name.split(".")[0] != name:
            path.unlink(missing_ok=True)
