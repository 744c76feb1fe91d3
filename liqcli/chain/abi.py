"""Calldata packed and answers read by hand: eth_abi costs 0.7 ms a borrower, this a few microseconds."""

from collections.abc import Sequence
from itertools import accumulate

from liqcli.errors import Unreachable
from liqcli.model import Address

ZERO_ADDRESS: Address = "0x" + "00" * 20

AGGREGATE3 = bytes.fromhex("82ad56cb")
GET_BLOCK_NUMBER = bytes.fromhex("42cbb15c")
GET_BLOCK_TIMESTAMP = bytes.fromhex("0f28c97d")
GET_BLOCK_GAS_LIMIT = bytes.fromhex("86d516e8")

GET_POOL = bytes.fromhex("026b1d5f")
GET_PRICE_ORACLE = bytes.fromhex("fca513a8")
GET_POOL_DATA_PROVIDER = bytes.fromhex("e860accb")
GET_POOL_CONFIGURATOR = bytes.fromhex("631adfca")
GET_PRICE_ORACLE_SENTINEL = bytes.fromhex("5eb88d3d")

POOL_REVISION = bytes.fromhex("0148170e")
GET_USER_ACCOUNT_DATA = bytes.fromhex("bf92857c")
GET_USER_CONFIGURATION = bytes.fromhex("4417a583")
GET_USER_EMODE = bytes.fromhex("eddf1b79")
GET_RESERVES_LIST = bytes.fromhex("d1946dbc")
GET_RESERVE_DATA = bytes.fromhex("35ea6a75")
GET_RESERVE_DEFICIT = bytes.fromhex("c952485d")
GET_LIQUIDATION_GRACE_PERIOD = bytes.fromhex("5c9a8b18")
GET_EMODE_DATA = bytes.fromhex("6c6f6ae1")
GET_EMODE_COLLATERAL_CONFIG = bytes.fromhex("b286f467")
GET_EMODE_COLLATERAL_BITMAP = bytes.fromhex("b0771dba")
GET_EMODE_LTVZERO_BITMAP = bytes.fromhex("fd89dee5")
GET_EMODE_ISOLATED = bytes.fromhex("05f68acb")
GET_RESERVE_NORMALIZED_INCOME = bytes.fromhex("d15e0053")
GET_RESERVE_NORMALIZED_DEBT = bytes.fromhex("386497fd")
LIQUIDATION_CALL = bytes.fromhex("00a718a9")
FLASHLOAN_PREMIUM_TOTAL = bytes.fromhex("074b2e43")

LIQUIDATE = bytes.fromhex("c9bda1e6")
LIQUIDATOR_OWNER = bytes.fromhex("8da5cb5b")
LIQUIDATOR_POOL = bytes.fromhex("16f0115b")
LIQUIDATOR_STYLE_OF = bytes.fromhex("5afe3620")

FACTORY = bytes.fromhex("c45a0155")
GET_PAIR = bytes.fromhex("e6a43905")
GET_POOL_OF_FEE = bytes.fromhex("1698ee82")
GET_AMOUNTS_OUT = bytes.fromhex("d06ca61f")
QUOTE_EXACT_INPUT = bytes.fromhex("cdca1753")

GET_ASSET_PRICE = bytes.fromhex("b3596f07")
GET_SOURCE_OF_ASSET = bytes.fromhex("92bf2be0")
LATEST_ROUND_DATA = bytes.fromhex("feaf968c")
IS_LIQUIDATION_ALLOWED = bytes.fromhex("7a5d20ea")

BALANCE_OF = bytes.fromhex("70a08231")
SYMBOL = bytes.fromhex("95d89b41")
SCALED_BALANCE_OF = bytes.fromhex("1da24f3e")
SCALED_TOTAL_SUPPLY = bytes.fromhex("b1bf962d")

_ADDRESS_PADDING = bytes(12)
_TRUE = (1).to_bytes(32)
_OFFSET_OF_CALLDATA = (96).to_bytes(32)


