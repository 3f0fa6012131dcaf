"""GPS protocols as sans-I/O decoders, one per file, found by file name."""

from collections.abc import Mapping

from commons import plugins
from transit.protocols._base import GpsProtocol


def discover() -> Mapping[str, GpsProtocol]:
    """Return every protocol of this package by name, read-only."""
    return plugins.discover(__name__, "PROTOCOL", GpsProtocol)
