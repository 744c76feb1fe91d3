"""Everything the mathematics needs about one borrower, read at one block and checked against the pool's own answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from liqcli.aave.account import AccountData, EMode, Position, Reserve, account_data
from liqcli.aave.ray import Version
from liqcli.chain.abi import (
    GET_ASSET_PRICE,
    GET_LIQUIDATION_GRACE_PERIOD,
    GET_RESERVE_DATA,
    GET_USER_ACCOUNT_DATA,
    GET_USER_CONFIGURATION,
    GET_USER_EMODE,
    IS_LIQUIDATION_ALLOWED,
    SCALED_BALANCE_OF,
    encode_call,
    words,
)
from liqcli.chain.aggregate import Aggregator, Answers, Read
from liqcli.chain.reserves import (
    ReserveTokens,
    Unknown,
    decode_emode,
    decode_reserve,
    emode_price_source,
    emode_reads,
    required,
)
from liqcli.model import Address

_TRIES = 4


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One borrower and all that weighs on the position, at one block; `at` is its timestamp.

    `reserves` lacks those without a usable price, which the position then does not use; `account` is the pool's answer.
    """

    block: int
    at: int
    version: Version
    tokens: Mapping[int, ReserveTokens]
    reserves: Mapping[int, Reserve]
    emodes: Mapping[int, EMode]
    position: Position
    sentinel_allows: bool
    account: AccountData


@dataclass(frozen=True, slots=True)
class Contracts:
    """The contracts a snapshot reads; `sentinel` is None where there is none, or none that the pool still asks."""

    version: Version
    pool: Address
    oracle: Address
    sentinel: Address | None
    reserves: tuple[ReserveTokens, ...]


class NewReserve(Unknown):
    """The position uses a reserve that was listed after the market was opened."""


async def read_snapshot(aggregator: Aggregator, contracts: Contracts, borrower: Address) -> Snapshot:
    """The borrower at the newest block; Unknown when a price is missing or the pool's own account data disagrees.

    The e-mode and its price source are only known from an answer: it is asked again until it confirms them.
    """
    category, source = 0, None
    for _ in range(_TRIES):
        account_reads = _account_reads(contracts, borrower)
        emode = _emode_reads(contracts, category, source)
        answers = await aggregator.read([*account_reads, *emode, *_reserve_reads(contracts, borrower)])
        parts = _Parts(answers, len(account_reads), len(emode))
        seen = parts.emode_category, parts.price_source(contracts.version) if category else None
        if seen == (category, source):
            return _checked(_snapshot(contracts, borrower, parts, category))
        category, source = seen if seen[0] == category else (seen[0], None)
    raise Unknown(f"the e-mode of {borrower} changed with every block read", reason="changing e-mode")


def _account_reads(contracts: Contracts, borrower: Address) -> list[Read]:
    selectors = (GET_USER_CONFIGURATION, GET_USER_EMODE, GET_USER_ACCOUNT_DATA)
    reads = [(contracts.pool, encode_call(selector, borrower)) for selector in selectors]
    return [*reads, (contracts.sentinel, IS_LIQUIDATION_ALLOWED)] if contracts.sentinel else reads


def _emode_reads(contracts: Contracts, category: int, source: Address | None) -> list[Read]:
    reads = emode_reads(contracts.version, contracts.pool, category) if category else []
    return [*reads, (contracts.oracle, encode_call(GET_ASSET_PRICE, source))] if source else reads


def _reserve_reads(contracts: Contracts, borrower: Address) -> list[Read]:
    return [read for tokens in contracts.reserves for read in _reads_of(contracts, tokens, borrower)]


def _reads_of(contracts: Contracts, tokens: ReserveTokens, borrower: Address) -> list[Read]:
    reads = [
        (contracts.pool, encode_call(GET_RESERVE_DATA, tokens.asset)),
        (contracts.oracle, encode_call(GET_ASSET_PRICE, tokens.asset)),
        (tokens.a_token, encode_call(SCALED_BALANCE_OF, borrower)),
        (tokens.debt_token, encode_call(SCALED_BALANCE_OF, borrower)),
    ]
    has_grace = contracts.version >= (3, 1)
    return [*reads, (contracts.pool, encode_call(GET_LIQUIDATION_GRACE_PERIOD, tokens.asset))] if has_grace else reads


