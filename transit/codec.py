"""What the bytes in Redis mean: MessagePack of the structs in ``model``, each value led by one schema byte.

``SCHEMA`` grows when a reader of the last version could misread; a value of another schema raises ``SchemaError``, and
its reader says so instead of guessing.
"""

from collections.abc import Sequence
from typing import Final, TypeVar

import msgspec

from transit.model import Arrival, Detour, PositionReport, Update, VehiclePosition
from transit.notices import Alert, Cancellation

SCHEMA: Final = b"\x01"

_encoder: Final = msgspec.msgpack.Encoder()
_reports: Final = msgspec.msgpack.Decoder(list[PositionReport])
_update: Final = msgspec.msgpack.Decoder(Update)
_vehicle: Final = msgspec.msgpack.Decoder(VehiclePosition)
_arrival: Final = msgspec.msgpack.Decoder(Arrival)
_detour: Final = msgspec.msgpack.Decoder(Detour)
_alert: Final = msgspec.msgpack.Decoder(Alert)
_cancellation: Final = msgspec.msgpack.Decoder(Cancellation)

Value = TypeVar("Value")


class SchemaError(ValueError):
    """Bytes in Redis are of another schema or broken; ``found`` is the schema byte."""

    def __init__(self, found: bytes, reason: str) -> None:
        super().__init__(f"codec: schema {SCHEMA.hex()} expected, found {found.hex() or 'nothing'}: {reason}")
        self.found = found


def encode_reports(reports: Sequence[PositionReport]) -> bytes:
    """Return one stream entry's worth of reports."""
    return SCHEMA + _encoder.encode(reports)


def decode_reports(data: bytes) -> list[PositionReport]:
    """Return the reports of one stream entry."""
    return _decode(_reports, data)


def encode_update(update: Update) -> bytes:
    """Return one entry of the change feed."""
    return SCHEMA + _encoder.encode(update)


def decode_update(data: bytes) -> Update:
    """Return the update of one entry of the change feed."""
    return _decode(_update, data)


def encode_vehicle(vehicle: VehiclePosition) -> bytes:
    """Return the value of a vehicle in the vehicles hash."""
    return SCHEMA + _encoder.encode(vehicle)


def decode_vehicle(data: bytes) -> VehiclePosition:
    """Return a vehicle of the vehicles hash."""
    return _decode(_vehicle, data)


def encode_arrival(arrival: Arrival) -> bytes:
    """Return the value of an arrival in a stop's hash."""
    return SCHEMA + _encoder.encode(arrival)


def decode_arrival(data: bytes) -> Arrival:
    """Return an arrival of a stop's hash."""
    return _decode(_arrival, data)


def encode_detour(detour: Detour) -> bytes:
    """Return the value of a detour in the detours hash."""
    return SCHEMA + _encoder.encode(detour)


def decode_detour(data: bytes) -> Detour:
    """Return a detour of the detours hash."""
    return _decode(_detour, data)


def encode_alert(alert: Alert) -> bytes:
    """Return the value of an alert in the alerts hash."""
    return SCHEMA + _encoder.encode(alert)


def decode_alert(data: bytes) -> Alert:
    """Return an alert of the alerts hash."""
    return _decode(_alert, data)


def encode_cancellation(cancellation: Cancellation) -> bytes:
    """Return the value of a cancellation in its hash."""
    return SCHEMA + _encoder.encode(cancellation)


def decode_cancellation(data: bytes) -> Cancellation:
    """Return a cancellation of its hash."""
    return _decode(_cancellation, data)


def _decode(decoder: "msgspec.msgpack.Decoder[Value]", data: bytes) -> Value:
    if data[:1] != SCHEMA:
        raise SchemaError(data[:1], "another version wrote it")
    try:
        return decoder.decode(memoryview(data)[1:])
    except msgspec.MsgspecError as error:
        raise SchemaError(data[:1], str(error)) from error
