"""What rides cost in a town with everything: categories, media, zones, an express, passes, caps, two versions."""

import datetime as dt
from pathlib import Path

import pytest

from fare.model import (
    Concession,
    MediumId,
    MediumKind,
    PassHeld,
    Profile,
    RiderCategory,
)
from fare.tariff.model import Tariff, build_tariff
from fare.tariff.price import price, quote
from gtfs_data.fares import read_fares
from tests.notation.fares import NOBODY, TOWN, at_ms, check, fare_feed, ride, riders, said, tariff, total_tiyn


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Tariff:
    return tariff(tmp_path_factory.mktemp("town"))


def holder(category: str, *, until: str = "") -> Profile:
    right = Concession(category=RiderCategory(category), from_date="2025-09-01", until_date=until)
    return Profile(concessions=(right,))


def test_cash_costs_more_than_a_card(town: Tariff) -> None:
    one = ride("08:00", "R1", town)
    by_kind = {kind: total_tiyn([ride("08:00", "R1", town, medium_kind=kind)], town) for kind in MediumKind}
    assert by_kind[MediumKind.CASH] == 15_000
    assert {by_kind[kind] for kind in MediumKind if kind is not MediumKind.CASH} == {8_501}
    assert price([one], town, NOBODY).tariff_versions == ("old",)


def test_cash_has_no_memory_and_no_holder(town: Tariff) -> None:
    check(
        """
        08:00 | R1 | 150.00 | full
        08:10 | R1 | 150.00 | full
        08:20 | R1 | 150.00 | full
        08:30 | R1 | 150.00 | full
        """,
        town,
        holder("pupil"),
        medium_kind=MediumKind.CASH,
    )


def test_the_price_is_that_of_the_day_of_the_tap(town: Tariff) -> None:
    check(
        """
        2026-03-31 23:59:59 | R1 | 85.01  | full
        2026-04-01 01:30    | R1 | 100.00 | full
        """,
        town,
    )
    late = [ride("2026-04-01 10:00", "R1", town), ride("2026-03-31 10:00", "R1", town)]
    assert price(late, town, NOBODY).tariff_versions == ("old", "new")


def test_a_day_without_a_version_and_a_line_without_a_price_are_free_and_said(town: Tariff, tmp_path: Path) -> None:
    check("2025-12-31 12:00 | R1 | 0.00 | no_fare", town)
    without = tariff(
        tmp_path,
        TOWN.replace("suburb        suburban", "suburb        city    ").replace(
            "suburban    town", "suburban    village"
        ),
    )
    check("08:00 | V | 0.00 | no_fare", without)


def test_attack_45_half_of_an_odd_fare_is_never_more_than_half(town: Tariff) -> None:
    (charge,) = price([ride("08:00", "R1", town)], town, holder("pupil")).charges
    assert (charge.full_tiyn, charge.charged_tiyn, charge.subsidy_tiyn, charge.paid_by) == (8_501, 4_250, 4_251, "city")


def test_attack_53_a_pupil_pays_in_full_from_midnight_of_the_18th_birthday(town: Tariff) -> None:
    check(
        """
        Mon 23:59:59 | R1 | 42.50 | concession
        Tue 00:00    | R1 | 85.01 | full
        """,
        town,
        holder("pupil", until="2026-03-02"),
    )


def test_the_right_is_that_of_the_day_of_the_tap(town: Tariff) -> None:
    right = Concession(category=RiderCategory("pupil"), from_date="2026-03-03", until_date="2026-03-04")
    check(
        """
        Mon 12:00 | R1 | 85.01 | full
        Tue 12:00 | R1 | 42.50 | concession
        Wed 12:00 | R1 | 42.50 | concession
        Thu 12:00 | R1 | 85.01 | full
        """,
        town,
        Profile(concessions=(right,)),
    )


