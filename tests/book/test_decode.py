"""The fast decoder gives what the reference decoder gives, on anything a node may answer."""

import json
import random
from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from liqcli.book.decode import _FORMS, Decoder
from liqcli.book.events import TOPICS, decode_logs
from liqcli.chain import topics
from liqcli.chain.market import open_market
from liqcli.errors import Unreachable

HEX = "0123456789abcdef"
GETH = ["address", "topics", "data", "blockNumber", "blockHash", "transactionHash", "transactionIndex", "logIndex"]
ORDERS = ([*GETH, "blockTimestamp", "removed"], ["removed", "blockTimestamp", *reversed(GETH)])


def words(*numbers):
    """Data of these words."""
    return "0x" + "".join(f"{number:064x}" for number in numbers)


def log_of(topic, dice, *, most=2**100):
    """A log of an event with as many arguments as it has."""
    form = _FORMS.get(topic)
    count = form.words if form else 3
    arguments = ["0x" + f"{dice.getrandbits(160):064x}" for _ in range(3)]
    return {
        "address": f"0x{dice.getrandbits(160):040x}",
        "topics": [topic, *arguments],
        "data": words(*(dice.randrange(most) for _ in range(count))),
        "blockHash": words(dice.getrandbits(255)),
        "blockNumber": hex(dice.getrandbits(30)),
        "blockTimestamp": hex(dice.getrandbits(31)),
        "transactionHash": words(dice.getrandbits(255)),
        "transactionIndex": hex(dice.getrandbits(8)),
        "logIndex": hex(dice.getrandbits(10)),
        "removed": False,
    }


def answer_of(logs, *, order=ORDERS[0], indent=None):
    """A node's answer with keys in its order, compact as nodes write it unless indented."""
    ordered = [{key: log[key] for key in order if key in log} for log in logs]
    separators = None if indent else (",", ":")
    return json.dumps({"jsonrpc": "2.0", "id": 1, "result": ordered}, indent=indent, separators=separators).encode()


def same(answer, times=None):
    """Both decoders, and that they agree, also in refusing."""
    try:
        expected = decode_logs(json.loads(answer)["result"], times=times)
    except Unreachable as err:
        with pytest.raises(Unreachable, match=str(err)[:30].replace("(", r"\(")):
            Decoder().decode(answer, times=times)
        return None
    found = Decoder().decode(answer, times=times)
    assert found == expected
    assert [type(event) for event in found] == [type(event) for event in expected]
    return found


async def test_the_logs_of_a_real_node(world):
    """Every log of the sandbox's life, as the node wrote it, becomes the same events."""
    market = await open_market(world.rpc, name="sandbox", provider=world.facts.provider, chain_id=None)
    query = {"fromBlock": "0x0", "toBlock": hex((await market.head())[0])}
    logs = await world.rpc.call("eth_getLogs", query)
    assert len(same(answer_of(logs))) > 100


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("seed", range(5))
def test_any_order_of_keys_and_any_spacing(order, indent, seed):
    """Nodes write their logs in different orders; the events are the same, rare ones and unknown ones between."""
    dice = random.Random(seed)
    hot, known = sorted(_FORMS), sorted(topic for topic in TOPICS if topic in _FORMS)
    logs = [log_of(dice.choice(hot + known), dice) for _ in range(50)]
    logs.insert(7, log_of("0x" + "ab" * 32, dice))
    logs.insert(9, log_of(topics.RESERVE_PAUSED, dice) | {"data": words(1)})
    logs.insert(11, log_of(topics.UPGRADED, dice) | {"data": "0x"})
    answer = answer_of(logs, order=order, indent=indent)
    assert len(same(answer)) == 52
    if not indent:
        assert len(Decoder()._scan(answer).topic) == 53


