"""What the boards of a stop are told, and when; and how a board goes on after a cut."""

from collections.abc import Container

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stop_display.board import LineBoard, Moment
from stop_display.expected import Coming
from stop_display.hub import LINGER_S, REVIEW_S, Hub
from stop_display.model import BoardAlert, Line
from stop_display.open_stop import HISTORY_MAX, HISTORY_S
from stop_display.outcomes import LineState
from tests.notation.town import at, town
from tests.stop_display.hearing import Reader, change_of, frames_of, heard_by, snapshots_of
from tests.stop_display.scenes import STOPS_M, STREET, bus, detour, place, run_key, street, update, withdrawn
from tests.transit.test_notices import alert
from transit.model import Arrival
from transit.notices import Alert, Cancellation, Informed, Notices

NOW = at("08:00")
STOPS = ("S0", "S1", "S2")


def opened(*stops: str, arrivals: tuple[Arrival, ...] = (), trips: str = "") -> Hub:
    hub = Hub(street(trips))
    hub.apply(update(NOW, *arrivals))
    for stop in stops:
        hub.open([stop], NOW, 0.0)
    assert heard_by(hub, NOW, 0.0) == []
    return hub


def test_a_changed_arrival_is_told_to_the_boards_of_its_stop_only() -> None:
    hub = opened("S1", "S2")
    hub.apply(update(NOW + 500, bus("08:05")))
    (change,) = heard_by(hub, NOW + 1_000, 1.0)
    assert (change.stop, change.as_of_ms, change.server_ms) == ("S1", NOW + 500, NOW + 1_000)
    assert [row.arrival_ms for row in change.lines[0].arrivals] == [at("08:05")]
    assert heard_by(hub, NOW + 1_000, 1.1) == []


def test_boards_say_a_confirmed_detour_at_the_stops_left_out_until_it_is_in_doubt_or_over() -> None:
    hub = opened("S1", "S2", trips="T1 1/0 08:30")
    told: list[tuple[str, str]] = []
    for second, one in enumerate([detour(1, state="suspected"), detour(1), detour(1, state="over")], start=1):
        hub.apply(update(NOW, one))
        told += [(change.stop, change.lines[0].state) for change in heard_by(hub, NOW, float(second))]
    assert told == [("S1", LineState.DETOUR), ("S1", LineState.TIMETABLE)]


def test_a_snapshot_ends_the_detours_that_it_does_not_name() -> None:
    hub = opened("S1", trips="T1 1/0 08:30")
    hub.replace((), (), NOW, [detour(1)])
    assert [change.lines[0].state for change in heard_by(hub, NOW, 1.0)] == [LineState.DETOUR]
    hub.replace((), (), NOW, ())
    assert [change.lines[0].state for change in heard_by(hub, NOW, 2.0)] == [LineState.TIMETABLE]


def test_how_full_a_followed_bus_is_is_told_at_the_next_review() -> None:
    hub = opened("S1", arrivals=(bus("08:05"),))
    vehicle = bus("08:05").vehicle_id
    hub.fill({vehicle: "standing_room_only", "another": "full"})
    (change,) = heard_by(hub, NOW + 4_000, REVIEW_S + 1)
    assert [row.occupancy for row in change.lines[0].arrivals] == ["standing_room_only"]


def notices(*alerts: Alert, cancelled: tuple[str, ...] = ()) -> Notices:
    runs = (Cancellation(name=name, until_ms=NOW + 3_600_000, author="x", made_ms=0) for name in cancelled)
    return Notices(alerts=alerts, cancellations=tuple(runs))


def alert_at(stop: str, start_ms: int = NOW, end_ms: int = NOW + 60_000, **changes: object) -> Alert:
    return alert("a", start_ms, end_ms, informed=[Informed(stop_id=stop)], **changes)


