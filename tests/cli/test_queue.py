"""`liq queue` against a real server that holds a known queue."""

import asyncio
import json
import os
import pty
import random
from dataclasses import dataclass

import pytest

from liqcli.cli.queue_output import items_in
from liqcli.errors import InputError
from liqcli.model import Tier
from liqcli.sandbox.valkey import start_valkey
from liqcli.store.connection import open_redis
from liqcli.store.queue import BorrowerQueue, Entry, namespace_of
from tests.cli.conftest import Place

TIERS = list(Tier)


def address(number):
    """A fixed address for a number."""
    return f"0x{random.Random(number).getrandbits(160):040x}"


async def fill(url):
    """40 borrowers over all tiers; of the critical ones five are dead, two held, one waits for another try."""
    redis = await open_redis(url, timeout_s=5.0)
    await redis.flushall()
    namespace = namespace_of(999, "hyperlend")
    queue = BorrowerQueue(redis, namespace=namespace, max_tries=1)
    await queue.push([Entry(address(n), n / 10, TIERS[n % 5], 10**18 + n, "borrow") for n in range(40)])
    await queue.retry(await queue.claim(5), "read failed")
    patient = BorrowerQueue(redis, namespace=namespace, lease_s=600)
    held = await patient.claim(3)
    await patient.retry(held[:1], "node gone")
    await redis.aclose()


@dataclass(frozen=True)
class Filled:
    """A place and a server that holds a queue."""

    place: Place
    url: str

    def __call__(self, *args, **kwargs):
        """Run `liq queue` on it."""
        return self.place.liq("queue", *args, "--redis", self.url, **kwargs)


@pytest.fixture
def filled(place, tmp_path_factory):
    """The known queue."""
    valkey = asyncio.run(start_valkey(tmp_path_factory.mktemp("valkey"), persist=False))
    asyncio.run(fill(valkey.url))
    yield Filled(place, valkey.url)
    asyncio.run(valkey.stop())


def test_looking_is_bounded_and_takes_nothing(filled):
    """stats, peek, ls, dead, show and export agree on what is there, before and after."""
    before = filled("stats", "--json").json
    assert (before["items"], before["leased"], before["dead"], before["later"]) == (33, 2, 5, 1)
    assert len(filled("peek", "-n", "7", "--json").json["items"]) == 7
    assert len(filled("ls", "-n", "10", "--first", "30", "--json").json["items"]) == 2
    assert {item["state"] for item in filled("ls", "--state", "leased", "--json").json["items"]} == {"leased"}
    assert [item["failure"] for item in filled("dead", "--json").json["items"]] == ["read failed"] * 5
    item = filled("show", address(1).upper().replace("X", "x"), "--json").json["item"]
    assert (item["tier"], item["health_factor"], item["state"]) == ("high_risk", str(10**18 + 1), "ready")
    assert len(filled("export").out.splitlines()) == 40
    assert filled("stats", "--json").json["totals"] == before["totals"]


def test_purge_says_how_many_and_asks_for_yes_where_nobody_can_be_asked(filled):
    """Without a terminal and --yes nothing is removed, exit 2, and the flag is named; with it the tier goes."""
    refused = filled("purge", "--tier", "low")
    assert (refused.code, refused.out) == (2, "")
    assert "would remove 8 borrowers of tier low_risk" in refused.err
    assert "hint: liq queue purge --yes" in refused.err
    done = filled("purge", "--tier", "low", "--yes", "--json")
    assert (done.code, done.json["purged"], done.json["tier"]) == (0, 8, "low_risk")
    assert filled("purge", "--tier", "low", "--json").json["purged"] == 0


def test_purge_leaves_what_is_held(filled):
    """Everything that nobody holds goes, dead letters too; the two under way stay."""
    assert filled("purge", "--yes", "--json").json["purged"] == 38
    stats = filled("stats", "--json").json
    assert (stats["items"], stats["leased"], stats["dead"]) == (0, 2, 0)


@pytest.mark.parametrize(("answer", "code", "left"), [("n", 130, 33), ("y", 0, 25)])
def test_purge_asks_at_a_terminal(filled, answer, code, left):
    """A person is shown the count and asked; anything but yes leaves the queue as it is."""
    ours, theirs = pty.openpty()
    os.write(ours, f"{answer}\n".encode())
    with filled.place.start("queue", "purge", "--tier", "safe", "--redis", filled.url, stdin=theirs) as process:
        _, err = process.communicate(timeout=20)
    os.close(ours)
    os.close(theirs)
    assert "would remove 8 borrowers of tier safe" in err
    assert process.returncode == code
    assert filled("stats", "--json").json["items"] == left


