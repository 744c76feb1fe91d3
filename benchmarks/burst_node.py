"""A node with a burst to tell: a small JSON-RPC server, in a process of its own, over logs generated beforehand.

Borrowers who already have positions supply, withdraw, borrow and repay; a few do most of it (Zipf, 0.9). Indexes only
grow, interest and scaled balances follow the contracts' rounding, so a book that took every log in holds what the
generator holds, and nothing is unknown on the way.
"""

import hashlib
import json
import multiprocessing
import os
import random
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate
from multiprocessing.connection import Connection
from typing import Any

from aiohttp import web

from liqcli.aave.account import Position, Reserve
from liqcli.aave.ray import RAY
from liqcli.book.scaled import balance_of, scaled_after
from liqcli.book.state import ReserveState, Token, state_of
from liqcli.chain import topics
from liqcli.chain.abi import (
    GET_ASSET_PRICE,
    GET_BLOCK_NUMBER,
    GET_BLOCK_TIMESTAMP,
    GET_USER_ACCOUNT_DATA,
    word,
)
from liqcli.chain.market import MarketAddresses
from liqcli.chain.reserves import ReserveTokens
from liqcli.model import BASE_UNIT, WAD, Address

VERSION = (3, 0, 2)
PEOPLE, RESERVES, CRITICAL_EVERY = 50_000, 20, 100
BLOCK_ACTS, ACT_LOGS = 20, 3
MOST_LOGS = 10_000
"""More than so many logs in one answer are refused, as public nodes do."""
ADDRESSES = MarketAddresses(*(f"0x{digit * 40}" for digit in "abcdef"))
GENESIS = 1_700_000_000
_HELD = 10**22
_THRESHOLD = 8_000


class Scene:
    """Who there is before the burst; the same in every process."""

    def __init__(self) -> None:
        dice = random.Random(1)
        self.people = [f"0x{dice.getrandbits(160):040x}" for _ in range(PEOPLE)]
        self.critical = frozenset(self.people[::CRITICAL_EVERY])
        self.reserves = tuple(
            ReserveTokens(n, _address(dice), f"T{n}", 18, _address(dice), _address(dice)) for n in range(RESERVES)
        )
        self.uses = {person: dice.sample(range(RESERVES), 3) for person in self.people}
        self.health = {person: 1.02 if person in self.critical else dice.uniform(1.4, 4.0) for person in self.people}

    def positions(self) -> Iterator[Position]:
        """Two collaterals and one debt each."""
        for person in self.people:
            first, second, owed = self.uses[person]
            debt = {owed: self.debt(person)}
            yield Position(person, {first: _HELD, second: _HELD}, debt, frozenset((first, second)), 0)

    def debt(self, person: Address) -> int:
        """What somebody owes before the burst."""
        return int(2 * _HELD * _THRESHOLD / 10_000 / self.health[person])

    def market_state(self) -> list[ReserveState]:
        """Every reserve before the burst."""
        return [state_of(tokens, _reserve(tokens), as_of=0) for tokens in self.reserves]


