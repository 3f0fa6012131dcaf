"""What boards are told, judged as it becomes certain: the same figures as the yardstick, in slices of any length."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.notation.town import DAY, at, town
from transit.accuracy.bins import MBTA
from transit.accuracy.figures import Figures, figures
from transit.accuracy.forecasts import Names, joined
from transit.accuracy.judge import judge
from transit.accuracy.lists import PlannedLists
from transit.accuracy.live import (
    EVENTS_BEFORE_MS,
    SAMPLES_BEFORE_MS,
    VEHICLES_MAX,
    Sample,
    Tally,
    by_route,
    forecasts_of,
    observed_of,
    recording_of,
    sample_of,
    settle,
    summed,
    watched,
)
from transit.accuracy.tracks import Tracks
from transit.model import Arrival, StopEvent, VehiclePosition

EAST = [(0.0, 0.0), (4000.0, 0.0)]
NORTH = [(0.0, 300.0), (0.0, 4300.0)]
STOPS_M = [500.0 * number for number in range(9)]
NETWORK = town({"1/0": EAST, "2/0": NORTH}, {"1/0": STOPS_M, "2/0": STOPS_M}, "t1 1/0 08:00\nt2 2/0 08:00")
LISTS = PlannedLists(NETWORK)
MINUTE_MS = 60_000
KNOWN_LATER_MS = 50 * MINUTE_MS  # after so long nothing that was counted can turn out to be otherwise


def arrival(clock: str, stop: int, *, vehicle: str = "a", route: str = "1", state: str = "live") -> Arrival:
    """Return what is said of a stop of route 1 (S0 to S8)."""
    arrival_ms = at(clock)
    return Arrival(
        key=f"{vehicle}|run|{stop + 1}",
        stop_id=NETWORK.stops.ids[stop + (9 if route == "2" else 0)],
        vehicle_id=vehicle,
        route_id=route,
        direction_id=0,
        trip_id=f"t{route}",
        run_key="run",
        stop_sequence=stop + 1,
        arrival_ms=arrival_ms,
        arrival_p10_ms=arrival_ms - 45_000,
        arrival_p90_ms=arrival_ms + 75_000,
        state=state,
        fix_ms=0,
        scheduled_ms=None,
    )


def passage(clock: str, stop: int, *, vehicle: str = "a", route: str = "1") -> StopEvent:
    arrival_ms = at(clock)
    return StopEvent(
        service_date=DAY.isoformat(),
        vehicle_id=vehicle,
        route_id=route,
        direction_id=0,
        trip_id=f"t{route}",
        run_key="run",
        stop_id=NETWORK.stops.ids[stop + (9 if route == "2" else 0)],
        stop_sequence=stop + 1,
        arrival_ms=arrival_ms,
        departure_ms=arrival_ms + 15_000,
        uncertainty_s=2.0,
        scheduled_arrival_ms=None,
        trip_stop_sequence=stop + 1,
    )


def place(vehicle: str, at_ms: int, stop: int = 0) -> VehiclePosition:
    return VehiclePosition(
        vehicle_id=vehicle,
        fix_ms=at_ms,
        lat=float(NETWORK.stops.lat[stop]),
        lon=float(NETWORK.stops.lon[stop]),
        heading_deg=None,
        speed_mps=None,
        phase="in_service",
        route_id="1",
        direction_id=0,
        trip_id="t1",
        run_key="run",
        offset_m=None,
        next_stop_id="",
        deviation_s=None,
    )


def sample(clock: str, *said: Arrival, places: Sequence[VehiclePosition] = ()) -> Sample:
    return sample_of(places, said, NETWORK, at(clock))


def settled(samples: Sequence[Sample], events: Sequence[StopEvent], begin: str, end: str) -> list[Tally]:
    return settle(samples, events, NETWORK, LISTS, from_ms=at(begin), until_ms=at(end))


WHOLE_RUN = [passage(f"08:{2 * stop:02d}", stop) for stop in range(9)]


def test_a_prediction_counts_when_its_bus_has_passed_and_not_before() -> None:
    said = [sample("08:05", arrival("08:11:30", 6))]  # it comes at 08:12
    assert not any(tally.told for tally in settled(said, WHOLE_RUN, "08:05", "08:12"))
    (tally,) = settled(said, WHOLE_RUN, "08:12", "08:13")
    told = tally.told["6-12"]
    assert (told.n, told.off_s, told.late_s, told.accurate, told.covered) == (1, 30.0, 30.0, 1, 1)
    assert not any(tally.told for tally in settled(said, WHOLE_RUN, "08:13", "09:30"))


def test_a_passing_is_foretold_by_what_was_published_four_to_six_minutes_before() -> None:
    said = [sample("08:07", arrival("08:13", 6)), sample("08:07:30", arrival("08:19", 8))]
    (tally,) = settled(said, WHOLE_RUN, "08:00", "08:30")
    assert (tally.passings, tally.foretold) == (7, 1)  # from the third stop on
    assert (tally.under_way, tally.foretold_under_way) == (5, 1)  # it left at 08:00:15


def test_a_countdown_that_rises_by_a_minute_counts_once() -> None:
    minutes = {"08:02": "08:11", "08:03": "08:12", "08:04": "08:12:59", "08:05": "08:12"}
    said = [sample(made, arrival(told, 6)) for made, told in minutes.items()]
    (tally,) = settled(said, WHOLE_RUN, "08:00", "08:30")
    assert (tally.countdowns, tally.rises) == (1, 1)


def test_a_bus_that_drives_on_and_never_comes_was_a_phantom() -> None:
    elsewhere = [place("a", at("08:00") + minute * MINUTE_MS, stop=17) for minute in range(120)]
    said = [sample("08:05", arrival("08:12", 6))]
    said += [sample_of([there], [], NETWORK, there.fix_ms) for there in elsewhere]
    (tally,) = settled(said, [], "08:42", "08:43")
    assert (tally.phantoms, tally.unknown) == (1, 0)
    unheard = [sample("08:05", arrival("08:12", 6))]
    (tally,) = settled(unheard, [], "08:42", "08:43")
    assert (tally.phantoms, tally.unknown) == (0, 1)


@pytest.mark.parametrize("state", ["timetable", "headway", "cancelled"])
def test_only_what_is_shown_as_live_is_judged(state: str) -> None:
    assert sample("08:05", arrival("08:11", 6, state=state)).vehicle == []


def test_only_half_an_hour_ahead_is_judged() -> None:
    told = ("08:04:29", "08:04:30", "08:35", "08:35:01")
    assert sample("08:05", *(arrival(clock, 6) for clock in told)).arrival_s == [-30, 1_800]


def test_samples_of_another_feed_are_not_read_as_of_this_one() -> None:
    other = Sample(**{**_fields(sample("08:05", arrival("08:11:30", 6))), "feed_hash": "other"})
    assert not any(tally.told for tally in settled([other], WHOLE_RUN, "08:00", "09:00"))


def test_of_a_large_fleet_a_fixed_share_is_watched_and_nothing_else_counts() -> None:
    fleet = [f"bus-{number}" for number in range(VEHICLES_MAX + 1)]
    said = [arrival("08:11:30", 6, vehicle=vehicle) for vehicle in fleet]
    (one,) = [sample("08:05", *said, places=[place(vehicle, at("08:05")) for vehicle in fleet])]
    assert one.one_of == 2
    assert set(one.vehicles) == {vehicle for vehicle in fleet if watched(vehicle, 2)}
    (tally,) = settled([one], [passage("08:12", 6, vehicle=vehicle) for vehicle in fleet], "08:00", "09:00")
    assert tally.told["6-12"].n == tally.passings == len(one.vehicles)


def test_sums_of_routes_and_hours_add_up() -> None:
    said = [sample("08:05", arrival("08:11:30", 6))]
    first, second = settled(said, WHOLE_RUN, "08:00", "08:12"), settled(said, WHOLE_RUN, "08:12", "08:30")
    assert by_route([*first, *second]) == by_route(settled(said, WHOLE_RUN, "08:00", "08:30"))
    with pytest.raises(ValueError, match="not enough values"):
        summed([])


@dataclass(frozen=True)
class History:
    """A morning: what was published every other minute and which passages were observed."""

    seed: int
    samples: list[Sample] = field(repr=False)
    events: list[StopEvent] = field(repr=False)


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Draw runs with unseen stops, and predictions that are near, far off, early, late or about nothing."""
    seed = draw(st.integers(0, 2**32 - 1))
    chance = np.random.default_rng(seed)
    events: list[StopEvent] = []
    for vehicle in ("a", "b")[: draw(st.integers(1, 2))]:
        begin_ms = at("06:00") + MINUTE_MS * draw(st.integers(0, 90))
        for _ in range(draw(st.integers(1, 2))):
            route = draw(st.sampled_from(["1", "2"]))
            times_ms = begin_ms + np.cumsum(chance.integers(20_000, 240_000, 9))
            seen = chance.random(9) < draw(st.sampled_from([0.5, 0.9, 1.0]))
            for stop in np.flatnonzero(seen).tolist():
                event = passage("00:00", stop, vehicle=vehicle, route=route)
                changed = {"arrival_ms": int(times_ms[stop]), "departure_ms": int(times_ms[stop]) + 10_000}
                events.append(StopEvent(**{**_fields(event), **changed}))
            # a bus comes back to a stop only when all said of the round before has long been judged
            begin_ms = int(times_ms[-1]) + MINUTE_MS * draw(st.integers(100, 130))
    return History(seed, [_said(minute, events, chance) for minute in range(0, 360, 2)], events)


