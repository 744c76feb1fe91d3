"""What `liq scan` makes of a node that could not read everybody."""

from dataclasses import replace

import pytest

from liqcli.cli.scan import _confirmed
from tests.chain.sandbox import borrowers_of, open_sandbox


@pytest.mark.parametrize("refusals", [0, 1, 2])
async def test_who_was_not_read_gets_a_second_chance(world, monkeypatch, refusals):
    """A node that refuses once, as one does in the moment of a new block, costs nobody; one that goes on is told."""
    market, asked = await open_sandbox(world), []
    read, borrowers = market.readings, borrowers_of(world)[:5]

    async def refusing(wanted):
        asked.append(wanted)
        batch = await read(wanted)
        if len(asked) > refusals:
            return batch
        refused = wanted[0]
        rest = {borrower: reading for borrower, reading in batch.readings.items() if borrower != refused}
        return replace(batch, readings=rest, failed=frozenset({refused}))

    monkeypatch.setattr(market, "readings", refusing)
    batch = await _confirmed(market, borrowers)
    assert (len(batch.readings), len(batch.failed)) == ((4, 1) if refusals == 2 else (5, 0))
    assert asked == [borrowers] * min(refusals + 1, 2)
