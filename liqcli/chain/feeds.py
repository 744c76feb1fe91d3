"""When prices were set: feeds of Chainlink's kind say it themselves; of the others nothing is known."""

from collections.abc import Sequence
from typing import Protocol

from liqcli.chain.abi import GET_SOURCE_OF_ASSET, LATEST_ROUND_DATA, ZERO_ADDRESS, address_of, encode_call, words
from liqcli.chain.aggregate import Answers, Read
from liqcli.model import Address

_TRIES = 3
_ROUND_WORDS = 5
_UPDATED_AT = 3


class Reader(Protocol):
    """Who reads many things of one block."""

    async def read(self, reads: Sequence[Read]) -> Answers:
        """Each read's answer, None where it reverted."""


class Feeds:
    """An oracle's sources; the ones known from the last look are read together with the question if they still are."""

    def __init__(self, reader: Reader, oracle: Address) -> None:
        self._reader = reader
        self._oracle = oracle
        self._sources: dict[Address, Address] = {}

    async def updated_at(self, assets: Sequence[Address]) -> dict[Address, int]:
        """The timestamp of each asset's price; one whose source does not say it is absent."""
        for _ in range(_TRIES):
            known = [self._sources.get(asset, ZERO_ADDRESS) for asset in assets]
            sources, rounds = await self._look(assets, known)
            if sources == known:
                break
            self._sources |= dict(zip(assets, sources, strict=True))
        return {asset: words(data, _ROUND_WORDS)[_UPDATED_AT] for asset, data in rounds.items()}

    async def _look(
        self, assets: Sequence[Address], known: Sequence[Address]
    ) -> tuple[list[Address], dict[Address, bytes]]:
        """The sources as they are, and the last rounds of those taken for them."""
        questions = [(self._oracle, encode_call(GET_SOURCE_OF_ASSET, asset)) for asset in assets]
        rounds = [(source, encode_call(LATEST_ROUND_DATA)) for source in known]
        results = (await self._reader.read([*questions, *rounds])).results
        sources = [address_of(words(result, 1)[0]) if result else ZERO_ADDRESS for result in results[: len(assets)]]
        found = zip(assets, results[len(assets) :], strict=True)
        return sources, {asset: data for asset, data in found if data and len(data) >= 32 * _ROUND_WORDS}
