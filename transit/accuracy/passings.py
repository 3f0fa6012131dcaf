"""Observed passings: when each vehicle was at each stop, the runs they make up, and the stops that nobody saw.

Read from TIDES ``stop_visits`` or derived from a recording (``follow``). Observations have holes, and a bus comes back
on its next round; a prediction for a stop in a hole must not be held against the next round. So the time at a stop that
a run lacks is estimated from its neighbours and the timetable (``Holes``).
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from gtfs_data.network import Network
from transit.accuracy.forecasts import NONE, Codes, Floats, Index, InputError, Names
from transit.accuracy.lists import PlannedList, PlannedLists

RUN_GAP_MS: Final = 45 * 60_000  # a longer silence between two stops is another run
UNPLACED: Final = 99  # place within its run of a passing at a stop that the run's list does not have
NEEDED: Final = ("service_date", "vehicle_id", "stop_id", "stop_sequence", "actual_arrival_time")
OPTIONAL: Final = ("route_id", "direction_id", "trip_id_performed", "actual_departure_time")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Passings:
    """Passings in order of run and time. ``arrived`` is False where only the departure was seen.

    ``rank`` counts stops of the run's list from 0; ``pattern`` and ``row`` are those of the network, -1 where unknown.
    """

    vehicle: Codes
    route: Codes
    direction: npt.NDArray[np.int8]
    trip: Codes
    day: Codes  # of service, days since 1970
    stop: Codes
    sequence: Codes
    at_ms: Index
    arrived: npt.NDArray[np.bool_]
    run: Index
    start_ms: Index  # first passing of the run
    rank: Codes
    row: Codes

    def __len__(self) -> int:
        """Return the number of passings."""
        return len(self.at_ms)

    def take(self, which: npt.NDArray[np.bool_] | Index) -> "Passings":
        """Return some of them, by mask or by number."""
        return Passings(**{field.name: getattr(self, field.name)[which] for field in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Holes:
    """Passings that nobody saw, or saw only the departure of, with an estimated time."""

    vehicle: Codes
    direction: npt.NDArray[np.int8]
    stop: Codes
    sequence: Codes
    at_ms: Index


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Observed:
    """What really happened."""

    passings: Passings
    holes: Holes


def read_passings(path: Path, network: Network, names: Names) -> Observed:
    """Return the passings in the TIDES ``stop_visits`` file ``path``.

    Raises:
        InputError: if a column is missing, a value is not what its column holds, or a stop is not in the feed.
    """
    try:
        if path.suffix == ".parquet":
            table = pd.read_parquet(path).astype(str).replace({"nan": "", "None": "", "NaT": ""})
        else:
            table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (ValueError, OSError) as error:
        raise InputError(f"{path.name}: cannot be read as stop_visits: {error}") from error
    for column in NEEDED:
        if column not in table.columns:
            raise InputError(f"{path.name}: column {column} is missing; needed are {', '.join(NEEDED)}")
    for column in OPTIONAL:
        if column not in table.columns:
            table[column] = ""
    sequence = pd.to_numeric(table["stop_sequence"], errors="coerce")
    _refuse(table, sequence.isna(), "stop_sequence", "must be a number", path)
    stop = names.stops(table["stop_id"].tolist())
    _refuse(table, pd.Series(stop == NONE), "stop_id", "is not in stops.txt of the feed", path)
    arrival_ms, departure_ms = _times(table, "actual_arrival_time", path), _times(table, "actual_departure_time", path)
    day = pd.to_datetime(table["service_date"], format="%Y-%m-%d", errors="coerce")
    _refuse(table, day.isna(), "service_date", "must be YYYY-MM-DD", path)
    table = table.assign(
        stop=stop,
        sequence=sequence.astype(int),
        at_ms=np.where(arrival_ms >= 0, arrival_ms, departure_ms),
        arrived=arrival_ms >= 0,
        day=day.to_numpy().astype("datetime64[D]").astype(np.int32),
    )
    table = table[table["at_ms"] >= 0]
    if not table["arrived"].any():
        raise InputError(f"{path.name}: no row has an actual_arrival_time: there is nothing to judge by")
    return arranged(table, network, names)


def arranged(table: pd.DataFrame, network: Network, names: Names, lists: PlannedLists | None = None) -> Observed:
    """Put passings into runs, place them in the lists of stops of the feed, and estimate what is missing.

    ``table`` has ``vehicle_id``, ``route_id``, ``direction_id``, ``trip_id_performed`` as words and ``stop``,
    ``sequence``, ``at_ms``, ``arrived``, ``day`` as numbers. ``lists``: those of ``network``, where they are at hand.
    """
    order = ["vehicle_id", "route_id", "direction_id", "at_ms", "sequence"]
    table = table.sort_values(order, kind="stable").reset_index(drop=True)
    run = _runs(table)
    first = np.flatnonzero(np.diff(run, prepend=-1))
    at_ms = table["at_ms"].to_numpy(np.int64)
    direction = pd.to_numeric(table["direction_id"], errors="coerce").fillna(NONE).to_numpy().astype(np.int8)
    passings = Passings(
        vehicle=names.vehicles(table["vehicle_id"].tolist()),
        route=names.routes(table["route_id"].tolist()),
        direction=direction,
        trip=names.trips(table["trip_id_performed"].tolist()),
        day=table["day"].to_numpy(np.int32),
        stop=table["stop"].to_numpy(np.int32),
        sequence=table["sequence"].to_numpy(np.int32),
        at_ms=at_ms,
        arrived=table["arrived"].to_numpy(np.bool_),
        run=run,
        start_ms=at_ms[first][run] if len(run) else at_ms,
        rank=np.zeros(len(table), dtype=np.int32),
        row=np.full(len(table), NONE, dtype=np.int32),
    )
    return Observed(passings=passings, holes=_place(passings, first, lists or PlannedLists(network)))


def _runs(table: pd.DataFrame) -> Index:
    """Number the runs: one vehicle, route, direction, trip and day, sequence rising, no long silence."""
    same = np.ones(len(table), dtype=np.bool_)
    for column in ("vehicle_id", "route_id", "direction_id", "trip_id_performed", "day"):
        values = table[column].to_numpy()
        same[1:] &= values[1:] == values[:-1]
    same[1:] &= np.diff(table["sequence"].to_numpy()) > 0
    same[1:] &= np.diff(table["at_ms"].to_numpy()) < RUN_GAP_MS
    same[:1] = False
    return np.asarray(np.cumsum(~same) - 1, dtype=np.int64)


def _place(passings: Passings, first: Index, lists: PlannedLists) -> Holes:
    """Write rank and row into ``passings``; return the holes of all runs."""
    missing: list[tuple[int, int, Codes, Codes, Floats]] = []
    for begin, end in itertools.pairwise([*first.tolist(), len(passings)]):
        sequence, stop = passings.sequence[begin:end], passings.stop[begin:end]
        trip, route, direction = (int(x[begin]) for x in (passings.trip, passings.route, passings.direction))
        found = lists.of(trip, route, direction, sequence, stop)
        if found is None:
            passings.rank[begin:end] = np.arange(end - begin)
            continue
        place = found.places(sequence, stop)
        known = place >= 0
        passings.rank[begin:end] = np.where(known, place, UNPLACED)
        passings.row[begin:end] = np.where(known, found.first_row + place, NONE)
        if known.any():
            unseen, guess_ms = _unseen(found, place[known], passings.at_ms[begin:end], known)
            missing.append(
                (int(passings.vehicle[begin]), direction, found.stop[unseen], found.sequence[unseen], guess_ms)
            )
    late = passings.take(~passings.arrived)

    def column(of_runs: Sequence[npt.NDArray[np.generic]], of_late: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        return np.concatenate([*of_runs, of_late]).astype(of_late.dtype)

    return Holes(
        vehicle=column([np.full(len(s), v) for v, _, s, _, _ in missing], late.vehicle),  # type: ignore[arg-type]
        direction=column([np.full(len(s), d) for _, d, s, _, _ in missing], late.direction),  # type: ignore[arg-type]
        stop=column([s for _, _, s, _, _ in missing], late.stop),  # type: ignore[arg-type]
        sequence=column([q for _, _, _, q, _ in missing], late.sequence),  # type: ignore[arg-type]
        at_ms=column([np.rint(g) for *_, g in missing], late.at_ms),  # type: ignore[arg-type]
    )


def _unseen(planned: PlannedList, place: Codes, at_ms: Index, known: npt.NDArray[np.bool_]) -> tuple[Index, Floats]:
    """Return the places that a run lacks, and when it was there: between neighbours, or by the timetable beyond."""
    unseen = np.setdiff1d(np.arange(len(planned.stop)), place)
    plan_ms, seen_ms = 1000 * planned.seconds, at_ms[known].astype(np.float64)
    told_ms = plan_ms[place]
    between = np.interp(plan_ms[unseen], told_ms + np.arange(len(place)) * 1e-3, seen_ms)
    before = at_ms[0] - (told_ms[0] - plan_ms[unseen])
    after = at_ms[-1] + plan_ms[unseen] - told_ms[-1]
    return unseen, np.where(unseen < place[0], before, np.where(unseen > place[-1], after, between))


def _times(table: pd.DataFrame, column: str, path: Path) -> Index:
    given = table[column] != ""
    times = pd.to_datetime(table[column].where(given), utc=True, format="ISO8601", errors="coerce")
    _refuse(table, times.isna() & given, column, "must be ISO 8601 with offset", path)
    since = (times - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(milliseconds=1)
    return np.asarray(since.fillna(NONE).to_numpy(), dtype=np.int64)


def _refuse(table: pd.DataFrame, wrong: "pd.Series[bool]", column: str, rule: str, path: Path) -> None:
    if wrong.any():
        row = int(np.flatnonzero(wrong.to_numpy())[0])
        raise InputError(f"{path.name}: row {row + 2}: {column} {table[column].iloc[row]!r} {rule}")
