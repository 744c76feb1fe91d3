"""The exit codes that scripts see: those of the error tree, and those that are no error."""

from liqcli.errors import LiqError

OK = 0
FOUND = 10
INTERRUPTED = 130
_NO_ERRORS = {OK: "ok", FOUND: "found what --fail-on or --fail-on-found was to find", INTERRUPTED: "stopped by Ctrl-C"}


def exit_codes() -> dict[int, str]:
    """What each code means, in their order, from the first sentence of each error's docstring."""
    meanings: dict[int, list[str]] = {code: [meaning] for code, meaning in _NO_ERRORS.items()}
    tree: list[type[LiqError]] = [LiqError, *LiqError.__subclasses__()]
    for error in tree:
        if error.__module__ != LiqError.__module__:
            continue  # those of other modules have the code of their parent
        meanings.setdefault(error.exit_code, []).append(_meaning(error))
    return {code: "; ".join(meanings[code]) for code in sorted(meanings)}


def _meaning(error: type[LiqError]) -> str:
    if error is LiqError:
        return "an internal error, or a check that failed"
    text = (error.__doc__ or "").split(";")[0].split(".\n")[0].strip().rstrip(".")
    return text[0].lower() + text[1:]
