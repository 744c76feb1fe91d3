"""Quantities in a few characters, for evidence and advice."""


def rate_text(rate: float) -> str:
    """Events a second: `850/s`, `6.33 million/s`."""
    return f"{rate / 1e6:.2f} million/s" if rate >= 1e6 else f"{rate:,.3g}/s" if rate < 100 else f"{rate:,.0f}/s"


def seconds_text(seconds: float) -> str:
    """A duration in the unit that suits it: `343 us`, `2.6 ms`, `1.3 s`, `8.8 min`."""
    if seconds < 1e-3:
        return f"{seconds * 1e6:,.3g} us"
    if seconds < 1:
        return f"{seconds * 1e3:,.3g} ms"
    return (
        f"{seconds:,.3g} s"
        if seconds < 120
        else f"{seconds / 60:,.1f} min"
        if seconds < 7200
        else f"{seconds / 3600:,.1f} h"
    )


def percent_text(share: float) -> str:
    """A share of one: `94 %`."""
    return f"{100 * share:.0f} %"


def amount(count: float) -> str:
    """A count with a decimal prefix: `20 k`, `2.1 M`."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return f"{count:.0f} "
