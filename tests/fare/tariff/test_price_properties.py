"""What holds for every tariff and every passenger: the rules that ledger, validator and settlement build upon."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fare.model import Concession, MediumKind, PassHeld, Profile, Ride, RiderCategory, Riders
from fare.tariff.model import Tariff
from fare.tariff.price import price, quote
from tests.notation.fares import NOBODY, at_ms, ride, riders, tariff

MINUTE_MS = 60_000
WEEK_MINUTES = 7 * 24 * 60 - 1
few = settings(max_examples=50, deadline=None)
Drawn = list[tuple[int, str, list[str]]]  # minute, line, categories
CATEGORIES = ("adult", "pupil", "student", "veteran", "child")


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Tariff:
    return tariff(tmp_path_factory.mktemp("town"))


@st.composite
def drawn_rides(
    draw: st.DrawFn, routes: tuple[str, ...] = ("R1", "R2", "E", "V"), minutes: int = WEEK_MINUTES
) -> Drawn:
    # Fewer minutes than the rides could have, so that transfers, caps and equal moments are met.
    at = draw(st.lists(st.integers(0, minutes).map(lambda minute: minute - minute % 20), max_size=12))
    return [
        (minute, draw(st.sampled_from(routes)), draw(st.lists(st.sampled_from(CATEGORIES), max_size=3)))
        for minute in at
    ]


def rides_of(drawn: Drawn, of: Tariff) -> list[Ride]:
    start_ms = at_ms("2026-03-30 04:00", of)  # a week in which the tariff changes
    return [
        Ride(
            key=f"v:{place:03}",
            tapped_ms=start_ms + minute * MINUTE_MS,
            medium_id=ride("08:00", "R1", of).medium_id,
            medium_kind=MediumKind.TRANSPORT_CARD,
            riders=tuple(Riders(category=RiderCategory(name), count=1) for name in names),
            vehicle_id=f"bus-{place}",
            carrier_id=ride("08:00", "R1", of).carrier_id,
            route_id=route,
            stop_id="S1",
        )
        for place, (minute, route, names) in enumerate(drawn)
    ]


profiles = st.builds(
    lambda names, with_pass: Profile(
        concessions=tuple(
            Concession(category=RiderCategory(name), from_date="2026-01-01", until_date="2026-04-02") for name in names
        ),
        passes=(PassHeld(product_id="month", from_ms=1_775_000_000_000, until_ms=1_775_100_000_000),) * with_pass,
    ),
    st.lists(st.sampled_from(CATEGORIES[1:]), max_size=2),
    st.booleans(),
)


@few
@given(drawn=drawn_rides(), profile=profiles, data=st.data())
def test_any_order_of_arrival_gives_the_same_bill(
    town: Tariff, drawn: Drawn, profile: Profile, data: st.DataObject
) -> None:
    rides = rides_of(drawn, town)
    assert price(data.draw(st.permutations(rides)), town, profile) == price(rides, town, profile)


@few
@given(drawn=drawn_rides(), profile=profiles)
def test_a_later_ride_never_changes_an_earlier_charge(town: Tariff, drawn: Drawn, profile: Profile) -> None:
    rides = sorted(rides_of(drawn, town), key=lambda one: (one.tapped_ms, one.key))
    whole = price(rides, town, profile).charges
    for count in range(len(rides)):
        part = price(rides[:count], town, profile).charges
        assert whole[: len(part)] == part


@few
@given(drawn=drawn_rides(), profile=profiles)
def test_what_is_shown_before_a_ride_is_what_is_charged(town: Tariff, drawn: Drawn, profile: Profile) -> None:
    rides = sorted(rides_of(drawn, town), key=lambda one: (one.tapped_ms, one.key))
    bill = price(rides, town, profile)
    for place, one in enumerate(rides):
        charged = tuple(charge for charge in bill.charges if charge.ride_key == one.key)
        assert quote(one, rides[:place], town, profile) == charged


@few
@given(drawn=drawn_rides(), profile=profiles)
def test_nobody_pays_below_nothing_or_with_the_subsidy_above_the_full_fare(
    town: Tariff, drawn: Drawn, profile: Profile
) -> None:
    for charge in price(rides_of(drawn, town), town, profile).charges:
        assert charge.charged_tiyn >= 0
        assert charge.subsidy_tiyn >= 0
        assert charge.charged_tiyn + charge.subsidy_tiyn <= charge.full_tiyn


@few
@given(drawn=drawn_rides(), profile=profiles)
def test_every_rider_of_every_ride_is_on_the_bill_once(town: Tariff, drawn: Drawn, profile: Profile) -> None:
    rides = rides_of(drawn, town)
    billed = {one.key: 0 for one in rides}
    for charge in price(rides, town, profile).charges:
        billed[charge.ride_key] += charge.count
    assert billed == {one.key: max(1, len(one.riders)) for one in rides}


@few
@given(drawn=drawn_rides())
def test_one_rider_never_pays_more_than_the_caps(town: Tariff, drawn: Drawn) -> None:
    rides = rides_of([(minute, route, []) for minute, route, _ in drawn], town)
    moments = {one.key: town.at(one.tapped_ms)[0] for one in rides}
    networks = {"R1": "city", "R2": "city"}
    by_day: dict[object, int] = {}
    total_tiyn = 0
    for charge in price(rides, town, NOBODY).charges:
        one = next(one for one in rides if one.key == charge.ride_key)
        total_tiyn += charge.charged_tiyn
        if one.route_id in networks:
            day = moments[one.key].service_date
            by_day[day] = by_day.get(day, 0) + charge.charged_tiyn
    assert total_tiyn <= 150_000
    assert all(spent_tiyn <= 34_000 for spent_tiyn in by_day.values())


@few
@given(drawn=drawn_rides(("R1", "R2"), minutes=20 * 60), more=st.integers(0, 20 * 60))
def test_where_all_lines_cost_the_same_one_more_ride_of_a_day_never_lowers_the_total(
    town: Tariff, drawn: Drawn, more: int
) -> None:
    # With dear and cheap lines it may: a cheap ride before a dear one makes of it a transfer. So may, where the day cap
    # is reached, a ride for nothing at the end of a day, from which the first one of the next day is a transfer.
    fewer: Drawn = [(minute, route, []) for minute, route, _ in drawn]
    before = price(rides_of(fewer, town), town, NOBODY).total_tiyn
    after = price(rides_of([*fewer, (more, "R1", [])], town), town, NOBODY).total_tiyn
    assert before <= after


@few
@given(names=st.lists(st.sampled_from(["adult", "child", "pupil"]), min_size=1, max_size=6), before=drawn_rides())
def test_a_family_pays_the_same_on_one_tap_and_on_several_of_the_same_moment(
    town: Tariff, names: list[str], before: Drawn
) -> None:
    earlier = [one for one in rides_of(before, town) if one.tapped_ms < at_ms("2026-04-05 20:00", town)]
    together = ride(
        "2026-04-05 20:00", "R1", town, key="z", vehicle_id="bus", riders=riders(" ".join(f"{n}×1" for n in names))
    )
    apart = [
        ride("2026-04-05 20:00", "R1", town, key=f"z{place}", vehicle_id="bus", riders=riders(f"{name}×1"))
        for place, name in enumerate(names)
    ]
    for profile in (
        NOBODY,
        Profile(concessions=(Concession(category=RiderCategory("pupil"), from_date="", until_date=""),)),
    ):
        one, many = price([*earlier, together], town, profile), price([*earlier, *apart], town, profile)
        assert one.total_tiyn == many.total_tiyn


@few
@given(drawn=drawn_rides(minutes=9 * 24 * 60), profile=profiles)
def test_the_past_that_a_week_needs_goes_back_to_a_pause_longer_than_any_transfer(
    town: Tariff, drawn: Drawn, profile: Profile
) -> None:
    rides = sorted(rides_of(drawn, town), key=lambda one: (one.tapped_ms, one.key))
    week_ms = at_ms("2026-04-06 04:00", town)
    kept: list[Ride] = []
    for one in reversed(rides):
        if min([week_ms, *(later.tapped_ms for later in kept[-1:])]) - one.tapped_ms > 60 * MINUTE_MS:
            break
        kept.append(one)
    of_week = {one.key for one in rides if one.tapped_ms >= week_ms}
    whole, cut = price(rides, town, profile).charges, price(kept, town, profile).charges
    assert [one for one in whole if one.ride_key in of_week] == [one for one in cut if one.ride_key in of_week]
