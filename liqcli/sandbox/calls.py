"""What borrowers send to the pool and its tokens: all arguments are static, so the words are packed by hand."""

from liqcli.chain.abi import encode_call
from liqcli.model import Address
from liqcli.sandbox.market import Asset
from liqcli.sandbox.transactions import Transaction

VARIABLE_RATE = 2
EVERYTHING = 2**256 - 1
"""Aave's own word for the whole balance or debt; to a token, an approval without limit."""

_MINT = bytes.fromhex("40c10f19")
_APPROVE = bytes.fromhex("095ea7b3")
_TRANSFER = bytes.fromhex("a9059cbb")
_SUPPLY = bytes.fromhex("617ba037")
_WITHDRAW = bytes.fromhex("69328dec")
_BORROW = bytes.fromhex("a415bcad")
_REPAY = bytes.fromhex("573ade81")
_USE_AS_COLLATERAL = bytes.fromhex("5a3b74b9")
_SET_EMODE = bytes.fromhex("28530a47")
_SET_PRICE = bytes.fromhex("e5c19b2d")


def mint(who: Address, asset: Asset, amount: int) -> Transaction:
    """Make tokens out of nothing; the sandbox's tokens allow it to anyone."""
    return Transaction(who, asset.token, encode_call(_MINT, who, amount), f"mint {asset.listing.symbol}")


def approve(who: Address, asset: Asset, spender: Address) -> Transaction:
    """Let the pool take any amount."""
    data = encode_call(_APPROVE, spender, EVERYTHING)
    return Transaction(who, asset.token, data, f"approve {asset.listing.symbol}")


def supply(who: Address, pool: Address, asset: Asset, amount: int, on_behalf_of: Address) -> Transaction:
    """Supply; the first supply of an asset switches it on as collateral."""
    data = encode_call(_SUPPLY, asset.token, amount, on_behalf_of, 0)
    return Transaction(who, pool, data, f"supply {asset.listing.symbol}")


def withdraw(who: Address, pool: Address, asset: Asset, amount: int) -> Transaction:
    """Take supplied tokens back."""
    return Transaction(who, pool, encode_call(_WITHDRAW, asset.token, amount, who), f"withdraw {asset.listing.symbol}")


def borrow(who: Address, pool: Address, asset: Asset, amount: int) -> Transaction:
    """Borrow at the variable rate."""
    data = encode_call(_BORROW, asset.token, amount, VARIABLE_RATE, 0, who)
    return Transaction(who, pool, data, f"borrow {asset.listing.symbol}")


def repay(who: Address, pool: Address, asset: Asset, amount: int) -> Transaction:
    """Repay one's own debt."""
    data = encode_call(_REPAY, asset.token, amount, VARIABLE_RATE, who)
    return Transaction(who, pool, data, f"repay {asset.listing.symbol}")


def transfer_a_tokens(who: Address, asset: Asset, to: Address, amount: int) -> Transaction:
    """Give supplied tokens away, and with them the collateral they are."""
    data = encode_call(_TRANSFER, to, amount)
    return Transaction(who, asset.a_token, data, f"transfer a{asset.listing.symbol}")


def use_as_collateral(who: Address, pool: Address, asset: Asset, *, use: bool) -> Transaction:
    """Switch an asset on or off as collateral."""
    data = encode_call(_USE_AS_COLLATERAL, asset.token, int(use))
    return Transaction(who, pool, data, f"switch {asset.listing.symbol} {'on' if use else 'off'}")


def set_emode(who: Address, pool: Address, category: int) -> Transaction:
    """Enter an e-mode category, or leave with 0."""
    return Transaction(who, pool, encode_call(_SET_EMODE, category), f"set e-mode {category}")


def set_price(who: Address, asset: Asset, price: int) -> Transaction:
    """Move an asset's price, in base currency."""
    return Transaction(who, asset.feed, encode_call(_SET_PRICE, price), f"set the price of {asset.listing.symbol}")
