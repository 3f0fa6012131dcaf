"""Fare tables are read whole or not at all, and every fault is named as GTFS names it."""

import datetime as dt
from pathlib import Path

import msgspec
import pytest

from gtfs_data.check import check_feed
from gtfs_data.fare_tables import CapPeriod, FareTables, MediaType, PassUnit, TransferType
from gtfs_data.fares import FaresError, check_fares, read_fares
from tests.notation.fares import TOWN, fare_feed
from tests.notation.feed import files, said, write_zip


def changed(**tables: str) -> str:
    """Return TOWN with other rows in some tables, each given as ``header / row / row``; an empty one is left out."""
    kept = [block for block in TOWN.strip().split("\n\n") if block.split("\n")[0] not in tables]
    new = ["\n".join([name, *(row.strip() for row in text.split("/"))]) for name, text in tables.items() if text]
    return "\n\n".join([*kept, *new])


def test_all_tables_of_a_town_are_read(tmp_path: Path) -> None:
    fares = read_fares(fare_feed(tmp_path))
    assert (fares.currency, fares.time_zone) == ("KZT", "Asia/Qyzylorda")
    assert [version.version_id for version in fares.versions] == ["old", "new"]
    assert (fares.versions[0].until_date, fares.versions[1].until_date) == (dt.date(2026, 3, 31), None)
    assert fares.versions[0].day_start_s == 4 * 3600
    assert [medium.media_type for medium in fares.media] == [
        *(MediaType.NONE, MediaType.TRANSIT_CARD, MediaType.MOBILE_APP),
    ]
    amounts = {(p.fare_product_id, p.fare_media_id, p.version_id): p.amount_tiyn for p in fares.prices}
    assert amounts["single", "cash", ""] == 15_000
    assert amounts["single", "", ""] == 8_501
    assert amounts["single", "", "new"] == 10_000
    assert fares.stop_areas == {"S0": ("town",), "S1": ("town",), "S3": ("village",)}
    assert fares.route_networks["V"] == "suburban"
    assert [rule.priority for rule in fares.leg_rules] == [1, 1, 1, 2, 1]
    first, second = fares.transfer_rules
    assert (first.transfers_max, first.duration_limit_s, first.transfer_type) == (
        *(-1, 3600, TransferType.FROM_AND_TRANSFER),
    )
    assert second.fare_product_id == "upgrade"
    assert [(cap.period, cap.amount_tiyn, cap.network_id) for cap in fares.caps] == [
        (CapPeriod.DAY, 34_000, "city"),
        (CapPeriod.WEEK, 150_000, ""),
    ]
    assert fares.passes[0].unit is PassUnit.CALENDAR_MONTH
    pupil = next(rule for rule in fares.concessions if rule.rider_category_id == "pupil")
    assert (pupil.share_percent, pupil.ends_at_age, pupil.paid_by, pupil.proof) == (50, 18, "city", True)
    assert fares.multipliers[0].percent == 200


def test_the_tables_are_a_document_that_a_validator_can_keep(tmp_path: Path) -> None:
    fares = read_fares(fare_feed(tmp_path))
    assert msgspec.json.decode(msgspec.json.encode(fares), type=FareTables) == fares


def test_a_town_with_all_tables_has_no_fault_by_our_check(tmp_path: Path) -> None:
    feed = fare_feed(tmp_path)
    assert check_fares(feed).counts == {}
    assert check_feed(feed).errors == 0


def test_a_feed_without_fares_of_version_2_has_none(tmp_path: Path) -> None:
    feed = write_zip(tmp_path / "feed.zip", files())
    assert check_fares(feed).counts == {}
    with pytest.raises(FaresError, match=r"fare_products\.txt: the file is required for fares"):
        read_fares(feed)


def test_a_feed_without_versions_of_its_own_has_one_named_after_its_content(tmp_path: Path) -> None:
    fares = read_fares(fare_feed(tmp_path, changed(fare_versions="", fare_version_amounts="")))
    (version,) = fares.versions
    assert version.version_id == fares.content_hash[:12]
    assert (version.from_date, version.until_date, version.day_start_s) == (None, None, 0)


