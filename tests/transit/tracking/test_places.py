"""The right place on the right line, whatever the line is like, the GPS does and the feed tells."""

import itertools

import pytest

from gtfs_data.network import Network
from tests.notation.seen import Seen
from tests.notation.town import SPEED_MPS, Line, at, drive, fix, noisy, town
from transit.model import PositionReport
from transit.outcomes import Phase

RING = [(0, 0), (3000, 0), (3000, 3000), (0, 3000), (0, 0)]
LOLLIPOP = [(0, 0), (4000, 0), (4000, 1500), (6000, 1500), (6000, 0), (4000, 0), (0, 0)]
OUT_AND_BACK = [(0, 0), (6000, 0), (0, 0)]
EIGHT = [(0, 0), (4000, 4000), (0, 4000), (4000, 0)]
LINES = {"ring": RING, "lollipop": LOLLIPOP, "out and back": OUT_AND_BACK, "eight": EIGHT}
EAST = [(0.0, 0.0), (8_000.0, 0.0)]
WEST = [(8_000.0, 0.0), (0.0, 0.0)]
STOPS = [500.0 * k for k in range(17)]


def length_m(line: Line) -> float:
    return sum(((bx - ax) ** 2 + (by - ay) ** 2) ** 0.5 for (ax, ay), (bx, by) in itertools.pairwise(line))


