"""A city's fare tables and carriers go into its feed, and their faults are told of the operator's own lines."""

from pathlib import Path

import pytest

import gtfs_data
from gtfs_data.build import BuildError, build_feed
from gtfs_data.build.fares import COLUMNS
from gtfs_data.fares import OWN, STANDARD, check_fares, read_fares
from tests.gtfs_data.test_build import table
from tests.notation.village import write_village

PRODUCTS = "fare_product_id;amount;currency\n\nsingle;80,50;KZT\n"
RULES = "leg_group_id,fare_product_id\nbus,single\n"


def village(folder: Path, **tables: str) -> Path:
    return write_village(folder, files={f"fares/{name}.csv": text for name, text in tables.items()})


def faults(folder: Path) -> list[str]:
    with pytest.raises(BuildError) as caught:
        build_feed(folder, folder / "feed.zip")
    assert not (folder / "feed.zip").exists()
    return [str(notice) for notice in caught.value.report.notices]


def test_fares_are_read_from_spreadsheets(tmp_path: Path) -> None:
    feed = tmp_path / "feed.zip"
    build_feed(village(tmp_path, fare_products=PRODUCTS, fare_leg_rules=RULES), feed)
    assert table(feed, "fare_products.txt") == [{"fare_product_id": "single", "amount": "80.50", "currency": "KZT"}]
    assert read_fares(feed).prices[0].amount_tiyn == 8_050


@pytest.mark.parametrize(
    ("tables", "told"),
    [
        (
            {"fare_products": PRODUCTS.replace("80,50", "80,505")},
            "fares/fare_products.csv line 3 amount '80.505': must be",
        ),
        (
            {"fare_leg_rules": RULES.replace("single", "double")},
            "fares/fare_leg_rules.csv line 2 fare_product_id 'double'",
        ),
        (
            {"fare_leg_rules": RULES.replace("leg_group_id", "legs")},
            "fares/fare_leg_rules.csv line 1 'legs': no such column",
        ),
        ({"fare_prices": PRODUCTS}, "fares/fare_prices.csv: no such table; there may be areas"),
        ({"fare_products": ""}, "fares/fare_products.csv"),
        (
            {"areas": "area_id\na", "stop_areas": "area_id,stop_id\na,9"},
            "fares/stop_areas.csv line 2 stop_id '9': no such id in stops.txt",
        ),
        (
            {"networks": "network_id\nn", "route_networks": "network_id,route_id\nn,77"},
            "fares/route_networks.csv line 2 route_id '77': no such id in routes.txt",
        ),
    ],
)
def test_a_fault_is_told_of_the_operators_own_line(tmp_path: Path, tables: dict[str, str], told: str) -> None:
    whole = {"fare_products": PRODUCTS, "fare_leg_rules": RULES, **tables}
    found = faults(village(tmp_path, **whole))
    assert any(told in fault for fault in found), found


def test_every_table_that_is_read_may_be_given() -> None:
    assert set(COLUMNS) == {*STANDARD, *OWN}


def test_each_route_is_its_carriers(tmp_path: Path) -> None:
    folder = write_village(
        tmp_path,
        change={
            "city.toml": ("[validity]", '[[carriers]]\nid = "zhol"\nname = { kk = "Жол", en = "Road" }\n\n[validity]')
        },
        files={"routes.csv": "route_id,short_name,name_kk,carrier\n1,1,Базар – Стансы,\n2,2,Аурухана айналмасы,zhol\n"},
    )
    build_feed(folder, tmp_path / "feed.zip")
    agencies = table(tmp_path / "feed.zip", "agency.txt")
    assert [(row["agency_id"], row["agency_name"], row["agency_url"]) for row in agencies] == [
        ("village", "Ауыл автобусы", "https://example.org"),
        ("zhol", "Жол", "https://example.org"),
    ]
    assert [row["agency_id"] for row in table(tmp_path / "feed.zip", "routes.txt")] == ["village", "zhol"]
    assert ("zhol", "Road") in [
        (row["record_id"], row["translation"]) for row in table(tmp_path / "feed.zip", "translations.txt")
    ]


@pytest.mark.parametrize(
    ("carrier", "told"),
    [
        ('id = "village"\nname = { kk = "Ж" }', "carriers[0].id 'village': each id may stand once"),
        ('id = "a b"\nname = { kk = "Ж" }', "carriers[0].id 'a b': must be up to 40 Latin letters"),
        ('id = "zhol"\nname = { en = "Road" }', "carriers[0].name: must have a name in “kk”"),
        ('id = "zhol"\nname = { kk = "Ж" }\nurl = "x"', "carriers[0].url 'x': must begin with https://"),
        ('id = "zhol"', "carriers[0]: Object missing required field `name`"),
    ],
)
def test_a_fault_of_a_carrier_is_told(tmp_path: Path, carrier: str, told: str) -> None:
    folder = write_village(tmp_path, change={"city.toml": ("[validity]", f"[[carriers]]\n{carrier}\n\n[validity]")})
    found = faults(folder)
    assert any(told in fault for fault in found), found


def test_a_route_of_nobody_is_told(tmp_path: Path) -> None:
    folder = write_village(tmp_path, files={"routes.csv": "route_id,short_name,name_kk,carrier\n1,1,Б,x\n2,2,А,\n"})
    assert "routes.csv line 2 carrier 'x': no such carrier in city.toml" in faults(folder)


def test_the_sample_city_has_a_tariff_for_each_of_its_days(tmp_path: Path) -> None:
    feed = tmp_path / "kyzylorda.zip"
    report = build_feed(Path(gtfs_data.__file__).parent / "kyzylorda", feed)
    assert check_fares(feed).counts == {}
    versions = read_fares(feed).versions
    assert versions[0].from_date == report.first_day
    assert versions[-1].until_date == report.last_day
    assert {row["agency_id"] for row in table(feed, "routes.txt")} == {"kyzylorda", "carrier_a", "carrier_b"}
