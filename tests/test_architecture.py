"""The house of docs/design.md, held by tests: imports run down only, and every test says what it proves."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "liqcli"
FLOORS = {
    "errors": 0, "model": 0, "tasks": 0, "text": 0, "forms": 0, "lock": 1, "layers": 1, "place": 1, "presets": 1,
    "config": 1, "aave": 1, "chain": 2, "book": 2, "store": 2, "wallet": 2, "lag": 2,
    "bot": 3, "bot.engine": 4, "sandbox": 4, "ops": 4, "cli": 5, "__main__": 6,
}  # fmt: skip
HOMES = {"web3": "chain", "redis": "store", "typer": "cli", "rich": "cli"}


def room_of(module: str) -> str:
    """The room a module lies in: `bot.engine`, and `bot.worker` beside it, have a floor of their own."""
    parts = module.split(".")[1:]
    if not parts:
        return "errors"
    return "bot.engine" if parts[:2] in (["bot", "engine"], ["bot", "worker"]) else parts[0]


def imports_of(path: Path) -> set[str]:
    """Every module a file imports, also inside functions and for types only."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def module_of(path: Path) -> str:
    """The dotted name of a file of the package."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=module_of)
def test_imports_run_down_only(path):
    """No module imports from a floor above its own, and bot and lag never meet."""
    room = room_of(module_of(path))
    for imported in imports_of(path):
        if not imported.startswith("liqcli."):
            continue
        other = room_of(imported)
        assert other in FLOORS, f"{other} has no floor"
        assert FLOORS[other] <= FLOORS[room], f"{module_of(path)} imports {imported} from above"
        assert {room.split(".")[0], other.split(".")[0]} != {"bot", "lag"}


@pytest.mark.parametrize("path", MODULES, ids=module_of)
def test_foreign_packages_have_one_home(path):
    """web3 is used in chain only, redis in store, typer and rich in cli; Click is never imported."""
    room = room_of(module_of(path))
    for imported in imports_of(path):
        top = imported.split(".")[0]
        assert HOMES.get(top, room) == room, f"{module_of(path)} imports {top}"
        assert top != "click"


def test_stages_do_not_import_each_other():
    """The stages of the bot know only the floors below and their shared nouns; the engine joins them."""
    names = ("watchlist", "channel", "tally", "risk", "amounts", "notes", "ledger", "report")
    shared = {f"liqcli.bot.{name}" for name in names}
    for path in (PACKAGE / "bot").glob("*.py"):
        if path.stem in ("engine", "worker", "dispatch", "pulse", "__init__"):
            continue
        stages = {name for name in imports_of(path) if re.fullmatch(r"liqcli\.bot\.[a-z]+", name)}
        assert stages <= shared, f"{path.stem} imports {stages - shared}"


def test_every_default_environment_is_read_in_config_only():
    """No module but config.py reads the environment, and place.py for the probe that must not load it."""
    readers = {module_of(path) for path in MODULES if re.search(r"os\.(environ|getenv)", path.read_text())}
    assert readers == {"liqcli.config", "liqcli.place"}


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("test_*.py")), ids=lambda path: path.stem)
def test_every_test_states_its_fact(path):
    """Each test function has a docstring."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            assert ast.get_docstring(node), f"{path.name}:{node.lineno} {node.name} has no docstring"
