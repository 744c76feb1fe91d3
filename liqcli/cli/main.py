"""`liq`: the commands put together, and the one place where errors become output and exit codes."""

import os
import sys
from importlib import import_module
from pathlib import Path
from traceback import extract_tb
from typing import Annotated, Any

import typer

from liqcli.cli.exit_codes import INTERRUPTED, exit_codes
from liqcli.cli.outline import help_of
from liqcli.cli.render import prepare, print_error
from liqcli.errors import ConfigError, LiqError, UsageError
from liqcli.text import holds_key, without_keys

COMMANDS = (
    "run",
    "worker",
    "scan",
    "position",
    "why",
    "stress",
    "report",
    "pause",
    "resume",
    "status",
    "init",
    "doctor",
    "health",
    "metrics",
)
GROUPS = ("audit", "queue", "book", "diagnose", "keys", "contract", "config", "markets", "sandbox")
_EPILOG = "\n\n".join(
    [
        "Example: liq run --sandbox --duration 60s",
        "Exit codes: " + " · ".join(f"{code} {meaning}" for code, meaning in exit_codes().items()),
    ]
)
_REPORT = "this is a bug in liq: please report it with the command that showed it"


def _show_version(*, wanted: bool) -> None:
    if wanted:
        from liqcli.cli.versions import versions

        print(versions())
        raise typer.Exit


def options(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Show the versions of liq and its parts, and leave.",
            callback=_show_version,
            is_eager=True,
        ),
    ] = False,
) -> None:
    """Hold the options of `liq` itself."""


def app_for(args: list[str]) -> typer.Typer:
    """The application; a command's own line loads that command only, and `--help` alone loads none."""
    app = typer.Typer(
        name="liq",
        help="Liquidation toolkit for Aave-V3 markets on HyperEVM, and the tool that says why an event channel lags.",
        epilog=_EPILOG,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    app.callback()(options)
    if args == ["--help"]:
        for name in (*COMMANDS, *GROUPS):
            app.command(name, help=help_of(name))(lambda: None)
        return app
    wanted = set(args[:1]) & {*COMMANDS, *GROUPS} or {*COMMANDS, *GROUPS}
    for name in COMMANDS:
        if name in wanted:
            app.command(name)(getattr(import_module(f"liqcli.cli.{name}"), name))
    for name in GROUPS:
        if name in wanted:
            app.add_typer(import_module(f"liqcli.cli.{name}").app, name=name)
    return app


def main() -> None:
    """Run `liq`, and leave with the exit code of what happened."""
    _keep_streams()
    sys.exit(exit_code_of(sys.argv[1:]))


def _keep_streams() -> None:
    """Another encoding is no reason to stop, and neither is a stream that the caller has closed."""
    sys.stdout = sys.stdout or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    sys.stderr = sys.stderr or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    sys.stdin = sys.stdin or os.fdopen(os.open(os.devnull, os.O_RDONLY))
    for stream in (sys.stdout, sys.stderr):
        prepare(stream)  # type: ignore[arg-type]


def exit_code_of(args: list[str]) -> int:
    """Run one command line; every error ends here as two lines, or as a document under --json."""
    try:
        code = _run(args)
    except typer.TyperException as err:
        if not (message := err.format_message()):
            return err.exit_code  # the help was asked for by giving nothing
        shown: LiqError = UsageError(message, hint=_help_for(err, args))
    except LiqError as err:
        shown = err
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        sys.stdout = None  # nobody reads: the interpreter must not flush to it either
        return 0
    except OSError as err:
        place = err.filename or "a file or socket"
        hint = "check its owner and mode; LIQ_DATA_DIR=DIR names another data directory"
        shown = ConfigError(f"cannot use {place} ({err.strerror or err})", hint=hint)
    except Exception as err:  # noqa: BLE001  the last place: a bug, too, ends as one line and a code
        shown = LiqError(f"internal error: {type(err).__name__}: {err} ({_place_of(err)})", hint=_REPORT)
    else:
        return code if isinstance(code, int) else 0
    shown.hint = _as_typed(shown.hint, args)
    if any(map(holds_key, args)):
        shown.message, shown.hint = without_keys(shown.message), without_keys(shown.hint)
    print_error(shown, as_json="--json" in args)
    return shown.exit_code


def _run(args: list[str]) -> Any:
    """The result of one command line; a probe that needs no explanation goes without Typer."""
    if args[:1] == ["health"]:
        from liqcli.cli.health import health, plainly_given

        if (given := plainly_given(args[1:])) is not None:
            return health(**given)
    return app_for(args)(args, prog_name="liq", standalone_mode=False)


def _help_for(err: typer.TyperException, args: list[str]) -> str:
    """The help of the command that was meant, as far as it is known."""
    if (context := getattr(err, "ctx", None)) is not None:
        return f"{context.command_path} --help"
    return f"{_command_in(args) or 'liq'} --help"


def _as_typed(hint: str, args: list[str]) -> str:
    """A hint that shows an option shows it on the command that was typed."""
    typed = _command_in(args) or "liq COMMAND"
    return f"{typed} {hint}" if hint.startswith("--") else hint.replace("liq COMMAND", typed)


def _command_in(args: list[str]) -> str:
    """The command that a line names, with the group it is in."""
    if not args or args[0] not in {*COMMANDS, *GROUPS}:
        return ""
    words = 2 if args[0] in GROUPS and args[1:] and args[1].isalpha() else 1
    return " ".join(["liq", *args[:words]])


def _place_of(err: Exception) -> str:
    frame = extract_tb(err.__traceback__)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno}"
