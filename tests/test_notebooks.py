"""The notebooks run from top to bottom, each assertion in them holds, and none carries a path of its writer's."""

import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path):
    """Every cell runs under nbmake."""
    options = ["--nbmake", "--nbmake-timeout=100", "-p", "no:randomly", "-p", "no:cacheprovider", "-W", "default"]
    argv = [sys.executable, "-m", "pytest", "-q", *options, str(path)]
    done = subprocess.run(argv, cwd=path.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_names_no_home(path):
    """Outputs hold no directory of whoever ran them last."""
    assert not any(home in path.read_text() for home in ("/root/", "/home/", "/Users/"))
