"""Logs into events and into the book, beside eth_abi: `python -m benchmarks.decode [--quick]`.

1.4 million generated logs of 50,000 borrowers, as nodes answer them: of each act the ReserveDataUpdated, the Mint or
Burn of the token, and the pool's own event. Every ten answers go through each way in turn; eth_abi, which is slow,
decodes the first of them. Rates are medians over the answers, of CPU time of this thread; what the generator holds is
kept from the garbage collector.

`applied` is the whole way of a catch-up, from the bytes to the book, where accounts stay in columns until somebody
looks at them; `applied_and_looked_at` has its part in the look that everybody gets in the end, which costs by the
account and not by the log. The same events go into a second book one by one (`singly`), and in the end the two must be
alike.
"""

import argparse
import gc
import json
import random
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import accumulate, islice
from typing import Any

from eth_abi import decode

from benchmarks.figure import figure
from liqcli.aave.ray import RAY, ray_div, ray_mul
from liqcli.book import fold
from liqcli.book.decode import Decoder
from liqcli.book.events import BookEvent, decode_logs
from liqcli.book.positions import Book, Identity, Page
from liqcli.book.state import Image, ReserveState
from liqcli.chain import topics
from liqcli.chain.reserves import ReserveTokens
from liqcli.model import Address

ANSWER = 2_000
TURN = 10
"""Answers; whoever catches up does nothing else in between, and finds in the processor's cache what he left there."""
PEOPLE, RESERVES = 50_000, 20
BLOCK_ACTS = 20
POOL = "0x" + "90" * 20
IDENTITY = Identity(999, "bench", POOL)
FAR_HEAD = 10**9
"""Whoever catches up is far behind the chain's head: nothing is kept to be undone."""
SIGNATURES = {
    topics.MINT: (("address", "address"), ("uint256", "uint256", "uint256")),
    topics.BURN: (("address", "address"), ("uint256", "uint256", "uint256")),
    topics.RESERVE_DATA_UPDATED: (("address",), ("uint256",) * 5),
    topics.COLLATERAL_ENABLED: (("address", "address"), ()),
    topics.SUPPLY: (("address", "address", "uint16"), ("address", "uint256")),
    topics.WITHDRAW: (("address", "address", "address"), ("uint256",)),
    topics.BORROW: (("address", "address", "uint16"), ("address", "uint256", "uint8", "uint256")),
    topics.REPAY: (("address", "address", "address"), ("uint256", "bool")),
}


