"""`liq position` is the pool's own answer about one borrower, and what other prices would make of it."""

import json
import re
from dataclasses import replace
from types import SimpleNamespace

import pytest

from liqcli.aave.ray import WAD
from liqcli.chain.market import open_market
from liqcli.cli.position_view import view_of, with_prices
from liqcli.cli.prices import kin_of, new_prices, parse_changes, price_label, reserve_named, untouched
from liqcli.errors import UsageError
from liqcli.model import NO_DEBT, Liquidation
from liqcli.sandbox.calls import set_price
from liqcli.sandbox.transactions import send_all

TOKENS = [
    SimpleNamespace(id=number, symbol=symbol, asset=f"0x{number:040x}")
    for number, symbol in enumerate(["WHYPE", "wstHYPE", "UBTC", "DUP", "dup"])
]
PRICED = {number: SimpleNamespace(price=2 * 10**8) for number in range(4)}


async def snapshots_of(world, count=12):
    """The first borrowers of the world, as the market has them."""
    market = await open_market(world.rpc, name="sandbox", provider=world.facts.provider, chain_id=None)
    return market, [await market.snapshot(plan.borrower) for plan in world.plans[:count]]


def seen(snapshot):
    """The view of a snapshot, whatever it earns."""
    return view_of(snapshot, min_profit_base=0, gas_price=10**8)


async def test_the_parts_add_up_to_the_pools_answer(world):
    """Balances in base currency sum to what `getUserAccountData` says, to the unit."""
    _, snapshots = await snapshots_of(world)
    for snapshot in snapshots:
        view = seen(snapshot)
        assert sum(item.base for item in view.collateral if item.counts) == snapshot.account.collateral_base
        assert sum(item.base for item in view.debt) == snapshot.account.debt_base
        assert view.account == snapshot.account


async def test_the_price_shown_is_where_the_pool_lets_go(chain):
    """With the feed at the price shown the pool itself is below one; a hair on the other side it is not.

    Interest moves the price by some 2e-9 a second meanwhile: a millionth makes up for minutes.
    """
    market, snapshots = await snapshots_of(chain)
    feeds = {asset.token: asset for asset in chain.deployment.assets}
    tried = 0
    for snapshot in snapshots:
        for item in seen(snapshot).collateral:
            if item.falls_at is None:
                continue
            under, over = item.falls_at - item.falls_at // 10**6, item.falls_at + max(item.falls_at // 10_000, 1)
            for price, below in ((under, True), (over, False)):
                await send_all(chain.rpc, [set_price(chain.deployment.deployer, feeds[item.token.asset], price)])
                (reading,) = (await market.readings([snapshot.position.borrower])).readings.values()
                assert (reading.health_factor < WAD) is below
            await send_all(chain.rpc, [set_price(chain.deployment.deployer, feeds[item.token.asset], item.price)])
            tried += 1
    assert tried > 5


async def test_a_fall_far_enough_makes_a_liquidation(world):
    """Under other prices the account is valued anew, and the best liquidation is that of those prices."""
    _, snapshots = await snapshots_of(world)
    found = 0
    for snapshot in snapshots:
        falls = {item.token.id: item.falls_at for item in seen(snapshot).collateral if item.falls_at}
        for number, price in falls.items():
            shocked = seen(with_prices(snapshot, {number: price}))
            assert shocked.account.health_factor < WAD
            assert shocked.account.debt_base == snapshot.account.debt_base or number in snapshot.position.scaled_debt
            found += isinstance(shocked.best, Liquidation)
    assert found > 3


async def test_who_has_no_debt_never_falls(world):
    """Without debts there is no price to fear and nothing to liquidate."""
    _, snapshots = await snapshots_of(world, count=1)
    free = replace(snapshots[0].position, scaled_debt={})
    view = seen(with_prices(replace(snapshots[0], position=free), {}))
    assert view.account.health_factor == NO_DEBT
    assert {item.falls_at for item in view.collateral} == {None}
    assert not isinstance(view.best, Liquidation)


def test_the_documents_fields(running):
    """JSON carries exact strings, floats beside them, and under --what-if the same standing under other prices."""
    borrower = running.liq("scan", "--json", "--tier", "medium").json["borrowers"][0]["borrower"]
    done = running.liq("position", borrower.upper().replace("0X", "0x"), "--json", "--what-if", "hype=-60%")
    assert done.code == 0, done.err
    found = done.json
    assert found["borrower"] == borrower
    assert found["block"] > 0
    assert abs(int(found["health_factor"]) / WAD - found["health_factor_float"]) < 1e-9
    assert found["collateral"]
    for item in [*found["collateral"], *found["debt"]]:
        assert int(item["amount"]) > 0
        assert item["usd"] == pytest.approx(item["amount_float"] * item["price_usd"], rel=1e-3, abs=0.01)
    used = {item["symbol"] for item in found["collateral"] if item["used_as_collateral"]}
    assert found["liquidation_price"].keys() == used | {item["symbol"] for item in found["debt"]}
    (change,) = found["what_if"]["shock"].values()
    assert change["to_usd"] == pytest.approx(change["from_usd"] * 0.4)
    assert found["what_if"].keys() >= {"health_factor", "liquidation_price", "best", "why_not"}


