"""Starting is cheap: what is not needed is not loaded."""

import ast
import subprocess
import sys

import pytest

HEAVY = {"web3", "pandas", "matplotlib", "redis", "numba", "numpy", "eth_account", "aiohttp"}


def loaded_by(*args):
    """The heavy packages in memory after a command."""
    code = (
        "import sys\nfrom liqcli.cli.main import exit_code_of\n"
        f"code = exit_code_of({list(args)!r})\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)\nsys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stderr.strip()


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["run", "--help"], ["queue", "stats", "--help"]])
def test_help_loads_no_heavy_package(args):
    """None of web3, pandas, matplotlib, redis, numba is loaded to show help."""
    assert loaded_by(*args) == "[]"


def test_the_doctor_loads_no_compiler():
    """It examines in the few seconds it has; what values a book is not needed for that."""
    code = f"import sys, liqcli.ops.doctor; print(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numba", "pandas", "matplotlib", "web3"} & set(ast.literal_eval(done.stdout))
