"""The market's logs as the book takes them: one small tuple each, decoded by slicing hex.

Every event starts with its place (`block`, `log_index`) and its block's timestamp `at`, so sorting a list of events
sorts it as the chain ordered it. Amounts are the log's own integers; addresses are lower-case.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from liqcli.chain import topics
from liqcli.errors import Unreachable
from liqcli.model import Address, EventKind

RawLog = Mapping[str, Any]


class Mint(NamedTuple):
    """A balance of `token` grew by `value`, of which `increase` is interest since the account's last touch."""

    block: int
    log_index: int
    at: int
    token: Address
    account: Address
    value: int
    increase: int
    reserve_index: int


class Burn(NamedTuple):
    """A balance of `token` fell by `value` after `increase` of interest since the account's last touch."""

    block: int
    log_index: int
    at: int
    token: Address
    account: Address
    value: int
    increase: int
    reserve_index: int


class BalanceTransfer(NamedTuple):
    """A scaled amount of an aToken changed hands."""

    block: int
    log_index: int
    at: int
    token: Address
    sender: Address
    recipient: Address
    scaled: int
    reserve_index: int


class ReserveUpdated(NamedTuple):
    """A reserve's indexes and rates (rays) from this block on."""

    block: int
    log_index: int
    at: int
    asset: Address
    liquidity_rate: int
    variable_borrow_rate: int
    liquidity_index: int
    variable_borrow_index: int


class CollateralSwitched(NamedTuple):
    """An account uses a reserve as collateral from now on, or not any more."""

    block: int
    log_index: int
    at: int
    asset: Address
    account: Address
    used: bool


class EModeEntered(NamedTuple):
    """An account is in this e-mode category from now on; 0 is none."""

    block: int
    log_index: int
    at: int
    account: Address
    category: int


class Acted(NamedTuple):
    """The pool's own word for what an account did; its balances move by the token events beside it."""

    block: int
    log_index: int
    at: int
    kind: EventKind
    asset: Address
    account: Address


class Liquidated(NamedTuple):
    """The pool's own word for a liquidation of `account`: `asset` is the debt's.

    `received` when the liquidator took aTokens: the rates stay as they are, and no log tells of the new indexes.
    """

    block: int
    log_index: int
    at: int
    kind: EventKind
    asset: Address
    account: Address
    collateral: Address
    received: bool


class ReserveConfigured(NamedTuple):
    """Fields of `aave.Reserve` that the configurator changed, by their names there."""

    block: int
    log_index: int
    at: int
    asset: Address
    changes: Mapping[str, int]


class EModeConfigured(NamedTuple):
    """Fields of `aave.EMode` that changed; `price_source` (0: none) is the asset that prices the category up to 3.1."""

    block: int
    log_index: int
    at: int
    category: int
    changes: Mapping[str, int]
    price_source: Address | None


class EModeAssetSwitched(NamedTuple):
    """An asset's bit in one of a category's bitmaps (the field's name in `aave.EMode`) from 3.2."""

    block: int
    log_index: int
    at: int
    asset: Address
    category: int
    bitmap: str
    on: bool


class ReserveListed(NamedTuple):
    """A new reserve, or one that was dropped (then without tokens)."""

    block: int
    log_index: int
    at: int
    asset: Address
    a_token: Address | None
    debt_token: Address | None


class Upgraded(NamedTuple):
    """A proxy (the pool, a token) runs another implementation from now on."""

    block: int
    log_index: int
    at: int
    contract: Address


BookEvent: TypeAlias = (
    Mint
    | Burn
    | BalanceTransfer
    | ReserveUpdated
    | CollateralSwitched
    | EModeEntered
    | Acted
    | Liquidated
    | ReserveConfigured
    | EModeConfigured
    | EModeAssetSwitched
    | ReserveListed
    | Upgraded
)


class Unmade(Sequence[BookEvent]):
    """Events that are made when somebody asks for them."""

    @abstractmethod
    def of(self, *kinds: type[BookEvent]) -> list[BookEvent]:
        """The events of these kinds, in order, without making all the others."""


def of_kinds(events: Sequence[BookEvent], *kinds: type[BookEvent]) -> list[Any]:
    """The events of these kinds, in order."""
    if isinstance(events, Unmade):
        return events.of(*kinds)
    return [event for event in events if isinstance(event, kinds)]


_Place = tuple[int, int, int]
_Decoder = Callable[[_Place, "_Addresses", Address, Sequence[str], bytes], BookEvent]
_WORD = 32
_new: Callable[[type, tuple[Any, ...]], Any] = tuple.__new__
"""A named tuple made at C speed; mypy checks the fields where tests compare them."""


class _Addresses(dict[str, Address]):
    """Addresses by the text they stand in: each is sliced and lowered once, and kept once."""

    def __missing__(self, text: str) -> Address:
        if len(text) != 66 and len(text) != 42:
            raise ValueError(f"{text!r} is neither an address nor a topic")
        self[text] = address = "0x" + text[-40:].lower()
        return address


