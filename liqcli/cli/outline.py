"""What each command is for, read from its source without running it: `liq --help` stays fast however many there are."""

import ast
from pathlib import Path


def help_of(name: str) -> str:
    """The docstring of the command of this name, or the help its group was made with."""
    module = ast.parse((Path(__file__).parent / f"{name}.py").read_text(encoding="utf-8"))
    for node in module.body:
        if isinstance(node, ast.FunctionDef) and node.name == name and (text := ast.get_docstring(node)):
            return text
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and _names(node) == ["app"]:
            return next(str(ast.literal_eval(word.value)) for word in node.value.keywords if word.arg == "help")
    raise LookupError(f"liqcli/cli/{name}.py says nothing of what it is for")


def _names(node: ast.Assign) -> list[str]:
    return [target.id for target in node.targets if isinstance(target, ast.Name)]
