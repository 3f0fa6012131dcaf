"""A tap belongs to the stop that the bus had reached, also when it is uploaded minutes later."""

import msgspec
import pytest

from tests.notation.town import at, town
from transit.model import VehiclePosition
from transit.tracking.whereabouts import APART_MAX_MS, FOUND_MAX_MS, KEPT_MS, Whereabout, Whereabouts

STREET = town({"1/0": [(0, 0), (2_000, 0)]}, {"1/0": [0, 500, 1_000, 2_000]}, "t1 1/0 08:00")


def seen(*fixes: tuple[str, float | None], run: str = "t1|2026-03-02", trip: str = "t1") -> Whereabouts:
    whereabouts = Whereabouts(STREET)
    drive(whereabouts, *fixes, run=run, trip=trip)
    return whereabouts


def drive(whereabouts: Whereabouts, *fixes: tuple[str, float | None], run: str, trip: str = "t1") -> None:
    for clock, offset_m in fixes:
        whereabouts.note(
            VehiclePosition(
                "bus", at(clock), 0.0, 0.0, None, None, "in_service", "1", 0, trip, run, offset_m, "", None, 0
            )
        )


def place(whereabouts: Whereabouts, clock: str) -> Whereabout:
    found = whereabouts.at("bus", at(clock))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("clock", "stop", "following"),
    [
        ("08:00:00", "S0", "S1"),
        ("08:01:00", "S0", "S1"),  # 300 m on: still those of the first stop
        ("08:01:32", "S1", "S2"),  # 460 m, which is the stop, give or take a fix and a bus
        ("08:03:00", "S1", "S2"),
        ("08:06:40", "S3", ""),
    ],
)
def test_a_tap_is_of_the_last_stop_reached(clock: str, stop: str, following: str) -> None:
    found = place(seen(("08:00", 0), ("08:00:40", 200), ("08:02:40", 800), ("08:06:40", 2_000)), clock)
    assert (found.stop_id, found.next_stop_id, found.route_id, found.trip_id) == (stop, following, "1", "t1")


def test_between_two_fixes_the_bus_moved_evenly() -> None:
    whereabouts = seen(("08:00", 0), ("08:02", 1_000))
    assert [place(whereabouts, clock).stop_number for clock in ("08:00:54", "08:00:56", "08:01:59")] == [0, 1, 2]


def test_a_late_upload_finds_the_run_that_was_then() -> None:
    whereabouts = seen(("08:00", 1_990))
    drive(whereabouts, ("08:02", 0), ("08:04", 600), run="t2|2026-03-02", trip="t2")
    assert place(whereabouts, "08:00:30").trip_id == "t1"
    later = place(whereabouts, "08:03")
    assert (later.trip_id, later.run_key, later.run_since_ms) == ("t2", "t2|2026-03-02", at("08:02"))


def test_what_no_fix_is_near_to_is_not_guessed() -> None:
    whereabouts = seen(("08:00", 0))
    assert whereabouts.at("bus", at("08:00") + APART_MAX_MS) is not None
    assert whereabouts.at("bus", at("08:00") + APART_MAX_MS + 1) is None
    assert whereabouts.at("bus", at("08:00") - APART_MAX_MS - 1) is None
    assert whereabouts.at("other", at("08:00")) is None


def test_a_fix_after_a_gap_answers_for_the_minutes_before_it() -> None:
    assert place(seen(("08:00", 0), ("08:10", 1_000)), "08:09").stop_id == "S2"


def test_off_the_line_the_route_is_known_and_no_stop() -> None:
    found = place(seen(("08:00", None)), "08:00")
    assert (found.route_id, found.stop_id, found.stop_number) == ("1", "", -1)


def test_a_run_found_soon_after_answers_for_the_minutes_in_which_it_was_not_known() -> None:
    whereabouts = Whereabouts(STREET)
    unknown = VehiclePosition("bus", at("08:00"), 0.0, 0.0, None, None, "unassigned", "", -1, "", "", None, "", None)
    whereabouts.note(unknown)
    assert place(whereabouts, "08:00:10").route_id == ""
    drive(whereabouts, ("08:01", 300), run="t1|2026-03-02")
    found = place(whereabouts, "08:00:10")
    assert (found.route_id, found.trip_id, found.stop_id) == ("1", "t1", ""), "the line, but not a stop"
    late = at("08:01") - FOUND_MAX_MS - 1
    whereabouts = Whereabouts(STREET)
    whereabouts.note(msgspec.structs.replace(unknown, fix_ms=late))
    drive(whereabouts, ("08:01", 300), run="t1|2026-03-02")
    earlier = whereabouts.at("bus", late)
    assert earlier is not None
    assert earlier.route_id == ""


def test_when_it_left_its_last_stop_is_the_first_fix_beyond_it() -> None:
    whereabouts = seen(("08:00", 500), ("08:00:10", 530), ("08:00:20", 600), ("08:00:40", 800))
    assert place(whereabouts, "08:00:40").left_stop_ms == at("08:00:20")
    assert place(whereabouts, "08:00:10").left_stop_ms == 0, "it stands there"


def test_memory_is_bounded_and_an_older_fix_changes_nothing() -> None:
    whereabouts = seen(("08:00", 0), ("08:10", 500))
    drive(whereabouts, ("08:05", 2_000), run="t1|2026-03-02")
    found = whereabouts.now("bus")
    assert found is not None
    assert found.stop_id == "S1"
    drive(whereabouts, ("08:30:01", 500), run="t1|2026-03-02")
    assert whereabouts.at("bus", at("08:30:01") - KEPT_MS - APART_MAX_MS) is None
    whereabouts.forget(["bus"])
    assert whereabouts.now("bus") is None
