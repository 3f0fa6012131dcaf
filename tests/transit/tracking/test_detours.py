"""Detours: what several vehicles do at one place, what that says of arrivals, and when it ends."""

import dataclasses
import itertools
from collections.abc import Iterable, Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gtfs_data.network import Network
from tests.notation.town import at, drive, fix, town
from transit.model import Arrival, Detour, PositionReport, batch_of
from transit.outcomes import DetourState, Phase
from transit.tracking.parameters import Parameters
from transit.tracking.tracker import Tracker

STREET = [(0.0, 0.0), (6000.0, 0.0)]
STOPS = [500.0 * k for k in range(13)]
ROUND = [(0.0, 0.0), (2100.0, 0.0), (2100.0, 400.0), (3900.0, 400.0), (3900.0, 0.0), (6000.0, 0.0)]
AWAY = [(0.0, 0.0), (2100.0, 0.0), (2100.0, 9000.0)]
BESIDE = [(0.0, 0.0), (2100.0, 0.0), (2100.0, 400.0), (2160.0, 400.0), (2160.0, 0.0), (6000.0, 0.0)]
EVERY_S = 600


def street(runs: int = 9, **more: object) -> Network:
    trips = "\n".join(f"t{k} 1/0 {8 + k // 6:02d}:{10 * (k % 6):02d}" for k in range(runs))
    return town({"1/0": STREET}, {"1/0": STOPS}, trips, **more)  # type: ignore[arg-type]


def bus(number: int, way: Sequence[tuple[float, float]], *, vehicle: str = "", **more: object) -> list[PositionReport]:
    """Return the reports of the bus of run ``number``, ten minutes after the one before."""
    start_ms = at("08:00") + 1000 * EVERY_S * number
    return drive(vehicle or f"b{number}", way, start_ms, trip=f"t{number}", **more)  # type: ignore[arg-type]


def traffic(*ways: Sequence[tuple[float, float]]) -> list[PositionReport]:
    """Return the reports of one bus after the other, each on its way, in order of time."""
    return in_order(*(bus(number, way) for number, way in enumerate(ways)))


def in_order(*drives: Iterable[PositionReport]) -> list[PositionReport]:
    return sorted(itertools.chain(*drives), key=lambda report: (report.fix_ms, report.vehicle_id))


class City:
    """What boards and dispatchers hold, from changes alone."""

    def __init__(self, network: Network, parameters: Parameters | None = None) -> None:
        self.tracker = Tracker(network, parameters)
        self.detours: dict[str, Detour] = {}
        self.told: list[tuple[str, int]] = []  # states, and how many vehicles
        self.rows: dict[str, Arrival] = {}
        self.phases: dict[str, str] = {}
        self.now_ms = 0

    def hear(self, reports: Iterable[PositionReport], *, until: str = "") -> "City":
        for report in reports:
            if until and report.fix_ms > at(until):
                break
            self._take(report.fix_ms, [report])
        return self

    def wait(self, clock: str) -> "City":
        self._take(at(clock), [])
        return self

    def _take(self, now_ms: int, reports: list[PositionReport]) -> None:
        update = self.tracker.advance(batch_of(reports), now_ms).update
        self.now_ms = now_ms
        for key in update.withdrawn:
            self.rows.pop(key.key, None)
        self.rows.update({arrival.key: arrival for arrival in update.arrivals})
        self.phases.update({vehicle.vehicle_id: vehicle.phase for vehicle in update.vehicles})
        for detour in update.detours:
            self.told.append((detour.state, len(detour.vehicles)))
            self.detours.pop(detour.detour_id, None)
            if detour.state != DetourState.OVER:
                self.detours[detour.detour_id] = detour

    @property
    def detour(self) -> Detour:
        (only,) = self.detours.values()
        return only

    def states(self) -> list[str]:
        return [state for state, _ in itertools.groupby(self.told, key=lambda one: one[0])]

    def stops(self, vehicle: str) -> list[str]:
        mine = [row for row in self.rows.values() if row.vehicle_id == vehicle]
        return [row.stop_id for row in sorted(mine, key=lambda row: row.stop_sequence)]

    def arrival_ms(self, vehicle: str, stop: str) -> int:
        return next(r.arrival_ms for r in self.rows.values() if (r.vehicle_id, r.stop_id) == (vehicle, stop))

    def wide_ms(self, vehicle: str, stop: str) -> int:
        row = next(r for r in self.rows.values() if (r.vehicle_id, r.stop_id) == (vehicle, stop))
        return row.arrival_p90_ms - row.arrival_p10_ms