def one_line(line: Line) -> Network:
    stops_m = [*(500.0 * k for k in range(int(length_m(line) // 500))), length_m(line)]
    return town({"1/0": line}, {"1/0": stops_m}, "a 1/0 08:00")


@pytest.mark.parametrize("told", [{"trip": "a"}, {"route": "1"}, {}], ids=["trip", "route", "nothing"])
@pytest.mark.parametrize(("sigma_m", "every_s"), [(5, 10), (15, 30), (50, 30), (15, 120)])
@pytest.mark.parametrize("name", LINES)
def test_a_bus_is_where_it_is_on_a_line_that_meets_itself(
    name: str, sigma_m: int, every_s: int, told: dict[str, str]
) -> None:
    line = LINES[name]
    reports = noisy(drive("bus", line, at("08:00"), every_s=every_s, until_m=length_m(line) - 300, **told), sigma_m)
    seen = Seen(one_line(line)).after(reports)
    begins = next(k for k, phase in enumerate(seen.phases) if phase == Phase.IN_SERVICE)
    assert begins * every_s * SPEED_MPS <= 2_500
    assert set(seen.phases[begins:]) == {Phase.IN_SERVICE}
    for step, offset_m in enumerate(seen.offsets_m):
        if step >= begins:
            assert offset_m == pytest.approx(every_s * SPEED_MPS * step, abs=50 + 4 * sigma_m)


@pytest.mark.parametrize(
    "told",
    [{"trip": "a"}, {"block": "b1"}, {"route": "1", "direction": 0}, {"route": "1"}, {}],
    ids=["trip", "block", "route and direction", "route", "nothing"],
)
def test_whatever_the_feed_tells_it_comes_to_the_same(told: dict[str, str | int]) -> None:
    network = town({"1/0": EAST, "1/1": WEST}, {"1/0": STOPS, "1/1": STOPS}, "a 1/0 08:00 b1\nb 1/1 09:00 b1")
    reports = drive("bus", EAST, at("08:00"), until_m=3_000, **told)  # type: ignore[arg-type]
    assert Seen(network).after(noisy(reports, 10)).is_on == (Phase.IN_SERVICE, "1", 0, "a")


def test_outliers_do_not_end_a_run() -> None:
    reports = drive("bus", EAST, at("08:00"), until_m=6_000, trip="a")
    for k in range(5, 70, 7):
        away = fix("bus", (80.0 * k, 260.0 if k % 2 else -190.0), reports[k].fix_ms, trip="a")
        reports[k] = away
    seen = Seen(one_line(EAST)).after(reports)
    assert set(seen.phases[2:]) == {Phase.IN_SERVICE}
    assert seen.offsets_m[-1] == pytest.approx(6_000, abs=40)


def test_a_drawn_line_fifty_metres_off_the_street_is_still_followed() -> None:
    seen = Seen(one_line(EAST)).after(noisy(drive("bus", EAST, at("08:00"), beside_m=45, until_m=6_000, trip="a"), 5))
    assert set(seen.phases[2:]) == {Phase.IN_SERVICE}


def frozen(place: tuple[float, float], clock: str, minutes: int, **told: str) -> list[PositionReport]:
    return [fix("bus", place, at(clock) + 30_000 * k, **told) for k in range(2 * minutes)]


@pytest.mark.parametrize("told", [{"trip": "a"}, {"route": "1"}, {}], ids=["trip", "route", "nothing"])
def test_a_unit_that_says_the_same_place_for_ever_is_parked_and_not_expected(told: dict[str, str]) -> None:
    seen = Seen(one_line(EAST)).after(drive("bus", EAST, at("08:00"), until_m=2_960, **told))
    seen.after(frozen((2_960.0, 0.0), "08:06:20", 20, **told))
    assert not len(seen.tracker.predictions(at("08:26:10")).vehicle)
    seen.after(frozen((2_960.0, 0.0), "08:26:20", 80, **told))
    assert seen.phases[-10:] == [Phase.AT_DEPOT] * 10
    seen.after(drive("bus", EAST, at("09:46:20"), from_m=3_040, until_m=7_000, **told))
    assert (Phase.IN_SERVICE in seen.phases) == bool(told)


def test_a_unit_that_repeats_one_report_for_ever_falls_silent() -> None:
    reports = drive("bus", EAST, at("08:00"), until_m=2_960, trip="a")
    seen = Seen(one_line(EAST)).after(reports)
    again = [fix("bus", (2_960.0, 0.0), reports[-1].fix_ms, received_ms=at("08:06:30") + 10_000 * k) for k in range(30)]
    seen.after(again)
    assert seen.is_on[0] == Phase.SILENT
    assert not len(seen.tracker.predictions(at("08:12")).vehicle)


def test_a_bus_that_comes_back_to_its_first_stop_waits_there_again() -> None:
    """A jump of the GPS, or a turn round the terminal, has not begun the run."""
    seen = Seen(one_line(EAST)).after(frozen((0.0, 0.0), "07:50", 5, trip="a"))
    seen.after([fix("bus", (150.0, 0.0), at("07:55"), trip="a")])
    assert seen.phases == [Phase.IN_SERVICE]
    seen.after(frozen((10.0, 0.0), "07:55:30", 14, trip="a"))
    assert set(seen.phases[17:]) == {Phase.LAYOVER}
    assert len(seen.tracker.predictions(at("08:09:30")).vehicle) == 17
    seen.after(drive("bus", EAST, at("08:10"), until_m=2_000, trip="a"))
    assert seen.is_on == (Phase.IN_SERVICE, "1", 0, "a")


def test_far_off_its_line_a_bus_is_off_route_at_the_second_report() -> None:
    """No reflection throws a report that far; one such report may still be an outlier."""
    seen = Seen(one_line(EAST)).after(drive("bus", EAST, at("08:00"), until_m=2_960, trip="a", every_s=60))
    seen.after([fix("bus", (3_200.0, 400.0), at("08:07"), trip="a")])
    assert seen.phases == [Phase.IN_SERVICE]
    seen.after([fix("bus", (3_200.0, 800.0), at("08:08"), trip="a")])
    assert seen.phases == [Phase.OFF_ROUTE]


def midnight() -> Network:
    return town({"1/0": EAST}, {"1/0": STOPS}, "late 1/0 24:30\nearly 1/0 05:30")


@pytest.mark.parametrize("told", [{"trip": "late"}, {"route": "1"}, {}], ids=["trip", "route", "nothing"])
def test_after_midnight_a_run_is_one_of_the_day_before(told: dict[str, str]) -> None:
    seen = Seen(midnight()).after(drive("bus", EAST, at("24:31"), until_m=3_000, **told))
    assert seen.is_on == (Phase.IN_SERVICE, "1", 0, "late")
    assert seen.now is not None
    assert seen.now.deviation_s == pytest.approx(60, abs=10)


def test_a_bus_changes_its_route_where_two_begin() -> None:
    """It ends route 1 at a terminal that it shares with route 2, and drives on as route 2."""
    south = [(8_000.0, 0.0), (8_000.0, -6_000.0)]
    network = town(
        {"1/0": EAST, "1/1": WEST, "2/0": south},
        {"1/0": STOPS, "1/1": STOPS, "2/0": STOPS[:13]},
        "a 1/0 08:00\nb 1/1 08:30\nc 2/0 08:25",
    )
    seen = Seen(network).after(
        drive("bus", EAST, at("08:00")),
        [fix("bus", EAST[-1], at("08:17") + 30_000 * k) for k in range(16)],
        drive("bus", south, at("08:25"), until_m=3_000),
    )
    assert seen.is_on == (Phase.IN_SERVICE, "2", 0, "c")
