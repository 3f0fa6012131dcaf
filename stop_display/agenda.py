"""What the timetable says of one line about now, made once and good for a while. Pure.

A line is looked at many times a minute, and what is planned for it hardly changes in between: which calls come next is
a matter of counting on, and its headway is the same until a window opens or closes or the date changes.
"""

import bisect
import datetime as dt
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from gtfs_data.calendar import local_date
from stop_display.headway import Headway, planned_headway
from stop_display.model import BoardArrival
from stop_display.plan import Plan, PlannedCall

HORIZON_MS: Final = 90 * 60_000
GOOD_MS: Final = 20 * 60_000
HEADWAY_LOOK_MS: Final = 20 * 60_000
DAY: Final = dt.timedelta(1)


class Departure(NamedTuple):
    """A planned call, what it is named, and the row that it makes if nobody is seen on it."""

    call: PlannedCall
    name: str  # ``call_of``
    row: BoardArrival


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Agenda:
    """Good from ``from_ms`` up to ``until_ms``, while the same runs are ``cancelled``."""

    from_ms: int
    until_ms: int
    cancelled: Container[str]
    departure_ms: Sequence[int]
    departures: Sequence[Departure]
    headway: Headway | None  # of now and soon; None if it does not run by headway now
    since_ms: int  # when it began to, without a pause

    def good(self, now_ms: int, cancelled: Container[str]) -> bool:
        """Return whether it still says what the plan does."""
        return self.from_ms <= now_ms < self.until_ms and self.cancelled is cancelled

    def upcoming(self, now_ms: int) -> Iterator[Departure]:
        """Yield the departures within the horizon, in order of time."""
        for at in range(bisect.bisect_left(self.departure_ms, now_ms), len(self.departure_ms)):
            if self.departure_ms[at] > now_ms + HORIZON_MS:
                return
            yield self.departures[at]


def agenda_of(
    plan: Plan,
    stop: int,
    line_key: str,
    now_ms: int,
    cancelled: Container[str],
    noted: Callable[[PlannedCall], Departure],
) -> Agenda:
    """Return what is planned for a line at ``stop`` from ``now_ms`` on; ``noted`` makes its rows."""
    until_ms = min(now_ms + GOOD_MS, *_changes_after(plan, stop, line_key, now_ms))
    calls = plan.upcoming(stop, line_key, now_ms, until_ms + HORIZON_MS)
    now = plan.windows(stop, line_key, now_ms, cancelled)
    soon = plan.windows(stop, line_key, now_ms + HEADWAY_LOOK_MS, cancelled)
    found_s = [_together([window.headway_s for window in windows]) for windows in (now, soon) if windows]
    return Agenda(
        from_ms=now_ms,
        until_ms=until_ms,
        cancelled=cancelled,
        departure_ms=[call.departure_ms for call in calls],
        departures=[noted(call) for call in calls],
        headway=planned_headway(found_s) if now else None,
        since_ms=plan.served_since_ms(stop, line_key, now_ms) if now else now_ms,
    )


def _changes_after(plan: Plan, stop: int, line_key: str, now_ms: int) -> list[int]:
    """Return when the date changes and windows open and close, now or as far ahead as is looked; never none."""
    today, zone = local_date(now_ms, plan.network.time_zone), ZoneInfo(plan.network.time_zone)
    moments = [
        moment_ms
        for date in (today - DAY, today, today + DAY)
        for window in plan.calls(stop, line_key, date).windows
        for moment_ms in (window.start_ms, window.end_ms)
    ]
    midnights = (dt.datetime.combine(today + days * DAY, dt.time(), tzinfo=zone) for days in (1, 2))
    moments += [round(midnight.timestamp() * 1000) for midnight in midnights]
    return [
        moment_ms - ahead_ms
        for moment_ms in moments
        for ahead_ms in (0, HEADWAY_LOOK_MS)
        if moment_ms - ahead_ms > now_ms
    ]


def _together(headways_s: Sequence[int]) -> int:
    return round(1 / sum(1 / headway_s for headway_s in headways_s))
