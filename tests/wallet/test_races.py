"""Two processes with one key: whatever they share, one of them may use it."""

import subprocess
import sys
from pathlib import Path

import pytest

RACES = 20
ROOT = Path(__file__).parents[2]


@pytest.fixture
def keystore(tmp_path):
    """A file that both take the key from."""
    path = tmp_path / "keystore"
    path.write_text("{}")
    path.chmod(0o600)
    return path


@pytest.mark.usefixtures("redis")
@pytest.mark.parametrize("shared", ["Redis", "keystore", "data directory"])
def test_of_two_bots_with_one_key_one_leads(valkey, tmp_path, keystore, shared):
    """Twenty races of two processes that meet just before they try: one leader in each, the other is refused."""
    racers = []
    for name in ("first", "second"):
        directory = tmp_path / ("data" if shared == "data directory" else name)
        argv = [sys.executable, "-m", "tests.wallet.racer", valkey.url, str(RACES), str(directory)]
        argv += [str(keystore)] if shared == "keystore" else []
        racers.append(subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    told = [racer.communicate(timeout=100) for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0], told
    races = list(zip(*(out.split() for out, _ in told), strict=True))
    assert len(races) == RACES
    assert all(sorted(race) == ["leader", "refused"] for race in races), races
