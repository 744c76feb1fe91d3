"""Whether losses come in step with the chain's blocks."""

import numpy as np

from liqcli.lag.simulate import Seconds

BLOCK_SECONDS = 1.0
"""A small HyperEVM block's time: a big one's logs come within it."""


def is_block_locked(at: Seconds) -> bool:
    """Whether moments lie at one phase of the second or of the minute, as HyperEVM's blocks do; three are the least.

    One fixed period that is neither is a timer of the consumer's own, not the chain.
    """
    if len(at) < 3:
        return False
    between = np.diff(at)
    period = float(np.median(between))
    regular = float(np.abs(between - period).max()) < 0.02 * period
    minutes = period / 60
    if regular and abs(period - 1) > 0.05 and (minutes < 0.5 or abs(minutes - round(minutes)) > 0.01):
        return False
    return _arc(at, 60.0) < BLOCK_SECONDS / 60 or _phase_chance(at) < 0.005


def _arc(at: Seconds, period: float) -> float:
    """The least share of the period that holds the phases of all moments."""
    phase = np.sort(at % period) / period
    return 1 - float(np.diff(np.concatenate([phase, phase[:1] + 1])).max())


def _phase_chance(at: Seconds) -> float:
    """How likely chance alone puts these moments so close in the second: by their arc, or by Rayleigh's test (Zar)."""
    count = len(at)
    length = abs(np.exp(2j * np.pi * at).sum())
    rayleigh = float(np.exp(np.sqrt(1 + 4 * count + 4 * (count**2 - length**2)) - (1 + 2 * count)))
    arc = _arc(at, 1.0)
    return min(count * arc ** (count - 1) if arc < 0.5 else 1.0, rayleigh if count >= 4 else 1.0)
