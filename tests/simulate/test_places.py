"""What is told of places comes with each tap; only what begins a ride has one."""

from ayaldama.simulate.places import ToldPlaces
from fare.model import CarrierId
from fare.outcomes import TapOutcome
from tests.notation.rides import tap


async def test_a_ride_is_on_the_line_told_for_its_bus_or_for_all_others() -> None:
    places = ToldPlaces(
        lines={"bus-1": "12"}, line="7", trip_id="12-0605", stop_id="market", carrier_id=CarrierId("k2")
    )
    known = tap("v:1", "8:00").tap
    (one,) = await places.located([known])
    assert one.tap is known
    assert one.ride is not None
    assert (one.ride.key, one.ride.tapped_ms, one.ride.medium_id) == (known.key, known.tapped_ms, known.medium_id)
    assert (one.ride.route_id, one.ride.trip_id, one.ride.stop_id) == ("12", "12-0605", "market")
    assert one.ride.carrier_id == "k2"
    others = ToldPlaces(line="7").at_its_place(known)
    assert others.ride is not None
    assert others.ride.route_id == "7"
    assert not places.is_searched(known)


async def test_who_does_not_ride_has_no_ride() -> None:
    refused = tap("v:1", "8:00", outcome=TapOutcome.REFUSED_DENIED).tap
    assert [one.ride for one in await ToldPlaces().located([refused])] == [None]


async def test_a_bus_that_changes_its_line_is_on_the_new_one() -> None:
    lines = {"bus-1": "12"}
    places = ToldPlaces(lines=lines)
    lines.clear()
    ride = places.at_its_place(tap("v:1", "8:00").tap).ride
    assert ride is not None
    assert ride.route_id == ""
