"""Log lines in every form, made from the same facts."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

Fact = tuple[int, str, int]
"""Microseconds since 1970, channel, N."""

START = 1_747_233_585_999_162
TARGET = "artemis_core::engine"


def facts(lines: int = 200) -> list[Fact]:
    """Two incidents a minute apart, on both channels, with numbers of one to ten digits."""
    made = []
    at_us = START
    for line in range(lines):
        at_us += 61_000_000 if line == lines // 2 else 3 + line * 7 % 31
        made.append(
            (at_us, "action" if line % 5 == 4 else "event", 1 + line * line * 7_919 * (1 + line % 3) ** 12 % 10**10)
        )
    return made


def stamp(at_us: int, digits: int = 6, zone: str = "Z") -> str:
    """The ISO form, as tracing writes it."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)
    fraction = f"{at_us % 1_000_000:06d}789"[:digits]
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + (f".{fraction}" if digits else "") + zone


def uptime(us: int) -> str:
    """Seconds since the process began, as tracing writes them."""
    return f"{us // 10**6}.{us % 10**6:06d}123"


def message(fact: Fact) -> str:
    """What artemis says."""
    return f"error receiving {fact[1]}: channel lagged by {fact[2]}"


def full(fact: Fact) -> str:
    """The plain twin of every other form."""
    return f"{stamp(fact[0])} ERROR {TARGET}: {message(fact)}"


def ansi(fact: Fact) -> str:
    """With the colours tracing writes."""
    dim, off = "\x1b[2m", "\x1b[0m"
    return (
        f"{dim}{stamp(fact[0])}{off} \x1b[31mERROR{off} {dim}{TARGET}{off}{dim}:{off} "
        f"error receiving {fact[1]}: channel lagged by {fact[2]}"
    )


def escaped_ansi(fact: Fact) -> str:
    """With the colours newer versions of tracing escape."""
    return ansi(fact).replace("\x1b", "\\x1b")


def event_json(fact: Fact) -> str:
    """Tracing's JSON with nested fields."""
    fields = {"message": message(fact)}
    return json.dumps(
        {"timestamp": stamp(fact[0]), "level": "ERROR", "fields": fields, "target": TARGET}, separators=(",", ":")
    )


def flat_json(fact: Fact) -> str:
    """Tracing's JSON, flattened, the reason in a field."""
    return json.dumps(
        {
            "timestamp": stamp(fact[0]),
            "level": "ERROR",
            "message": f"error receiving {fact[1]}",
            "err": f"Lagged({fact[2]})",
            "target": TARGET,
        }
    )


def docker_json(fact: Fact) -> str:
    """Docker's JSON-file driver around the plain line."""
    return json.dumps({"log": full(fact) + "\n", "stream": "stderr", "time": stamp(fact[0] + 900, 9)})


def journal_json(fact: Fact) -> str:
    """`journalctl -o json`: a coloured message is a list of bytes."""
    return json.dumps(
        {
            "__CURSOR": f"s=77{fact[0]:x};i=1",
            "__REALTIME_TIMESTAMP": str(fact[0] + 1500),
            "_HOSTNAME": "bot1",
            "MESSAGE": list(ansi(fact).encode()),
        },
        separators=(",", ":"),
    )


def journal_json_untimed(fact: Fact) -> str:
    """`journalctl -o json` around a line that leaves the time to journald."""
    return json.dumps({"__REALTIME_TIMESTAMP": str(fact[0]), "MESSAGE": f"ERROR {TARGET}: {message(fact)}"})


def _syslog(at_us: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)
    return f"{moment:%b} {moment.day:2d} {moment:%H:%M:%S}"


