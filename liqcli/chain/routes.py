"""Ways to sell one token for another: pools of one exchange in a row, and the reads that tell what they bring."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

from liqcli.chain.abi import GET_AMOUNTS_OUT, QUOTE_EXACT_INPUT, encode_call, read_array, tail, words
from liqcli.chain.aggregate import Read
from liqcli.model import Address

HUBS = 3
"""A sale goes straight, or over one of so many assets: those with the most pools."""


@dataclass(frozen=True, slots=True)
class Venue:
    """One exchange: its router, who tells its prices, and the fees of its pools by pair."""

    router: Address
    quoter: Address
    is_v3: bool
    pools: Mapping[frozenset[Address], tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Route:
    """A way from one token to another through pools of one exchange; `fees` only where pools differ by them (V3)."""

    router: Address
    quoter: Address
    tokens: tuple[Address, ...]
    fees: tuple[int, ...]

    @property
    def swaps(self) -> int:
        """How many pools it passes."""
        return len(self.tokens) - 1

    @property
    def path(self) -> str:
        """As our Liquidator takes it: token, fee of three bytes in V3 style, token, ... in 0x hex."""
        fees = [f"{fee:06x}" for fee in self.fees] or [""] * self.swaps
        return "0x" + "".join(token[2:] + fee for token, fee in zip(self.tokens, [*fees, ""], strict=True))

    def asking(self, amount: int) -> Read:
        """The read that tells what `amount` of the first token brings."""
        if self.fees:
            path = bytes.fromhex(self.path[2:])
            return self.quoter, encode_call(QUOTE_EXACT_INPUT, 64, amount) + tail(path)
        return self.quoter, encode_call(GET_AMOUNTS_OUT, amount, 64, len(self.tokens), *self.tokens)

    def proceeds(self, answer: bytes) -> int:
        """What the answer to `asking` says."""
        return words(answer, 1)[0] if self.fees else read_array(answer)[-1]


@dataclass(frozen=True, slots=True)
class Sale:
    """So much of one token to be turned into another."""

    sold: Address
    bought: Address
    amount: int


@dataclass(frozen=True, slots=True)
class Quote:
    """What a sale brings on one route."""

    route: Route
    proceeds: int


@dataclass(frozen=True, slots=True)
class Offers:
    """What can be had now: routes for each sale, the most the pool lends of each asset, and its flash-loan premium.

    `gas_limit` is the newest block's: that of a small one, but once a minute.
    """

    contract: Address
    flash_loan: bool
    premium_bps: int
    margin_bps: int
    gas_limit: int
    lendable: Mapping[Address, int]
    quotes: Mapping[Sale, tuple[Quote, ...]]


def routes_between(venues: Sequence[Venue], sold: Address, bought: Address) -> tuple[Route, ...]:
    """Every way from one token to another: straight, and over a hub."""
    ways = [(sold, bought), *((sold, hub, bought) for hub in _hubs(venues, besides={sold, bought}))]
    return tuple(route for venue in venues for way in ways for route in _routes_along(venue, way))


def _hubs(venues: Sequence[Venue], *, besides: set[Address]) -> list[Address]:
    counts = Counter(token for venue in venues for pair in venue.pools for token in sorted(pair))
    return [token for token, _ in counts.most_common() if token not in besides][:HUBS]


def _routes_along(venue: Venue, tokens: tuple[Address, ...]) -> Iterator[Route]:
    """One route for each combination of the pools' fees; none where a pool is missing."""
    choices = [venue.pools.get(frozenset(pair), ()) for pair in pairwise(tokens)]
    for fees in product(*choices):
        yield Route(venue.router, venue.quoter, tokens, fees if venue.is_v3 else ())
