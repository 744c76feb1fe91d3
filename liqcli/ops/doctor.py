"""The examination before a run: every check at once, within one deadline, and none of them can break it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial

from liqcli.errors import LiqError
from liqcli.ops.checks import host, market, node, place, redis, wallet, websocket
from liqcli.ops.checks.finding import Check, Scope, Status, fail, failed, warn
from liqcli.text import safe

DEADLINE_S = 3.0
"""Beside it a process needs up to two seconds to load what it examines with: five for the whole."""

_SPARE = ("ws", "rpc ")
"""What a bot can do without: the websocket, and every endpoint after the first."""

Examiner = Callable[[Scope], AsyncIterator[Check]]


async def examine(scope: Scope, *, deadline_s: float = DEADLINE_S, cheap: bool = False) -> list[Check]:
    """Every finding, in the order of the checks; the cheap ones ask neither chain nor Redis."""
    examiners = {"config": place.check, "host": host.check} if cheap else _all(scope)
    found = await asyncio.gather(*(_within(deadline_s, name, check(scope)) for name, check in examiners.items()))
    return [check for checks in found for check in checks]


def refusal(checks: list[Check]) -> LiqError | None:
    """Why a bot must not start: the first failure in its own words, or None."""
    failures = [check for check in checks if check.status is Status.FAIL]
    if not failures:
        return None
    first = failures[0]
    if first.error is not None:
        return first.error
    more = f" (and {len(failures) - 1} more failed: liq doctor)" if len(failures) > 1 else ""
    return LiqError(
        f"{first.name}: {first.what}{more}", hint=f"{first.fix or 'liq doctor'}; --skip-checks starts anyway"
    )


def _all(scope: Scope) -> Mapping[str, Examiner]:
    nodes = {
        "rpc" if number == 1 else f"rpc {number}": partial(node.check, url=url, number=number)
        for number, url in enumerate(scope.rpc_urls, start=1)
    }
    return {
        "config": place.check,
        **nodes,
        "ws": websocket.check,
        "market": market.check,
        "redis": redis.check,
        "wallet": wallet.check,
        "host": host.check,
    }


async def _within(deadline_s: float, name: str, findings: AsyncIterator[Check]) -> list[Check]:
    """What a check found until it ended, broke or the time was up."""
    found: list[Check] = []
    try:
        async with asyncio.timeout(deadline_s):
            async for check in findings:
                found.append(check)  # noqa: PERF401  what was found before the time was up counts
    except TimeoutError:
        judge = warn if name.startswith(_SPARE) else fail
        found.append(
            judge(name, f"not examined within {deadline_s:.1f} s", "try again; is it slow, or out of reach from here?")
        )
    except LiqError as err:
        found.append(failed(name, err))
    except Exception as err:  # noqa: BLE001  the promise: no check can crash the doctor, nor hide what others found
        told = f"this check itself broke: {type(err).__name__}: {safe(str(err), limit=200)}"
        found.append(fail(name, told, "please report it: it is a bug in liq"))
    return found