def test_boards_of_a_stop_are_told_an_alert_and_its_end_without_any_line_changed() -> None:
    hub = opened("S1", "S2")
    hub.heed(notices(alert_at("S1", takeover=True)), NOW)
    (told,) = heard_by(hub, NOW, 1.0)
    assert (told.stop, told.lines, told.fix_ms) == ("S1", [], None)
    assert told.alerts == [
        BoardAlert(
            id="a",
            header={"kk": "Жол жабық", "ru": "Жол жабық", "en": "Жол жабық"},
            takeover=True,
            until_ms=NOW + 60_000,
        )
    ]
    assert heard_by(hub, NOW + 59_999, 1.1) == []
    assert [change.alerts for change in heard_by(hub, NOW + 60_000, 1.2)] == [[]]


def test_an_alert_that_is_to_come_is_told_when_it_comes_and_not_again_when_others_change() -> None:
    hub = opened("S1")
    hub.heed(notices(alert_at("S1", NOW + 5_000)), NOW)
    assert heard_by(hub, NOW + 4_999, 1.0) == []
    assert [len(change.alerts or ()) for change in heard_by(hub, NOW + 5_000, 1.1)] == [1]
    hub.heed(notices(alert_at("S1", NOW + 5_000), alert_at("S2", NOW)), NOW + 6_000)
    assert heard_by(hub, NOW + 6_000, 1.2) == []


def test_snapshots_and_boards_that_poll_say_alerts_too() -> None:
    hub = opened("S1")
    hub.heed(notices(alert_at("S1"), alert_at("S2")), NOW)
    heard_by(hub, NOW, 1.0)
    assert [one.id for one in snapshots_of(hub, ["S1"], NOW)[0].board.alerts] == ["a"]
    assert [len(hub.board(stop, NOW).alerts) for stop in ("S1", "S2", "S3")] == [1, 1, 0]
    hub.open(["S2"], NOW, 1.0)
    assert len(snapshots_of(hub, ["S2"], NOW)[0].board.alerts) == 1


def test_an_alert_of_a_route_names_it_as_it_is_painted_on_the_bus() -> None:
    hub = opened()
    hub.heed(notices(alert("r", NOW, NOW + 1, informed=[Informed(route_id="1")])), NOW)
    assert [one.routes for one in hub.board("S1", NOW).alerts] == [["1"]]


def test_a_cancelled_run_is_struck_out_at_once_and_comes_back_when_restored() -> None:
    hub = opened("S1", trips="T1 1/0 08:00", arrivals=(bus("08:01:20"),))
    for second, runs in enumerate([(run_key("T1", "08:00"),), ()], start=1):
        hub.heed(notices(cancelled=runs), NOW)
        (change,) = heard_by(hub, NOW, float(second))
        assert [(row.state, row.vehicle) for row in change.lines[0].arrivals] == (
            [("cancelled", "")] if runs else [("live", "101")]
        )


def test_boards_are_told_within_the_next_look_that_a_bus_stands_at_the_stop() -> None:
    hub = opened("S1", arrivals=(bus("08:00:10"),))
    hub.apply(update(NOW, place(795.0, speed_mps=0.0, fix_ms=NOW, next_stop="S1")))
    (change,) = heard_by(hub, NOW, 0.2)
    assert [row.at_stop for row in change.lines[0].arrivals] == [True]


def test_the_headway_of_a_line_without_timetable_is_what_passed() -> None:
    network = town({"1/0": STREET}, {"1/0": STOPS_M}, headways={"1/0": 600})
    hub = Hub(network)
    for minute, vehicle in ((0, "1"), (8, "2"), (17, "3")):
        for second, offset_m in ((0, 700.0), (20, 900.0)):
            fix_ms = NOW + 60_000 * minute + 1_000 * second
            hub.apply(update(fix_ms, place(offset_m, run=f"r{vehicle}", vehicle=vehicle, fix_ms=fix_ms)))
    line = hub.board("S1", NOW + 18 * 60_000).lines[0]
    assert (line.state, line.headway_s, line.headway_planned) == (LineState.HEADWAY, (480, 540), False)


