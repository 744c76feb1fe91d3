"""Where a bot's data is, found without loading the settings: for the probe, which must cost next to nothing."""

import os
import tomllib
from pathlib import Path

import platformdirs


def data_directory() -> Path:
    """What the settings would say; a file that they would refuse is passed over, since a probe has no use for it."""
    if named := os.environ.get("LIQ_DATA_DIR"):
        return Path(named).expanduser()
    for path in (Path("liq.toml"), Path(platformdirs.user_config_dir("liq")) / "config.toml"):
        if in_file := _named_in(path):
            return Path(in_file).expanduser()
    return Path(platformdirs.user_data_dir("liq"))


def _named_in(path: Path) -> str:
    try:
        named = tomllib.loads(path.read_text(encoding="utf-8")).get("data_dir")
    except (OSError, ValueError, RecursionError):
        return ""
    return named if isinstance(named, str) else ""
