"""Which line and run a vehicle is on, and what it does while it is on none, where the feed tells little or is wrong."""

from gtfs_data.network import Network
from tests.notation.seen import Seen
from tests.notation.town import at, drive, fix, town
from transit.model import PositionReport
from transit.outcomes import Phase

EAST = [(0.0, 0.0), (12_000.0, 0.0)]
WEST = [(12_000.0, 0.0), (0.0, 0.0)]
STOPS = [500.0 * k for k in range(25)]
SHORT = [(4_000.0, 0.0), (12_000.0, 0.0)]
SHORT_STOPS = [500.0 * k for k in range(17)]
SIDE = [(0.0, 3_000.0), (12_000.0, 3_000.0)]
DEPOT = (5_000.0, -600.0)


def two_lines(trips: str) -> Network:
    """Two lines on one street for all their length."""
    return town({"1/0": EAST, "2/0": EAST}, {"1/0": STOPS, "2/0": STOPS}, trips)


def parked(place: tuple[float, float], clock: str, minutes: int) -> list[PositionReport]:
    return [fix("bus", place, at(clock) + 30_000 * k) for k in range(2 * minutes)]


def test_of_two_lines_on_a_street_the_timetable_says_which_one_it_is() -> None:
    seen = Seen(two_lines("a 1/0 08:00\nb 2/0 08:12")).after(drive("bus", EAST, at("08:00"), until_m=2_000))
    assert seen.is_on == (Phase.IN_SERVICE, "1", 0, "a")


def test_where_the_timetable_fits_both_lines_neither_is_claimed() -> None:
    seen = Seen(two_lines("a 1/0 08:00\nb 2/0 08:00")).after(drive("bus", EAST, at("08:00"), until_m=4_000))
    assert seen.is_on == (Phase.UNASSIGNED, "", -1, "")


def test_a_line_that_has_no_run_now_is_not_what_a_bus_is_on() -> None:
    seen = Seen(two_lines("a 1/0 14:00\nb 2/0 15:00")).after(drive("bus", EAST, at("08:00"), until_m=6_000))
    assert Phase.IN_SERVICE not in seen.phases
    assert seen.is_on[0] == Phase.DEADHEAD


def test_a_day_without_any_run_says_nothing_against_a_line() -> None:
    """A calendar that ran out must not leave the city without buses."""
    network = town({"1/0": EAST}, {"1/0": STOPS}, "a 1/0 08:00")
    week_later = 7 * 86_400_000
    seen = Seen(network).after(drive("bus", EAST, at("08:00") + week_later, until_m=2_000))
    assert seen.is_on[:3] == (Phase.IN_SERVICE, "1", 0)


def test_a_run_that_another_bus_drives_is_not_taken_twice() -> None:
    """Both lines have a run now; that of line 1 is being driven, so the bus that says nothing is on line 2."""
    seen = Seen(two_lines("a 1/0 08:00\nb 2/0 08:03"))
    seen.after(drive("told", EAST, at("08:00"), until_m=1_500, trip="a"))
    seen.after(drive("bus", EAST, at("08:03:30"), until_m=2_500))
    assert seen.is_on == (Phase.IN_SERVICE, "2", 0, "b")


def test_a_late_bus_stays_on_its_run_though_another_line_would_fit_better() -> None:
    seen = Seen(two_lines("a 1/0 08:00\nb 2/0 08:15")).after(
        drive("bus", EAST, at("08:00"), until_m=4_000),
        parked((4_000.0, 0.0), "08:09", 14),
        drive("bus", EAST, at("08:23:30"), from_m=4_000, until_m=8_000),
    )
    assert seen.is_on[:2] == (Phase.IN_SERVICE, "1")


def test_a_bus_from_the_depot_does_not_serve_the_line_that_it_follows_for_a_while() -> None:
    """It is quicker than the timetable, for it does not stop, and it did not begin at a first stop."""
    seen = Seen(town({"1/0": EAST}, {"1/0": STOPS}, "a 1/0 08:00\nb 1/0 08:15\nc 1/0 08:30")).after(
        parked(DEPOT, "08:00", 20),
        drive("bus", [DEPOT, (5_000.0, 0.0)], at("08:20")),
        drive("bus", EAST, at("08:21:20"), from_m=5_000, until_m=11_000, speed_mps=11),
    )
    assert Phase.IN_SERVICE not in seen.phases
    assert seen.is_on[0] == Phase.DEADHEAD


