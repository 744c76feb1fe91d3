"""Networks and markets known by name: those that ship with liq, and the user's own."""

import tomllib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import platformdirs
from pydantic import BaseModel, ConfigDict, Field

from liqcli.errors import ConfigError
from liqcli.text import safe


class MarketPreset(BaseModel):
    """A market known by its name: its network, its PoolAddressesProvider, and the block it began with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    network: str
    pool_addresses_provider: str = Field(pattern=r"^0x[0-9a-fA-F]{40}$")
    first_block: int = Field(0, ge=0)


@cache
def presets() -> dict[str, Any]:
    """The networks and markets that ship with liq (markets.toml)."""
    return tomllib.loads((files("liqcli") / "markets.toml").read_text())


def user_directory() -> Path:
    """Where a user's own config.toml and markets.toml are."""
    return Path(platformdirs.user_config_dir("liq"))


def user_markets() -> dict[str, dict[str, Any]]:
    """The markets that `liq markets add` wrote; ConfigError when the file is not what it writes."""
    path = user_directory() / "markets.toml"
    try:
        markets = tomllib.loads(path.read_text(encoding="utf-8"))["markets"]
        return {name: MarketPreset(**facts).model_dump() for name, facts in markets.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as err:
        raise ConfigError(
            f"{path} is no list of markets ({safe(type(err).__name__)})", hint="mend or remove it; liq markets add"
        ) from err