class Generator:
    """Writes the burst, block by block, and keeps everybody's scaled balances."""

    def __init__(self, scene: Scene) -> None:
        self._dice = random.Random(2)
        self._scene = scene
        self._weights = list(accumulate((number + 1) ** -0.9 for number in range(PEOPLE)))
        self._tokens = {
            (tokens.id, is_debt): Token(address, tokens.id, VERSION, is_debt=is_debt)
            for tokens in scene.reserves
            for address, is_debt in ((tokens.a_token, False), (tokens.debt_token, True))
        }
        self._index = dict.fromkeys(range(RESERVES), RAY)
        self._index_block = dict.fromkeys(range(RESERVES), 0)
        self._touched: dict[tuple[Address, int, bool], int] = {}
        self.balances = {
            (position.borrower, number, is_debt): scaled
            for position in scene.positions()
            for is_debt, side in ((False, position.scaled_collateral), (True, position.scaled_debt))
            for number, scaled in side.items()
        }

    def blocks(self, count: int) -> Iterator[bytes]:
        """So many blocks' logs, each as the inside of a JSON array."""
        for block in range(1, count + 1):
            people = self._dice.choices(self._scene.people, cum_weights=self._weights, k=BLOCK_ACTS)
            logs = (log for nth, person in enumerate(people) for log in self._act(person, block, nth))
            yield ",".join(logs).encode()

    def _act(self, person: Address, block: int, nth: int) -> Iterator[str]:
        first, second, owed = self._scene.uses[person]
        number = self._dice.choice((first, second, owed))
        is_debt, takes = number == owed, self._dice.random() < 0.5
        tokens, token = self._scene.reserves[number], self._tokens[number, is_debt]
        index = self._grown(number, block)
        amount = self._dice.randrange(10**12, 10 ** self._dice.choice((13, 15, 17)))
        key = (person, number, is_debt)
        held = self.balances[key]
        interest = balance_of(held, index, token) - balance_of(held, self._touched.get(key, RAY), token)
        takes = takes and amount > interest
        self.balances[key] = scaled_after(held, -amount if takes else amount, index, token)
        self._touched[key] = index
        who, asset, zero = _word(person), _word(tokens.asset), "0x" + "0" * 64
        place = nth * ACT_LOGS
        yield _log(ADDRESSES.pool, (topics.RESERVE_DATA_UPDATED, asset), (0, 0, 0, index, index), block, place)
        moved = (amount - interest, interest, index) if takes else (amount + interest, interest, index)
        names = (topics.BURN, who, zero) if takes else (topics.MINT, zero, who)
        yield _log(token.address, names, moved, block, place + 1)
        yield _log(ADDRESSES.pool, *_said(asset, who, amount, is_debt=is_debt, takes=takes), block, place + 2)

    def _grown(self, number: int, block: int) -> int:
        """The reserve's index, which interest raises once a block."""
        if self._index_block[number] != block:
            self._index_block[number] = block
            self._index[number] += self._dice.randrange(10**17, 10**18)
        return self._index[number]


def digest(balances: Mapping[tuple[Address, int, bool], int]) -> str:
    """All scaled balances in one word, to compare two processes' books."""
    return hashlib.sha256(repr(sorted(balances.items())).encode()).hexdigest()


