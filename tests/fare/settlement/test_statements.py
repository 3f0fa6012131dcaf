"""Carriers are owed what riders and payers of concessions paid, less cash, money back and commission."""

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fare.model import CarrierId, JournalKey, MediumKind
from fare.settlement.model import Refund, RefundReason, Sale
from fare.settlement.refunds import AmnestyWindow, amnesty_refunds, under_amnesty
from fare.settlement.statements import statements
from tests.notation.fares import MONDAY

CARD_150 = {MediumKind.TRANSPORT_CARD: 150}


def refund(ride_key: str, amount_tiyn: int, carrier: str = "private") -> Refund:
    return Refund(
        key=JournalKey(f"r/{ride_key}/{amount_tiyn}"),
        ride_key=ride_key,
        carrier_id=CarrierId(carrier),
        amount_tiyn=amount_tiyn,
        reason=RefundReason.COMPLAINT,
        service_date=MONDAY,
    )


def test_a_day_is_settled_per_carrier(sales: tuple[Sale, ...]) -> None:
    municipal, private = statements(sales, [refund("v:5", 8_501)], CARD_150)
    assert (municipal.carrier_id, municipal.service_date) == ("municipal", MONDAY)
    assert [(line.category, line.riders, line.charged_tiyn) for line in municipal.lines] == [
        ("adult", 3, 25_503),
        ("child", 1, 0),
    ]
    assert municipal.commission_tiyn == 25_503 * 150 // 10_000 == 382
    assert municipal.payable_tiyn == 25_503 - 382
    assert private.rides == 5  # with the one at three in the night: the service day begins at four
    assert [(line.medium_kind, line.category, line.charged_tiyn) for line in private.lines] == [
        ("cash", "adult", 15_000),
        ("transport_card", "adult", 0 + 8_501 + 17_002),
        ("transport_card", "pupil", 4_250),
    ]
    assert private.subsidies == (("city", 4_251),)
    assert private.cash_tiyn == 15_000
    assert private.payable_tiyn == 25_503 + 4_250 + 4_251 - 8_501 - (29_753 * 150 // 10_000)


def test_a_carrier_that_only_gave_money_back_owes_it(sales: tuple[Sale, ...]) -> None:
    (only,) = statements([], [refund("v:5", 100)], CARD_150)
    assert (only.rides, only.payable_tiyn) == (0, -100)


def test_i2_rides_under_an_amnesty_settle_at_nothing_and_stay_auditable(sales: tuple[Sale, ...]) -> None:
    window = AmnestyWindow(amnesty_id="a1", from_ms=0, until_ms=2**53, vehicle_ids=frozenset({"bus1"}))
    marked = under_amnesty(sales, [window])
    municipal, private = statements(marked, [], CARD_150)
    assert (municipal.rides, municipal.forgiven_rides, municipal.forgiven_tiyn) == (2, 2, 25_503)
    assert (municipal.lines, municipal.payable_tiyn, municipal.subsidy_tiyn) == ((), 0, 0)
    assert private == statements(sales, [], CARD_150)[1]
    assert [sale.charges for sale in marked] == [sale.charges for sale in sales]
    assert [sale.amnesty_id for sale in marked] == ["a1", "", "a1", "", "", "", ""]


def test_i2_a_carrier_does_not_bear_refunds_of_rides_that_it_was_never_owed(sales: tuple[Sale, ...]) -> None:
    window = AmnestyWindow(amnesty_id="a1", from_ms=0, until_ms=2**53, vehicle_ids=frozenset({"bus1"}))
    refunds = amnesty_refunds(sales, window, [], MONDAY)
    assert sum(one.amount_tiyn for one in refunds) == 25_503
    assert statements(under_amnesty(sales, [window]), refunds, {})[0].payable_tiyn == 0
    assert statements(sales, refunds, {})[0].payable_tiyn == 0  # settled before, given back after: the same in the end


@pytest.mark.parametrize("bp", [-1, 10_001])
def test_a_commission_beyond_all_and_below_nothing_is_refused(bp: int) -> None:
    with pytest.raises(ValueError, match="commission_bp of phone must be from 0 to 10000"):
        statements([], [], {MediumKind.PHONE: bp})


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    carriers=st.lists(st.sampled_from(["a", "b", "c"]), min_size=7, max_size=7),
    order=st.permutations(range(7)),
    forgiven=st.sets(st.sampled_from(["bus1", "bus2", "bus3"])),
)
def test_no_tiyn_is_lost_between_carriers(
    sales: tuple[Sale, ...], carriers: list[str], order: list[int], forgiven: set[str]
) -> None:
    given_out = [
        msgspec.structs.replace(sale, ride=msgspec.structs.replace(sale.ride, carrier_id=CarrierId(carrier)))
        for sale, carrier in zip(sales, carriers, strict=True)
    ]
    window = AmnestyWindow(amnesty_id="a", from_ms=0, until_ms=2**53, vehicle_ids=frozenset(forgiven))
    settled = under_amnesty([given_out[place] for place in order], [window] if forgiven else [])
    made = statements(settled, [], {})
    assert made == statements(under_amnesty(given_out, [window] if forgiven else []), [], {})
    assert sum(one.charged_tiyn for one in made) == sum(sale.settled_tiyn for sale in settled)
    assert sum(one.subsidy_tiyn for one in made) == sum(sale.subsidy_tiyn for sale in settled)
    assert sum(one.charged_tiyn + one.forgiven_tiyn for one in made) == sum(sale.priced_tiyn for sale in sales)
    assert sum(one.rides for one in made) == len(sales)
