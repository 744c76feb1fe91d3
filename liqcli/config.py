"""Settings: every default in one place, and the only code that reads the environment.

Precedence: command-line flag > `LIQ_*` environment > `./liq.toml` > user config > market preset > default.
Nested keys use a double underscore in the environment: `LIQ_RPC__URL`.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from liqcli.errors import ConfigError, SecretError
from liqcli.forms import at_home, checked_address, checked_url, host_and_port
from liqcli.layers import Key, Layers, Problem, WrongSettings, names, suggest
from liqcli.model import BASE_UNIT, Pace, Tier
from liqcli.presets import presets, user_directory, user_markets
from liqcli.text import safe

ENV_PREFIX = "LIQ_"
_SHORTEST_TOKEN = 16
_TEST_SWITCHES = {"LIQ_LONG"}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


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
    def _is_http(cls, url: str | None) -> str | None:
        return url if url is None else checked_url(url, "http://", "https://")

    @field_validator("fallback_urls")
    @classmethod
    def _are_http(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(checked_url(url, "http://", "https://") for url in urls)

    @field_validator("ws_url")
    @classmethod
    def _is_websocket(cls, url: str | None) -> str | None:
        return url if url is None else checked_url(url, "ws://", "wss://")


class RedisSettings(_Section):
    """The queue's server; without a URL an embedded Valkey starts in the data directory."""

    url: str | None = Field(None, description="redis://, rediss:// or unix:// URL")
    timeout_s: float = Field(1.0, gt=0, description="deadline of one command")

    @field_validator("url")
    @classmethod
    def _is_redis(cls, url: str | None) -> str | None:
        return url if url is None else checked_url(url, "redis://", "rediss://", "unix://")


class TierPolicy(_Section):
    """How one tier is scanned."""

    ceiling: float = Field(gt=0, allow_inf_nan=True, description="health factors below this belong to the tier")
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

    @model_validator(mode="after")
    def _rise(self) -> "TierSettings":
        for lower, upper in pairwise(Tier):
            if not (below := self.policy(lower).ceiling) < (above := self.policy(upper).ceiling):
                raise ValueError(f"ceilings rise from tier to tier, but {lower} has {below:g} and {upper} {above:g}")
        if self.safe.ceiling != float("inf"):
            raise ValueError(f"safe has no ceiling (inf), not {self.safe.ceiling:g}: nobody may be in no tier")
        return self

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

    @model_validator(mode="after")
    def _fall(self) -> "PaceSettings":
        for faster, slower in pairwise(Pace):
            if not (more := self.policy(faster).per_hour) > (less := self.policy(slower).per_hour):
                raise ValueError(f"per_hour falls from pace to pace, but {faster} has {more:g} and {slower} {less:g}")
        return self

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
    max_price_age_s: float = Field(90_000.0, gt=0, description="older prices are not believed; feeds renew daily")

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

    live: bool = Field(
        default=False, description="allow sending; `liq run --live` and its confirmation are needed as well"
    )
    contracts: tuple[str, ...] = Field((), description="the pool, or the liquidator contract, that may be called")
    max_gas: int = Field(1_900_000, gt=0, description="gas of one transaction; a small block of HyperEVM takes 2M")
    max_gas_price_gwei: float = Field(100.0, gt=0, description="highest price offered for gas, replacements included")
    max_loss_usd: float = Field(10.0, gt=0, description="what one transaction can lose: its gas at the offered price")
    max_day_loss_usd: float = Field(50.0, gt=0, description="losses of 24 hours after which nothing more is sent")
    max_per_hour: int = Field(500, gt=0, description="liquidations signed in one hour")

    @field_validator("contracts")
    @classmethod
    def _are_addresses(cls, contracts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(checked_address, contracts))