def _said(minute: int, events: Sequence[StopEvent], chance: np.random.Generator) -> Sample:
    """Return what is published in this minute: of passages ahead or just over, with all kinds of errors."""
    at_ms = at("06:00") + MINUTE_MS * minute
    near = [event for event in events if -300_000 <= event.arrival_ms - at_ms <= 2_400_000]
    said = []
    for event in near:
        if chance.random() < 0.5:
            told_ms = event.arrival_ms + int(chance.normal(0, chance.choice([20_000, 200_000, 1_500_000])))
            one = arrival("00:00", event.stop_sequence - 1, vehicle=event.vehicle_id, route=event.route_id)
            quantiles = {"arrival_p10_ms": told_ms - 40_000, "arrival_p90_ms": told_ms + 60_000}
            said.append(Arrival(**{**_fields(one), "arrival_ms": told_ms, **quantiles}))
    places = [place(vehicle, at_ms - 5_000, stop=int(chance.integers(0, 18))) for vehicle in ("a", "b")]
    return sample_of(places if chance.random() < 0.95 else [], said, NETWORK, at_ms)


def _fields(value: Sample | StopEvent | Arrival) -> dict[str, object]:
    return {name: getattr(value, name) for name in value.__struct_fields__}


def judged_at_once(history: History) -> Figures:
    """Return the figures of ``ayaldama evaluate`` for the same predictions and passages."""
    names = Names(NETWORK)
    said = joined([forecasts_of(one, names) for one in history.samples])
    observed = observed_of(history.events, NETWORK, names, LISTS)
    judged = judge(said, observed, Tracks(recording_of(history.samples), NETWORK, names))
    return figures("at once", judged, NETWORK, np.unique(observed.passings.day).astype(np.int64))


