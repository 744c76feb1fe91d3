"""One Aave-V3 market: found from its PoolAddressesProvider, read through aggregate3."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from liqcli.aave.ray import Version
from liqcli.chain.abi import (
    GET_ASSET_PRICE,
    GET_POOL,
    GET_POOL_CONFIGURATOR,
    GET_POOL_DATA_PROVIDER,
    GET_PRICE_ORACLE,
    GET_PRICE_ORACLE_SENTINEL,
    GET_USER_ACCOUNT_DATA,
    ZERO_ADDRESS,
    address_of,
    encode_call,
    quantity,
    unhex,
    words,
)
from liqcli.chain.aggregate import AGGREGATOR, Aggregator, Read, open_aggregator
from liqcli.chain.feeds import Feeds
from liqcli.chain.reserves import ReserveTokens, not_a_pool, read_reserves
from liqcli.chain.rpc import NoAnswer, Rpc, RpcError
from liqcli.chain.snapshot import Contracts, NewReserve, Snapshot, read_snapshot
from liqcli.chain.versions import detect_version
from liqcli.errors import Reverted, Unreachable, WrongTarget
from liqcli.model import Address, Reading
from liqcli.presets import presets

__all__ = ["AGGREGATOR", "Batch", "Market", "MarketAddresses", "Prices", "Snapshot", "open_market"]

_MOST_IN_ONE_CALL = 500
_LATEST_HEADER = ("latest", False)
_TOO_HEAVY = {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.GATEWAY_TIMEOUT}
_SENTINEL_UNTIL: Version = (3, 7)


@dataclass(frozen=True, slots=True)
class MarketAddresses:
    """The market's contracts; `sentinel` is the zero address where there is none."""

    provider: Address
    pool: Address
    oracle: Address
    configurator: Address
    data_provider: Address
    sentinel: Address


@dataclass(frozen=True, slots=True)
class Batch:
    """Readings, and the borrowers that could not be read: unknown, not healthy.

    `block` and `at` are the oldest of the blocks read; up to 500 borrowers it is one block for all.
    """

    block: int
    at: int
    readings: dict[Address, Reading]
    failed: frozenset[Address]


@dataclass(frozen=True, slots=True)
class Prices:
    """The oracle's prices at one block; an asset whose price is missing or zero is absent."""

    block: int
    at: int
    by_asset: dict[Address, int]


class Market:
    """An opened market; `version` and `reserves` are as of the last `reload`."""

    def __init__(
        self,
        rpc: Rpc,
        aggregator: Aggregator,
        *,
        name: str,
        chain_id: int,
        addresses: MarketAddresses,
        version: Version,
        reserves: tuple[ReserveTokens, ...],
    ) -> None:
        self.rpc = rpc
        self.name = name
        self.chain_id = chain_id
        self.addresses = addresses
        self.version = version
        self.reserves = reserves
        self._aggregator = aggregator
        self.feeds = Feeds(aggregator, addresses.oracle)

    @property
    def aggregator(self) -> Aggregator:
        """Many reads of one block in one call."""
        return self._aggregator

    async def head(self) -> tuple[int, int]:
        """The newest block's number and timestamp."""
        block = await self.rpc.call("eth_getBlockByNumber", *_LATEST_HEADER)
        if not isinstance(block, Mapping):
            raise Unreachable(f"the RPC at {self.rpc.shown_url} has no latest block", hint="is the node still syncing?")
        return quantity(block.get("number")), quantity(block.get("timestamp"))

    async def readings(self, borrowers: Sequence[Address]) -> Batch:
        """Account data of these borrowers; one that cannot be read is in `failed`, a node that is gone raises."""
        batches = [
            await self._read(borrowers[start : start + _MOST_IN_ONE_CALL])
            for start in range(0, len(borrowers), _MOST_IN_ONE_CALL)
        ]
        return _joined(batches)

    async def prices(self) -> Prices:
        """The oracle's prices of every reserve."""
        oracle = self.addresses.oracle
        answers = await self._aggregator.read(
            [(oracle, encode_call(GET_ASSET_PRICE, reserve.asset)) for reserve in self.reserves]
        )
        found = zip(self.reserves, answers.results, strict=True)
        by_asset = {reserve.asset: words(result, 1)[0] for reserve, result in found if result}
        return Prices(answers.block, answers.at, {asset: price for asset, price in by_asset.items() if price})

    async def snapshot(self, borrower: Address) -> Snapshot:
        """Everything `decide` needs about one borrower, at one block, equal to the pool's own account data."""
        try:
            return await read_snapshot(self._aggregator, self._contracts(), borrower)
        except NewReserve:
            await self.reload()
            return await read_snapshot(self._aggregator, self._contracts(), borrower)

    async def reload(self) -> None:
        """Read the version and the list of reserves again, after an upgrade or a new listing."""
        self.version = await detect_version(self._aggregator, self.addresses.pool)
        self.reserves = await read_reserves(self._aggregator, self.addresses.pool)

    def _contracts(self) -> Contracts:
        has_sentinel = self.addresses.sentinel != ZERO_ADDRESS and self.version < _SENTINEL_UNTIL
        sentinel = self.addresses.sentinel if has_sentinel else None
        return Contracts(self.version, self.addresses.pool, self.addresses.oracle, sentinel, self.reserves)

    async def _read(self, borrowers: Sequence[Address]) -> Batch:
        """One call, or halves of it where the node could not take it whole: too long, too slow, too much gas."""
        try:
            return await self._read_once(borrowers)
        except (Unreachable, Reverted) as err:
            await self._require_smaller_may_help(err, len(borrowers))
        if len(borrowers) == 1:
            return Batch(0, 0, {}, frozenset(borrowers))
        middle = len(borrowers) // 2
        return _joined([await self._read(borrowers[:middle]), await self._read(borrowers[middle:])])

    async def _read_once(self, borrowers: Sequence[Address]) -> Batch:
        pool = self.addresses.pool
        answers = await self._aggregator.read(
            [(pool, encode_call(GET_USER_ACCOUNT_DATA, borrower)) for borrower in borrowers]
        )
        found = dict(zip(borrowers, answers.results, strict=True))
        readings = {
            borrower: _reading(borrower, result, answers.block, answers.at)
            for borrower, result in found.items()
            if result is not None
        }
        return Batch(answers.block, answers.at, readings, frozenset(found.keys() - readings.keys()))

    async def _require_smaller_may_help(self, err: Unreachable | Reverted, size: int) -> None:
        """Raise when the node is gone or rate-limits us: halves would only press it harder."""
        too_slow = isinstance(err, NoAnswer) and err.timed_out and size > 1
        too_heavy = isinstance(err, NoAnswer) and err.status in _TOO_HEAVY
        refused = isinstance(err, RpcError) and not err.is_rate_limit
        if not (too_slow or too_heavy or refused or isinstance(err, Reverted)):
            raise err
        await self.rpc.block_number()


