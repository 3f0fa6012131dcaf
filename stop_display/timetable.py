"""The timetable of one stop on one calendar date, for boards that keep it in case the network goes. Pure.

A date has every departure from its midnight to the next, so runs of the service day before that call after midnight are
in it. Cancelled trips and detours are not known here: what is shown from it must be marked as timetable.
"""

import datetime as dt
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from gtfs_data.calendar import local_date, utc_offset_s
from stop_display.model import Text
from stop_display.plan import AHEAD_DAYS, Plan, PlannedLine
from stop_display.search import name_of

DAY: Final = dt.timedelta(1)


class Headway(msgspec.Struct, frozen=True, kw_only=True):
    """From ``start_ms`` up to ``end_ms`` a vehicle calls every ``headway_s``, at no time of its own."""

    start_ms: int
    end_ms: int
    headway_s: int


class TimetableLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One route to one destination; ``departures_ms`` in order of time. ``key`` is that of the line on the board."""

    key: str
    route_id: str
    route: str  # as painted on the bus
    destination: Text
    departures_ms: list[int]
    headways: list[Headway] = []
    colour: str = ""  # RRGGBB, "" if the feed has none
    text_colour: str = ""


class Timetable(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``GET /api/stops/{stop}/timetable``. ``utc_offset_s``: at the beginning of the date."""

    stop: str
    code: str
    name: Text
    date: str  # YYYY-MM-DD
    time_zone: str
    utc_offset_s: int
    lines: list[TimetableLine]


def date_asked(text: str, now_ms: int, time_zone: str) -> dt.date:
    """Return the date that ``text`` names, today if it is empty.

    Raises:
        ValueError: if it is no date, or not one from yesterday to a week ahead; says the rule.
    """
    today = local_date(now_ms, time_zone)
    if not text:
        return today
    rule = f"a date YYYY-MM-DD from {today - DAY} to {today + AHEAD_DAYS * DAY}"
    try:
        date = dt.datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 - a date has no zone
    except ValueError as error:
        raise ValueError(rule) from error
    if not -DAY <= date - today <= AHEAD_DAYS * DAY:
        raise ValueError(rule)
    return date


def timetable_of(plan: Plan, stop: int, date: dt.date) -> Timetable:
    """Return all departures of ``date`` at the stop with index ``stop``."""
    network = plan.network
    start_ms, end_ms = _midnight_ms(date, network.time_zone), _midnight_ms(date + DAY, network.time_zone)
    return Timetable(
        stop=network.stops.ids[stop],
        code=network.stops.codes[stop],
        name=name_of(network, stop),
        date=f"{date:%Y-%m-%d}",
        time_zone=network.time_zone,
        utc_offset_s=utc_offset_s(start_ms, network.time_zone),
        lines=[_line(plan, stop, line, date, start_ms, end_ms) for line in plan.lines(stop).values()],
    )


def _line(plan: Plan, stop: int, line: PlannedLine, date: dt.date, start_ms: int, end_ms: int) -> TimetableLine:
    routes = plan.network.routes
    days = [plan.calls(stop, line.key, one) for one in (date - DAY, date, date + DAY)]  # a service day may begin early
    return TimetableLine(
        key=line.key,
        route_id=routes.ids[line.route],
        route=routes.short_names[line.route],
        destination=line.destination,
        departures_ms=sorted(ms for calls in days for ms in calls.departure_ms if start_ms <= ms < end_ms),
        headways=[
            Headway(
                start_ms=max(window.start_ms, start_ms), end_ms=min(window.end_ms, end_ms), headway_s=window.headway_s
            )
            for calls in days
            for window in calls.windows
            if window.start_ms < end_ms and start_ms < window.end_ms
        ],
        colour=routes.colors[line.route],
        text_colour=routes.text_colors[line.route],
    )


def _midnight_ms(date: dt.date, time_zone: str) -> int:
    return round(dt.datetime.combine(date, dt.time(), tzinfo=ZoneInfo(time_zone)).timestamp() * 1000)