def test_a_stop_that_nobody_looks_at_costs_nothing() -> None:
    hub = opened("S1")
    hub.apply(update(NOW, bus("08:05", stop="S2", sequence=3)))
    assert heard_by(hub, NOW, 1.0) == []


def test_a_change_names_the_newest_fix_behind_it_or_none_if_time_alone_led_to_it() -> None:
    hub = opened("S1", "S2")
    hub.apply(update(NOW, place(100.0, fix_ms=NOW - 3_000), bus("08:05", fix_ms=NOW - 3_000)))
    hub.apply(update(NOW, place(120.0, fix_ms=NOW - 2_000), bus("08:06", fix_ms=NOW - 2_000)))
    hub.apply(update(NOW, bus("08:07", stop="S2", sequence=3)))
    assert [(change.stop, change.fix_ms) for change in heard_by(hub, NOW, 1.0)] == [("S1", NOW - 2_000), ("S2", None)]


def test_a_bus_behind_three_others_is_shown_when_one_of_them_has_gone_or_it_overtakes_them() -> None:
    first = [bus(f"08:0{minute}", run=f"{minute}", vehicle=f"{minute}") for minute in (3, 4, 5)]
    hub = opened("S1", arrivals=tuple(first))
    hub.apply(update(NOW, bus("08:20", run="late", vehicle="late")))
    assert heard_by(hub, NOW, 1.0) == []
    hub.apply(update(NOW, withdrawn(first[0])))
    assert [row.vehicle for row in heard_by(hub, NOW, 1.1)[0].lines[0].arrivals] == ["4", "5", "late"]
    hub.apply(update(NOW, bus("08:30", run="later", vehicle="later"), bus("08:02", run="later", vehicle="later")))
    assert [row.vehicle for row in heard_by(hub, NOW, 1.2)[0].lines[0].arrivals] == ["later", "4", "5"]


def test_what_was_withdrawn_goes() -> None:
    arrival = bus("08:05")
    hub = opened("S1", arrivals=(arrival,))
    hub.apply(update(NOW, withdrawn(arrival)))
    assert heard_by(hub, NOW, 1.0)[0].lines[0].arrivals == []


def test_time_alone_changes_a_board_within_the_review() -> None:
    hub = opened("S1", arrivals=(bus("08:00:01"),))
    assert heard_by(hub, NOW + 32_000, REVIEW_S - 0.1) == []
    assert heard_by(hub, NOW + 32_000, REVIEW_S)[0].lines[0].arrivals == []


def test_when_tracking_falls_silent_live_rows_go_at_once_and_come_back_when_it_speaks() -> None:
    hub = opened("S1", arrivals=(bus("08:10"),), trips="T1 1/0 08:00")
    quiet = heard_by(hub, NOW + 91_000, 0.5)
    assert [line.state for change in quiet for line in change.lines] == [LineState.TIMETABLE]
    hub.apply(update(NOW + 92_000))
    spoken = heard_by(hub, NOW + 92_000, 0.6)
    assert [line.state for change in spoken for line in change.lines] == [LineState.LIVE]


def test_a_bus_that_was_due_when_tracking_fell_silent_is_shown_if_it_is_still_to_come() -> None:
    hub = opened("S1", arrivals=(bus("08:02:30"),))
    assert heard_by(hub, NOW + 91_000, 0.5)[0].lines[0].arrivals == []
    hub.apply(update(NOW + 95_000, bus("08:03:30")))
    assert [row.arrival_ms for row in heard_by(hub, NOW + 95_000, 0.6)[0].lines[0].arrivals] == [at("08:03:30")]


