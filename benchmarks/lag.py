"""How fast a log is read: `measure_lag` beside wc, grep, ripgrep, mawk, polars, duckdb and the usual script.

`python -m benchmarks.lag` writes logs of 1 GiB with 1, 20 and 100 % lag lines, plain, coloured and JSON, to a
temporary folder and times whole processes in turns on each, the best of several rounds. Every answer is checked
against the truth. `--quick` uses 64 MiB, where starting up weighs most, and holds nothing to a target.
Rivals that are not installed are named on stderr; `pip install liqcli[bench]` brings two of them.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.figure import figure

GIB = 1 << 30
NEEDLE = "channel lagged by "
DECADE_SECONDS = 10
ROUNDS = 5
NAIVE_BYTES = 32 << 20
MEMORY_MIB = 150
SHARES = (1, 20, 100)
PREFIX = b"2025-05-14T10:00:0"

EVENT = "error receiving event: channel lagged by {n}"
DIM, OFF = "\x1b[2m", "\x1b[0m"
FORMS = {
    "plain": (
        f"{{t}} ERROR artemis_core::engine: {EVENT}\n",
        "{t}  INFO bot::strategy: processed block={b} borrowers={c} in 12.5ms, nothing to do\n",
    ),
    "ansi": (
        f"{DIM}{{t}}{OFF} \x1b[31mERROR{OFF} {DIM}artemis_core::engine{OFF}{DIM}:{OFF} {EVENT}\n",
        f"{DIM}{{t}}{OFF} \x1b[32m INFO{OFF} {DIM}bot::strategy{OFF}{DIM}:{OFF} processed \x1b[3mblock{OFF}={{b}}\n",
    ),
    "json": (
        f'{{{{"timestamp":"{{t}}","level":"ERROR","fields":{{{{"message":"{EVENT}"}}}},"target":"artemis_core::engine"}}}}\n',
        '{{"timestamp":"{t}","level":"INFO","fields":{{"message":"done","block":{b},"borrowers":{c}}},"target":"bot"}}\n',
    ),
}

OURS = """
import sys
from liqcli.lag.measure import measure_lag
statistics = measure_lag([sys.argv[1]])
print(statistics.totals.lag_lines, statistics.totals.lost, statistics.start_us, statistics.end_us)
"""
POLARS = r"""
import sys
import polars as pl
line = pl.col("line")
lines = pl.scan_csv(sys.argv[1], has_header=False, new_columns=["line"], separator="\x01", quote_char=None)
lags = lines.filter(line.str.contains("channel lagged by ", literal=True)).select(
    n=line.str.extract(r"channel lagged by (\d+)").cast(pl.Int64),
    t=line.str.extract(r"(\d{4}-\d\d-\d\dT[0-9:.]+)").str.to_datetime("%Y-%m-%dT%H:%M:%S%.6f", time_unit="us"),
)
t = pl.col("t").dt.epoch("us")
answer = lags.select(pl.len(), pl.col("n").sum(), t.min().alias("first"), t.max().alias("last"))
print(*answer.collect(engine="streaming").row(0))
"""
DUCKDB = r"""
import sys
import duckdb
query = r'''
select count(*), sum(n), min(epoch_us(t)), max(epoch_us(t)) from (
  select cast(regexp_extract(line, 'channel lagged by (\d+)', 1) as bigint) n,
         cast(regexp_extract(line, '(\d{4}-\d\d-\d\dT[0-9:.]+)', 1) as timestamp) t
  from read_csv($path, delim=$delimiter, header=false, quote='', escape='', auto_detect=false,
                columns={'line': 'VARCHAR'})
  where contains(line, 'channel lagged by '))
'''
duckdb.execute("set enable_progress_bar = false")
print(*duckdb.execute(query, {"path": sys.argv[1], "delimiter": "\x01"}).fetchone())
"""
NAIVE = r"""
import re
import sys
from datetime import datetime
lag = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+)Z.*channel lagged by (\d+)")
values, times = [], []
for line in open(sys.argv[1]):
    found = lag.search(line)
    if found:
        times.append(datetime.strptime(found[1], "%Y-%m-%dT%H:%M:%S.%f"))
        values.append(int(found[2]))
