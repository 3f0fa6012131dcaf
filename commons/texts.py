"""Texts shown to people, by language, from one TOML catalogue per language beside the room that shows them.

A key that one language lacks is an error when the catalogue is loaded, not a hole on a board.
"""

import importlib.resources
import tomllib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

Language = Literal["kk", "ru", "en"]
LANGUAGES: tuple[Language, ...] = get_args(Language)

Catalogue = Mapping[Language, Mapping[str, str]]


def load_catalogue(package: str) -> Catalogue:
    """Return the texts of ``package``: language → dotted key → text, read from its ``texts/{kk,ru,en}.toml``.

    Raises:
        ValueError: if a key is missing in one of the languages.
    """
    folder = importlib.resources.files(package) / "texts"
    by_language: dict[Language, Mapping[str, str]] = {}
    for language in LANGUAGES:
        table = tomllib.loads((folder / f"{language}.toml").read_text(encoding="utf-8"))
        by_language[language] = MappingProxyType(dict(_flat(table, "")))
    keys = set().union(*by_language.values())
    for language, texts in by_language.items():
        missing = sorted(keys - texts.keys())
        if missing:
            raise ValueError(f"{package}/texts/{language}.toml lacks {', '.join(missing)}")
    return MappingProxyType(by_language)


def _flat(table: Mapping[str, object], prefix: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, value in table.items():
        if isinstance(value, Mapping):
            found.extend(_flat(value, f"{prefix}{key}."))
        else:
            found.append((prefix + key, str(value)))
    return found