@pytest.mark.parametrize("key", ["b", "blockTim", "x" * 5_000, "transactionIndexOfTheLog"])
def test_keys_that_change_from_log_to_log(key):
    """Where a key stood in the log before another one may stand, however long, with whatever behind it."""
    dice = random.Random(9)
    logs = [log_of(topics.MINT, dice) for _ in range(6)]
    strange = [{name: log[name] for name in ORDERS[0] if name != "blockTimestamp"} for log in logs]
    for place, log in enumerate(strange):
        name = key if place % 2 else "blockTimestamp"
        log |= {name: 1 if place % 2 else "0x5", "x": "0x7", "logIndex": hex(place)}
    found = [{"blockTimestamp": "0x9", **log} if place % 2 else log for place, log in enumerate(strange)]
    assert [event.at for event in same(answer_of(found, order=found[0].keys() | found[1].keys()))] == [5, 9] * 3


def test_logs_of_many_keys():
    """Nodes may add keys; with more than there is room for, the reference decoder judges."""
    dice = random.Random(9)
    for count in (20, 40):
        logs = [log_of(topics.MINT, dice) | {f"more{n}": None for n in range(count)} for _ in range(3)]
        assert len(same(answer_of(logs, order=list(logs[0])))) == 3


@pytest.mark.parametrize("field", [b'"topics":["', b'"address":"', b'"data":"', b'"blockNumber":"', b'"logIndex":"'])
@pytest.mark.parametrize("place", [0, 1])
def test_what_is_no_hex_string_is_left_to_the_reference(field, place):
    """Where 0x is not 0x the fast decoder makes of the log what the reference makes of it."""
    dice = random.Random(0)
    answer = bytearray(answer_of([log_of(topic, dice) for topic in sorted(_FORMS)[:4]]))
    answer[answer.index(field) + len(field) + place] = ord("1")
    damaged = bytes(answer)
    try:
        expected = decode_logs(json.loads(damaged)["result"])
    except (ValueError, Unreachable):
        with pytest.raises((ValueError, Unreachable)):
            Decoder().decode(damaged)
    else:
        assert Decoder().decode(damaged) == expected