def test_two_buses_that_leave_at_one_place_are_suspected_and_two_that_came_back_confirmed() -> None:
    city = City(street()).hear(traffic(ROUND, ROUND), until="08:15:30")
    assert (city.detour.state, city.detour.vehicles, city.detour.under_way) == ("suspected", ["b0", "b1"], ["b1"])
    city.hear(traffic(ROUND, ROUND)[90:])
    assert (city.detour.state, city.detour.under_way) == ("confirmed", [])
    assert (city.detour.before_stop_id, city.detour.missed, city.detour.after_stop_id) == (
        "S4",
        ["S5", "S6", "S7"],
        "S8",
    )
    (line,) = city.detour.lines
    assert (line.route_id, line.direction_id, line.missed) == ("1", 0, [[5, 6, 7]])
    assert line.left_m[0] == pytest.approx(2100, abs=90)
    assert line.back_m[0] == pytest.approx(3900, abs=90)
    assert city.detour.extra_s == pytest.approx(800 / 8.0, abs=25)
    lat = [place[0] for place in city.detour.path]
    assert (max(lat) - min(lat)) * 111_000 == pytest.approx(400, abs=80)


@given(
    way=st.sampled_from([ROUND, AWAY, BESIDE]),
    times=st.integers(1, 3),
    others=st.lists(st.booleans(), max_size=2),
    every_s=st.sampled_from([10, 20, 30]),
)
@settings(max_examples=15, deadline=None)
def test_one_vehicle_alone_never_makes_a_detour(way: list, times: int, others: list[bool], every_s: int) -> None:
    lost = [bus(2 * run, way, vehicle="lost", every_s=every_s) for run in range(times)]
    good = [bus(2 * run + 1, STREET) for run, there in enumerate(others) if there]
    city = City(street()).hear(in_order(*lost, *good)).wait("10:30")
    assert city.told == []


def test_buses_that_go_home_at_one_place_are_no_detour_for_the_others_drive_on() -> None:
    city = City(street()).hear(traffic(AWAY, STREET, AWAY, STREET, STREET)).wait("10:30")
    assert "confirmed" not in city.states()
    assert city.detours == {}


def test_a_yard_beside_the_line_is_no_detour() -> None:
    assert City(street()).hear(traffic(BESIDE, BESIDE, BESIDE)).told == []


def test_buses_that_leave_at_different_places_are_not_one_detour() -> None:
    later = [(0.0, 0.0), (4100.0, 0.0), (4100.0, 400.0), (5200.0, 400.0), (5200.0, 0.0), (6000.0, 0.0)]
    assert City(street()).hear(traffic(ROUND, later)).told == []


def test_more_than_an_hour_apart_two_buses_are_two_reasons() -> None:
    assert City(street()).hear(in_order(bus(0, ROUND), bus(8, ROUND))).told == []
    assert City(street()).hear(in_order(bus(0, ROUND), bus(5, ROUND))).states() == ["suspected", "confirmed"]


def test_a_bus_on_the_regular_way_puts_a_detour_in_doubt_and_the_second_ends_it() -> None:
    city = City(street()).hear(traffic(ROUND, ROUND, ROUND, STREET))
    assert (city.states(), city.detour.state) == (["suspected", "confirmed", "suspected"], "suspected")
    city.hear(bus(4, STREET))
    assert (city.states()[-1], city.detours) == ("over", {})


def test_buses_that_do_it_by_turns_are_never_sure_enough() -> None:
    assert "confirmed" not in City(street()).hear(traffic(*[ROUND, STREET] * 4)).states()


def test_after_a_quiet_night_a_detour_is_in_doubt_and_the_first_bus_proves_it() -> None:
    city = City(street()).hear(traffic(ROUND, ROUND)).wait("10:00")
    assert city.detour.state == "confirmed"
    city.wait("10:25")
    assert city.detour.state == "suspected"
    city.hear(drive("early", ROUND, at("30:00"), route="1", direction=0))
    assert (city.detour.state, city.detour.standing) == ("confirmed", False)
    city.wait("54:31")
    assert city.states()[-1] == "over"


def test_what_lasts_for_more_than_a_day_is_probably_a_wrong_line() -> None:
    city = City(street()).hear(traffic(ROUND, ROUND))
    for hour in (20, 33):
        city.hear(drive(f"at {hour}", ROUND, at(f"{hour}:00"), route="1", direction=0))
    assert (city.detour.state, city.detour.standing) == ("confirmed", True)


