"""Run benchmarks and write docs/figures.md: `python -m benchmarks [NAME ...] [--quick]`.

Exits with 1 when a target was missed.
Without names all run in turn; sections of benchmarks that were not run stay as they are.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

NOT_BENCHMARKS = {"__init__", "__main__", "burst_node", "figure", "noisy_node", "rig"}
PAGE = Path(__file__).parents[1] / "docs" / "figures.md"
HEAD = """# Figures

Written by `python -m benchmarks`; references were measured in the same run. A ratio is value / reference.
"""
ROW = "| {name} | {value} {unit} | {reference} | {ratio} | {target} | {verdict} |"


def main() -> int:
    """Run what was named, and say which missed a target."""
    every = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in NOT_BENCHMARKS)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*every, []])
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args()
    sections, missed = read_sections(), []
    for name in asked.names or every:
        command = [sys.executable, "-m", f"benchmarks.{name}", *(["--quick"] if asked.quick else [])]
        figures, code = measured(command)
        sections[name] = section(name, figures, quick=asked.quick)
        missed += [name] if code else []
        PAGE.write_text(HEAD + "".join(f"\n{sections[known]}" for known in sorted(sections)))
    if missed:
        sys.stderr.write(f"targets missed by: {', '.join(missed)}\n")
    return int(bool(missed))


def measured(command: Sequence[str]) -> tuple[list[dict[str, object]], int]:
    """The figures a benchmark prints, shown as they come, and its exit code."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        figures = []
        for line in process.stdout:
            print(line, end="", flush=True)
            if line.startswith("{"):
                figures.append(json.loads(line))
    return figures, process.returncode


def section(name: str, figures: Sequence[dict[str, object]], *, quick: bool) -> str:
    """A benchmark's table."""
    how = f"python -m benchmarks {name}{' --quick' if quick else ''}"
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}"
    head = "| figure | value | reference | ratio | target | |\n|---|---|---|---|---|---|\n"
    return f"## {name}\n\n`{how}`, {machine}\n\n{head}" + "\n".join(row(figure) for figure in figures) + "\n"


def row(figure: dict[str, object]) -> str:
    """One figure; a dash where there is nothing to compare with."""
    shown = {key: "-" if value is None else value for key, value in figure.items()}
    return ROW.format(**shown, verdict="ok" if figure["ok"] else "**missed**")


def read_sections() -> dict[str, str]:
    """The page's sections by benchmark."""
    text = PAGE.read_text() if PAGE.exists() else ""
    return {
        name: f"## {name}\n{body.rstrip()}\n"
        for name, body in re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    }


if __name__ == "__main__":
    sys.exit(main())
