"""The book against the real contracts: whatever happens on the chain, it equals the pool's own account data."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from liqcli.aave.account import collateral_balance, debt_balance
from liqcli.aave.liquidation import liquidate
from liqcli.book.checkpoint import load_checkpoint, save_checkpoint
from liqcli.book.follow import Follower
from liqcli.chain.abi import encode_call
from liqcli.errors import Reverted
from liqcli.model import WAD
from liqcli.sandbox import calls
from liqcli.sandbox.reserves import HYPE_EMODE, LISTINGS
from liqcli.sandbox.transactions import Transaction
from tests.book.stage import PEOPLE, STRANGER, Stage

EXAMPLES, STEPS = 11, 190
MINT_TO_TREASURY = bytes.fromhex("9cd19996")
REPAY_WITH_A_TOKENS = bytes.fromhex("2dad97d4")

TOKENS_OWN_REFUSALS = {"Panic(0x11)", "InvalidBurnAmount", "InvalidMintAmount"}
"""A token refuses amounts that round to nothing or below it; the pool's own rules are all in `liqcli.aave`."""

people = st.sampled_from(PEOPLE)
symbols = st.sampled_from([listing.symbol for listing in LISTINGS])
usd = st.floats(1.0, 50_000.0).map(lambda amount: round(amount, 2))
shares = st.floats(0.01, 1.0).map(lambda share: round(share, 3))


