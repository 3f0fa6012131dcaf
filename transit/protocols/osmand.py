"""OsmAnd and Traccar Client over HTTP: the protocol a telephone speaks.

Two forms are taken. Query or form fields, by GET or POST: ``id`` or ``deviceid``, ``key``, ``lat`` and ``lon`` or
``location=lat,lon``, ``timestamp`` (epoch seconds or milliseconds, ISO 8601, or ``YYYY-MM-DD HH:MM:SS``, UTC where no
zone is given), ``speed`` (knots), ``bearing`` or ``heading`` (degrees), ``valid``. And the JSON body that Traccar
Client sends since version 9: ``{"device_id": …, "location": {"timestamp": …, "coords": {…}}}``, speed in m/s and -1 for
unknown, where ``location`` or the whole body may be a list. ``accuracy``, ``hdop``, ``altitude``, ``batt`` and others
are left.

Source: traccar.org/osmand (both forms), Transistor background-geolocation location schema (the JSON's values).
Where we differ on purpose: a fix without a time is refused, never stamped with ours, and a device needs its key: in
``key``, as the password of HTTP Basic, or as a Bearer token. An unknown device and a wrong key get the same 401, so
that nobody can ask which devices exist (Traccar answers 400 to an unknown device and knows no key); clients of the
field take any answer but 2xx as "keep it and try again".

``route_id``, ``direction_id``, ``trip_id`` and ``block_id``, as fields or in the JSON's ``extras``, say what the
vehicle is doing.
"""

import base64
import datetime as dt
import math
import urllib.parse
from collections.abc import Mapping
from typing import Final

import msgspec

from transit.model import UNKNOWN_DIRECTION
from transit.protocols._base import Answer, BadRequest, Claim, Fix, HttpProtocol, Refusal, Request, SignIn, hint_of

NAME: Final = "osmand"
FIELDS_MAX: Final = 100
RECORDS_MAX: Final = 1_000
ID_MAX: Final = 64
KEY_MAX: Final = 128
SPEED_MAX_MPS: Final = 1_000 / 3.6
FIRST_MS: Final = 946_684_800_000  # 2000-01-01: no tracker of ours is older
LAST_MS: Final = 4_102_444_800_000  # 2100-01-01
SECONDS_BELOW: Final = 1e11  # a bare number below is seconds, from there on milliseconds

_KNOT: Final = 1_852 / 3_600
_TIME_RULE: Final = "must be epoch seconds or milliseconds, ISO 8601, or YYYY-MM-DD HH:MM:SS"
_SHOWN_MAX: Final = 40


class _Coords(msgspec.Struct):
    latitude: float
    longitude: float
    speed: float | None = None
    heading: float | None = None


class _Location(msgspec.Struct):
    coords: _Coords | None = None
    timestamp: str | float | None = None
    extras: dict[str, msgspec.Raw] = {}


class _Message(msgspec.Struct):
    device_id: str | int = ""
    location: _Location | list[_Location] = []
    key: str = ""


_json: Final = msgspec.json.Decoder(_Message | list[_Message])
_text: Final = msgspec.json.Decoder(str | int)


class _Refused(Exception):  # noqa: N818 - it is the answer to one record, caught in this module
    def __init__(self, refusal: Refusal, field: str, value: object, rule: str) -> None:
        shown = repr(value) if len(repr(value)) <= _SHOWN_MAX else repr(value)[:_SHOWN_MAX] + "…"
        super().__init__(f"{field}: {shown} {rule}")
        self.refusal = refusal


class OsmAndDecoder:
    """Decode requests; each stands alone, so there is no state."""

    def read(self, request: Request) -> Claim | BadRequest:
        """Return who reports and what, or the 4xx answer that names field, value and rule."""
        if request.method not in ("GET", "POST"):
            allow = {"Allow": "GET, POST"}
            return BadRequest(
                refusal=Refusal.STRUCTURE, answer=Answer(status=405, text="use GET or POST", headers=allow)
            )
        try:
            fields = _pairs(request.query, "query")
            content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if content_type == "application/json" or request.body[:1] in (b"{", b"["):
                return _read_json(request, fields)
            if request.body:
                fields = fields | _pairs(request.body.decode("utf-8", "replace"), "form")
            return _read_fields(request, fields)
        except _Refused as refused:
            return BadRequest(refusal=refused.refusal, answer=Answer(status=400, text=str(refused)))

    def stored(self) -> Answer:
        """Return 200 without text, as Traccar does."""
        return Answer(status=200)

    def refused(self, reason: Refusal) -> Answer:
        """Return 401, 403 or 429."""
        if reason is Refusal.DISABLED_DEVICE:
            return Answer(status=403, text="this device is disabled")
        if reason is Refusal.TOO_MANY:
            return Answer(status=429, text="too many reports", headers={"Retry-After": "10"})
        challenge = {"WWW-Authenticate": 'Bearer realm="ayaldama"'}
        return Answer(status=401, text="unknown device or wrong key", headers=challenge)