def test_a_stop_that_cannot_be_made_shows_what_it_did_and_keeps_no_other_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hub = opened("S1", "S2")
    before, make = snapshots_of(hub, ["S1"], NOW)[0].board, LineBoard.line_of

    def broken(board: LineBoard, key: str, coming: Coming, moment: Moment, served: Container[str] = ()) -> Line:
        if any(arrival.stop_id == "S1" for arrival in coming):
            raise ValueError(key)
        return make(board, key, coming, moment, served)

    monkeypatch.setattr(LineBoard, "line_of", broken)
    hub.apply(update(NOW, bus("08:05"), bus("08:06", stop="S2", sequence=3)))
    assert hub.due(NOW, 1.0) == ["S1", "S2"]
    with pytest.raises(ValueError, match=r"1\|to 1/0"):
        hub.renew("S1", NOW, 1.0)
    assert hub.renew("S2", NOW, 1.0) is not None
    assert hub.due(NOW, 1.1) == []
    assert snapshots_of(hub, ["S1"], NOW)[0].board == before
    monkeypatch.setattr(LineBoard, "line_of", make)
    assert [change.stop for change in heard_by(hub, NOW, 1.0 + REVIEW_S)] == ["S1"]


def test_the_stop_that_changed_first_is_renewed_first_and_what_time_alone_may_change_last() -> None:
    hub = opened("S0", "S1", "S2", arrivals=(bus("08:20"),))
    hub.apply(update(NOW, bus("08:05", stop="S2", sequence=3)))
    hub.apply(update(NOW, bus("08:06"), bus("08:07", stop="S2", sequence=3)))
    assert hub.due(NOW, REVIEW_S) == ["S2", "S1", "S0"]
    for stop in ("S2", "S1", "S0"):
        hub.renew(stop, NOW, REVIEW_S)
    hub.apply(update(NOW, withdrawn(bus("08:06"))))
    hub.apply(update(NOW, bus("08:05", stop="S0", sequence=1)))
    assert hub.due(NOW, REVIEW_S) == ["S1", "S0"]


def test_stops_are_opened_all_or_none() -> None:
    hub = opened()
    with pytest.raises(KeyError):
        hub.open(["S1", "nowhere"], NOW, LINGER_S + 1.0)
    assert hub.due(NOW, LINGER_S + 1.0) == []
    hub.apply(update(NOW, bus("08:05")))
    assert heard_by(hub, NOW, LINGER_S + 1.0) == []


def test_a_snapshot_of_tracking_replaces_everything() -> None:
    hub = opened("S1", arrivals=(bus("08:05"), bus("08:09", run="other", vehicle="102")))
    hub.replace([bus("08:08")], [], NOW)
    assert [row.arrival_ms for row in heard_by(hub, NOW, 0.1)[0].lines[0].arrivals] == [at("08:08")]


def test_two_buses_that_swap_runs_are_both_known_on_their_new_runs() -> None:
    trips = "T1 1/0 08:00\nT2 1/0 08:01"
    first, second = run_key("T1", "08:00"), run_key("T2", "08:01")
    hub = opened("S1", trips=trips)
    hub.apply(update(NOW, place(0.0, run=first, vehicle="A"), place(0.0, run=second, vehicle="B")))
    hub.apply(update(NOW, place(900.0, run=second, vehicle="A"), place(900.0, run=first, vehicle="B")))
    assert hub.board("S1", NOW).lines[0].state == LineState.TIMETABLE  # an open stop changes in ``renew`` only
    assert heard_by(hub, NOW, REVIEW_S)[0].lines[0].state == LineState.SERVICE_ENDED
    hub.apply(update(NOW, gone=("A", "B")))
    assert heard_by(hub, NOW, 2 * REVIEW_S)[0].lines[0].state == LineState.TIMETABLE


def test_the_board_of_a_stop_that_nobody_watches_is_the_same() -> None:
    hub = opened(arrivals=(bus("08:05"),))
    closed = hub.board("S1", NOW)
    hub.open(["S1"], NOW, 0.0)
    assert hub.board("S1", NOW) == closed == snapshots_of(hub, ["S1"], NOW)[0].board


def test_only_the_last_snapshot_says_up_to_where_a_board_knows_everything() -> None:
    hub = opened(*STOPS)
    assert [snapshot.sequence for snapshot in snapshots_of(hub, STOPS, NOW)] == [0, 0, hub.sequence]
    assert hub.since(dict.fromkeys(STOPS, 0)) is None


