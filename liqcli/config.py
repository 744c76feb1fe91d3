"""Settings: every default in one place, and the only code that reads the environment.

Precedence: command-line flag > `LIQ_*` environment > `./liq.toml` > user config > market preset > default.
Nested keys use a double underscore in the environment: `LIQ_RPC__URL`.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from liqcli.errors import ConfigError, UsageError
from liqcli.model import Pace, Tier

ENV_PREFIX = "LIQ_"
TIER_ALIASES = {"high": Tier.HIGH_RISK, "medium": Tier.MEDIUM_RISK, "low": Tier.LOW_RISK}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RpcSettings(_Section):
    """The node: where it is and how hard it may be pressed."""

    url: str | None = Field(None, pattern=r"^https?://", description="HTTP JSON-RPC endpoint")
    timeout_s: float = Field(10.0, gt=0, description="deadline of one request")
    batch_size: int = Field(100, gt=0, description="calls in one JSON-RPC batch")
    log_window_blocks: int = Field(1000, gt=0, description="widest eth_getLogs range; halved when the node refuses")
    poll_interval_s: float = Field(1.0, gt=0, description="seconds between looks at the head")


class RedisSettings(_Section):
    """The queue's server; without a URL an embedded Valkey starts in the data directory."""

    url: str | None = Field(None, pattern=r"^(rediss?|unix)://", description="redis://, rediss:// or unix:// URL")
    timeout_s: float = Field(1.0, gt=0, description="deadline of one command")


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


class Settings(BaseSettings):
    """Everything an operator can set; see `liq config` and docs/settings.md."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, env_prefix=ENV_PREFIX, env_nested_delimiter="__")

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
