"""Every example of every --help: it can be pasted. What a sandbox can serve is run there, the rest is parsed."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command

from liqcli.cli.main import app_for, exit_code_of
from tests.cli.conftest import Place

ROOT = Path(__file__).parents[2]
PARSED_ONLY = {
    "run": "covered by test_run: it would hold the shared place for a minute",
    "worker": "covered by test_worker: it names a server and a key of the operator's",
    "sandbox up": "it is what serves the other examples",
    "sandbox install": "it asks npm's registry",
}
NEEDS_BOT = {"status", "health", "diagnose live", "report"}
MAY_FIND_NOTHING = {"queue show", "queue requeue", "queue promote"}
EXTRA = {
    "audit missed": ("--sandbox",),
    "contract deploy": ("--sandbox",),
    "book import": ("--sandbox",),
    "book export": ("--sandbox",),
    "keys new": ("--password-file", "password"),
    "keys import": ("--password-file", "password"),
    "keys check": ("--password-file", "password"),
}
"""What an operator has set already, or is asked for on a terminal."""


def examples(app, above=""):
    """The name of every command with its example."""
    for command in app.registered_commands:
        name = f"{above}{command.name or command.callback.__name__}"
        text = f"{command.callback.__doc__}\n{command.epilog or ''}"
        yield name, re.findall(r"Example: liq (.+)", text)[-1]
    for group in app.registered_groups:
        yield from examples(group.typer_instance, f"{above}{group.name} ")


APP = app_for([])
EXAMPLES = dict(examples(APP))
COMMAND = get_command(APP)


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    """A place with a sandbox up, and the files that examples read."""
    place = Place(tmp_path_factory.mktemp("examples"))
    (place.directory / "password").write_text("a password\n")
    (place.directory / "password").chmod(0o600)
    (place.directory / "bot.log").write_bytes((ROOT / "sample_logs" / "tracing-full.log").read_bytes())
    with place.start("sandbox", "up", "--borrowers", "40", stderr=subprocess.DEVNULL) as process:
        for _ in range(7):
            process.stdout.readline()
        rows = place.liq("scan", "--csv", "--limit", "1").out.splitlines()
        column = rows[0].split(",").index("borrower")
        (place.directory / "borrowers.csv").write_text(f"{rows[1].split(',')[column]}\n")
        (place.directory / "queue.jsonl").write_text(place.liq("queue", "export", "--sandbox").out)
        place.liq("keys", "new", "hot-wallet", "--password-file", "password")
        yield place
        process.terminate()
        process.wait(10)


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_can_be_parsed(name):
    """Its command, options and values are ones that the command takes."""
    words = shlex.split(EXAMPLES[name].partition(">")[0])
    command, context = COMMAND, None
    while words and hasattr(command, "commands"):
        context = command.make_context(words[0], [], parent=context, resilient_parsing=True)
        command = command.commands[words.pop(0)]
    assert command.make_context(name, words, parent=context).args == [], "words that nothing takes"


@pytest.mark.parametrize("name", EXAMPLES)
def test_no_help_cuts_anything_at_80_columns(name, monkeypatch, capsys):
    """Every option can be read whole, on a terminal or through a pipe."""
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    assert exit_code_of([*name.split(), "--help"]) == 0
    assert "…" not in capsys.readouterr().out


@pytest.mark.parametrize("name", sorted(set(EXAMPLES) - set(PARSED_ONLY)))
def test_every_example_that_a_sandbox_can_serve_runs(name, up, running, tmp_path):
    """It ends with exit 0, or says that there is nothing to find."""
    place = running if name in NEEDS_BOT else up
    line = EXAMPLES[name].partition(">")[0]
    borrower = (up.directory / "borrowers.csv").read_text().strip()
    words = [borrower if re.match("0x91f0", word) else word for word in shlex.split(line)]
    environment = {"LIQ_DATA_DIR": str(tmp_path)} if name in ("keys new", "keys import", "pause", "resume") else {}
    if name == "init":
        (place.directory / words[-1]).unlink(missing_ok=True)
    key = "0x" + "5c" * 32 if name == "keys import" else None
    finished = place.liq(*words, *EXTRA.get(name, ()), text=key, **environment)
    allowed = {0, 1} if name in MAY_FIND_NOTHING else {10} if "--fail-on" in words else {0}
    assert finished.code in allowed, f"{finished.out[-500:]}{finished.err[-500:]}"
    assert "Traceback" not in finished.err
    assert "internal error" not in finished.err
