"""Layers of settings: where each value comes from, and every mistake in them told with its place and its cure."""

import difflib
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard, TypeVar, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, EnvSettingsSource, InitSettingsSource, PydanticBaseSettingsSource

from liqcli.errors import ConfigError
from liqcli.text import safe, shown_url, without_keys

_Model = TypeVar("_Model", bound=BaseSettings)
Key = tuple[str, ...]
"""A setting's name, part by part: ("rpc", "url")."""

_UNKNOWN = "extra_forbidden"
_NO_SECTION = {"model_type", "model_attributes_type", "dict_type"}
_SECRETS = {("token",)}
_SHOWN_CHARS = 80
_SHOWN_LIST_CHARS = 400
_SEE = "see docs/settings.md"
_KEY_PART = re.compile(r'"([^"]*)"|\'([^\']*)\'|([A-Za-z0-9_-]+)')


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: the setting, where it was set (`liq.toml:4`, a variable, `command line`), and what is wrong.

    A key that was put there is not repeated.
    """

    key: str
    place: str
    message: str
    hint: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", without_keys(self.message))


class WrongSettings(ConfigError):
    """Every mistake in the settings, a line for each; the hint is the first one's."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(problem.message for problem in problems), hint=problems[0].hint)
        self.problems = tuple(problems)

    @property
    def code(self) -> str:
        """The same identifier as its parent's: a script need not tell them apart."""
        return "config_error"


class Layers:
    """The command line's flags over the environment's variables over files, the first of them above the others."""

    def __init__(self, flags: Mapping[str, Any], variables: Mapping[str, str], paths: Iterable[Path]) -> None:
        self.flags = _without_none(flags)
        self.variables = variables
        self.broken: list[Problem] = []
        self._texts = {path: self._read(path) for path in paths}
        self.files = {path: self._parsed(path, text) for path, text in self._texts.items()}

    def settings(self, model: type[_Model], *, preset: Mapping[str, Any]) -> tuple[_Model | None, list[Problem]]:
        """The merged settings over a preset, or what is wrong with their values."""
        above, below = [self.flags], [*self.files.values(), dict(preset)]
        no_lists = list(self._no_lists(model))
        known = {variable_of(key, "LIQ_") for key in names(model)} - {problem.place for problem in no_lists}
        variables = {name.lower(): value for name, value in self.variables.items() if name in known}

        class Layered(model):  # type: ignore[valid-type, misc]  # the model comes from above
            @classmethod
            def settings_customise_sources(
                cls,
                settings_cls: type[BaseSettings],
                init_settings: PydanticBaseSettingsSource,  # noqa: ARG003  pydantic-settings passes all of them
                env_settings: PydanticBaseSettingsSource,
                dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  no implicit .env
                file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  no secrets in settings
            ) -> tuple[PydanticBaseSettingsSource, ...]:
                def layers(contents: list[Any]) -> list[PydanticBaseSettingsSource]:
                    return [InitSettingsSource(settings_cls, content) for content in contents]

                if isinstance(env_settings, EnvSettingsSource):  # the others are told of: one would hide every mistake
                    env_settings.env_vars = variables
                return (*layers(above), env_settings, *layers(below))

        try:
            return Layered(), no_lists
        except ValidationError as err:
            return None, no_lists + [self._told(error) for error in err.errors() if error["type"] != _UNKNOWN]

    def unknown(self, model: type[BaseModel], *, env_prefix: str, ignored: set[str]) -> list[Problem]:
        """Keys that no setting has, each with the nearest known one."""
        known = set(names(model))
        return [
            *self._unknown_variables(known, env_prefix, ignored),
            *self._unknown_keys(known | set(_sections(model))),
        ]

    def word(self, name: str) -> str | None:
        """What the topmost layer that sets a plain setting says; None when none does, or what it says is no text."""
        variable = variable_of((name,), "LIQ_")
        set_outside = {name: self.variables[variable]} if variable in self.variables else {}
        found = next((layer[name] for layer in (self.flags, set_outside, *self.files.values()) if name in layer), None)
        return found if isinstance(found, str) else None

    def origin(self, key: Key, *, env_prefix: str = "LIQ_") -> str:
        """Where a setting, or the first of a section, was set: command line, variable, `FILE:LINE`, `` when nowhere."""
        if any(leaf[: len(key)] == key for leaf in leaves(self.flags)):
            return "command line"
        variable = variable_of(key, env_prefix)
        for name in self.variables:
            if name == variable or name.startswith(f"{variable}__"):
                return name
        for path, content in self.files.items():
            if _sets(content, key):
                return f"{path}:{line_of(self._texts[path], key)}"
        return ""

    def _unknown_variables(self, known: set[Key], env_prefix: str, ignored: set[str]) -> Iterator[Problem]:
        variables = {variable_of(key, env_prefix) for key in known}
        for name in sorted(set(self.variables) - variables - ignored):
            message = f"unknown environment variable {name}"
            yield Problem("", name, message, suggest(name, variables, _SEE))

    def _unknown_keys(self, known: set[Key]) -> Iterator[Problem]:
        for path, content in self.files.items():
            for key in (key for key in leaves(content) if key not in known):
                depth = next((depth for depth in range(len(key)) if key[: depth + 1] not in known), len(key) - 1)
                siblings = {name[depth] for name in known if len(name) > depth and name[:depth] == key[:depth]}
                hint = suggest(key[depth], siblings)
                place, name = f"{path}:{line_of(self._texts[path], key)}", ".".join(key)
                yield Problem(name, place, f"unknown key `{safe(name, limit=_SHOWN_CHARS)}` in {place}", hint)

    def _no_lists(self, model: type[BaseModel]) -> Iterator[Problem]:
        for key in (key for key, annotation in _fields(model) if get_origin(annotation) is tuple):
            name = variable_of(key, "LIQ_")
            if name in self.variables and not _is_json(self.variables[name]):
                shown = shown_value(key, self.variables[name])
                message = f'{".".join(key)} "{shown}" ({name}): is no list'
                yield Problem(".".join(key), name, message, """write it as JSON:  '["one", "two"]'""")

    def _told(self, error: ErrorDetails) -> Problem:
        key = tuple(part for part in error["loc"] if isinstance(part, str))
        name, place = ".".join(key), self.origin(key) or "default"
        if error["type"] in _NO_SECTION:
            return Problem(name, place, f"{name} ({place}) is a section, not a value", f"its keys stand under [{name}]")
        message = error["msg"].removeprefix("Value error, ")
        value = "" if isinstance(error["input"], Mapping) else f' "{shown_value(key, error["input"])}"'
        return Problem(name, place, f"{name}{value} ({place}): {message}", _SEE)

    def _read(self, path: Path) -> str:
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as err:
            self.broken.append(_broken(path, f"cannot read {path} ({err})", "it must be a readable UTF-8 text file"))
            return ""

    def _parsed(self, path: Path, text: str) -> dict[str, Any]:
        try:
            return tomllib.loads(text)
        except (ValueError, RecursionError) as err:  # a number of 5,000 digits is a plain ValueError
            hint = 'a setting looks like  market = "hyperlend"'
            self.broken.append(_broken(path, f"{path} is not TOML: {safe(str(err), limit=200)}", hint))
            return {}