def test_a_stop_that_the_other_way_passes_closely_is_served() -> None:
    close = [(0.0, 0.0), (2100.0, 0.0), (2100.0, 400.0), (2990.0, 400.0), (2990.0, 70.0), (3010.0, 70.0)]
    close += [(3010.0, 400.0), (3900.0, 400.0), (3900.0, 0.0), (6000.0, 0.0)]
    by_three = [(x, 30.0 if y == 70.0 else y) for x, y in close]
    for way, missed in ((close, ["S5", "S6", "S7"]), (by_three, ["S5", "S7"])):
        city = City(street()).hear(in_order(*(bus(k, way, every_s=5) for k in range(2))))
        assert city.detour.missed == missed


def test_where_no_line_is_drawn_a_detour_that_leaves_out_no_stop_is_not_told() -> None:
    between = [(0.0, 0.0), (2050.0, 0.0), (2050.0, 400.0), (2450.0, 400.0), (2450.0, 0.0), (6000.0, 0.0)]
    drawn = street()
    straight = dataclasses.replace(drawn, patterns=dataclasses.replace(drawn.patterns, shape_ids=("",)))
    told, untold = (City(network).hear(traffic(between, between)).detours for network in (drawn, straight))
    assert [one.missed for one in told.values()] == [[]]
    assert not untold
    assert City(straight).hear(traffic(ROUND, ROUND)).detours, "stops left out are told in any case"


def test_lines_that_share_the_street_share_the_detour_and_others_have_none() -> None:
    second = [(0.0, -900.0), (0.0, 0.0), (5000.0, 0.0), (5000.0, 900.0)]
    north = [(0.0, -900.0), (0.0, 0.0), (2100.0, 0.0), (2100.0, 400.0), (3900.0, 400.0), (3900.0, 0.0)]
    north += [(5000.0, 0.0), (5000.0, 900.0)]
    stops = [100.0, *(900.0 + 500.0 * k for k in range(11)), 6700.0]
    lines = {"1/0": STREET, "1/1": STREET[::-1], "2/0": second, "3/0": STREET}
    every = {"1/0": STOPS, "1/1": STOPS, "2/0": stops, "3/0": STOPS}
    network = town(lines, every, "a 1/0 08:00\nb 2/0 08:10\nc 3/0 08:20\nd 1/1 08:20")
    drives = [
        drive("one", ROUND, at("08:00"), trip="a"),
        drive("two", north, at("08:08"), trip="b"),
    ]
    city = City(network).hear(in_order(*drives))
    assert (city.detour.state, city.detour.vehicles) == ("confirmed", ["one", "two"])
    assert [(line.route_id, line.direction_id) for line in city.detour.lines] == [("1", 0), ("2", 0)]
    assert city.detour.missed == ["S5", "S6", "S7"]


def test_stops_left_out_are_not_expected_and_those_behind_come_later_and_less_surely() -> None:
    reports = traffic(ROUND, ROUND, ROUND, STREET, STREET)
    before = City(street()).hear(bus(2, ROUND), until="08:22")
    city = City(street()).hear(reports, until="08:22")
    assert city.stops("b2") == ["S2", "S3", "S4", "S8", "S9", "S10", "S11", "S12"]
    assert before.stops("b2") == [f"S{k}" for k in range(2, 13)]
    extra_s = (city.arrival_ms("b2", "S8") - before.arrival_ms("b2", "S8")) / 1000
    assert extra_s == pytest.approx(100, abs=40)
    assert city.arrival_ms("b2", "S4") == pytest.approx(before.arrival_ms("b2", "S4"), abs=15_000)
    assert city.wide_ms("b2", "S8") > 1.1 * before.wide_ms("b2", "S8")


def test_what_is_shown_at_stops_left_out_is_withdrawn_at_once_also_of_buses_not_heard_since() -> None:
    waiting = [fix("b2", (5.0, 0.0), at("08:10") + 60_000 * k, trip="t2") for k in range(11)]
    city = City(street()).hear(in_order(*(bus(k, ROUND) for k in range(2)), waiting), until="08:20")
    assert city.detour.state == "suspected"
    assert "S6" in city.stops("b2")
    city.hear([report for report in bus(1, ROUND) if report.fix_ms > at("08:20")], until="08:20:40")
    assert city.detour.state == "confirmed"
    assert city.stops("b2") == ["S0", "S1", "S2", "S3", "S4", "S8", "S9", "S10", "S11", "S12"]


