"""Settings are layered, and every mistake is told with its place and its cure."""

from pathlib import Path

import pytest

from liqcli.config import Settings, load_settings
from liqcli.errors import ConfigError
from liqcli.presets import presets


@pytest.fixture(autouse=True)
def clean_place(tmp_path, monkeypatch):
    """A directory and an environment without settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("LIQ_LONG", raising=False)


def write(text: str, path: str = "liq.toml") -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


def test_a_market_preset_gives_provider_first_block_and_network():
    """With nothing set, HyperLend on HyperEVM is the market."""
    settings = load_settings({})
    assert settings.pool_addresses_provider == "0x72c98246a98bFe64022a3190e7710E157497170C"
    assert (settings.chain_id, settings.first_block) == (999, 779363)


def test_each_layer_beats_the_ones_below(monkeypatch):
    """Flag > environment > ./liq.toml > user config > preset."""
    write("event_buffer_size = 1\nfirst_block = 5", "config/liq/config.toml")
    assert (load_settings({}).event_buffer_size, load_settings({}).first_block) == (1, 5)
    write("event_buffer_size = 2")
    assert load_settings({}).event_buffer_size == 2
    monkeypatch.setenv("LIQ_EVENT_BUFFER_SIZE", "3")
    assert load_settings({}).event_buffer_size == 3
    assert load_settings({"event_buffer_size": 4}).event_buffer_size == 4


def test_one_key_of_a_tier_can_be_set_alone():
    """The other keys of the tier keep their defaults."""
    write("[tiers.critical]\ninterval_s = 2")
    critical = load_settings({}).tiers.critical
    assert (critical.interval_s, critical.ceiling, critical.batch) == (2.0, 1.0, 50)


def test_an_unknown_key_is_an_error_with_its_line_and_a_suggestion():
    """A misspelt key names file, line and the nearest known key."""
    write('market = "hyperlend"\nevent_bufer_size = 9')
    with pytest.raises(ConfigError) as caught:
        load_settings({})
    assert caught.value.message == "unknown key `event_bufer_size` in liq.toml:2"
    assert caught.value.hint == "did you mean event_buffer_size?"


def test_an_unknown_environment_variable_is_an_error(monkeypatch):
    """A misspelt LIQ_ variable is not silently ignored."""
    monkeypatch.setenv("LIQ_RPC__ULR", "http://localhost:1")
    with pytest.raises(ConfigError, match="LIQ_RPC__ULR") as caught:
        load_settings({})
    assert caught.value.hint == "did you mean LIQ_RPC__URL?"


def test_all_wrong_values_are_told_at_once():
    """Two wrong values make one error with two lines, each with its place."""
    write('event_buffer_size = "many"\n[tiers.critical]\ninterval_s = -1')
    with pytest.raises(ConfigError) as caught:
        load_settings({})
    first, second = caught.value.message.splitlines()
    assert first.startswith('event_buffer_size "many" (liq.toml:1)')
    assert second.startswith('tiers.critical.interval_s "-1" (liq.toml:3)')


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            'network = "hyprevm"\nworkers = "many"',
            ('unknown network "hyprevm" (liq.toml:1)', 'workers "many" (liq.toml:2)'),
        ),
        ('market = "hyperlnd"\nworkers = 0', ('unknown market "hyperlnd" (liq.toml:1)', 'workers "0" (liq.toml:2)')),
        ("[tiers.extra]\nceiling = 1\n[rpc]\ntimeout_s = 0", ("`tiers.extra.ceiling` in", "rpc.timeout_s")),
    ],
)
def test_names_are_told_beside_wrong_values(text, told):
    """A value that is wrong hides no name that nothing has."""
    write(text)
    with pytest.raises(ConfigError) as caught:
        load_settings({})
    assert all(part in caught.value.message for part in told), caught.value.message


def test_a_variable_that_is_no_list_hides_no_other_mistake(monkeypatch):
    """Each is told, and a section's own variable, which is none of ours, neither hides them nor breaks."""
    monkeypatch.setenv("LIQ_POLICY__CONTRACTS", "0x12")
    monkeypatch.setenv("LIQ_WORKERS", "many")
    monkeypatch.setenv("LIQ_RPC", "http://x")
    with pytest.raises(ConfigError) as caught:
        load_settings({})
    for told in ("(LIQ_POLICY__CONTRACTS): is no list", 'workers "many" (LIQ_WORKERS)', "variable LIQ_RPC"):
        assert told in caught.value.message


