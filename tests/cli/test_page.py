"""The page of a real `liq run`: it answers from the start, tells the truth about Redis, and ends with the run."""

import json
import os
import re
import signal
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen


def ask(url):
    """Code and body of a GET."""
    try:
        with urlopen(url, timeout=5) as answer:  # noqa: S310  our own page
            return answer.status, answer.read().decode()
    except HTTPError as err:
        with err:
            return err.code, err.read().decode()


def wait_for(url, code, seconds=30):
    """Ask until the answer has this code; returns its body."""
    until = time.monotonic() + seconds
    while (answer := ask(url))[0] != code and time.monotonic() < until:
        time.sleep(0.2)
    assert answer[0] == code, answer
    return answer[1]


def server_of(pid):
    """The Valkey that a run has started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return next(int(child) for child in children if "valkey" in Path(f"/proc/{child}/cmdline").read_text())


def test_a_run_is_probed_scraped_and_loses_its_redis(place):
    """Ready after the first pass; when Redis hangs /readyz names it while /healthz stays, and both recover."""
    with place.start("run", "--sandbox", "--http", "127.0.0.1:0") as process:
        try:
            line = next(line for line in process.stderr if line.startswith("page at "))
            url = re.search(r"http://127\.0\.0\.1:\d+", line)[0]
            assert ask(f"{url}/healthz")[0] == 200
            wait_for(f"{url}/readyz", 200, 45)
            status = json.loads(ask(f"{url}/status.json")[1])
            assert (status["mode"], status["problems"]) == ("sandbox", [])
            metrics = ask(f"{url}/metrics")[1]
            assert re.search(r"^liq_borrowers\{tier=\"safe\"\} \d+", metrics, re.MULTILINE)
            assert not re.search(r"\{[^}]*0x[0-9a-f]{6}", metrics)
            server = server_of(process.pid)
            os.kill(server, signal.SIGSTOP)
            assert "Redis does not answer" in wait_for(f"{url}/readyz", 503)
            assert ask(f"{url}/healthz")[0] == 200
            os.kill(server, signal.SIGCONT)
            wait_for(f"{url}/readyz", 200)
        finally:
            process.kill()
            process.communicate()
