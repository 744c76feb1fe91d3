"""Settings: every default in one place, and the only code that reads the environment.

Precedence: command-line flag > `LIQ_*` environment > `./liq.toml` > user config > market preset > default.
Nested keys use a double underscore in the environment: `LIQ_RPC__URL`.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from liqcli.errors import ConfigError
from liqcli.model import BASE_UNIT, Pace, Tier

ENV_PREFIX = "LIQ_"
_TEST_SWITCHES = {"LIQ_LONG"}


def _checked_scheme(url: str | None, *schemes: str) -> str | None:
    if url is not None and not url.startswith(schemes):
        raise ValueError(f'no scheme it can use; did you mean "{schemes[0]}{url.rpartition("://")[2]}"?')
    return url


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RpcSettings(_Section):
    """The node: where it is and how hard it may be pressed."""

    url: str | None = Field(None, description="HTTP JSON-RPC endpoint")
    fallback_urls: tuple[str, ...] = Field((), description="endpoints asked in this order while the first one fails")
    ws_url: str | None = Field(None, description="websocket endpoint whose newHeads and logs save waiting; only a hint")
    requests_per_minute: int | None = Field(
        None, ge=10, description="most requests to one endpoint in a minute; the official RPC's preset is 100"
    )
    max_head_age_s: float | None = Field(
        None, gt=0, description="decisions stop while the newest block is older; HyperEVM's preset is 30"
    )
    timeout_s: float = Field(10.0, gt=0, description="deadline of one request")
    batch_size: int = Field(100, gt=0, description="calls in one JSON-RPC batch")
    log_window_blocks: int = Field(1000, gt=0, description="widest eth_getLogs range; halved when the node refuses")
    poll_interval_s: float = Field(1.0, gt=0, description="seconds between looks at the head")

    @field_validator("url")
    @classmethod
    def _has_scheme(cls, url: str | None) -> str | None:
        return _checked_scheme(url, "http://", "https://")

    @field_validator("fallback_urls")
    @classmethod
    def _have_schemes(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(url for url in urls if _checked_scheme(url, "http://", "https://"))

    @field_validator("ws_url")
    @classmethod
    def _is_websocket(cls, url: str | None) -> str | None:
        return _checked_scheme(url, "ws://", "wss://")


class RedisSettings(_Section):
    """The queue's server; without a URL an embedded Valkey starts in the data directory."""

    url: str | None = Field(None, description="redis://, rediss:// or unix:// URL")
    timeout_s: float = Field(1.0, gt=0, description="deadline of one command")

    @field_validator("url")
    @classmethod
    def _has_scheme(cls, url: str | None) -> str | None:
        return _checked_scheme(url, "redis://", "rediss://", "unix://")


class TierPolicy(_Section):
    """How one tier is scanned."""

    ceiling: float = Field(gt=0, description="health factors below this belong to the tier")
    interval_s: float = Field(gt=0, description="seconds between sweeps")
    batch: int = Field(gt=0, description="borrowers in one aggregate3 read")
    workers: int = Field(gt=0, description="reads under way at once")


class TierSettings(_Section):
    """The five tiers of the multi-level scanner."""

    critical: TierPolicy = TierPolicy(ceiling=1.0, interval_s=5, batch=50, workers=3)
    high_risk: TierPolicy = TierPolicy(ceiling=1.05, interval_s=15, batch=50, workers=2)
    medium_risk: TierPolicy = TierPolicy(ceiling=1.2, interval_s=60, batch=100, workers=1)
    low_risk: TierPolicy = TierPolicy(ceiling=1.5, interval_s=300, batch=200, workers=1)
    safe: TierPolicy = TierPolicy(ceiling=float("inf"), interval_s=900, batch=500, workers=1)

    def policy(self, tier: Tier) -> TierPolicy:
        """The policy of one tier."""
        found: TierPolicy = getattr(self, tier.value)
        return found

    def bounds(self, tier: Tier) -> tuple[float, float]:
        """From which health factor, up to below which, a borrower belongs to the tier."""
        tiers = list(Tier)
        low = self.policy(tiers[tiers.index(tier) - 1]).ceiling if tier is not tiers[0] else float("-inf")
        return low, self.policy(tier).ceiling


class PacePolicy(_Section):
    """How long a reading lives when the health factor moves at this pace."""

    per_hour: float = Field(ge=0, description="relative change of the health factor in an hour, 0.1 = 10 %")
    ttl_s: float = Field(gt=0, description="seconds a reading stays fresh")


