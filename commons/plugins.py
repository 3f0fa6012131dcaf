"""Plug-ins by file name: each module of a package that does not begin with ``_`` holds one constant."""

import importlib
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeVar

Kind = TypeVar("Kind")


def discover(package: str, constant: str, kind: type[Kind]) -> Mapping[str, Kind]:
    """Return the constant of each plug-in module of ``package``, keyed by module name, read-only.

    Raises:
        TypeError: if a module lacks the constant or holds another type; the message says what to write.
    """
    found: dict[str, Kind] = {}
    parent = importlib.import_module(package)
    for info in pkgutil.iter_modules(parent.__path__):
        if info.name.startswith("_"):
            continue
        module = importlib.import_module(f"{package}.{info.name}")
        value = getattr(module, constant, None)
        if not isinstance(value, kind):
            raise TypeError(f"{module.__name__} must define {constant} = {kind.__name__}(...), it has {value!r}")
        found[info.name] = value
    return MappingProxyType(found)
