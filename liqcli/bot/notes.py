"""What a running bot has to say: facts, which whoever listens puts into words."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from liqcli.model import Liquidation, Reading, Receipt


@dataclass(frozen=True, slots=True)
class Note:
    """Something worth a line: `kind` names it, the rest are its facts; `reason` is a skip's few words to count by."""

    kind: str
    text: str = ""
    reading: Reading | None = None
    plan: Liquidation | None = None
    tx_hash: str = ""
    receipt: Receipt | None = None
    reason: str = ""


Tell: TypeAlias = Callable[[Note], None]