@contextmanager
def burst_node(logs: int) -> Iterator[tuple[str, int]]:
    """The URL of a node with so many logs to tell, and their last block; they come after `bench_release`."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    blocks = logs // (BLOCK_ACTS * ACT_LOGS)
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs, blocks), daemon=True)
    process.start()
    theirs.close()
    try:
        yield f"http://127.0.0.1:{ours.recv()}", blocks
    finally:
        process.terminate()
        process.join()


class _Node:
    """Answers as a node does, and remembers when it gave each range of logs away."""

    def __init__(self, scene: Scene, directory: str, blocks: int) -> None:
        self._scene = scene
        self._file = os.open(os.path.join(directory, "logs"), os.O_RDWR | os.O_CREAT)  # noqa: PTH118
        self._ends = [0, 0]
        self._head = 0
        self._given: list[tuple[int, int, float]] = []
        generator = Generator(scene)
        for block in generator.blocks(blocks):
            written = os.write(self._file, block + b",")
            self._ends.append(self._ends[-1] + written)
        self._digest = digest(generator.balances)

    async def answer(self, request: web.Request) -> web.Response:
        """One request, or a batch."""
        asked = json.loads(await request.read())
        body = b"[" + b",".join(map(self._one, asked)) + b"]" if isinstance(asked, list) else self._one(asked)
        return web.Response(body=body, content_type="application/json")

    def _one(self, asked: Mapping[str, Any]) -> bytes:
        method, params = asked["method"], asked["params"]
        head = f'{{"jsonrpc":"2.0","id":{asked["id"]},'.encode()
        if method != "eth_getLogs":
            return head + b'"result":' + json.dumps(self._result(method, params)).encode() + b"}"
        first, last = (int(params[0][name], 16) for name in ("fromBlock", "toBlock"))
        last = min(last, self._head)
        if (last - first + 1) * BLOCK_ACTS * ACT_LOGS > MOST_LOGS:
            return head + b'"error":{"code":-32005,"message":"query returned more than 10000 results"}}'
        first = max(first, 1)
        self._given.append((first, last, time.monotonic()))
        begin, end = self._ends[first], self._ends[max(last + 1, first)]
        return head + b'"result":[' + os.pread(self._file, end - begin, begin)[:-1] + b"]}"

    def _result(self, method: str, params: Sequence[Any]) -> Any:
        if method == "eth_blockNumber":
            return hex(self._head)
        if method == "eth_getBlockByNumber":
            number = self._head if params[0] == "latest" else int(params[0], 16)
            return {"number": hex(number), "hash": _hash(number), "timestamp": hex(GENESIS + number)}
        if method == "eth_call":
            return "0x" + self._aggregate(bytes.fromhex(params[0]["data"][2:])).hex()
        if method.startswith("bench_"):
            return self._control(method, params)
        raise AssertionError(method)

    def _control(self, method: str, params: Sequence[Any]) -> Any:
        if method == "bench_release":
            self._head = params[0]
            self._given.clear()
        return {"given": self._given, "digest": self._digest} if method == "bench_facts" else None

    def _aggregate(self, data: bytes) -> bytes:
        """`aggregate3`: what the bot asks for and this node knows; everything else reverts."""
        base = 4 + 32
        count = _number(data, base)
        results = []
        for nth in range(count):
            item = base + 32 + _number(data, base + 32 + 32 * nth)
            length = _number(data, item + 96)
            results.append(self._read(data[item + 128 : item + 128 + length]))
        items = [word(int(bool(result))) + word(64) + word(len(result)) + result for result in results]
        offsets = accumulate((len(item) for item in items[:-1]), initial=32 * count)
        return word(32) + word(count) + b"".join(map(word, offsets)) + b"".join(items)

    def _read(self, call: bytes) -> bytes:
        selector, argument = call[:4], "0x" + call[-20:].hex()
        if selector == GET_BLOCK_NUMBER:
            return word(self._head)
        if selector == GET_BLOCK_TIMESTAMP:
            return word(GENESIS + self._head)
        if selector == GET_ASSET_PRICE:
            return word(BASE_UNIT)
        if selector == GET_USER_ACCOUNT_DATA:
            collateral = 2 * _HELD * BASE_UNIT // WAD
            debt = self._scene.debt(argument) * BASE_UNIT // WAD
            health = round(self._scene.health[argument] * WAD)
            return b"".join(map(word, (collateral, debt, 0, _THRESHOLD, 7_500, health)))
        return b""


def _serve(pipe: Connection, blocks: int) -> None:
    """Generate, then answer until the parent ends this process."""
    with tempfile.TemporaryDirectory() as directory:
        node = _Node(Scene(), directory, blocks)
        app = web.Application(client_max_size=2**26)
        app.router.add_post("/", node.answer)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            pipe.send(listening.getsockname()[1])
            web.run_app(app, sock=listening, print=None, access_log=None)


def _said(asset: str, who: str, amount: int, *, is_debt: bool, takes: bool) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The pool's own event: its topics and its words."""
    if takes and is_debt:
        return (topics.REPAY, asset, who, who), (amount, 0)
    if takes:
        return (topics.WITHDRAW, asset, who, who), (amount,)
    if is_debt:
        return (topics.BORROW, asset, who, "0x" + "0" * 64), (int(who, 16), amount, 2, 5 * 10**25)
    return (topics.SUPPLY, asset, who, "0x" + "0" * 64), (int(who, 16), amount)


def _log(emitter: str, names: Sequence[str], numbers: Sequence[int], block: int, place: int) -> str:
    quoted = '","'.join(names)
    data = "".join([f"{number:064x}" for number in numbers])
    return (
        f'{{"address":"{emitter}","topics":["{quoted}"],"data":"0x{data}","blockHash":"{_hash(block)}",'
        f'"blockNumber":"{block:#x}","blockTimestamp":"{GENESIS + block:#x}",'
        f'"transactionHash":"0x{block * 1000 + place // ACT_LOGS:064x}","transactionIndex":"{place // ACT_LOGS:#x}",'
        f'"logIndex":"{place:#x}","removed":false}}'
    )


def _reserve(tokens: ReserveTokens) -> Reserve:
    return Reserve(
        id=tokens.id,
        decimals=18,
        price=0,
        ltv=7_500,
        liquidation_threshold=_THRESHOLD,
        liquidation_bonus=10_500,
        protocol_fee=1_000,
        emode_category=0,
        liquidity_index=RAY,
        liquidity_rate=0,
        variable_borrow_index=RAY,
        variable_borrow_rate=0,
        last_update=GENESIS,
        active=True,
        frozen=False,
        paused=False,
        grace_until=0,
    )


def _address(dice: random.Random) -> Address:
    return f"0x{dice.getrandbits(160):040x}"


def _hash(block: int) -> str:
    return f"0x{block * 7919:064x}"


def _word(address: Address) -> str:
    return "0x" + "0" * 24 + address[2:]


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 32])
