"""`HYPE=-8%` and `UBTC=90000` on a command line: which reserve is meant, and its price then."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fractions import Fraction
from typing import TYPE_CHECKING

from liqcli.errors import UsageError
from liqcli.model import BASE_UNIT
from liqcli.text import safe

if TYPE_CHECKING:
    from liqcli.aave.account import Reserve
    from liqcli.chain.reserves import ReserveTokens

_FORM = "write ASSET=-8%, ASSET=+5% or ASSET=PRICE in USD, like HYPE=-8%"
_SHORTEST_CORE = 3
_NUMBER = re.compile(r"[+-]?\d{1,18}(\.\d{1,18})?")


@dataclass(frozen=True, slots=True)
class Change:
    """A price as asked for: a part of the current one to add, or a price in base currency."""

    asset: str
    part: Fraction | None
    price: int | None

    def applied_to(self, price: int) -> int:
        """The new price in base currency, at least its smallest unit."""
        if self.price is not None:
            return self.price
        return max(int(price * (1 + (self.part or Fraction(0)))), 1)


def parse_changes(texts: Iterable[str]) -> list[Change]:
    """The changes as written; UsageError for one that is none, or for an asset named twice."""
    changes = [_change(text) for text in texts]
    names = [change.asset.casefold() for change in changes]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f'"{safe(name)}" is named twice', hint="give every asset one price")
    return changes


def new_prices(
    changes: Sequence[Change], tokens: "Sequence[ReserveTokens]", reserves: "Mapping[int, Reserve]"
) -> dict[int, int]:
    """The prices meant, by reserve id; UsageError for an asset that the market does not list, or has no price for."""
    chosen = [(change, reserve_named(change.asset, tokens)) for change in changes]
    prices = {}
    for change, token in chosen:
        if token.id in prices:
            raise UsageError(f'"{safe(change.asset)}" is named twice', hint="give every asset one price")
        if token.id not in reserves:
            raise UsageError(f"the oracle has no price for {safe(token.symbol)}", hint="see the other assets")
        prices[token.id] = change.applied_to(reserves[token.id].price)
    return prices


def kin_of(changes: Sequence[Change], tokens: "Sequence[ReserveTokens]", moved: Iterable[int]) -> "list[ReserveTokens]":
    """Reserves that by their symbols follow a coin whose price was changed, and keep their own (HYPE: wstHYPE)."""
    cores = {_core(change.asset) for change in changes} | {_core(token.symbol) for token in tokens if token.id in moved}
    cores = {core for core in cores if len(core) >= _SHORTEST_CORE and not core.startswith("0x")}
    return [
        token for token in tokens if token.id not in moved and any(core in token.symbol.casefold() for core in cores)
    ]


def untouched(changes: Sequence[Change], tokens: "Sequence[ReserveTokens]", moved: Iterable[int]) -> str:
    """A line on what was meant by each change, and what correlates with it but keeps its price; empty when nothing."""
    names = [(safe(change.asset, limit=20), reserve_named(change.asset, tokens)) for change in changes]
    meant = [
        f"{name} is {safe(token.symbol, limit=20)} here" for name, token in names
        if name.casefold() not in (token.symbol.casefold(), token.asset)
    ]  # fmt: skip
    kin = [safe(token.symbol, limit=20) for token in kin_of(changes, tokens, moved)]
    keep = "keep their price: name them too to move them" if len(kin) > 1 else "keeps its price: name it too to move it"
    kept = [f"{', '.join(kin)} {keep}"] if kin else []
    return "; ".join([*meant, *kept])


def _core(symbol: str) -> str:
    """A coin's own name within a wrapped token's: HYPE in WHYPE, ETH in UETH."""
    name = symbol.casefold()
    return name[1:] if name[:1] in ("w", "u") and len(name) > _SHORTEST_CORE and not name.startswith("usd") else name


def reserve_named(name: str, tokens: "Sequence[ReserveTokens]") -> "ReserveTokens":
    """The reserve of a symbol in any case, of an address, or of a coin whose wrapped token is listed (HYPE: WHYPE)."""
    wanted = name.casefold()
    for match in (wanted, f"w{wanted}"):
        found = [token for token in tokens if match in {token.symbol.casefold(), token.asset}]
        if len(found) == 1:
            return found[0]
        if found:
            places = ", ".join(token.asset for token in found)
            raise UsageError(f'several assets are called "{safe(name)}"', hint=f"give the address: {places}")
    raise UsageError(f'unknown asset "{safe(name)}"', hint=_suggestion(wanted, tokens))


def _suggestion(wanted: str, tokens: "Sequence[ReserveTokens]") -> str:
    symbols = {token.symbol.casefold(): safe(token.symbol, limit=20) for token in tokens}
    close = get_close_matches(wanted, symbols, n=1)
    listed = f"Assets: {', '.join(symbols.values())}"
    return f"did you mean {symbols[close[0]]}? {listed}" if close else listed


def _change(text: str) -> Change:
    asset, sign, value = text.partition("=")
    number = value.removesuffix("%")
    if not (asset.strip() and sign and _NUMBER.fullmatch(number)):
        raise UsageError(f'"{safe(text)}" is not a change of a price', hint=_FORM)
    if value != number:
        return Change(asset.strip(), _part(text, Fraction(number) / 100), None)
    price = int(Fraction(number) * BASE_UNIT)
    if price <= 0 or number.startswith("+"):  # HYPE=+5 was meant as +5%
        raise UsageError(f'"{safe(text)}" is no price', hint=_FORM)
    return Change(asset.strip(), None, price)


def _part(text: str, part: Fraction) -> Fraction:
    if part <= -1:
        raise UsageError(f'"{safe(text)}" leaves no price', hint="a price can fall by less than 100 %")
    return part


def price_label(price: int | None, now: int) -> str:
    """A price and how far away it is: `$28.10 -20.1%`."""
    if price is None:
        return "never"
    return f"${price / BASE_UNIT:,.{_decimals(price)}f} {(price - now) / now:+.1%}"


def _decimals(price: int) -> int:
    """Enough digits for a price below a dollar."""
    return 2 if price >= BASE_UNIT else 6