FORMS: dict[str, Callable[[Fact], str]] = {
    "full": full,
    "ansi": ansi,
    "escaped ansi": escaped_ansi,
    "json": event_json,
    "flat json": flat_json,
    "pretty": lambda fact: f"  {full(fact)}\n    at src/main.rs:4\n",
    "threads": lambda fact: (
        f"{stamp(fact[0])} ERROR tokio-runtime-worker ThreadId({fact[2] % 8:02d}) {TARGET}: src/engine.rs:88: "
        + message(fact)
    ),
    "span": lambda fact: (
        f'{stamp(fact[0])} ERROR strategy{{name="aave" block={fact[0] % 10**7}}}:process: {TARGET}: {message(fact)}'
    ),
    "fields": lambda fact: f"{stamp(fact[0])} ERROR {TARGET}: {message(fact)} n=7",
    "error field": lambda fact: f"{stamp(fact[0])} ERROR {TARGET}: error receiving {fact[1]} error=Lagged({fact[2]})",
    "local offset": lambda fact: f"{stamp(fact[0] + 7_200_000_000, 9, '+02:00')} ERROR {TARGET}: {message(fact)}",
    "no colon offset": lambda fact: f"{stamp(fact[0] - 12_600_000_000, 6, '-0330')} ERROR {TARGET}: {message(fact)}",
    "space": lambda fact: f"{stamp(fact[0]).replace('T', ' ')} ERROR {TARGET}: {message(fact)}",
    "env_logger": lambda fact: f"[{stamp(fact[0])} ERROR {TARGET}] {message(fact)}",
    "docker --timestamps": lambda fact: f"{stamp(fact[0] + 70, 9)} {full(fact)}",
    "docker compose": lambda fact: f"tracker-1  | {full(fact)}",
    "docker json": docker_json,
    "cri": lambda fact: f"{stamp(fact[0] + 41, 9)} stderr F {full(fact)}",
    "cri json": lambda fact: f"{stamp(fact[0] + 41, 9)} stderr F {event_json(fact)}",
    "cri ansi": lambda fact: f"{stamp(fact[0] + 41, 9, '+00:00')} stderr F {ansi(fact)}",
    "kubectl": lambda fact: f"[pod/liq-bot-7d9f/bot] {full(fact)}",
    "journald": lambda fact: f"{_syslog(fact[0])} bot1 liq[4711]: {full(fact)}",
    "journald iso": lambda fact: f"{stamp(fact[0], 0, '+0000')} bot1 liq[4711]: {full(fact)}",
    "journald unix": lambda fact: (
        f"{fact[0] // 10**6}.{fact[0] % 10**6:06d} bot1 liq[4711]: ERROR {TARGET}: {message(fact)}"
    ),
    "journald json": journal_json,
    "journald json untimed": journal_json_untimed,
    "syslog": lambda fact: f"<11>{_syslog(fact[0])} bot1 liq[4711]: {full(fact)}",
    "syslog 5424": lambda fact: f"<11>1 {stamp(fact[0])} bot1 liq 4711 - - ERROR {TARGET}: {message(fact)}",
}
FORMS |= {
    "slashes": lambda fact: f"{stamp(fact[0]).replace('-', '/').replace('T', ' ')}  ERROR {TARGET}: {message(fact)}",
    "tracing 0.2": lambda fact: f"{_syslog(fact[0])}.{fact[0] % 10**6:06d} ERROR {TARGET}: {message(fact)}",
    "zone of hours": lambda fact: f"{stamp(fact[0] + 7_200_000_000, 6, '+02')} ERROR {TARGET}: {message(fact)}",
    "no zone": lambda fact: f"{stamp(fact[0], 6, '')} ERROR {TARGET}: {message(fact)}",
    "epoch seconds": lambda fact: f"{fact[0] // 10**6}.{fact[0] % 10**6:06d} ERROR {TARGET}: {message(fact)}",
    "epoch micros": lambda fact: f"{fact[0]} ERROR {TARGET}: {message(fact)}",
    "epoch nanos": lambda fact: f"[{fact[0]}123] ERROR {TARGET}: {message(fact)}",
    "json epoch seconds": lambda fact: (
        f'{{"ts":{fact[0] // 10**6}.{fact[0] % 10**6:06d},"level":"ERROR","msg":"{message(fact)}","target":"{TARGET}"}}'
    ),
    "json epoch millis": lambda fact: (
        f'{{"ts":{fact[0] // 1000}.{fact[0] % 1000:03d},"severity":"ERROR","message":"{message(fact)}",'
        f'"target":"{TARGET}"}}'
    ),
    "json epoch nanos": lambda fact: (
        f'{{"time":"{fact[0]}123","level":"ERROR","message":"{message(fact)}","target":"{TARGET}"}}'
    ),
    "json error alone": lambda fact: json.dumps(
        {"timestamp": stamp(fact[0]), "level": "ERROR", "fields": {"err": message(fact)}, "target": TARGET}
    ),
    "json behind a space": lambda fact: f" {event_json(fact)}",
    "json coloured": lambda fact: event_json(fact).replace("error receiving", "\\u001b[31merror receiving"),
    "bunyan": lambda fact: json.dumps(
        {"v": 0, "msg": f"[STRATEGY - EVENT] {message(fact)}", "level": 50, "time": stamp(fact[0]), "target": TARGET}
    ),
    "docker json json": lambda fact: json.dumps(
        {"log": event_json(fact) + "\n", "stream": "stdout", "time": stamp(fact[0] + 70, 9)}
    ),
    "docker compose coloured": lambda fact: f"\x1b[36mtracker-1  |\x1b[0m {ansi(fact)}",
    "kubectl --timestamps": lambda fact: f"[pod/liq-bot-7d9f/bot] {stamp(fact[0] + 70, 9)} {full(fact)}",
    "syslog 5424 with data": lambda fact: f'<11>1 {stamp(fact[0])} bot1 liq 4711 ID47 [ex@1 a="b"] {full(fact)}',
    "thread name": lambda fact: f"{stamp(fact[0])} ERROR                 main {TARGET}: {message(fact)}",
    "line number": lambda fact: f"{stamp(fact[0])} ERROR {TARGET}: 88: {message(fact)}",
    "level in brackets": lambda fact: f"{stamp(fact[0])} [ERROR] {TARGET}: {message(fact)}",
    "router's prefix": lambda fact: f"{stamp(fact[0] + 70, 6, '+00:00')} app[web.1]: {full(fact)}",
    "link around the time": lambda fact: (
        f"\x1b]8;;http://x\x07{stamp(fact[0])}\x1b]8;;\x07 ERROR {TARGET}: {message(fact)}"
    ),
    "journal sequence": lambda fact: "\x1e" + journal_json_untimed(fact),
    "journal fields": lambda fact: json.dumps(
        {
            "__REALTIME_TIMESTAMP": str(fact[0]),
            "MESSAGE": f"error receiving {fact[1]}",
            "F_ERROR": f"channel lagged by {fact[2]}",
            "TARGET": TARGET,
        }
    ),
    "goes on": lambda fact: f"{full(fact)}; reading on",
    "log4rs": lambda fact: f"{stamp(fact[0])} ERROR {TARGET} - {message(fact)}",
}
UNTIMED: dict[str, Callable[[Fact], str]] = {
    "plain": lambda fact: f"ERROR {TARGET}: {message(fact)}",
    "uptime": lambda fact: f"{uptime(fact[0] - START + 3 * 10**6):>14}s ERROR {TARGET}: {message(fact)}",
    "uptime of years": lambda fact: f"{uptime(fact[0] - START + 2 * 10**14)}s ERROR {TARGET}: {message(fact)}",
}


def text(form: Callable[[Fact], str], made: Sequence[Fact], feed: str = "\n") -> bytes:
    """A whole log."""
    return "".join(form(fact) + feed for fact in made).encode()