def test_the_text_is_for_people(running):
    """A table of balances, the health factor, and why nothing is liquidated."""
    borrower = running.liq("scan", "--json", "--tier", "low").json["borrowers"][0]["borrower"]
    done = running.liq("position", borrower, "--what-if", "UBTC=1")
    assert done.code == 0, done.err
    shown = re.match(rf"{borrower}  health factor (\d+\.\d{{4}})  ", done.out)
    judged = re.search(r"no liquidation: healthy: health factor (\d+\.\d+)", done.out)
    assert float(shown[1]) == pytest.approx(float(judged[1]), abs=1e-4)
    assert "no liquidation: healthy" in done.out
    assert "> $1.00" in done.out


def test_a_profit_without_a_sale_says_so(running):
    """Nobody quotes prices that are not there: such a liquidation is one with own funds, its sale left out."""
    for found in running.liq("scan", "--json", "--tier", "medium").json["borrowers"]:
        words = ("position", found["borrower"], *(f"--what-if={coin}=-70%" for coin in ("HYPE", "UBTC", "UETH")))
        best = running.liq(*words, "--json").json["what_if"]["best"]
        if best is not None:
            break
    assert (best["own_funds"], best["exit"]) == (True, None)
    told = running.liq(*words).out
    assert "best liquidation with own funds, nothing sold: repay" in told
    assert "no exchange quotes other prices" in told


@pytest.mark.parametrize(
    ("text", "price"),
    [("hype=-8%", 184_000_000), ("WHYPE=+5%", 210_000_000), ("WHYPE=50%", 3 * 10**8), ("HYPE=35.12345678", 3512345678)],
)
def test_changes_as_people_write_them(text, price):
    """Percentages add to the price, a bare number is the price in USD; HYPE means its wrapped token."""
    assert new_prices(parse_changes([text]), TOKENS, PRICED) == {0: price}


@pytest.mark.parametrize(
    "text", ["HYPE", "HYPE=", "=-8%", "HYPE=8 %", "HYPE=-100%", "HYPE=0", "HYPE=-5", "HYPE=+5", "HYPE=1e9", "HYPE=nan"]
)
def test_what_is_no_change_is_refused(text):
    """Anything that is not a change of a price is a usage error that quotes it."""
    with pytest.raises(UsageError, match=r"is not a change|is no price|leaves no price"):
        parse_changes([text])


def test_an_asset_is_named_once():
    """Two prices for one asset contradict each other, also under two of its names."""
    for pair in (["UBTC=1", "ubtc=2"], ["HYPE=1", "WHYPE=2"]):
        with pytest.raises(UsageError, match="named twice"):
            new_prices(parse_changes(pair), TOKENS, PRICED)


def test_a_wrong_name_gets_the_right_one_offered():
    """Unknown assets are refused with the nearest symbol; symbols that are not unique ask for the address."""
    with pytest.raises(UsageError) as caught:
        reserve_named("ubct", TOKENS)
    assert "did you mean UBTC?" in caught.value.hint
    with pytest.raises(UsageError, match="several assets"):
        reserve_named("Dup", TOKENS)
    assert reserve_named(TOKENS[4].asset, TOKENS).id == 4


def test_an_asset_without_a_price():
    """A change of a price that nobody knows is refused, not guessed."""
    with pytest.raises(UsageError, match="no price"):
        new_prices(parse_changes([f"{TOKENS[4].asset}=-8%"]), TOKENS, PRICED)


def test_labels_of_prices():
    """A price to fall at is shown with its distance; below a dollar with more digits; none is `never`."""
    assert price_label(28_10000000, 35_12500000) == "$28.10 -20.0%"
    assert price_label(91234567, 10**8) == "$0.912346 -8.8%"
    assert price_label(None, 1) == "never"


def test_what_a_change_leaves_alone_is_said():
    """HYPE is its wrapped token; the staked one, which follows it in the world, keeps its price until it is named."""
    changes = parse_changes(["HYPE=-8%"])
    assert untouched(changes, TOKENS, {0}) == "HYPE is WHYPE here; wstHYPE keeps its price: name it too to move it"
    assert untouched(parse_changes(["whype=-8%", "wsthype=-8%"]), TOKENS, {0, 1}) == ""


@pytest.mark.parametrize(
    ("asset", "symbols", "kin"),
    [
        ("UBTC", ["UBTC", "cbBTC", "USDC"], ["cbBTC"]),
        ("UETH", ["UETH", "weETH", "WHYPE"], ["weETH"]),
        ("USDC", ["USDC", "USDT0", "USDe"], []),
        ("WHYPE", ["WHYPE", "kHYPE", "LHYPE"], ["kHYPE", "LHYPE"]),
    ],
)
def test_who_follows_a_coin_is_told_by_its_symbol(asset, symbols, kin):
    """The coin's own name within the others' symbols; stable coins are not of one another's kin."""
    tokens = [SimpleNamespace(id=n, symbol=symbol, asset=f"0x{n:040x}") for n, symbol in enumerate(symbols)]
    assert [token.symbol for token in kin_of(parse_changes([f"{asset}=-8%"]), tokens, {0})] == kin


def test_what_is_read_is_said(place, running):
    """Without --sandbox the network, the market and the node stand on stderr, and stdout holds the answer alone."""
    facts = json.loads((running.directory / "data" / "sandbox.json").read_text())
    target = ("--pool-addresses-provider", facts["provider"], "--rpc", facts["rpc_url"], "--market", "mine")
    finished = place.liq("scan", *target, "--limit", "1", "--json")
    assert finished.code == 0, finished.err
    assert f"local · market mine · node {facts['rpc_url']}" in finished.err
    assert len(finished.json["borrowers"]) == 1
