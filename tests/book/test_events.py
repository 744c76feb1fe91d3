"""Events out of raw logs: the same numbers as the ABI's own decoder gives, and nothing out of broken ones."""

import json

import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from liqcli.book import events
from liqcli.book.events import decode_logs
from liqcli.chain import topics
from liqcli.errors import Unreachable
from liqcli.model import EventKind
from tests.aave.vectors import HERE

TOKEN = "0x" + "a1" * 20
EVENTS = {event["topic0"]: event for event in json.loads((HERE / "events.json").read_text())}
NAMED = {value: name for name, value in vars(topics).items() if name.isupper()}
VALUES = {
    "address": st.integers(1, 2**160 - 1).map(lambda number: f"0x{number:040x}"),
    "uint256": st.integers(0, 2**256 - 1),
    "uint128": st.integers(0, 2**128 - 1),
    "uint40": st.integers(0, 2**40 - 1),
    "uint16": st.integers(0, 2**16 - 1),
    "uint8": st.integers(0, 255),
    "bool": st.booleans(),
    "string": st.text(max_size=40),
}


def raw(topic, params, values, **changes):
    """A log as a node gives it."""
    given_values = list(zip(params, values, strict=True))
    indexed = ["0x" + encode([p["type"]], [v]).hex() for p, v in given_values if p["indexed"]]
    plain = [(p["type"], v) for p, v in given_values if not p["indexed"]]
    data = encode([kind for kind, _ in plain], [value for _, value in plain]).hex()
    place = {"blockNumber": "0x10", "logIndex": "0x3", "blockTimestamp": "0x6553f100"}
    return {"address": TOKEN, "topics": [topic, *indexed], "data": "0x" + data, **place, **changes}


EXPECTED = {
    "MINT": lambda v: (TOKEN, v["onBehalfOf"], v["value"], v["balanceIncrease"], v["index"]),
    "BURN": lambda v: (TOKEN, v["from"], v["value"], v["balanceIncrease"], v["index"]),
    "BALANCE_TRANSFER": lambda v: (TOKEN, v["from"], v["to"], v["value"], v["index"]),
    "RESERVE_DATA_UPDATED": lambda v: (
        v["reserve"],
        v["liquidityRate"],
        v["variableBorrowRate"],
        v["liquidityIndex"],
        v["variableBorrowIndex"],
    ),
    "COLLATERAL_ENABLED": lambda v: (v["reserve"], v["user"], True),
    "COLLATERAL_DISABLED": lambda v: (v["reserve"], v["user"], False),
    "EMODE_SET": lambda v: (v["user"], v["categoryId"]),
    "SUPPLY": lambda v: (EventKind.SUPPLY, v["reserve"], v["onBehalfOf"]),
    "WITHDRAW": lambda v: (EventKind.WITHDRAW, v["reserve"], v["user"]),
    "BORROW": lambda v: (EventKind.BORROW, v["reserve"], v["onBehalfOf"]),
    "REPAY": lambda v: (EventKind.REPAY, v["reserve"], v["user"]),
    "LIQUIDATION_CALL": lambda v: (
        EventKind.LIQUIDATION,
        v["debtAsset"],
        v["user"],
        v["collateralAsset"],
        v["receiveAToken"],
    ),
    "COLLATERAL_CONFIGURED": lambda v: (
        v["asset"],
        {
            "ltv": v["ltv"],
            "liquidation_threshold": v["liquidationThreshold"],
            "liquidation_bonus": v["liquidationBonus"],
        },
    ),
    "PROTOCOL_FEE_CHANGED": lambda v: (v["asset"], {"protocol_fee": v["newFee"]}),
    "RESERVE_ACTIVE": lambda v: (v["asset"], {"active": v["active"]}),
    "RESERVE_PAUSED": lambda v: (v["asset"], {"paused": v["paused"]}),
    "RESERVE_FROZEN": lambda v: (v["asset"], {"frozen": v["frozen"]}),
    "GRACE_PERIOD_CHANGED": lambda v: (v["asset"], {"grace_until": v["gracePeriodUntil"]}),
    "GRACE_PERIOD_DISABLED": lambda v: (v["asset"], {"grace_until": 0}),
    "EMODE_CATEGORY_ADDED": lambda v: (
        v["categoryId"],
        {
            "ltv": v["ltv"],
            "liquidation_threshold": v["liquidationThreshold"],
            "liquidation_bonus": v["liquidationBonus"],
        },
        v["oracle"],
    ),
    "EMODE_ASSET_CATEGORY_CHANGED": lambda v: (v["asset"], {"emode_category": v["newCategoryId"]}),
    "EMODE_COLLATERAL_CHANGED": lambda v: (v["asset"], v["categoryId"], "collateral_bitmap", v["collateral"]),
    "EMODE_LTVZERO_CHANGED": lambda v: (v["asset"], v["categoryId"], "ltvzero_bitmap", v["ltvzero"]),
    "EMODE_ISOLATION_CHANGED": lambda v: (v["categoryId"], {"isolated": v["isolated"]}, None),
    "RESERVE_INITIALIZED": lambda v: (v["asset"], v["aToken"], v["variableDebtToken"]),
    "RESERVE_DROPPED": lambda v: (v["asset"], None, None),
    "ATOKEN_UPGRADED": lambda v: (v["proxy"],),
    "VARIABLE_DEBT_UPGRADED": lambda v: (v["proxy"],),
}


