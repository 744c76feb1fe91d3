"""The chart files, drawn for real."""

from xml.etree import ElementTree as ET

import pytest

from liqcli.lag.charts import draw
from liqcli.lag.figures import figures_of
from tests.lag.diagnoses import GOLDEN, START_US, UNTIMED, diagnosis_of, diagnosis_of_columns, scattered

LOGS = {
    "one line": lambda: diagnosis_of_columns([START_US], [5]),
    "54 lines": lambda: diagnosis_of(GOLDEN),
    "without times": lambda: diagnosis_of(UNTIMED),
    "60,000 lines": lambda: scattered(60_000),
}


@pytest.mark.parametrize("log", LOGS)
def test_every_figure_becomes_a_png_and_an_svg(log):
    """Whole pictures of the promised size, for one line, for 54 and for very many."""
    for figure in figures_of(LOGS[log]()):
        files = draw(figure)

        assert sorted(files) == [f"{figure.name}.png", f"{figure.name}.svg"]
        png, svg = (files[name] for name in sorted(files))
        assert png.startswith(b"\x89PNG\r\n\x1a\n")
        assert (int.from_bytes(png[16:20]), int.from_bytes(png[20:24])) == (1080, 576)
        assert ET.fromstring(svg).tag.endswith("svg")  # noqa: S314 - our own drawing


def test_the_same_log_gives_the_same_bytes():
    """No dates or random names inside, so that charts can be kept under version control."""
    figure = figures_of(diagnosis_of(GOLDEN))[0]

    assert draw(figure) == draw(figure)