def test_a_student_rides_twice_a_day_for_nothing_and_a_transfer_costs_none_of_the_two(town: Tariff) -> None:
    check(
        """
        Mon 08:00 | R1 | 0.00  | quota
        Mon 08:40 | R2 | 0.00  | transfer
        Mon 12:00 | R1 | 0.00  | quota
        Mon 15:00 | R1 | 85.01 | full
        Tue 03:59 | R1 | 85.01 | full
        Tue 05:00 | R1 | 0.00  | quota
        """,
        town,
        holder("student"),
    )


def test_a_veteran_rides_for_nothing_and_the_region_pays(town: Tariff) -> None:
    (charge,) = price([ride("08:00", "R1", town)], town, holder("veteran")).charges
    assert (charge.charged_tiyn, charge.subsidy_tiyn, charge.paid_by, charge.reason) == (
        *(0, 8_501, "oblast", "concession"),
    )


def test_of_two_rights_the_one_that_the_tariff_names_first_counts(town: Tariff) -> None:
    rights = tuple(right for name in ("pupil", "veteran") for right in holder(name).concessions)
    (charge,) = price([ride("08:00", "R1", town)], town, Profile(concessions=rights)).charges
    assert charge.category == "veteran"


def test_i7_one_tap_pays_for_adults_and_children(town: Tariff) -> None:
    family = ride("08:00", "R1", town, riders=riders("adult×2 child×3"))
    bill = price([family], town, NOBODY)
    assert [(c.category, c.count, c.full_tiyn, c.charged_tiyn) for c in bill.charges] == [
        ("adult", 2, 17_002, 17_002),
        ("child", 3, 25_503, 0),
    ]


def test_each_of_several_riders_has_a_transfer_of_their_own(town: Tariff) -> None:
    both = [
        ride("08:00", "R1", town, riders=riders("adult×1")),
        ride("08:30", "R2", town, riders=riders("adult×2")),
        ride("08:45", "R1", town, riders=riders("adult×2")),
    ]
    bill = price(both, town, NOBODY)
    assert [said(bill, one.key) for one in both] == [
        [("85.01", "full")],
        [("0.00", "transfer"), ("85.01", "full")],
        [("0.00", "transfer"), ("0.00", "transfer")],  # until 09:00 and until 09:30
    ]


def test_a_right_that_must_be_proven_carries_one_rider(town: Tariff) -> None:
    class_trip = ride("08:00", "R1", town, riders=riders("pupil×3"))
    assert [(c.category, c.count) for c in price([class_trip], town, holder("pupil")).charges] == [
        ("pupil", 1),
        ("adult", 2),
    ]
    assert [(c.category, c.count) for c in price([class_trip], town, NOBODY).charges] == [("adult", 3)]


def test_an_unknown_category_pays_as_an_adult(town: Tariff) -> None:
    (charge,) = price([ride("08:00", "R1", town, riders=riders("pirate×1"))], town, NOBODY).charges
    assert (charge.category, charge.charged_tiyn) == ("adult", 8_501)


def test_an_express_costs_twice_as_much_also_for_half(town: Tariff) -> None:
    check("08:00 | E | 170.02 | express", town)
    check("08:00 | E | 85.00  | concession", town, holder("pupil"))


def test_a_suburban_line_costs_by_where_it_goes_and_the_dearest_where_nobody_knows(town: Tariff) -> None:
    check("08:00 | V | 200.00 | full", town)
    check("08:00 | V | 85.01  | full", town, to_stop_id="S0")
    check("08:00 | V | 200.00 | full", town, to_stop_id="S3")
    check("08:00 | V | 200.00 | full", town, stop_id="S3")


def test_a_transfer_to_a_dearer_line_costs_the_difference(town: Tariff) -> None:
    check(
        """
        08:00 | R1 | 85.01  | full
        08:30 | V  | 110.00 | transfer
        08:40 | R1 | 85.01  | full
        """,
        town,
    )


