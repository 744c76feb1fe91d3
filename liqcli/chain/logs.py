"""The market's logs: eth_getLogs in windows that adapt to the node, decoded by slicing hex."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from liqcli.chain.abi import address_of, quantity, unhex, words
from liqcli.chain.market import Market
from liqcli.chain.rpc import NoAnswer, RpcError
from liqcli.errors import LiqError, Unreachable
from liqcli.model import Address, Event, EventKind

RawLog = Mapping[str, Any]

SUPPLY = "0x2b627736bca15cd5381dcf80b0bf11fd197d01a037c52b927a881a10fb73ba61"
WITHDRAW = "0x3115d1449a7b732c986cba18244e897a450f61e1bb8d589cd2e69e6c8924f9f7"
BORROW = "0xb3d084820fb1a9decffb176436bd02558d15fac9b0ddfed8c465bc7359d7dce0"
REPAY = "0xa534c8dbe71f871f9f3530e97a74601fea17b426cae02e1c5aee42c96c784051"
LIQUIDATION_CALL = "0xe413a321e8681d831f4dbccbca790d2952b56f977908e45be37335533e005286"
COLLATERAL_ENABLED = "0x00058a56ea94653cdf4f152d227ace22d4c00ad99e2a43f58cb7d9e3feb295f2"
COLLATERAL_DISABLED = "0x44c58d81365b66dd4b1a7f36c25aa97b8c71c361ee4937adc1a00000227db5dd"
EMODE_SET = "0xd728da875fc88944cbf17638bcbe4af0eedaef63becd1d1c57cc097eb4608d84"
BALANCE_TRANSFER = "0x4beccb90f994c31aced7a23b5611020728a23d8ec5cddd1a3e9d97b96fda8666"

_CHANGED: dict[str, tuple[tuple[EventKind, int], ...]] = {
    BORROW: ((EventKind.BORROW, 2),),
    WITHDRAW: ((EventKind.WITHDRAW, 2),),
    SUPPLY: ((EventKind.SUPPLY, 2),),
    REPAY: ((EventKind.REPAY, 2),),
    LIQUIDATION_CALL: ((EventKind.LIQUIDATION, 3),),
    COLLATERAL_DISABLED: ((EventKind.COLLATERAL_OFF, 2),),
    COLLATERAL_ENABLED: ((EventKind.SUPPLY, 2),),
    EMODE_SET: ((EventKind.EMODE, 1),),
    BALANCE_TRANSFER: ((EventKind.TRANSFER, 1), (EventKind.SUPPLY, 2)),
}
"""What an event does, and which topic names whose position it changes: the debtor, never the caller."""

MARKET_TOPICS = frozenset(
    {
        "0x3a0ca721fc364424566385a1aa271ed508cc2c0949c2272575fb3013a163a45f",  # ReserveInitialized
        "0x637febbda9275aea2e85c0ff690444c8d87eb2e8339bbede9715abcc89cb0995",  # CollateralConfigurationChanged
        "0xb5b0a963825337808b6e3154de8e98027595a5cad4219bb3a9bc55b192f4b391",  # LiquidationProtocolFeeChanged
        "0xc36c7d11ba01a5869d52aa4a3781939dab851cbc9ee6e7fdcedc7d58898a3f1e",  # ReserveActive
        "0xe188d542a5f11925d3a3af33703cdd30a43cb3e8066a3cf68b1b57f61a5a94b5",  # ReservePaused
        "0xeeec4c06f7adad215cbdb4d2960896c83c26aedce02dde76d36fa28588d62da4",  # ReserveDropped
        "0xdf4f96448786bcd6fecc9f1fa25f1fbbbee6a5c9e76d635a615ac57bb5983d10",  # LiquidationGracePeriodChanged
        "0x1df36dc1651d06d990805068d22811a3a9ca4396190787ef59f9102e61868fff",  # LiquidationGracePeriodDisabled
        "0x0acf8b4a3cace10779798a89a206a0ae73a71b63acdd3be2801d39c2ef7ab3cb",  # EModeCategoryAdded
        "0x5bb69795b6a2ea222d73a5f8939c23471a1f85a99c7ca43c207f1b71f10c6264",  # EModeAssetCategoryChanged
        "0x79409190108b26fcb0e4570f8e240f627bf18fd01a55f751010224d5bd486098",  # AssetCollateralInEModeChanged
        "0xc0a450fbad635333e47f3322ec028a8e0b3909f79c721312a356a0fab5fa8b94",  # AssetLtvzeroInEModeChanged
        "0xea07f8a4f488dcc1dc8c27b9c526ac8ba2d04b8024e206616f306c51d9b16826",  # EModeCategoryIsolationChanged
        "0xbc7cd75a20ee27fd9adebab32041f755214dbc6bffa90cc0225b39da2e5c2d3b",  # Upgraded
    }
)
"""Events after which every borrower may stand differently, and the market is worth a `reload`."""

_NOT_SUPPORTED = -32601
_FEWER_BLOCKS_MAY_HELP = {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.GATEWAY_TIMEOUT}
_CALM_WINDOWS = 64
_TOPIC_LENGTH = 66


@dataclass(frozen=True, slots=True)
class Window:
    """All logs of the blocks `first` to `last`, in (block, log index) order; empty when `last` lies before `first`."""

    first: int
    last: int
    logs: list[RawLog]


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
    """How many blocks to ask for: halved when refused, half as many more after each success."""

    def __init__(self, widest: int) -> None:
        self.blocks = self._ceiling = self._widest = widest
        self._calm = 0

    def refused(self) -> None:
        self._ceiling = max(self.blocks - 1, 1)
        self.blocks = max(self.blocks // 2, 1)
        self._calm = 0

    def accepted(self) -> None:
        """A ceiling is forgotten after a while: it may have been the crowd of logs, not the node's rule."""
        self._calm += 1
        if self._calm % _CALM_WINDOWS == 0:
            self._ceiling = self._widest
        self.blocks = min(self.blocks * 3 // 2 + 1, self._ceiling)


async def follow_windows(market: Market, first: int, last: int, *, widest: int) -> AsyncIterator[Window]:
    """The logs of `first` to `last` in windows as wide as the node takes; ends early where its own chain ends.

    Whoever iterates moves its cursor past a window only after it applied the window's logs.
    """
    width = _Width(widest)
    while first <= last:
        until = min(first + width.blocks - 1, last)
        try:
            window = await read_logs(market, first, until)
        except Unreachable as err:
            if first == until or not _fewer_blocks_may_help(err):
                raise
            width.refused()
            continue
        if window.last < first:
            return
        width.accepted()
        yield window
        first = window.last + 1


async def read_logs(market: Market, first: int, last: int) -> Window:
    """The logs of these blocks, cut to those the answering node really has: one that lags would leave the rest out."""
    query = {"fromBlock": hex(first), "toBlock": hex(last), "address": _addresses(market), "topics": [_TOPICS]}
    head, logs = await market.rpc.batch([("eth_blockNumber", []), ("eth_getLogs", [query])])
    if isinstance(head, LiqError):
        raise head
    known = min(last, quantity(head))
    if known < first:
        return Window(first, known, [])
    if isinstance(logs, LiqError):
        raise logs
    if not isinstance(logs, list):
        raise Unreachable("the node answered eth_getLogs with something else than a list")
    return Window(first, known, sorted((log for log in logs if _place(log)[0] <= known), key=_place))


def decode_events(logs: Sequence[RawLog], *, at: float) -> list[Event]:
    """What the logs did to whom, in the order of the logs; `at` is when they were received (monotonic seconds)."""
    return [event for log in logs for event in _events_of(log, at)]


def changes_market(logs: Sequence[RawLog]) -> bool:
    """Whether a log changed what holds for everyone: a configuration, a listing, an implementation."""
    return any(_topics(log)[0] in MARKET_TOPICS for log in logs)


def decode_liquidation(log: RawLog) -> LiquidationLog | None:
    """The liquidation a log tells of, None for any other log."""
    topics = _topics(log)
    if topics[0] != LIQUIDATION_CALL:
        return None
    collateral, debt, borrower = (_address(topics, place) for place in (1, 2, 3))
    covered, received, liquidator = words(unhex(log.get("data")), 3)
    return LiquidationLog(collateral, debt, borrower, covered, received, address_of(liquidator))


def _events_of(log: RawLog, at: float) -> Iterator[Event]:
    topics = _topics(log)
    changed = _CHANGED.get(topics[0])
    if changed:
        block, index = _place(log)
        for kind, topic in changed:
            yield Event(kind, _address(topics, topic), block, index, at)


def _topics(log: RawLog) -> Sequence[str]:
    topics = log.get("topics")
    if not isinstance(topics, list) or not topics or not all(isinstance(topic, str) for topic in topics):
        raise Unreachable("the node gave a log without topics")
    return topics


def _address(topics: Sequence[str], place: int) -> Address:
    if place >= len(topics) or len(topics[place]) != _TOPIC_LENGTH:
        raise Unreachable(f"the node gave a log whose topic {place} is no address")
    return f"0x{topics[place][26:].lower()}"


def _place(log: RawLog) -> tuple[int, int]:
    return quantity(log.get("blockNumber")), quantity(log.get("logIndex"))


def _addresses(market: Market) -> list[Address]:
    tokens = [token for reserve in market.reserves for token in (reserve.a_token, reserve.debt_token)]
    return [market.addresses.pool, market.addresses.configurator, *tokens]


def _fewer_blocks_may_help(err: Unreachable) -> bool:
    if isinstance(err, NoAnswer):
        return err.timed_out or err.status in _FEWER_BLOCKS_MAY_HELP
    return isinstance(err, RpcError) and err.rpc_code != _NOT_SUPPORTED


_TOPICS = sorted({*_CHANGED, *MARKET_TOPICS})
