"""What comes back over HTTP: long lists of logs are cut out of a batch, and nothing else is."""

import json
import sys

import pytest

from liqcli.chain import answers
from liqcli.chain.answers import Fault, Undecoded, checked

BATCH = [
    {"id": 1, "method": "eth_blockNumber", "params": []},
    {"id": 2, "method": "eth_getLogs", "params": [{}]},
    {"id": 3, "method": "eth_getBlockByNumber", "params": ["0x1", False]},
]
LOGS = [{"topics": ["0x01", "0x02"], "data": "0x", "logIndex": hex(number)} for number in range(9)]
HEAD = {"id": 1, "result": "0x5"}
FOUND = {"id": 2, "result": LOGS}
BLOCK = {"id": 3, "result": {"number": "0x1", "transactions": [], "withdrawals": [{"index": "0x0"}]}}
LISTED = {"id": 3, "result": [{"a": 1}, {"b": 2}]}


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize(
    "answer",
    [[HEAD, FOUND], [FOUND, HEAD], [HEAD, FOUND, BLOCK], [BLOCK, FOUND], [FOUND, LISTED], [LISTED, HEAD, FOUND]],
    ids=["last", "first", "between", "behind a list", "before another list", "after another list"],
)
def test_logs_in_a_batch_are_what_json_reads(answer, indent, monkeypatch):
    """Wherever in a batch the logs stand, cut out or not, the answers are those that json reads."""
    monkeypatch.setattr(answers, "_LARGE", 1)
    asked = [request for request in BATCH if request["id"] in {item["id"] for item in answer}]
    body = json.dumps(answer, indent=indent, separators=None if indent else (",", ":")).encode()
    found = checked(asked, 200, None, body)
    decoded = [
        item | {"result": json.loads(item["result"])} if isinstance(item["result"], Undecoded) else item
        for item in found
    ]
    assert decoded == answer


@pytest.mark.parametrize("answer", [[HEAD, FOUND], [FOUND, HEAD], [HEAD, FOUND, BLOCK]])
def test_long_lists_of_logs_stay_as_they_came(answer, monkeypatch):
    """Logs of a large answer are bytes, which nobody has looked at."""
    monkeypatch.setattr(answers, "_LARGE", 1)
    asked = [request for request in BATCH if request["id"] in {item["id"] for item in answer}]
    (logs,) = [
        item["result"]
        for item in checked(asked, 200, None, json.dumps(answer, separators=(",", ":")).encode())
        if item["id"] == 2
    ]
    assert isinstance(logs, Undecoded)
    assert json.loads(logs) == LOGS


@pytest.fixture
def usual_limit():
    """Python's own bound on nesting, which some libraries raise."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)
    yield
    sys.setrecursionlimit(limit)


@pytest.mark.usefixtures("usual_limit")
@pytest.mark.parametrize("body", [b"[" * 100_000, b'[{"id":1,"result":' + b"[" * 100_000], ids=["bare", "in a result"])
def test_brackets_without_end_are_a_fault_of_the_node(body):
    """A hostile answer ends as any other that is no JSON."""
    with pytest.raises(Fault, match="malformed JSON"):
        checked(BATCH, 200, None, body)
