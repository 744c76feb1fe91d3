"""`liq config`: what the settings are, where each comes from, and what is wrong with them."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import SecretStr

from liqcli.cli import options
from liqcli.cli.render import print_json, print_table, safe_lines, say
from liqcli.config import Explained, Settings, config_files
from liqcli.layers import Key, WrongSettings, shown_value
from liqcli.text import safe

app = typer.Typer(help="Settings: where each comes from, and what is wrong with them.", no_args_is_help=True)


@app.command()
def show(
    section: Annotated[str | None, typer.Argument(help="Only this section, such as tiers.")] = None,
    *,
    origin: Annotated[bool, typer.Option("--origin", help="Show which source set each value.")] = False,
    as_json: options.Json = False,
    config: options.ConfigFile = None,
) -> None:
    """Show the settings as a command would get them; of URLs, which may hold keys, only scheme and host.

    Example: liq config show --origin
    """
    explained = options.explained_from(config=config)
    wanted = tuple(section.split(".")) if section else ()
    values = {key: value for key, value in shown_settings(explained.settings).items() if key[: len(wanted)] == wanted}
    if not values:
        _refuse_section(explained, section or "")
    if as_json:
        print_json({"settings": _nested(values), "origins": {".".join(key): explained.origins[key] for key in values}})
        return
    rows = [
        [".".join(key), _as_toml(value), *([explained.origins[key]] if origin else [])] for key, value in values.items()
    ]
    print_table(["setting", "value", *(["from"] if origin else [])], rows, left=3, folds=["value", "from"])


@app.command()
def validate(*, as_json: options.Json = False, config: options.ConfigFile = None) -> None:
    """Check the settings without using them: every mistake at once, with file, line and key; exit 3 if there is one.

    Example: liq config validate
    """
    try:
        explained = options.explained_from(config=config)
    except WrongSettings as err:
        _tell_problems(err, as_json=as_json)
        raise typer.Exit(err.exit_code) from None
    files = [str(path) for path in config_files(config) if path.is_file()]
    if as_json:
        print_json({"valid": True, "files": files, "problems": []})
    else:
        chosen = sum(origin != "default" for origin in explained.origins.values())
        print(f"valid: {chosen} of {len(explained.origins)} settings are set, from {', '.join(files) or 'no file'}")


@app.command()
def path(*, as_json: options.Json = False, config: options.ConfigFile = None) -> None:
    """Say which files are read, the first above the second.

    Example: liq config path
    """
    found = [(path.absolute(), path.is_file()) for path in config_files(config)]
    if as_json:
        print_json({"files": [{"path": str(path), "exists": exists} for path, exists in found]})
        return
    for file, exists in found:
        print(f"{safe(str(file))}\t{'read' if exists else 'not there'}")


@app.command()
def schema() -> None:
    """Print the JSON Schema of liq.toml, for editors and checks.

    Example: liq config schema
    """
    print(json.dumps(settings_schema(), indent=2))


def settings_schema() -> dict[str, Any]:
    """The JSON Schema of the settings; no key is required, since each has a default that a file may leave alone."""
    document = _fit_for_files(Settings.model_json_schema())
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **document, "title": "liq.toml"}


def shown_settings(settings: Settings) -> dict[Key, Any]:
    """Every setting by its key, as it may be shown."""
    return {key: _shown(key, _at(settings, key)) for key in _keys(settings)}


def _keys(settings: Settings) -> list[Key]:
    from liqcli.layers import names

    return list(names(type(settings)))


def _at(settings: Any, key: Key) -> Any:
    for part in key:
        settings = getattr(settings, part)
    return settings


def _shown(key: Key, value: Any) -> Any:
    if isinstance(value, tuple):
        return [_shown(key, part) for part in value]
    if isinstance(value, SecretStr):
        return "***"
    if isinstance(value, str | Path):
        return shown_value(key, str(value)) if "://" in str(value) else safe(str(value))
    return "inf" if value == float("inf") else value


def _nested(values: dict[Key, Any]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for key, value in values.items():
        place = document
        for part in key[:-1]:
            place = place.setdefault(part, {})
        place[key[-1]] = value
    return document


def _as_toml(value: Any) -> str:
    if value is None:
        return "-"
    return json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value


def _refuse_section(explained: Explained, section: str) -> None:
    from liqcli.errors import UsageError
    from liqcli.layers import suggest

    known = {key[0] for key in explained.origins}
    raise UsageError(f'no setting "{safe(section, limit=80)}"', hint=suggest(section, known))


def _tell_problems(err: WrongSettings, *, as_json: bool) -> None:
    if as_json:
        problems = [
            {"key": problem.key, "place": problem.place, "message": safe_lines(problem.message), "hint": problem.hint}
            for problem in err.problems
        ]
        print_json({"valid": False, "problems": problems})
        return
    for problem in err.problems:
        say(f"error: {safe(problem.message)}")
        say(f"hint: {safe(problem.hint)}")


def _fit_for_files(part: Any) -> Any:
    """Without what a file need not have, and without infinity, which JSON has not."""
    if isinstance(part, dict):
        left_out = {"required"} if "properties" in part else set()
        return {
            name: _fit_for_files(value)
            for name, value in part.items()
            if name not in left_out and value not in (float("inf"), float("-inf"))
        }
    return [_fit_for_files(value) for value in part] if isinstance(part, list) else part
