"""Compiled code is kept where there is a place for it, and compiled each time where there is none."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import liqcli

TINY = """from liqcli.book.jit import compiled


@compiled
def twice(number):
    return 2 * number
"""
ASKED = "from liqcli.book.tiny import twice; print(twice(21)); print(len(twice.stats.cache_path or ''))"


@pytest.mark.parametrize("can_write_data", [True, False])
def test_an_install_that_cannot_be_written_still_compiles(tmp_path, can_write_data):
    """With a read-only package and no cache of the user's, the data directory keeps the code, or nobody does."""
    shutil.copytree(Path(liqcli.__file__).parent, tmp_path / "liqcli", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "liqcli" / "book" / "tiny.py").write_text(TINY)
    (tmp_path / "liqcli" / "book" / "__pycache__").touch()  # root may write anywhere, but not into a file
    (tmp_path / "taken").touch()
    data = tmp_path / ("data" if can_write_data else "taken/data")
    kept = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    own = {"LIQ_DATA_DIR": str(data), "HOME": str(tmp_path / "taken"), "XDG_CACHE_HOME": str(tmp_path / "taken")}
    done = subprocess.run(
        [sys.executable, "-c", ASKED],
        cwd=tmp_path, env={**kept, **own, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer, kept_at = done.stdout.split()
    assert answer == "42"
    assert (int(kept_at) > 0) == can_write_data
    assert any((data / "compiled").rglob("tiny.twice*")) == can_write_data
