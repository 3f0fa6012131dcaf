"""Where a tap was made: by tracking, else by the stop events of the time, else as the vehicle said."""

import datetime as dt

import asyncpg
import pytest

from ayaldama.bridges import SEARCHED_MAX_MS, Locator, board, place_by_tracking
from commons.metrics import Metrics
from commons.migrate import migrate
from fare.model import CarrierId, DeviceId, MediumKind, Tap
from fare.outcomes import TapOutcome
from fare.store.redis_boardings import Boarding, boardings_of
from tests.fare.api.town import Clock
from tests.notation.rides import medium
from tests.notation.town import DAY, at, town
from transit.model import StopEvent, VehiclePosition
from transit.store.postgres_history import write_stop_events
from transit.tracking.occupancy import Capacity, Loads
from transit.tracking.whereabouts import Whereabouts

STREET = town({"1/0": [(0, 0), (2_000, 0)]}, {"1/0": [0, 500, 1_000]}, "t1 1/0 08:00")


@pytest.fixture
async def locator(postgres: asyncpg.Pool) -> Locator:
    await migrate(postgres, "transit.store")
    clock = Clock()
    clock.city_ms = at("12:00")
    return Locator(
        whereabouts=Whereabouts(STREET),
        pool=postgres,
        carriers={"1": CarrierId("k1")},
        carrier=CarrierId("k0"),
        clock=clock,
        metrics=Metrics(),
    )


def tap(clock: str, *, route_id: str = "", outcome: TapOutcome = TapOutcome.ACCEPTED) -> Tap:
    return Tap(
        device_id=DeviceId("v"),
        sequence=1,
        tapped_ms=at(clock),
        medium_id=medium(7),
        medium_kind=MediumKind.TRANSPORT_CARD,
        outcome=outcome,
        vehicle_id="bus",
        route_id=route_id,
    )


def seen(locator: Locator, clock: str, offset_m: float | None = 500, *, route_id: str = "1") -> None:
    run = ("t1", "t1|run", offset_m) if route_id else ("", "", None)
    locator.whereabouts.note(
        VehiclePosition("bus", at(clock), 0.0, 0.0, None, None, "in_service", route_id, 0, *run, "", None, 0)
    )


async def place(locator: Locator, one: Tap) -> tuple[str, str, str, str]:
    (located,) = await locator.located([one])
    ride = located.ride
    assert ride is not None
    return ride.route_id, ride.trip_id, ride.stop_id, ride.carrier_id


async def test_tracking_knows_best(locator: Locator) -> None:
    seen(locator, "11:59")
    assert await place(locator, tap("11:59:30", route_id="9")) == ("1", "t1", "S1", "k1")


async def test_what_was_long_ago_is_told_by_stop_events(locator: Locator) -> None:
    event = StopEvent(
        *(DAY.isoformat(), "bus", "1", 0, "t7", "t7|run", "S2", 3, at("08:00"), None, 5.0, None),
    )
    before = StopEvent(*(DAY.isoformat(), "bus", "1", 0, "t7", "t7|run", "S1", 2, at("07:55"), None, 5.0, None))
    await write_stop_events(locator.pool, [event, before])
    assert await place(locator, tap("08:01")) == ("1", "t7", "S2", "k1")
    assert await place(locator, tap("07:59")) == ("1", "t7", "S1", "k1")
    assert await place(locator, tap("08:21")) == ("", "", "", "k0"), "too long after it to say"
    assert dt.date.fromisoformat(event.service_date) == DAY


async def test_else_the_line_is_as_the_vehicle_said_and_the_carrier_that_of_the_line(locator: Locator) -> None:
    assert await place(locator, tap("08:00", route_id="1")) == ("1", "", "", "k1")
    assert await place(locator, tap("08:00")) == ("", "", "", "k0")


async def test_a_tap_that_begins_no_ride_needs_no_place(locator: Locator) -> None:
    (located,) = await locator.located([tap("08:00", outcome=TapOutcome.REFUSED_DENIED)])
    assert located.ride is None


async def test_a_place_is_searched_only_while_tracking_hears_the_bus_and_not_for_long(locator: Locator) -> None:
    assert not locator.is_searched(tap("12:00")), "nobody hears the bus"
    seen(locator, "12:00", None, route_id="")
    assert locator.is_searched(tap("12:00"))
    assert not locator.is_searched(tap("12:00", route_id="1")), "the vehicle knows its line"
    assert isinstance(locator.clock, Clock)
    locator.clock.city_ms += SEARCHED_MAX_MS + 1
    assert not locator.is_searched(tap("12:00"))
    seen(locator, "12:01")
    assert place_by_tracking(locator.whereabouts.at("bus", at("12:00"))) is not None


async def test_a_validator_is_told_the_run_and_an_inspector_the_next_stop(locator: Locator) -> None:
    assert await locator.place_of("bus") is None
    seen(locator, "12:00")
    told, shown = await locator.place_of("bus"), await locator.vehicle_now("bus")
    assert told is not None
    assert shown is not None
    assert (told.route_id, told.trip_id, told.trip_since_ms) == ("1", "t1|run", at("12:00"))
    assert shown.next_stop == STREET.stops.names[STREET.stop_by_id["S2"]]


async def test_riders_of_stored_rides_board(locator: Locator) -> None:
    taps = await locator.located([tap("08:00"), tap("08:00", outcome=TapOutcome.ALREADY_PAID)])
    boardings = boardings_of(taps)
    assert boardings == [Boarding("bus", at("08:00"), 1, "", "", "")]
    loads = Loads(Capacity(seats=20, places=60))
    board(boardings, loads)
    assert [load.riders for load in loads.known()] == [1]
