"""`liq config`: what is set, where, and every mistake at once; nothing that may be a key is shown."""

import json
from pathlib import Path

import jsonschema

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"
CANARY = "CANARY0123456789"


def write(place, text):
    """Put a liq.toml into the place."""
    (place.directory / "liq.toml").write_text(text)


def matches(document, name):
    """The document is what its schema promises."""
    jsonschema.validate(document, json.loads((SCHEMAS / f"{name}.json").read_text()))
    return document


def test_each_value_names_its_origin(place):
    """Flag files, variables, the market's preset and defaults are told apart, with file and line."""
    write(place, "\nworkers = 2\n[tiers]\nsafe = { batch = 9 }\n")
    user = place.directory / "config" / "liq" / "config.toml"
    user.parent.mkdir(parents=True)
    user.write_text("[redis]\ntimeout_s = 2\n")
    finished = place.liq("config", "show", "--json", LIQ_RPC__TIMEOUT_S="3")
    origins = matches(finished.json, "config-show")["origins"]
    assert origins["workers"] == "liq.toml:2"
    assert origins["tiers.safe.batch"] == "liq.toml:4"
    assert origins["tiers.safe.workers"] == "default"
    assert origins["rpc.timeout_s"] == "LIQ_RPC__TIMEOUT_S"
    assert origins["redis.timeout_s"] == f"{user}:2"
    assert origins["first_block"] == "market hyperlend"
    assert finished.json["settings"]["tiers"]["safe"] == {
        "ceiling": "inf",
        "interval_s": 900.0,
        "batch": 9,
        "workers": 1,
    }


def test_it_is_a_table_that_can_be_narrowed(place):
    """Piped it is tab-separated; a section can be named; --origin adds a column."""
    rows = [line.split("\t") for line in place.liq("config", "show", "limits", "--origin").out.splitlines()]
    assert rows[0] == ["setting", "value", "from"]
    assert ["limits.min_profit_usd", "5.0", "default"] in rows
    assert all(row[0].startswith("limits.") for row in rows[1:])
    finished = place.liq("config", "show", "limit")
    assert (finished.code, "did you mean limits" in finished.err) == (2, True)


def test_no_command_shows_what_a_url_or_a_token_holds(place):
    """Of URLs only scheme and host; of a token nothing; also where something else is wrong."""
    write(
        place,
        f'[rpc]\nurl = "https://u:{CANARY}@node.example/v2/{CANARY}?k={CANARY}"\nfallback_urls = ["http://x/{CANARY}"]\n'
        f'ws_url = "wss://x/{CANARY}"\n[redis]\nurl = "redis://:{CANARY}@127.0.0.1/0"\n[http]\ntoken = "{CANARY}"\n',
    )
    for command in (("show", "--origin"), ("show", "--json"), ("validate",), ("path",)):
        finished = place.liq("config", *command)
        assert finished.code == 0, finished.err
        assert CANARY not in finished.out + finished.err
    assert "https://node.example/..." in place.liq("config", "show").out
    write(place, f'[rpc]\nurl = "ftp://node.example/{CANARY}"\n[http]\ntoken = "{CANARY[:8]}"\n')
    for command in (("validate",), ("validate", "--json"), ("show",)):
        finished = place.liq("config", *command)
        assert finished.code == 3
        assert CANARY[:8] not in finished.out + finished.err


def test_validate_tells_every_mistake_at_once(place):
    """Unknown keys, wrong values, unknown names: each with file, line and key; exit 3."""
    write(place, 'netwrk = "x"\nmarket = "hyperlnd"\n[rpc]\ntimeout_s = -1\n')
    finished = place.liq("config", "validate", LIQ_WORKRES="1")
    assert finished.code == 3
    for told in ("`netwrk` in liq.toml:1", "rpc.timeout_s", "(liq.toml:4)", "LIQ_WORKRES"):
        assert told in finished.err
    problems = matches(place.liq("config", "validate", "--json").json, "config-validate")["problems"]
    assert [problem["place"] for problem in problems] == ["liq.toml:1", "liq.toml:2", "liq.toml:4"]


def test_an_unknown_market_and_network_are_told_together(place):
    """Both names come with the nearest known one."""
    write(place, 'network = "hyperevn"\nmarket = "hyperlnd"\n')
    problems = matches(place.liq("config", "validate", "--json").json, "config-validate")["problems"]
    assert [(problem["key"], problem["place"]) for problem in problems] == [
        ("network", "liq.toml:1"),
        ("market", "liq.toml:2"),
    ]


def test_validate_says_what_it_read(place):
    """A valid file is counted, and named."""
    write(place, "workers = 3\n")
    finished = place.liq("config", "validate", "--json")
    assert matches(finished.json, "config-validate")["files"] == ["liq.toml"]
    assert finished.code == 0


def test_path_names_the_files_in_their_order(place):
    """Which file is read, and which one is not there."""
    write(place, "")
    lines = place.liq("config", "path").out.splitlines()
    assert lines == [
        f"{place.directory / 'liq.toml'}\tread",
        f"{place.directory / 'config' / 'liq' / 'config.toml'}\tnot there",
    ]


def test_the_schema_takes_what_liq_takes(place):
    """The JSON Schema accepts the file that init writes, and refuses an unknown key and a wrong value."""
    import tomllib

    schema = json.loads(place.liq("config", "schema").out)
    jsonschema.Draft202012Validator.check_schema(schema)
    place.liq("init", "--yes")
    jsonschema.validate(tomllib.loads((place.directory / "liq.toml").read_text()), schema)
    for wrong in ({"netwrk": "x"}, {"workers": 0}, {"tiers": {"critical": {"batch": "many"}}}):
        assert not jsonschema.Draft202012Validator(schema).is_valid(wrong)


def test_a_broken_file_as_a_process_is_exit_3_without_a_traceback(place):
    """What the mutations prove in one process holds for processes too."""
    for text in ("market = [", "workers = " + "9" * 5000, "a" * 100_000, "[rpc]\nurl = 5\n[rpc]\n", "= 1"):
        write(place, text)
        finished = place.liq("config", "show")
        assert finished.code == 3, text[:20]
        assert "Traceback" not in finished.err
        assert len(finished.err) < 1000