class ExchangeSettings(_Section):
    """Where seized collateral is sold, and our contract that does it all in one transaction.

    Without a liquidator a liquidation takes one's own tokens, and what is seized is kept.
    """

    liquidator: str | None = Field(None, description="our deployed Liquidator, of `liq contract deploy`")
    routers_v2: tuple[str, ...] = Field((), description="routers of Uniswap V2 and its forks")
    routers_v3: tuple[str, ...] = Field((), description="routers of Uniswap V3 and its forks")
    quoters_v3: tuple[str, ...] = Field((), description="the quoter beside each of `routers_v3`, in the same order")
    fees_v3: tuple[Annotated[int, Field(ge=0, lt=1_000_000)], ...] = Field(
        (100, 500, 3000, 10000), description="fees of V3 pools to look for"
    )
    flash_loan: bool = Field(
        default=True, description="borrow the debt from the pool; false takes the owner's own tokens"
    )
    margin_bps: int = Field(10, ge=0, description="share of the proceeds that the market may move until the block")

    @field_validator("liquidator", "routers_v2", "routers_v3", "quoters_v3")
    @classmethod
    def _lowered(cls, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        if isinstance(value, str):
            return checked_address(value)
        return value if value is None else tuple(map(checked_address, value))

    @model_validator(mode="after")
    def _has_quoters(self) -> "ExchangeSettings":
        if len(self.quoters_v3) != len(self.routers_v3):
            raise ValueError(f"{len(self.routers_v3)} routers_v3 need as many quoters_v3, not {len(self.quoters_v3)}")
        return self


class HttpSettings(_Section):
    """The page for probes and Prometheus: /healthz, /readyz, /metrics, /status.json."""

    listen: str | None = Field(None, description="HOST:PORT of the page, such as 127.0.0.1:9109; off without one")
    token: SecretStr | None = Field(
        None, min_length=_SHORTEST_TOKEN, description="bearer token that the page asks for; needed off loopback"
    )
    token_file: Path | None = Field(None, description="file that holds the token instead")

    @field_validator("token_file")
    @classmethod
    def _is_a_path(cls, path: Path | None) -> Path | None:
        return path if path is None else at_home(path)

    @field_validator("listen")
    @classmethod
    def _is_host_and_port(cls, address: str | None) -> str | None:
        if address is not None:
            host_and_port(address)
        return address

    def secret(self) -> str | None:
        """The token, from where it was set; SecretError when its file cannot be read or holds too little."""
        if self.token is not None or self.token_file is None:
            return None if self.token is None else self.token.get_secret_value()
        try:
            found = self.token_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as err:
            raise SecretError(f"cannot read the token in {self.token_file}", hint="check http.token_file") from err
        if len(found) < _SHORTEST_TOKEN:
            raise SecretError(
                f"the token in {self.token_file} is shorter than {_SHORTEST_TOKEN} characters",
                hint="python -c 'import secrets; print(secrets.token_urlsafe(32))'",
            )
        return found


class Settings(BaseSettings):
    """Everything an operator can set; see `liq config` and docs/settings.md."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
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
    http: HttpSettings = HttpSettings()

    @field_validator("data_dir")
    @classmethod
    def _is_a_path(cls, path: Path) -> Path:
        if "\0" in str(path):
            raise ValueError("no path holds a NUL")
        return at_home(path)

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
        """What an endpoint may be asked: one's own limit, else what its network's preset knows of a public one."""
        public = {network["rpc_url"]: network["requests_per_minute"] for network in presets()["networks"].values()}
        return self.rpc.requests_per_minute or public.get(url.rstrip("/"))

    @property
    def max_head_age_s(self) -> float | None:
        """The age of a head beyond which nothing is decided; None on a local chain, which may stand still."""
        network = {} if self.network == "local" else presets()["networks"][self.network]
        return self.rpc.max_head_age_s or network.get("max_head_age_s")


def pause_file(settings: Settings) -> Path:
    """The file whose existence keeps anything from being signed; any program may make it."""
    return settings.data_dir / "PAUSE"


def credentials_directory() -> Path | None:
    """Where systemd put the credentials of this service, if it runs as one."""
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    return Path(directory) if directory else None


def notify_socket() -> str | None:
    """Where systemd listens for what its service says of itself, if it started this process."""
    return os.environ.get("NOTIFY_SOCKET") or None


@dataclass(frozen=True, slots=True)
class Explained:
    """Settings, and for each of them the place that set it."""

    settings: Settings
    origins: Mapping[Key, str]


def load_settings(flags: Mapping[str, Any], *, config_file: Path | None = None) -> Settings:
    """Merge every source into Settings, or raise WrongSettings naming each wrong key and where it was set.

    `flags` is a nested mapping of what the command line set; None values count as not set.
    """
    return explain_settings(flags, config_file=config_file).settings


def explain_settings(flags: Mapping[str, Any], *, config_file: Path | None = None) -> Explained:
    """The same, with the origin of each value."""
    return _explained(Layers(flags, _variables(), [path for path in config_files(config_file) if path.is_file()]))


def settings_alone(flags: Mapping[str, Any]) -> Settings:
    """What these flags come to over presets and defaults, whatever files and variables there are."""
    return _explained(Layers(flags, {}, [])).settings


def _explained(layers: Layers) -> Explained:
    problems = [*layers.broken, *layers.unknown(Settings, env_prefix=ENV_PREFIX, ignored=_TEST_SWITCHES)]
    preset, wrong = _preset_of(layers)
    settings, also_wrong = layers.settings(Settings, preset=preset)
    problems += [*wrong, *also_wrong]
    if problems or settings is None:
        raise WrongSettings(problems)
    return Explained(settings, {key: _origin(key, layers, settings, preset) for key in names(Settings)})


def config_files(config_file: Path | None) -> list[Path]:
    """The files that are read where they exist, the first above the second; one that is named must exist."""
    if config_file is None:
        return [Path("liq.toml"), user_directory() / "config.toml"]
    if not config_file.is_file():
        raise ConfigError(f"no config file at {config_file}", hint="leave --config away, or write one: liq init")
    return [config_file]


def _variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(ENV_PREFIX) and value}


def _preset_of(layers: Layers) -> tuple[Mapping[str, Any], list[Problem]]:
    """What the market's preset gives, and the names that nothing has: told beside all that is wrong with values."""
    preset, problems = _market_of(layers)
    network = _word("network", layers, preset)
    if network == "local" or network in presets()["networks"]:
        return preset, problems
    hint = suggest(network, [*presets()["networks"], "local"])
    return preset, [_unknown_name("network", network, layers, hint), *problems]


def _market_of(layers: Layers) -> tuple[Mapping[str, Any], list[Problem]]:
    """A preset gives its provider; a provider of one's own is taken on whatever chain answers."""
    if layers.origin(("pool_addresses_provider",)):
        provider = str(layers.word("pool_addresses_provider"))
        return {"network": "local", "market": f"custom-{provider[2:10].lower()}"}, []
    market, known = _word("market", layers, {}), {**presets()["markets"], **user_markets()}
    if market in known:
        return known[market], []
    hint = suggest(market, known, "see `liq markets`; a fork of your own: --pool-addresses-provider 0x...")
    return {}, [_unknown_name("market", market, layers, hint)]


def _word(name: str, layers: Layers, preset: Mapping[str, Any]) -> str:
    """A name as it is set, else as the preset has it, else the default."""
    found = layers.word(name)
    return str(preset.get(name, Settings.model_fields[name].default)) if found is None else found


def _unknown_name(key: str, word: str, layers: Layers, hint: str) -> Problem:
    place = layers.origin((key,)) or f"market {safe(_word('market', layers, {}), limit=80)}"
    return Problem(key, place, f'unknown {key} "{safe(word, limit=80)}" ({place})', hint)


def _origin(key: Key, layers: Layers, settings: Settings, preset: Mapping[str, Any]) -> str:
    if origin := layers.origin(key):
        return origin
    if len(key) == 1 and key[0] in preset and not layers.origin(("pool_addresses_provider",)):
        return f"market {settings.market}"
    return "default"