def test_a_bus_that_joins_a_line_and_keeps_its_pace_for_long_serves_it() -> None:
    seen = Seen(town({"1/0": EAST}, {"1/0": STOPS}, "a 1/0 08:00\nb 1/0 08:15\nc 1/0 08:30")).after(
        parked(DEPOT, "08:00", 20),
        drive("bus", [DEPOT, (5_000.0, 0.0)], at("08:20")),
        drive("bus", EAST, at("08:21:20"), from_m=5_000, until_m=11_000, speed_mps=7.5),
    )
    assert seen.is_on[:2] == (Phase.IN_SERVICE, "1")
    followed_m = 75.0 * seen.phases[-81:].count(Phase.DEADHEAD)
    assert followed_m >= 2_500


def test_on_a_motorway_nothing_shows_that_a_bus_serves_the_line() -> None:
    """Every bus keeps that pace where there is no stop; it is believed once it has passed some."""
    stops = [0.0, 500.0, *(8_000.0 + 500.0 * k for k in range(9))]
    seen = Seen(town({"1/0": EAST}, {"1/0": stops}, "a 1/0 08:00\nb 1/0 08:15\nc 1/0 08:30")).after(
        parked((2_000.0, -600.0), "08:00", 20),
        drive("bus", [(2_000.0, -600.0), (2_000.0, 0.0)], at("08:20")),
        drive("bus", EAST, at("08:21:20"), from_m=2_000, until_m=9_500),
    )
    assert Phase.IN_SERVICE not in seen.phases
    assert seen.after(drive("bus", EAST, at("08:37:10"), from_m=9_580, until_m=11_000)).is_on[0] == Phase.IN_SERVICE


def test_a_bus_that_passes_all_stops_of_a_line_from_its_first_on_is_empty() -> None:
    """Two lines would explain it; before one is believed it shows that it serves neither."""
    seen = Seen(two_lines("a 1/0 08:00\nb 2/0 08:00")).after(
        drive("bus", EAST, at("08:02"), until_m=11_000, speed_mps=16)
    )
    assert Phase.IN_SERVICE not in seen.phases
    assert seen.is_on[0] == Phase.DEADHEAD


def test_a_bus_that_no_longer_serves_its_stops_is_empty() -> None:
    """Nobody told its run; 15 minutes of the plan driven in 7 say that it is on none."""
    network = town({"1/0": EAST}, {"1/0": STOPS}, "a 1/0 08:00\nb 1/0 08:15")
    seen = Seen(network).after(drive("bus", EAST, at("08:04"), until_m=4_000, speed_mps=16))
    assert seen.is_on[:2] == (Phase.IN_SERVICE, "1")
    seen.after(drive("bus", EAST, at("08:08:20"), from_m=4_160, until_m=11_000, speed_mps=16))
    assert seen.is_on == (Phase.DEADHEAD, "", -1, "")
    assert not len(seen.tracker.predictions(at("08:15:30")).vehicle)


def test_a_told_bus_may_be_as_fast_as_it_likes() -> None:
    network = town({"1/0": EAST}, {"1/0": STOPS}, "a 1/0 08:00\nb 1/0 08:15")
    seen = Seen(network).after(drive("bus", EAST, at("08:04"), until_m=11_000, speed_mps=16, trip="a"))
    assert seen.is_on == (Phase.IN_SERVICE, "1", 0, "a")


def test_a_template_says_nothing_of_the_pace() -> None:
    seen = Seen(town({"1/0": EAST}, {"1/0": STOPS}, headways={"1/0": 600})).after(
        drive("bus", EAST, at("08:04"), until_m=11_000, speed_mps=16)
    )
    assert seen.is_on[:2] == (Phase.IN_SERVICE, "1")


def test_a_bus_from_the_depot_begins_where_a_line_begins() -> None:
    """It comes along the line against its direction, turns at the first stop and is on the next run at once."""
    seen = Seen(town({"1/0": EAST, "1/1": WEST}, {"1/0": STOPS, "1/1": STOPS}, "a 1/0 08:30\nb 1/1 10:00")).after(
        parked(DEPOT, "08:00", 15),
        drive("bus", [DEPOT, (5_000.0, 0.0), (0.0, 0.0)], at("08:16"), speed_mps=12),
    )
    assert Phase.IN_SERVICE not in seen.phases
    seen.after(drive("bus", EAST, at("08:30:30"), until_m=600))
    assert seen.is_on == (Phase.IN_SERVICE, "1", 0, "a")


def test_of_two_variants_that_fit_alike_a_new_bus_is_on_the_one_that_just_began() -> None:
    """Someone would have seen the bus of the other run before."""
    network = town({"1/0": EAST, "1/2": SHORT}, {"1/0": STOPS, "1/2": SHORT_STOPS}, "a 1/0 08:00\nb 1/2 08:08:20")
    network.patterns.direction[1] = 0
    seen = Seen(network).after(drive("bus", EAST, at("08:08:20"), from_m=4_200, until_m=6_000))
    assert seen.is_on == (Phase.IN_SERVICE, "1", 0, "b")


