"""What the pages of stops are told, as structs. Times are city time, epoch ms; places are degrees, distances metres."""

import enum

import msgspec

from stop_display.model import Text


class PageProblem(enum.StrEnum):
    """Why a request of a stop's page was refused."""

    UNKNOWN_STOP = enum.auto()
    UNREADABLE = enum.auto()  # no number where one must be, or not JSON
    OUTSIDE = enum.auto()  # a place that is not in this city
    TOO_MANY = enum.auto()


class NearStop(msgspec.Struct, frozen=True, kw_only=True):
    """A stop near a place. ``towards``: where buses go from here, to tell two sides of a road apart."""

    stop: str
    code: str
    name: Text
    towards: Text
    routes: list[str]
    lat: float
    lon: float
    distance_m: int  # in a straight line
    bearing_deg: int  # from the place to the stop, clockwise from north
    beside: str  # ``nearby.Beside``


class NearStops(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``GET /api/stops/near`` and ``GET /api/stops/{stop}/near``."""

    stops: list[NearStop]


class MapStop(msgspec.Struct, frozen=True, kw_only=True):
    """A stop that buses pass on their way here."""

    stop: str
    name: Text
    place: tuple[float, float]  # latitude, longitude


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """The way from one stop to the next, and the lines (``Line.key`` of the board) that take it."""

    path: list[tuple[float, float]]  # latitude, longitude
    lines: list[str]


class Approaches(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``GET /api/stops/{stop}/approaches``: the ways on which buses come to a stop, as planned."""

    stop: MapStop
    stops: list[MapStop]
    stretches: list[Stretch]


class ComingVehicle(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a vehicle is that comes to this stop. ``key`` and ``line`` are those of the board's row that says when."""

    key: str
    line: str
    place: tuple[float, float]  # latitude, longitude
    fix_ms: int
    heading_deg: int | None = None
    to_go_m: int | None = None  # along the line; left out while the vehicle is not yet on its way here
    next_stop: Text = {}


class ComingVehicles(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``GET /api/stops/{stop}/vehicles``, and each event of ``/stop/{stop}/vehicles``."""

    server_ms: int
    as_of_ms: int | None
    vehicles: list[ComingVehicle]


class ReportTaken(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``POST /api/stops/{stop}/reports``."""

    number: int
