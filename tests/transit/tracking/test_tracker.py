"""What a rider, a board and a dispatcher may expect of the tracker, as rules."""

import itertools
import zlib
from collections.abc import Iterable, Iterator, Sequence

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gtfs_data.network import Network
from tests.notation.town import SPEED_MPS, at, drive, fix, town
from transit.model import Arrival, Changes, PositionReport, Update, VehiclePosition, batch_of
from transit.outcomes import ArrivalState, Phase, Rejection
from transit.tracking.tracker import Tracker

EAST = [(0.0, 0.0), (4000.0, 0.0)]
WEST = [(4000.0, 0.0), (0.0, 0.0)]
STOPS = [0.0, 500.0, 1000.0, 1500.0, 2000.0, 2500.0, 3000.0, 3500.0, 4000.0]


class Watch:
    """Feeds a tracker and keeps what a board and a map would hold, from its changes alone."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker
        self.arrivals: dict[tuple[str, str], Arrival] = {}
        self.vehicles: dict[str, VehiclePosition] = {}
        self.events: list[tuple[str, str, int]] = []

    def feed(self, reports: Sequence[PositionReport], now_ms: int | None = None) -> Changes:
        now_ms = max(report.received_ms for report in reports) if now_ms is None else now_ms
        changes = self.tracker.advance(batch_of(reports), now_ms)
        self.take(changes.update)
        self.events += [(event.vehicle_id, event.stop_id, event.arrival_ms) for event in changes.stop_events]
        return changes

    def each(self, reports: Iterable[PositionReport]) -> "Watch":
        for report in reports:
            self.feed([report])
        return self

    def take(self, update: Update) -> None:
        for key in update.withdrawn:
            self.arrivals.pop((key.stop_id, key.key), None)
        for arrival in update.arrivals:
            self.arrivals[arrival.stop_id, arrival.key] = arrival
        self.vehicles.update({vehicle.vehicle_id: vehicle for vehicle in update.vehicles})
        for vehicle_id in update.gone:
            self.vehicles.pop(vehicle_id, None)

    def ahead(self, vehicle: str = "bus") -> list[Arrival]:
        return sorted((a for a in self.arrivals.values() if a.vehicle_id == vehicle), key=lambda a: a.arrival_ms)

    def phase(self, vehicle: str = "bus") -> str:
        return self.vehicles[vehicle].phase


def street(trips: str = "t1 1/0 08:00\nt2 1/1 08:30\nt3 1/0 09:00") -> Network:
    return town({"1/0": EAST, "1/1": WEST}, {"1/0": STOPS, "1/1": STOPS}, trips)


def watch(network: Network) -> Watch:
    return Watch(Tracker(network))


def test_a_bus_on_its_trip_is_expected_at_every_stop_ahead_and_at_none_behind() -> None:
    seen = watch(street()).each(drive("bus", EAST, at("08:00"), until_m=1700, trip="t1"))
    assert [a.stop_id for a in seen.ahead()] == ["S4", "S5", "S6", "S7", "S8"]
    assert {a.state for a in seen.ahead()} == {ArrivalState.LIVE}
    assert [a.last_stop for a in seen.ahead()] == [False, False, False, False, True]
    for arrival in seen.ahead():
        assert abs(arrival.arrival_ms - (arrival.scheduled_ms or 0)) < 20_000
        assert arrival.arrival_p10_ms <= arrival.arrival_ms <= arrival.arrival_p90_ms


def test_a_late_bus_carries_its_delay_forward() -> None:
    seen = watch(street()).each(drive("bus", EAST, at("08:05"), until_m=1700, trip="t1"))
    for arrival in seen.ahead():
        assert 280_000 < arrival.arrival_ms - (arrival.scheduled_ms or 0) < 320_000
    assert 280 < (seen.vehicles["bus"].deviation_s or 0) < 320


def test_a_bus_that_should_have_come_is_due_and_no_longer_ago_than_half_a_minute() -> None:
    seen = watch(street())
    due = 0
    for report in drive("bus", EAST, at("08:00"), until_m=3900, trip="t1"):
        for late_s in (20, 85, 150):
            changes = seen.feed([report] if late_s == 20 else [], report.fix_ms + 1000 * late_s)
            ahead_ms = [arrival.arrival_ms - changes.update.as_of_ms for arrival in changes.update.arrivals]
            assert min(ahead_ms, default=0) >= -30_000
            due += sum(ahead <= 0 for ahead in ahead_ms)
    assert due


def test_what_is_said_of_a_bus_unheard_ages_with_it() -> None:
    seen = watch(street())
    last = drive("bus", EAST, at("08:00"), until_m=1900, trip="t1")[-1]
    for report in drive("bus", EAST, at("08:00"), until_m=1900, trip="t1"):
        seen.feed([report])
    said_ms = {arrival.stop_id: arrival.arrival_ms for arrival in seen.ahead()}
    for silent_s in range(10, 171, 10):
        seen.feed([], last.fix_ms + 1000 * silent_s)
        for arrival in seen.ahead():
            assert arrival.arrival_ms >= seen.tracker.fleet.now_ms - 91_000
    assert {arrival.stop_id: arrival.arrival_ms for arrival in seen.ahead()} != said_ms


@pytest.mark.parametrize(("line", "direction"), [(EAST, 0), (WEST, 1)])
def test_direction_on_one_street_is_proven_by_progress(line: list[tuple[float, float]], direction: int) -> None:
    """Both directions lie on the same line: nearness says nothing, movement everything."""
    seen = watch(street())
    reports = drive("bus", line, at("08:40"), from_m=800, until_m=1800, route="1", beside_m=6)
    seen.feed(reports[:1])
    assert seen.phase() == Phase.UNASSIGNED
    seen.each(reports[1:])
    assert (seen.phase(), seen.vehicles["bus"].direction_id) == (Phase.IN_SERVICE, direction)


def test_a_bus_that_says_nothing_is_known_where_lines_part() -> None:
    """Routes 1 and 2 share 2 km; until they part, either may be right, so neither is claimed."""
    north = [(0.0, 0.0), (2000.0, 0.0), (2000.0, 2000.0)]
    network = town(
        {"1/0": EAST, "2/0": north},
        {"1/0": STOPS, "2/0": STOPS},
        "a 1/0 08:00\nb 2/0 08:00",
    )
    seen = watch(network).each(drive("bus", north, at("08:00"), from_m=300, until_m=1900))
    assert seen.phase() == Phase.UNASSIGNED
    assert seen.ahead() == []
    seen.each(drive("bus", north, at("08:05"), from_m=2100, until_m=2900))
    assert (seen.phase(), seen.vehicles["bus"].route_id) == (Phase.IN_SERVICE, "2")
    assert {a.trip_id for a in seen.ahead()} == {"b"}


def test_out_and_back_on_one_street_is_told_apart() -> None:
    """A lollipop: 2 km out, round a block, and back on the same street; nearest distance would jump between."""
    lollipop = [(0, 0), (2000, 0), (2000, 400), (2400, 400), (2400, 0), (2000, 0), (0, 0)]
    stops = [0.0, 1000.0, 2000.0, 2800.0, 3600.0, 4600.0, 5600.0]
    network = town({"1/0": lollipop}, {"1/0": stops}, "t1 1/0 08:00")
    seen = watch(network)
    offsets = []
    for report in drive("bus", lollipop, at("08:00"), trip="t1", every_s=15):
        seen.feed([report])
        offsets.append(seen.vehicles["bus"].offset_m or 0.0)
    true = [15 * SPEED_MPS * step for step in range(len(offsets))]
    assert max(abs(a - b) for a, b in zip(offsets[:-1], true[:-1], strict=True)) < 40
    assert [stop for _, stop, _ in seen.events] == ["S0", "S1", "S2", "S3", "S2", "S1", "S0"][: len(seen.events)]
    assert len(seen.events) >= 6


def test_passages_are_interpolated_between_fixes() -> None:
    seen = watch(street()).each(drive("bus", EAST, at("08:00"), trip="t1", every_s=30))
    for _, stop, arrival_ms in seen.events[1:]:
        expected_ms = at("08:00") + round(1000 * (500 * int(stop[1:]) - 20) / SPEED_MPS)
        assert abs(arrival_ms - expected_ms) < 3_000
    assert [stop for _, stop, _ in seen.events][1:] == [f"S{i}" for i in range(1, 8)]


def test_one_outlier_changes_nothing() -> None:
    reports = drive("bus", EAST, at("08:00"), until_m=1500, trip="t1")
    seen = watch(street()).each(reports)
    before = {a.stop_id for a in seen.ahead()}
    seen.feed([fix("bus", (1580.0, 190.0), reports[-1].fix_ms + 10_000, trip="t1")])
    assert {a.stop_id for a in seen.ahead()} == before
    assert seen.phase() == Phase.IN_SERVICE


def test_off_the_line_predictions_are_withdrawn_and_come_back_with_the_bus() -> None:
    seen = watch(street()).each(drive("bus", EAST, at("08:00"), until_m=1500, route="1", direction=0))
    seen.each(drive("bus", [(1580.0, 0.0), (1580.0, 900.0)], at("08:03:20"), route="1", direction=0))
    assert seen.phase() == Phase.OFF_ROUTE
    assert seen.ahead() == []
    seen.each(drive("bus", EAST, at("08:06"), from_m=1800, until_m=2600, route="1", direction=0))
    assert seen.phase() == Phase.IN_SERVICE
    assert [a.stop_id for a in seen.ahead()] == ["S6", "S7", "S8"]


def test_a_bus_that_is_told_its_next_run_before_the_last_metres_waits_and_is_not_off_route() -> None:
    seen = watch(street()).each(drive("bus", EAST, at("08:00"), until_m=3_900, route="1", direction=0))
    last_ms = at("08:00") + 490_000
    for step in range(6):
        seen.feed([fix("bus", (3_930.0, -25.0), last_ms + 10_000 * step, route="1", direction=1)])
        assert seen.phase() == Phase.LAYOVER
    assert [a.stop_id for a in seen.ahead()][:2] == ["S8", "S7"]


def test_a_silent_bus_does_not_look_like_a_coming_bus() -> None:
    reports = drive("bus", EAST, at("08:00"), until_m=1500, trip="t1")
    seen = watch(street()).each(reports)
    last_ms = reports[-1].fix_ms
    seen.feed([], last_ms + 179_000)
    assert len(seen.ahead()) == 6
    seen.feed([], last_ms + 181_000)
    assert (seen.ahead(), seen.phase()) == ([], Phase.SILENT)
    seen.feed([], last_ms + 1_801_000)
    assert "bus" not in seen.vehicles


def test_a_bus_that_stands_is_not_promised_for_ever() -> None:
    reports = drive("bus", EAST, at("08:00"), until_m=1500, trip="t1")
    seen = watch(street()).each(reports)
    place = (1440.0, 0.0)
    seen.each(fix("bus", place, reports[-1].fix_ms + 1000 * s, trip="t1") for s in range(20, 520, 20))
    assert seen.ahead() == []


def test_before_its_run_a_bus_at_the_terminal_leaves_by_the_timetable() -> None:
    seen = watch(street()).each(fix("bus", (5.0, 8.0), at("07:50") + 10_000 * i, trip="t1") for i in range(6))
    assert seen.phase() == Phase.LAYOVER
    assert {a.state for a in seen.ahead()} == {ArrivalState.LIVE_TERMINAL}
    assert [a.arrival_ms for a in seen.ahead()][:2] == pytest.approx([at("08:00"), at("08:01:02")], abs=1_000)


def test_at_the_end_of_a_run_the_next_of_the_block_is_waited_for() -> None:
    network = street("t1 1/0 08:00 b\nt2 1/1 08:30 b")
    seen = watch(network).each(drive("bus", EAST, at("08:00"), until_m=2000, block="b"))
    assert {a.trip_id for a in seen.ahead()} == {"t1", "t2"}
    starts = [a.arrival_ms for a in seen.ahead() if a.trip_id == "t2"]
    assert starts[0] == at("08:30")
    seen.each(drive("bus", EAST, at("08:04:20"), from_m=2080, block="b"))
    seen.feed([fix("bus", EAST[-1], at("08:09"), block="b")])
    assert (seen.phase(), seen.vehicles["bus"].trip_id) == (Phase.LAYOVER, "t2")
    assert {a.trip_id for a in seen.ahead()} == {"t2"}


def test_a_bus_too_late_for_its_next_run_leaves_late() -> None:
    network = street("t1 1/0 08:00 b\nt2 1/1 08:10 b")
    seen = watch(network).each(drive("bus", EAST, at("08:05"), until_m=2000, block="b"))
    arrives = next(a.arrival_ms for a in seen.ahead() if a.trip_id == "t1" and a.last_stop)
    leaves = min(a.arrival_ms for a in seen.ahead() if a.trip_id == "t2")
    assert leaves >= arrives + 60_000


def test_without_timetable_runs_are_followed_by_what_was_observed() -> None:
    """The template says 8 m/s; buses need twice as long; the fourth bus is expected as its forerunners drove."""
    network = town({"1/0": EAST}, {"1/0": STOPS}, headways={"1/0": 600})
    seen = watch(network)
    for number in range(3):
        seen.each(drive(f"b{number}", EAST, at("08:00") + 600_000 * number, speed_mps=4.0, route="1", direction=0))
    seen.each(drive("bus", EAST, at("08:40"), speed_mps=4.0, until_m=1100, route="1", direction=0))
    ahead = seen.ahead()
    assert len(ahead) == 6
    assert {a.scheduled_ms for a in ahead} == {None}
    drove_s = (ahead[-1].arrival_ms - ahead[0].arrival_ms) / 1000
    assert drove_s == pytest.approx(2500 / 4.0, rel=0.15)


def test_two_buses_do_not_hold_one_run() -> None:
    network = street("t1 1/0 08:00\nt2 1/0 08:10")
    seen = watch(network)
    for one, two in zip(
        drive("a", EAST, at("08:01"), until_m=2400, route="1", direction=0),
        drive("b", EAST, at("08:02"), until_m=2400, route="1", direction=0),
        strict=True,
    ):
        seen.feed([one, two], two.fix_ms)
    assert {seen.vehicles["a"].trip_id, seen.vehicles["b"].trip_id} == {"t1", "t2"}


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        (fix("bus", (100.0, 0.0), at("08:00:10"), archived=True), Rejection.ARCHIVED),
        (fix("bus", (100.0, 0.0), at("08:00:00")), Rejection.REPEATED),
        (fix("bus", (100.0, 0.0), at("07:59:50")), Rejection.OUT_OF_ORDER),
        (fix("bus", (100.0, 0.0), at("08:20"), received_ms=at("08:00:10")), Rejection.BAD_CLOCK),
        (fix("bus", (100.0, 0.0), at("08:00:10"), received_ms=at("08:30")), Rejection.STALE),
        (fix("bus", (9_000_000.0, 0.0), at("08:00:10")), Rejection.FAR_AWAY),
        (fix("bus", (3_900.0, 0.0), at("08:00:10")), Rejection.JUMP),
        (
            PositionReport(vehicle_id="bus", fix_ms=at("08:00:10"), received_ms=at("08:00:10"), lat=0.0, lon=0.0),
            Rejection.NO_PLACE,
        ),
    ],
)
def test_a_report_that_does_not_move_the_bus_is_refused_with_its_reason(
    report: PositionReport, reason: Rejection
) -> None:
    seen = watch(street())
    seen.feed([fix("bus", (0.0, 0.0), at("08:00"))])
    changes = seen.feed([report], at("08:00:10"))
    assert (changes.accepted, changes.rejected) == (0, {reason: 1})
    assert seen.vehicles["bus"].fix_ms == at("08:00")


def test_three_jumps_to_one_place_are_believed() -> None:
    seen = watch(street())
    seen.feed([fix("bus", (0.0, 0.0), at("08:00"))])
    outcomes = [seen.feed([fix("bus", (3900.0, 0.0), at("08:00") + 1000 * i)]).accepted for i in (1, 2, 3)]
    assert outcomes == [0, 0, 1]


def fleet_of_the_street() -> list[PositionReport]:
    rng = np.random.default_rng(5)
    reports = drive("a", EAST, at("08:00"), trip="t1", beside_m=4)
    reports += drive("b", WEST, at("08:31"), route="1", beside_m=7)
    reports += drive("c", EAST, at("08:20"), speed_mps=6.0, beside_m=5)
    reports = [reports[i] for i in rng.permutation(len(reports))]
    return sorted(reports, key=lambda report: report.fix_ms)


def history(tracker: Tracker, reports: Sequence[PositionReport], size: int) -> list[Changes]:
    return [
        tracker.advance(batch_of(reports[i : i + size]), reports[i : i + size][-1].fix_ms)
        for i in range(0, len(reports), size)
    ]


def encoded(changes: Iterable[Changes]) -> list[bytes]:
    return [msgspec.msgpack.encode((one.update, one.stop_events, one.accepted)) for one in changes]


def encoded_snapshot(tracker: Tracker) -> bytes:
    return msgspec.msgpack.encode(tracker.published())


def test_the_same_reports_give_the_same_bytes() -> None:
    reports, network = fleet_of_the_street(), street()
    assert encoded(history(Tracker(network), reports, 7)) == encoded(history(Tracker(network), reports, 7))


def rivals() -> list[PositionReport]:
    """More vehicles than runs, told and untold: they claim, take, change and end runs of one street."""
    reports = fleet_of_the_street() + drive("d", WEST, at("08:29"), trip="t2", beside_m=5)
    reports += drive("e", WEST, at("08:32"), speed_mps=7.0, beside_m=6) + drive("f", EAST, at("08:02"), beside_m=3)
    reports += drive("g", EAST, at("08:01"), trip="t1", beside_m=8)
    return sorted(reports, key=lambda report: report.fix_ms)


def state(tracker: Tracker) -> dict[str, bytes]:
    """Return all that a tracker goes by; what boards and maps show just now depends on when they were told."""
    saved = msgspec.msgpack.decode(zlib.decompress(tracker.checkpoint()))
    vehicles = {name: column for name, column in saved[3].items() if not name.startswith(("shown", "silent"))}
    return {"vehicles": saved[0], "moment": saved[2], **vehicles, **saved[4], "lessons": saved[5], "detours": saved[6]}


def cut_up(reports: Sequence[PositionReport], sizes: Sequence[int]) -> Iterator[Sequence[PositionReport]]:
    begin = 0
    for size in itertools.cycle(sizes):
        if begin >= len(reports):
            return
        yield reports[begin : begin + size]
        begin += size


@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=6), early=st.booleans())
@settings(max_examples=8, deadline=None)
def test_it_does_not_matter_how_reports_are_cut_into_batches(sizes: list[int], early: bool) -> None:
    """Whether each batch is taken as it comes (``early``), or all when a part is complete."""
    reports, network = rivals(), street()
    whole, cut = Tracker(network), Tracker(network)
    for part in cut_up(reports, [30]):
        now_ms = part[-1].fix_ms
        events = whole.advance(batch_of(part), now_ms).stop_events
        found = [
            event
            for piece in cut_up(part, sizes)
            for event in cut.advance(batch_of(piece), piece[-1].fix_ms if early else now_ms).stop_events
        ]
        assert {repr(event) for event in found} == {repr(event) for event in events}
        assert state(cut) == state(whole)
        assert encoded_snapshot(cut) == encoded_snapshot(whole)


@given(cut=st.integers(min_value=1, max_value=20))
@settings(max_examples=10, deadline=None)
def test_a_restored_tracker_goes_on_as_if_it_had_not_stopped(cut: int) -> None:
    reports, network = fleet_of_the_street(), street()
    cut = 7 * cut
    whole = Tracker(network)
    history(whole, reports[:cut], 7)
    restored = Tracker.restore(network, whole.checkpoint())
    assert encoded(history(restored, reports[cut:], 7)) == encoded(history(whole, reports[cut:], 7))


def test_a_checkpoint_of_another_network_is_refused() -> None:
    tracker = Tracker(street())
    history(tracker, fleet_of_the_street(), 7)
    other = town({"9/0": EAST}, {"9/0": [0.0, 4000.0]}, "x 9/0 08:00")
    with pytest.raises(ValueError, match="another network"):
        Tracker.restore(other, tracker.checkpoint())
    with pytest.raises(ValueError, match="cannot be read"):
        Tracker.restore(street(), b"broken")


def test_what_was_published_piece_by_piece_is_what_a_snapshot_says() -> None:
    seen = watch(street())
    reports = fleet_of_the_street()
    for i in range(0, len(reports), 5):
        seen.feed(reports[i : i + 5])
        published = seen.tracker.published()
        assert {(a.stop_id, a.key) for a in published.arrivals} == set(seen.arrivals)


def test_arrivals_of_a_run_follow_the_order_of_its_stops() -> None:
    seen = watch(street())
    for report in fleet_of_the_street():
        seen.feed([report])
        times = [a.arrival_ms for a in sorted(seen.ahead("a"), key=lambda a: a.stop_sequence)]
        assert all(later >= earlier - 15_000 for earlier, later in itertools.pairwise(times))
