"""Where the sample logs are, and single lines of every kind."""

from pathlib import Path

SAMPLES = Path(__file__).parents[2] / "sample_logs"
TRACING = {
    "tracing-full.log": "full",
    "tracing-full-ansi.log": "full",
    "tracing-local.log": "full",
    "tracing-compact.log": "compact",
    "tracing-pretty.log": "pretty",
    "tracing-json.log": "json",
    "tracing-notime.log": "plain",
}

T = "2025-05-14T14:39:45.999162Z"
E = f"{T} ERROR artemis_core::engine: "

COUNTED = {
    "artemis": E + "error receiving event: channel lagged by 77",
    "debug form": E + "error receiving event: Lagged(77)",
    "result": E + "recv failed: Err(Lagged(77))",
    "path": E + "recv failed: RecvError::Lagged(77)",
    "stream wrapper": f"{T}  WARN reth::cli: Canonical state notification stream lagged, skipped 77 messages",
    "field": f"{T}  WARN reth::cli: Canonical state notification stream lagged skipped=77",
    "BroadcastStream": f"{T}  WARN bot: BroadcastStream lagged: Lagged(77)",
    "receiver": f"{T}  WARN bot::ws: receiver lagged by 77 events",
    "fields behind": E + 'error receiving event: channel lagged by 77 attempt=3 peer="10.0.0.1"',
    "quoted error": E + 'error receiving event error="channel lagged by 77"',
    "said twice": E + 'error receiving event: channel lagged by 77 error="Lagged(77)"',
    "goes on, comma": E + "error receiving event: channel lagged by 77, reading on",
    "goes on, semicolon": E + "channel lagged by 77; resyncing",
    "goes on, colon": E + "error receiving event: channel lagged by 77: retrying in 5 s",
    "goes on, dash": E + "[strategy] error receiving event: channel lagged by 77 - reading on",
    "goes on, brackets": E + "error receiving event: channel lagged by 77 (retry 3)",
    "no target": f"{T} ERROR error receiving event: channel lagged by 77",
    "no level": f"{T} artemis_core::engine: error receiving event: channel lagged by 77",
    "no header": "channel lagged by 77",
    "comma fraction": "2025-05-14 14:39:45,999 ERROR engine: channel lagged by 77",
    "no fraction": "2025-05-14T14:39:45Z ERROR engine: channel lagged by 77",
    "bad month": "2025-13-14T14:39:45Z ERROR engine: channel lagged by 77",
    "other prefix": f"supervisor[12] out> {E}error receiving event: channel lagged by 77",
    "invalid UTF-8": f'{T} ERROR s{{name="\udcff"}}: engine: channel lagged by 77'.encode(
        errors="surrogateescape"
    ).decode("latin-1"),
    "level in brackets": f"{T} [ERROR] artemis_core::engine: error receiving event: channel lagged by 77",
    "router's prefix": f"{T} app[web.1]: {E}error receiving event: channel lagged by 77",
    "json count as text": '{"timestamp":"2025-05-14T14:39:45.9Z","level":"WARN","fields":'
    '{"message":"stream lagged","skipped":"77"},"target":"reth::cli"}',
    "journal fields": '{"__REALTIME_TIMESTAMP":"1747233585999162","MESSAGE":"error receiving event",'
    '"F_ERROR":"channel lagged by 77","TARGET":"artemis_core::engine"}',
    "journal sequence": '\x1e{"__REALTIME_TIMESTAMP":"1747233585999162","MESSAGE":"ERROR a: channel lagged by 77"}',
    "link": f"\x1b]8;;http://x\x07{T}\x1b]8;;\x07 ERROR engine: channel lagged by 77",
    "terminal reset": f"{T} ERROR engine: channel lagged by 77\x1b(B\x1b[m",
    "json in kubectl": '[pod/a/b] {"timestamp":"2025-05-14T14:39:45.9Z","level":"ERROR","fields":'
    '{"message":"error receiving event","error":"Lagged(77)"},"target":"artemis_core::engine"}',
    "json count": '{"timestamp":"2025-05-14T14:39:45.9Z","level":"WARN","fields":'
    '{"message":"stream lagged","skipped":77},"target":"reth::cli"}',
    "wrapped json text": '{"message":"2025-05-14T14:39:45.9Z ERROR a::b: error receiving event: channel lagged by 77",'
    '"host":"bot1"}',
}

DECOYS = {
    "an oracle": f"{T}  WARN oracle::feed: oracle price lagged by 3 blocks",
    "another lag": f"{T}  WARN sync: node lagged by 77",
    "flags": f"{T}  INFO bot: flagged 77 borrowers, tagged 5",
    "a closed socket": f"{T}  INFO ws: connection closed",
    "another channel": f"{T}  INFO db: mpsc channel closed",
    "nothing": "",
}

NOT_COUNTED = {
    "quoted": f'{T}  INFO alert::discord: sent "error receiving event: channel lagged by 1333363"',
    "backquoted": f"{T}  INFO docs: `channel lagged by 5` means loss",
    "single quotes": f"{T}  INFO docs: 'channel lagged by 5' means loss",
    "retold": f"{T}  INFO alert::discord: sent: error receiving event: channel lagged by 1333363",
    "a whole line retold": f"{T}  INFO child: stderr: {E}error receiving event: channel lagged by 5",
    "another field": f'{T}  INFO status: still running last_error="channel lagged by 5"',
    "retold and goes on": f"{T}  INFO alert: paged for: error receiving event: channel lagged by 5, twice",
    "prose goes on": f"{T}  INFO bot: yesterday the channel lagged by 5, and nobody saw",
    "a query": f"{T}  INFO http: GET /search?q=channel lagged by 5",
    "journal field": '{"__REALTIME_TIMESTAMP":"1747233585999162","MESSAGE":"sent","F_BODY":"channel lagged by 5"}',
    "prose": f"{T}  INFO bot: yesterday the channel lagged by 5 and nobody saw",
    "json body": '{"timestamp":"2025-05-14T14:39:45.9Z","level":"INFO","fields":{"message":"alert sent",'
    '"body":"channel lagged by 5"},"target":"alert"}',
    "no number": E + "error receiving event: channel lagged by ",
    "number cut from word": E + "error receiving event: channel lagged",
    "too large": E + "error receiving event: channel lagged by 18446744073709551616",
    "absurdly long": E + "error receiving event: channel lagged by " + "9" * 5_000,
    "a fraction": E + "error receiving event: channel lagged by 5.5",
    "json cut": '{"timestamp":"2025-05-14T14:39:45.9Z","level":"ERROR","fields":{"message":"channel lagged by 5"',
    "zero bytes": E + "error receiving event: channel\0 lagged by 5",
}
