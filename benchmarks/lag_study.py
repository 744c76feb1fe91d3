"""How often `liq diagnose lag` is right: logs of known cause, written as text, read by the parser, diagnosed, replayed.

`python -m benchmarks.lag_study` runs every scenario on fresh seeds and writes the tables of docs/lag.md;
`--quick` runs a tenth of it and writes nothing. One JSON object a line on stdout.
"""

import argparse
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from benchmarks.figure import figure
from liqcli.lag.advise import diagnose
from liqcli.lag.capacity import FOLK_RULES
from liqcli.lag.measure import measure_lag
from liqcli.lag.model import Cause, Diagnosis
from liqcli.lag.scenarios import GENERATORS, LINE_FORMS, START, Scenario, log_text, scenario
from liqcli.lag.simulate import slots_for

CAPACITIES = (128, 512, 2048)
EDGE_CAPACITIES = (64, 128, 256)
"""At the edge a buffer fills by chance: a large one needs millions of messages to show a single line."""

REPORT = Path(__file__).parent.parent / "docs" / "lag.md"
BEGIN, END = "<!-- written by benchmarks/lag_study.py -->", "<!-- end -->"
HELPED = {Cause.BURST, Cause.BLOCKED_CONSUMER}
NEVER = {Cause.SPINNING_PRODUCER, Cause.SLOW_CONSUMER}


@dataclass(frozen=True, slots=True)
class Trial:
    """One log with its truth and what the diagnosis made of it."""

    name: str
    capacity: int
    truth: Cause
    found: Cause
    lost_exact: bool
    rate_ratios: tuple[float, ...]
    rates_null: int
    needed: int
    recommended: int | None
    left_over: int | None
    folk: dict[str, int]

    @property
    def right(self) -> bool:
        """Whether the cause was named."""
        return self.found is self.truth


def trial(name: str, seed: int, capacity: int, folder: Path) -> Trial:
    """Simulate, write, read, diagnose, replay."""
    made = scenario(name, seed, capacity)
    at_us, lost = made.lag_lines()
    form = list(LINE_FORMS)[seed % 4]
    log = folder / "lag.log"
    log.write_text(log_text(at_us, lost, form=form))
    measured = measure_lag([log], capacity=capacity)
    said = diagnose(measured, capacity=capacity)
    advised = said.recommend.capacity
    return Trial(
        name=name,
        capacity=capacity,
        truth=made.cause,
        found=said.verdict.cause,
        lost_exact=measured.totals.lost == int(lost.sum()) and measured.totals.lag_lines == len(lost),
        rate_ratios=tuple(rate_ratios(made, said)),
        rates_null=sum(incident.producer_rate_hz is None for incident in said.statistics.incidents),
        needed=slots_for(made.needed()),
        recommended=advised,
        left_over=None if advised is None else sum(life.lost for life in made.replays(advised)),
        folk={rule: slots_for(answer(capacity, int(lost.max()))) for rule, answer in FOLK_RULES.items()},
    )


def rate_ratios(made: Scenario, said: Diagnosis) -> list[float]:
    """The rate reported for each incident, as a multiple of the arrivals that really came in it."""
    begin = round(START.timestamp() * 1e6)
    ratios = []
    for incident in said.statistics.incidents:
        if incident.producer_rate_hz is None or incident.start_us is None or incident.end_us is None:
            continue
        edges = np.array([incident.start_us - begin, incident.end_us - begin + 1]) / 1e6
        edges[1] = min(edges[1], made.arrivals[-1])
        first, last = np.searchsorted(made.arrivals, edges)
        ratios.append(incident.producer_rate_hz / (float(last - first) / (edges[1] - edges[0])))
    return ratios


def run(seeds: range) -> list[Trial]:
    """All scenarios, seeds and capacities."""
    trials = []
    with tempfile.TemporaryDirectory() as folder:
        for name in GENERATORS:
            sizes = EDGE_CAPACITIES if name == "near_critical" else CAPACITIES
            trials += [trial(name, seed, capacity, Path(folder)) for capacity, seed in product(sizes, seeds)]
    return trials


def confusion(trials: list[Trial]) -> str:
    """The confusion matrix as a Markdown table: a row per scenario, a column per cause named."""
    causes = [cause for cause in Cause if any(trial.found is cause for trial in trials)]
    rows = [
        ["scenario", "true cause", *(cause.value for cause in causes), "right"],
        ["---", "---", *("--:" for _ in causes), "--:"],
    ]
    for name in GENERATORS:
        mine = [trial for trial in trials if trial.name == name]
        counts = Counter(trial.found for trial in mine)
        truths = {trial.truth for trial in mine}
        truth = truths.pop().value if len(truths) == 1 else "as drawn"
        right = sum(trial.right for trial in mine)
        rows.append([name, truth, *(str(counts[cause] or "") for cause in causes), f"{right} of {len(mine)}"])
    return table(rows)


