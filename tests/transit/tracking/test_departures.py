"""When buses leave a terminal without a timetable: at the minutes of past days, one each, first come first served."""

import datetime as dt
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pytest

from gtfs_data.network import Network
from tests.notation.town import DAY, ZONE, at, fix, town
from transit.model import PositionReport, batch_of
from transit.tracking.learned import TravelTimes
from transit.tracking.tracker import Tracker
from transit.tracking.training import Leavings, drives_of, learn

EAST = [(0.0, 0.0), (4000.0, 0.0)]
LINE = "1/0"
CLOCK = ("07:00", "07:20", "07:40", "08:00", "08:20", "08:40", "09:00", "09:20")


def headway_town() -> Network:
    return town({LINE: EAST}, {LINE: [500.0 * k for k in range(9)]}, headways={LINE: 1_200})


def past_days(network: Network, clock: tuple[str, ...] = CLOCK, days: int = 3) -> TravelTimes:
    """Days before the town's, on each of which somebody left at ``clock``."""
    key = (network.routes.ids[0], network.stops.ids[int(network.patterns.stop[0])])
    times: TravelTimes | None = None
    for back in range(days + 3, 3, -1):  # the town's day is a Monday: the last working days before it
        when_ms = [at(one) - 86_400_000 * back for one in clock]
        leavings = Leavings([key] * len(clock), np.array(when_ms, dtype=np.int64))
        times = learn(times, drives_of([]), leavings, DAY - dt.timedelta(days=back), ZoneInfo(ZONE))
    assert times is not None
    return times


def standing(bus: str, since: str, until: str) -> list[PositionReport]:
    return [fix(bus, (2.0, 1.0), ms, route="1", direction=0) for ms in range(at(since), at(until) + 1, 20_000)]


def leaving(bus: str, clock: str) -> list[PositionReport]:
    return [fix(bus, (8.0 * s, 0.0), at(clock) + 1000 * s, route="1", direction=0) for s in range(10, 120, 10)]


def hear(tracker: Tracker, *reports: PositionReport) -> None:
    for report in sorted(reports, key=lambda one: one.fix_ms):
        tracker.advance(batch_of([report]), report.fix_ms)


def leaves(tracker: Tracker, bus: str, clock: str) -> tuple[float, float, float]:
    """Return p10, median and p90 of the departure, in minutes from ``clock``."""
    fleet, now_ms = tracker.fleet, at(clock)
    row = np.array([fleet.vehicle_ids.index(bus)])
    expected = tracker._departures.expect(fleet, row, now_ms)[:, 0]
    early, middle, late = ((expected - now_ms) / 60_000).tolist()
    return early, middle, late


@pytest.fixture
def tracker() -> Tracker:
    network = headway_town()
    made = Tracker(network)
    made.adopt(past_days(network))
    return made


def test_a_bus_leaves_at_the_minute_at_which_past_days_left(tracker: Tracker) -> None:
    hear(tracker, *standing("b", "07:50", "08:00"), *leaving("b", "08:00"), *standing("a", "08:04", "08:06"))
    early, middle, late = leaves(tracker, "a", "08:06")
    assert early <= middle <= late <= 18
    assert middle == pytest.approx(14.5, abs=1.0)


def test_the_second_bus_takes_the_second_departure_whatever_it_is_called(tracker: Tracker) -> None:
    hear(tracker, *standing("b", "07:50", "08:00"), *leaving("b", "08:00"))
    hear(tracker, *standing("z", "08:03", "08:08"), *standing("a", "08:06", "08:08"))
    assert leaves(tracker, "z", "08:08")[1] == pytest.approx(12.5, abs=1.0)
    assert leaves(tracker, "a", "08:08")[1] == pytest.approx(32.5, abs=2.0)


def test_a_departure_that_was_made_is_not_waited_for(tracker: Tracker) -> None:
    hear(tracker, *standing("b", "08:05", "08:18"), *standing("a", "08:10", "08:20"), *leaving("b", "08:18"))
    assert leaves(tracker, "a", "08:20")[1] > 15


