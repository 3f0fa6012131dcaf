"""A street with four stops S0 to S3, 100 s apart, and what tracking says of buses there, short to write in a test."""

import dataclasses
import datetime as dt

import numpy as np

from gtfs_data.network import Frequencies, Network
from stop_display.board import LineBoard, Moment
from stop_display.model import Line
from stop_display.plan import Plan
from tests.notation.town import DAY, SPEED_MPS, at, seconds, town
from transit.model import Arrival, ArrivalKey, Detour, DetouredLine, Update, VehiclePosition
from transit.notices import Cancelled

STREET = [(0.0, 0.0), (2_400.0, 0.0)]
STOPS_M = (0.0, 800.0, 1_600.0, 2_400.0)
KEY = "1|to 1/0"
EVERY_HALF_HOUR = """
    T1 1/0 08:00
    T2 1/0 08:30
    T3 1/0 09:00
"""


def street(trips: str = EVERY_HALF_HOUR, *, days: tuple[bool, ...] = (True, True, True)) -> Network:
    network = town({"1/0": STREET}, {"1/0": STOPS_M}, trips)
    services = dataclasses.replace(network.services, runs=np.array([days], dtype=np.bool_))
    return dataclasses.replace(network, services=services)


def with_frequency(network: Network, start: str, end: str, every_s: int, *, exact: bool) -> Network:
    """Return ``network`` with its first trip made a template of frequencies.txt."""
    one = [np.array([value], dtype=np.int32) for value in (0, seconds(start), seconds(end), every_s)]
    frequencies = Frequencies(
        trip=one[0], start_s=one[1], end_s=one[2], headway_s=one[3], exact=np.array([exact], dtype=np.bool_)
    )
    scheduled = np.array([exact, *network.trips.scheduled[1:].tolist()], dtype=np.bool_)
    trips = dataclasses.replace(network.trips, scheduled=scheduled)
    return dataclasses.replace(network, frequencies=frequencies, trips=trips)


def with_wheelchairs(network: Network, *, trips: int = 0, stops: int = 0) -> Network:
    """Return ``network`` with what all its trips and stops say of wheelchairs: 0 nothing, 1 yes, 2 no."""
    said = {"trips": trips, "stops": stops}
    parts = {
        name: dataclasses.replace(part, wheelchair=np.full(len(part.ids), said[name], dtype=np.int8))
        for name, part in (("trips", network.trips), ("stops", network.stops))
    }
    return dataclasses.replace(network, **parts)


def run_key(trip: str, clock: str, date: dt.date = DAY) -> str:
    return f"{date:%Y%m%d}:{trip}@{at(clock) // 1000}"


def bus(
    arrives: str | int, *, run: str = "", vehicle: str = "101", stop: str = "S1", sequence: int = 2, **changes: object
) -> Arrival:
    arrival_ms = at(arrives) if isinstance(arrives, str) else arrives
    values: dict[str, object] = {
        "vehicle_id": vehicle,
        "stop_id": stop,
        "route_id": "1",
        "direction_id": 0,
        "trip_id": "",
        "run_key": run or run_key("T1", "08:00"),
        "stop_sequence": sequence,
        "arrival_ms": arrival_ms,
        "arrival_p10_ms": arrival_ms - 20_000,
        "arrival_p90_ms": arrival_ms + 60_000,
        "state": "live",
        "fix_ms": at("07:59"),
        "scheduled_ms": None,
        "headsign": "to 1/0",
    }
    values |= changes
    return Arrival(**({"key": f"{values['vehicle_id']}|{values['run_key']}|{values['stop_sequence']}"} | values))  # type: ignore[arg-type]


def place(
    offset_m: float,
    *,
    run: str = "",
    vehicle: str = "101",
    fix_ms: int = 0,
    speed_mps: float | None = SPEED_MPS,
    next_stop: str = "",
) -> VehiclePosition:
    return VehiclePosition(
        vehicle_id=vehicle,
        fix_ms=fix_ms,
        lat=44.85,
        lon=65.5,
        heading_deg=None,
        speed_mps=speed_mps,
        phase="in_service",
        route_id="1",
        direction_id=0,
        trip_id="",
        run_key=run or run_key("T1", "08:00"),
        offset_m=offset_m,
        next_stop_id=next_stop,
        deviation_s=None,
        pattern=0,
    )


def update(
    as_of: str | int, *things: VehiclePosition | Arrival | ArrivalKey | Detour, gone: tuple[str, ...] = ()
) -> Update:
    return Update(
        as_of_ms=at(as_of) if isinstance(as_of, str) else as_of,
        vehicles=[thing for thing in things if isinstance(thing, VehiclePosition)],
        arrivals=[thing for thing in things if isinstance(thing, Arrival)],
        withdrawn=[thing for thing in things if isinstance(thing, ArrivalKey)],
        gone=list(gone),
        detours=[thing for thing in things if isinstance(thing, Detour)],
    )


def detour(*missed: int, state: str = "confirmed", detour_id: str = "d") -> Detour:
    """Return a detour of the street's line that leaves out its stops number ``missed``."""
    line = DetouredLine(
        route_id="1", direction_id=0, patterns=[0], left_m=[100.0], back_m=[1_500.0], missed=[list(missed)]
    )
    return Detour(
        detour_id=detour_id,
        state=state,
        since_ms=at("07:00"),
        last_ms=at("07:55"),
        lines=[line],
        vehicles=["7", "8"],
        under_way=[],
        missed=[f"S{number}" for number in missed],
        before_stop_id="S0",
    )


def withdrawn(arrival: Arrival) -> ArrivalKey:
    return ArrivalKey(stop_id=arrival.stop_id, key=arrival.key)


def line_at(
    network: Network,
    now: str | int,
    *live: Arrival,
    stop: str = "S1",
    vehicles: tuple[VehiclePosition, ...] = (),
    silent_s: int = 0,
    missed: frozenset[int] = frozenset(),
    cancelled: tuple[str, ...] = (),
    passed: tuple[str, ...] = (),
) -> Line:
    """Return the street's line at ``stop``; tracking was heard ``silent_s`` ago, buses ``passed`` the stop lately."""
    now_ms = at(now) if isinstance(now, str) else now
    row = network.rows_of_stop[network.stop_by_id[stop]][0]  # type: ignore[index]
    moment = Moment(
        now_ms=now_ms,
        as_of_ms=now_ms - 1000 * silent_s,
        on_run={vehicle.run_key: vehicle for vehicle in vehicles},
        missed=missed,
        cancelled=Cancelled(cancelled),
        passages={int(row): [at(clock) for clock in passed]},
    )
    return LineBoard(Plan(network), network.stop_by_id[stop]).line(KEY, live, moment)  # type: ignore[index]


def rows(line: Line) -> list[tuple[str, str]]:
    """Return state and local time of each row."""
    zone = dt.timezone(dt.timedelta(hours=5))
    times = [dt.datetime.fromtimestamp(row.arrival_ms / 1000, tz=zone) for row in line.arrivals]
    return [(row.state, f"{time:%H:%M:%S}") for row, time in zip(line.arrivals, times, strict=True)]