class BookMachine(RuleBasedStateMachine):
    """Borrowers, liquidators, feeds and admins act; after every step each account is compared."""

    stage: Stage

    def __init__(self):
        super().__init__()
        self.stage.reset()
        self.pool = self.stage.deployment.pool

    def asset(self, symbol):
        """A listed asset."""
        return self.stage.deployment.asset(symbol)

    def held(self, who, *, debt):
        """Balances by asset as the book has them; what it says is compared with the chain in every step."""
        book, at = self.stage.book, self.stage.run(self.stage.market.head())[1]
        position = book.position(who)
        balance, scaled = (
            (debt_balance, position.scaled_debt) if debt else (collateral_balance, position.scaled_collateral)
        )
        assets = {asset.token: asset for asset in self.stage.deployment.assets}
        tokens = book.ledger.reserves
        return {
            assets[tokens[number].tokens.asset]: balance(book.version, book.reserves[number], amount, at)
            for number, amount in scaled.items()
        }

    def some(self, who, share, *, debt):
        """One of the holdings, and a share of it."""
        held = self.held(who, debt=debt)
        if not held:
            return None, 0
        asset = sorted(held, key=lambda asset: asset.token)[int(share * 1000) % len(held)]
        return asset, max(int(held[asset] * share), 1)

    def send(self, *transactions):
        """Mine them and count the accepted ones."""
        self.stage.done += self.stage.send(*transactions)

    @rule(who=people, symbol=symbols, amount=usd, to=people)
    def supply(self, who, symbol, amount, to):
        """Supply for oneself or for another."""
        asset = self.asset(symbol)
        self.send(calls.supply(who, self.pool, asset, asset.listing.amount(amount), to))

    def borrowing(self, who, symbol, share):
        """A borrow of a share of what the book says is available."""
        data = self.stage.book.exact(who, self.stage.run(self.stage.market.head())[1])
        asset = self.asset(symbol)
        amount = int(data.available_borrows_base * share * 0.98) * asset.listing.unit // self.stage.prices[symbol]
        return calls.borrow(who, self.pool, asset, max(amount, 1))

    @rule(who=people, symbol=symbols, share=shares)
    def borrow(self, who, symbol, share):
        """Borrow up to the limit."""
        self.send(self.borrowing(who, symbol, share))

    @rule(who=people, share=shares, everything=st.booleans())
    def repay(self, who, share, everything):
        """Repay some or all of a debt."""
        asset, amount = self.some(who, share, debt=True)
        if asset is not None:
            self.send(calls.repay(who, self.pool, asset, calls.EVERYTHING if everything else amount))

    @rule(who=people, share=shares)
    def repay_with_a_tokens(self, who, share):
        """Repay a debt out of the same asset's supply."""
        asset, amount = self.some(who, share, debt=True)
        if asset is not None:
            supplied = calls.supply(who, self.pool, asset, 2 * amount, who)
            data = encode_call(REPAY_WITH_A_TOKENS, asset.token, amount, calls.VARIABLE_RATE)
            self.send(supplied, Transaction(who, self.pool, data, "repay with aTokens"))

    @rule(who=people, share=shares, everything=st.booleans())
    def withdraw(self, who, share, everything):
        """Withdraw some or all of a supply."""
        asset, amount = self.some(who, share, debt=False)
        if asset is not None:
            self.send(calls.withdraw(who, self.pool, asset, calls.EVERYTHING if everything else amount))

    @rule(who=people, to=st.sampled_from([*PEOPLE, STRANGER]), share=shares)
    def transfer(self, who, to, share):
        """Give aTokens to another, to oneself, or to a stranger."""
        asset, amount = self.some(who, share, debt=False)
        if asset is not None:
            self.send(calls.transfer_a_tokens(who, asset, to, amount))

    @rule(who=people, share=shares, use=st.booleans())
    def switch_collateral(self, who, share, use):
        """Use a supply as collateral, or not."""
        asset, _ = self.some(who, share, debt=False)
        if asset is not None:
            self.send(calls.use_as_collateral(who, self.pool, asset, use=use))

    @rule(who=people, category=st.sampled_from([0, HYPE_EMODE.id]))
    def set_emode(self, who, category):
        """Enter or leave the e-mode."""
        self.send(calls.set_emode(who, self.pool, category))

    @rule(who=people, share=shares)
    def correlated(self, who, share):
        """A position that the e-mode admits."""
        asset = self.asset("wstHYPE")
        amount = asset.listing.amount(1000.0 + 20_000 * share)
        self.send(calls.set_emode(who, self.pool, HYPE_EMODE.id), calls.supply(who, self.pool, asset, amount, who))
        self.stage.audit()
        self.send(self.borrowing(who, "WHYPE", share))

    @rule(symbol=symbols, factor=st.floats(0.7, 1.4))
    def move_price(self, symbol, factor):
        """A feed moves."""
        self.stage.price(symbol, int(self.stage.prices[symbol] * factor))

    @rule(seconds=st.one_of(st.integers(1, 60), st.integers(3600, 60 * 86_400)))
    def wait(self, seconds):
        """Interest accrues."""
        self.stage.pass_time(seconds)

    def sink(self, who, assets, drop):
        """Lower the prices of these until the borrower's health factor is below one, or three times."""
        stage = self.stage
        for _ in range(3):
            health_factor = stage.book.exact(who, stage.run(stage.market.head())[1]).health_factor
            if health_factor < WAD:
                return
            for symbol in (asset.listing.symbol for asset in assets):
                stage.price(symbol, int(stage.prices[symbol] * drop * WAD / health_factor))
            stage.audit()

    @rule(who=people, share=shares, receive=st.booleans(), drop=st.floats(0.9, 0.999))
    def liquidate(self, who, share, receive, drop):
        """Let a borrower's collateral fall until the position does, and liquidate it."""
        stage = self.stage
        owned, owed = self.held(who, debt=False), self.held(who, debt=True)
        ids = stage.book.position(who).collateral_ids
        used = [a for a in owned if any(stage.book.ledger.reserves[number].tokens.asset == a.token for number in ids)]
        if not owed or not used:
            return
        self.sink(who, [asset for asset in used if asset not in owed] or used, drop)
        seized = max(used, key=lambda a: (owned[a] * stage.prices[a.listing.symbol] // a.listing.unit, a.token))
        debt, amount = sorted(owed.items(), key=lambda item: item[0].token)[int(share * 1000) % len(owed)]
        wanted = calls.EVERYTHING if share > 0.6 else max(int(amount * share), 1)
        before = (stage.book.version, stage.book.reserves, stage.book.emodes, stage.book.position(who))
        at, done, why = stage.liquidate(who, seized, debt, wanted, receive_a_token=receive)
        ids = {"collateral_id": stage.book.ledger.ids[seized.token], "debt_id": stage.book.ledger.ids[debt.token]}
        try:
            expected = liquidate(*before, at, **ids, debt_to_cover=wanted)
        except Reverted:
            assert done is None
            return
        if done is None:
            assert why in TOKENS_OWN_REFUSALS
            return
        stage.liquidated += 1
        assert done.debt_covered == expected.debt_covered
        assert done.collateral_received == expected.collateral_received

    @rule(moves=st.lists(st.tuples(people, symbols, usd, shares), min_size=2, max_size=4))
    def act_together(self, moves):
        """Several accounts act in one block, some of them twice."""
        transactions = []
        for who, symbol, amount, share in moves:
            asset = self.asset(symbol)
            transactions.append(calls.supply(who, self.pool, asset, asset.listing.amount(amount), who))
            transactions.append(calls.borrow(who, self.pool, asset, asset.listing.amount(amount * share)))
        self.stage.send_together(transactions)

    @rule()
    def pay_treasury(self):
        """The treasury's share becomes its balance."""
        assets = [asset.token for asset in self.stage.deployment.assets]
        data = encode_call(MINT_TO_TREASURY, 32, len(assets), *assets)
        self.send(Transaction(self.stage.deployment.deployer, self.pool, data, "mint to treasury"))

    @rule(symbol=symbols, threshold=st.integers(40, 90), frozen=st.booleans())
    def reconfigure(self, symbol, threshold, frozen):
        """The market's rules change under everyone."""
        asset = self.asset(symbol)
        limits = (asset.token, (threshold - 10) * 100, threshold * 100, 10_500)
        self.stage.configure("configureReserveAsCollateral", *limits)
        self.stage.configure("setReserveFreeze", asset.token, frozen)

    @rule(ltv=st.integers(80, 93), bonus=st.integers(101, 105), share=shares)
    def redefine_emode(self, ltv, bonus, share):
        """The e-mode's rules change: its limits, and what its assets take from it."""
        limits = (HYPE_EMODE.id, ltv * 100, (ltv + 2) * 100, bonus * 100)
        if self.stage.aave == "3.0.2":
            source = self.asset("WHYPE").token if bonus % 2 else "0x" + "00" * 20
            self.stage.configure("setEModeCategory", *limits, source, HYPE_EMODE.label)
            return
        self.stage.configure("setEModeCategory", *limits, HYPE_EMODE.label)
        asset = self.stage.deployment.assets[int(share * 1000) % 6].token
        self.stage.configure("setAssetCollateralInEMode", asset, HYPE_EMODE.id, share > 0.3)
        self.stage.configure("setAssetBorrowableInEMode", asset, HYPE_EMODE.id, share > 0.3)
        self.stage.configure("setAssetLtvzeroInEMode", asset, HYPE_EMODE.id, bonus % 2 == 0)

    @rule(moves=st.lists(st.tuples(people, symbols, usd), min_size=1, max_size=3), other=people)
    def reorganise(self, moves, other):
        """Blocks that the book has applied are replaced by others."""
        stage = self.stage
        snapshot = stage.run(stage.rpc.call("evm_snapshot"))
        for who, symbol, amount in moves:
            asset = self.asset(symbol)
            stage.send(calls.supply(who, self.pool, asset, asset.listing.amount(amount), who))
        stage.audit()
        stage.run(stage.rpc.call("evm_revert", snapshot))
        asset = self.asset("USDC")
        for _ in range(len(moves) + 1):
            stage.send(calls.supply(other, self.pool, asset, asset.listing.amount(77.0), other))

    @rule()
    def restart(self):
        """The process ends and comes back with its checkpoint."""
        stage = self.stage
        file = Path(stage.directory.name) / "machine.book"
        save_checkpoint(stage.book, file)
        book = load_checkpoint(file, stage.book.identity)
        book.set_prices(stage.book.prices)
        stage.whole = Follower(stage.market, book, window_blocks=1000)

    @invariant()
    def equals_the_pool(self):
        """The book from the first block knows everyone exactly; the one from the head is never wrong."""
        self.stage.audit()


def run_machine(aave, *, examples):
    """Many steps on a node of its own; the stage with its counts."""

    class Machine(BookMachine):
        stage = Stage(aave)

    try:
        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=STEPS,
                database=None,
                derandomize=True,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        Machine.stage.close()
    return Machine.stage


def test_book_equals_the_contracts():
    """After each of 2,000 steps every account's data are the pool's own to the wei, and so is each liquidation."""
    stage = run_machine("3.0.2", examples=EXAMPLES)
    assert stage.liquidated > 10
    assert stage.steps >= 2000
    assert stage.done > stage.steps // 3


@pytest.mark.long
@pytest.mark.skipif(os.environ.get("LIQ_LONG") != "1", reason="compiles Aave V3.6; LIQ_LONG=1 runs it")
@pytest.mark.timeout(900)
def test_book_equals_the_contracts_of_3_6():
    """The same on Aave V3.6, with its directional rounding and liquid e-modes: 10,000 steps."""
    stage = run_machine("3.6", examples=5 * EXAMPLES)
    assert stage.liquidated > 15
    assert stage.steps >= 10_000
    assert stage.done > stage.steps // 3