@settings(max_examples=15, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])  # a seed cannot shrink
@given(histories(), st.lists(st.integers(10, 120), min_size=1, max_size=6))
def test_slices_of_any_length_add_up_to_the_figures_of_the_yardstick(history: History, minutes: list[int]) -> None:
    tallies: list[Tally] = []
    begin_ms, end_ms = at("06:00"), at("13:30")
    for length in itertools.cycle(minutes):
        until_ms = begin_ms + length * MINUTE_MS
        known_ms = until_ms + KNOWN_LATER_MS
        samples = [one for one in history.samples if begin_ms - SAMPLES_BEFORE_MS <= 1000 * one.at_s < known_ms]
        events = [one for one in history.events if begin_ms - EVENTS_BEFORE_MS <= one.arrival_ms < known_ms]
        tallies += settle(samples, events, NETWORK, LISTS, from_ms=begin_ms, until_ms=until_ms)
        begin_ms = until_ms
        if begin_ms >= end_ms:
            break
    expected = judged_at_once(history)
    found = summed(tallies)
    assert _as_said(found) == _as_figures(expected)
    for route_id, tally in by_route(tallies).items():
        of_route = expected.by_route.get(route_id)
        assert sum(told.n for told in tally.told.values()) == (of_route.n if of_route else 0)


def _as_said(tally: Tally) -> dict[str, object]:
    return {
        "told": {
            ahead: pytest.approx((told.n, told.off_s, told.late_s, told.accurate, told.covered, told.width_s))
            for ahead, told in sorted(tally.told.items())
        },
        "passings": (tally.passings, tally.foretold, tally.under_way, tally.foretold_under_way),
        "countdowns": (tally.countdowns, tally.rises),
        "outcomes": (tally.passed, tally.phantoms, tally.holes, tally.unknown),
    }


def _as_figures(expected: Figures) -> dict[str, object]:
    def count(share: float | None, of: int) -> int:
        return round((share or 0) * of)

    told = {
        bounds.name: (
            errors.n,
            (errors.mae_s or 0) * errors.n,
            (errors.bias_s or 0) * errors.n,
            count(errors.accurate_pct, errors.n) / 100,
            count(errors.covered_pct, errors.n) / 100,
            (errors.width_s or 0) * errors.n,
        )
        for bounds in MBTA
        if (errors := expected.mbta[bounds.name]).n
    }
    under_way = expected.passings_under_way
    return {
        "told": dict(sorted(told.items())),
        "passings": (
            expected.passings,
            round((expected.foretold_pct or 0) * expected.passings / 100),
            under_way,
            round((expected.foretold_under_way_pct or 0) * under_way / 100),
        ),
        "countdowns": (expected.countdowns, round((expected.upward_jumps or 0) * expected.countdowns)),
        "outcomes": tuple(expected.outcomes[name] for name in ("passed", "phantom", "hole", "unknown")),
    }
