"""A disk that takes nothing more during a run: it is said, the run goes on, and ends with its summary."""

import json
import resource
import time
from urllib.request import urlopen

from liqcli.sandbox.process import free_port
from tests.cli.test_redis_faults import Bot, healthy


def test_a_full_disk_does_not_end_a_run(place, valkey):
    """No file can grow any more: the bot says what it cannot write, its page goes on telling, its end is in order."""
    port = free_port()
    process = place.start("run", "--sandbox", "--redis", valkey.url, "--http", f"127.0.0.1:{port}", "--json")
    bot = Bot(process, None, valkey, place)
    bot.read()
    bot.says(" READY ")
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    bot.says("`liq status` cannot follow this run: File too large")
    first, until = told_by(port), time.monotonic() + 30
    while told_by(port) < first + 3.0:
        assert time.monotonic() < until, "".join(bot.lines)
        time.sleep(0.2)
    summary = bot.end()
    assert process.returncode == 0, "".join(bot.lines)
    assert healthy(summary)
    assert sum("takes no lines" in line for line in bot.lines) == 1
    assert not list((place.directory / "data").glob("*.tmp"))


def told_by(port):
    """How long the run lasts, by its own page."""
    with urlopen(f"http://127.0.0.1:{port}/status.json", timeout=5) as answer:
        return json.load(answer)["duration_s"]
