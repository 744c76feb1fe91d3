"""The HTML page: one file, nothing loaded, nothing executed."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

from hypothesis import given, settings
from hypothesis import strategies as st

from liqcli.lag.html import render_html
from tests.lag.diagnoses import (
    GOLDEN,
    START_US,
    UNTIMED,
    diagnosis_of,
    diagnosis_of_columns,
    diagnosis_of_text,
    scattered,
)

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&\u202e\x1b[31m"
VOID = {"meta", "br", "img", "link", "input"}


class Reader(HTMLParser):
    """Tags and attributes as a browser would see them; fails on a tag closed out of turn."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.attributes = [], set(), set()
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def hostile_log(folder):
    """A log whose span and message try to get out of the text."""
    head = f'2025-05-14T14:39:45.999162Z ERROR run{{name="{HOSTILE}"}}: <b>x</b>:'
    line = f"{head} error receiving event: channel lagged by 9"
    return diagnosis_of_text(folder, line, line.replace("by 9", "by 7"))


def test_the_page_is_well_formed():
    """Every tag is closed in its turn, and every chart is XML on its own."""
    page = render_html(diagnosis_of(GOLDEN))

    assert Reader(page).open == []
    charts = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(charts) == 5
    for chart in charts:
        ET.fromstring(chart)  # noqa: S314 - our own drawing


def test_the_policy_allows_the_style_sheet_and_nothing_else():
    """default-src 'none', and the hash of the one style element."""
    page = render_html(diagnosis_of(GOLDEN))

    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
    allowed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"content=\"default-src 'none'; style-src 'sha256-{allowed}'\"" in page
    assert page.count("<style") == 1


def test_nothing_is_loaded_and_nothing_runs():
    """No script, no link, no address, no inline style or handler."""
    page = render_html(diagnosis_of(GOLDEN))
    reader = Reader(page)

    assert not reader.tags & {"script", "link", "img", "iframe", "object", "form", "a"}
    assert not {name for name in reader.attributes if name.startswith("on")} | reader.attributes & {
        "style",
        "href",
        "src",
    }
    assert "://" not in page
    assert "url(" not in page
    assert "@import" not in page


def test_text_from_the_log_is_only_text(tmp_path):
    """Tags are escaped, control and direction characters replaced."""
    page = render_html(hostile_log(tmp_path))

    assert not Reader(page).tags & {"script", "img"}
    assert "<script" not in page
    assert "<img" not in page
    assert "\u202e" not in page
    assert "\x1b" not in page


def test_the_golden_report_says_what_matters():
    """Verdict, cause, loss, and that a buffer is no cure."""
    page = render_html(diagnosis_of(GOLDEN))

    assert "CRITICAL: spinning producer · a bigger buffer cannot help" in page
    assert "1,335,533" in page


def test_a_page_of_millions_of_events_stays_small():
    """At most 200 KiB, whatever the log."""
    assert len(render_html(scattered(60_000)).encode()) <= 200 * 1024


def test_a_log_without_times_has_a_page_too():
    """Fewer charts, the same tables."""
    page = render_html(diagnosis_of(UNTIMED))

    assert "no timestamps" in page
    assert page.count("<svg") == 3


def test_light_and_dark_are_both_there():
    """The scheme of the reader decides, paper is always light."""
    page = render_html(diagnosis_of(GOLDEN))

    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 10**11), st.integers(1, 2**40)), max_size=40))
def test_any_log_makes_a_well_formed_page(rows):
    """No number breaks the page."""
    rows = sorted(rows)
    page = render_html(diagnosis_of_columns([START_US + at for at, _ in rows], [lost for _, lost in rows]))

    assert Reader(page).open == []
    assert "nan" not in page
