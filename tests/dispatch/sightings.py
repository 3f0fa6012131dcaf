"""Vehicles and arrivals of the small city, short to write in a test."""

from dispatch.fleet import Fleet
from tests.dispatch.small_city import ALAN, BAZAR, VOKZAL, network_of
from transit.model import Arrival, Detour, DetouredLine, Update, VehiclePosition

NOON_MS = 1_790_000_000_000
RUN = "10-0|2026-09-21"


def position(vehicle_id: str = "101", **changes: object) -> VehiclePosition:
    values: dict[str, object] = {
        "vehicle_id": vehicle_id,
        "fix_ms": NOON_MS,
        "lat": 44.8510,
        "lon": 65.5050,
        "heading_deg": None,
        "speed_mps": 8.04,
        "phase": "in_service",
        "route_id": "10",
        "direction_id": 0,
        "trip_id": "10-0",
        "run_key": RUN,
        "offset_m": 300.0,
        "next_stop_id": ALAN.id,
        "deviation_s": 75,
        "pattern": 0,
    }
    return VehiclePosition(**(values | changes))  # type: ignore[arg-type]


def arrival(stop_id: str = ALAN.id, in_s: int = 120, sequence: int = 1, **changes: object) -> Arrival:
    values: dict[str, object] = {
        "vehicle_id": "101",
        "stop_id": stop_id,
        "route_id": "10",
        "direction_id": 0,
        "trip_id": "10-0",
        "run_key": RUN,
        "stop_sequence": sequence,
        "arrival_ms": NOON_MS + 1000 * in_s,
        "arrival_p10_ms": NOON_MS + 1000 * in_s - 20_000,
        "arrival_p90_ms": NOON_MS + 1000 * in_s + 60_000,
        "state": "live",
        "fix_ms": NOON_MS,
        "scheduled_ms": None,
    }
    values |= changes
    key = f"{values['vehicle_id']}|{values['run_key']}|{values['stop_sequence']}"
    return Arrival(**({"key": key} | values))  # type: ignore[arg-type]


def detour(detour_id: str = "d", **changes: object) -> Detour:
    """Return a detour of route 10 round its second stop."""
    values: dict[str, object] = {
        "detour_id": detour_id,
        "state": "confirmed",
        "since_ms": NOON_MS - 1_800_000,
        "last_ms": NOON_MS - 60_000,
        "lines": [
            DetouredLine(route_id="10", direction_id=0, patterns=[0], left_m=[100.0], back_m=[2_000.0], missed=[[1]])
        ],
        "vehicles": ["101", "102"],
        "under_way": [],
        "missed": [ALAN.id],
        "before_stop_id": VOKZAL.id,
        "after_stop_id": BAZAR.id,
        "extra_s": 130,
        "path": [(44.8560, 65.5040), (44.8500, 65.5020), (44.8440, 65.5120)],
    }
    return Detour(**(values | changes))  # type: ignore[arg-type]


def update(*things: VehiclePosition | Arrival | Detour, as_of_ms: int = NOON_MS, gone: tuple[str, ...] = ()) -> Update:
    return Update(
        as_of_ms=as_of_ms,
        vehicles=[thing for thing in things if isinstance(thing, VehiclePosition)],
        arrivals=[thing for thing in things if isinstance(thing, Arrival)],
        withdrawn=[],
        gone=list(gone),
        detours=[thing for thing in things if isinstance(thing, Detour)],
    )


def fleet_with(*things: VehiclePosition | Arrival) -> Fleet:
    fleet = Fleet(network_of())
    fleet.replace(update(*things))
    return fleet