class PaceSettings(_Section):
    """The four paces of the incremental cache."""

    rapid: PacePolicy = PacePolicy(per_hour=0.10, ttl_s=30)
    moderate: PacePolicy = PacePolicy(per_hour=0.01, ttl_s=120)
    slow: PacePolicy = PacePolicy(per_hour=0.001, ttl_s=600)
    stable: PacePolicy = PacePolicy(per_hour=0.0, ttl_s=1800)

    def policy(self, pace: Pace) -> PacePolicy:
        """The policy of one pace."""
        found: PacePolicy = getattr(self, pace.value)
        return found


class QueueSettings(_Section):
    """Leases and retries of the priority queue."""

    lease_s: float = Field(30.0, gt=0, description="seconds a claimed borrower stays with its worker")
    max_tries: int = Field(5, gt=0, description="failures before a borrower goes to the dead letters")


class LimitSettings(_Section):
    """What a liquidation must earn before it is sent."""

    min_profit_usd: float = Field(5.0, ge=0, description="net profit below this is skipped")

    @property
    def min_profit_base(self) -> int:
        """The same in base currency (1e8 = 1 USD)."""
        return round(self.min_profit_usd * BASE_UNIT)


class TuningSettings(_Section):
    """Automatic tuning of batch, workers and interval by tier; the tiers' own settings are where it starts."""

    enabled: bool = Field(default=True, description="false freezes every tier at its own settings")
    stretch: float = Field(4.0, ge=1, description="greatest factor between a tuned value and the configured one")
    latency_high_ms: float = Field(500.0, gt=0, description="batches slower than this shrink")
    error_rate_high: float = Field(0.05, ge=0, le=1, description="batches that fail more often than this shrink")
    every_s: float = Field(15.0, gt=0, description="seconds between two rounds of tuning")
    audited_per_poll: int = Field(2, ge=0, description="borrowers held against the chain at every look at the prices")
    budget_low: float = Field(0.2, ge=0, le=1, description="intervals grow when less of the request budget is left")


class PolicySettings(_Section):
    """What may be signed at all, and what it may lose; in the sandbox `live` and `contracts` are given."""

    live: bool = Field(False, description="allow sending; `liq run --live` and its confirmation are needed as well")
    contracts: tuple[str, ...] = Field((), description="the pool, or the liquidator contract, that may be called")
    max_gas: int = Field(1_900_000, gt=0, description="gas of one transaction; a small block of HyperEVM takes 2M")
    max_gas_price_gwei: float = Field(100.0, gt=0, description="highest price offered for gas, replacements included")
    max_loss_usd: float = Field(10.0, gt=0, description="what one transaction can lose: its gas at the offered price")
    max_day_loss_usd: float = Field(50.0, gt=0, description="losses of 24 hours after which nothing more is sent")
    max_per_hour: int = Field(500, gt=0, description="liquidations signed in one hour")

    @field_validator("contracts")
    @classmethod
    def _are_addresses(cls, contracts: tuple[str, ...]) -> tuple[str, ...]:
        for contract in contracts:
            if re.fullmatch("0x[0-9a-fA-F]{40}", contract) is None:
                raise ValueError(f"{contract!r} is no address")
        return tuple(contract.lower() for contract in contracts)