def test_a_bus_on_a_known_detour_stays_expected_behind_it_steadily_and_never_in_the_past() -> None:
    reports = traffic(ROUND, ROUND, ROUND)
    city = City(street())
    drove: list[float] = []
    for report in reports:
        city.hear([report])
        if report.vehicle_id == "b2" and at("08:24:40") <= report.fix_ms <= at("08:29:10"):
            assert city.stops("b2") == ["S8", "S9", "S10", "S11", "S12"]
            drove.append(city.arrival_ms("b2", "S8") / 1000)
            assert city.arrival_ms("b2", "S8") >= city.now_ms
    assert city.phases["b2"] in (Phase.IN_SERVICE, Phase.LAYOVER)
    assert max(drove) - min(drove) < 90
    assert drove[-1] == pytest.approx(at("08:20") / 1000 + 4800 / 8.0, abs=60)


def test_a_bus_that_needs_much_longer_than_others_is_no_longer_expected() -> None:
    city = City(street()).hear(traffic(ROUND, ROUND)).hear(bus(2, ROUND, until_m=3_000))
    stuck_ms = city.now_ms
    assert city.stops("b2")
    for k in range(1, 50):
        place = (2500.0 + 70.0 * (k % 2), 400.0)
        city.hear([fix("b2", place, stuck_ms + 20_000 * k, trip="t2")])
        assert all(row.arrival_ms >= city.now_ms - 60_000 for row in city.rows.values() if row.vehicle_id == "b2")
    assert city.stops("b2") == []


def test_off_the_line_without_a_known_detour_nothing_is_said() -> None:
    city = City(street()).hear(bus(0, ROUND), until="08:07")
    assert (city.stops("b0"), city.phases["b0"]) == ([], Phase.OFF_ROUTE)


def test_a_bus_that_drives_the_regular_way_is_expected_there_again() -> None:
    city = City(street()).hear(traffic(ROUND, ROUND, STREET), until="08:25:10")
    assert (city.detour.state, city.stops("b2")[0]) == ("confirmed", "S5")


@given(sizes=st.lists(st.integers(1, 7), min_size=1, max_size=5))
@settings(max_examples=4, deadline=None)
def test_detours_do_not_depend_on_how_reports_are_cut_into_batches(sizes: list[int]) -> None:
    reports, network = traffic(ROUND, ROUND, STREET, STREET), street()
    whole, cut = Tracker(network), Tracker(network)
    for begin in range(0, len(reports), 20):
        part = reports[begin : begin + 20]
        now_ms = part[-1].fix_ms
        expected = whole.advance(batch_of(part), now_ms).update.detours
        found, done = [], 0
        for size in itertools.cycle(sizes):
            if done >= len(part):
                break
            found += cut.advance(batch_of(part[done : done + size]), now_ms).update.detours
            done += size
        assert found == expected
        assert cut.published().detours == whole.published().detours
        assert cut.fleet.detours == whole.fleet.detours


@given(cut=st.integers(20, 300))
@settings(max_examples=3, deadline=None)
def test_a_restored_tracker_knows_its_detours_and_goes_on_as_if_it_had_not_stopped(cut: int) -> None:
    reports, network = traffic(ROUND, ROUND, ROUND, STREET, STREET), street()
    whole = Tracker(network)
    for report in reports[:cut]:
        whole.advance(batch_of([report]), report.fix_ms)
    restored = Tracker.restore(network, whole.checkpoint())
    assert restored.published().detours == whole.published().detours
    for report in reports[cut:]:
        one, other = (tracker.advance(batch_of([report]), report.fix_ms).update for tracker in (whole, restored))
        assert msgspec.msgpack.encode(one) == msgspec.msgpack.encode(other)


@pytest.mark.parametrize(
    ("rule", "without"),
    [
        ((ROUND, ROUND), {"detour_vehicles": 3}),
        ((ROUND, ROUND, ROUND), {"bad_fixes_off_route": 10**6}),
        ((ROUND, ROUND), {"detour_whole_s": 0.0, "detour_within_s": 0.0}),
    ],
)
def test_each_rule_counts(rule: tuple[list[tuple[float, float]], ...], without: dict[str, float]) -> None:
    assert City(street()).hear(traffic(*rule)).states()[-1] == "confirmed"
    assert "confirmed" not in City(street(), dataclasses.replace(Parameters(), **without)).hear(traffic(*rule)).states()
