"""The market's logs: eth_getLogs in windows that adapt to the node, decoded by slicing hex."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any

from liqcli.chain import topics
from liqcli.chain.abi import address_of, quantity, unhex, words
from liqcli.chain.answers import Undecoded, json_in
from liqcli.chain.market import Market
from liqcli.chain.rpc import NoAnswer, RpcError
from liqcli.errors import LiqError, Unreachable
from liqcli.model import Address

RawLog = Mapping[str, Any]

_NOT_SUPPORTED = -32601
_FEWER_BLOCKS_MAY_HELP = {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.GATEWAY_TIMEOUT}
_FIRST_BLOCKS = 32
"""In the first page: nobody knows yet how crowded they are."""
_CALM_WINDOWS = 64
_CROWD_BYTES = 2_400_000
"""Of logs in a page: some 3,000 of them."""
_LOG_BYTES = 800
"""Of a usual log as nodes write it."""
_TOPIC_LENGTH = 66


@dataclass(frozen=True, slots=True)
class Header:
    """What ties a block to its chain, and when it was."""

    number: int
    hash: str
    timestamp: int


@dataclass(frozen=True, slots=True)
class Window:
    """All logs of the blocks `first` to `last`, in (block, log index) order; empty when `last` lies before `first`.

    `head` is the newest block the answering node had, `headers` are those that were asked for and exist. Where
    `undecoded` is not empty the logs are in there instead, as the node wrote them: in its order, not yet looked at.
    """

    first: int
    last: int
    logs: list[RawLog]
    head: int = 0
    headers: Mapping[int, Header] = field(default_factory=dict)
    undecoded: bytes = b""

    @property
    def size(self) -> int:
        """About how many bytes of logs there are."""
        return len(self.undecoded) or len(self.logs) * _LOG_BYTES

    def decoded(self) -> "Window":
        """The same with its logs as they are usually given."""
        return replace(self, logs=_kept(self.undecoded, self.last), undecoded=b"") if self.undecoded else self


@dataclass(frozen=True, slots=True)
class LiquidationLog:
    """A LiquidationCall as it was: token amounts, the collateral without the protocol's fee."""

    collateral_asset: Address
    debt_asset: Address
    borrower: Address
    debt_covered: int
    collateral_received: int
    liquidator: Address


