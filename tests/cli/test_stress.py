"""`liq stress` names those whom the pool itself puts below one when the feeds really move."""

from liqcli.chain.market import open_market
from liqcli.cli import stress
from liqcli.cli.connect import Target
from liqcli.cli.prices import new_prices, parse_changes
from liqcli.cli.stress_chart import draw
from liqcli.config import load_settings
from liqcli.lock import hold
from liqcli.model import WAD
from liqcli.sandbox.calls import set_price
from liqcli.sandbox.transactions import send_all


async def staged(world, directory):
    """The market, and everybody's position in it."""
    market = await open_market(world.rpc, name="sandbox", provider=world.facts.provider, chain_id=None)
    settings = load_settings({"data_dir": directory})
    facts = world.facts
    target = Target(facts.rpc_url, "sandbox", facts.provider, facts.chain_id, 0, settings.exchange)
    return market, await stress._stage(market, settings, target)


async def test_the_pool_agrees(chain, tmp_path):
    """Set the feeds to the prices asked about: exactly those named are below one, with the debts shown."""
    market, stage = await staged(chain, tmp_path)
    changes = parse_changes(["HYPE=-25%", "wsthype=-25%", "UBTC=-10%"])
    prices = new_prices(changes, stage.tokens, stage.moment.reserves)
    outcome = stress._outcome(stage, prices)
    assets = {token.id: token.asset for token in stage.tokens}
    feeds = {asset.token: asset for asset in chain.deployment.assets}
    moves = [set_price(chain.deployment.deployer, feeds[assets[number]], price) for number, price in prices.items()]
    await send_all(chain.rpc, moves)
    readings = (await market.readings([plan.borrower for plan in chain.plans])).readings
    below = {borrower for borrower, reading in readings.items() if reading.health_factor < WAD}
    assert {each.borrower for each in outcome.fallen} == below
    assert len(below) > 5
    for each in outcome.fallen:
        assert abs(each.after.debt_base / readings[each.borrower].debt_base - 1) < 1e-6


async def test_a_running_bots_checkpoint_is_left_alone(world, tmp_path):
    """Beside a bot that keeps the book, the question writes none; without one, the next question begins at its end."""
    with hold(tmp_path, "run", {"pid": 1}):
        await staged(world, tmp_path)
        assert list(tmp_path.rglob("*.book")) == []
    await staged(world, tmp_path)
    assert len(list(tmp_path.rglob("*.book"))) == 1


async def test_the_curve_passes_through_the_answer(world, tmp_path):
    """At size 0 the curve is the debt below one today, at size 1 that of the shock."""
    _, stage = await staged(world, tmp_path)
    outcome = stress._outcome(stage, new_prices(parse_changes(["HYPE=-30%"]), stage.tokens, stage.moment.reserves))
    curve = dict(outcome.curve)
    assert max(curve) == 2.0
    assert curve[1.0] == sum(each.before.debt_base for each in outcome.fallen)
    assert curve[0.0] == sum(each.before.debt_base for each in outcome.fallen if each.already)


async def test_a_curve_ends_where_a_price_would(world, tmp_path):
    """Twice a fall of 60 % leaves no price: the curve stops before."""
    _, stage = await staged(world, tmp_path)
    outcome = stress._outcome(stage, new_prices(parse_changes(["HYPE=-60%"]), stage.tokens, stage.moment.reserves))
    assert 1.6 < max(size for size, _ in outcome.curve) < 1.67


def test_the_same_curve_is_the_same_file(tmp_path):
    """Charts are PNG and SVG, and depend on nothing but what they show."""
    changes = parse_changes(["HYPE=-20%"])
    curve = [(step / 10, step * 10**12) for step in range(21)]
    first, second = ([path.read_bytes() for path in draw(curve, changes, place)] for place in (tmp_path, tmp_path))
    assert first == second
    assert first[0].startswith(b"\x89PNG")
    assert b"HYPE" in first[1] or b"<svg" in first[1]


def test_the_documents_fields(running, tmp_path):
    """JSON names the shock, everybody below one under it, and the sums; charts are written beside."""
    done = running.liq("stress", "hype=-40%", "wstHYPE=-40%", "--json", "--charts", str(tmp_path / "charts"))
    assert done.code == 0, done.err
    found = done.json
    assert found["shock"].keys() == {"WHYPE", "wstHYPE"}
    assert all(int(each["health_factor"]) < WAD for each in found["falling"])
    assert sum(int(each["debt_base"]) for each in found["falling"]) == int(found["debt_base"])
    assert found["debt_usd"] > 0
    assert found["collateral_usd"] > 0
    assert {path.name for path in (tmp_path / "charts").iterdir()} == {"stress.png", "stress.svg"}


def test_mistakes_are_usage_errors(running):
    """A shock that is none exits with 2 and says how one is written."""
    done = running.liq("stress", "HYPE-20%")
    assert (done.code, "ASSET=-8%" in done.err) == (2, True)
    done = running.liq("stress", "HYPR=-20%")
    assert (done.code, "did you mean WHYPE?" in done.err) == (2, True)