print(len(values), sum(values))
"""
MAWK = '/channel lagged by /{ n++; split($0, part, "channel lagged by "); s += part[2] } END { printf "%d %.0f", n, s }'


@dataclass(frozen=True, slots=True)
class Log:
    """A generated log and what is true of it."""

    path: Path
    form: str
    share: int
    size: int
    lines: int
    lag_lines: int
    lost: int
    first_us: int
    last_us: int


@dataclass(frozen=True, slots=True)
class Rival:
    """A program that is timed; `check` says whether its output is right."""

    name: str
    command: list[str]
    check: Callable[[str, Log], bool]


def main() -> int:
    """Print every figure; 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="64 MiB a log and two rounds, no targets")
    parser.add_argument("--form", choices=FORMS, action="append", help="only this form (may be repeated)")
    parser.add_argument("--rounds", type=int, help="rounds per log")
    options = parser.parse_args()
    size = 64 << 20 if options.quick else GIB
    rounds = options.rounds or (2 if options.quick else ROUNDS)
    met = [small_log(held=not options.quick)]
    with tempfile.TemporaryDirectory(prefix="liq-lag-") as folder:
        for form in options.form or FORMS:
            for share in SHARES:
                log = make_log(Path(folder), form, share, size)
                met += compare(log, rounds, held=not options.quick)
                log.path.unlink()
    return 0 if all(met) else 1


