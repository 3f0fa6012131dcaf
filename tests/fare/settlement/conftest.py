"""The town whose sales are settled."""

import pytest

from fare.settlement.model import Sale
from fare.tariff.model import Tariff
from tests.notation.fares import tariff
from tests.notation.sales import day_of_sales


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Tariff:
    return tariff(tmp_path_factory.mktemp("town"))


@pytest.fixture
def sales(town: Tariff) -> tuple[Sale, ...]:
    return day_of_sales(town)