class Generator:
    """Writes the logs of borrowers who supply, withdraw, borrow and repay; a few do most of it (Zipf, 0.9)."""

    def __init__(self, seed: int = 1) -> None:
        self._dice = random.Random(seed)
        self._people = [f"{self._dice.getrandbits(160):040x}" for _ in range(PEOPLE)]
        self._weights = list(accumulate((number + 1) ** -0.9 for number in range(PEOPLE)))
        self.tokens = [ReserveTokens(n, *self._addresses(n), 18, *self._pair()) for n in range(RESERVES)]
        self._indexes = [RAY + self._dice.getrandbits(88) for _ in range(RESERVES)]
        self._balances: dict[tuple[str, str], int] = {}
        self._block, self._place, self._count = 0, 0, 0
        self._logs: list[dict[str, Any]] = []

    def answers(self, logs: int) -> Iterator[bytes]:
        """So many logs, in answers as nodes write them."""
        while self._count < logs:
            self._next_block()
            for person in self._dice.choices(self._people, cum_weights=self._weights, k=BLOCK_ACTS):
                self._act(person)
            if len(self._logs) >= ANSWER:
                document = {"jsonrpc": "2.0", "id": 1, "result": self._logs}
                yield json.dumps(document, separators=(",", ":")).encode()
                self._logs = []

    def _addresses(self, number: int) -> tuple[str, str]:
        return f"0x{self._dice.getrandbits(160):040x}", f"T{number}"

    def _pair(self) -> tuple[str, str]:
        return f"0x{self._dice.getrandbits(160):040x}", f"0x{self._dice.getrandbits(160):040x}"

    def _next_block(self) -> None:
        self._block += 1
        self._place = 0

    def _act(self, person: str) -> None:
        number = self._dice.randrange(RESERVES)
        reserve, index = self.tokens[number], self._indexes[number]
        is_debt = self._dice.random() < 0.4
        token = reserve.debt_token if is_debt else reserve.a_token
        scaled = self._balances.get((token, person), 0)
        balance = ray_mul(scaled, index)
        takes = balance > 0 and self._dice.random() < 0.45
        amount = min(balance, 10**18) if takes else self._dice.randrange(1, 10 ** self._dice.choice((12, 18, 21)))
        self._log(POOL, [topics.RESERVE_DATA_UPDATED, _word(reserve.asset)], 0, 0, 0, index, index)
        if takes:
            self._log(token, [topics.BURN, _word(person), _word(person)], amount, 0, index)
        else:
            self._log(token, [topics.MINT, _word(person), _word(person)], amount, 0, index)
        self._balances[token, person] = scaled + (-ray_div(amount, index) if takes else ray_div(amount, index))
        self._tell(person, reserve.asset, amount, is_debt=is_debt, takes=takes)
        if not is_debt and not balance:
            self._log(POOL, [topics.COLLATERAL_ENABLED, _word(reserve.asset), _word(person)])

    def _tell(self, person: str, asset: str, amount: int, *, is_debt: bool, takes: bool) -> None:
        """The pool's own event."""
        names, who = [_word(asset), _word(person), _word(person)], int(person, 16)
        if takes and is_debt:
            self._log(POOL, [topics.REPAY, *names], amount, 0)
        elif takes:
            self._log(POOL, [topics.WITHDRAW, *names], amount)
        elif is_debt:
            self._log(POOL, [topics.BORROW, *names[:2], _word("0")], who, amount, 2, 5 * 10**25)
        else:
            self._log(POOL, [topics.SUPPLY, *names[:2], _word("0")], who, amount)

    def _log(self, emitter: str, names: list[str], *numbers: int) -> None:
        self._logs.append(
            {
                "address": emitter,
                "topics": names,
                "data": "0x" + "".join(f"{number:064x}" for number in numbers),
                "blockHash": _word(f"{self._block * 7919:x}"),
                "blockNumber": hex(self._block),
                "blockTimestamp": hex(1_700_000_000 + self._block),
                "transactionHash": _word(f"{self._count * 104_729:x}"),
                "transactionIndex": hex(self._place // 3),
                "logIndex": hex(self._place),
                "removed": False,
            }
        )
        self._place += 1
        self._count += 1


class Clock:
    """CPU seconds a log of each way, answer by answer."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, list[float]] = defaultdict(list)

    def timed(self, name: str, logs: int, work: Callable[[], Any]) -> Any:
        """Do the work once and count it."""
        began = time.thread_time()
        result = work()
        self._seconds[name].append((time.thread_time() - began) / logs)
        return result

    def rate(self, *names: str) -> float:
        """Logs a CPU second, when all this is done to each."""
        return 1.0 / sum(statistics.median(self._seconds[name]) for name in names)


def main(logs: int) -> bool:
    """Measure and print everything; true when every target is met."""
    generator, decoder, clock = Generator(), Decoder(), Clock()
    folded, single = (Book(IDENTITY, generator.tokens, (3, 0, 2), cursor=0, complete=True) for _ in range(2))
    for book in (folded, single):
        book.put_market((ReserveState(tokens) for tokens in generator.tokens), {}, block=0)
    fold.warm()
    decoder.decode(b'{"result":[]}')
    answers = generator.answers(logs)
    while turn := list(islice(answers, TURN)):
        gc.freeze()
        events = _decoded(turn, decoder, clock)
        gc.freeze()
        _applied(turn, events, decoder, clock, folded, single)
    gc.freeze()
    clock.timed("looked at", logs, folded.ledger.bring_home)
    if _images(folded) != _images(single):
        sys.exit("the two books differ")
    results = [
        figure("decode.eth_abi", clock.rate("eth_abi"), "logs/cpu-s"),
        figure("decode.columns", clock.rate("columns"), "logs/cpu-s", reference=clock.rate("eth_abi"), target=50.0),
        figure("decode.events", clock.rate("events"), "logs/cpu-s", reference=clock.rate("eth_abi")),
        figure("decode.pure", clock.rate("pure"), "logs/cpu-s", reference=clock.rate("eth_abi")),
        figure(
            "decode.pure_after_json",
            clock.rate("pure after json"),
            "logs/cpu-s",
            reference=clock.rate("eth_abi after json"),
            target=15.0,
        ),
        figure("decode.applied", clock.rate("applied"), "logs/cpu-s", reference=clock.rate("eth_abi"), target=50.0),
        figure(
            "decode.applied_and_looked_at",
            clock.rate("applied", "looked at"),
            "logs/cpu-s",
            reference=clock.rate("eth_abi"),
        ),
        figure("decode.singly", clock.rate("singly"), "logs/cpu-s", reference=clock.rate("eth_abi")),
        figure("decode.accounts", len(folded), "accounts"),
        figure("decode.unknown", len(folded.unknown) + folded.gaps, "accounts or gaps", at_most=0.0, of="value"),
    ]
    return all(results)


def _decoded(answers: list[bytes], decoder: Decoder, clock: Clock) -> list[list[BookEvent]]:
    """Every way from answers to events, which are all the same."""
    counts = list(map(_count, answers))
    for answer, count in zip(answers, counts, strict=True):
        # The scan alone: it makes no Python objects, tuples are made from it only where somebody wants them.
        clock.timed("columns", count, lambda: decoder._scan(answer))  # noqa: B023, SLF001 - called at once
    events = [
        clock.timed("events", count, lambda: decoder.decode(answer))  # noqa: B023
        for answer, count in zip(answers, counts, strict=True)
    ]
    for answer, count, found in zip(answers, counts, events, strict=True):
        clock.timed("pure", count, lambda: decode_logs(json.loads(answer)["result"]))  # noqa: B023
        parsed: list[dict[str, Any]] = json.loads(answer)["result"]
        if found != clock.timed("pure after json", count, lambda: decode_logs(parsed)):  # noqa: B023
            sys.exit("the fast decoder and the reference disagree")
    _sampled(answers[0], counts[0], clock)
    return events


def _sampled(answer: bytes, count: int, clock: Clock) -> None:
    parsed: list[dict[str, Any]] = json.loads(answer)["result"]
    clock.timed("eth_abi", count, lambda: _by_eth_abi(json.loads(answer)["result"]))
    clock.timed("eth_abi after json", count, lambda: _by_eth_abi(parsed))


def _applied(answers: list[bytes], events: list[list[BookEvent]], decoder: Decoder, clock: Clock, *books: Book) -> None:
    folded, single = books
    for found in events:
        page = Page(single.cursor + 1, found[-1].block, FAR_HEAD, found, {})
        clock.timed("singly", len(found), lambda: single.apply(page))  # noqa: B023
    for answer, found in zip(answers, events, strict=True):
        logs = answer[answer.index(b"[") : -1]
        clock.timed("applied", len(found), lambda: _apply(logs, decoder, folded, found[-1].block))  # noqa: B023


def _apply(logs: bytes, decoder: Decoder, book: Book, last: int) -> None:
    plain = decoder.decode_plain(logs, last=last)
    assert plain is not None
    book.apply(Page(book.cursor + 1, last, FAR_HEAD, plain.events, plain.hashes))


def _count(answer: bytes) -> int:
    return answer.count(b'"topics"')


def _images(book: Book) -> dict[Address, Image]:
    return {address: account.image() for address, account in book.ledger.accounts.items()}


def _by_eth_abi(logs: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """The same fields by the usual library: each topic and the data by their types."""
    decoded = []
    for log in logs:
        names, types = SIGNATURES[log["topics"][0]]
        values = [
            decode([name], bytes.fromhex(topic[2:]))[0] for name, topic in zip(names, log["topics"][1:], strict=True)
        ]
        values += decode(types, bytes.fromhex(log["data"][2:]))
        decoded.append((int(log["blockNumber"], 16), int(log["logIndex"], 16), log["address"], *values))
    return decoded


def _word(digits: str) -> str:
    return "0x" + digits.removeprefix("0x").rjust(64, "0")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="100,000 logs instead of 1.4 million")
    sys.exit(0 if main(100_000 if parser.parse_args().quick else 1_400_000) else 1)