def test_a_dead_letter_is_requeued(filled):
    """It is ready at once with no failure on record; doing it twice is an error with a next step."""
    dead = filled("dead", "--json").json["items"][0]["borrower"]
    assert filled("requeue", dead, "--json").json == {"schema_version": 1, "borrower": dead, "requeued": True}
    assert filled("show", dead, "--json").json["item"]["tries"] == 0
    again = filled("requeue", dead)
    assert again.code == 1
    assert f"hint: liq queue show {dead}" in again.err


def test_promote_puts_in_front(filled):
    """The safest borrower is the next to be claimed."""
    assert filled("promote", address(39)).code == 0
    [first] = [item for item in filled("peek", "--json").json["items"] if not item["leased"]][:1]
    assert first["borrower"] == address(39)


def test_pause_and_resume_are_seen_by_everyone(filled):
    """Stats say so as long as it lasts."""
    assert filled("pause", "--json").json["paused"] is True
    assert filled("stats", "--json").json["paused"] is True
    assert "PAUSED" in filled("stats").out
    assert filled("resume", "--json").json["paused"] is False
    assert filled("stats", "--json").json["paused"] is False


def test_an_export_can_be_imported_elsewhere(filled):
    """Every borrower comes back with tier, exact health factor, failures and state; what was held is ready."""
    exported = filled("export").out
    items = {item["borrower"]: item for item in map(json.loads, exported.splitlines())}
    (filled.place.directory / "queue.jsonl").write_text(exported)
    assert filled("import", "queue.jsonl", "--json").json["loaded"] == 0
    filled("purge", "--yes")
    taken = filled("import", "-", "--json", text=exported)
    assert (taken.json["read"], taken.json["loaded"]) == (40, 38)
    for line in filled("export").out.splitlines():
        item = json.loads(line)
        before = items[item["borrower"]]
        assert item["state"] == {"later": "ready"}.get(before["state"], before["state"])
        same = ("tier", "score", "health_factor", "because", "tries", "failure")
        assert [item[name] for name in same] == [before[name] for name in same]


GOOD = {
    "borrower": address(777),
    "tier": "safe",
    "score": 0.5,
    "health_factor": "5",
    "because": "x",
    "age_s": 1.0,
    "tries": 0,
    "state": "ready",
}


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[" * 60_000,
        "[]",
        '"text"',
        "null",
        *(
            json.dumps({**GOOD, **wrong})
            for wrong in (
                {"borrower": "0x12"},
                {"borrower": 5},
                {"tier": "urgent"},
                {"state": "gone"},
                {"score": float("nan")},
                {"health_factor": str(2**256)},
                {"health_factor": "-1"},
                {"health_factor": "9" * 5000},
                {"age_s": -5},
                {"age_s": "old"},
                {"tries": 70_000},
            )
        ),
        json.dumps({name: value for name, value in GOOD.items() if name != "score"}),
    ],
    ids=lambda line: line[-30:],
)
def test_a_line_that_is_no_borrower_is_named(line):
    """Whatever it is, it is an input error with the number of the line."""
    with pytest.raises(InputError, match="line 3 of here is no borrower"):
        list(items_in([json.dumps(GOOD), "", line], source="here"))


def test_an_import_is_all_or_nothing(filled):
    """A bad line, or one without end, is exit 8, and the good lines before it are not taken in either."""
    for bad in ("{", "x" * 70_000):
        finished = filled("import", "-", text=f"{json.dumps(GOOD)}\n{bad}\n")
        assert finished.code == 8, finished.out
        assert "stdin" in finished.err
    assert filled("show", address(777)).code == 1
    assert filled("import", "nowhere.jsonl").code == 8


def test_wrong_words_are_usage_errors(filled):
    """A tier, a state or an address that is none: exit 2 and the known ones."""
    for args in (("purge", "--tier", "urgent"), ("ls", "--state", "gone"), ("show", "0x12")):
        finished = filled(*args)
        assert finished.code == 2, finished.err
        assert finished.err.startswith("error: ")
        assert "hint: " in finished.err
