"""The error tree: what went wrong, what to type next, and the exit code a script sees.

LiqError            1  internal error or failed check
├── UsageError      2  a value on the command line is not one of the known ones
├── ConfigError     3  a setting is missing, unknown or malformed
├── Unreachable     4  a node, Redis or other dependency does not answer in time
├── WrongTarget     5  it answers, but it is another chain, pool or contract
├── SecretError     6  a key or password is missing, wrong or unsafe
├── AlreadyRunning  7  another process holds the data directory
├── NotRunning      7  nothing is up to attach to
├── InputError      8  a file or stream cannot be used
└── Reverted        1  the contract refused the call
"""

import re


class LiqError(Exception):
    """An error meant for the operator's eyes: one line, one hint, one exit code."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def code(self) -> str:
        """The class name in snake_case, the stable identifier in `--json` errors."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()


class UsageError(LiqError):
    """A value on the command line is not one of the known ones."""

    exit_code = 2


class ConfigError(LiqError):
    """A setting is missing, unknown or malformed."""

    exit_code = 3


class Unreachable(LiqError):
    """A dependency does not answer, or not in time; trying again may help."""

    exit_code = 4


class WrongTarget(LiqError):
    """The other side answers but is not what the settings say it is."""

    exit_code = 5


class SecretError(LiqError):
    """A key or password is missing, wrong or unsafe; never carries the secret."""

    exit_code = 6


class AlreadyRunning(LiqError):
    """Another process holds the data directory."""

    exit_code = 7


class NotRunning(LiqError):
    """Nothing is up to attach to."""

    exit_code = 7


class InputError(LiqError):
    """A file or stream cannot be used."""

    exit_code = 8


class Reverted(LiqError):
    """A contract refused a call; `reason` is the protocol's own name for it."""

    def __init__(self, message: str, *, reason: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason
