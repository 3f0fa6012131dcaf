"""What a map shows of vehicles after each of their reports."""

from collections.abc import Iterable

from gtfs_data.network import Network
from transit.model import PositionReport, Update, VehiclePosition, batch_of
from transit.tracking.tracker import Tracker


class Seen:
    """Feeds a tracker report by report and keeps what it says of each vehicle."""

    def __init__(self, network: Network) -> None:
        self.tracker = Tracker(network)
        self.vehicles: dict[str, VehiclePosition] = {}
        self.now: VehiclePosition | None = None
        self.phases: list[str] = []
        self.offsets_m: list[float | None] = []
        self.updates: list[Update] = []

    def after(self, *drives: Iterable[PositionReport]) -> "Seen":
        """Feed the reports, one at a time; ``phases`` and ``offsets_m`` are then what was shown after each."""
        self.phases, self.offsets_m = [], []
        for report in (report for drive in drives for report in drive):
            update = self.tracker.advance(batch_of([report]), report.received_ms).update
            self.vehicles.update({vehicle.vehicle_id: vehicle for vehicle in update.vehicles})
            self.updates.append(update)
            self.now = self.vehicles[report.vehicle_id]
            self.phases.append(self.now.phase)
            self.offsets_m.append(self.now.offset_m)
            self._hold_each_run_once()
        return self

    def together(self, *drives: Iterable[PositionReport]) -> "Seen":
        """Feed the reports of several vehicles in order of time."""
        return self.after(sorted((report for drive in drives for report in drive), key=lambda report: report.fix_ms))

    def on(self, vehicle: str) -> tuple[str, str, int, str]:
        """Return what the map shows of ``vehicle``: phase, route, direction, trip."""
        shown = self.vehicles[vehicle]
        return shown.phase, shown.route_id, shown.direction_id, shown.trip_id

    @property
    def is_on(self) -> tuple[str, str, int, str]:
        """Return what the map shows of the vehicle that reported last."""
        assert self.now is not None
        return self.on(self.now.vehicle_id)

    def _hold_each_run_once(self) -> None:
        fleet = self.tracker.fleet
        held = [
            self.tracker.run_key(vehicle, leg)
            for vehicle in range(len(fleet))
            for leg in (0, 1)
            if fleet.slot[vehicle] >= 0 and fleet.run_pattern[vehicle, leg] >= 0
        ]
        assert len(held) == len(set(held)), f"two vehicles hold one run: {held}"