class _Parts:
    """An answer cut into what was asked: the account, the e-mode, and the reserves."""

    def __init__(self, answers: Answers, account_count: int, emode_count: int) -> None:
        self.block, self.at = answers.block, answers.at
        self.account = answers.results[:account_count]
        self.emode = answers.results[account_count : account_count + emode_count]
        self.reserves = answers.results[account_count + emode_count :]

    @property
    def flags(self) -> int:
        """Two bits a reserve: borrowing, and above it used as collateral."""
        return _number(self.account[0], "getUserConfiguration")

    @property
    def emode_category(self) -> int:
        """The borrower's e-mode, 0 for none."""
        return _number(self.account[1], "getUserEMode")

    @property
    def sentinel_allows(self) -> bool:
        """What the price oracle sentinel says, where the market has one."""
        return len(self.account) < 4 or bool(_number(self.account[3], "isLiquidationAllowed"))

    def price_source(self, version: Version) -> Address | None:
        """The asset that prices the whole category, if one does."""
        return emode_price_source(version, self.emode)

    def pool_account(self) -> AccountData:
        """The pool's own account data."""
        data = words(required(self.account[2], "getUserAccountData"), 6)
        return AccountData(*data)

    def emodes(self, version: Version, category: int) -> dict[int, EMode]:
        """The borrower's category, by its number."""
        if category == 0:
            return {}
        count = len(emode_reads(version, "", category))
        price = _number(self.emode[count], "the e-mode's price") if len(self.emode) > count else 0
        return {category: decode_emode(version, self.emode[:count], price=price)}


def _snapshot(contracts: Contracts, borrower: Address, parts: _Parts, category: int) -> Snapshot:
    tokens = {reserve.id: reserve for reserve in contracts.reserves}
    width = len(parts.reserves) // max(len(tokens), 1)
    rows = {number: parts.reserves[width * row : width * (row + 1)] for row, number in enumerate(tokens)}
    position = _position(borrower, parts.flags, category, rows)
    reserves = {number: _reserve(row) for number, row in rows.items() if _has_price(row)}
    _require_prices(position, tokens, reserves)
    return Snapshot(
        block=parts.block,
        at=parts.at,
        version=contracts.version,
        tokens=tokens,
        reserves=reserves,
        emodes=parts.emodes(contracts.version, category),
        position=position,
        sentinel_allows=parts.sentinel_allows,
        account=parts.pool_account(),
    )


def _position(borrower: Address, flags: int, category: int, rows: Mapping[int, Sequence[bytes | None]]) -> Position:
    collateral_ids = frozenset(number for number in range(flags.bit_length() // 2) if flags >> 2 * number + 1 & 1)
    if unlisted := collateral_ids - rows.keys():
        raise NewReserve(
            f"{borrower} uses reserve {min(unlisted)}, which the pool does not list", reason="unlisted reserve"
        )
    collateral = {number: _number(row[2], "a collateral balance") for number, row in rows.items()}
    debt = {number: _number(row[3], "a debt balance") for number, row in rows.items()}
    return Position(borrower, _without_zeros(collateral), _without_zeros(debt), collateral_ids, category)


def _without_zeros(amounts: Mapping[int, int]) -> dict[int, int]:
    return {number: amount for number, amount in amounts.items() if amount}


def _has_price(row: Sequence[bytes | None]) -> bool:
    return row[1] is not None and words(row[1], 1)[0] > 0


def _reserve(row: Sequence[bytes | None]) -> Reserve:
    grace_until = _number(row[4], "getLiquidationGracePeriod") if len(row) > 4 else 0
    data = required(row[0], "getReserveData")
    return decode_reserve(data, price=_number(row[1], "getAssetPrice"), grace_until=grace_until)


def _require_prices(position: Position, tokens: Mapping[int, ReserveTokens], reserves: Mapping[int, Reserve]) -> None:
    for number in tokens:
        if position.uses(number) and number not in reserves:
            asset = tokens[number].asset
            raise Unknown(f"the oracle has no price for {asset}, which {position.borrower} uses", reason="no price")


def _checked(snapshot: Snapshot) -> Snapshot:
    ours = account_data(snapshot.version, snapshot.reserves, snapshot.emodes, snapshot.position, snapshot.at)
    if ours == snapshot.account:
        return snapshot
    release = ".".join(map(str, snapshot.version))
    raise Unknown(
        f"the pool says {snapshot.account} of {snapshot.position.borrower}, the mathematics of {release} {ours}",
        reason="the pool disagrees",
        hint="the market may be a fork with rules of its own: nothing is decided about this borrower",
    )


def _number(result: bytes | None, what: str) -> int:
    return words(required(result, what), 1)[0]
