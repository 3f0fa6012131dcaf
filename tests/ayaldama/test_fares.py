"""What an operator chooses reaches validators and inspectors in their own units."""

from pathlib import Path

from ayaldama.fares import configuration_of, inspection_rules_of
from ayaldama.settings import InspectionSection, ValidatorsSection
from fare.inspection.values import InspectionRules
from fare.model import MediumKind
from fare.validator.rules import Configuration, KindRules
from tests.notation.fares import tariff


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
