"""Write what is made from the code: docs/cli.md from the commands, docs/settings.md and the schema from Settings.

Run `python docs/generate.py`; with `--check` it only says which page is out of date, and exits with 1.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from typer.cli import get_docs_for_click
from typer.main import get_command

from liqcli.cli.config import settings_schema
from liqcli.cli.exit_codes import exit_codes
from liqcli.cli.main import app_for
from liqcli.config import ENV_PREFIX, Settings

HERE = Path(__file__).parent
EXIT_CODES_HEAD = """## Exit codes

The same for every command. Errors are `error: ...` and `hint: ...` on stderr; with `--json` they are
`{"error": {"code", "message", "hint"}}` on stdout.

| code | means |
|---|---|"""
SETTINGS_HEAD = """# Settings

Every setting, its default and its environment variable. Precedence: command-line flag > environment > `./liq.toml` >
user config (`~/.config/liq/config.toml`) > market preset > default. An unknown key is an error with a suggestion.

| key in liq.toml | environment | default | what it is |
|---|---|---|---|
"""


def cli_page() -> str:
    """The reference of all commands, by Typer's own generator."""
    command = get_command(app_for([]))
    text = get_docs_for_click(obj=command, ctx=command.make_context("liq", [], resilient_parsing=True), name="liq")
    return text.replace("# `liq`", "# Commands", 1).strip() + "\n\n" + exit_code_table()


def exit_code_table() -> str:
    """What a script may make of an exit code."""
    rows = [f"| {code} | {meaning} |" for code, meaning in exit_codes().items()]
    return "\n".join([EXIT_CODES_HEAD, *rows]) + "\n"


def settings_page() -> str:
    """A table of all settings."""
    return SETTINGS_HEAD + "\n".join(settings_rows(Settings, Settings.model_construct())) + "\n"


def settings_rows(model: type[BaseModel], defaults: Any, above: str = "") -> Iterator[str]:
    """One row for each leaf of a settings model."""
    for name, field in model.model_fields.items():
        default = getattr(defaults, name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from settings_rows(field.annotation, default, f"{above}{name}.")
        else:
            variable = ENV_PREFIX + f"{above}{name}".replace(".", "__").upper()
            yield f"| `{above}{name}` | `{variable}` | {shown_default(name, default)} | {field.description} |"


def shown_default(name: str, default: Any) -> str:
    """A default as a reader types it; the data directory depends on the user."""
    if name == "data_dir":
        return "the user's data directory"
    return "-" if default is None else f"`{default}`"


def schema_page() -> str:
    """The JSON Schema of liq.toml."""
    return json.dumps(settings_schema(), indent=2) + "\n"


PAGES = {"cli.md": cli_page, "settings.md": settings_page, "schemas/liq.toml.json": schema_page}


def main() -> int:
    """Write or check every page."""
    outdated = [name for name, make in PAGES.items() if not write(HERE / name, make())]
    for name in outdated:
        sys.stderr.write(f"docs/{name} is out of date: run python docs/generate.py\n")
    return 1 if outdated else 0


def write(path: Path, text: str) -> bool:
    """Put the page in place; under --check only compare."""
    if "--check" in sys.argv:
        return path.exists() and path.read_text() == text
    path.write_text(text)
    return True


if __name__ == "__main__":
    sys.exit(main())
