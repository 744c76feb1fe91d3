"""`liq`: the commands put together, and the one place where errors become output and exit codes."""

import sys
from pathlib import Path
from traceback import extract_tb
from typing import Annotated

import typer

from liqcli.cli import diagnose, queue, run, sandbox, scan
from liqcli.cli.render import print_error
from liqcli.errors import LiqError, UsageError

_REPORT = "this is a bug in liq: please report it with the command that showed it"

app = typer.Typer(
    name="liq",
    help="Liquidation toolkit for Aave-V3 markets on HyperEVM, and the tool that explains why an event channel lags.",
    epilog="Example: liq run --sandbox --duration 60s",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("run")(run.run)
app.command("scan")(scan.scan)
app.add_typer(queue.app, name="queue")
app.add_typer(diagnose.app, name="diagnose")
app.add_typer(sandbox.app, name="sandbox")


def _show_version(*, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        packages = ("web3", "redis", "typer")
        beside = " · ".join(f"{name} {version(name)}" for name in packages)
        print(f"liq {version('liqcli')} · python {sys.version.split()[0]} · {beside}")
        raise typer.Exit


@app.callback()
def options(
    *,
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version and leave.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Hold the options of `liq` itself."""


def main() -> None:
    """Run `liq`, and leave with the exit code of what happened."""
    sys.exit(exit_code_of(sys.argv[1:]))


def exit_code_of(args: list[str]) -> int:
    """Run one command line; every error ends here as two lines, or as a document under --json."""
    try:
        code = app(args, standalone_mode=False)
    except typer.TyperException as err:
        if not (message := err.format_message()):
            return err.exit_code  # the help was asked for by giving nothing
        shown: LiqError = UsageError(message, hint=_help_for(args))
    except LiqError as err:
        shown = err
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        sys.stdout = None  # nobody reads: the interpreter must not flush to it either
        return 0
    except Exception as err:  # noqa: BLE001  the last place: a bug, too, ends as one line and a code
        shown = LiqError(f"internal error: {type(err).__name__}: {err} ({_place_of(err)})", hint=_REPORT)
    else:
        return code if isinstance(code, int) else 0
    print_error(shown, as_json="--json" in args)
    return shown.exit_code


def _help_for(args: list[str]) -> str:
    """The help of the command that was meant, as far as it is known."""
    known = {command.name for command in app.registered_commands} | {group.name for group in app.registered_groups}
    return f"liq {args[0]} --help" if args and args[0] in known else "liq --help"


def _place_of(err: Exception) -> str:
    frame = extract_tb(err.__traceback__)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno}"
