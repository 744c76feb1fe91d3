import pytest
from pydantic import SecretStr

from liqcli.config import HttpSettings, load_settings
from liqcli.errors import ConfigError, SecretError

TOKEN = "canary-token-0123456789"  # noqa: S105  a test's own


def test_the_token_comes_from_a_file_or_the_environment(tmp_path, monkeypatch):
    """Both ways give the same token; a line end in the file is none of it."""
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    assert HttpSettings(token_file=tmp_path / "token").secret() == TOKEN
    monkeypatch.setenv("LIQ_HTTP__TOKEN", TOKEN)
    assert load_settings({}).http.secret() == TOKEN
    assert HttpSettings().secret() is None


def test_no_print_of_the_settings_shows_the_token():
    """Neither its repr nor its JSON."""
    settings = HttpSettings(token=SecretStr(TOKEN))
    assert TOKEN not in repr(settings)
    assert TOKEN not in settings.model_dump_json()


@pytest.mark.parametrize("content", [None, "short", "", b"\xff\xfe" * 20])
def test_a_file_that_holds_no_token_is_a_named_error(tmp_path, content):
    """A missing, short or unreadable one never becomes no token at all, and is not echoed."""
    if content is not None:
        (tmp_path / "token").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SecretError, match="token in"):
        HttpSettings(token_file=tmp_path / "token").secret()


def test_a_short_token_in_the_environment_is_refused_without_being_shown(monkeypatch):
    """The error names the setting, not the value."""
    monkeypatch.setenv("LIQ_HTTP__TOKEN", "hunter2hunter2")
    with pytest.raises(ConfigError) as raised:
        load_settings({})
    assert "token" in str(raised.value)
    assert "hunter2" not in f"{raised.value} {raised.value.hint}"
