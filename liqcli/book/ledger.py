"""The ledger: what each event does to accounts and reserves, and what it betrays about events that never came.

Logs carry their own proof: a Mint or Burn states the interest since the account's last touch, which follows from the
scaled balance and the two indexes; its index follows from the reserve's last update; and whatever the pool says an
account did has a token event beside it. Where a proof fails, the account or the reserve is unknown, not guessed.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from liqcli.aave.account import EMode, debt_index_at, liquidity_index_at
from liqcli.aave.ray import Version
from liqcli.book.events import (
    Acted,
    BalanceTransfer,
    BookEvent,
    Burn,
    CollateralSwitched,
    EModeAssetSwitched,
    EModeConfigured,
    EModeEntered,
    Liquidated,
    Mint,
    ReserveConfigured,
    ReserveListed,
    ReserveUpdated,
    Upgraded,
)
from liqcli.book.scaled import balance_of, rounds_directionally, scaled_after
from liqcli.book.state import Account, Before, Changes, Doubt, EModes, Image, ReserveState, Token, shared
from liqcli.chain.reserves import ReserveTokens
from liqcli.model import Address, EventKind

if TYPE_CHECKING:
    from liqcli.book.keeper import Keeper

_ACCRUES_SILENTLY: Version = (3, 5)
_DEBT_ACTS = frozenset({EventKind.BORROW, EventKind.REPAY, EventKind.LIQUIDATION})


class Ledger:
    """Accounts, tokens, reserves and e-modes; `complete` when the logs reach back to the market's first block.

    `version` is the pool's release, `newest` the one that implementations switch to when an upgrade is met.
    """

    def __init__(self, listable: Iterable[ReserveTokens], pool: Address, version: Version, *, complete: bool) -> None:
        self.pool = pool
        self.version = self.newest = version
        self.probed_at = -1
        self.complete = complete
        self.listable = {tokens.asset: tokens for tokens in listable}
        self.accounts: dict[Address, Account] = {}
        self.keeper: Keeper | None = None
        self.unknown: set[Address] = set()
        self.tokens: dict[Address, Token] = {}
        self.reserves: dict[int, ReserveState] = {}
        self.ids: dict[Address, int] = {}
        self.emodes: EModes = {}
        self.emodes_as_of = -1
        self.entered: set[int] = set()
        self.changes = Changes()
        self.gaps = 0
        self._before: Before | None = None
        self._moved: set[tuple[Address, Address]] = set()
        self._interest: dict[tuple[Address, Address], int] = {}
        self._due: set[int] = set()
        self._updated: set[int] = set()
        self._takers: dict[type, Callable[[Any], None]] = {
            Mint: self._mint,
            Burn: self._burn,
            BalanceTransfer: self._transfer,
            ReserveUpdated: self._update,
            CollateralSwitched: self._switch,
            EModeEntered: self._enter,
            Acted: self._act,
            Liquidated: self._liquidate,
            ReserveConfigured: self._configure,
            EModeConfigured: self._configure_emode,
            EModeAssetSwitched: self._switch_in_emode,
            ReserveListed: self._list,
            Upgraded: self._upgrade,
        }

    def take_block(self, events: Iterable[BookEvent], *, record: bool) -> Before | None:
        """Apply one block's events in order; with `record`, what is needed to undo them."""
        self._before = Before() if record else None
        takers = self._takers
        for event in events:
            takers[type(event)](event)
        self._close_block()
        before, self._before = self._before, None
        return before

    def undo(self, before: Before) -> None:
        """Make everything as it was before the block."""
        for address, image in before.accounts.items():
            self.changes.accounts.add(address)
            self._restore_account(address, image)
        for reserve_id, image in before.reserves.items():
            self.changes.reserves.add(reserve_id)
            if image is None:
                del self.reserves[reserve_id]
            else:
                self.reserves.setdefault(reserve_id, ReserveState(image[0])).restore(image)
        if before.tokens is not None:
            self.tokens = before.tokens
        for address, total in before.totals.items():
            if address in self.tokens:
                self.tokens[address].total = total
        if before.emodes is not None:
            self.emodes = before.emodes
        if before.version is not None:
            self.version = before.version
        self.changes.market |= (before.tokens, before.emodes, before.version) != (None, None, None)
        self.ids = {state.tokens.asset: reserve_id for reserve_id, state in self.reserves.items()}

    def doubt(self, address: Address, why: str) -> None:
        """The account is unknown until it is read from the chain."""
        account = self._touched(address)
        account.why_unknown = account.why_unknown or why
        self.unknown.add(address)

    def doubt_reserve(self, state: ReserveState, why: str, doubt: Doubt = Doubt.RATES) -> None:
        """Everyone who uses the reserve is unknown until its next update, or until it is read from the chain."""
        self._touched_reserve(state).doubts[doubt] = why

    def meet(self, address: Address) -> None:
        """Know the account: empty, or unknown when older logs were not read."""
        self._touched(address)

    def meet_emode(self, category: int) -> None:
        """Somebody is in this category: one whose definition was lost has to be read."""
        if category and category not in self.emodes:
            self.entered.add(category)

    def put_account(self, address: Address, account: Account) -> None:
        """Replace an account by what the chain itself answered."""
        if (known := self.accounts.get(address)) is not None:
            known.return_home()
        self.accounts[address] = account
        self.meet_emode(account.emode)
        self.unknown.discard(address)
        self.changes.accounts.add(address)

    def put_reserve(self, state: ReserveState) -> None:
        """Replace a reserve, or list a new one, as the chain itself described it."""
        tokens = state.tokens
        self.listable[tokens.asset] = tokens
        self.reserves[tokens.id] = state
        self.ids[tokens.asset] = tokens.id
        self.changes.reserves.add(tokens.id)
        if tokens.a_token not in self.tokens:
            self._add_tokens(tokens)

    def bring_home(self) -> dict[Address, Account]:
        """All accounts, for who looks at each: at once those kept in columns come back for less than singly."""
        if self.keeper is not None:
            self.keeper.give_all_back()
            self.keeper = None
        return self.accounts

    def bring_some_home(self, addresses: Iterable[Address]) -> None:
        """The same of a few, who need not be known."""
        accounts = {address: account for address in addresses if (account := self.accounts.get(address)) is not None}
        kept = [account for account in accounts.values() if account.keeper is not None]
        if self.keeper is not None and kept:
            self.keeper.give_back(kept)

    def _add_tokens(self, tokens: ReserveTokens) -> None:
        self.changes.market = True
        for address, is_debt in ((tokens.a_token, False), (tokens.debt_token, True)):
            self.tokens[address] = token = Token(address, tokens.id, self.version, is_debt=is_debt)
            token.total = 0 if self.complete else None

    def _restore_account(self, address: Address, image: Image | None) -> None:
        if image is None:
            if (account := self.accounts.pop(address, None)) is not None:
                account.return_home()
            self.unknown.discard(address)
            return
        account = self.accounts.setdefault(address, Account())
        account.restore(image)
        (self.unknown.discard if account.why_unknown is None else self.unknown.add)(address)

    def _close_block(self) -> None:
        """What should have come with the block's events by now, and did not."""
        for (_, account), block in self._interest.items():
            self._miss(account, f"interest was paid at block {block:,} as for a transfer, but no transfer came")
        for reserve_id in self._due - self._updated:
            self.gaps += 1
            self.doubt_reserve(self.reserves[reserve_id], "balances changed, but its new rates never came")
        for seen in (self._interest, self._moved, self._due, self._updated):
            seen.clear()

    def _mint(self, event: Mint) -> None:
        self._move(event, event.value - event.increase)

    def _burn(self, event: Burn) -> None:
        self._move(event, -event.value - event.increase)

    def _move(self, event: Mint | Burn, net: int) -> None:
        token = self.tokens.get(event.token)
        if token is None:
            return
        self._check_index(token, event)
        self._moved.add((event.token, event.account))
        if net == 0:
            self._interest[event.token, event.account] = event.block
        if token.is_debt or net < 0:
            self._expect_update(token.reserve_id, event.block)
        account = self._live(event.account, event.block)
        if account is None:
            self._count(token, None if token.directional else scaled_after(0, net, event.reserve_index, token))
            return
        balances = account.debt if token.is_debt else account.collateral
        held = balances.get(token.reserve_id, 0)
        scaled = scaled_after(held, net, event.reserve_index, token) if net else held
        self._count(token, scaled - held)
        if not self._interest_is(event.increase, account, token, held, event.reserve_index):
            self._miss(event.account, f"the interest paid at block {event.block:,} is not that of the balance known")
            return
        self._set_balance(event.account, balances, token.reserve_id, scaled, event.block)
        account.indexes[2 * token.reserve_id + token.is_debt] = event.reserve_index

    def _count(self, token: Token, change: int | None) -> None:
        """Follow the token's total; None when an account that is not known moved it by who knows how much."""
        if self._before is not None:
            self._before.totals.setdefault(token.address, token.total)
        if token.total is not None:
            token.total = None if change is None else token.total + change

    def _transfer(self, event: BalanceTransfer) -> None:
        token = self.tokens.get(event.token)
        if token is None:
            return
        self._check_index(token, event)
        for address, scaled in ((event.sender, -event.scaled), (event.recipient, event.scaled)):
            self._interest.pop((event.token, address), None)
            account = self._live(address, event.block)
            if account is None:
                continue
            held = account.collateral.get(token.reserve_id, 0)
            if not self._interest_is(0, account, token, held, event.reserve_index):
                self._miss(address, f"no interest was paid before the transfer at block {event.block:,}")
                continue
            account.indexes[2 * token.reserve_id] = event.reserve_index
            if event.sender != event.recipient:
                self._set_balance(address, account.collateral, token.reserve_id, held + scaled, event.block)

    def _interest_is(self, increase: int, account: Account, token: Token, scaled: int, index: int) -> bool:
        last = account.indexes.get(2 * token.reserve_id + token.is_debt)
        if last == index or scaled == 0:
            return increase == 0
        if last is None:
            return account.as_of >= 0
        return increase == balance_of(scaled, index, token) - balance_of(scaled, last, token)

    def _set_balance(
        self, address: Address, balances: dict[int, int], reserve_id: int, scaled: int, block: int
    ) -> None:
        if scaled > 0:
            balances[reserve_id] = scaled
            return
        balances.pop(reserve_id, None)
        if scaled < 0:
            self._miss(address, f"more left the account at block {block:,} than was in it")

    def _check_index(self, token: Token, event: Mint | Burn | BalanceTransfer) -> None:
        """A token event shows the reserve's index of its moment: any other means that a ReserveDataUpdated is lost."""
        state = self.reserves[token.reserve_id]
        if Doubt.RATES in state.doubts or state.as_of >= event.block:
            return
        index, _, debt_index, _, last_update = state.indexes
        if event.at == last_update:
            expected = debt_index if token.is_debt else index
        elif event.at < last_update:
            expected = 0
        elif token.is_debt:
            expected = debt_index_at(self.version, state.view(0), event.at)
        else:
            expected = liquidity_index_at(state.view(0), event.at)
        if expected != event.reserve_index:
            self.gaps += 1
            self.doubt_reserve(state, f"its index at block {event.block:,} does not follow from its last update")

    def _update(self, event: ReserveUpdated) -> None:
        state = self._reserve(event.asset, event.block)
        if state is not None:
            self._updated.add(state.tokens.id)
            state.update(event)
            state.doubts.pop(Doubt.RATES, None)

    def _expect_update(self, reserve_id: int, block: int) -> None:
        """Supplies, withdrawals, debts and repayments all change the rates, and the pool says so in the same block."""
        if self.reserves[reserve_id].as_of < block:
            self._due.add(reserve_id)

    def _switch(self, event: CollateralSwitched) -> None:
        reserve_id = self.ids.get(event.asset)
        account = self._live(event.account, event.block)
        if account is not None and reserve_id is not None:
            account.used = shared(account.used | {reserve_id} if event.used else account.used - {reserve_id})

    def _enter(self, event: EModeEntered) -> None:
        account = self._live(event.account, event.block)
        if account is not None:
            account.emode = event.category
            self.meet_emode(event.category)

    def _liquidate(self, event: Liquidated) -> None:
        """From 3.5 the pool brings the collateral's indexes up to date also when only aTokens change hands."""
        self._act(event)
        state = self._reserve(event.collateral, event.block)
        if state is None or not event.received or self.version < _ACCRUES_SILENTLY:
            return
        debt_token = self.tokens.get(state.tokens.debt_token)
        state.accrue(self.version, event.at, has_debt=debt_token is None or debt_token.total != 0)

    def _act(self, event: Acted | Liquidated) -> None:
        """The pool speaks last: the token event of what it says has come by then."""
        state = self.reserves.get(self.ids.get(event.asset, -1))
        account = self.accounts.get(event.account)
        if state is None:
            return
        tokens = state.tokens
        self._expect_update(tokens.id, event.block)
        if account is not None and account.as_of >= event.block:
            return
        moved = (tokens.debt_token if event.kind in _DEBT_ACTS else tokens.a_token), event.account
        if moved not in self._moved:
            self._miss(event.account, f"its {event.kind.value} at block {event.block:,} came without a token event")
        self._moved.discard(moved)

    def _configure(self, event: ReserveConfigured) -> None:
        state = self._reserve(event.asset, event.block)
        if state is not None:
            state.configure(event.changes)

    def _configure_emode(self, event: EModeConfigured) -> None:
        if event.block <= self.emodes_as_of:
            return
        emode, source = self._emode(event.category)
        fields: dict[str, Any] = dict(event.changes)
        if "isolated" in fields:
            fields["isolated"] = bool(fields["isolated"])
        self.emodes[event.category] = (
            replace(emode, **fields),
            (event.price_source if "ltv" in event.changes else source),
        )

    def _switch_in_emode(self, event: EModeAssetSwitched) -> None:
        reserve_id = self.ids.get(event.asset)
        if reserve_id is None or event.block <= self.emodes_as_of:
            return
        emode, source = self._emode(event.category)
        bits = getattr(emode, event.bitmap)
        bits = bits | 1 << reserve_id if event.on else bits & ~(1 << reserve_id)
        self.emodes[event.category] = replace(emode, **{event.bitmap: bits}), source

    def _list(self, event: ReserveListed) -> None:
        tokens = self.listable.get(event.asset)
        known = self.ids.get(event.asset)
        if known is not None and (self.reserves[known].as_of >= event.block):
            return
        if event.a_token is None:
            if known is not None:
                self._drop(known)
        elif tokens is not None and tokens.a_token == event.a_token:
            self._keep_market()
            if self._before is not None:
                self._before.reserves.setdefault(tokens.id, None)
            self.put_reserve(ReserveState(tokens))

    def _drop(self, reserve_id: int) -> None:
        self._keep_market()
        tokens = self._touched_reserve(self.reserves[reserve_id]).tokens
        self.changes.market = True
        del self.reserves[reserve_id], self.ids[tokens.asset]
        self.tokens = {address: token for address, token in self.tokens.items() if token.reserve_id != reserve_id}

    def _upgrade(self, event: Upgraded) -> None:
        """From here the newest release holds; what older code made before the book's own probe is in doubt."""
        token = self.tokens.get(event.contract)
        if event.contract == self.pool and event.block > self.probed_at:
            if self._before is not None and self._before.version is None:
                self._before.version = self.version
            self.version, self.changes.market = self.newest, True
        elif token is not None and event.block > self.probed_at:
            self._keep_market()
            token.directional = rounds_directionally(self.newest)
        elif token is not None:
            for holder in self.holders(token):
                self.doubt(holder, "it held a token before the token's code was changed")

    def _miss(self, address: Address, why: str) -> None:
        """The logs themselves show that one of them is missing."""
        self.gaps += 1
        self.doubt(address, why)

    def holders(self, token: Token) -> list[Address]:
        """Everyone who is known to have some of it."""
        side = "debt" if token.is_debt else "collateral"
        return [address for address, account in self.bring_home().items() if token.reserve_id in getattr(account, side)]

    def _live(self, address: Address, block: int) -> Account | None:
        """The account to be changed, or None where the event changes nothing that is known."""
        account = self.accounts.get(address)
        if account is not None and (account.why_unknown is not None or account.as_of >= block):
            return None
        account = self._touched(address)
        if account.why_unknown is not None:
            return None
        return account

    def _touched(self, address: Address) -> Account:
        """The account with its image kept; one never seen is empty, or unknown when older logs were not read."""
        account = self.accounts.get(address)
        self.changes.accounts.add(address)
        if self._before is not None and address not in self._before.accounts:
            self._before.accounts[address] = None if account is None else account.image()
        if account is None:
            account = self.accounts[address] = Account()
            if not self.complete:
                account.why_unknown = "it was first seen after the book began and is yet to be read"
                self.unknown.add(address)
        return account

    def _reserve(self, asset: Address, block: int) -> ReserveState | None:
        state = self.reserves.get(self.ids.get(asset, -1))
        return None if state is None or state.as_of >= block else self._touched_reserve(state)

    def _touched_reserve(self, state: ReserveState) -> ReserveState:
        self.changes.reserves.add(state.tokens.id)
        if self._before is not None and state.tokens.id not in self._before.reserves:
            self._before.reserves[state.tokens.id] = state.image()
        return state

    def _emode(self, category: int) -> tuple[EMode, Address | None]:
        self.changes.market = True
        if self._before is not None and self._before.emodes is None:
            self._before.emodes = dict(self.emodes)
        return self.emodes.get(category, (EMode(0, 0, 0), None))

    def _keep_market(self) -> None:
        """Keep the tokens as they are: a listing or an upgrade is about to change them."""
        if self._before is not None and self._before.tokens is None:
            self._before.tokens = {address: token.copy() for address, token in self.tokens.items()}