def word(value: int | Address) -> bytes:
    """One 32-byte word: an unsigned integer or an address."""
    if isinstance(value, int):
        return value.to_bytes(32)
    return _ADDRESS_PADDING + bytes.fromhex(value[2:])


def encode_call(selector: bytes, *words: int | Address) -> bytes:
    """Calldata of a function whose arguments are all static."""
    return selector + b"".join(map(word, words))


def tail(data: bytes) -> bytes:
    """A dynamic `bytes` argument behind the words: its length, and the data padded to whole words."""
    return len(data).to_bytes(32) + data + bytes(-len(data) % 32)


def pack_aggregate3(calls: Sequence[tuple[Address, bytes]]) -> bytes:
    """Calldata of `aggregate3` in which every call may fail by itself."""
    items = [_pack_call3(target, data) for target, data in calls]
    offsets = accumulate((len(item) for item in items[:-1]), initial=32 * len(items)) if items else ()
    head = (32).to_bytes(32) + len(items).to_bytes(32)
    return AGGREGATE3 + head + b"".join(offset.to_bytes(32) for offset in offsets) + b"".join(items)


def _pack_call3(target: Address, data: bytes) -> bytes:
    return b"".join((word(target), _TRUE, _OFFSET_OF_CALLDATA, tail(data)))


def unpack_aggregate3(answer: bytes, expected: int) -> list[bytes | None]:
    """What each call returned, None where it reverted; Unreachable when the answer is not `expected` results."""
    base = _number(answer, 0)
    count = _number(answer, base)
    if count != expected:
        raise Unreachable(f"aggregate3 answered {count} results to {expected} calls")
    start = base + 32
    return [_result(answer, start + _number(answer, start + 32 * index)) for index in range(count)]


def _result(answer: bytes, at: int) -> bytes | None:
    if not _number(answer, at):
        return None
    data = at + _number(answer, at + 32)
    length = _number(answer, data)
    if data + 32 + length > len(answer):
        raise Unreachable(f"aggregate3 answered {len(answer)} bytes, cut inside a result")
    return answer[data + 32 : data + 32 + length]


def _number(answer: bytes, at: int) -> int:
    if at + 32 > len(answer):
        raise Unreachable(f"the contract answered {len(answer)} bytes, fewer than its own offsets need")
    return int.from_bytes(answer[at : at + 32])


def words(answer: bytes, count: int) -> list[int]:
    """The first `count` words of an answer; Unreachable when it is shorter (no contract there, or a cut answer)."""
    return [_number(answer, 32 * index) for index in range(count)]


def address_of(value: int) -> Address:
    """The address in a word; its upper 12 bytes are ignored as the EVM does."""
    return f"0x{value & (2**160 - 1):040x}"


def read_array(answer: bytes) -> list[int]:
    """The words of an answer that is one dynamic array of static values."""
    base = _number(answer, 0)
    return [_number(answer, base + 32 * (1 + index)) for index in range(_number(answer, base))]


def read_text(answer: bytes) -> str:
    """A `string` answer, or a `bytes32` one as early tokens give; undecodable bytes become U+FFFD."""
    if len(answer) == 32:
        return answer.rstrip(b"\0").decode("utf-8", "replace")
    base = _number(answer, 0)
    length = _number(answer, base)
    return answer[base + 32 : base + 32 + length].decode("utf-8", "replace")


def unhex(text: object) -> bytes:
    """The bytes of a 0x string from a node; Unreachable when it is none."""
    if isinstance(text, str) and text.startswith("0x"):
        try:
            return bytes.fromhex(text[2:])
        except ValueError:
            pass
    raise Unreachable(f"the node answered {str(text)[:60]!r} where hexadecimal bytes belong")


def quantity(text: object) -> int:
    """The integer of a JSON-RPC quantity; Unreachable when it is none."""
    if isinstance(text, str) and text.startswith("0x"):
        try:
            return int(text, 16)
        except ValueError:
            pass
    raise Unreachable(f"the node answered {str(text)[:60]!r} where a number belongs")
