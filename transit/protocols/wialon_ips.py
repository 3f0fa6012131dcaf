r"""Wialon IPS 1.1 and 2.0 over TCP, the text protocol most trackers of the region can speak.

A packet is ``#TYPE#message\r\n``. Taken are L (sign-in), SD (short), D (extended), B (black box), P (ping) and M
(message from the driver: answered, not stored). The version is what L says: ``#L#imei;password`` is 1.1,
``#L#2.0;imei;password;crc`` is 2.0, whose packets end with CRC-16/ARC, in hexadecimal, of the text after ``#TYPE#`` up
to and with the last separator.

Source: Gurtam, "Wialon IPS communication protocol", v. 1.1 and v. 2.0 (10/2014): packet tables and answer codes;
v. 2.1 for fractions of a second. Where we differ on purpose:

* The specification lets the server stamp a packet without a time. We refuse it (answer 0): a position that is hours old
  must not move a live bus.
* A packet without a place ("NA") is answered as registered, since nothing of use is lost, and not stored.

Times are UTC; km/h become m/s. In D the text parameters ``route_id``, ``direction_id``, ``trip_id`` and ``block_id``
(``name:3:value``), which driver terminals can be set to send, say what the vehicle is doing; others are only checked.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Final

from fastcrc import crc16

from transit.model import UNKNOWN_DIRECTION
from transit.protocols._base import Decoded, Fix, FramingError, Refusal, SignIn, TcpProtocol, hint_of

NAME: Final = "wialon_ips"
FRAME_MAX: Final = 65_536  # a black box of about 600 records
SIGN_IN_MAX: Final = 1_024  # before sign-in a stranger may not make us keep more
SPEED_MAX_KMH: Final = 1_000.0
DIGITS_MAX: Final = 24  # of any number: longer ones are garbage
ID_MAX: Final = 64
KEY_MAX: Final = 128

_NA: Final = b"NA"
_KMH: Final = 1 / 3.6
_SHORT_FIELDS: Final = 10
_LONG_FIELDS: Final = 16
_SHORT_CODES: Final[Mapping[Refusal, bytes]] = {
    Refusal.STRUCTURE: b"-1",
    Refusal.NO_TIME: b"0",
    Refusal.BAD_TIME: b"0",
    Refusal.BAD_PLACE: b"10",
    Refusal.BAD_MOTION: b"11",
    Refusal.BAD_QUALITY: b"12",
    Refusal.CHECKSUM: b"13",
}
_LONG_CODES: Final[Mapping[Refusal, bytes]] = {
    **_SHORT_CODES,
    Refusal.BAD_INPUTS: b"13",
    Refusal.BAD_ANALOGUE: b"14",
    Refusal.BAD_PARAMETER: b"15",
    Refusal.CHECKSUM: b"16",
}
_SIGN_IN_CODES: Final[Mapping[Refusal, bytes]] = {Refusal.WRONG_KEY: b"01", Refusal.CHECKSUM: b"10"}


class _Refused(Exception):  # noqa: N818 - it is the answer to one record, caught in this module
    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal


class WialonIpsDecoder:
    """Decode one tracker's connection."""

    frame_max = FRAME_MAX

    def __init__(self) -> None:
        self._rest = b""
        self._taken = 0  # bytes before ``_rest``, for error messages
        self._skip = 0  # bytes of a picture still to come
        self._checked = False  # version 2.0: packets carry a CRC
        self._signed_in = False
        self._asking = False
        self._date = b""
        self._midnight_ms = 0
        self._fixes: list[Fix] = []
        self._reply: list[bytes] = []
        self._refused: list[Refusal] = []

    def feed(self, chunk: bytes, received_ms: int) -> Decoded:
        """Take bytes cut anywhere (see ``Decoder.feed``)."""
        del received_ms  # every packet brings its own time or is refused
        if self._asking:
            raise RuntimeError("a sign-in still waits for accept() or refuse()")
        self._rest = self._rest + chunk if self._rest else chunk
        return self._read()

    def accept(self) -> Decoded:
        """Answer ``#AL#1`` and go on with what came after the sign-in."""
        self._asking = False
        self._signed_in = True
        self._reply.append(b"#AL#1\r\n")
        return self._read()

    def refuse(self, reason: Refusal) -> Decoded:
        """Answer ``#AL#01`` to a wrong password, else ``#AL#0``; the tracker has to come again."""
        self._asking = False
        self._signed_in = False
        self._rest = b""
        self._reply.append(b"#AL#" + _SIGN_IN_CODES.get(reason, b"0") + b"\r\n")
        return self._decoded(close=True)

    def _read(self) -> Decoded:
        """Take whole packets from ``_rest`` until a sign-in stops us or none is left."""
        data = self._rest
        start = 0
        sign_in: SignIn | None = None
        close = False
        while sign_in is None and not close:
            if self._skip:
                skipped = min(self._skip, len(data) - start)
                self._skip -= skipped
                start += skipped
            end = data.find(b"\r\n", start)
            if end < 0:
                break
            packet = data[start:end]
            start = end + 2
            if not packet.startswith(b"#"):
                self._refused.append(Refusal.STRUCTURE)
                continue
            kind, _, message = packet[1:].partition(b"#")
            if kind == b"L":
                sign_in, close = self._read_sign_in(message)
            elif not self._signed_in:
                self._refused.append(Refusal.NO_SIGN_IN)
                close = True
            else:
                self._read_packet(kind, message)
        self._taken += start
        self._rest = b"" if close else data[start:]
        if sign_in is None and len(self._rest) > (self.frame_max if self._signed_in else SIGN_IN_MAX):
            self._rest = b""
            raise FramingError(NAME, self._taken, "no end of packet within the bound of one packet")
        return self._decoded(sign_in=sign_in, close=close)

    def _decoded(self, *, sign_in: SignIn | None = None, close: bool = False) -> Decoded:
        decoded = Decoded(
            fixes=self._fixes, reply=b"".join(self._reply), refused=self._refused, sign_in=sign_in, close=close
        )
        self._fixes, self._reply, self._refused = [], [], []
        return decoded

    def _read_sign_in(self, message: bytes) -> tuple[SignIn | None, bool]:
        """Return the sign-in, or None and whether to close."""
        fields = message.split(b";")
        self._signed_in = False
        self._checked = len(fields) > 2  # 1.1 has id and password; whatever has more must hold its checksum
        if self._checked:
            if _checked_text(message) is None:
                self._refused.append(Refusal.CHECKSUM)
                self._reply.append(b"#AL#10\r\n")
                return None, True
            fields = fields[1:-1] if fields[0].startswith(b"2.") else []
        device_id, key = fields if len(fields) == 2 else (b"", b"")
        if not 0 < len(device_id) <= ID_MAX or not device_id.isascii() or len(key) > KEY_MAX:
            self._refused.append(Refusal.STRUCTURE)
            self._reply.append(b"#AL#0\r\n")
            return None, True
        self._asking = True
        return SignIn(device_id=device_id.decode("ascii"), key=key.decode("utf-8", "replace")), False

    def _read_packet(self, kind: bytes, message: bytes) -> None:
        if kind == b"SD":
            self._read_data(b"#ASD#", message, _SHORT_FIELDS, _SHORT_CODES)
        elif kind == b"D":
            self._read_data(b"#AD#", message, _LONG_FIELDS, _LONG_CODES)
        elif kind == b"B":
            self._read_black_box(message)
        elif kind == b"P":
            self._reply.append(b"#AP#\r\n")
        elif kind == b"M":
            if self._checked and _checked_text(message) is None:
                self._refused.append(Refusal.CHECKSUM)
                self._reply.append(b"#AM#01\r\n")
            else:
                self._reply.append(b"#AM#1\r\n")
        elif kind == b"I":  # a picture: its bytes follow the packet and may look like packets
            size = message.partition(b";")[0]
            self._skip = int(size) if size.isdigit() and len(size) < 10 else 0
            self._refused.append(Refusal.UNSUPPORTED)
        else:
            self._refused.append(Refusal.UNSUPPORTED)

    def _read_data(self, answer: bytes, message: bytes, width: int, codes: Mapping[Refusal, bytes]) -> None:
        try:
            self._take(self._text_of(message), (width,), archived=False)
        except _Refused as refused:
            self._refused.append(refused.refusal)
            self._reply.append(answer + codes[refused.refusal] + b"\r\n")
        else:
            self._reply.append(answer + b"1\r\n")

    def _read_black_box(self, message: bytes) -> None:
        """Take what can be taken and answer how many records; a broken checksum is answered without a number."""
        try:
            text = self._text_of(message)
        except _Refused as refused:
            self._refused.append(refused.refusal)
            self._reply.append(b"#AB#\r\n")
            return
        registered = 0
        for record in text.split(b"|"):
            if not record:
                continue
            try:
                self._take(record, (_SHORT_FIELDS, _LONG_FIELDS), archived=True)
                registered += 1
            except _Refused as refused:
                self._refused.append(refused.refusal)
        self._reply.append(b"#AB#%d\r\n" % registered)

    def _text_of(self, message: bytes) -> bytes:
        """Return ``message`` without its CRC, which version 2.0 has."""
        if not self._checked:
            return message
        text = _checked_text(message)
        if text is None:
            raise _Refused(Refusal.CHECKSUM)
        return text

    def _take(self, record: bytes, widths: tuple[int, ...], *, archived: bool) -> None:
        fields = record.split(b";")
        if len(fields) not in widths:
            raise _Refused(Refusal.STRUCTURE)
        fix = self._fix_of(fields, archived=archived)
        if fix is None:
            self._refused.append(Refusal.NO_PLACE)
        else:
            self._fixes.append(fix)

    def _fix_of(self, fields: list[bytes], *, archived: bool) -> Fix | None:
        """Return the fix of a record, None when it has no place; refusals in the order of the fields."""
        date, time, lat, north, lon, east, speed, course, altitude, satellites = fields[:_SHORT_FIELDS]
        if lat == _NA and lon == _NA:
            return None
        fix_ms = self._time_ms(date, time)
        lat_deg = _degrees(lat, 90.0)
        if north == b"S":
            lat_deg = -lat_deg
        elif north != b"N":
            raise _Refused(Refusal.BAD_PLACE)
        lon_deg = _degrees(lon, 180.0)
        if east == b"W":
            lon_deg = -lon_deg
        elif east != b"E":
            raise _Refused(Refusal.BAD_PLACE)
        speed_kmh = _number(speed, Refusal.BAD_MOTION)
        course_deg = _number(course, Refusal.BAD_MOTION)
        _number(altitude.removeprefix(b"-"), Refusal.BAD_MOTION)
        _number(satellites, Refusal.BAD_QUALITY)
        if (speed_kmh is not None and speed_kmh > SPEED_MAX_KMH) or (course_deg is not None and course_deg > 360.0):
            raise _Refused(Refusal.BAD_MOTION)
        hints = _hints(fields) if len(fields) == _LONG_FIELDS else None
        return Fix(
            fix_ms=fix_ms,
            lat=lat_deg,
            lon=lon_deg,
            speed_mps=None if speed_kmh is None else speed_kmh * _KMH,
            heading_deg=None if course_deg is None else course_deg % 360.0,
            archived=archived,
            trip_id=hints["trip_id"] if hints else "",
            block_id=hints["block_id"] if hints else "",
            route_id=hints["route_id"] if hints else "",
            direction_id=_direction(hints["direction_id"]) if hints else UNKNOWN_DIRECTION,
        )

    def _time_ms(self, date: bytes, time: bytes) -> int:
        """Return UTC milliseconds of ``DDMMYY`` and ``HHMMSS[.fraction]``; the last date is remembered."""
        if _NA in (date, time):
            raise _Refused(Refusal.NO_TIME)
        if date != self._date:
            self._midnight_ms = _midnight_ms(date)
            self._date = date
        whole, point, fraction = time.partition(b".")
        if len(whole) != 6 or not whole.isdigit() or (point and not (fraction.isdigit() and len(fraction) < 10)):
            raise _Refused(Refusal.BAD_TIME)
        clock = int(whole)
        hours, rest = divmod(clock, 10_000)
        minutes, seconds = divmod(rest, 100)
        if hours > 23 or minutes > 59 or seconds > 60:  # 60: a leap second
            raise _Refused(Refusal.BAD_TIME)
        fix_ms = self._midnight_ms + hours * 3_600_000 + minutes * 60_000 + seconds * 1_000
        return fix_ms + int(float(b"0." + fraction) * 1_000) if point else fix_ms