def test_an_overdue_departure_is_expected_soon_and_then_given_up(tracker: Tracker) -> None:
    hear(tracker, *standing("a", "08:05", "08:22"))
    assert leaves(tracker, "a", "08:22")[1] < 4
    hear(tracker, *standing("a", "08:22", "08:32"))
    assert leaves(tracker, "a", "08:32")[1] > 4


def test_where_buses_let_departures_go_by_the_next_one_says_less(tracker: Tracker) -> None:
    hear(tracker, *standing("a", "07:05", "07:21"))
    early, _, late = leaves(tracker, "a", "07:21")
    hear(tracker, *standing("a", "07:21", "09:01"))
    later_early, _, later_late = leaves(tracker, "a", "09:01")
    assert later_late - later_early > 1.5 * (late - early)


def test_after_midnight_yesterdays_departures_are_not_forgotten() -> None:
    network = headway_town()
    tracker = Tracker(network)
    tracker.adopt(past_days(network, ("00:10", "23:50")))
    hear(tracker, *standing("b", "23:45", "23:50"), *leaving("b", "23:50"), *standing("a", "23:51", "23:53"))
    assert leaves(tracker, "a", "23:53")[1] == pytest.approx(17.5, abs=1.5)


def recurs(tracker: Tracker, now_ms: int) -> bool:
    """Return whether past days say of the first bus when it leaves."""
    expected = tracker._departures._habits.expect(tracker.fleet, np.array([0]), now_ms)
    return bool(np.isfinite(expected).all())


def test_one_day_does_not_show_that_departures_recur() -> None:
    network = headway_town()
    taught, hardly_taught = Tracker(network), Tracker(network)
    taught.adopt(past_days(network))
    hardly_taught.adopt(past_days(network, days=1))
    for one in (taught, hardly_taught):
        hear(one, *standing("a", "08:10", "08:12"))
    assert recurs(taught, at("08:12"))
    assert not recurs(hardly_taught, at("08:12"))


def test_working_days_do_not_say_when_buses_leave_on_saturday(tracker: Tracker) -> None:
    saturday_ms = 5 * 86_400_000
    later = [(report, report.fix_ms + saturday_ms) for report in standing("a", "08:10", "08:12")]
    hear(tracker, *(msgspec.structs.replace(report, fix_ms=ms, received_ms=ms) for report, ms in later))
    assert not recurs(tracker, at("08:12") + saturday_ms)
    early, middle, late = tracker._departures.expect(tracker.fleet, np.array([0]), at("08:12") + saturday_ms)[:, 0]
    assert early < middle < late, "it is said by how long buses stand, and at which hours they leave"


def test_at_hours_nobody_left_past_days_say_nothing(tracker: Tracker) -> None:
    hear(tracker, *standing("a", "14:00", "14:02"))
    early, middle, late = leaves(tracker, "a", "14:02")
    assert early < middle < late  # by how long buses stand
    assert middle < 30


def test_what_proved_wrong_at_a_place_is_not_believed_there(tracker: Tracker) -> None:
    """Today all leave six minutes after they came, whatever the hour: how long they stand tells more."""
    for came in range(1, 120, 9):
        bus, hour, minute = f"b{came}", 7 + came // 60, came % 60
        begin_ms = at(f"{hour:02}:{minute:02}")
        hear(tracker, *(fix(bus, (2.0, 1.0), begin_ms + 20_000 * k, route="1", direction=0) for k in range(19)))
        drive_ms = begin_ms + 360_000
        moving = (fix(bus, (8.0 * s, 0.0), drive_ms + 1000 * s, route="1", direction=0) for s in range(10, 120, 10))
        hear(tracker, *moving)
    tracker.advance(batch_of([]), at("09:04"))
    hear(tracker, *standing("a", "09:05", "09:06"))
    assert leaves(tracker, "a", "09:06")[1] == pytest.approx(5, abs=1.5)
