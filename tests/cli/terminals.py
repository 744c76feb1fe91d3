"""A terminal of a given width, and a `liq` that believes it is on it."""

import os
import re
import sys
import time
from contextlib import contextmanager

import pexpect
import pyte

ROWS = 24
SHOWS_NOTHING = {"TERM": "xterm-256color"}


class Terminal:
    """A process on a pseudo terminal, and what its screen shows."""

    def __init__(self, process, columns):
        self.process = process
        self.columns = columns
        self.raw = ""
        self._is_open = True
        self._screen = pyte.Screen(columns, ROWS)
        self._stream = pyte.Stream(self._screen)

    def feed(self, seconds):
        """Read for so long, or until the process ends."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                part = self.process.read_nonblocking(65536, timeout=0.2)
            except pexpect.TIMEOUT:
                continue
            except pexpect.EOF:
                self._is_open = False
                return
            self.raw += part
            self._stream.feed(part)

    def wait_for(self, text, seconds=40):
        """Read until the screen shows a text."""
        until = time.monotonic() + seconds
        while text not in "\n".join(self.rows) and time.monotonic() < until:
            self.feed(0.3)
        assert text in "\n".join(self.rows), "\n".join(self.rows)

    def wait_for_foot(self, pattern, seconds=20):
        """Read until the pinned rows, which are empty while they are drawn anew, show a pattern."""
        until = time.monotonic() + seconds
        while not re.search(pattern, " ".join(self.foot)) and time.monotonic() < until:
            self.feed(0.3)
        assert re.search(pattern, " ".join(self.foot)), "\n".join(self.rows)

    def to_end(self, seconds=60):
        """Read until the process has said all it has to say."""
        until = time.monotonic() + seconds
        while self._is_open and time.monotonic() < until:
            self.feed(0.5)
        assert not self._is_open, "\n".join(self.rows)

    @property
    def rows(self):
        """The screen, row by row."""
        return [row.rstrip() for row in self._screen.display]

    @property
    def foot(self):
        """The rows below the last rule, which are the pinned ones."""
        rules = [number for number, row in enumerate(self.rows) if row and set(row) <= {"─", "-"} and len(row) > 20]
        return [row for row in self.rows[rules[-1] + 1 :] if row] if rules else []


def _without_a_size(environment):
    """What a program inherits but COLUMNS and LINES, which it would believe rather than its terminal."""
    return {name: value for name, value in environment.items() if name not in {"COLUMNS", "LINES"}}


@contextmanager
def on_terminal(place, columns, *args, **environment):
    """Start `liq` on a terminal of so many columns."""
    process = pexpect.spawn(
        sys.executable,
        ["-m", "liqcli", *args],
        cwd=str(place.directory),
        env={**_without_a_size(os.environ), **place.environment, **SHOWS_NOTHING, **environment},
        dimensions=(ROWS, columns),
        encoding="utf-8",
        timeout=30,
    )
    try:
        yield Terminal(process, columns)
    finally:
        process.close(force=True)