def _midnight_ms(date: bytes) -> int:
    if len(date) != 6 or not date.isdigit():
        raise _Refused(Refusal.BAD_TIME)
    try:
        day = dt.datetime(2000 + int(date[4:]), int(date[2:4]), int(date[:2]), tzinfo=dt.UTC)
    except ValueError:
        raise _Refused(Refusal.BAD_TIME) from None
    return int(day.timestamp()) * 1_000


def _degrees(field: bytes, limit: float) -> float:
    """Return degrees of ``DDMM.mmmm``: hundreds are degrees, the rest minutes."""
    if not field.replace(b".", b"", 1).isdigit() or len(field) > DIGITS_MAX:
        raise _Refused(Refusal.BAD_PLACE)
    degrees, minutes = divmod(float(field), 100.0)
    place = degrees + minutes / 60.0
    if minutes >= 60.0 or place > limit:
        raise _Refused(Refusal.BAD_PLACE)
    return place


def _number(field: bytes, otherwise: Refusal) -> float | None:
    """Return a number that is not negative, None for "NA" (and for an empty field, which some trackers send)."""
    if field == _NA or not field:
        return None
    if not field.replace(b".", b"", 1).isdigit() or len(field) > DIGITS_MAX:
        raise _Refused(otherwise)
    return float(field)


