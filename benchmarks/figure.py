"""How a benchmark says what it measured: one JSON object a line."""

import json


def figure(
    name: str,
    value: float,
    unit: str,
    *,
    reference: float | None = None,
    target: float | None = None,
    at_most: float | None = None,
    of: str = "ratio",
) -> bool:
    """Print a figure: `target` is the least, `at_most` the greatest ratio to the reference or value, as `of` says."""
    ratio = None if reference is None else value / reference
    measured = ratio if of == "ratio" else value
    limit = target if at_most is None else at_most
    ok = limit is None or (measured is not None and (measured >= limit if at_most is None else measured <= limit))
    facts = {"name": name, "value": value, "unit": unit, "reference": reference, "ratio": ratio, "target": limit}
    rounded = {key: round(fact, 4) if isinstance(fact, float) else fact for key, fact in facts.items()}
    print(json.dumps(rounded | {"ok": ok}), flush=True)
    return ok
