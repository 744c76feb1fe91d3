"""The model against the real channel: tokio itself, built without a network from Debian's packaged crates."""

import shutil
import subprocess
from pathlib import Path

import pytest

from liqcli.lag.advise import diagnose
from liqcli.lag.measure import measure_lag
from liqcli.lag.model import Cause
from liqcli.lag.simulate import Broadcast, Lagged

SOURCE = Path(__file__).parent / "tokio"
CRATES = Path("/usr/share/cargo/registry")
CAPACITIES = (1, 3, 8, 100, 512, 1000)
WORD = 2**64 - 1

pytestmark = pytest.mark.skipif(
    shutil.which("cargo") is None
    or not all(any(CRATES.glob(f"{name}-[0-9]*")) for name in ("tokio", "tracing-subscriber")),
    reason="the real channel needs cargo and Debian's librust-tokio-dev and librust-tracing-subscriber-dev",
)


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """The program that calls the real channel; built once, offline."""
    folder = tmp_path_factory.mktemp("tokio") / "program"
    shutil.copytree(SOURCE, folder)
    (folder / ".cargo").mkdir()
    (folder / ".cargo" / "config.toml").write_text(
        f'[source.crates-io]\nreplace-with = "packaged"\n[source.packaged]\ndirectory = "{CRATES}"\n'
    )
    subprocess.run(["cargo", "build", "--offline", "--quiet"], cwd=folder, check=True, capture_output=True)
    return folder / "target" / "debug" / "broadcast-truth"


def splitmix(seed):
    """The random numbers of the Rust program."""
    state = seed
    while True:
        state = (state + 0x9E3779B97F4A7C15) & WORD
        mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & WORD
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & WORD
        yield mixed ^ (mixed >> 31)


def hash_of_model(seed, count, capacity):
    """The same calls on the model, hashed in the same way."""
    channel = Broadcast(capacity)
    receivers = [channel.subscribe(), channel.subscribe()]
    digest = 0xCBF29CE484222325
    for _, choice in zip(range(count), splitmix(seed), strict=False):
        if choice % 4 == 0:
            channel.send((choice >> 8) % (2 * capacity + 1))
            continue
        match channel.try_recv(receivers[(choice >> 2) % 2]):
            case Lagged(lost):
                words = (2, lost)
            case None:
                words = (3,)
            case message:
                words = (1, message)
        for word in words:
            digest = ((digest ^ word) * 0x100000001B3) & WORD
    return f"{digest:016x}"


@pytest.mark.timeout(300)
def test_a_million_random_calls_give_the_same_results(real):
    """Sends in lots, reads from two receivers, six capacities: every message, lag and empty read alike."""
    words = [str(real), "ops", "20260301", "170000", *map(str, CAPACITIES)]
    hashes = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
    assert hashes == [hash_of_model(20260301, 170_000, capacity) for capacity in CAPACITIES]


def record(real, folder, kind, milliseconds):
    """The log of a real receiver and what it lost; nothing that was sent is unaccounted for."""
    done = subprocess.run([str(real), kind, str(milliseconds), "512"], check=True, capture_output=True, text=True)
    log = folder / f"{kind}.log"
    log.write_text(done.stdout)
    sent, received, lost, left = (int(word) for word in done.stderr.split() if word.isdigit())
    assert sent == received + lost + left
    return log, lost


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("kind", "cause"), [("spin", Cause.SPINNING_PRODUCER), ("bursts", Cause.BURST)])
def test_the_log_of_a_real_receiver_is_understood(real, tmp_path, kind, cause):
    """The lines name what the receiver itself counted, and the cause is found."""
    log, lost = record(real, tmp_path, kind, 600 if kind == "spin" else 14_000)
    measured = measure_lag([log])
    assert measured.totals.lost == lost
    assert diagnose(measured).verdict.cause is cause