class ExchangeSettings(_Section):
    """Where seized collateral is sold, and our contract that does it all in one transaction.

    Without a liquidator a liquidation takes one's own tokens, and what is seized is kept.
    """

    liquidator: str | None = Field(None, description="our deployed Liquidator, of `liq contract deploy`")
    routers_v2: tuple[str, ...] = Field((), description="routers of Uniswap V2 and its forks")
    routers_v3: tuple[str, ...] = Field((), description="routers of Uniswap V3 and its forks")
    quoters_v3: tuple[str, ...] = Field((), description="the quoter beside each of `routers_v3`, in the same order")
    fees_v3: tuple[int, ...] = Field((100, 500, 3000, 10000), description="fees of V3 pools to look for")
    flash_loan: bool = Field(
        default=True, description="borrow the debt from the pool; false takes the owner's own tokens"
    )
    margin_bps: int = Field(10, ge=0, description="share of the proceeds that the market may move until the block")

    @field_validator("liquidator", "routers_v2", "routers_v3", "quoters_v3")
    @classmethod
    def _lowered(cls, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        for address in (value,) if isinstance(value, str) else value or ():
            if re.fullmatch("0x[0-9a-fA-F]{40}", address) is None:
                raise ValueError(f"{address!r} is no address")
        return value.lower() if isinstance(value, str) else tuple(part.lower() for part in value) if value else value

    @model_validator(mode="after")
    def _has_quoters(self) -> "ExchangeSettings":
        if len(self.quoters_v3) != len(self.routers_v3):
            raise ValueError(f"{len(self.routers_v3)} routers_v3 need as many quoters_v3, not {len(self.quoters_v3)}")
        return self


class Settings(BaseSettings):
    """Everything an operator can set; see `liq config` and docs/settings.md."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,
        nested_model_default_partial_update=True,
    )

    network: str = Field("hyperevm", description="network preset, or `local` for any chain id")
    market: str = Field("hyperlend", description="market preset, or a name of your own with pool_addresses_provider")
    pool_addresses_provider: str | None = Field(
        None, pattern=r"^0x[0-9a-fA-F]{40}$", description="the market's PoolAddressesProvider; overrides the preset"
    )
    first_block: int | None = Field(None, ge=0, description="block from which borrowers are discovered")
    data_dir: Path = Field(default_factory=lambda: Path(platformdirs.user_data_dir("liq")), description="state on disk")
    event_buffer_size: int = Field(4096, gt=0, description="capacity of the event channel")
    action_buffer_size: int = Field(1024, gt=0, description="capacity of the action channel")
    workers: int = Field(4, gt=0, description="claims evaluated at once")
    event_threshold: float = Field(1.1, gt=0, description="price events wake borrowers below this health factor")
    maintenance_interval_s: float = Field(300.0, gt=0, description="seconds between maintenance rounds")
    rpc: RpcSettings = RpcSettings()
    redis: RedisSettings = RedisSettings()
    tiers: TierSettings = TierSettings()
    paces: PaceSettings = PaceSettings()
    queue: QueueSettings = QueueSettings()
    limits: LimitSettings = LimitSettings()
    exchange: ExchangeSettings = ExchangeSettings()
    policy: PolicySettings = PolicySettings()
    tuning: TuningSettings = TuningSettings()

    @property
    def chain_id(self) -> int | None:
        """The chain the network preset promises, None for `local`."""
        return None if self.network == "local" else int(presets()["networks"][self.network]["chain_id"])

    @property
    def rpc_url(self) -> str | None:
        """The endpoint to ask: one's own, else the network's public one; `local` has none."""
        if self.rpc.url is not None or self.network == "local":
            return self.rpc.url
        return str(presets()["networks"][self.network]["rpc_url"])

    def requests_per_minute(self, url: str) -> int | None:
        """What an endpoint may be asked: one's own limit, else that of the network's public endpoint."""
        network = {} if self.network == "local" else presets()["networks"][self.network]
        preset = network.get("requests_per_minute") if url == network.get("rpc_url") else None
        return self.rpc.requests_per_minute or preset

    @property
    def max_head_age_s(self) -> float | None:
        """The age of a head beyond which nothing is decided; None on a local chain, which may stand still."""
        network = {} if self.network == "local" else presets()["networks"][self.network]
        return self.rpc.max_head_age_s or network.get("max_head_age_s")


def credentials_directory() -> Path | None:
    """Where systemd put the credentials of this service, if it runs as one."""
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    return Path(directory) if directory else None


@cache
def presets() -> dict[str, Any]:
    """The networks and markets that ship with liq (markets.toml)."""
    return tomllib.loads((files("liqcli") / "markets.toml").read_text())


def load_settings(flags: Mapping[str, Any], *, config_file: Path | None = None) -> Settings:
    """Merge every source into Settings, or raise ConfigError naming each wrong key and where it was set.

    `flags` is a nested mapping of what the command line set; None values count as not set.
    """
    sources = _Sources(_without_none(flags), [path for path in _files(config_file) if path.is_file()])
    sources.check_names()
    chosen = sources.settings(preset={})
    settings = sources.settings(preset=_preset_of(chosen))
    if settings.network != "local" and settings.network not in presets()["networks"]:
        raise ConfigError(
            f'unknown network "{settings.network}"', hint=_suggest(settings.network, presets()["networks"])
        )
    return settings


def _preset_of(chosen: Settings) -> dict[str, Any]:
    """A preset gives its provider; a provider of one's own is taken on whatever chain answers."""
    known = presets()["markets"]
    if chosen.pool_addresses_provider is not None:
        return {"network": "local"}
    if chosen.market in known:
        return dict(known[chosen.market])
    hint = _suggest(chosen.market, known, "name a preset, or give --pool-addresses-provider 0x...")
    raise ConfigError(f'unknown market "{chosen.market}"', hint=hint)


def _files(config_file: Path | None) -> list[Path]:
    if config_file is None:
        return [Path("liq.toml"), Path(platformdirs.user_config_dir("liq")) / "config.toml"]
    if not config_file.is_file():
        raise ConfigError(f"no config file at {config_file}", hint="leave --config away, or write one there")
    return [config_file]


def _without_none(flags: Mapping[str, Any]) -> dict[str, Any]:
    nested = {key: _without_none(value) if isinstance(value, Mapping) else value for key, value in flags.items()}
    return {key: value for key, value in nested.items() if value is not None and value != {}}


def _suggest(word: str, known: Iterable[str], otherwise: str = "") -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean {close[0]}?" if close else otherwise or f"known: {', '.join(sorted(known))}"


class _Sources:
    """Where settings come from, in order; kept to tell the operator which place a wrong value came from."""

    def __init__(self, flags: dict[str, Any], paths: list[Path]) -> None:
        self.flags = flags
        self.env = {name for name, value in os.environ.items() if name.startswith(ENV_PREFIX) and value}
        self.texts = {path: _read(path) for path in paths}
        self.files = {path: _parsed(path, text) for path, text in self.texts.items()}

    def settings(self, *, preset: dict[str, Any]) -> Settings:
        """Validate the merged sources; every mistake is told at once."""
        above, below = [self.flags], [*self.files.values(), preset]

        class Layered(Settings):
            @classmethod
            def settings_customise_sources(
                cls,
                settings_cls: type[BaseSettings],
                init_settings: PydanticBaseSettingsSource,  # noqa: ARG003  pydantic-settings passes all of them
                env_settings: PydanticBaseSettingsSource,
                dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  no implicit .env
                file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  no secrets in Settings
            ) -> tuple[PydanticBaseSettingsSource, ...]:
                def layers(contents: list[dict[str, Any]]) -> list[PydanticBaseSettingsSource]:
                    return [InitSettingsSource(settings_cls, content) for content in contents]

                return (*layers(above), env_settings, *layers(below))

        try:
            return Layered()
        except ValidationError as err:
            raise ConfigError("\n".join(map(self._told, err.errors())), hint="see docs/settings.md") from err

    def check_names(self) -> None:
        """Refuse keys that no setting has, each with the nearest known one."""
        unknown = [*self._unknown_in_env(), *self._unknown_in_files()]
        if unknown:
            raise ConfigError("\n".join(message for message, _ in unknown), hint=unknown[0][1])

    def _unknown_in_env(self) -> Iterator[tuple[str, str]]:
        known = {ENV_PREFIX + "__".join(loc).upper() for loc in _names(Settings)}
        for name in sorted(self.env - known - _TEST_SWITCHES):
            yield f"unknown environment variable {name}", _suggest(name, known, "see docs/settings.md")

    def _unknown_in_files(self) -> Iterator[tuple[str, str]]:
        known = set(_names(Settings))
        for path, content in self.files.items():
            for loc in set(_leaves(content)) - known:
                siblings = {name[-1] for name in known if name[:-1] == loc[:-1]}
                hint = _suggest(loc[-1], siblings) if siblings else _suggest(loc[0], {name[0] for name in known})
                yield f"unknown key `{'.'.join(loc)}` in {path}:{_line_of(self.texts[path], loc)}", hint

    def _told(self, error: ErrorDetails) -> str:
        loc = tuple(str(part) for part in error["loc"])
        shown = f'{".".join(loc)} "{error["input"]}" ({self._origin(loc)})'
        return f"{shown}: {error['msg'].removeprefix('Value error, ')}"

    def _origin(self, loc: tuple[str, ...]) -> str:
        if loc in _leaves(self.flags):
            return "command line"
        if (name := ENV_PREFIX + "__".join(loc).upper()) in self.env:
            return name
        set_in = (path for path, content in self.files.items() if loc in _leaves(content))
        return next((f"{path}:{_line_of(self.texts[path], loc)}" for path in set_in), "default")


def _names(model: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _names(field.annotation, (*above, name))
        else:
            yield (*above, name)


def _leaves(content: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError(f"cannot read {path} ({err})", hint="it must be a readable UTF-8 text file") from err


def _parsed(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        raise ConfigError(f"{path} is not TOML: {err}", hint='a setting looks like  market = "hyperlend"') from err


def _line_of(text: str, loc: tuple[str, ...]) -> int:
    """The line a key stands on: the last one that assigns its name under its section, else the section's."""
    section, found = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if stripped.startswith("["):
            section = stripped.strip("[] ")
        key = stripped.partition("=")[0].strip()
        if f"{section}.{key}".strip(".") == ".".join(loc) or (not found and section == loc[0]):
            found = number
    return found