@pytest.mark.parametrize(
    ("tables", "fault"),
    [
        (
            {"fare_media": "fare_media_id fare_media_type / cash 0 / card 7 / phone 4"},
            ("invalid_value", "fare_media.txt", 3, "fare_media_type", "7"),
        ),
        (
            {"fare_caps": "fare_cap_id cap_period amount / day day 5.255"},
            ("invalid_number", "fare_caps.txt", 2, "amount", "5.255"),
        ),
        (
            {"fare_caps": "fare_cap_id cap_period amount / day day -1"},
            ("out_of_range", "fare_caps.txt", 2, "amount", "-1"),
        ),
        (
            {"fare_caps": "fare_cap_id cap_period amount / day month 5"},
            ("invalid_value", "fare_caps.txt", 2, "cap_period", "month"),
        ),
        (
            {"fare_caps": "fare_cap_id cap_period amount / day day 5 / day day 6"},
            ("duplicate_key", "fare_caps.txt", 3, "fare_cap_id", "day"),
        ),
        (
            {"fare_multipliers": "network_id percent / metro 200"},
            ("foreign_key_violation", "fare_multipliers.txt", 2, "network_id", "metro"),
        ),
        (
            {"fare_multipliers": "network_id percent / express 2.5"},
            ("invalid_number", "fare_multipliers.txt", 2, "percent", "2.5"),
        ),
        (
            {"stop_areas": "area_id stop_id / town S9"},
            ("foreign_key_violation", "stop_areas.txt", 2, "stop_id", "S9"),
        ),
        (
            {"route_networks": "network_id route_id / city R1 / express R1"},
            ("duplicate_key", "route_networks.txt", 3, "route_id", "R1"),
        ),
        (
            {"fare_versions": "fare_version_id start_date end_date / old 20260101 20260401 / new 20260401 -"},
            ("duplicate_key", "fare_versions.txt", 3, "start_date", "20260401"),
        ),
        (
            {"fare_versions": "fare_version_id start_date / old 20260230 / new 20260401"},
            ("invalid_date", "fare_versions.txt", 2, "start_date", "20260230"),
        ),
        (
            {"fare_versions": "fare_version_id end_date day_start_time / old 20260331 13:00:00"},
            ("out_of_range", "fare_versions.txt", 2, "day_start_time", "13:00:00"),
        ),
        (
            {"fare_concessions": "rider_category_id share_percent / adult 50"},
            ("invalid_value", "fare_concessions.txt", 2, "rider_category_id", "adult"),
        ),
        (
            {"fare_concessions": "rider_category_id share_percent fixed_amount / pupil 50 40"},
            ("invalid_value", "fare_concessions.txt", 2, "fixed_amount", "40"),
        ),
        (
            {"fare_passes": "fare_product_id duration_unit duration / month year 1"},
            ("invalid_value", "fare_passes.txt", 2, "duration_unit", "year"),
        ),
        (
            {"fare_transfer_rules": "from_leg_group_id duration_limit fare_transfer_type / city 3600 0"},
            ("missing_required_value", "fare_transfer_rules.txt", 2, "duration_limit_type", ""),
        ),
        (
            {"timeframes": "timeframe_group_id start_time end_time service_id / peak 07:00:00 09:00:00 never"},
            ("foreign_key_violation", "timeframes.txt", 2, "service_id", "never"),
        ),
        (
            {"timeframes": "timeframe_group_id start_time end_time service_id / peak 09:00:00 25:00:00 daily"},
            ("invalid_time", "timeframes.txt", 2, "end_time", "25:00:00"),
        ),
        (
            {"fare_leg_rules": "leg_group_id network_id / city city"},
            ("missing_required_column", "fare_leg_rules.txt", None, "fare_product_id", ""),
        ),
    ],
)
def test_a_fault_is_named_with_file_row_field_and_value(
    tmp_path: Path, tables: dict[str, str], fault: tuple[str, str, int | None, str, str]
) -> None:
    feed = fare_feed(tmp_path, changed(**tables))
    assert fault in [said(notice) for notice in check_fares(feed).notices]
    with pytest.raises(FaresError):
        read_fares(feed)


@pytest.mark.parametrize("amount", ["85.01   KZT", "100\n\nfare_caps"])
def test_a_ride_that_costs_less_than_nothing_is_refused(tmp_path: Path, amount: str) -> None:
    assert amount in TOWN
    feed = fare_feed(tmp_path, TOWN.replace(amount, f"-{amount}"))
    told = [said(notice) for notice in check_fares(feed).notices]
    assert ("out_of_range", "fare_leg_rules.txt", 2, "fare_product_id", "single") in told


def test_two_currencies_in_one_feed_are_refused(tmp_path: Path) -> None:
    feed = fare_feed(tmp_path, TOWN.replace("7500    KZT", "7500    USD"))
    assert ("invalid_value", "fare_products.txt", 5, "currency", "USD") in [said(n) for n in check_fares(feed).notices]


def test_faults_of_fares_are_told_by_the_check_of_a_feed(tmp_path: Path) -> None:
    feed = fare_feed(tmp_path, changed(stop_areas="area_id stop_id / town S9"))
    assert [notice.file for notice in check_feed(feed).notices] == ["stop_areas.txt"]


def test_a_table_that_is_not_utf_8_is_said(tmp_path: Path) -> None:
    contents: dict[str, str | bytes] = {**files(TOWN), "fare_media.txt": "fare_media_id\nнал".encode("cp1251")}
    report = check_fares(write_zip(tmp_path / "feed.zip", contents))
    assert any(notice.file == "fare_media.txt" and "UTF-8" in notice.rule for notice in report.notices)
