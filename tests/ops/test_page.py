import asyncio
import json
import socket
import time
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from liqcli.errors import ConfigError
from liqcli.ops.page import is_loopback, serving
from liqcli.ops.standing import Standing
from tests.ops.statuses import standing, status

TOKEN = "a-token-of-some-length"  # noqa: S105  a test's own


def ask(url, **headers):
    """Code and body of a GET."""
    try:
        with urlopen(Request(url, headers=headers), timeout=5) as answer:  # noqa: S310  our own page
            return answer.status, answer.read().decode()
    except HTTPError as err:
        with err:
            return err.code, err.read().decode()


def test_a_healthy_bot_is_alive_and_ready():
    """Both probes answer 200 while the loop comes round and the status has no problem."""
    with serving(standing(), "127.0.0.1:0", token=None) as url:
        assert ask(f"{url}/healthz") == (200, '{"ok": true, "problems": []}')
        assert ask(f"{url}/readyz")[0] == 200


async def test_a_stuck_loop_shows_within_two_intervals():
    """While the loop that beats is blocked, the page still answers, and with 503; afterwards with 200 again."""
    told = standing()
    with serving(told, "127.0.0.1:0", token=None) as url:
        beating = asyncio.create_task(told.keep_beating(lambda: None))
        assert (await asyncio.to_thread(ask, f"{url}/healthz"))[0] == 200
        time.sleep(2 * told.every_s + 0.01)  # noqa: ASYNC251  this is the stuck loop
        code, body = ask(f"{url}/healthz")
        assert code == 503
        assert "the loop is stuck" in json.loads(body)["problems"][0]
        assert ask(f"{url}/readyz")[0] == 503
        await asyncio.sleep(told.every_s)
        assert (await asyncio.to_thread(ask, f"{url}/healthz"))[0] == 200
        beating.cancel()


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"ready": False}, "the first pass is not complete"),
        ({"queue": None}, "Redis does not answer"),
        ({"backlog": 3}, "3 borrowers wait outside Redis"),
        ({"head": {**status()["head"], "age_s": 31.0, "problem": None}}, "the head is 31 s old"),
        ({"head": {**status()["head"], "problem": "no block after 7 for 40 s"}}, "no block after 7 for 40 s"),
        ({"book": {**status()["book"], "block": status()["head"]["block"] - 61}}, "61 blocks behind the head"),
        ({"events": {**status()["events"], "lost": 2}}, "2 events were lost"),
    ],
)
def test_an_unready_bot_says_why(changed, problem):
    """Every reason not to be ready makes /readyz 503 and is named; the loop is alive all the same."""
    with serving(standing(**changed), "127.0.0.1:0", token=None) as url:
        code, body = ask(f"{url}/readyz")
        assert code == 503
        assert problem in json.loads(body)["problems"][0]
        assert ask(f"{url}/healthz")[0] == 200


def test_a_starting_bot_is_alive_but_not_ready():
    """Before the first status there is something to probe already."""
    with serving(Standing(), "127.0.0.1:0", token=None) as url:
        assert ask(f"{url}/healthz")[0] == 200
        assert json.loads(ask(f"{url}/readyz")[1])["problems"] == ["still starting"]
        assert "liq_heartbeat_age_seconds" in ask(f"{url}/metrics")[1]
        assert json.loads(ask(f"{url}/status.json")[1])["schema_version"] == 1


def test_the_status_is_that_of_liq_status():
    """/status.json holds what was told, the problems and the age of the heartbeat."""
    with serving(standing(), "127.0.0.1:0", token=None) as url:
        found = json.loads(ask(f"{url}/status.json")[1])
    assert found.items() >= {**status(), "problems": []}.items()
    assert found["heartbeat_age_s"] < 1


def test_other_machines_need_a_token():
    """An address that others reach is refused without a token; loopback is not."""
    with pytest.raises(ConfigError, match="no token protects it"), serving(Standing(), "0.0.0.0:0", token=None):
        pass
    assert is_loopback("127.0.0.1")
    assert is_loopback("::1")
    assert not is_loopback("example.com")


@pytest.mark.parametrize("path", ["healthz", "readyz", "metrics", "status.json", "nothing"])
def test_a_token_is_asked_for_on_every_path(path):
    """Without it, and with a wrong one, nothing is told, not even what exists."""
    with serving(standing(), "127.0.0.1:0", token=TOKEN) as url:
        assert ask(f"{url}/{path}")[0] == 401
        assert ask(f"{url}/{path}", Authorization=f"Bearer {TOKEN}x")[0] == 401
        assert ask(f"{url}/{path}", Authorization="Bearer \xff\xfe")[0] == 401
        assert ask(f"{url}/{path}", Authorization=f"Bearer {TOKEN}")[0] != 401


def test_a_page_elsewhere_cannot_read_it_by_rebinding_its_name():
    """Asked by a name that is not loopback's, the page refuses: a browser was sent here by another site."""
    with serving(standing(), "127.0.0.1:0", token=None) as url:
        assert ask(f"{url}/status.json", Host="attacker.example:9109")[0] == 403
        assert ask(f"{url}/status.json", Host="[::1")[0] == 403
        assert ask(f"{url}/status.json", Host="localhost:9109")[0] == 200


def test_a_taken_port_is_a_named_error():
    """Who holds the port keeps it, and the error says what to type."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        address = f"127.0.0.1:{holder.getsockname()[1]}"
        with pytest.raises(ConfigError, match="cannot listen on"), serving(Standing(), address, token=None):
            pass
