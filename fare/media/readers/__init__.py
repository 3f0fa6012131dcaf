"""Readers of media, one medium per file with its constant ``MEDIUM``, found by file name."""

from collections.abc import Mapping

from commons import plugins
from fare.media._base import Medium


def discover() -> Mapping[str, Medium]:
    """Return every medium of this package by name, read-only."""
    return plugins.discover(__name__, "MEDIUM", Medium)
