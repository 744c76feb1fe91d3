"""How a lag diagnosis leaves the program: on the terminal, as a document, or as files."""

import locale
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from liqcli.cli.render import print_json, say
from liqcli.errors import UsageError
from liqcli.lag.assumed import DEFAULT_CAPACITY
from liqcli.lag.contract import to_json
from liqcli.lag.glyphs import to_ascii
from liqcli.lag.model import Diagnosis
from liqcli.lag.output import make_folder, write_file
from liqcli.lag.report import Line, Role, render

PIPE_WIDTH = 100
ROLE_STYLES = {Role.SOURCE: "dim", Role.HEADING: "bold cyan", Role.NOTE: "dim"}
ALARMS = (("CRITICAL", "bold red"), ("HIGH", "bold red"), ("MEDIUM", "bold yellow"), ("LOW", "yellow"))


@dataclass(frozen=True)
class Layout:
    """Which of the forms goes to stdout; the terminal report, with what it offers next, where neither is asked for."""

    as_json: bool
    markdown: bool
    show_skipped: bool = False
    offers: tuple[str, ...] = ()


def print_diagnosis(diagnosis: Diagnosis, layout: Layout) -> None:
    """The diagnosis on stdout."""
    if layout.as_json:
        print_json(to_json(diagnosis))
    elif layout.markdown:
        from liqcli.lag.markdown import render_markdown

        _print_text(render_markdown(diagnosis).rstrip("\n").split("\n"))
    else:
        offers = layout.offers
        if diagnosis.statistics.inputs.skipped_lines and not layout.show_skipped and offers:
            offers = ("--show-skipped", *offers)
        print_lines(render(diagnosis, width=_width(), show_skipped=layout.show_skipped, offers=offers))


def print_comparison(before: Diagnosis, after: Diagnosis, layout: Layout) -> None:
    """What changed between two logs, on stdout."""
    from liqcli.lag.compare import compare, comparison_json, render_comparison

    comparison = compare(before, after)
    if layout.as_json:
        print_json(comparison_json(comparison))
    elif layout.markdown:
        from liqcli.lag.markdown import render_comparison_markdown

        _print_text(render_comparison_markdown(comparison).rstrip("\n").split("\n"))
    else:
        print_lines(render_comparison(comparison, width=_width()))


def write_files(
    diagnosis: Diagnosis, *, csv: Path | None, charts: Path | None, html: Path | None, capacity: int | None
) -> None:
    """The files asked for, each named on stderr once it is whole."""
    assumed = capacity or DEFAULT_CAPACITY
    if csv is not None:
        _write_tables(diagnosis, csv)
    if charts is not None:
        _write_charts(diagnosis, charts, assumed)
    if html is not None:  # last: it may be wanted in a folder just made
        from liqcli.lag.html import render_html

        _write(html, render_html(diagnosis, capacity=assumed).encode())


def print_lines(lines: Sequence[Line]) -> None:
    """The report, coloured only where a terminal shows it."""
    if not sys.stdout.isatty():
        _print_text([line.text for line in lines])
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    plain = _ascii_only()
    for line in lines:
        console.print(Text(to_ascii(line.text) if plain else line.text, style=_style(line)), soft_wrap=True)


def redraw(diagnosis: Diagnosis) -> None:
    """The report in place of the one before: on a terminal as much as fits, verdict first, else one after the other."""
    lines = render(diagnosis, width=_width())
    if not sys.stdout.isatty():
        print_lines([*lines, Line("")])
        return
    from rich.console import Console

    Console().clear()
    height = shutil.get_terminal_size().lines
    print_lines([*lines[: max(1, height - 2)], Line("following; Ctrl-C ends", Role.NOTE)])


def _style(line: Line) -> str:
    if line.role is Role.VERDICT:
        return next((style for word, style in ALARMS if word in line.text), "bold green")
    return ROLE_STYLES.get(line.role, "")


def _print_text(lines: Sequence[str]) -> None:
    text = "\n".join(lines)
    print(to_ascii(text) if _ascii_only() else text)


def _ascii_only() -> bool:
    """Python prints UTF-8 under LC_ALL=C too, but who sets that wants plain characters."""
    encoding = (sys.stdout.encoding or "ascii").lower().replace("-", "")
    return encoding != "utf8" or locale.setlocale(locale.LC_CTYPE) == "C"


def _width() -> int:
    return shutil.get_terminal_size((PIPE_WIDTH, 24)).columns


def _write(path: Path, content: bytes) -> None:
    write_file(path, content)
    say(f"wrote {path}")


def _write_tables(diagnosis: Diagnosis, path: Path) -> None:
    from liqcli.lag.frames import csv_of, csv_tables

    tables = csv_tables(diagnosis)
    if not path.is_dir():
        _write(path, csv_of(tables["incidents"]()))
        return
    for name, table in tables.items():
        _write(path / f"{name}.csv", csv_of(table()))


def _write_charts(diagnosis: Diagnosis, folder: Path, capacity: int) -> None:
    from liqcli.lag.charts import draw
    from liqcli.lag.figures import figures_of

    figures = figures_of(diagnosis, capacity=capacity)
    if not figures:
        raise UsageError("--charts: this log has no lag lines to draw", hint="leave --charts away")
    make_folder(folder)
    for figure in figures:
        for name, content in draw(figure).items():
            write_file(folder / name, content)
    say(f"wrote {', '.join(figure.name for figure in figures)} as PNG and SVG to {folder}")
