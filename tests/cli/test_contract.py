"""`liq contract deploy`: a Liquidator of one's own, made within the policy, and what it refuses."""

import json

import pytest

from tests.cli.schemas import faults

ROUTERS = '[exchange]\nrouters_v2 = ["0x' + "42" * 20 + '"]\n'


@pytest.fixture
def ready(place):
    """A sandbox that is up in this place, for as long as the test runs."""
    with place.start("sandbox", "up", "--borrowers", "5") as process:
        for line in process.stdout:
            if line.startswith("liquidator"):
                break
        yield place
        process.kill()


def test_a_contract_is_deployed_and_found(ready):
    """The new contract belongs to the key, works on the market's pool and allows the sandbox's routers."""
    facts = json.loads((ready.directory / "data" / "sandbox.json").read_text())
    finished = ready.liq("contract", "deploy", "--sandbox", "--json")
    assert finished.code == 0, finished.err
    made = finished.json
    assert faults("contract-deploy", made) == []
    assert made["contract"] != facts["contract"]
    assert (made["owner"], made["pool"]) == (facts["liquidator"], facts["pool"])
    assert (made["routers_v2"], made["routers_v3"]) == ([facts["router_v2"]], [facts["router_v3"]])
    assert made["gas_used"] < 1_900_000


def test_text_says_what_to_write_down(ready):
    """Without --json the address comes on stdout, and the settings to put it in on stderr."""
    finished = ready.liq("contract", "deploy", "--sandbox")
    address = finished.out.split()[1]
    assert finished.out.startswith("Liquidator 0x")
    assert f'exchange.liquidator = "{address}"' in finished.err


def test_a_key_without_gas_money_deploys_nothing(ready):
    """What no node would take is not waited for; in a sandbox a named key is not used, and that is said."""
    facts = json.loads((ready.directory / "data" / "sandbox.json").read_text())
    password = ready.directory / "password"
    password.write_text("hunter2")
    password.chmod(0o600)
    assert ready.liq("keys", "new", "poor", "--password-file", str(password)).code == 0
    (ready.directory / "liq.toml").write_text(
        f'[exchange]\nrouters_v2 = ["{facts["router_v2"]}"]\n[policy]\nlive = true\n'
    )
    deploy = ("contract", "deploy", "--yes", "--account", "poor", "--password-file", str(password))
    chain = ("--rpc", facts["rpc_url"], "--pool-addresses-provider", facts["provider"], "--market", "mine")
    finished = ready.liq(*deploy, *chain)
    assert (finished.code, "has 0 for gas" in finished.err) == (1, True), finished.err
    assert "a new journal begins at" in finished.err
    finished = ready.liq(*deploy, "--sandbox", "--json")
    assert (finished.json["owner"], "--account is not used" in finished.err) == (facts["liquidator"], True)


def test_without_a_router_nothing_is_deployed(place):
    """A Liquidator that can sell nowhere is a configuration error, before any key is asked for."""
    finished = place.liq("contract", "deploy", "--rpc", "http://127.0.0.1:1", "--yes")
    assert finished.code == 3
    assert "router" in finished.err
    assert "exchange.routers_v2" in finished.err


def test_sending_must_be_allowed_in_the_settings(place):
    """`policy.live` guards a deployment as it guards a liquidation."""
    (place.directory / "liq.toml").write_text(ROUTERS)
    finished = place.liq("contract", "deploy", "--rpc", "http://127.0.0.1:1", "--yes")
    assert (finished.code, "policy.live is false" in finished.err) == (3, True)


def test_sending_must_be_confirmed(place):
    """Without a terminal and without --yes nothing is sent."""
    (place.directory / "liq.toml").write_text(ROUTERS + "[policy]\nlive = true\n")
    finished = place.liq("contract", "deploy", "--rpc", "http://127.0.0.1:1", text="hyperevm\n")
    assert (finished.code, "--yes" in finished.err) == (2, True)


def test_a_wrong_address_in_the_settings_is_named(place):
    """An exchange address that is none, and a V3 router without its quoter, are told by key."""
    (place.directory / "liq.toml").write_text('[exchange]\nliquidator = "0x12"\n')
    finished = place.liq("contract", "deploy", "--yes")
    assert (finished.code, "exchange.liquidator" in finished.err) == (3, True)
    (place.directory / "liq.toml").write_text('[exchange]\nrouters_v3 = ["0x' + "42" * 20 + '"]\n')
    finished = place.liq("contract", "deploy", "--yes")
    assert (finished.code, "quoters_v3" in finished.err) == (3, True)