@given(st.data())
@settings(max_examples=300)
def test_a_damaged_answer_never_becomes_another_event(data):
    """After a byte is changed or an answer is cut, the fast decoder agrees with the reference, if that can read it."""
    dice = random.Random(data.draw(st.integers(0, 20)))
    logs = [log_of(topic, dice) for topic in sorted(_FORMS)[:4]]
    answer = bytearray(answer_of(logs))
    for _ in range(data.draw(st.integers(1, 2))):
        answer[data.draw(st.integers(0, len(answer) - 1))] = data.draw(
            st.sampled_from(b'0129abfg"{}[],:x\\ rt\x00\xff')
        )
    damaged = bytes(answer[: data.draw(st.sampled_from([len(answer), len(answer) // 2]))])
    with suppress(ValueError, KeyError, TypeError, AttributeError, Unreachable):
        expected = decode_logs(json.loads(damaged)["result"])
        assert Decoder().decode(damaged) == expected


@given(st.lists(st.integers(0, 2**256 - 1), min_size=3, max_size=3))
@example([2**128, 0, 0])
@example([2**128 - 1, 2**64, 2**64 - 1])
def test_amounts_of_any_size(amounts):
    """Amounts above 128 bits are read as exactly as all others."""
    log = log_of(topics.MINT, random.Random(1)) | {"data": words(*amounts)}
    (event,) = same(answer_of([log]))
    assert event[5:] == tuple(amounts)


def test_timestamps_from_elsewhere():
    """Logs without a timestamp take their block's; without one anywhere they are refused."""
    dice = random.Random(5)
    logs = [log_of(topics.BURN, dice) for _ in range(3)]
    del logs[1]["blockTimestamp"]
    answer, block = answer_of(logs), int(logs[1]["blockNumber"], 16)
    assert same(answer, times={block: 77})[1].at == 77
    assert same(answer) is None


def test_wrong_shapes_are_refused_alike():
    """A cut word, a missing argument, a removed log and an empty list: both decoders say the same."""
    log = log_of(topics.MINT, random.Random(2))
    assert same(answer_of([log | {"data": log["data"][:-2]}])) is None
    assert same(answer_of([log | {"data": log["data"] + "00" * 32}])) is None
    assert same(answer_of([log | {"topics": log["topics"][:2]}])) is None
    assert same(answer_of([log | {"topics": []}])) is None
    assert len(same(answer_of([log | {"removed": True}]))) == 1
    assert same(answer_of([])) == []


@pytest.mark.parametrize(
    "answer",
    [b"", b"{}", b'{"result": null}', b'{"result": "0x"}', b'{"error": {"code": 1}}', b'{"result": [' + b"[" * 100_000],
    ids=lambda answer: answer[:20].decode(),
)
def test_what_is_no_list_of_logs(answer):
    """Anything but a list of logs is refused as a failure of the node."""
    with pytest.raises(Unreachable, match="eth_getLogs"):
        Decoder().decode(answer)


def test_a_broken_address_leaves_no_trace():
    """After an address that is none the decoder knows what it knew, and numbers the next ones rightly."""
    dice, decoder = random.Random(4), Decoder()
    logs = [log_of(topics.BURN, dice) for _ in range(3)]
    (first,) = decoder.decode(answer_of(logs[:1]))
    broken = logs[1] | {"topics": [topics.BURN, logs[1]["topics"][1][:-1] + "g", *logs[1]["topics"][2:]]}
    assert decoder.decode(answer_of([broken]))[0].account.endswith("g")
    assert decoder.decode(answer_of(logs)) == decode_logs(logs)
    assert decoder.decode(answer_of(logs))[0].account is first.account


def test_an_address_is_one_string():
    """The same account in later answers is the same object, also after the directory has grown, also in capitals."""
    dice, decoder = random.Random(3), Decoder()
    log = log_of(topics.BURN, dice)
    (first,) = decoder.decode(answer_of([log]))
    for _ in range(3):
        decoder.decode(answer_of([log_of(topics.BALANCE_TRANSFER, dice) for _ in range(5_000)]))
    shouted = log["topics"][1][:2] + log["topics"][1][2:].upper()
    (again,) = decoder.decode(answer_of([log | {"topics": [log["topics"][0], shouted]}]))
    assert again.account is first.account


def plain_log(block, index, dice):
    """A log of a common event in a block whose hash follows from its number."""
    log = log_of(dice.choice([topics.MINT, topics.BURN, topics.RESERVE_DATA_UPDATED, topics.SUPPLY]), dice)
    place = {"blockNumber": hex(block), "blockHash": words(block * 7919), "logIndex": hex(index)}
    return log | place | {"blockTimestamp": hex(1_700_000_000 + block)}


def plain_logs(count=300):
    """Ten blocks of them."""
    dice = random.Random(5)
    return [plain_log(100 + number // 30, number % 30, dice) for number in range(count)]


def list_of(logs):
    """A list of logs alone, as it is cut from a node's answer."""
    return json.dumps(logs, separators=(",", ":")).encode()


def test_a_plain_list_of_logs_gives_the_same_events_and_the_hash_of_each_block():
    """Where nothing has to be judged, the scanned events are those of the reference decoder."""
    logs = plain_logs()
    plain = Decoder().decode_plain(list_of(logs), last=109)
    assert list(plain.events) == decode_logs(logs)
    assert plain.hashes == {block: words(block * 7919) for block in range(100, 110)}


@pytest.mark.parametrize(
    ("change", "last"),
    [
        ({"removed": True}, 109),
        ({"blockHash": words(1)}, 109),
        ({"blockTimestamp": None}, 109),
        ({"data": "0x00"}, 109),
        ({}, 108),
    ],
    ids=["removed", "two hashes of a block", "no time", "cut data", "behind the last block"],
)
def test_one_log_to_be_judged_makes_the_list_not_plain(change, last):
    """Such a list is left to the reference decoder, wherever in it the log stands."""
    logs = plain_logs()
    logs[137] = {key: value for key, value in (logs[137] | change).items() if value is not None}
    assert Decoder().decode_plain(list_of(logs), last=last) is None


def test_a_topic_without_its_prefix_is_no_known_topic():
    """Sixty-four right digits behind anything but 0x are not taken for the event."""
    log = log_of(topics.COLLATERAL_ENABLED, random.Random(1))
    log["topics"][0] = "00" + log["topics"][0][2:]
    assert same(answer_of([log])) == []