def decode_logs(logs: Iterable[RawLog], *, times: Mapping[int, int] | None = None) -> list[BookEvent]:
    """The events among raw `eth_getLogs` entries, in the order given; unknown topics are left out.

    `times` are the timestamps of blocks whose logs carry none (see `blocks_without_time`). Unreachable when a log is
    malformed or its block's time is nowhere: an event that cannot be read is never skipped.
    """
    events: list[BookEvent] = []
    addresses, block, at = _Addresses(), 0, 0
    shown: Any = object()
    for log in logs:
        try:
            topics_of = log["topics"]
            decode = _DECODERS.get(topics_of[0])
            if decode is None:
                continue
            if log["blockNumber"] != shown:
                shown = log["blockNumber"]
                block, at = int(shown, 16), _time_of(log, times)
            place = (block, int(log["logIndex"], 16), at)
            events.append(decode(place, addresses, addresses[log["address"]], topics_of, _unhex(log["data"][2:])))
        except (KeyError, ValueError, TypeError, AttributeError, IndexError) as err:
            raise Unreachable(f"the node gave a log that cannot be read ({type(err).__name__}: {err})") from err
    return events


def blocks_without_time(logs: Iterable[RawLog]) -> set[int]:
    """Blocks whose timestamps must be asked for, because the node's logs do not carry them."""
    return {int(log["blockNumber"], 16) for log in logs if not log.get("blockTimestamp")}


def _time_of(log: RawLog, times: Mapping[int, int] | None) -> int:
    timestamp = log.get("blockTimestamp")
    return int(timestamp, 16) if timestamp else (times or {})[int(log["blockNumber"], 16)]


def _words(data: bytes, count: int) -> list[int]:
    """The words of an event with static arguments; a cut answer is refused, not read as a smaller number."""
    if len(data) != _WORD * count:
        raise ValueError(f"{len(data)} bytes of data, {_WORD * count} expected")
    return [_number(data[at : at + _WORD]) for at in range(0, len(data), _WORD)]


def _mint(place: _Place, known: _Addresses, emitter: Address, names: Sequence[str], data: bytes) -> BookEvent:
    if len(data) != 3 * _WORD:
        raise ValueError(f"{len(data)} bytes of data in a Mint")
    value, increase, index = _number(data[:32]), _number(data[32:64]), _number(data[64:])
    event: Mint = _new(Mint, place + (emitter, known[names[2]], value, increase, index))  # noqa: RUF005 - faster by half
    return event


def _burn(place: _Place, known: _Addresses, emitter: Address, names: Sequence[str], data: bytes) -> BookEvent:
    if len(data) != 3 * _WORD:
        raise ValueError(f"{len(data)} bytes of data in a Burn")
    value, increase, index = _number(data[:32]), _number(data[32:64]), _number(data[64:])
    event: Burn = _new(Burn, place + (emitter, known[names[1]], value, increase, index))  # noqa: RUF005 - faster by half
    return event


def _transfer(place: _Place, known: _Addresses, emitter: Address, names: Sequence[str], data: bytes) -> BookEvent:
    return BalanceTransfer(*place, emitter, known[names[1]], known[names[2]], *_words(data, 2))


def _reserve_updated(place: _Place, known: _Addresses, _: Address, names: Sequence[str], data: bytes) -> BookEvent:
    if len(data) != 5 * _WORD:
        raise ValueError(f"{len(data)} bytes of data in a ReserveDataUpdated")
    rate, debt_rate = _number(data[:32]), _number(data[64:96])
    index, debt_index = _number(data[96:128]), _number(data[128:])
    event: ReserveUpdated = _new(ReserveUpdated, place + (known[names[1]], rate, debt_rate, index, debt_index))  # noqa: RUF005 - faster by half
    return event


def _switched(*, used: bool) -> _Decoder:
    def decode(place: _Place, known: _Addresses, _: Address, names: Sequence[str], __: bytes) -> BookEvent:
        return CollateralSwitched(*place, known[names[1]], known[names[2]], used)

    return decode


def _emode_entered(place: _Place, known: _Addresses, _: Address, names: Sequence[str], data: bytes) -> BookEvent:
    return EModeEntered(*place, known[names[1]], *_words(data, 1))


def _acted(kind: EventKind, *, asset: int, account: int) -> _Decoder:
    def decode(place: _Place, known: _Addresses, _: Address, names: Sequence[str], __: bytes) -> BookEvent:
        return Acted(*place, kind, known[names[asset]], known[names[account]])

    return decode


def _liquidated(place: _Place, known: _Addresses, _: Address, names: Sequence[str], data: bytes) -> BookEvent:
    received = bool(_words(data, 4)[3])
    return Liquidated(*place, EventKind.LIQUIDATION, known[names[2]], known[names[3]], known[names[1]], received)


