"""The unit, the image and the compose file: sound by their own rules, and their commands run, without Docker."""

import configparser
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from liqcli.sandbox.valkey import find_valkey

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def unit():
    """The unit's sections."""
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str
    parser.read(DEPLOY / "liqcli.service")
    return parser


def instructions():
    """The Dockerfile's instructions, continued lines joined, comments left out."""
    lines = [line for line in (DEPLOY / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    text = "\n".join(lines).replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in text.splitlines() if line.strip()]


def values(name):
    """What follows each instruction of a name."""
    return [rest for instruction, rest in instructions() if instruction == name]


def sources():
    """What the image is built from."""
    copies = [shlex.split(rest) for rest in values("COPY") if not rest.startswith("--from")]
    return {part.removeprefix("./") for copy in copies for part in copy[:-1]}


def environment(directory, **more):
    """A user's environment with a data directory of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LIQ_", "XDG_"))}
    return {**kept, "LIQ_DATA_DIR": str(directory / "data"), "XDG_CONFIG_HOME": str(directory), **more}


def liq(*args):
    """`liq` of this checkout in place of the installed one."""
    return [sys.executable, "-m", "liqcli", *args]


def tried(args, config):
    """A service's arguments, on the sandbox for a moment, with a settings file that is here."""
    here = [str(config) if part == "/etc/liqcli/liq.toml" else part for part in args]
    address = here.index("--http") + 1
    here[address] = here[address].rpartition(":")[0] + ":0"
    return [*here, "--sandbox", "--duration", "2s"]


@pytest.fixture
def config(tmp_path):
    """A settings file as `deploy` wants one."""
    path = tmp_path / "liq.toml"
    path.write_text('market = "hyperlend"\n')
    path.chmod(0o600)
    return path


def test_the_unit_asks_for_all_that_the_bot_tells():
    """Type notify, a watchdog, and a stop that leaves time to drain."""
    service = unit()["Service"]
    assert service["Type"] == "notify"
    assert int(service["WatchdogSec"]) >= 10
    assert int(service["TimeoutStopSec"]) > 10
    assert service["Restart"] == "on-failure"
    assert service["RestartPreventExitStatus"].split() == ["2", "3", "5", "6"]


def test_the_unit_gives_the_bot_no_power_it_does_not_need():
    """No capability, no home, no device, a file system it cannot write but for its state, no core file."""
    service = unit()["Service"]
    wanted = {"NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes", "PrivateDevices": "yes"}
    wanted |= {"CapabilityBoundingSet": "", "UMask": "0077", "LimitCORE": "0", "DynamicUser": "yes"}
    assert {name: service[name] for name in wanted} == wanted
    assert "LIQ_" not in service["Environment"].replace("LIQ_DATA_DIR", "")


def test_compiled_code_has_a_place_that_can_be_written():
    """Where the package itself is read-only, numba compiles nothing without a directory of its own."""
    service = unit()["Service"]
    assert "NUMBA_CACHE_DIR=/var/cache/liqcli " in service["Environment"]
    assert service["CacheDirectory"] == "liqcli"
    assert re.search(r"NUMBA_CACHE_DIR=/var/lib/liqcli/\w+", values("ENV")[-1])


def test_the_units_command_tells_systemd_what_happens(tmp_path, config):
    """Run as systemd runs it, it says READY after the first pass, that it is alive, its state, and that it stops."""
    program, *args = shlex.split(unit()["Service"]["ExecStart"])
    assert program == "/opt/liqcli/bin/liq"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(1)
        place = environment(tmp_path, NOTIFY_SOCKET=str(tmp_path / "notify"))
        done = subprocess.run(
            liq(*tried(args, config)), cwd=tmp_path, env=place, capture_output=True, text=True, timeout=90, check=False
        )
        said = []
        while True:
            try:
                said.append(listener.recv(1000).decode())
            except TimeoutError:
                break
    assert done.returncode == 0, done.stderr
    assert said.count("READY=1") == 1
    assert said.count("WATCHDOG=1") >= 3
    assert any(message.startswith("STATUS=SANDBOX: ") for message in said)
    assert all(line.startswith("timestamp=") for line in done.stdout.splitlines())


def test_the_image_follows_the_rules_of_dockerfiles():
    """Bases are pinned, nothing runs as root at the end, commands are lists, nothing is fetched beside packages."""
    names = [name for name, _ in instructions()]
    assert all(re.fullmatch(r"\S+:\d[\w.-]+( AS \w+)?", base) for base in values("FROM"))
    assert values("USER")[-1] not in ("root", "0")
    assert names.index("USER") > max(number for number, name in enumerate(names) if name == "FROM")
    assert "ADD" not in names
    assert len(values("ENTRYPOINT")) == len(values("CMD")) == len(values("HEALTHCHECK")) == 1
    assert all(isinstance(json.loads(rest), list) for rest in [*values("ENTRYPOINT"), *values("CMD")])
    assert all(rest.startswith("/") for rest in values("WORKDIR"))
    runs = " ".join(values("RUN"))
    assert not re.search(r"\b(sudo|curl|wget|apt-get|--upgrade)\b", runs)
    assert "--no-cache-dir" in runs
    assert "-c constraints.txt" in runs


def test_the_image_is_built_from_what_the_package_needs_and_nothing_else():
    """What the wheel takes in is copied, and only that passes .dockerignore."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    named = project["project"]
    needed = {*wheel["packages"], *wheel["force-include"], named["readme"], *named["license-files"]}
    assert sources() == needed | {"pyproject.toml", "hatch_build.py", "constraints.txt"}
    assert all((ROOT / source).exists() for source in sources())
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    assert {line[1:] for line in ignored if line.startswith("!")} == sources()


def compose():
    """The compose file, read."""
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def test_every_service_is_pinned_and_without_privileges():
    """Images have versions, and nobody gets the host's powers, its network or Docker's socket."""
    for name, service in compose()["services"].items():
        assert re.search(r":v?\d", service.get("image", "liqcli:0")), name
        assert not {"privileged", "network_mode", "pid", "devices", "cap_add"} & set(service), name
        assert not any("docker.sock" in mount for mount in service.get("volumes", [])), name
    bot = compose()["services"]["liq"]
    assert bot["read_only"] is True
    assert bot["cap_drop"] == ["ALL"]


def test_secrets_come_from_files():
    """No variable of the compose file holds one, and each secret that is used is declared."""
    found = compose()
    declared = set(found["secrets"])
    for service in found["services"].values():
        assert set(service.get("secrets", [])) <= declared
        for variable in service.get("environment", {}):
            assert not re.search(r"(?i)(password|token|key)$", variable), variable


def test_every_mounted_file_is_here_or_the_operators_own():
    """What a container mounts from beside the file exists, but for the settings and the token."""
    volumes = [mount for service in compose()["services"].values() for mount in service.get("volumes", [])]
    files = {mount.split(":")[0] for mount in volumes if mount.startswith("./")}
    assert {name for name in files if not (DEPLOY / name).exists()} == {"./liq.toml"}


def test_only_grafana_has_a_port_and_only_on_this_machine():
    """Bot, Redis and Prometheus are reached inside the compose network alone."""
    ports = {name: service["ports"] for name, service in compose()["services"].items() if "ports" in service}
    assert ports == {"grafana": ["127.0.0.1:3000:3000"]}


def test_prometheus_finds_the_bot_and_the_rules():
    """The scraped address is the bot's, with its token, and the rules are files that are mounted."""
    found = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    job = found["scrape_configs"][0]
    assert job["static_configs"] == [{"targets": ["liq:9109"]}]
    assert job["authorization"]["credentials_file"] == "/run/secrets/page-token"
    assert all((DEPLOY / name).exists() for name in found["rule_files"])


@pytest.mark.parametrize("where", ["Dockerfile", "compose.yaml"])
def test_the_containers_command_runs_and_is_found_healthy(tmp_path, config, where):
    """The command of image and compose starts a bot with a page, and says all of it in JSON."""
    commands = {"Dockerfile": json.loads(values("CMD")[0]), "compose.yaml": compose()["services"]["liq"]["command"]}
    args = commands[where]
    token = tmp_path / "page-token"
    token.write_text("x" * 32)
    place = environment(tmp_path, LIQ_HTTP__TOKEN_FILE=str(token))
    done = subprocess.run(
        liq(*tried(args, config)), cwd=tmp_path, env=place, capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "page at http://" in done.stderr
    events = [json.loads(line)["event"] for line in done.stdout.splitlines()]
    assert [events[0], events[-1]] == ["start", "end"]


def test_the_images_probe_says_that_nothing_runs(tmp_path):
    """`liq health` without a bot ends with 7, which Docker takes for unhealthy."""
    probe = json.loads(values("HEALTHCHECK")[0].partition("CMD ")[2])
    assert probe[0] == "liq"
    done = subprocess.run(liq(*probe[1:]), cwd=tmp_path, env=environment(tmp_path), capture_output=True, check=False)
    assert done.returncode == 7


def test_valkey_takes_the_options_of_the_compose_file(tmp_path):
    """The queue's server starts with them: append-only, and never evicting."""
    options = compose()["services"]["valkey"]["command"]
    assert {"--appendonly", "noeviction"} <= set(options)
    server = subprocess.Popen(
        [str(find_valkey()), *options[1:], "--port", "0", "--unixsocket", "v.sock", "--dir", str(tmp_path)],
        cwd=tmp_path, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert any("Ready to accept connections" in line for line in server.stdout)
    finally:
        server.kill()
        server.communicate()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path):
    """Its own checker knows every setting of it, and has no complaint."""
    text = (DEPLOY / "liqcli.service").read_text().replace("/opt/liqcli/bin/liq", sys.executable)
    (tmp_path / "liqcli.service").write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / "liqcli.service")], capture_output=True, text=True, check=False
    )
    complaints = [line for line in done.stderr.splitlines() if "liqcli.service" in line]
    assert (done.returncode, complaints) == (0, [])
