"""A charge is looked at again from outside right before it is sent: a runaway of our own raises an alarm (I1)."""

import msgspec
import pytest

from fare.model import JournalKey, MediumId
from fare.risk.values import BankCard, Due, FareKind, PayWindow, WindowState
from fare.risk.watch import Alarm, alarms
from tests.fare.risk.scenes import RULES

NOON, NIGHT = 12 * 60, 3 * 60
CARD = BankCard(
    medium_id=MediumId("card-7"),
    windows=(
        PayWindow(
            service_date="2026-09-01",
            state=WindowState.OPEN,
            opened_ms=0,
            closes_ms=1,
            owed_tiyn=9_000,
            settled_tiyn=2_000,
        ),
    ),
)
REQUEST = Due(
    key=JournalKey("bank_card:card-7:1"), kind=FareKind.AGGREGATED, service_date="2026-09-01", amount_tiyn=7_000
)


def test_an_ordinary_charge_raises_none() -> None:
    assert alarms(CARD, REQUEST, NOON, 0, RULES) == ()


@pytest.mark.parametrize("kind", [kind for kind in FareKind if kind.automatic])
def test_i1_an_automatic_charge_at_night_when_no_bus_runs_is_an_alarm(kind: FareKind) -> None:
    assert alarms(CARD, msgspec.structs.replace(REQUEST, kind=kind), NIGHT, 0, RULES) == (Alarm.OUTSIDE_HOURS,)


@pytest.mark.parametrize("kind", [FareKind.DEBT_RECOVERY_TAP, FareKind.DEBT_RECOVERY_RIDER])
def test_a_rider_who_pays_at_night_raises_none(kind: FareKind) -> None:
    assert alarms(CARD, msgspec.structs.replace(REQUEST, kind=kind), NIGHT, 0, RULES) == ()


def test_i1_tens_of_times_the_fare_is_an_alarm() -> None:
    tenfold = msgspec.structs.replace(REQUEST, amount_tiyn=70_000)
    assert alarms(CARD, tenfold, NOON, 0, RULES) == (Alarm.MORE_THAN_OWED,)
    verified = msgspec.structs.replace(REQUEST, kind=FareKind.VERIFICATION, amount_tiyn=RULES.nominal_tiyn + 1)
    assert alarms(CARD, verified, NOON, 0, RULES) == (Alarm.MORE_THAN_OWED,)


def test_i1_a_card_asked_for_again_and_again_is_an_alarm() -> None:
    assert alarms(CARD, REQUEST, NOON, RULES.requests_per_day_max, RULES) == (Alarm.TOO_OFTEN,)
