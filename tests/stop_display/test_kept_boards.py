"""A board that has been asked before keeps rows and plans; it says what one says that is made for the moment."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from stop_display.board import LineBoard, Moment
from stop_display.plan import Plan
from tests.notation.town import at
from tests.stop_display.scenes import EVERY_HALF_HOUR, KEY, bus, place, run_key, street, with_frequency
from transit.model import Arrival, VehiclePosition
from transit.notices import Cancelled

S2 = 2
PLANS = [
    Plan(street()),
    Plan(street("T1 1/0 23:50\nT2 1/0 24:20\nT3 1/0 26:30")),
    Plan(with_frequency(street("T1 1/0 00:00"), "08:00", "09:00", 600, exact=False)),
    Plan(with_frequency(street(EVERY_HALF_HOUR), "08:00", "09:00", 600, exact=True)),
]
FIRST = run_key("T1", "08:00")
DRIVEN = ((FIRST, "101"), (FIRST, "101"), (FIRST, "102"), (run_key("T2", "08:30"), "102"), ("unplanned", "103"))


@dataclass
class City:
    """What is known, changed in place as the hub does; what does not change stays the same object."""

    now_ms: int
    live: dict[str, Arrival] = field(default_factory=dict)
    on_run: dict[str, VehiclePosition] = field(default_factory=dict)
    occupancy: dict[str, str] = field(default_factory=dict)
    missed: frozenset[int] = frozenset()
    cancelled: Cancelled = field(default_factory=Cancelled)

    def moment(self, silent_s: int) -> Moment:
        return Moment(
            now_ms=self.now_ms,
            as_of_ms=self.now_ms - 1_000 * silent_s,
            on_run=self.on_run,
            missed=self.missed,
            occupancy=self.occupancy,
            cancelled=self.cancelled,
        )


@st.composite
def happenings(draw: st.DrawFn) -> list[tuple[str, tuple[str, str], int, int]]:
    """Return what happens: its kind, run and vehicle, a number whose meaning is the kind's, and seconds that pass."""
    kinds = ("time", "arrival", "gone", "place", "stands", "full", "detour", "cancelled")
    seconds = st.one_of(st.integers(0, 5), st.sampled_from([0, 0, 31, 40, 90, 600, 3_600, 30_000]))
    one = st.tuples(st.sampled_from(kinds), st.sampled_from(DRIVEN), st.integers(0, 2_400), seconds)
    return draw(st.lists(one, min_size=2, max_size=30))


def happen(city: City, kind: str, run: str, vehicle: str, number: int) -> None:
    match kind:
        case "arrival":
            one = bus(city.now_ms - 60_000 + 1_000 * (number % 300), run=run, vehicle=vehicle, stop="S2", sequence=3)
            city.live[one.key] = one
        case "gone":
            city.live.pop(f"{vehicle}|{run}|3", None)
        case "place":
            city.on_run[run] = place(float(number), run=run, vehicle=vehicle, fix_ms=city.now_ms)
        case "stands":
            city.on_run[run] = place(1_600.0, run=run, vehicle=vehicle, fix_ms=city.now_ms, speed_mps=0.0)
        case "full":
            city.occupancy[vehicle] = "full" if number % 2 else ""
        case "detour":
            city.missed = frozenset({number % 3})
        case "cancelled":
            city.cancelled = Cancelled([run] if number % 2 else [])


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(PLANS), st.sampled_from(["07:50", "08:20", "23:40"]), happenings())
def test_a_board_that_was_asked_before_says_what_a_new_one_says(
    plan: Plan, clock: str, history: list[tuple[str, tuple[str, str], int, int]]
) -> None:
    kept, city = LineBoard(plan, S2), City(at(clock))
    for kind, (run, vehicle), number, seconds in history:
        city.now_ms += 1_000 * seconds
        happen(city, kind, run, vehicle, number)
        moment = city.moment(silent_s=100 if kind == "time" and number > 2_000 else 0)
        line = LineBoard(plan, S2).line(KEY, city.live.values(), moment)
        assert kept.line(KEY, city.live.values(), moment) == line


def test_a_bus_that_was_at_the_stop_is_not_there_for_ever() -> None:
    kept, city = LineBoard(PLANS[0], S2), City(at("08:03"))
    happen(city, "stands", FIRST, "101", 0)
    happen(city, "arrival", FIRST, "101", 75)
    seen = []
    for seconds in (0, 30, 1):
        city.now_ms += 1_000 * seconds
        seen.append(kept.line(KEY, city.live.values(), city.moment(0)).arrivals[0].at_stop)
    assert seen == [True, True, False]


def test_a_stop_that_a_detour_leaves_out_from_now_on_is_none_that_a_bus_still_makes() -> None:
    kept, city = LineBoard(PLANS[0], S2), City(at("08:00"))
    happen(city, "place", FIRST, "101", 10)
    happen(city, "arrival", FIRST, "101", 200)
    away = []
    for missed in (frozenset[int](), frozenset({1}), frozenset[int]()):
        city.missed = missed
        away.append(kept.line(KEY, city.live.values(), city.moment(0)).arrivals[0].stops_away)
    assert away == [1, 0, 1]