def _hints(fields: list[bytes]) -> dict[str, str] | None:
    """Check fields 11 to 16 of an extended packet; return what its parameters say of trip, block and route."""
    hdop, inputs, outputs, analogue, _ibutton, parameters = fields[_SHORT_FIELDS:]
    _number(hdop, Refusal.BAD_QUALITY)
    _number(inputs, Refusal.BAD_INPUTS)
    _number(outputs, Refusal.BAD_INPUTS)
    if analogue and analogue != _NA:
        for value in analogue.split(b","):
            _number(value.removeprefix(b"-"), Refusal.BAD_ANALOGUE)
    if not parameters or parameters == _NA:
        return None
    hints: dict[str, str] | None = None
    for parameter in parameters.rstrip(b",").split(b","):
        name, _, typed = parameter.partition(b":")
        kind, colon, value = typed.partition(b":")
        if not (name and colon and kind.isdigit()):
            raise _Refused(Refusal.BAD_PARAMETER)
        if name.endswith(b"_id") and name in _HINTS:
            hints = hints or {"trip_id": "", "block_id": "", "route_id": "", "direction_id": ""}
            hints[name.decode("ascii")] = hint_of(value.decode("utf-8", "replace"))
    return hints


_HINTS: Final = frozenset((b"trip_id", b"block_id", b"route_id", b"direction_id"))


def _direction(text: str) -> int:
    return int(text) if text in ("0", "1") else UNKNOWN_DIRECTION


def _checked_text(message: bytes) -> bytes | None:
    """Return ``message`` without its CRC and the separator before it; None if the CRC is not that of the text."""
    at = max(message.rfind(b";"), message.rfind(b"|")) + 1
    printed = message[at:]
    if not 1 <= len(printed) <= 6 or not printed.isalnum():  # some write 0x before the four digits
        return None
    try:
        held = int(printed, 16) == crc16.arc(message[:at])
    except ValueError:
        return None
    return message[: at - 1] if held else None


PROTOCOL = TcpProtocol(name=NAME, default_port=20332, new_decoder=WialonIpsDecoder)
