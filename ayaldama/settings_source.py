"""Read ``Settings`` from a TOML file and the environment, and say where each value came from.

The environment wins over the file, the command line over both. Every mistake is an error that names the key: an
unknown one is answered with the nearest known, a wrong value with the rule that it breaks.
"""

import difflib
import os
import re
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from ayaldama.settings import Section, Settings, read_path

PREFIX: Final = "AYALDAMA_"
DEFAULT_FILE: Final = Path("ayaldama.toml")
NOT_SETTINGS: Final = frozenset({"AYALDAMA_SETTINGS", "AYALDAMA_CHROMIUM"})  # ours, but read elsewhere


class SettingsError(ValueError):
    """A setting cannot be taken: which one, from where, what it is and what it must be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key that can be set."""

    name: str  # dotted: intake.ports.wialon_ips
    kind: Any
    description: str
    default: object
    is_secret: bool = False

    @property
    def variable(self) -> str:
        """Return the environment variable that sets it."""
        return PREFIX + self.name.upper().replace(".", "__")


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A value somebody gave, and where."""

    value: object
    source: str
    is_text: bool = False  # from the environment or the command line: numbers come as text


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """One key as it is in force."""

    key: Key
    value: object
    source: str

    @property
    def shown(self) -> object:
        """Return the value as it may be shown."""
        return masked(self.value, self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Settings, and for each key where its value came from."""

    settings: Settings
    in_force: tuple[InForce, ...]


def read_settings(
    file: Path | None = None,
    *,
    environment: Mapping[str, str] = os.environ,
    command_line: Mapping[str, object] | None = None,
) -> Reading:
    """Return what is in force. ``command_line``: dotted key → value, None where the option was not given.

    Raises:
        SettingsError: at the first mistake.
    """
    keys = {key.name: key for key in known_keys()}
    given: dict[str, Given] = {}
    path = file or _named_file(environment)
    if path is not None:
        given.update(_from_file(path, keys))
    given.update(_from_environment(environment, keys))
    for name, value in (command_line or {}).items():
        if value is not None:
            given[name] = Given(value=value, source="command line", is_text=isinstance(value, str))
    values = {name: _converted(keys[name], one) for name, one in given.items()}
    settings = msgspec.convert(_nested(values), Settings, dec_hook=_keep_path)
    return Reading(
        settings=settings,
        in_force=tuple(
            InForce(
                key=key,
                value=values.get(name, key.default),
                source=given[name].source if name in given else "default",
            )
            for name, key in keys.items()
        ),
    )


def known_keys() -> Iterator[Key]:
    """Return every key, in the order of the settings."""
    return _keys_of(Settings, "")


def masked(value: object, key: Key | None = None) -> object:
    """Return ``value`` as it may be shown: no secret, no password of a URL."""
    if key is not None and key.is_secret and value:
        return "***"
    if isinstance(value, str):
        return re.sub(r"(?<=://)([^/@]*):[^/@]*@", r"\1:***@", value)
    return str(value) if isinstance(value, Path) else value


def rule_of(kind: Any) -> str:
    """Say in words what a value of type ``kind`` must be."""
    origin = typing.get_origin(kind)
    if origin is Annotated:
        base, *notes = typing.get_args(kind)
        limits = [limit for note in notes if isinstance(note, msgspec.Meta) for limit in _limits(note)]
        return " ".join([rule_of(base), *limits])
    if origin is Literal:
        choices = typing.get_args(kind)
        return f"one of {', '.join(choices)}" if len(choices) > 1 else f"`{choices[0]}`"
    if origin in (types.UnionType, typing.Union):
        return " or ".join(rule_of(part) for part in typing.get_args(kind))
    return {str: "text", int: "a whole number", float: "a number", bool: "true or false", Path: "a path"}.get(
        kind, "empty"
    )


def _limits(note: msgspec.Meta) -> Iterator[str]:
    if note.ge is not None and note.le is not None:
        yield f"from {note.ge} to {note.le}"
    elif note.ge is not None:
        yield f"of at least {note.ge}"
    if note.gt is not None:
        yield f"above {note.gt}" + (f", at most {note.le}" if note.le is not None else "")
    if note.pattern is not None:
        yield f"of the form {note.pattern}"


