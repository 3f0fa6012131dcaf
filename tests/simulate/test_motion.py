"""Buses drive as buses do, and what is told about them is consistent: the truth must not contradict itself."""

import functools
import itertools
from collections import defaultdict

import numpy as np
import pytest

from ayaldama.simulate import motion as parameters
from ayaldama.simulate.motion import DRIVING, DWELLING, OFF, SPEED_MAX, WAITING, Passages
from tests.notation.town import at
from tests.simulate.there_and_back import STOPS_M, drive, motion_of, network_of

LONG = 3_600  # seconds: buses come round two or three times


@functools.cache
def an_hour() -> list[Passages]:
    return drive(motion_of(network_of()), LONG)


def by_run(passages: list[Passages]) -> dict[int, list[tuple[int, int, int]]]:
    """Return, per run, its rows with arrival and departure, in the order in which they happened."""
    found: defaultdict[int, list[tuple[int, int, int]]] = defaultdict(list)
    for one in passages:
        for run, row, arrival_ms, departure_ms in zip(
            one.run.tolist(), one.row.tolist(), one.arrival_ms.tolist(), one.departure_ms.tolist(), strict=True
        ):
            found[run].append((row, arrival_ms, departure_ms))
    return dict(found)


def headways_s(passages: list[Passages], row: int) -> np.ndarray:
    left = sorted(int(ms) for one in passages for ms in one.departure_ms[one.row == row])
    return np.diff(left[3:]) / 1000  # the first ones were put there by plan


def test_the_same_seed_is_the_same_day_and_another_seed_another() -> None:
    days = [motion_of(network_of(), seed=seed) for seed in (5, 5, 6)]
    first, again, other = (by_run(drive(day, 900)) for day in days)
    assert first == again
    assert first != other


def test_every_stop_is_passed_in_order_and_time_only_increases() -> None:
    runs = by_run(an_hour())
    assert len(runs) > 20
    for rows in runs.values():
        assert [row for row, _, _ in rows] == list(range(rows[0][0], rows[-1][0] + 1))
        for (_, arrival_ms, departure_ms), (_, next_ms, _) in itertools.pairwise(rows):
            assert arrival_ms <= departure_ms < next_ms


def test_a_bus_never_runs_backwards_nor_faster_than_a_bus() -> None:
    motion = motion_of(network_of())
    for _ in range(LONG):
        run, offset_m, state = motion.run.copy(), motion.offset_m.copy(), motion.state.copy()
        motion.step()
        same = (motion.run == run) & np.isin(state, (DRIVING, DWELLING))
        moved_m = (motion.offset_m - offset_m)[same]
        assert moved_m.min(initial=0.0) >= 0.0
        assert moved_m.max(initial=0.0) <= SPEED_MAX


def test_a_bus_does_not_jump_from_run_to_run() -> None:
    motion = motion_of(network_of())
    everyone = np.arange(len(motion))
    before, _ = motion.place(everyone)
    for _ in range(LONG):
        out = motion.state != OFF
        motion.step()
        now, _ = motion.place(everyone)
        still_out = out & (motion.state != OFF)
        jumped_m = np.hypot(*(now - before)[still_out].T)
        assert jumped_m.max(initial=0.0) < 130.0  # to the other side of the road, and from the last stop's mark
        before = now


def test_a_late_bus_still_stands_a_minute_before_it_turns() -> None:
    runs = by_run(an_hour())
    motion = motion_of(network_of())
    last = {run: rows[-1] for run, rows in runs.items() if rows[-1][0] + 1 in (len(STOPS_M), 2 * len(STOPS_M))}
    turns = [
        runs[run + 1][0][2] - departure_ms
        for run, (_, _, departure_ms) in last.items()
        if run + 1 in runs and run not in motion._last.tolist()
    ]
    assert len(turns) > 10
    assert min(turns) >= 60_000


def test_buses_come_out_in_the_morning_and_go_home_at_night() -> None:
    trips = "a 7/0 07:00\nb 7/1 07:20\nc 7/0 08:25"
    motion = motion_of(network_of(trips=trips), start="06:45")
    seen = {}
    for minute in range(6 * 60 + 45, 9 * 60):
        seen[minute] = motion.state.tolist()
        drive(motion, 60)
    assert seen[6 * 60 + 48] == [OFF]
    assert seen[6 * 60 + 55] == [WAITING]
    assert seen[7 * 60 + 10][0] in (DRIVING, DWELLING)
    assert seen[8 * 60 + 5] == [OFF]  # rests between the rushes
    assert seen[8 * 60 + 20] == [WAITING]
    assert seen[9 * 60 - 1] == [OFF]


def test_at_the_start_buses_are_spread_as_the_plan_has_them() -> None:
    motion = motion_of(network_of(300), start="12:00")
    under_way = motion.state == DWELLING
    assert under_way.sum() >= 4  # 720 s of driving each way, one every 300 s
    assert len(set(motion.offset_m[under_way].round().tolist())) == under_way.sum()


def test_where_more_people_wait_buses_bunch(monkeypatch: pytest.MonkeyPatch) -> None:
    def irregularity(arrivals_per_s: float) -> float:
        """Coefficient of variation of headways near the end of the line; 0 is even."""
        monkeypatch.setattr(parameters, "ARRIVALS_PER_S", arrivals_per_s)
        gaps_s = headways_s(drive(motion_of(network_of(120)), 3_000), row=len(STOPS_M) - 2)
        return float(np.std(gaps_s) / np.mean(gaps_s))

    quiet, busy = irregularity(1 / 3_000), irregularity(1 / 40)
    assert busy > 1.3 * quiet


def test_headways_get_less_even_along_the_line() -> None:
    passages = drive(motion_of(network_of(240)), LONG)
    begin, end = headways_s(passages, row=0), headways_s(passages, row=len(STOPS_M) - 2)
    assert np.std(end) > 1.5 * np.std(begin)


def test_a_run_takes_about_as_long_as_planned_outside_the_rush() -> None:
    runs = by_run(drive(motion_of(network_of(), start="10:30"), LONG))
    whole = [rows[-1][1] - rows[0][2] for rows in runs.values() if len(rows) == len(STOPS_M)]
    planned_s = (STOPS_M[-1] - STOPS_M[0]) / 8.0
    assert len(whole) > 10
    assert 0.7 < np.median(whole) / 1000 / planned_s < 1.6


def test_time_moves_by_one_second_a_step() -> None:
    motion = motion_of(network_of(), start="07:00")
    drive(motion, 90)
    assert motion.now_ms == at("07:01:30")
