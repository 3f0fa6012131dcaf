"""Turn rows of arrays into the values that leave the process: names for numbers, None for unknown.

Each kind of value is made from columns, all rows at once. A column of names is an array of strings ending with "", so
that index -1, nothing, has a name too.
"""

import datetime as dt
import operator
import sys
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from gtfs_data.network import Network
from transit.model import Arrival, ArrivalKey, StopEvent, VehiclePosition
from transit.outcomes import ArrivalState, Phase
from transit.tracking.fleet import LEGS, Fleet
from transit.tracking.observe import Passages
from transit.tracking.plan import Plan
from transit.tracking.predictions import Predictions
from transit.tracking.ragged import Owners, heads
from transit.tracking.run_keys import RunKeys

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]
Names = npt.NDArray[np.object_]
Value = TypeVar("Value")

PHASES = tuple(Phase)
SILENT = PHASES.index(Phase.SILENT)


class Wording:
    """The names of one ``Network``."""

    def __init__(self, network: Network, plan: Plan) -> None:
        patterns, trips = network.patterns, network.trips
        self._plan = plan
        self._first = patterns.first.astype(np.int64)
        self._trip_ids, self._route_ids = _names(trips.ids), _names(network.routes.ids)
        self._stop_of_row = _names(network.stops.ids[stop] for stop in patterns.stop.tolist())
        self._sequence_of_row = patterns.stop_sequence.astype(np.int64)
        self._number_of_row = _names(map(sys.intern, map(str, patterns.stop_sequence.tolist())))
        self._last_row = np.zeros(len(patterns.stop), dtype=np.bool_)
        self._last_row[self._first[1:] - 1] = True
        self._route_of = np.append(patterns.route.astype(np.int64), -1)
        self._direction_of = np.append(patterns.direction.astype(np.int64), -1)
        self._trip_signs, self._pattern_signs = _names(trips.headsigns), _names(patterns.headsigns)
        self._states, self._phases = _names((ArrivalState.LIVE, ArrivalState.LIVE_TERMINAL)), _names(PHASES)
        self._keys = RunKeys(self._key)

    def arrivals(self, fleet: Fleet, predictions: Predictions) -> list[Arrival]:
        """Return ``predictions`` as boards show them."""
        owners = Owners.within(heads(predictions.vehicle * LEGS + predictions.leg))
        vehicle, leg = predictions.vehicle[owners.begin], predictions.leg[owners.begin]
        pattern, trip = fleet.run_pattern[vehicle, leg], fleet.run_trip[vehicle, leg]
        run = (trip, fleet.run_day[vehicle, leg], pattern, fleet.run_start_ms[vehicle, leg])
        vehicle_ids = np.array([fleet.vehicle_ids[one] for one in vehicle.tolist()], dtype=np.object_)
        run_keys, leads = self._keys.of(fleet, vehicle, leg, run)
        signs = np.where(trip >= 0, self._trip_signs[trip], "")
        row = predictions.row
        return _made(
            Arrival,
            key=_keys(owners.each(leads), self._number_of_row[row]),
            stop_id=self._stop_of_row[row].tolist(),
            vehicle_id=owners.each(vehicle_ids).tolist(),
            route_id=owners.each(self._route_ids[self._route_of[pattern]]).tolist(),
            direction_id=owners.each(self._direction_of[pattern]).tolist(),
            trip_id=owners.each(self._trip_ids[trip]).tolist(),
            run_key=owners.each(run_keys).tolist(),
            stop_sequence=self._sequence_of_row[row].tolist(),
            arrival_ms=predictions.arrival_ms.tolist(),
            arrival_p10_ms=predictions.p10_ms.tolist(),
            arrival_p90_ms=predictions.p90_ms.tolist(),
            state=self._states[predictions.waiting.astype(np.int64)].tolist(),
            fix_ms=owners.each(fleet.fix_ms[vehicle].astype(np.object_)).tolist(),
            scheduled_ms=_known(predictions.planned_ms, predictions.planned_ms > 0),
            headsign=owners.each(np.where(signs == "", self._pattern_signs[pattern], signs)).tolist(),
            last_stop=self._last_row[row].tolist(),
        )

    def withdrawn(self, fleet: Fleet, vehicle: Index, leg: int, row: Index) -> list[ArrivalKey]:
        """Return the keys of what is shown of ``vehicle`` (repeated ones together) at ``row``."""
        owners = Owners.within(heads(vehicle))
        who = vehicle[owners.begin]
        run = (
            *(fleet.shown_trip[who, leg], fleet.shown_day[who, leg]),
            *(fleet.shown_pattern[who, leg], fleet.shown_start_ms[who, leg]),
        )
        _, leads = self._keys.of(fleet, who, leg, run)
        return _made(
            ArrivalKey,
            stop_id=self._stop_of_row[row].tolist(),
            key=_keys(owners.each(leads), self._number_of_row[row]),
        )

    def vehicles(self, fleet: Fleet, vehicle: Index, predictions: Predictions) -> list[VehiclePosition]:
        """Return ``vehicle`` (ascending) as a map shows them."""
        at = np.flatnonzero(predictions.leg == 0)
        at = at[heads(predictions.vehicle[at])]
        ahead = np.full(len(fleet), -1, dtype=np.int64)
        ahead[predictions.vehicle[at]] = at
        ahead = ahead[vehicle]
        known = np.flatnonzero(ahead >= 0)
        planned_ms = np.zeros(len(vehicle), dtype=np.int64)
        planned_ms[known] = predictions.planned_ms[ahead[known]]
        late_s, next_row = np.zeros(len(vehicle), dtype=np.int64), np.full(len(vehicle), -1, dtype=np.int64)
        next_row[known] = predictions.row[ahead[known]]
        timed = np.flatnonzero(planned_ms > 0)
        late_s[timed] = np.rint((predictions.arrival_ms[ahead[timed]] - planned_ms[timed]) / 1000)
        heading_deg, speed_mps = fleet.heading_deg[vehicle], fleet.speed_mps[vehicle]
        on_run = (fleet.slot[vehicle] >= 0) | (ahead >= 0)
        pattern, trip = np.where(on_run, fleet.pattern[vehicle], -1), np.where(on_run, fleet.run_trip[vehicle, 0], -1)
        run_pattern = np.where(on_run, fleet.run_pattern[vehicle, 0], -1)
        run = (trip, fleet.run_day[vehicle, 0], run_pattern, fleet.run_start_ms[vehicle, 0])
        return _made(
            VehiclePosition,
            vehicle_id=[fleet.vehicle_ids[one] for one in vehicle.tolist()],
            fix_ms=fleet.fix_ms[vehicle].tolist(),
            lat=fleet.lat[vehicle].tolist(),
            lon=fleet.lon[vehicle].tolist(),
            heading_deg=_known(heading_deg, ~np.isnan(heading_deg)),
            speed_mps=_known(speed_mps, ~np.isnan(speed_mps)),
            phase=self._phases[np.where(fleet.silent[vehicle] > 0, SILENT, fleet.phase[vehicle])].tolist(),
            route_id=self._route_ids[self._route_of[pattern]].tolist(),
            direction_id=self._direction_of[pattern].tolist(),
            trip_id=self._trip_ids[trip].tolist(),
            run_key=self._keys.of(fleet, vehicle, 0, run)[0].tolist(),
            offset_m=_known(np.round(fleet.offset_m[vehicle], 1), on_run),
            next_stop_id=self._stop_of_row[next_row].tolist(),
            deviation_s=_known(late_s, planned_ms > 0),
            pattern=pattern.tolist(),
        )

    def stop_events(self, fleet: Fleet, done: Passages) -> list[StopEvent]:
        """Return completed passages as stop events. Must be called while the vehicles are still on the runs passed."""
        vehicle, row = done.vehicle, done.row
        pattern, trip, day = fleet.run_pattern[vehicle, 0], fleet.run_trip[vehicle, 0], fleet.run_day[vehicle, 0]
        run = (trip, day, pattern, fleet.run_start_ms[vehicle, 0])
        dates = {ordinal: dt.date.fromordinal(ordinal).isoformat() for ordinal in np.unique(day).tolist()}
        planned_ms = self._plan.arrival_ms(self._plan.runs(fleet, vehicle, 0), row)
        return _made(
            StopEvent,
            service_date=[dates[ordinal] for ordinal in day.tolist()],
            vehicle_id=[fleet.vehicle_ids[one] for one in vehicle.tolist()],
            route_id=self._route_ids[self._route_of[pattern]].tolist(),
            direction_id=self._direction_of[pattern].tolist(),
            trip_id=self._trip_ids[trip].tolist(),
            run_key=self._keys.of(fleet, vehicle, 0, run)[0].tolist(),
            stop_id=self._stop_of_row[row].tolist(),
            stop_sequence=self._sequence_of_row[row].tolist(),
            arrival_ms=done.arrival_ms.tolist(),
            departure_ms=_known(done.departure_ms, done.departure_ms > 0),
            uncertainty_s=[round(uncertainty_s, 1) for uncertainty_s in done.uncertainty_s.tolist()],
            scheduled_arrival_ms=[None if at_ms != at_ms else int(at_ms) for at_ms in planned_ms.tolist()],  # noqa: PLR0124
            trip_stop_sequence=(row - self._first[pattern] + 1).tolist(),
        )

    def run_key(self, fleet: Fleet, vehicle: int, leg: int) -> str:
        """Return what names the run of a vehicle: service date, trip and departure from the first stop."""
        return self._key(
            int(fleet.run_trip[vehicle, leg]),
            int(fleet.run_day[vehicle, leg]),
            int(fleet.run_pattern[vehicle, leg]),
            int(fleet.run_start_ms[vehicle, leg]),
        )

    def _key(self, trip: int, day: int, pattern: int, start_ms: int) -> str:
        if pattern < 0:
            return ""
        date = f"{dt.date.fromordinal(day):%Y%m%d}" if day > 0 else "0"
        name = self._trip_ids[trip] if trip >= 0 else f"~{self._route_ids[self._route_of[pattern]]}"
        return f"{date}:{name}@{start_ms // 1000}"


def _made(kind: Callable[..., Value], **columns: list[Any]) -> list[Value]:
    """Return one value of ``kind`` per row; ``columns`` are all its fields, in their order."""
    return list(map(kind, *columns.values()))


def _names(names: Iterable[str]) -> Names:
    listed = [*names, ""]
    column = np.empty(len(listed), dtype=np.object_)
    column[:] = listed
    return column


def _keys(leads: Names, numbers: Names) -> list[str]:
    """Return ``vehicle|run|stop_sequence`` (see ``model.Arrival``)."""
    return list(map(operator.add, leads.tolist(), numbers.tolist()))


def _known(values: npt.NDArray[np.int64] | Floats, known: npt.NDArray[np.bool_]) -> list[Any]:
    listed: list[Any] = values.tolist()
    for at in np.flatnonzero(~known).tolist():
        listed[at] = None
    return listed
