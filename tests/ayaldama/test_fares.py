"""What an operator chooses reaches validators and inspectors in their own units."""

from pathlib import Path

from msgspec.structs import replace

from ayaldama.fares import companions_at, configuration_of, default_category_at, inspection_rules_of
from ayaldama.settings import InspectionSection, ValidatorsSection
from fare.inspection.values import InspectionRules
from fare.model import MediumKind
from fare.tariff.model import build_tariff
from fare.validator.rules import Configuration, KindRules
from gtfs_data.fares import read_fares
from tests.notation.fares import at_ms, fare_feed, tariff


def test_categories_are_those_of_the_tariff_version_in_force(tmp_path: Path) -> None:
    tables = read_fares(fare_feed(tmp_path))
    old, new = tables.versions
    later = replace(
        tables,
        versions=(new,),
        categories=tuple(replace(one, default=one.rider_category_id == "student") for one in tables.categories),
        concessions=tuple(replace(one, proof=True) for one in tables.concessions),
    )
    changing = build_tariff([replace(tables, versions=(old,)), later])
    moments_ms = [at_ms(moment, changing) for moment in ("2026-03-31 23:59", "2026-04-01 00:00")]
    assert [default_category_at(changing, one) for one in moments_ms] == ["adult", "student"]
    assert [companions_at(changing, one) for one in moments_ms] == [("child",), ()]
    configurations = [configuration_of(changing, one, ValidatorsSection()) for one in moments_ms]
    assert [one.default_category for one in configurations] == ["adult", "student"]


def test_the_defaults_are_those_of_the_rules(tmp_path: Path) -> None:
    chosen = configuration_of(tariff(tmp_path), 0, ValidatorsSection())
    assert chosen.rules_of(MediumKind.TRANSPORT_CARD) == KindRules(kind=MediumKind.TRANSPORT_CARD)
    plain = Configuration(kinds=())
    assert (chosen.retap_ms, chosen.ride_max_ms) == (plain.retap_ms, plain.ride_max_ms)
    assert inspection_rules_of(InspectionSection()) == InspectionRules()


def test_what_is_chosen_is_in_tiyn_and_milliseconds(tmp_path: Path) -> None:
    section = ValidatorsSection(retap_min=5, offline_max=700, list_age_max_h=1)
    chosen = configuration_of(tariff(tmp_path), 0, section)
    rules = chosen.rules_of(MediumKind.PHONE)
    assert rules is not None
    assert (chosen.retap_ms, rules.offline_tiyn_max, rules.list_age_max_ms) == (300_000, 70_000, 3_600_000)
    assert inspection_rules_of(InspectionSection(fine=100)).fine_tiyn == 10_000