def test_a_board_that_was_cut_off_gets_what_it_missed_in_order() -> None:
    hub = opened("S1", "S2")
    known = hub.sequence
    for minute in (5, 7, 9):
        hub.apply(update(NOW, bus(f"08:0{minute}"), bus(f"08:1{minute}", stop="S2", sequence=3)))
        heard_by(hub, NOW, minute)
    missed = hub.since({"S1": known, "S2": known})
    assert missed is not None
    assert [frame.sequence for frame in missed] == list(range(known + 1, known + 7))
    assert hub.since({"S1": hub.sequence}) == []


def test_a_number_from_before_the_stop_was_opened_or_from_the_future_is_no_place_to_go_on_from() -> None:
    hub = opened("S1")
    before = hub.sequence
    hub.open(["S2"], NOW, 0.0)
    assert hub.since({"S1": before}) == []
    assert hub.since({"S1": before, "S2": before}) is None
    assert hub.since({"S1": hub.sequence + 1}) is None


def test_a_stop_lingers_for_boards_that_come_back_and_is_closed_then() -> None:
    hub = opened("S1")
    known = hub.sequence
    hub.leave("S1", 10.0)
    heard_by(hub, NOW, 10.0 + LINGER_S)
    hub.open(["S1"], NOW, 11.0 + LINGER_S)
    assert hub.since({"S1": known}) == []
    hub.leave("S1", 12.0 + LINGER_S)
    heard_by(hub, NOW, 13.0 + 2 * LINGER_S)
    hub.open(["S1"], NOW, 14.0 + 2 * LINGER_S)
    assert hub.since({"S1": known}) is None


@pytest.mark.parametrize(("every_s", "kept"), [(0.01, HISTORY_MAX), (HISTORY_S / 4, 5)], ids=["too many", "too old"])
def test_history_is_bounded(every_s: float, kept: int) -> None:
    hub, made = opened("S1"), 0
    known = hub.sequence
    while hub.since({"S1": known}) is not None:
        made += 1
        hub.apply(update(NOW, bus(at("08:05") + 120_000 * made)))
        assert len(heard_by(hub, NOW, made * every_s)) == 1
    assert made == kept + 1
    assert hub.since({"S1": known + 1}) is not None


minutes_ahead = st.one_of(st.none(), st.integers(1, 80))
steps = st.lists(st.tuples(st.sampled_from(STOPS), st.sampled_from("AB"), minutes_ahead), min_size=1, max_size=30)


@settings(deadline=None)
@given(steps, st.integers(0, 30), st.integers(0, 30))
def test_a_board_cut_off_anywhere_shows_the_same_as_one_that_never_was(
    history: list[tuple[str, str, int | None]], cut_at: int, back_at: int
) -> None:
    hub = opened("S1", "S2")
    steady, cut = Reader(), Reader()
    for snapshot in snapshots_of(hub, ["S1", "S2"], NOW):
        steady.take(snapshot)
        cut.take(snapshot)
    held: dict[tuple[str, str], Arrival] = {}
    for step, (stop, vehicle, minutes) in enumerate(history):
        if step == back_at:
            _come_back(cut, hub)
        earlier = held.pop((stop, vehicle), None)
        if minutes is not None:
            held[stop, vehicle] = bus(
                NOW + 60_000 * minutes, stop=stop, sequence=STOPS.index(stop) + 1, run=vehicle, vehicle=vehicle
            )
            hub.apply(update(NOW + step, held[stop, vehicle]))
        elif earlier is not None:
            hub.apply(update(NOW + step, withdrawn(earlier)))
        for frame in frames_of(hub, NOW + step, float(step)):
            steady.take(change_of(frame))
            if not cut_at <= step < back_at:
                cut.take(change_of(frame))
    _come_back(cut, hub)
    assert cut.lines == steady.lines


def _come_back(board: Reader, hub: Hub) -> None:
    missed = hub.since({"S1": board.sequence, "S2": board.sequence})
    assert missed is not None
    for frame in missed:
        board.take(change_of(frame))
