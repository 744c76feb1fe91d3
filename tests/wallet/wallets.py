"""A key, its policy and its journal on the sandbox's chain, as the tests build them."""

from functools import cache
from pathlib import Path

from liqcli.bot.execute import Executor, loss_of
from liqcli.chain.abi import LIQUIDATION_CALL
from liqcli.model import BASE_UNIT
from liqcli.wallet.journal import Journal
from liqcli.wallet.keys import Key
from liqcli.wallet.policy import Policy, Signer
from liqcli.wallet.sender import Pace, Sender

FAST = Pace(poll_first_s=0.005, poll_most_s=0.05, resend_s=0.1, resends=1, replacements=2, foreign_after=3)


def key_of(world) -> Key:
    """The sandbox's throw-away key, derived once."""
    return _key(world.facts.liquidator_key)


@cache
def _key(secret) -> Key:
    return Key(secret)


def policy_on(pool, directory, **limits) -> Policy:
    """A policy that lets liquidations of this pool through."""
    usual = {
        "chain_id": 999,
        "allowed": frozenset({(pool, LIQUIDATION_CALL)}),
        "max_gas": 1_900_000,
        "max_fee_per_gas": 10**11,
        "max_loss_base": 10 * BASE_UNIT,
        "max_day_loss_base": 50 * BASE_UNIT,
        "max_per_hour": 500,
        "pause_file": Path(directory) / "PAUSE",
    }
    return Policy(**{**usual, **limits})


def sender_on(rpc, world, directory, *, key=None, journal=None, pace=FAST, limits=None, **options) -> Sender:
    """A sender with the sandbox's key, or another; its journal lies in the directory."""
    signer = Signer(key or key_of(world), policy_on(world.facts.pool, directory, **(limits or {})))
    journal = journal or Journal(Path(directory) / "journal")
    return Sender(rpc, signer, journal, loss_of=loss_of, pace=pace, **options)


def executor_on(market, world, directory, **options) -> Executor:
    """An executor with the sandbox's key, or another."""
    return Executor(market, sender_on(market.rpc, world, directory, **options))
