"""Which Aave V3 release a pool runs: its revision number, held against what its functions show."""

from liqcli.aave.ray import Version
from liqcli.chain.abi import (
    GET_EMODE_COLLATERAL_BITMAP,
    GET_EMODE_ISOLATED,
    GET_EMODE_LTVZERO_BITMAP,
    GET_LIQUIDATION_GRACE_PERIOD,
    GET_RESERVE_DEFICIT,
    POOL_REVISION,
    ZERO_ADDRESS,
    encode_call,
    words,
)
from liqcli.chain.aggregate import Aggregator
from liqcli.chain.reserves import not_a_pool
from liqcli.model import Address

_BY_REVISION: dict[int, Version] = {
    4: (3, 1),
    5: (3, 2),
    6: (3, 2),
    7: (3, 3),
    8: (3, 4),
    9: (3, 5),
    10: (3, 6),
    11: (3, 7),
}
_OLDEST: Version = (3, 0, 2)
_NEWEST: Version = (3, 7)
_PROBES: tuple[tuple[Version, bytes], ...] = (
    ((3, 1), encode_call(GET_LIQUIDATION_GRACE_PERIOD, ZERO_ADDRESS)),
    ((3, 2), encode_call(GET_EMODE_COLLATERAL_BITMAP, 1)),
    ((3, 3), encode_call(GET_RESERVE_DEFICIT, ZERO_ADDRESS)),
    ((3, 6), encode_call(GET_EMODE_LTVZERO_BITMAP, 1)),
    ((3, 7), encode_call(GET_EMODE_ISOLATED, 1)),
)
"""Functions and the release that brought each."""
_BEFORE: dict[Version, Version] = {(3, 1): _OLDEST, (3, 2): (3, 1), (3, 3): (3, 2), (3, 6): (3, 5), (3, 7): (3, 6)}


async def detect_version(aggregator: Aggregator, pool: Address) -> Version:
    """The pool's release; WrongTarget when it is no Aave V3 pool."""
    reads = [(pool, encode_call(POOL_REVISION)), *((pool, probe) for _, probe in _PROBES)]
    revision, *probed = (await aggregator.read(reads)).results
    if not revision:
        raise not_a_pool(pool, "an Aave V3 pool")
    return version_of(words(revision, 1)[0], [bool(answer) for answer in probed])


def version_of(revision: int, probed: list[bool]) -> Version:
    """The release of a revision, moved to the nearest one that has exactly the probed functions.

    A fork may number its revisions as it likes: up to 3, and unknown ones, say nothing beyond "old" and "new".
    """
    claimed = _BY_REVISION.get(revision, _OLDEST if revision < min(_BY_REVISION) else _NEWEST)
    lowest = max((version for (version, _), there in zip(_PROBES, probed, strict=True) if there), default=_OLDEST)
    highest = min(
        (_BEFORE[version] for (version, _), there in zip(_PROBES, probed, strict=True) if not there), default=_NEWEST
    )
    return max(lowest, min(claimed, highest))