def test_which_departure_a_waiting_bus_is_shows_when_it_leaves() -> None:
    trips = "a 1/0 08:00\nb 1/1 08:28\nc 1/1 08:45"
    seen = Seen(town({"1/0": EAST, "1/1": WEST}, {"1/0": STOPS, "1/1": STOPS}, trips)).after(
        drive("bus", EAST, at("08:00"), route="1"), [fix("bus", EAST[-1], at("08:27"), route="1")]
    )
    assert seen.is_on == (Phase.LAYOVER, "1", 1, "b")
    seen.after(drive("bus", WEST, at("08:44:50"), until_m=400, route="1"))
    assert seen.is_on == (Phase.IN_SERVICE, "1", 1, "c")


def test_a_bus_creeping_to_its_last_stop_is_on_its_run_until_it_stands() -> None:
    network = town({"1/0": EAST, "1/1": WEST}, {"1/0": STOPS, "1/1": STOPS}, "a 1/0 08:00\nb 1/1 08:40")
    seen = Seen(network).after(drive("bus", EAST, at("08:00"), until_m=11_965, trip="a", speed_mps=7))
    creeps = [fix("bus", (11_968.0, 0.0), at("08:29"), trip="a"), fix("bus", (11_992.0, 0.0), at("08:29:30"), trip="a")]
    assert seen.after(creeps).is_on == (Phase.IN_SERVICE, "1", 0, "a")
    assert seen.after([fix("bus", (11_995.0, 0.0), at("08:30"), trip="a")]).is_on[0] == Phase.LAYOVER


def wrong_log_on() -> Network:
    return town(
        {"1/0": EAST, "1/1": WEST, "2/0": SIDE},
        {"1/0": STOPS, "1/1": STOPS, "2/0": STOPS},
        "a 1/0 08:00\nb 1/1 08:00\nc 2/0 08:00",
    )


def test_a_driver_logged_on_to_another_line_is_found_out() -> None:
    seen = Seen(wrong_log_on()).after(drive("bus", SIDE, at("08:00"), trip="a", until_m=800))
    assert seen.is_on[1] == ""
    seen.after(drive("bus", SIDE, at("08:01:50"), from_m=880, until_m=6_000, trip="a"))
    assert seen.is_on == (Phase.IN_SERVICE, "2", 0, "c")


def test_a_driver_logged_on_to_the_other_direction_is_found_out() -> None:
    seen = Seen(wrong_log_on()).after(drive("bus", EAST, at("08:00"), until_m=7_000, trip="b"))
    assert seen.is_on == (Phase.IN_SERVICE, "1", 0, "a")


def test_a_driver_who_logs_on_right_at_last_is_believed_at_once() -> None:
    seen = Seen(wrong_log_on()).after(
        drive("bus", SIDE, at("08:00"), until_m=2_000, trip="a"),
        drive("bus", SIDE, at("08:04:20"), from_m=2_080, until_m=2_400, trip="c"),
    )
    assert seen.is_on == (Phase.IN_SERVICE, "2", 0, "c")


def test_a_told_trip_is_not_doubted_because_of_one_street_off_its_line() -> None:
    round_the_block = [(0.0, 0.0), (3_000.0, 0.0), (3_000.0, 300.0), (3_600.0, 300.0), (3_600.0, 0.0), (8_000.0, 0.0)]
    seen = Seen(wrong_log_on()).after(drive("bus", round_the_block, at("08:00"), trip="a"))
    assert seen.is_on == (Phase.IN_SERVICE, "1", 0, "a")


def test_a_bus_that_stands_away_from_all_terminals_is_parked() -> None:
    seen = Seen(wrong_log_on()).after(parked(DEPOT, "08:00", 14))
    assert set(seen.phases) == {Phase.UNASSIGNED}
    assert seen.after(parked(DEPOT, "08:14", 4)).is_on[0] == Phase.AT_DEPOT


def test_a_bus_that_stands_at_a_terminal_is_not_parked_before_the_longest_layover() -> None:
    seen = Seen(wrong_log_on()).after(parked((-100.0, 0.0), "07:00", 60))
    assert seen.is_on[0] == Phase.UNASSIGNED
    assert seen.after(parked((-100.0, 0.0), "08:00", 40)).is_on[0] == Phase.AT_DEPOT


def test_a_bus_that_leaves_its_line_for_good_is_off_route_first_and_then_empty() -> None:
    away = [(3_000.0, 0.0), (3_000.0, -6_000.0)]
    seen = Seen(town({"1/0": EAST}, {"1/0": STOPS}, "a 1/0 08:00"))
    seen.after(drive("bus", EAST, at("08:00"), until_m=3_000)).after(drive("bus", away, at("08:06:15")))
    assert Phase.OFF_ROUTE in seen.phases
    assert seen.phases[-1] == Phase.DEADHEAD