def make_log(folder: Path, form: str, share: int, size: int) -> Log:
    """Ten seconds of random lines, repeated with later times until the size is reached."""
    block, lag_lines, lost, first_us, last_us = make_block(form, share)
    path, repeats = folder / f"{form}-{share}.log", -(-size // len(block))
    with path.open("wb") as file:
        for repeat in range(repeats):
            file.write(block.replace(PREFIX, prefix_of(repeat)))
        file.flush()
        os.fsync(file.fileno())  # else the disk is written to while programs are timed
    lines = block.count(b"\n") * repeats
    begin = epoch_us(0)
    return Log(
        path,
        form,
        share,
        len(block) * repeats,
        lines,
        lag_lines * repeats,
        lost * repeats,
        begin + first_us,
        begin + (repeats - 1) * DECADE_SECONDS * 1_000_000 + last_us,
    )


def make_block(form: str, share: int) -> tuple[bytes, int, int, int, int]:
    """Eighty thousand lines over ten seconds: the text, its lag lines, what they lost, the first and the last time."""
    chance, (lag, other) = random.Random(share), FORMS[form]
    lines, lost, times = [], 0, []
    for at_us in sorted(chance.sample(range(DECADE_SECONDS * 1_000_000), 80_000)):
        stamp = f"{PREFIX.decode()}{at_us // 1_000_000}.{at_us % 1_000_000:06d}Z"
        if chance.randrange(100) < share:
            count = int(10 ** chance.uniform(0, 6))
            lost += count
            times.append(at_us)
            lines.append(lag.format(t=stamp, n=count))
        else:
            lines.append(other.format(t=stamp, b=chance.randrange(10**6, 10**7), c=chance.randrange(100)))
    return "".join(lines).encode(), len(times), lost, times[0], times[-1]


def prefix_of(repeat: int) -> bytes:
    """The stamp up to the tens of seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(epoch_us(repeat) // 1_000_000))[:-1].encode()


def epoch_us(repeat: int) -> int:
    """When a block begins."""
    return (1_747_216_800 + repeat * DECADE_SECONDS) * 1_000_000


def rivals(log: Log) -> list[Rival]:
    """Everything that is installed; what is not is named on stderr."""
    count, counted = f"{log.lag_lines}", lambda output, _: output.split()[0] == count
    path = str(log.path)
    found = [Rival("measure_lag", [sys.executable, "-c", OURS, path], knows_all)]
    for name, command, check in (
        ("wc", ["wc", "-l", path], lambda output, log: output.split()[0] == str(log.lines)),
        ("rg", ["rg", "-c", "-F", NEEDLE, path], counted),
        ("grep", ["grep", "-c", "-F", NEEDLE, path], counted),
        ("mawk", ["mawk", MAWK, path], knows_sum),
    ):
        if shutil.which(name) is None:
            print(f"{name} is not installed: not measured", file=sys.stderr)
        else:
            found.append(Rival(name, command, check))
    for name, program in (("polars", POLARS), ("duckdb", DUCKDB)):
        if subprocess.run([sys.executable, "-c", f"import {name}"], capture_output=True, check=False).returncode:
            print(f"{name} is not installed: not measured", file=sys.stderr)
        else:
            found.append(Rival(name, [sys.executable, "-c", program, path], knows_all))
    return found


def knows_all(output: str, log: Log) -> bool:
    """Whether lines, sum, first and last time are right."""
    return [int(word) for word in output.split()] == [log.lag_lines, log.lost, log.first_us, log.last_us]


def knows_sum(output: str, log: Log) -> bool:
    """Whether lines and sum are right."""
    return [int(word) for word in output.split()[:2]] == [log.lag_lines, log.lost]


def compare(log: Log, rounds: int, *, held: bool) -> list[bool]:
    """Time all programs in turns on one log and print what the best rounds say."""
    programs = rivals(log)
    for program in programs:
        if not program.check(run(program.command)[1], log):
            raise SystemExit(f"{program.name} answers {log.path.name} wrongly")
    times: dict[str, float] = {}
    for _ in range(rounds):
        for program in programs:
            seconds = run(program.command)[0]
            times[program.name] = min(times.get(program.name, seconds), seconds)
    times["naive"] = naive_seconds(log)
    return report(log, times, held=held)


def run(command: list[str]) -> tuple[float, str]:
    """Wall seconds of a whole process, and what it printed."""
    begin = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return time.perf_counter() - begin, done.stdout


def report(log: Log, times: dict[str, float], *, held: bool) -> list[bool]:
    """Our time against each rival's, with the targets of the full size."""
    name, ours = f"lag_{log.form}_{log.share}", times.pop("measure_lag")
    print_speed(name, ours, log)
    limits = {1: {"wc": 2.7, "grep": 1.0}, 20: {"wc": 4.0}, 100: {"wc": 8.5, "rg": 2.2}}[log.share]
    least = {"polars": 2.5, "duckdb": 2.5, "naive": 40.0}
    met = [memory(name, log, held=held)]
    for rival, seconds in times.items():
        if rival in least:
            target = least[rival] if held else None
            met.append(figure(f"{name}_{rival}_slower", seconds, "s", reference=ours, target=target))
        else:
            at_most = limits.get(rival) if held else None
            met.append(figure(f"{name}_vs_{rival}", ours, "s", reference=seconds, at_most=at_most))
    return met


def print_speed(name: str, seconds: float, log: Log) -> None:
    """Bytes and lines a second, for people."""
    figure(f"{name}_speed", log.size / seconds / 1e9, "GB/s")
    figure(f"{name}_lines", log.lines / seconds / 1e6, "million lines/s")


def naive_seconds(log: Log) -> float:
    """The usual script on a slice, scaled to the whole."""
    part = log.path.with_suffix(".part")
    with log.path.open("rb") as file:
        head = file.read(min(NAIVE_BYTES, log.size))
    part.write_bytes(head[: head.rindex(b"\n") + 1])
    seconds = min(run([sys.executable, "-c", NAIVE, str(part)])[0] for _ in range(2))
    share = part.stat().st_size / log.size
    part.unlink()
    return seconds / share


def memory(name: str, log: Log, *, held: bool) -> bool:
    """The peak of what all our processes hold together, shared pages counted once."""
    peak = 0
    with subprocess.Popen([sys.executable, "-c", OURS, str(log.path)], stdout=subprocess.DEVNULL) as child:
        process = psutil.Process(child.pid)
        while child.poll() is None:
            peak = max(peak, held_by(process))
            time.sleep(0.005)
    return figure(f"{name}_memory", peak / (1 << 20), "MiB", at_most=MEMORY_MIB if held else None, of="value")


def held_by(process: psutil.Process) -> int:
    """Proportional set size of a process and its children; 0 for what has just ended."""
    try:
        family = [process, *process.children()]
        return sum(member.memory_full_info().pss for member in family)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0


def small_log(*, held: bool) -> bool:
    """From a log of 54 lines to the finished report in the terminal, beyond what Python itself needs to start."""
    log = Path(__file__).parents[1] / "sample_logs" / "artemis-2025-05-14-event-lag.log"
    program = str(Path(sys.executable).with_name("liq"))
    best = {"liq": 1e9, "python": 1e9}
    for _ in range(9):
        best["liq"] = min(best["liq"], run([program, "diagnose", "lag", str(log)])[0])
        best["python"] = min(best["python"], run([sys.executable, "-c", "pass"])[0])
    seconds = best["liq"] - best["python"]
    return figure("lag_small_report", seconds, "s over bare Python", at_most=0.35 if held else None, of="value")


if __name__ == "__main__":
    sys.exit(main())