def _configured(*fields: str, skip: int = 0) -> _Decoder:
    """Data words from `skip` on are fields of the reserve that topic 1 names."""

    def decode(place: _Place, known: _Addresses, _: Address, names: Sequence[str], data: bytes) -> BookEvent:
        values = _words(data, skip + len(fields))[skip:]
        return ReserveConfigured(*place, known[names[1]], dict(zip(fields, values, strict=True)))

    return decode


def _grace_disabled(place: _Place, known: _Addresses, _: Address, names: Sequence[str], __: bytes) -> BookEvent:
    return ReserveConfigured(*place, known[names[1]], {"grace_until": 0})


def _emode_configured(place: _Place, _: _Addresses, __: Address, names: Sequence[str], data: bytes) -> BookEvent:
    """The label behind the four numbers is foreign text and of no use here."""
    ltv, threshold, bonus, source = _words(data[: 4 * _WORD], 4)
    changes = {"ltv": ltv, "liquidation_threshold": threshold, "liquidation_bonus": bonus}
    return EModeConfigured(*place, int(names[1], 16), changes, f"0x{source:040x}" if source else None)


def _emode_isolated(place: _Place, _: _Addresses, __: Address, names: Sequence[str], data: bytes) -> BookEvent:
    return EModeConfigured(*place, int(names[1], 16), {"isolated": _words(data, 1)[0]}, None)


def _emode_bit(bitmap: str) -> _Decoder:
    def decode(place: _Place, known: _Addresses, _: Address, names: Sequence[str], data: bytes) -> BookEvent:
        category, on = _words(data, 2)
        return EModeAssetSwitched(*place, known[names[1]], category, bitmap, bool(on))

    return decode


def _listed(place: _Place, known: _Addresses, _: Address, names: Sequence[str], data: bytes) -> BookEvent:
    debt_token = _words(data, 3)[1]
    return ReserveListed(*place, known[names[1]], known[names[2]], f"0x{debt_token:040x}")


def _dropped(place: _Place, known: _Addresses, _: Address, names: Sequence[str], __: bytes) -> BookEvent:
    return ReserveListed(*place, known[names[1]], None, None)


def _upgraded(place: _Place, _: _Addresses, emitter: Address, __: Sequence[str], ___: bytes) -> BookEvent:
    return Upgraded(*place, emitter)


def _token_upgraded(place: _Place, known: _Addresses, _: Address, names: Sequence[str], __: bytes) -> BookEvent:
    return Upgraded(*place, known[names[2]])


_number = int.from_bytes
_unhex = bytes.fromhex

_DECODERS: dict[str, _Decoder] = {
    topics.MINT: _mint,
    topics.BURN: _burn,
    topics.BALANCE_TRANSFER: _transfer,
    topics.RESERVE_DATA_UPDATED: _reserve_updated,
    topics.COLLATERAL_ENABLED: _switched(used=True),
    topics.COLLATERAL_DISABLED: _switched(used=False),
    topics.EMODE_SET: _emode_entered,
    topics.SUPPLY: _acted(EventKind.SUPPLY, asset=1, account=2),
    topics.WITHDRAW: _acted(EventKind.WITHDRAW, asset=1, account=2),
    topics.BORROW: _acted(EventKind.BORROW, asset=1, account=2),
    topics.REPAY: _acted(EventKind.REPAY, asset=1, account=2),
    topics.LIQUIDATION_CALL: _liquidated,
    topics.COLLATERAL_CONFIGURED: _configured("ltv", "liquidation_threshold", "liquidation_bonus"),
    topics.PROTOCOL_FEE_CHANGED: _configured("protocol_fee", skip=1),
    topics.RESERVE_ACTIVE: _configured("active"),
    topics.RESERVE_PAUSED: _configured("paused"),
    topics.RESERVE_FROZEN: _configured("frozen"),
    topics.GRACE_PERIOD_CHANGED: _configured("grace_until"),
    topics.GRACE_PERIOD_DISABLED: _grace_disabled,
    topics.EMODE_ASSET_CATEGORY_CHANGED: _configured("emode_category", skip=1),
    topics.EMODE_CATEGORY_ADDED: _emode_configured,
    topics.EMODE_ISOLATION_CHANGED: _emode_isolated,
    topics.EMODE_COLLATERAL_CHANGED: _emode_bit("collateral_bitmap"),
    topics.EMODE_LTVZERO_CHANGED: _emode_bit("ltvzero_bitmap"),
    topics.RESERVE_INITIALIZED: _listed,
    topics.RESERVE_DROPPED: _dropped,
    topics.ATOKEN_UPGRADED: _token_upgraded,
    topics.VARIABLE_DEBT_UPGRADED: _token_upgraded,
    topics.UPGRADED: _upgraded,
}

TOPICS = frozenset(_DECODERS)
"""What the log filter must ask for so that the book misses nothing."""
