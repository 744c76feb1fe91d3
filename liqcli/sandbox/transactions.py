"""Transactions in bulk: encoded from artifacts, sent by impersonated accounts, mined, and their receipts checked."""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from liqcli.chain.artifacts import Artifact
from liqcli.chain.rpc import Rpc
from liqcli.errors import LiqError, Reverted, Unreachable
from liqcli.model import Address

CHUNK = 100
"""Transactions sent before a block: anvil's mempool takes superlinear time for more."""
MINE_TRIES = 5
ON, OFF = True, False
FEES = {"maxFeePerGas": hex(10**11), "maxPriorityFeePerGas": "0x0"}
"""Stated, because anvil would add a priority fee; HyperEVM knows none."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """What an account is to send; without `to` it creates a contract. `what` names it in errors."""

    sender: Address
    to: Address | None
    data: bytes = field(repr=False)
    what: str
    gas: int = 2_000_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a transaction; one that the node refused has no hash and did not succeed."""

    transaction: Transaction
    succeeded: bool
    hash: str | None
    block: int | None
    why: str = ""


def create_address(creator: Address, nonce: int) -> Address:
    """Where the contract lands that `creator` makes with its transaction `nonce`."""
    from eth_utils.crypto import keccak

    number = b"\x80" if nonce == 0 else nonce.to_bytes((nonce.bit_length() + 7) // 8)
    if len(number) > 1 or number[0] > 0x80:
        number = bytes([0x80 + len(number)]) + number
    payload = b"\x94" + bytes.fromhex(creator[2:]) + number
    return "0x" + keccak(bytes([0xC0 + len(payload)]) + payload)[12:].hex()


def encode_create(artifact: Artifact, args: Sequence[Any] = (), libraries: dict[str, Address] | None = None) -> bytes:
    """Creation code with its libraries linked and its constructor arguments appended."""
    from eth_abi.abi import encode
    from eth_utils.abi import get_abi_input_types

    code = artifact.bytecode[2:]
    for library, places in artifact.links.items():
        for place in places:
            code = code[: 2 * place] + (libraries or {})[library][2:] + code[2 * place + 40 :]
    constructor = next((item for item in artifact.abi if item["type"] == "constructor"), None)
    types = get_abi_input_types(constructor) if constructor else []  # type: ignore[arg-type]  # a JSON ABI item
    return bytes.fromhex(code) + encode(types, args)


def encode_function(artifact: Artifact, name: str, args: Sequence[Any]) -> bytes:
    """Calldata of the artifact's function that has this name and so many arguments."""
    from eth_abi.abi import encode
    from eth_utils.abi import function_abi_to_4byte_selector, get_abi_input_types

    function: Any = next(item for item in artifact.abi if item.get("name") == name and len(item["inputs"]) == len(args))
    return function_abi_to_4byte_selector(function) + encode(get_abi_input_types(function), args)


async def send_all(rpc: Rpc, transactions: Sequence[Transaction]) -> list[Outcome]:
    """Send and mine them; raises Reverted for the first that did not succeed. One sender's keep their order."""
    outcomes = await try_all(rpc, transactions)
    for outcome in outcomes:
        if not outcome.succeeded:
            what = outcome.transaction.what
            raise Reverted(f"the sandbox could not {what}: {outcome.why}", reason=outcome.why)
    return outcomes


async def try_all(rpc: Rpc, transactions: Sequence[Transaction]) -> list[Outcome]:
    """Send and mine them, whatever becomes of each; outcomes in the order given. One sender's keep their order."""
    nonces = await _next_nonces(rpc, {transaction.sender for transaction in transactions})
    outcomes: list[Outcome] = []
    async with _mining_by_hand(rpc):
        for start in range(0, len(transactions), CHUNK):
            outcomes += await _chunk(rpc, transactions[start : start + CHUNK], nonces)
    return outcomes


async def answers(rpc: Rpc, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
    """A batch of which every item must succeed."""
    results = await rpc.batch(calls)
    for result in results:
        if isinstance(result, LiqError):
            raise result
    return results


@asynccontextmanager
async def _mining_by_hand(rpc: Rpc) -> AsyncIterator[None]:
    """Keep anvil from mining while a chunk arrives.

    A transaction that is checked before, and queued after, the block with its sender's previous one waits for ever.
    """
    automine = await rpc.call("anvil_getAutomine")
    if automine:
        await rpc.call("evm_setAutomine", OFF)
    try:
        yield
    finally:
        if automine:
            await rpc.call("evm_setAutomine", ON)


async def _next_nonces(rpc: Rpc, senders: Iterable[Address]) -> Counter[Address]:
    ordered = sorted(senders)
    counts = await answers(rpc, [("eth_getTransactionCount", (sender, "latest")) for sender in ordered])
    return Counter({sender: int(count, 16) for sender, count in zip(ordered, counts, strict=True)})


async def _chunk(rpc: Rpc, transactions: Sequence[Transaction], nonces: Counter[Address]) -> list[Outcome]:
    calls = []
    for transaction in transactions:
        calls.append(("eth_sendTransaction", (_fields(transaction, nonces[transaction.sender]),)))
        nonces[transaction.sender] += 1
    hashes = await rpc.batch(calls)
    receipts = await _receipts(rpc, [sent for sent in hashes if isinstance(sent, str)])
    return [
        await _outcome(rpc, transaction, sent, receipts) for transaction, sent in zip(transactions, hashes, strict=True)
    ]


def _fields(transaction: Transaction, nonce: int) -> dict[str, str]:
    fields = {
        "from": transaction.sender,
        "nonce": hex(nonce),
        "gas": hex(transaction.gas),
        "data": "0x" + transaction.data.hex(),
        **FEES,
    }
    return fields if transaction.to is None else fields | {"to": transaction.to}


async def _receipts(rpc: Rpc, hashes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Mine until each has its receipt: a busy node may leave some for the next block."""
    receipts: dict[str, dict[str, Any]] = {}
    for _ in range(MINE_TRIES):
        missing = [sent for sent in hashes if sent not in receipts]
        if not missing:
            return receipts
        await rpc.call("evm_mine")
        found = await answers(rpc, [("eth_getTransactionReceipt", (sent,)) for sent in missing])
        receipts |= {sent: receipt for sent, receipt in zip(missing, found, strict=True) if receipt is not None}
    raise Unreachable(f"the node left {len(missing)} transactions unmined after {MINE_TRIES} blocks")


async def _outcome(
    rpc: Rpc, transaction: Transaction, sent: str | LiqError, receipts: dict[str, dict[str, Any]]
) -> Outcome:
    if isinstance(sent, LiqError):
        return Outcome(transaction, succeeded=False, hash=None, block=None, why=sent.message)
    receipt = receipts[sent]
    succeeded = receipt["status"] == "0x1"
    why = "" if succeeded else await _why(rpc, transaction)
    return Outcome(transaction, succeeded, sent, int(receipt["blockNumber"], 16), why)


async def _why(rpc: Rpc, transaction: Transaction) -> str:
    """Ask the newest state why it refuses; the reason may be gone by then."""
    try:
        await rpc.call(
            "eth_call",
            {"from": transaction.sender, "to": transaction.to, "data": "0x" + transaction.data.hex()},
            "latest",
        )
    except Reverted as err:
        return err.reason
    return "reverted when it was mined, not any more"
