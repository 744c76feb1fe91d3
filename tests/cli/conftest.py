"""`liq` as a user starts it: a process of its own, with a data directory and a working directory of its own."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.canary import leaks_in

STARTED_S = 20.0


@dataclass(frozen=True)
class Finished:
    """What a command left: its exit code and its two streams."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        """The one document on stdout."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Place:
    """A user's place: commands started here share one data directory."""

    directory: Path

    @property
    def environment(self):
        """The environment without settings of the developer's."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("LIQ_", "XDG_"))}
        own = {"LIQ_DATA_DIR": str(self.directory / "data"), "XDG_CONFIG_HOME": str(self.directory / "config")}
        return {**kept, **own, "NO_COLOR": "1"}

    def start(self, *args, **options):
        """Start a command and leave it running."""
        argv = [sys.executable, "-m", "liqcli", *args]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
        return subprocess.Popen(argv, cwd=self.directory, env=self.environment, **pipes)

    def liq(self, *args, timeout=60, text=None, **environment):
        """Run a command to its end; it never shows the key."""
        argv = [sys.executable, "-m", "liqcli", *args]
        done = subprocess.run(
            argv,
            cwd=self.directory,
            env={**self.environment, **environment},
            input=text,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert not leaks_in((done.stdout + done.stderr).encode()), args
        return Finished(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def place(tmp_path):
    """An empty place."""
    return Place(tmp_path)


@pytest.fixture(scope="session")
def running(tmp_path_factory):
    """A place where `liq run --sandbox` is up and READY."""
    place = Place(tmp_path_factory.mktemp("running"))
    with place.start("run", "--sandbox", "--duration", "3h") as process:
        for line in process.stdout:
            if " READY " in line:
                break
        yield place
        process.kill()
