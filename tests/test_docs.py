"""The pages made from the code are those of the code, and every command has help that ends with an example."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from liqcli.cli.main import app_for

ROOT = Path(__file__).parents[1]


def commands(app, above=""):
    """Every command of an application with its full name."""
    for command in app.registered_commands:
        help_text = f"{command.callback.__doc__}\n{command.epilog or ''}"
        yield f"{above}{command.name or command.callback.__name__}", help_text
    for group in app.registered_groups:
        yield from commands(group.typer_instance, f"{above}{group.name} ")


def test_generated_pages_are_up_to_date():
    """docs/cli.md and docs/settings.md are what `python docs/generate.py` writes."""
    checked = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize(
    ("name", "text"), list(commands(app_for([]))), ids=lambda value: str(value).split("\n")[0][:30]
)
def test_every_command_ends_its_help_with_an_example(name, text):
    """The docstring of a command says what it does and shows a line to paste."""
    assert text, name
    assert text.strip().splitlines()[-1].strip().startswith(f"Example: liq {name.split()[0]}"), name


def test_the_help_read_from_the_source_is_the_help_of_the_commands():
    """`liq --help` shows, without loading a command, what each of them says of itself."""
    whole, outline = get_command(app_for([])), get_command(app_for(["--help"]))
    assert list(outline.commands) == list(whole.commands)
    for name, command in whole.commands.items():
        assert outline.commands[name].help.split("\n")[0] == command.help.split("\n")[0], name


def test_no_page_names_a_place_of_the_developers():
    """Documents name no absolute home."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    text = "\n".join(page.read_text() for page in pages)
    assert "/root/" not in text