class _Width:
    """How many blocks to ask for: few at first, halved when refused, half as many more after each success."""

    def __init__(self, widest: int) -> None:
        self.blocks = min(widest, _FIRST_BLOCKS)
        self._ceiling = self._widest = widest
        self._calm = 0

    def refused(self) -> None:
        self._ceiling = max(self.blocks - 1, 1)
        self.blocks = max(self.blocks // 2, 1)
        self._calm = 0

    def accepted(self, size: int) -> None:
        """A ceiling is forgotten after a while: it may have been the crowd of logs, not the node's rule.

        Crowded blocks are taken in small pages, because everyone in a page waits for its last log.
        """
        self._calm += 1
        if self._calm % _CALM_WINDOWS == 0:
            self._ceiling = self._widest
        uncrowded = max(self.blocks * _CROWD_BYTES // max(size, 1), 1)
        self.blocks = min(self.blocks * 3 // 2 + 1, self._ceiling, uncrowded)


async def follow_windows(
    market: Market, first: int, last: int, *, widest: int, undecoded: bool = False
) -> AsyncIterator[Window]:
    """The logs of `first` to `last` in windows as wide as the node takes; ends early where its own chain ends.

    With `undecoded`, long lists of logs come as the node wrote them. Whoever iterates moves its cursor past a window
    only after it applied the window's logs.
    """
    width = _Width(widest)
    while first <= last:
        until = min(first + width.blocks - 1, last)
        try:
            window = await read_logs(market, first, until, undecoded=undecoded)
        except Unreachable as err:
            if first == until or not _fewer_blocks_may_help(err):
                raise
            width.refused()
            continue
        if window.last < first:
            return
        width.accepted(window.size)
        yield window
        first = window.last + 1


async def read_logs(
    market: Market, first: int, last: int, *, headers: Sequence[int] = (), undecoded: bool = False
) -> Window:
    """The logs of these blocks, cut to those the answering node really has: one that lags would leave the rest out.

    `headers` are block numbers whose headers come from the same node with the same request.
    """
    query = {"fromBlock": hex(first), "toBlock": hex(last), **log_query(market)}
    calls: list[tuple[str, list[Any]]] = [("eth_blockNumber", []), ("eth_getLogs", [query])]
    head, logs, *blocks = await market.rpc.batch([*calls, *map(_header_call, headers)])
    if isinstance(head, LiqError):
        raise head
    newest = quantity(head)
    known = min(last, newest)
    if known < first:
        return Window(first, known, [], newest)
    if isinstance(logs, LiqError):
        raise logs
    if undecoded and isinstance(logs, Undecoded) and known == last:
        return Window(first, known, [], newest, _headers(blocks), logs)
    return Window(first, known, _kept(logs, known), newest, _headers(blocks))


def _kept(logs: Any, last: int) -> list[RawLog]:
    """The logs of the blocks up to `last`, in the chain's order."""
    if isinstance(logs, bytes):
        try:
            logs = json_in(logs)
        except ValueError:
            raise Unreachable("the node answered eth_getLogs with malformed JSON") from None
    if not isinstance(logs, list):
        raise Unreachable("the node answered eth_getLogs with something else than a list")
    return sorted((log for log in logs if _place(log)[0] <= last), key=_place)


def log_query(market: Market) -> dict[str, Any]:
    """Which logs are the market's: those of its pool, its configurator and its tokens that change anything."""
    tokens = [token for reserve in market.reserves for token in (reserve.a_token, reserve.debt_token)]
    return {"address": [market.addresses.pool, market.addresses.configurator, *tokens], "topics": [_TOPICS]}


async def read_headers(market: Market, blocks: Iterable[int]) -> dict[int, Header]:
    """The headers of these blocks; one that the node does not have is absent."""
    return _headers(await market.rpc.batch(list(map(_header_call, sorted(blocks)))))


def _header_call(block: int) -> tuple[str, list[Any]]:
    return "eth_getBlockByNumber", [hex(block), False]


def _headers(blocks: Iterable[Any]) -> dict[int, Header]:
    found = {}
    for block in blocks:
        if isinstance(block, LiqError):
            raise block
        if isinstance(block, Mapping):
            header = Header(quantity(block.get("number")), str(block.get("hash")), quantity(block.get("timestamp")))
            found[header.number] = header
    return found


def decode_liquidation(log: RawLog) -> LiquidationLog | None:
    """The liquidation a log tells of, None for any other log."""
    names = _topics(log)
    if names[0] != topics.LIQUIDATION_CALL:
        return None
    collateral, debt, borrower = (_address(names, place) for place in (1, 2, 3))
    covered, received, liquidator = words(unhex(log.get("data")), 3)
    return LiquidationLog(collateral, debt, borrower, covered, received, address_of(liquidator))


def _topics(log: RawLog) -> Sequence[str]:
    names = log.get("topics")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise Unreachable("the node gave a log without topics")
    return names


def _address(names: Sequence[str], place: int) -> Address:
    if place >= len(names) or len(names[place]) != _TOPIC_LENGTH:
        raise Unreachable(f"the node gave a log whose topic {place} is no address")
    return f"0x{names[place][26:].lower()}"


def _place(log: RawLog) -> tuple[int, int]:
    return quantity(log.get("blockNumber")), quantity(log.get("logIndex"))


def _fewer_blocks_may_help(err: Unreachable) -> bool:
    if isinstance(err, NoAnswer):
        return err.timed_out or err.status in _FEWER_BLOCKS_MAY_HELP
    return isinstance(err, RpcError) and err.rpc_code != _NOT_SUPPORTED and not err.is_rate_limit


_TOPICS = sorted(
    {
        topics.BORROW,
        topics.WITHDRAW,
        topics.SUPPLY,
        topics.REPAY,
        topics.LIQUIDATION_CALL,
        topics.COLLATERAL_DISABLED,
        topics.COLLATERAL_ENABLED,
        topics.EMODE_SET,
        topics.BALANCE_TRANSFER,
        topics.MINT,
        topics.BURN,
        topics.RESERVE_DATA_UPDATED,
        topics.RESERVE_INITIALIZED,
        topics.COLLATERAL_CONFIGURED,
        topics.PROTOCOL_FEE_CHANGED,
        topics.RESERVE_ACTIVE,
        topics.RESERVE_FROZEN,
        topics.RESERVE_PAUSED,
        topics.RESERVE_DROPPED,
        topics.GRACE_PERIOD_CHANGED,
        topics.GRACE_PERIOD_DISABLED,
        topics.EMODE_CATEGORY_ADDED,
        topics.EMODE_ASSET_CATEGORY_CHANGED,
        topics.EMODE_COLLATERAL_CHANGED,
        topics.EMODE_LTVZERO_CHANGED,
        topics.EMODE_ISOLATION_CHANGED,
        topics.UPGRADED,
        topics.ATOKEN_UPGRADED,
        topics.VARIABLE_DEBT_UPGRADED,
    }
)
"""Everything that changes an account, a reserve or the market."""