def _keys_of(section: type[Section], prefix: str) -> Iterator[Key]:
    for field in msgspec.structs.fields(section):
        if isinstance(field.type, type) and issubclass(field.type, Section):
            yield from _keys_of(field.type, f"{prefix}{field.name}.")
        else:
            yield Key(
                name=prefix + field.name,
                kind=field.type,
                description=_description(field.type),
                default=field.default,
                is_secret=any((note.extra or {}).get("secret") for note in _notes(field.type)),
            )


def _description(kind: Any) -> str:
    return next((note.description for note in _notes(kind) if note.description), "")


def _notes(kind: Any) -> list[msgspec.Meta]:
    if typing.get_origin(kind) is not Annotated:
        return []
    return [note for note in kind.__metadata__ if isinstance(note, msgspec.Meta)]


def _named_file(environment: Mapping[str, str]) -> Path | None:
    named = environment.get("AYALDAMA_SETTINGS")
    if named:
        return Path(named)
    return DEFAULT_FILE if DEFAULT_FILE.is_file() else None


def _from_file(path: Path, keys: Mapping[str, Key]) -> Iterator[tuple[str, Given]]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SettingsError(f"{path}: there is no such settings file") from error
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from error
    for name, value in _flat(tables, "", keys, str(path)):
        found = value
        if isinstance(value, str) and value and _takes_path(keys[name].kind):
            found = str(path.parent / Path(value).expanduser())  # as seen from the file
        yield name, Given(value=found, source=str(path))


def _flat(table: Mapping[str, Any], prefix: str, keys: Mapping[str, Key], source: str) -> Iterator[tuple[str, object]]:
    for name, value in table.items():
        dotted = prefix + name
        is_section = any(key.startswith(f"{dotted}.") for key in keys)
        if is_section and isinstance(value, Mapping):
            yield from _flat(value, f"{dotted}.", keys, source)
        elif is_section:
            raise SettingsError(f"{source}: {dotted}: {value!r} must be a table of keys: [{dotted}]")
        elif dotted in keys:
            yield dotted, value
        else:
            sections = {key.rpartition(".")[0] for key in keys} - {""}
            raise SettingsError(f"{source}: {dotted}: no such setting{_nearest(dotted, [*keys, *sections])}")


def _from_environment(environment: Mapping[str, str], keys: Mapping[str, Key]) -> Iterator[tuple[str, Given]]:
    by_variable = {key.variable: name for name, key in keys.items()}
    for variable, value in environment.items():
        if not variable.startswith(PREFIX) or variable in NOT_SETTINGS:
            continue
        if variable not in by_variable:
            raise SettingsError(f"environment: {variable}: no such setting{_nearest(variable, list(by_variable))}")
        yield by_variable[variable], Given(value=value, source=f"environment: {variable}", is_text=True)


def _converted(key: Key, given: Given) -> object:
    value = given.value
    if value == "" and _takes_none(key.kind):
        return None
    if isinstance(value, str | Path) and _takes_path(key.kind):
        return Path(value).expanduser()
    try:
        return msgspec.convert(value, key.kind, strict=not given.is_text, dec_hook=read_path)
    except msgspec.ValidationError as error:
        raise SettingsError(
            f"{given.source}: {key.name}: {masked(value, key)!r} must be {rule_of(key.kind)}"
        ) from error


def _takes_path(kind: Any) -> bool:
    return Path in (kind, *typing.get_args(kind)) or any(_takes_path(part) for part in typing.get_args(kind))


def _takes_none(kind: Any) -> bool:
    return type(None) in typing.get_args(kind) or any(_takes_none(part) for part in typing.get_args(kind))


def _nested(values: Mapping[str, object]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, value in values.items():
        *sections, last = name.split(".")
        table = tree
        for section in sections:
            table = table.setdefault(section, {})
        table[last] = value
    return tree


def _keep_path(kind: type, value: Any) -> Any:
    return value if isinstance(value, Path) else read_path(kind, value)


def _nearest(name: str, known: list[str]) -> str:
    without_prefix = {one.removeprefix(PREFIX): one for one in known}
    close = difflib.get_close_matches(name.removeprefix(PREFIX), without_prefix, n=1, cutoff=0.6)
    return (
        f"; did you mean {without_prefix[close[0]]}?"
        if close
        else "; see docs/settings.md or `ayaldama config` for all"
    )