def sizes(trials: list[Trial]) -> str:
    """What the recommendation and the folk rules leave over, where a buffer can help."""
    helped = [trial for trial in trials if trial.truth in HELPED]
    rows = [
        ["rule", "no lag left", "slots / least slots: median", "largest"],
        ["---", "--:", "--:", "--:"],
        size_row("`liq diagnose lag`", [(trial.recommended or 0) / trial.needed for trial in helped]),
    ]
    rows += [size_row(rule, [trial.folk[rule] / trial.needed for trial in helped]) for rule in FOLK_RULES]
    return table(rows)


def size_row(rule: str, ratios: list[float]) -> list[str]:
    """One rule's success and size."""
    enough = sum(ratio >= 1 for ratio in ratios)
    return [rule, f"{enough} of {len(ratios)}", f"{statistics.median(ratios):.3g}", f"{max(ratios):.3g}"]


def table(rows: list[list[str]]) -> str:
    """Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def report(trials: list[Trial]) -> bool:
    """Print the figures of the acceptance; False if one misses its target.

    The reference of the capacities is the best folk rule, given eight times the least size.
    """
    helped = [trial for trial in trials if trial.truth in HELPED]
    ratios = [(trial.recommended or 0) / trial.needed for trial in helped]
    folk = max(share(trial.needed <= trial.folk[rule] <= 8 * trial.needed for trial in helped) for rule in FOLK_RULES)
    rates = [ratio for trial in trials for ratio in trial.rate_ratios]
    bought = sum(trial.recommended is not None for trial in trials if trial.truth in NEVER)
    absorbed = share(trial.left_over == 0 for trial in helped)
    return all(
        [
            figure("lag_cause_right", share(trial.right for trial in trials), "share", target=0.95, of="value"),
            figure(
                "lag_cause_right_worst",
                min(share_right(trials, name) for name in GENERATORS),
                "share",
                target=0.95,
                of="value",
            ),
            figure(
                "lag_near_critical_labelled", share_right(trials, "near_critical"), "share", target=0.95, of="value"
            ),
            figure("lag_lost_exact", share(trial.lost_exact for trial in trials), "share", target=1.0, of="value"),
            figure(
                "lag_rates_within_25_percent", share(close(ratio) for ratio in rates), "share", target=0.95, of="value"
            ),
            figure("lag_capacity_absorbs", absorbed, "share", reference=folk, target=0.95, of="value"),
            figure("lag_capacity_absorbs_beside_folk", absorbed, "share", reference=folk, target=1.05),
            figure("lag_capacity_size_median", statistics.median(ratios), "least sizes", at_most=1.5, of="value"),
            figure("lag_capacity_size_max", max(ratios), "least sizes", at_most=8.0, of="value"),
            figure("lag_buffers_sold_to_overload", float(bought), "logs", at_most=0.0, of="value"),
        ]
    )


def close(ratio: float) -> bool:
    """Whether a rate is within 25 % of the truth."""
    return bool(abs(ratio - 1) <= 0.25)


def share(flags: Iterable[bool]) -> float:
    """The share of true flags."""
    values = list(flags)
    return sum(values) / len(values)


def share_right(trials: list[Trial], name: str) -> float:
    """The share of one scenario's logs whose cause was named."""
    return share(trial.right for trial in trials if trial.name == name)


def write_report(trials: list[Trial], seeds: range) -> None:
    """Put the tables between the markers of docs/lag.md."""
    rates = [ratio for trial in trials for ratio in trial.rate_ratios]
    null = sum(trial.rates_null for trial in trials)
    logs = (
        f"{len(trials)} logs: {len(GENERATORS)} scenarios, {len(seeds)} seeds, capacities {CAPACITIES} "
        f"(near_critical {EDGE_CAPACITIES})."
    )
    pace = (
        f"Producer rates: {len(rates):,} incidents with a rate, {share(map(close, rates)):.1%} of them within 25 % of "
        f"the arrivals that came (5th to 95th percentile {np.quantile(rates, 0.05):.2f} to "
        f"{np.quantile(rates, 0.95):.2f} times); {null:,} incidents whose lines do not determine one."
    )
    body = "\n\n".join([logs, confusion(trials), sizes(trials), pace])
    head, rest = REPORT.read_text().split(BEGIN)
    REPORT.write_text(f"{head}{BEGIN}\n\n{body}\n\n{END}{rest.split(END)[1]}")


def main() -> int:
    """Run the study; 1 if a figure misses its target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two seeds, docs/lag.md untouched")
    parser.add_argument("--first-seed", type=int, default=0)
    options = parser.parse_args()
    seeds = range(options.first_seed, options.first_seed + (2 if options.quick else 24))
    trials = run(seeds)
    if not options.quick:
        write_report(trials, seeds)
    for miss in (trial for trial in trials if not trial.right):
        print(f"{miss.name} at {miss.capacity}: {miss.truth.value} was called {miss.found.value}", file=sys.stderr)
    return 0 if report(trials) else 1


if __name__ == "__main__":
    sys.exit(main())
