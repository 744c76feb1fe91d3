"""What the sandbox's market lists: six reserves whose decimals, limits and fees all differ, and one e-mode category."""

from dataclasses import dataclass

from liqcli.model import BASE_UNIT


@dataclass(frozen=True, slots=True)
class Listing:
    """How a reserve starts: rates in basis points, `price` in base currency, `volatility` relative to WHYPE's."""

    symbol: str
    name: str
    decimals: int
    price: int
    ltv: int
    liquidation_threshold: int
    liquidation_bonus: int
    protocol_fee: int
    reserve_factor: int
    emode: int
    volatility: float

    @property
    def unit(self) -> int:
        """One whole token in its own units."""
        return int(10**self.decimals)

    def amount(self, usd: float) -> int:
        """Token units worth so many dollars at the starting price."""
        return int(usd * BASE_UNIT) * self.unit // self.price


@dataclass(frozen=True, slots=True)
class EModeListing:
    """An e-mode category, in basis points."""

    id: int
    ltv: int
    liquidation_threshold: int
    liquidation_bonus: int
    label: str


HYPE_EMODE = EModeListing(1, 9000, 9300, 10200, "HYPE correlated")

LISTINGS = (
    Listing("WHYPE", "Wrapped HYPE", 18, 35_12345678, 6000, 7000, 11000, 1000, 2000, HYPE_EMODE.id, 1.0),
    Listing("wstHYPE", "Wrapped Staked HYPE", 18, 36_04567891, 5500, 6500, 11500, 1000, 1500, HYPE_EMODE.id, 1.0),
    Listing("UBTC", "Unit Bitcoin", 8, 95_123_45678900, 7000, 7500, 10700, 1000, 2000, 0, 0.75),
    Listing("UETH", "Unit Ethereum", 18, 3_498_76543200, 7200, 7800, 10600, 800, 1500, 0, 0.85),
    Listing("USDC", "USD Coin", 6, 99987654, 7700, 8000, 10500, 500, 1000, 0, 0.0),
    Listing("USDT0", "Tether USD", 6, 1_00010203, 7500, 7800, 10800, 0, 1000, 0, 0.0),
)
