"""What an operator without GTFS can give: a city as plain values, checked, nothing of it computed yet.

Texts are held by language; the first language of the city is the feed's own, the others become translations.
Times are seconds after the start of the service day and may pass 24 hours.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from gtfs_data.model import RouteId, StopId

Floats = npt.NDArray[np.float64]
Texts = Mapping[str, str]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
LineKey = tuple[RouteId, int]  # route and direction


class Agency(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who runs the buses."""

    id: str
    name: dict[str, str]
    url: str
    time_zone: str
    phone: str = ""
    email: str = ""


class Carrier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another company that runs some of the routes; what it does not say of itself is the agency's."""

    id: str
    name: dict[str, str]
    url: str = ""
    phone: str = ""
    email: str = ""


class Validity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The days the feed is for: from ``first_day`` to ``last_day``, or ``days`` from the day it is built."""

    first_day: dt.date | None = None
    last_day: dt.date | None = None
    days: int | None = None


class DayType(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Days with the same service. On each of ``dates`` (holidays) this service runs instead of the weekday's own."""

    weekdays: tuple[Weekday, ...] = ()
    dates: tuple[dt.date, ...] = ()


class Fare(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One price for every ride, in hundredths of the currency (tiyn)."""

    flat_tiyn: int
    currency: str = "KZT"


class SpeedRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"start": "from"}):
    """From a time of day on, buses drive so fast between stops."""

    start: str
    kmh: float


class Running(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long buses take where ``line_stops.csv`` gives no minutes, and rest at the end of a line."""

    speeds: tuple[SpeedRow, ...]
    dwell_s: int = 20
    layover_min: float = 5.0


@dataclass(frozen=True, slots=True)
class Speed:
    """Speed between stops from a time of day on."""

    start_s: int
    metres_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A place where buses stop: one platform, one side of the street. ``row`` is its line of ``stops.csv``."""

    id: StopId
    code: str
    name: Texts
    lat: float
    lon: float
    wheelchair: int  # GTFS wheelchair_boarding: 0 unknown, 1 yes, 2 no
    row: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A route as passengers know it."""

    id: RouteId
    short_name: str
    name: Texts
    color: str
    carrier: str  # id of the agency or of one of the carriers
    wheelchair: int  # GTFS wheelchair_accessible of all its trips: 0 unknown, 1 yes, 2 no
    row: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A line stops here. ``minutes`` since the stop before, dwell included, None if not given."""

    stop_id: StopId
    minutes: float | None
    timepoint: bool
    row: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Course:
    """The drawn line of a direction: vertices [n, 2] as longitude and latitude."""

    file: str
    lon_lat: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """When a line runs on days of one type: every ``headway_s`` from ``start_s`` until ``end_s``, or at given times."""

    line: LineKey
    day_type: str
    start_s: int
    end_s: int
    headway_s: int
    departures_s: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Basics:
    """What the tables of a city are read by."""

    languages: tuple[str, ...]
    day_types: Mapping[str, DayType]
    carriers: tuple[str, ...]  # ids, the agency's first


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What holds for all lines of a city."""

    languages: tuple[str, ...]
    agency: Agency
    carriers: tuple[Carrier, ...]
    first_day: dt.date
    last_day: dt.date
    day_types: Mapping[str, DayType]
    fare: Fare | None
    speeds: tuple[Speed, ...]
    dwell_s: int
    layover_s: int

    def speed_at(self, time_s: float) -> float:
        """Return the speed between stops in metres per second; a day begins with the last speed of the day before."""
        day_s = time_s % 86_400
        begun = [speed for speed in self.speeds if speed.start_s <= day_s]
        return (begun or self.speeds)[-1].metres_per_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The tables of a city: its stops, routes, lines and service."""

    stops: tuple[Stop, ...]
    routes: tuple[Route, ...]
    calls: Mapping[LineKey, tuple[Call, ...]]
    courses: Mapping[LineKey, Course]
    services: tuple[Service, ...]