def test_every_topic_has_its_expectation():
    """The table below covers all that the book decodes, but a proxy's own Upgraded, which has no arguments of use."""
    assert {NAMED[topic] for topic in events.TOPICS} == EXPECTED.keys() | {"UPGRADED"}


@pytest.mark.parametrize("name", EXPECTED)
@given(data=st.data())
def test_decodes_what_the_abi_encodes(name, data):
    """Every event begins with its place and holds the log's own values under their names."""
    topic = getattr(topics, name)
    params = EVENTS[topic]["params"]
    values = data.draw(st.tuples(*(VALUES[param["type"]] for param in params)))
    (event,) = decode_logs([raw(topic, params, values)])
    by_name = {param["name"]: value for param, value in zip(params, values, strict=True)}
    assert event == (16, 3, 0x6553F100, *EXPECTED[name](by_name))


def test_mint_names_the_holder_and_not_the_caller():
    """A Mint's account is onBehalfOf; its numbers are value, interest and index."""
    params = EVENTS[topics.MINT]["params"]
    caller, holder = "0x" + "c0" * 20, "0x" + "d0" * 20
    (event,) = decode_logs([raw(topics.MINT, params, (caller, holder, 7, 5, 10**27))])
    assert event == events.Mint(16, 3, 0x6553F100, TOKEN, holder, 7, 5, 10**27)


def test_reserve_update_leaves_the_stable_rate_out():
    """A ReserveDataUpdated gives the liquidity rate, the variable rate and the two indexes."""
    params = EVENTS[topics.RESERVE_DATA_UPDATED]["params"]
    (event,) = decode_logs([raw(topics.RESERVE_DATA_UPDATED, params, (TOKEN, 1, 2, 3, 4, 5))])
    assert event[3:] == (TOKEN, 1, 3, 4, 5)


def test_liquidation_is_of_the_debtor_and_the_debt():
    """A LiquidationCall's account is the liquidated one, its asset the debt's."""
    collateral, debt, user, liquidator = (f"0x{number:040x}" for number in (1, 2, 3, 4))
    params = EVENTS[topics.LIQUIDATION_CALL]["params"]
    (event,) = decode_logs([raw(topics.LIQUIDATION_CALL, params, (collateral, debt, user, 8, 9, liquidator, True))])
    assert (event.asset, event.account) == (debt, user)


@pytest.mark.parametrize(
    "changes",
    [
        {"data": "0x"},
        {"data": "0x" + "00" * 95},
        {"data": "0x" + "zz" * 96},
        {"data": None},
        {"topics": []},
        {"topics": [topics.MINT]},
        {"topics": [topics.MINT, "0x12", "0x34"]},
        {"blockNumber": None},
        {"logIndex": "many"},
        {"blockTimestamp": None},
        {"address": None},
    ],
)
def test_a_broken_log_is_an_error_and_never_skipped(changes):
    """A log that cannot be read stops the page: leaving it out would leave an account wrong."""
    params = EVENTS[topics.MINT]["params"]
    log = raw(topics.MINT, params, (TOKEN, TOKEN, 7, 5, 10**27))
    with pytest.raises(Unreachable, match="cannot be read"):
        decode_logs([{**log, **changes}])


def test_a_foreign_event_is_left_out():
    """An event that moves no position is none of the book's business, however it looks."""
    assert decode_logs([{"topics": ["0x" + "77" * 32], "data": "nonsense"}]) == []


def test_times_come_from_headers_where_logs_have_none():
    """A node whose logs carry no timestamp is asked for the headers of exactly these blocks."""
    params = EVENTS[topics.MINT]["params"]
    log = raw(topics.MINT, params, (TOKEN, TOKEN, 7, 5, 10**27), blockTimestamp=None)
    assert events.blocks_without_time([log]) == {16}
    assert decode_logs([log], times={16: 99})[0].at == 99
