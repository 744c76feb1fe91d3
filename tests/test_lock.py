"""A data directory has one holder, others can read who it is, and death frees it."""

import os
import signal
import subprocess
import sys

import pytest

from liqcli.errors import AlreadyRunning
from liqcli.lock import hold, holder_of

HOLD_AND_WAIT = """
import sys, time
from pathlib import Path
from liqcli.lock import hold
with hold(Path(sys.argv[1]), "run", {"started": "noon"}):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other_process(tmp_path):
    """Another process that holds `run`."""
    with subprocess.Popen([sys.executable, "-c", HOLD_AND_WAIT, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_the_second_holder_is_told_who_the_first_is(tmp_path, other_process):
    """AlreadyRunning names pid and start of the holder, exit code 7."""
    with (
        pytest.raises(AlreadyRunning, match=rf"pid {other_process.pid} .*since noon") as caught,
        hold(tmp_path, "run", {}),
    ):
        pass
    assert caught.value.exit_code == 7


def test_a_holder_killed_with_9_leaves_nothing_that_stops_the_next(tmp_path, other_process):
    """After kill -9 nobody holds, and the next one can."""
    os.kill(other_process.pid, signal.SIGKILL)
    other_process.wait()
    assert holder_of(tmp_path, "run") is None
    with hold(tmp_path, "run", {"started": "later"}):
        assert os.getpid() == holder_of(tmp_path, "run")["pid"]


def test_facts_are_read_by_others_and_only_by_the_user(tmp_path):
    """Published facts are found again, in a file of mode 0600, and vanish on release."""
    with hold(tmp_path, "run", {"started": "now"}) as holding:
        holding.publish({"started": "now", "redis_url": "unix:///x"})
        assert holder_of(tmp_path, "run")["redis_url"] == "unix:///x"
        assert (tmp_path / "run.json").stat().st_mode & 0o777 == 0o600
    assert holder_of(tmp_path, "run") is None
