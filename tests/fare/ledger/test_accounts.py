import datetime as dt

import pytest

from fare.ledger.accounts import CHART, AccountKind, Side, aggregate, carrier, debt, kind_of, revenue, subsidy, wallet
from fare.model import AccountCode, CarrierId, MediumId, RiderCategory

MEDIUM = MediumId("6f" * 16)


def test_every_code_that_is_made_here_is_of_the_chart() -> None:
    made = {
        wallet(MEDIUM): AccountKind.WALLET,
        debt(MEDIUM): AccountKind.DEBT,
        aggregate(MEDIUM, dt.date(2026, 11, 26)): AccountKind.AGGREGATE,
        carrier(CarrierId("ПАТП №1")): AccountKind.CARRIER,
        revenue(RiderCategory("adult")): AccountKind.REVENUE,
        subsidy(RiderCategory("pupil")): AccountKind.SUBSIDY,
    }
    assert {code: kind_of(code) for code in made} == made


@pytest.mark.parametrize(
    "code",
    ["", "wallet", "wallet:", "wallet:6F", "wallet:4111111111111111", "suspense:x", "refund:", "carrier:\n", "x"],
)
def test_other_codes_are_of_no_account(code: str) -> None:
    assert kind_of(AccountCode(code)) is None


def test_the_chart_knows_every_kind_and_riders_accounts_never_go_below_zero() -> None:
    assert set(CHART) == set(AccountKind)
    for kind in (AccountKind.WALLET, AccountKind.DEPOSIT):
        assert CHART[kind].overdraft_tiyn == 0
    assert CHART[AccountKind.WALLET].side is Side.CREDIT
