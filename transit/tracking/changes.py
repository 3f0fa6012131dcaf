"""Turn predictions into what is published: only what a board or a map would show differently leaves the process."""

import datetime as dt
import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gtfs_data.network import Network
from transit.model import Arrival, ArrivalKey, StopEvent, VehiclePosition
from transit.outcomes import ArrivalState, Phase
from transit.tracking.fleet import LEGS, Fleet
from transit.tracking.geometry import Geometry
from transit.tracking.observe import Passages
from transit.tracking.parameters import Parameters
from transit.tracking.predictions import Predictions
from transit.tracking.ragged import expand

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

PHASES = tuple(Phase)
RUN_KEYS_KEPT = 65_536  # runs of a day in a large city


class Publisher:
    """Knows the network's names; what is published now is kept in ``Fleet.shown_…``."""

    def __init__(self, network: Network, geometry: Geometry, parameters: Parameters) -> None:
        self._network, self._geometry, self._parameters = network, geometry, parameters
        patterns = network.patterns
        self._stop_of_row = [network.stops.ids[stop] for stop in patterns.stop.tolist()]
        self._sequence_of_row = patterns.stop_sequence.tolist()
        self._last_row = set((patterns.first[1:] - 1).tolist())
        self._key = functools.lru_cache(maxsize=RUN_KEYS_KEPT)(self._make_key)

    def arrivals(
        self, fleet: Fleet, vehicle: Index, predictions: Predictions, now_ms: int
    ) -> tuple[list[Arrival], list[ArrivalKey]]:
        """Return what became different for ``vehicle`` (each once, ascending) and what is no longer expected."""
        withdrawn = self._other_runs(fleet, vehicle)
        first = self._geometry.first[fleet.run_pattern[predictions.vehicle, predictions.leg]]
        place = predictions.row - first
        shown = fleet.shown_ms[predictions.vehicle, predictions.leg, place]
        step_ms = np.maximum(
            self._parameters.publish_step_s * 1000, self._parameters.publish_share * (predictions.arrival_ms - now_ms)
        )
        kind = fleet.departed[predictions.vehicle] != fleet.shown_departed[predictions.vehicle]
        different = (shown == 0) | kind | (np.abs(predictions.arrival_ms - shown) >= step_ms)
        fleet.shown_departed[vehicle] = fleet.departed[vehicle]
        withdrawn += self._passed(fleet, vehicle, predictions, place)
        fleet.shown_ms[predictions.vehicle[different], predictions.leg[different], place[different]] = (
            predictions.arrival_ms[different]
        )
        return self._arrival_values(fleet, predictions, np.flatnonzero(different)), withdrawn

    def withdraw(self, fleet: Fleet, vehicle: Index) -> list[ArrivalKey]:
        """Take back everything published for ``vehicle``."""
        keys: list[ArrivalKey] = []
        for leg in range(LEGS):
            keys += self._withdraw_rows(
                fleet, vehicle, leg, fleet.shown_first[vehicle, leg], fleet.shown_last[vehicle, leg]
            )
            fleet.shown_first[vehicle, leg] = fleet.shown_last[vehicle, leg] = 0
            fleet.shown_pattern[vehicle, leg] = -1
        return keys

    def _other_runs(self, fleet: Fleet, vehicle: Index) -> list[ArrivalKey]:
        """Withdraw what is shown of runs that the vehicles are no longer on, and note the runs they are on now."""
        keys: list[ArrivalKey] = []
        for leg in range(LEGS):
            same = (
                (fleet.shown_pattern[vehicle, leg] == fleet.run_pattern[vehicle, leg])
                & (fleet.shown_trip[vehicle, leg] == fleet.run_trip[vehicle, leg])
                & (fleet.shown_start_ms[vehicle, leg] == fleet.run_start_ms[vehicle, leg])
            )
            changed = vehicle[~same]
            keys += self._withdraw_rows(
                fleet, changed, leg, fleet.shown_first[changed, leg], fleet.shown_last[changed, leg]
            )
            fleet.shown_first[changed, leg] = fleet.shown_last[changed, leg] = 0
            for shown, run in (
                (fleet.shown_pattern, fleet.run_pattern),
                (fleet.shown_trip, fleet.run_trip),
                (fleet.shown_start_ms, fleet.run_start_ms),
                (fleet.shown_day, fleet.run_day),
            ):
                shown[changed, leg] = run[changed, leg]
        return keys

    def _passed(self, fleet: Fleet, vehicle: Index, predictions: Predictions, place: Index) -> list[ArrivalKey]:
        """Withdraw stops that are shown but no longer predicted: passed, or beyond the horizon."""
        keys: list[ArrivalKey] = []
        size = len(fleet)
        for leg in range(LEGS):
            mine = predictions.leg == leg
            low = np.full(size, np.iinfo(np.int64).max)
            high = np.zeros(size, dtype=np.int64)
            np.minimum.at(low, predictions.vehicle[mine], place[mine])
            np.maximum.at(high, predictions.vehicle[mine], place[mine] + 1)
            new_first, new_last = low[vehicle], high[vehicle]
            old_first, old_last = fleet.shown_first[vehicle, leg], fleet.shown_last[vehicle, leg]
            none = new_last == 0
            new_first = np.where(none, old_last, new_first)
            new_last = np.where(none, old_last, new_last)
            keys += self._withdraw_rows(fleet, vehicle, leg, old_first, np.minimum(new_first, old_last))
            keys += self._withdraw_rows(fleet, vehicle, leg, np.maximum(new_last, old_first), old_last)
            fleet.shown_first[vehicle, leg] = np.where(none, 0, new_first)
            fleet.shown_last[vehicle, leg] = np.where(none, 0, new_last)
        return keys

    def _withdraw_rows(self, fleet: Fleet, vehicle: Index, leg: int, first: Index, last: Index) -> list[ArrivalKey]:
        owner, place = expand(first, last)
        if not len(owner):
            return []
        row_of = vehicle[owner]
        shown = fleet.shown_ms[row_of, leg, place] > 0
        owner, place, row_of = owner[shown], place[shown], row_of[shown]
        fleet.shown_ms[row_of, leg, place] = 0
        rows = self._geometry.first[fleet.shown_pattern[row_of, leg]] + place
        keys = []
        prefix: dict[int, str] = {}
        for who, row in zip(row_of.tolist(), rows.tolist(), strict=True):
            if who not in prefix:
                prefix[who] = f"{fleet.vehicle_ids[who]}|{self._shown_key(fleet, who, leg)}|"
            keys.append(ArrivalKey(stop_id=self._stop_of_row[row], key=f"{prefix[who]}{self._sequence_of_row[row]}"))
        return keys

    def published(self, fleet: Fleet, predictions: Predictions) -> list[Arrival]:
        """Return the predictions that are shown now, whether changed or not."""
        first = self._geometry.first[fleet.run_pattern[predictions.vehicle, predictions.leg]]
        shown = fleet.shown_ms[predictions.vehicle, predictions.leg, predictions.row - first] > 0
        return self._arrival_values(fleet, predictions, np.flatnonzero(shown))

    def _arrival_values(self, fleet: Fleet, predictions: Predictions, index: Index) -> list[Arrival]:
        network = self._network
        values: list[Arrival] = []
        run: tuple[int, int] = (-1, -1)
        columns = (
            getattr(predictions, name)[index].tolist()
            for name in ("vehicle", "leg", "row", "arrival_ms", "p10_ms", "p90_ms", "planned_ms", "waiting")
        )
        for vehicle, leg, row, arrival_ms, p10_ms, p90_ms, planned_ms, waiting in zip(*columns, strict=True):
            if (vehicle, leg) != run:
                run = (vehicle, leg)
                run_key = self.run_key(fleet, vehicle, leg)
                pattern, trip = int(fleet.run_pattern[vehicle, leg]), int(fleet.run_trip[vehicle, leg])
                vehicle_id, fix_ms = fleet.vehicle_ids[vehicle], int(fleet.fix_ms[vehicle])
                prefix = f"{vehicle_id}|{run_key}|"
                route_id = network.routes.ids[int(network.patterns.route[pattern])]
                direction = int(network.patterns.direction[pattern])
                trip_id = network.trips.ids[trip] if trip >= 0 else ""
                headsign = (network.trips.headsigns[trip] if trip >= 0 else "") or network.patterns.headsigns[pattern]
            values.append(
                Arrival(
                    key=f"{prefix}{self._sequence_of_row[row]}",
                    stop_id=self._stop_of_row[row],
                    vehicle_id=vehicle_id,
                    route_id=route_id,
                    direction_id=direction,
                    trip_id=trip_id,
                    run_key=run_key,
                    stop_sequence=self._sequence_of_row[row],
                    arrival_ms=arrival_ms,
                    arrival_p10_ms=p10_ms,
                    arrival_p90_ms=p90_ms,
                    state=ArrivalState.LIVE_TERMINAL if waiting else ArrivalState.LIVE,
                    fix_ms=fix_ms,
                    scheduled_ms=planned_ms or None,
                    headsign=headsign,
                    last_stop=row in self._last_row,
                )
            )
        return values

    def run_key(self, fleet: Fleet, vehicle: int, leg: int) -> str:
        """Return what names the run of a vehicle: service date, trip and departure from the first stop."""
        return self._key(
            int(fleet.run_trip[vehicle, leg]),
            int(fleet.run_day[vehicle, leg]),
            int(fleet.run_pattern[vehicle, leg]),
            int(fleet.run_start_ms[vehicle, leg]),
        )

    def _shown_key(self, fleet: Fleet, vehicle: int, leg: int) -> str:
        return self._key(
            int(fleet.shown_trip[vehicle, leg]),
            int(fleet.shown_day[vehicle, leg]),
            int(fleet.shown_pattern[vehicle, leg]),
            int(fleet.shown_start_ms[vehicle, leg]),
        )

    def _make_key(self, trip: int, day: int, pattern: int, start_ms: int) -> str:
        if pattern < 0:
            return ""
        date = f"{dt.date.fromordinal(day):%Y%m%d}" if day > 0 else "0"
        name = (
            self._network.trips.ids[trip]
            if trip >= 0
            else f"~{self._network.routes.ids[int(self._network.patterns.route[pattern])]}"
        )
        return f"{date}:{name}@{start_ms // 1000}"

    def vehicles(self, fleet: Fleet, vehicle: Index, predictions: Predictions) -> list[VehiclePosition]:
        """Return ``vehicle`` (ascending) as a map shows them."""
        network = self._network
        next_row = np.full(len(fleet), -1, dtype=np.int64)
        late_s = np.zeros(len(fleet))
        planned = np.zeros(len(fleet), dtype=np.bool_)
        leg_one = np.flatnonzero(predictions.leg == 0)[::-1]  # the first stop ahead is written last
        owner = predictions.vehicle[leg_one]
        next_row[owner] = predictions.row[leg_one]
        planned[owner] = predictions.planned_ms[leg_one] > 0
        late_s[owner] = (predictions.arrival_ms[leg_one] - predictions.planned_ms[leg_one]) / 1000
        values = []
        for row in vehicle.tolist():
            on_run = fleet.slot[row] >= 0
            pattern = int(fleet.pattern[row]) if on_run else -1
            trip = int(fleet.run_trip[row, 0]) if on_run else -1
            heading, speed = float(fleet.heading_deg[row]), float(fleet.speed_mps[row])
            ahead = int(next_row[row])
            values.append(
                VehiclePosition(
                    vehicle_id=fleet.vehicle_ids[row],
                    fix_ms=int(fleet.fix_ms[row]),
                    lat=float(fleet.lat[row]),
                    lon=float(fleet.lon[row]),
                    heading_deg=heading if heading == heading else None,  # noqa: PLR0124 - NaN: unknown
                    speed_mps=speed if speed == speed else None,  # noqa: PLR0124
                    phase=PHASES[int(fleet.phase[row])],
                    route_id=network.routes.ids[int(network.patterns.route[pattern])] if pattern >= 0 else "",
                    direction_id=int(network.patterns.direction[pattern]) if pattern >= 0 else -1,
                    trip_id=network.trips.ids[trip] if trip >= 0 else "",
                    run_key=self.run_key(fleet, row, 0) if pattern >= 0 else "",
                    offset_m=round(float(fleet.offset_m[row]), 1) if pattern >= 0 else None,
                    next_stop_id=self._stop_of_row[ahead] if ahead >= 0 else "",
                    deviation_s=round(float(late_s[row])) if ahead >= 0 and planned[row] else None,
                    pattern=pattern,
                )
            )
        return values

    def stop_events(self, fleet: Fleet, passages: Sequence[Passages]) -> list[StopEvent]:
        """Return completed passages as stop events. Must be called while the vehicles are still on the runs passed."""
        network = self._network
        events = []
        for done in passages:
            for vehicle, row, arrival_ms, departure_ms, uncertainty_s in zip(
                done.vehicle.tolist(),
                done.row.tolist(),
                done.arrival_ms.tolist(),
                done.departure_ms.tolist(),
                done.uncertainty_s.tolist(),
                strict=True,
            ):
                pattern, trip = int(fleet.run_pattern[vehicle, 0]), int(fleet.run_trip[vehicle, 0])
                place = row - int(network.patterns.first[pattern])
                planned_ms = None
                if trip >= 0 and fleet.run_scheduled[vehicle, 0]:
                    arrival_s = int(network.trips.arrival_s[network.trips.first[trip] + place])
                    planned_ms = int(fleet.run_zero_ms[vehicle, 0]) + 1000 * arrival_s
                events.append(
                    StopEvent(
                        service_date=dt.date.fromordinal(int(fleet.run_day[vehicle, 0])).isoformat(),
                        vehicle_id=fleet.vehicle_ids[vehicle],
                        route_id=network.routes.ids[int(network.patterns.route[pattern])],
                        direction_id=int(network.patterns.direction[pattern]),
                        trip_id=network.trips.ids[trip] if trip >= 0 else "",
                        run_key=self.run_key(fleet, vehicle, 0),
                        stop_id=self._stop_of_row[row],
                        stop_sequence=self._sequence_of_row[row],
                        arrival_ms=arrival_ms,
                        departure_ms=departure_ms or None,
                        uncertainty_s=round(uncertainty_s, 1),
                        scheduled_arrival_ms=planned_ms,
                        trip_stop_sequence=place + 1,
                    )
                )
        return events
