"""The pages about fares name every file, field, outcome and category there is."""

from pathlib import Path

import pytest

from fare.settlement.reconcile import Finding
from fare.settlement.refunds import RefundOutcome
from gtfs_data.build.fares import COLUMNS
from gtfs_data.fares import OWN, STANDARD

DOCS = Path(__file__).parents[2] / "docs"
TARIFF = (DOCS / "tariff.md").read_text(encoding="utf-8")
SETTLEMENT = (DOCS / "settlement.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [*STANDARD, *OWN])
def test_every_file_is_named(name: str) -> None:
    assert f"`{name}.txt`" in TARIFF


@pytest.mark.parametrize("name", OWN)
def test_every_field_of_our_own_files_is_named(name: str) -> None:
    own = TARIFF.split("## Our own files")[1]
    rows = own.split(f"| `{name}.txt`")[1].split("\n| `fare_")[0]
    assert {field for field in (*COLUMNS[name].required, *COLUMNS[name].optional) if f"`{field}`" not in rows} == set()


def test_every_outcome_and_category_of_settlement_is_named() -> None:
    missing = {value.value for value in (*RefundOutcome, *Finding) if f"| `{value.value}` |" not in SETTLEMENT}
    assert missing == set()
