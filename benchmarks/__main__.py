"""Run every benchmark in turn: `python -m benchmarks [--quick]`; exits with 1 when one missed a target."""

import subprocess
import sys
from pathlib import Path

NOT_BENCHMARKS = {"__init__", "__main__", "burst_node", "figure"}

names = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in NOT_BENCHMARKS)
missed = [
    name
    for name in names
    if subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *sys.argv[1:]], check=False).returncode
]
if missed:
    sys.exit(f"targets missed by: {', '.join(missed)}")
