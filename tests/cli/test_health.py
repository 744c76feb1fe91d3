"""`liq health`: the truth in one exit code, cheaply, whatever the settings."""

import json
import os
import resource
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import jsonschema
import pytest

from liqcli.lock import hold

SCHEMA = Path(__file__).parents[2] / "docs" / "schemas" / "health.json"
BUDGET_S = 0.15
HEAVY = {"pydantic", "pydantic_settings", "rich", "aiohttp", "redis", "web3", "asyncio", "liqcli.config"}
SOUND = {
    "ready": True,
    "head": {"block": 9, "age_s": 0.5, "problem": None},
    "book": {"block": 9},
    "backlog": 0,
    "events": {"lost": 0},
}
GONE = {"state": "benched", "why": "timed out"}
AGED = {"block": 9, "age_s": 6.0, "problem": None}


@contextmanager
def page(status, body):
    """A real HTTP server that always answers the same."""

    class Page(BaseHTTPRequestHandler):
        """Answers one way."""

        def do_GET(self):
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/readyz"
        server.shutdown()


def test_a_running_bot_is_healthy(running):
    """Exit 0, and the document is what its schema promises."""
    for _ in range(10):  # READY is written to the file a moment after it is printed
        finished = running.liq("health", "--json")
        if finished.code == 0:
            break
        time.sleep(1.0)
    assert finished.code == 0, finished.out
    jsonschema.validate(finished.json, json.loads(SCHEMA.read_text()))
    assert running.liq("health").out == "healthy\n"


def test_no_bot_is_exit_7(place):
    """Nobody holds the data directory."""
    finished = place.liq("health")
    assert (finished.code, "no bot is running" in finished.err) == (7, True)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, ""),
        ({"ready": False}, "the first pass is not complete"),
        ({"events": {"lost": 3}}, "3 events were lost"),
        ({"backlog": 5}, "5 borrowers wait outside Redis"),
        ({"endpoints": [GONE]}, ""),
        ({"endpoints": [GONE], "head": AGED}, "no RPC endpoint answers (timed out)"),
        ({"endpoints": [GONE, {"state": "ready", "why": ""}], "head": AGED}, ""),
    ],
)
def test_what_the_bot_says_of_itself_decides(place, changed, told):
    """A sound status is exit 0, a problem is exit 1 and named."""
    with hold(place.directory / "data", "run", {"status": {**SOUND, **changed}}):
        finished = place.liq("health")
    assert finished.code == (1 if told else 0)
    assert told in finished.out


def test_a_bot_that_fell_silent_is_not_healthy(place):
    """It holds its lock and last said that all is well, but that was a minute ago."""
    with hold(place.directory / "data", "run", {"status": SOUND}):
        told = place.directory / "data" / "run.json"
        os.utime(told, (time.time() - 60, time.time() - 60))
        finished = place.liq("health")
    assert finished.code == 1
    assert "it has told nothing for 6" in finished.out


def test_a_bot_that_is_still_starting_is_not_healthy(place):
    """The lock is held, but there is no status yet."""
    with hold(place.directory / "data", "run", {"started": "now"}):
        finished = place.liq("health")
    assert (finished.code, finished.out) == (1, "unhealthy: it is still starting\n")


@pytest.mark.parametrize(
    ("status", "body", "code", "told"),
    [
        (200, b"ok", 0, "healthy"),
        (503, b'{"problems": ["the head is 40 s old"]}', 1, "the head is 40 s old"),
        (503, b"not ready\x1b[2J", 1, "not ready?[2J"),
        (404, b"", 1, "answered 404"),
    ],
)
def test_a_page_can_be_asked_instead(place, status, body, code, told):
    """200 is healthy, 503 is not and says why, anything else is an error."""
    with page(status, body) as url:
        finished = place.liq("health", "--url", url)
    assert finished.code == code
    assert told in finished.out + finished.err


def test_nobody_at_the_address_is_exit_7(place):
    """A refused connection means that nothing runs; what is no address is a usage error."""
    assert place.liq("health", "--url", "http://127.0.0.1:1/readyz").code == 7
    assert place.liq("health", "--url", "localhost:9109").code == 2


def test_it_needs_no_settings_and_no_secret(place):
    """Settings that no other command would take do not keep the probe from its work."""
    (place.directory / "liq.toml").write_text('data_dir = "elsewhere"\nnonsense = [\n')
    with hold(place.directory / "data", "run", {"status": SOUND}):
        finished = place.liq("health", LIQ_RPC__URL="nonsense", LIQ_NO_SUCH="1")
    assert finished.code == 0, finished.err


def test_the_data_directory_is_found_as_other_commands_find_it(place):
    """The variable, else liq.toml, else the user's own directory."""
    (place.directory / "liq.toml").write_text('data_dir = "elsewhere"\n')
    with hold(place.directory / "elsewhere", "run", {"status": SOUND}):
        assert place.liq("health", LIQ_DATA_DIR="").code == 0
        assert place.liq("health").code == 7


def test_it_loads_next_to_nothing():
    """Neither settings nor any heavy package."""
    code = (
        "import sys\nfrom liqcli.cli.main import exit_code_of\nexit_code_of(['health', '--data-dir', '/nowhere'])\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_it_costs_little_more_than_python_itself():
    """Processor time of the cheapest of seven, beside an interpreter that does nothing."""
    probe = cost_of("-m", "liqcli", "health", "--data-dir", "/nowhere")
    assert probe - cost_of("-c", "pass") < BUDGET_S


def cost_of(*args):
    """The processor time of the cheapest of seven runs."""
    costs = []
    for _ in range(7):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *args], capture_output=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        costs.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(costs)
