"""The wheel, built from what the image copies and installed beside nothing of the checkout, runs the main commands."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.deploy.test_files import ROOT, environment, sources, values

LOG = ROOT / "sample_logs" / "artemis-2025-05-14-event-lag.log"


def ran(argv, directory, **more):
    """What a command printed; it must end well."""
    done = subprocess.run(
        list(map(str, argv)), cwd=directory, env=environment(directory, **more), capture_output=True, text=True,
        timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout[-1000:]}{done.stderr[-2000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    """The directory that `docker build` would send."""
    found = tmp_path_factory.mktemp("context")
    for source in sources():
        copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
        (found / source).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / source, found / source)
    return found


@pytest.fixture(scope="module")
def wheel(context, tmp_path_factory):
    """The wheel, built by the declared backend in a place of its own."""
    target = tmp_path_factory.mktemp("dist")
    ran([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", target, context], target)
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A `liq` from the wheel alone: the packages it needs are those of the tests, the checkout is not among them."""
    place = tmp_path_factory.mktemp("installed")
    ran([sys.executable, "-m", "venv", "--without-pip", "venv"], place)
    python = place / "venv" / "bin" / "python"
    site = Path(ran([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], place).strip())
    (site / "needed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    shown = ran([python, "-c", "import liqcli; print(liqcli.__file__)"], place)
    assert shown.startswith(str(site))
    return place, python


def liq(installed, *args, **more):
    """What `liq` of the wheel prints."""
    place, python = installed
    return ran([python, "-m", "liqcli", *args], place, **more)


def until(word, installed, *args, **more):
    """What `liq` of the wheel prints when it is asked to end as soon as it says the word."""
    place, python = installed
    argv, env = [python, "-m", "liqcli", *args], environment(place, **more)
    with subprocess.Popen(argv, cwd=place, env=env, stdout=subprocess.PIPE, text=True) as process:
        said = ""
        for line in process.stdout:
            if word in line and word not in said:
                process.terminate()
            said += line
    assert process.returncode == 0
    return said


def test_the_wheel_holds_what_it_needs_and_nothing_else(wheel):
    """Code, the compiled loops, tables, scripts for Redis, contracts, the sandbox's lock file; no tests, no notes."""
    names = [name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name]
    assert all(name.startswith("liqcli/") for name in names)
    code = {".py", ".pyi", ".typed", ".c", ".so", ".lua"}
    assert {Path(name).suffix for name in names} <= code | {".json", ".toml", ".css", ".js"}
    assert {"liqcli/markets.toml", "liqcli/sandbox/npm/package-lock.json", "liqcli/py.typed"} <= set(names)
    source = (path.relative_to(ROOT) for path in (ROOT / "liqcli").rglob("*") if path.is_file())
    assert {str(path) for path in source if "__pycache__" not in path.parts} <= set(names)


def test_it_reads_logs_with_compiled_loops_where_there_is_a_compiler(wheel, installed):
    """The wheel is then for one platform and every Python from 3.11 on; else it is for all."""
    place, python = installed
    found = ran([python, "-c", "from liqcli.lag.search import kernel; print(kernel)"], place)
    if shutil.which("cc"):
        assert str(place / "venv") in found
        assert "-cp311-abi3-" in wheel.name
    else:
        assert found == "None\n"
        assert wheel.name.endswith("-py3-none-any.whl")


def test_its_main_commands_run(installed):
    """Versions, a diagnosis, settings, markets, metrics: none needs a chain."""
    assert re.search(
        r"liq \S+ · python \S+ · web3 \S+ · redis \S+ · valkey-server \d\S+ · ", liq(installed, "--version")
    )
    assert "Exit codes" in liq(installed, "--help")
    assert "VERDICT" in liq(installed, "diagnose", "lag", LOG)
    assert "liq.toml" in liq(installed, "init", "--yes")
    assert "valid" in liq(installed, "config", "validate")
    assert "hyperlend" in liq(installed, "markets")
    assert "liq_ready" in liq(installed, "metrics", "--names")


def test_its_sandbox_runs_on_parts_from_the_cache(installed):
    """With the npm packages where `liq sandbox install` puts them, a first liquidation is won."""
    place, _ = installed
    cache = place / "cache" / "liq" / "npm"
    cache.mkdir(parents=True)
    (cache / "node_modules").symlink_to(ROOT / "node_modules")
    told = until(" won ", installed, "run", "--sandbox", "--duration", "100s", XDG_CACHE_HOME=str(place / "cache"))
    assert " won " in told
    assert "lost 0" in told


@pytest.mark.skipif(os.environ.get("LIQ_LONG") != "1", reason="installs every package anew; LIQ_LONG=1 runs it")
def test_the_images_install_runs_as_written(context, tmp_path):
    """Each RUN of the build stage, with /opt here, ends with a `liq` that says its versions."""
    opt = tmp_path / "opt"
    (install, *_) = values("RUN")
    for command in install.split("&&"):
        words = shlex.split(command.replace("/opt/", f"{opt}/").replace("python ", f"{sys.executable} ", 1))
        ran(words, context)
    assert "liq " in ran([opt / "liqcli" / "bin" / "liq", "--version"], tmp_path)
