"""The ways to a stop and the buses on them: drawn as the lines run, each stretch once, nothing that the board hides."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod

from stop_display.hub import Hub
from stop_display.model import BoardArrival, Line, StopBoard
from stop_display.plan import Plan
from stop_display.stop_page.coming import STOPS_BEFORE, ApproachMaps, coming_vehicles
from stop_display.stop_page.model import Approaches
from tests.notation.town import at, town
from tests.stop_display.scenes import bus, place, street, update

EARTH = Geod(ellps="WGS84")
CORNER = [(0.0, 0.0), (1_000.0, 0.0), (1_000.0, 1_000.0)]
TWO_LINES = town(
    {"1/0": CORNER, "2/0": [*CORNER, (3_000.0, 1_000.0)], "3/0": [(1_000.0, 1_000.0), (0.0, 1_000.0)]},
    {"1/0": (0, 800, 1_500, 2_000), "2/0": (0, 800, 1_500, 2_000, 4_000), "3/0": (0, 1_000)},
    "T1 1/0 08:00\n T2 2/0 08:10\n T3 3/0 08:00",
)


def approaches(stop: str) -> Approaches:
    return ApproachMaps(TWO_LINES, Plan(TWO_LINES)).of(TWO_LINES.stop_by_id[stop])  # type: ignore[index]


def length_m(path: list[tuple[float, float]]) -> float:
    return EARTH.line_length([lon for _, lon in path], [lat for lat, _ in path])


def test_a_stretch_that_lines_share_is_drawn_once_for_both() -> None:
    found = approaches("S2")
    assert [stretch.lines for stretch in found.stretches] == [["1|to 1/0", "2|to 2/0"]] * 2
    assert [round(length_m(stretch.path)) for stretch in found.stretches] == pytest.approx([800, 700], abs=2)
    assert len(found.stretches[1].path) == 3, "it goes round the corner"
    assert [stop.stop for stop in found.stops] == ["S0", "S1"]


def test_where_a_line_begins_no_way_leads() -> None:
    assert approaches("S0").stretches == []


def test_a_line_that_ends_here_is_not_waited_for() -> None:
    assert {line for stretch in approaches("S3").stretches for line in stretch.lines} == {"2|to 2/0"}


def test_far_stops_are_left_out_and_stretches_join() -> None:
    long = town({"1/0": [(0.0, 0.0), (20_000.0, 500.0)]}, {"1/0": range(0, 20_000, 500)}, "T1 1/0 08:00")
    found = ApproachMaps(long, Plan(long)).of(38)
    assert len(found.stretches) == STOPS_BEFORE == len(found.stops)
    ends = [stretch.path[-1] for stretch in found.stretches]
    assert ends[:-1] == [stretch.path[0] for stretch in found.stretches[1:]]


def board(*rows: BoardArrival, stop: str = "S2") -> StopBoard:
    line = Line(key="1|to 1/0", route_id="1", route="1", destination={}, state="live", arrivals=list(rows))
    return StopBoard(stop=stop, code="", name={}, lines=[line])


def row(vehicle: str = "101") -> BoardArrival:
    return BoardArrival(key=f"{vehicle}|run|3", state="live", arrival_ms=at("08:05"), vehicle=vehicle)


def test_only_buses_of_the_board_are_told() -> None:
    vehicles = {"101": place(900.0), "102": place(100.0, vehicle="102")}
    told = coming_vehicles(TWO_LINES, board(row(), row(""), row("gone")), vehicles.get)
    assert [(one.key, one.line, one.to_go_m) for one in told] == [("101|run|3", "1|to 1/0", 600)]


@given(st.floats(0, 2_000))
def test_how_far_a_bus_has_to_go_is_told_until_it_is_there(offset_m: float) -> None:
    (told,) = coming_vehicles(TWO_LINES, board(row()), lambda _: place(offset_m))
    assert told.to_go_m == (round(1_500 - offset_m) if offset_m <= 1_500 else None)


def test_a_loop_is_gone_round_to_the_next_call() -> None:
    ring = [(0.0, 0.0), (500.0, 0.0), (500.0, 500.0), (0.0, 500.0), (0.0, 0.0)]
    loop = town({"1/0": ring}, {"1/0": (0, 700, 2_000)}, "T1 1/0 08:00")
    (told,) = coming_vehicles(loop, board(row(), stop="S0"), lambda _: place(900.0))
    assert told.to_go_m == 1_100


def test_a_bus_without_place_on_a_line_has_no_way_to_go() -> None:
    unplaced = place(0.0)
    for changes in ({"offset_m": None}, {"pattern": -1}, {"pattern": 99}, {"pattern": 2}):
        values = {name: getattr(unplaced, name) for name in unplaced.__struct_fields__} | changes
        (told,) = coming_vehicles(TWO_LINES, board(row(), stop="S1"), lambda _, v=values: type(unplaced)(**v))
        assert told.to_go_m is None


def test_a_hub_knows_where_its_buses_are_until_they_leave() -> None:
    hub = Hub(street())
    hub.replace([bus("08:04")], [place(200.0)], at("08:00"))
    (told,) = coming_vehicles(hub.network, hub.board("S1", at("08:00")), hub.vehicle)
    assert (told.to_go_m, np.sign(told.place[0])) == (600, 1)
    hub.apply(update("08:01", gone=("101",)))
    assert coming_vehicles(hub.network, hub.board("S1", at("08:01")), hub.vehicle) == []


def test_what_is_not_heard_any_more_is_not_told() -> None:
    hub = Hub(street())
    hub.replace([bus("08:04")], [place(200.0)], at("08:00"))
    assert coming_vehicles(hub.network, hub.board("S1", at("08:03")), hub.vehicle) == []