def names(model: type[BaseModel]) -> Iterator[Key]:
    """Every setting of a model, section by section."""
    return (key for key, _ in _fields(model))


def is_section(annotation: Any) -> TypeGuard[type[BaseModel]]:
    """Whether a field holds settings of its own."""
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def leaves(content: Mapping[str, Any], above: Key = ()) -> Iterator[Key]:
    """Every key of a nested mapping that holds a value, or an empty section."""
    for name, value in content.items():
        if value and isinstance(value, Mapping):
            yield from leaves(value, (*above, name))
        else:
            yield (*above, name)


def variable_of(key: Key, env_prefix: str) -> str:
    """The environment variable of a setting."""
    return env_prefix + "__".join(key).upper()


def shown_value(key: Key, value: Any) -> str:
    """A value as it may be shown: URLs carry keys, so of them only scheme and host; a token not at all."""
    if key[-1:] in _SECRETS:
        return "***"
    if isinstance(value, (list, tuple)):
        return f"[{safe(', '.join(_shown_plain(key, part) for part in value), limit=_SHOWN_LIST_CHARS)}]"
    return _shown_plain(key, value)


def _shown_plain(key: Key, value: Any) -> str:
    if isinstance(value, Mapping):
        return "{...}"
    if isinstance(value, (list, tuple)):
        return "[...]"
    if isinstance(value, str) and ("://" in value or any("url" in part for part in key)):
        return shown_url(value)
    return safe(str(value), limit=_SHOWN_CHARS)


def suggest(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """The known word that was likely meant, else what to do instead."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean {close[0]}?" if close else otherwise or f"known: {', '.join(sorted(known))}"


def line_of(text: str, key: Key) -> int:
    """The line a key stands on; else that of a part of its name, as before an inline table; a section's first line."""
    section: Key = ()
    found, matched = 0, 0
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if stripped.startswith("["):
            here = section = _parts(stripped.strip("[").partition("]")[0])
        elif "=" in stripped and not stripped.startswith("#"):
            here = (*section, *_parts(stripped.partition("=")[0]))
        else:
            continue
        if len(here) > matched and key[: len(here)] == here:
            found, matched = number, len(here)
        elif not found and here[: len(key)] == key:
            found = number
    return found


def _fields(model: type[BaseModel], above: Key = ()) -> Iterator[tuple[Key, Any]]:
    for name, field in model.model_fields.items():
        if is_section(field.annotation):
            yield from _fields(field.annotation, (*above, name))
        else:
            yield (*above, name), field.annotation


def _sections(model: type[BaseModel], above: Key = ()) -> Iterator[Key]:
    for name, field in model.model_fields.items():
        if is_section(field.annotation):
            yield (*above, name)
            yield from _sections(field.annotation, (*above, name))


def _sets(content: Any, key: Key) -> bool:
    """Whether a file sets a key, or gives a plain value in place of a section above it."""
    for part in key:
        if not isinstance(content, Mapping):
            return True
        if part not in content:
            return False
        content = content[part]
    return True


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _parts(text: str) -> Key:
    return tuple(next(filter(None, groups), "") for groups in _KEY_PART.findall(text))


def _without_none(flags: Mapping[str, Any]) -> dict[str, Any]:
    nested = {key: _without_none(value) if isinstance(value, Mapping) else value for key, value in flags.items()}
    return {key: value for key, value in nested.items() if value is not None and value != {}}


def _broken(path: Path, message: str, hint: str) -> Problem:
    return Problem("", str(path), message, hint)
