"""How long `liq doctor` takes, as a whole process: `python -m benchmarks.doctor [--quick]`.

Beside a running sandbox, where nothing listens, and where node and Redis take a connection and never answer.
"""

import argparse
import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from statistics import median

from benchmarks.figure import figure
from benchmarks.startup import line_with, started

MOST_S = 5.0


def main(*, quick: bool) -> bool:
    """Measure and print everything; true when every target is met."""
    rounds = 1 if quick else 5
    nothing = _examined(rounds, "--rpc", "http://127.0.0.1:1", "--redis", "redis://127.0.0.1:1/0")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        swallowed = _examined(rounds, "--rpc", f"http://127.0.0.1:{port}", "--redis", f"redis://127.0.0.1:{port}/0")
    beside = asyncio.run(_beside_a_sandbox(rounds))
    names = {"beside a sandbox": beside, "nothing listens": nothing, "nothing answers": swallowed}
    results = [figure(f"liq doctor, {name}", taken, "s", at_most=MOST_S, of="value") for name, taken in names.items()]
    return all(results)


async def _beside_a_sandbox(rounds: int) -> float:
    with tempfile.TemporaryDirectory() as directory:
        environment = {**os.environ, "LIQ_DATA_DIR": directory}
        sandbox = await started(environment, "sandbox", "up")
        await line_with(sandbox, "liquidator")
        taken = await asyncio.to_thread(_examined, rounds, "--sandbox", directory=directory)
        sandbox.kill()
        await sandbox.wait()
        return taken


def _examined(rounds: int, *args: str, directory: str = "") -> float:
    """Median seconds of the command."""
    taken = []
    with tempfile.TemporaryDirectory() as place:
        environment = {**os.environ, "LIQ_DATA_DIR": directory or place, "XDG_CONFIG_HOME": place}
        for _ in range(rounds):
            began = time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", "liqcli", "doctor", *args],
                cwd=place, env=environment, check=False, capture_output=True,
            )  # fmt: skip
            taken.append(time.perf_counter() - began)
    return median(taken)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    sys.exit(0 if main(quick=parser.parse_args().quick) else 1)
