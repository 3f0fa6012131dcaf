"""Money goes back once, and never more of it than was paid."""

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fare.model import CarrierId, JournalKey
from fare.settlement.model import Refund, RefundReason, Sale
from fare.settlement.refunds import AmnestyWindow, RefundOutcome, amnesty_refunds, corrections, decide_refund
from fare.tariff.model import Tariff
from tests.notation.fares import MONDAY, TOWN, at_ms, tariff
from tests.notation.sales import DAY, day_of_sales


def refund(amount_tiyn: int, key: str = "k1", ride_key: str = "v:1", **more: object) -> Refund:
    made = Refund(
        key=JournalKey(key),
        ride_key=ride_key,
        carrier_id=CarrierId("municipal"),
        amount_tiyn=amount_tiyn,
        reason=RefundReason.COMPLAINT,
        service_date=MONDAY,
    )
    return msgspec.structs.replace(made, **more)


@pytest.mark.parametrize(
    ("asked", "earlier", "outcome"),
    [
        (refund(8_501), [], RefundOutcome.GRANTED),
        (refund(1), [], RefundOutcome.GRANTED),
        (refund(8_502), [], RefundOutcome.EXCEEDS_PAID),
        (refund(8_501), [refund(8_501)], RefundOutcome.REPEATED),
        (refund(8_000), [refund(8_501)], RefundOutcome.KEY_REUSED),
        (refund(1, "k2"), [refund(8_501)], RefundOutcome.EXCEEDS_PAID),
        (refund(4_251, "k2"), [refund(4_250)], RefundOutcome.GRANTED),
        (refund(4_252, "k2"), [refund(4_250)], RefundOutcome.EXCEEDS_PAID),
        (refund(4_252, "k2"), [refund(4_250, reason=RefundReason.CHARGEBACK)], RefundOutcome.EXCEEDS_PAID),
        (refund(8_501, "k2"), [refund(8_501, ride_key="v:9")], RefundOutcome.GRANTED),
        (refund(0), [], RefundOutcome.NOT_POSITIVE),
        (refund(-5), [], RefundOutcome.NOT_POSITIVE),
        (refund(5, ride_key="v:2"), [], RefundOutcome.UNKNOWN_RIDE),
        (refund(5, carrier_id=CarrierId("private")), [], RefundOutcome.UNKNOWN_RIDE),
    ],
)
def test_attack_40_a_refund_is_decided_by_what_was_paid_and_given_back(
    sales: tuple[Sale, ...], asked: Refund, earlier: list[Refund], outcome: RefundOutcome
) -> None:
    assert decide_refund(asked, sales[0], sales[0].priced_tiyn, earlier) is outcome


def test_a_ride_that_nobody_knows_gives_nothing_back() -> None:
    assert decide_refund(refund(5), None, 10_000, []) is RefundOutcome.UNKNOWN_RIDE


@pytest.mark.parametrize(
    ("window", "keys"),
    [
        ({}, ["v:1", "v:3", "v:4", "v:5", "v:6", "v:7"]),  # v:2 was a free transfer
        ({"vehicle_ids": frozenset({"bus1"})}, ["v:1", "v:3"]),
        ({"route_ids": frozenset({"R2"})}, ["v:4", "v:5", "v:6"]),
        ({"vehicle_ids": frozenset({"bus2"}), "route_ids": frozenset({"R1"})}, []),
        ({"from_ms": "09:00", "until_ms": "17:00"}, ["v:3", "v:4"]),
    ],
)
def test_i2_an_amnesty_is_of_vehicles_lines_and_hours(
    town: Tariff, sales: tuple[Sale, ...], window: dict[str, object], keys: list[str]
) -> None:
    times = {name: at_ms(value, town) for name, value in window.items() if isinstance(value, str)}
    made = AmnestyWindow(**{"amnesty_id": "a", "from_ms": 0, "until_ms": 2**53, **window, **times})  # type: ignore[arg-type]
    assert [one.ride_key for one in amnesty_refunds(sales, made, [], MONDAY)] == keys


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(paid_back=st.lists(st.tuples(st.integers(0, 6), st.integers(1, 9_000)), max_size=8), again=st.integers(1, 4))
def test_i2_a_bulk_refund_run_again_and_again_gives_back_what_was_paid_and_no_more(
    sales: tuple[Sale, ...], paid_back: list[tuple[int, int]], again: int
) -> None:
    granted: list[Refund] = []
    for number, (place, amount_tiyn) in enumerate(paid_back):
        sale = sales[place]
        asked = refund(amount_tiyn, f"k{number}", sale.ride.key, carrier_id=sale.ride.carrier_id)
        if decide_refund(asked, sale, sale.priced_tiyn, granted) is RefundOutcome.GRANTED:
            granted.append(asked)
    window = AmnestyWindow(amnesty_id="a", from_ms=0, until_ms=2**53)
    for _ in range(again):
        for asked in amnesty_refunds(sales, window, granted, MONDAY):
            sale = next(sale for sale in sales if sale.ride.key == asked.ride_key)
            assert decide_refund(asked, sale, sale.priced_tiyn, granted) is RefundOutcome.GRANTED
            granted.append(asked)
    for sale in sales:
        assert sum(one.amount_tiyn for one in granted if one.ride_key == sale.ride.key) == sale.priced_tiyn


def test_a_tap_that_comes_late_moves_the_price_to_itself(town: Tariff) -> None:
    lines = DAY.strip().splitlines()
    before = day_of_sales(town, "\n".join(["08:00     | card   c9 | E  | bus9 | private | S0 |", *lines[1:]]))
    late = day_of_sales(town)
    refunds, more_tiyn = corrections(before, late, MONDAY)
    assert [(one.ride_key, one.amount_tiyn) for one in refunds] == [("v:1", 8_501), ("v:2", 8_501)]
    assert more_tiyn == {}
    again, _ = corrections(late, late, MONDAY)
    assert again == ()
    assert corrections(late, before, MONDAY)[1] == {"v:1": 8_501, "v:2": 8_501}


def test_attack_54_a_tariff_edited_for_days_gone_by_shows_in_what_a_new_bill_changes(
    town: Tariff, tmp_path_factory: pytest.TempPathFactory
) -> None:
    edited = tariff(tmp_path_factory.mktemp("edited"), TOWN.replace("85.01", "90.00"))
    refunds, more_tiyn = corrections(day_of_sales(town), day_of_sales(edited), MONDAY)
    assert refunds == ()
    assert more_tiyn == {"v:1": 499, "v:3": 2 * 499, "v:4": 250, "v:5": 499, "v:7": 2 * 499}