def _reading(borrower: Address, result: bytes, block: int, at: int) -> Reading:
    collateral, debt, _, _, _, health_factor = words(result, 6)
    return Reading(borrower, collateral, debt, health_factor, block, at)


def _joined(batches: Sequence[Batch]) -> Batch:
    read = [batch for batch in batches if batch.block]
    return Batch(
        min((batch.block for batch in read), default=0),
        min((batch.at for batch in read), default=0),
        {borrower: reading for batch in batches for borrower, reading in batch.readings.items()},
        frozenset().union(*(batch.failed for batch in batches)),
    )


async def open_market(rpc: Rpc, *, name: str, provider: Address, chain_id: int | None) -> Market:
    """The market of a PoolAddressesProvider; WrongTarget when chain or contract are not what they should be."""
    actual_id = await _require_chain(rpc, chain_id)
    rpc.require_chain(actual_id)
    provider = provider.lower()
    if not unhex(await rpc.call("eth_getCode", provider, "latest")):
        raise WrongTarget(
            f"no contract at {provider} (market {name}) on chain {actual_id}",
            hint="another market: --market NAME; a fork of your own: --pool-addresses-provider 0x...",
        )
    aggregator = await open_aggregator(rpc)
    addresses = await _resolve(aggregator, provider)
    return Market(
        rpc,
        aggregator,
        name=name,
        chain_id=actual_id,
        addresses=addresses,
        version=await detect_version(aggregator, addresses.pool),
        reserves=await read_reserves(aggregator, addresses.pool),
    )


async def _require_chain(rpc: Rpc, expected: int | None) -> int:
    actual = await rpc.chain_id()
    if expected is not None and actual != expected:
        raise WrongTarget(
            f"the RPC is chain {actual}{_in_brackets(actual)}, but --network is {_network(expected)} ({expected})",
            hint=f"use --network {_network(actual) or 'local'}, or another URL. Nothing was sent.",
        )
    return actual


def _network(chain_id: int) -> str:
    networks = presets()["networks"]
    return next((name for name, facts in networks.items() if facts["chain_id"] == chain_id), "")


def _in_brackets(chain_id: int) -> str:
    name = _network(chain_id)
    return f" ({name})" if name else ""


async def _resolve(aggregator: Aggregator, provider: Address) -> MarketAddresses:
    getters = (GET_POOL, GET_PRICE_ORACLE, GET_POOL_CONFIGURATOR, GET_POOL_DATA_PROVIDER, GET_PRICE_ORACLE_SENTINEL)
    reads: list[Read] = [(provider, getter) for getter in getters]
    results = (await aggregator.read(reads)).results
    pool, oracle, *rest = (address_of(words(result, 1)[0]) if result else ZERO_ADDRESS for result in results)
    if ZERO_ADDRESS in {pool, oracle}:
        raise not_a_pool(provider, "a PoolAddressesProvider with a pool and an oracle")
    return MarketAddresses(provider, pool, oracle, *rest)