def _read_fields(request: Request, fields: Mapping[str, str]) -> Claim:
    sign_in = _sign_in(fields.get("id") or fields.get("deviceid", ""), fields.get("key", ""), request)
    fix = _fix_of_fields(fields)
    if fix is None:
        return Claim(sign_in=sign_in, fixes=(), refused=(Refusal.NO_PLACE,))
    return Claim(sign_in=sign_in, fixes=(fix,))


def _read_json(request: Request, fields: Mapping[str, str]) -> Claim:
    """Take what can be taken of a batch; only a body of which nothing can be taken is an error."""
    try:
        body = _json.decode(request.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _Refused(Refusal.STRUCTURE, "body", request.body[:_SHOWN_MAX], f"is not taken: {error}") from None
    messages = body if isinstance(body, list) else [body]
    if not messages:
        raise _Refused(Refusal.STRUCTURE, "body", "[]", "must hold a message")
    who = {str(message.device_id) for message in messages}
    if len(who) > 1:
        raise _Refused(Refusal.STRUCTURE, "device_id", sorted(who), "must be one device in one request")
    key = fields.get("key") or messages[0].key
    sign_in = _sign_in(who.pop() or fields.get("id") or fields.get("deviceid", ""), key, request)
    locations = [
        location
        for message in messages
        for location in (message.location if isinstance(message.location, list) else [message.location])
    ]
    if len(locations) > RECORDS_MAX:
        raise _Refused(Refusal.STRUCTURE, "location", len(locations), f"must be at most {RECORDS_MAX} records")
    fixes: list[Fix] = []
    refusals: list[_Refused] = []
    without_place = 0
    for location in locations:
        try:
            fix = _fix_of_location(location)
        except _Refused as refused:
            refusals.append(refused)
        else:
            if fix is None:
                without_place += 1
            else:
                fixes.append(fix)
    if refusals and not fixes and not without_place:
        raise refusals[0]
    refused_records = [refused.refusal for refused in refusals] + [Refusal.NO_PLACE] * without_place
    return Claim(sign_in=sign_in, fixes=fixes, refused=refused_records)


def _pairs(encoded: str, what: str) -> dict[str, str]:
    try:
        return dict(urllib.parse.parse_qsl(encoded, keep_blank_values=True, max_num_fields=FIELDS_MAX))
    except ValueError:
        raise _Refused(Refusal.STRUCTURE, what, encoded, f"must have at most {FIELDS_MAX} fields") from None


def _sign_in(device_id: str, key: str, request: Request) -> SignIn:
    if not 0 < len(device_id) <= ID_MAX:
        raise _Refused(Refusal.STRUCTURE, "id", device_id, f"must be 1 to {ID_MAX} characters")
    key = key or _key_of_header(request.headers.get("authorization", ""))
    if len(key) > KEY_MAX:
        raise _Refused(Refusal.STRUCTURE, "key", "…", f"must be at most {KEY_MAX} characters")
    return SignIn(device_id=device_id, key=key)


def _key_of_header(authorization: str) -> str:
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode("utf-8").partition(":")[2]
        except ValueError:  # neither base64 nor UTF-8
            return ""
    return ""


def _fix_of_fields(fields: Mapping[str, str]) -> Fix | None:
    lat_text, lon_text = fields.get("lat", ""), fields.get("lon", "")
    if "location" in fields:
        lat_text, _, lon_text = fields["location"].partition(",")
    if (not lat_text and not lon_text) or fields.get("valid", "").lower() in ("0", "false"):
        return None
    speed = _optional("speed", fields.get("speed", ""))
    heading_name = "bearing" if "bearing" in fields else "heading"
    return Fix(
        fix_ms=_time_ms(fields.get("timestamp", "")),
        lat=_degrees("lat", lat_text, 90.0),
        lon=_degrees("lon", lon_text, 180.0),
        speed_mps=_speed(None if speed is None else speed * _KNOT),
        heading_deg=_heading(heading_name, _optional(heading_name, fields.get(heading_name, ""))),
        trip_id=hint_of(fields.get("trip_id", "")),
        block_id=hint_of(fields.get("block_id", "")),
        route_id=hint_of(fields.get("route_id", "")),
        direction_id=_direction(fields.get("direction_id", "")),
    )


def _fix_of_location(location: _Location) -> Fix | None:
    coords = location.coords
    if coords is None:
        return None
    hints = {name: _hint(location.extras.get(name)) for name in ("trip_id", "block_id", "route_id", "direction_id")}
    return Fix(
        fix_ms=_time_ms(location.timestamp),
        lat=_degrees("location.coords.latitude", coords.latitude, 90.0),
        lon=_degrees("location.coords.longitude", coords.longitude, 180.0),
        speed_mps=_speed(coords.speed),
        heading_deg=_heading("location.coords.heading", coords.heading),
        trip_id=hints["trip_id"],
        block_id=hints["block_id"],
        route_id=hints["route_id"],
        direction_id=_direction(hints["direction_id"]),
    )


def _time_ms(value: str | float | None) -> int:
    if value is None or value == "":
        raise _Refused(Refusal.NO_TIME, "timestamp", "", "is no time, and a fix without one is not taken")
    try:
        number = float(value)
    except ValueError:
        fix_ms = _calendar_ms(str(value))
    else:
        fix_ms = number * 1_000 if abs(number) < SECONDS_BELOW else number
    if not FIRST_MS <= fix_ms < LAST_MS:  # also not a number
        raise _Refused(Refusal.BAD_TIME, "timestamp", value, "must be between the years 2000 and 2099")
    return int(fix_ms)


def _calendar_ms(text: str) -> float:
    """Return milliseconds of a date and time; a ``+`` of the zone that was decoded as a blank is put back."""
    date, letter, rest = text.strip().partition("T")
    written = date + letter + rest.replace(" ", "+")
    try:
        moment = dt.datetime.fromisoformat(written)
    except ValueError:
        raise _Refused(Refusal.BAD_TIME, "timestamp", text, _TIME_RULE) from None
    if len(written) < len("2000-01-01 00:00"):
        raise _Refused(Refusal.BAD_TIME, "timestamp", text, _TIME_RULE)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return moment.timestamp() * 1_000


def _degrees(field: str, value: str | float, limit: float) -> float:
    try:
        degrees = float(value)
    except ValueError:
        degrees = math.nan
    if not -limit <= degrees <= limit:
        raise _Refused(Refusal.BAD_PLACE, field, value, f"must be a number from {-limit:g} to {limit:g}")
    return degrees


def _optional(field: str, text: str) -> float | None:
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        raise _Refused(Refusal.BAD_MOTION, field, text, "must be a number") from None
    if not math.isfinite(number):
        raise _Refused(Refusal.BAD_MOTION, field, text, "must be finite")
    return number


def _speed(speed_mps: float | None) -> float | None:
    """Return the speed; a negative one says "unknown" in both forms."""
    if speed_mps is None or speed_mps < 0:
        return None
    if speed_mps > SPEED_MAX_MPS:
        raise _Refused(Refusal.BAD_MOTION, "speed", speed_mps, f"must be at most {SPEED_MAX_MPS:.0f} m/s")
    return speed_mps


def _heading(field: str, heading_deg: float | None) -> float | None:
    if heading_deg is None or heading_deg < 0:
        return None
    if heading_deg > 360:
        raise _Refused(Refusal.BAD_MOTION, field, heading_deg, "must be at most 360 degrees")
    return heading_deg % 360


def _hint(raw: msgspec.Raw | None) -> str:
    """Return a text or number of ``extras`` as text; whatever else a client keeps there is not for us."""
    if raw is None:
        return ""
    try:
        return hint_of(str(_text.decode(raw)))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""


def _direction(text: str) -> int:
    return int(text) if text in ("0", "1") else UNKNOWN_DIRECTION


PROTOCOL = HttpProtocol(name=NAME, default_port=5055, new_decoder=OsmAndDecoder)
