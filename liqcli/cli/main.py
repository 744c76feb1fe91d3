"""`liq`: the commands put together, and the one place where errors become output and exit codes."""

import sys
from typing import Annotated

import typer

from liqcli.cli import diagnose, queue, run, sandbox, scan
from liqcli.cli.render import print_error
from liqcli.errors import LiqError, UsageError

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


@app.callback()
def options(
    *,
    version: Annotated[bool, typer.Option("--version", help="Show the version and leave.", is_eager=True)] = False,
) -> None:
    """Hold the options of `liq` itself."""
    if version:
        from importlib.metadata import version as installed

        print(f"liq {installed('liqcli')} · Python {sys.version.split()[0]}")
        raise typer.Exit


def main() -> None:
    """Run `liq`, and leave with the exit code of what happened."""
    sys.exit(exit_code_of(sys.argv[1:]))


def exit_code_of(args: list[str]) -> int:
    """Run one command line; every error ends here as two lines, or as a document under --json."""
    try:
        code = app(args, standalone_mode=False)
    except typer.TyperException as err:
        shown: LiqError = UsageError(err.format_message(), hint=f"liq {_command_of(args)}--help")
    except LiqError as err:
        shown = err
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    else:
        return code if isinstance(code, int) else 0
    print_error(shown, as_json="--json" in args)
    return shown.exit_code


def _command_of(args: list[str]) -> str:
    words = []
    for arg in args:
        if arg.startswith("-"):
            break
        words.append(arg)
    return "".join(f"{word} " for word in words[:2])
