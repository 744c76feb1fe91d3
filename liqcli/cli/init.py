"""`liq init`: a commented liq.toml, by questions on a terminal or by options."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from liqcli.cli import options
from liqcli.cli.render import print_json, say
from liqcli.config import Settings, settings_alone
from liqcli.errors import ConfigError, InputError
from liqcli.layers import Key, is_section
from liqcli.text import safe

_HEAD = """\
# Settings of liq. Above them: the command line, then LIQ_* variables (LIQ_RPC__URL); below: the user's own config.toml.
# A line like `#key = value` shows a default or an example: take the # away to set it.
# Check with `liq config validate`, see everything with `liq config show --origin`, try it with `liq doctor`.
"""
_NOTES = {
    "rpc": "A URL may hold your provider's key: this file is readable for you alone (mode 0600).",
    "redis": "Without a URL liq starts a Valkey of its own in data_dir; its queue survives a restart.",
    "policy": "The wallet's key is never in this file:  liq keys new NAME,  then  liq run --live --account NAME",
    "tuning": "Tuning moves batch, workers and interval of each tier around the values under [tiers].",
}
_EXAMPLES: dict[Key, Any] = {
    ("pool_addresses_provider",): "0x72c98246a98bFe64022a3190e7710E157497170C",
    ("rpc", "url"): "https://node.example/v2/KEY",
    ("rpc", "ws_url"): "wss://node.example/v2/KEY",
    ("rpc", "requests_per_minute"): 100,
    ("rpc", "max_head_age_s"): 30.0,
    ("redis", "url"): "redis://127.0.0.1:6379/0",
    ("http", "listen"): "127.0.0.1:9109",
    ("http", "token"): "a-long-random-text",
    ("http", "token_file"): "/run/secrets/liq-token",
    ("exchange", "liquidator"): "0x0000000000000000000000000000000000000000",
}
_QUESTIONS: tuple[tuple[Key, str], ...] = (
    (("network",), "Network (hyperevm, hyperevm-testnet, local)"),
    (("market",), "Market (see `liq markets`)"),
    (("rpc", "url"), "RPC endpoint, http(s)://... (empty: the network's public one)"),
    (("rpc", "ws_url"), "Websocket endpoint, ws(s)://... (empty: none)"),
    (("redis", "url"), "Redis, redis://... (empty: an embedded Valkey)"),
    (("limits", "min_profit_usd"), "Least net profit of a liquidation in USD"),
)


def init(
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write; one that exists is kept.")] = Path(
        "liq.toml"
    ),
    network: options.Network = None,
    market: options.MarketName = None,
    provider: options.Provider = None,
    rpc: options.RpcUrl = None,
    ws: Annotated[str | None, typer.Option(help="Websocket endpoint.")] = None,
    redis: options.RedisUrl = None,
    min_profit: Annotated[float | None, typer.Option(help="Least net profit in USD.", min=0)] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing: defaults for what no option names.")] = False,
    as_json: options.Json = False,
) -> None:
    """Write a commented liq.toml (mode 0600): asks on a terminal, else takes the options; never overwrites.

    Example: liq init --yes --market hypurrfi --output hypurrfi.toml
    """
    if output.exists() or output.is_symlink():
        raise InputError(f"{output} exists", hint="it was left as it is; edit it, or choose another: --output FILE")
    chosen: dict[Key, Any] = {
        ("network",): network,
        ("market",): market,
        ("pool_addresses_provider",): provider,
        ("rpc", "url"): rpc,
        ("rpc", "ws_url"): ws,
        ("redis", "url"): redis,
        ("limits", "min_profit_usd"): min_profit,
    }
    chosen = {key: value for key, value in chosen.items() if value is not None}
    settings = _settings_of(chosen)
    if sys.stdin.isatty() and sys.stdout.isatty() and not yes and not as_json:
        settings = _ask(chosen)
    written = {**chosen, ("network",): settings.network, ("market",): settings.market}
    _write(output, file_text(written))
    if as_json:
        print_json({"path": str(output.absolute()), "set": [".".join(key) for key in written]})
        return
    print(output)
    say("written; next:  liq doctor   then   liq run   (dry run: nothing is sent)")


def file_text(chosen: dict[Key, Any]) -> str:
    """A whole liq.toml: every setting with its meaning, the chosen ones set, the others shown by their defaults."""
    return _HEAD + "\n".join(_section(Settings, Settings.model_construct(), chosen, ())) + "\n"


def _section(model: type[BaseModel], defaults: Any, chosen: dict[Key, Any], above: Key) -> Iterator[str]:
    plain = {name: field for name, field in model.model_fields.items() if not is_section(field.annotation)}
    for name, field in plain.items():
        yield from _setting((*above, name), field, getattr(defaults, name, None), chosen)
    for name, field in model.model_fields.items():
        if is_section(field.annotation):
            yield from ("", f"[{'.'.join((*above, name))}]")
            if not above:
                yield from (f"# {line}" for line in _about(name, field.annotation))
            yield from _section(field.annotation, getattr(defaults, name), chosen, (*above, name))


def _about(name: str, model: type[BaseModel]) -> list[str]:
    told = (model.__doc__ or "").strip().splitlines()[0]
    return [told, _NOTES[name]] if name in _NOTES else [told]


def _setting(key: Key, field: FieldInfo, default: Any, chosen: dict[Key, Any]) -> Iterator[str]:
    yield f"# {field.description}"
    if key in chosen:
        yield f"{key[-1]} = {_toml(chosen[key])}"
    elif key == ("data_dir",):
        yield f"#data_dir = {_toml('/var/lib/liq')}"
    else:
        shown = _EXAMPLES.get(key, _example(field)) if default is None else default
        yield f"#{key[-1]} = {_toml(shown)}"


def _example(field: FieldInfo) -> Any:
    """Some value of the right type for a setting that has no default."""
    return 0 if {int, float} & {field.annotation, *get_args(field.annotation)} else "..."


def _toml(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def _ask(chosen: dict[Key, Any]) -> Settings:
    """Ask for what no option named, each answer checked before the next question."""
    settings = _settings_of(chosen)
    for key, question in _QUESTIONS:
        if key in chosen or (key == ("market",) and ("pool_addresses_provider",) in chosen):
            continue
        settings = _answer(chosen, key, question, default=_value(settings, key))
    return settings


def _answer(chosen: dict[Key, Any], key: Key, question: str, *, default: Any) -> Settings:
    while True:
        answer = typer.prompt(question, default="" if default is None else str(default)).strip()
        try:
            settings = _settings_of({**chosen, key: answer} if answer else chosen)
        except ConfigError as err:
            say(f"  {safe(err.message)}{f' ({safe(err.hint)})' if err.hint else ''}")
            continue
        if answer:
            chosen[key] = _value(settings, key)
        return settings


def _settings_of(chosen: dict[Key, Any]) -> Settings:
    """The settings that these values come to, whatever files there are; raises ConfigError."""
    flags: dict[str, Any] = {}
    for key, value in chosen.items():
        place = flags
        for part in key[:-1]:
            place = place.setdefault(part, {})
        place[key[-1]] = value
    return settings_alone(flags)


def _value(settings: Any, key: Key) -> Any:
    for part in key:
        settings = getattr(settings, part)
    return settings


def _write(path: Path, text: str) -> None:
    try:
        content = text.encode()
    except UnicodeEncodeError:
        raise InputError("an option is no UTF-8 text", hint="is the terminal's character set UTF-8?") from None
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        raise InputError(f"{path} exists", hint="it was left as it is; choose another: --output FILE") from None
    except OSError as err:
        raise InputError(f"cannot write {path} ({err.strerror})", hint="choose another: --output FILE") from err
    with os.fdopen(fd, "wb") as file:
        file.write(content)
