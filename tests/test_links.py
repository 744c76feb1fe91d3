"""The pages lead somewhere: every link, every named test, every command in them exists."""

import re
from pathlib import Path

import pytest

from liqcli.cli.main import COMMANDS, GROUPS

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_inside_the_repository_lead_somewhere(page):
    """No link of a page points to a file that is not there."""
    links = re.findall(r"\]\(([^)#:]+)(?:#[\w-]*)?\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_pages_exist(page):
    """A line to paste begins with a command that `liq` has."""
    blocks = re.findall(r"```\n(.*?)```", page.read_text(), re.DOTALL)
    words = {word for block in blocks for word in re.findall(r"^(?:\$ )?liq ([a-z]+)", block, re.MULTILINE)}
    assert words <= {*COMMANDS, *GROUPS}


def test_every_threat_names_a_test_that_exists():
    """A row of docs/security.md without its test would be a claim."""
    rows = re.findall(r"^\| (.*) \|$", (ROOT / "docs" / "security.md").read_text(), re.MULTILINE)[2:]
    assert len(rows) >= 20
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)`", row)
        assert named, row
        assert [name for name in named if not (ROOT / name).is_file()] == []
