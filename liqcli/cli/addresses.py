"""Borrowers' addresses as people write them: whole, or shortened in the middle as other commands print them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from liqcli.errors import UsageError
from liqcli.model import Address
from liqcli.text import safe

_WHOLE = re.compile(r"0[xX][0-9a-fA-F]{40}")
_SHORT = re.compile(r"0[xX]([0-9a-fA-F]+)(?:…|~|\.{2,})([0-9a-fA-F]+)")
_HINT = "0x and 40 hexadecimal digits, or shortened as printed: 0x1234…abcd, 0x1234..abcd"
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Shortened:
    """An address of which only both ends are known, in small letters."""

    head: str
    tail: str

    def __str__(self) -> str:
        return f"{self.head}…{self.tail}"

    def among(self, borrowers: Iterable[Address], *, place: str) -> Address:
        """The one borrower that is meant; UsageError where none or several could be. `place` says where was looked."""
        found = [one for one in borrowers if one.startswith(self.head) and one.endswith(self.tail)]
        if len(found) == 1:
            return found[0]
        if not found:
            raise UsageError(f"{place} has no borrower {self}", hint="give all 40 digits: --json prints them")
        named = ", ".join(sorted(found)[:_MOST_NAMED]) + (", ..." if len(found) > _MOST_NAMED else "")
        raise UsageError(f"{self} could be any of {len(found)} borrowers in {place}", hint=f"give one of {named}")


def borrower_named(text: str) -> Address | Shortened:
    """The borrower a user wrote; UsageError when it is neither form of an address."""
    if _WHOLE.fullmatch(text):
        return text.lower()
    match = _SHORT.fullmatch(text)
    if match is None or len(match[1]) + len(match[2]) > 40:
        raise UsageError(f'"{safe(text, limit=80)}" is no address', hint=_HINT)
    return Shortened(f"0x{match[1].lower()}", match[2].lower())