def test_an_unknown_section_is_answered_with_those_beside_it():
    """`tiers.extra` is no tier: the hint names the tiers."""
    write("[tiers.extra]\nceiling = 1")
    with pytest.raises(ConfigError) as caught:
        load_settings({})
    assert caught.value.hint == "known: critical, high_risk, low_risk, medium_risk, safe"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[tiers.critical]\nceiling = 2.0", "tiers (liq.toml:1): ceilings rise from tier to tier, but critical has 2"),
        ("[tiers.safe]\nceiling = 3.0", "tiers (liq.toml:1): safe has no ceiling (inf), not 3"),
        ("workers = 4\n[paces]\nrapid.per_hour = 0.001", "paces (liq.toml:2): per_hour falls from pace to pace"),
        ('http.listen = "9109"', 'http.listen "9109" (liq.toml:1): is no HOST:PORT'),
        ('rpc.url = "http://"', 'rpc.url "http://" (liq.toml:1): no host and port it can use'),
        ('redis.url = "redis://h:port"', 'redis.url "redis://..." (liq.toml:1): no host and port it can use'),
        ("limits.min_profit_usd = inf", 'limits.min_profit_usd "inf" (liq.toml:1): Input should be a finite number'),
        ("policy.max_gas_price_gwei = inf", "policy.max_gas_price_gwei"),
        ("event_threshold = inf", 'event_threshold "inf" (liq.toml:1): Input should be a finite number'),
        ("exchange.fees_v3 = [-5]", 'exchange.fees_v3 "-5" (liq.toml:1)'),
    ],
)
def test_what_could_not_work_is_refused(text, told):
    """Before anything starts, with its place."""
    write(text)
    with pytest.raises(ConfigError) as caught:
        load_settings({})
    assert told in caught.value.message


def test_a_path_may_begin_at_home(monkeypatch):
    """`~/liq` is a directory at home, not one named `~` here."""
    monkeypatch.setenv("HOME", "/home/bot")
    monkeypatch.delenv("LIQ_DATA_DIR", raising=False)
    write('data_dir = "~/liq"')
    assert load_settings({}).data_dir == Path("/home/bot/liq")


def test_a_url_without_scheme_is_answered_with_the_likely_one():
    """localhost:8545 is asked back as http://localhost:8545."""
    with pytest.raises(ConfigError, match=r'did you mean "http://localhost:8545"'):
        load_settings({"rpc": {"url": "localhost:8545"}})


@pytest.mark.parametrize(
    ("key", "value", "hint"), [("market", "hyperlnd", "hyperlend"), ("network", "hyprevm", "hyperevm")]
)
def test_an_unknown_name_is_answered_with_the_nearest_preset(key, value, hint):
    """Unknown markets and networks suggest the one that was meant."""
    with pytest.raises(ConfigError) as caught:
        load_settings({key: value})
    assert hint in caught.value.hint


def test_a_provider_of_ones_own_needs_no_preset():
    """Any Aave-V3 fork is named by its PoolAddressesProvider, on whatever chain answers."""
    settings = load_settings({"market": "mine", "pool_addresses_provider": "0x" + "1" * 40, "rpc": {"url": "http://x"}})
    assert (settings.chain_id, settings.rpc_url) == (None, "http://x")


def test_forks_without_a_name_do_not_share_one():
    """Checkpoint, ledger and keys in Redis go by the market's name: two forks on one chain must not mix theirs."""
    names = {load_settings({"pool_addresses_provider": "0x" + digit * 40}).market for digit in "aA2"}
    assert names == {"custom-aaaaaaaa", "custom-22222222"}


def test_broken_toml_is_an_error_not_a_traceback():
    """A file that is not TOML is named."""
    write("market = [")
    with pytest.raises(ConfigError, match=r"liq\.toml is not TOML"):
        load_settings({})


def test_every_preset_market_names_a_known_network():
    """The shipped presets are complete."""
    known = presets()
    assert {market["network"] for market in known["markets"].values()} <= set(known["networks"])


def test_every_setting_says_what_it_is():
    """Each leaf of Settings has a description, from which the docs are made."""

    def undocumented(model, above=""):
        for name, field in model.model_fields.items():
            if isinstance(field.annotation, type) and hasattr(field.annotation, "model_fields"):
                yield from undocumented(field.annotation, f"{above}{name}.")
            elif not field.description:
                yield above + name

    assert list(undocumented(Settings)) == []


def test_the_official_endpoint_is_rationed_and_ones_own_is_not():
    """A hundred requests a minute where the preset says so, else only what the operator allows."""
    official, own = load_settings({}).rpc_url, "https://rpc.example/key"
    settings = load_settings({"rpc": {"url": own, "fallback_urls": [official]}})
    assert [settings.requests_per_minute(url) for url in (own, official)] == [None, 100]
    limited = load_settings({"rpc": {"requests_per_minute": 600}})
    assert limited.requests_per_minute(official) == 600


def test_a_head_may_not_be_old_but_on_a_local_chain():
    """HyperEVM has a block each second; a chain of one's own may stand still unless a limit is set."""
    assert load_settings({}).max_head_age_s == 30.0
    own = {"market": "mine", "pool_addresses_provider": "0x" + "1" * 40, "rpc": {"url": "http://x"}}
    assert load_settings(own).max_head_age_s is None
    assert load_settings({**own, "rpc": {"url": "http://x", "max_head_age_s": 5}}).max_head_age_s == 5.0


@pytest.mark.parametrize(
    ("key", "value"), [("ws_url", "http://x"), ("fallback_urls", ["http://x", "ws://x"]), ("requests_per_minute", 9)]
)
def test_endpoints_that_cannot_work_are_refused(key, value):
    """A websocket URL where HTTP is needed, the other way round, and a budget too small to share out."""
    with pytest.raises(ConfigError, match=rf"rpc\.{key}"):
        load_settings({"rpc": {key: value}})