def test_a_day_cap_of_the_city_does_not_count_suburban_rides(town: Tariff) -> None:
    check(
        """
        08:00 | R1 | 85.01  | full
        10:00 | V  | 200.00 | full
        12:00 | R1 | 85.01  | full
        14:00 | R1 | 85.01  | full
        16:00 | R1 | 84.97  | day_cap
        18:00 | R1 | 0.00   | day_cap
        20:00 | V  | 200.00 | full
        """,
        town,
    )


def test_a_pass_rides_for_nothing_on_its_lines_while_it_counts(town: Tariff) -> None:
    held = PassHeld(product_id="month", from_ms=at_ms("Mon 00:00", town), until_ms=at_ms("Wed 00:00", town))
    check(
        """
        Mon 00:00    | R1 | 0.00   | pass
        Mon 12:00    | V  | 200.00 | full
        Tue 23:59:59 | R1 | 0.00   | pass
        Wed 05:30    | R1 | 85.01  | full
        """,
        town,
        Profile(passes=(held,)),
    )


def test_a_pass_carries_one_rider(town: Tariff) -> None:
    held = PassHeld(product_id="month", from_ms=0, until_ms=2**53)
    one = ride("08:00", "R1", town, riders=riders("adult×2"))
    bill = price([one], town, Profile(passes=(held,)))
    assert said(bill, one.key) == [("0.00", "pass"), ("85.01", "full")]


def test_i1_a_capture_replayed_fifty_times_is_one_charge(town: Tariff) -> None:
    one = ride("08:00", "R1", town)
    assert price([one] * 50, town, NOBODY) == price([one], town, NOBODY)


def test_one_key_for_two_rides_is_refused(town: Tariff) -> None:
    with pytest.raises(ValueError, match="key k names two different rides"):
        price([ride("08:00", "R1", town, key="k"), ride("08:01", "R1", town, key="k")], town, NOBODY)


@pytest.mark.parametrize("count", [0, -1, 101])
def test_attack_44_a_count_of_riders_that_cannot_be_is_refused(town: Tariff, count: int) -> None:
    with pytest.raises(ValueError, match="count of riders must be from 1 to 100"):
        price([ride("08:00", "R1", town, riders=riders(f"adult×{count}"))], town, NOBODY)


def test_a_quote_says_until_when_transfers_are_free(town: Tariff) -> None:
    (charge,) = quote(ride("08:00", "R1", town), [], town, NOBODY)
    assert charge.until_ms == at_ms("09:00", town)
    (charge,) = quote(ride("08:30", "R2", town), [ride("08:00", "R1", town)], town, NOBODY)
    assert (charge.charged_tiyn, charge.until_ms) == (0, at_ms("09:00", town))


def test_two_tariffs_for_one_day_are_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    one = read_fares(fare_feed(tmp_path_factory.mktemp("a")))
    with pytest.raises(ValueError, match="versions must not overlap: old from 2026-01-01, old until 2026-03-31"):
        build_tariff([one, one])


def test_feeds_of_different_years_make_one_tariff(tmp_path_factory: pytest.TempPathFactory) -> None:
    earlier = TOWN.replace("20260401    -       ", "20260401    20261231")
    later = earlier.replace("  2026", "  2027").replace("old ", "old2 ").replace("new ", "new2 ")
    assert earlier != TOWN
    feeds = [read_fares(fare_feed(tmp_path_factory.mktemp("f"), text)) for text in (later, earlier)]
    made = build_tariff(feeds)
    assert [version.version_id for version in made.versions] == ["old", "new", "old2", "new2"]
    version = made.version_on(dt.date(2026, 12, 31))
    assert version is not None
    assert version.version_id == "new"


def test_two_media_of_one_passenger_have_two_days(town: Tariff) -> None:
    rides = [ride("08:00", "R1", town), ride("08:30", "R1", town, medium_id=MediumId("m2"))]
    assert total_tiyn(rides, town) == 2 * 8_501
