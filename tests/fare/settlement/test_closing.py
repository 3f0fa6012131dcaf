"""A closed day as journals: balanced, with revenue emptied of exactly what is settled."""

from collections import defaultdict
from collections.abc import Sequence

import msgspec
import pytest

from fare.ledger.accounts import rule_of
from fare.model import CarrierId, JournalKey, MediumKind
from fare.settlement.closing import Part, borne_refunds, difference, late_sale, payout_journal, settlement_journal
from fare.settlement.model import Refund, RefundReason, Sale, Statement
from fare.settlement.payback import refund_journal, write_off_journal
from fare.settlement.statements import statements
from tests.notation.fares import MONDAY
from tests.notation.rides import medium

COMMISSION_BP = {MediumKind.TRANSPORT_CARD: 150}
AT_MS = 1_772_000_000_000


def settled(sales: Sequence[Sale], refunds: Sequence[Refund] = ()) -> dict[str, int]:
    """Return what all carriers' journals move by account, having checked that each is balanced."""
    moved: dict[str, int] = defaultdict(int)
    for statement in statements(sales, refunds, COMMISSION_BP):
        own = [sale for sale in sales if sale.ride.carrier_id == statement.carrier_id]
        borne = [one for one in refunds if one.carrier_id == statement.carrier_id]
        journal = settlement_journal(statement, Part.DAY, own, borne, AT_MS)
        assert journal is not None
        assert sum(entry.amount_tiyn for entry in journal.entries) == 0
        for entry in journal.entries:
            assert rule_of(entry.account) is not None
            moved[entry.account] += entry.amount_tiyn
    return moved


def refund_of(sale: Sale, amount_tiyn: int, reason: RefundReason = RefundReason.COMPLAINT) -> Refund:
    return Refund(
        key=JournalKey(f"r-{sale.ride.key}"),
        ride_key=sale.ride.key,
        carrier_id=sale.ride.carrier_id,
        amount_tiyn=amount_tiyn,
        reason=reason,
        service_date=MONDAY,
    )


def test_revenue_is_emptied_of_what_was_paid_and_subsidised(sales: tuple[Sale, ...]) -> None:
    moved = settled(sales)
    fares_tiyn = sum(charge.charged_tiyn + charge.subsidy_tiyn for sale in sales for charge in sale.charges)
    assert sum(tiyn for code, tiyn in moved.items() if code.startswith("revenue:")) == fares_tiyn > 0


def test_cash_stays_with_the_carrier_and_is_no_claim_any_more(sales: tuple[Sale, ...]) -> None:
    cash = [sale for sale in sales if sale.ride.medium_kind is MediumKind.CASH]
    moved = settled(cash)
    assert moved == {"revenue:adult": 15_000, "cash:private": -15_000}


def test_a_carrier_bears_refunds_and_chargebacks_each_from_its_account(sales: tuple[Sale, ...]) -> None:
    first, second = (sale for sale in sales if sale.settled_tiyn > 0 and sale.ride.carrier_id == "municipal")
    with_refunds = settled(sales, [refund_of(first, 10), refund_of(second, 7, RefundReason.CHARGEBACK)])
    assert (with_refunds["refund"], with_refunds["chargeback"]) == (-10, -7)
    assert with_refunds["carrier:municipal"] - settled(sales)["carrier:municipal"] == 17


def test_a_forgiven_ride_owes_the_carrier_nothing_and_asks_nobody_for_its_concession(sales: tuple[Sale, ...]) -> None:
    forgiven = [msgspec.structs.replace(sale, amnesty_id="sept") for sale in sales]
    moved = settled(forgiven)
    assert not any(code.startswith(("carrier:", "commission")) and tiyn for code, tiyn in moved.items())
    paid_tiyn = sum(sale.priced_tiyn for sale in sales if sale.ride.medium_kind is not MediumKind.CASH)
    assert moved["refund"] == -paid_tiyn
    assert borne_refunds([refund_of(sales[0], 1)], frozenset({sales[0].ride.key}), MONDAY) == ()


def test_settled_and_difference_together_are_what_is_known_now(sales: tuple[Sale, ...]) -> None:
    sale = sales[0]
    cheaper = tuple(msgspec.structs.replace(charge, charged_tiyn=0) for charge in sale.charges)
    now = msgspec.structs.replace(sale, charges=cheaper)
    change = late_sale(now, sale, MONDAY)
    assert sale.priced_tiyn + change.priced_tiyn == now.priced_tiyn == 0
    assert difference(sale.charges, sale.charges) == ()
    assert late_sale(sale, None, MONDAY).charges == sale.charges


def test_what_was_forgiven_when_it_was_settled_stays_forgiven(sales: tuple[Sale, ...]) -> None:
    before = msgspec.structs.replace(sales[0], amnesty_id="sept")
    assert late_sale(sales[0], before, MONDAY).amnesty_id == "sept"
    assert late_sale(before, sales[0], MONDAY).amnesty_id == ""


def test_a_statement_of_other_sales_is_the_callers_mistake(sales: tuple[Sale, ...]) -> None:
    statement = statements(sales, (), COMMISSION_BP)[0]
    with pytest.raises(ValueError, match="statement must be of these sales"):
        settlement_journal(statement, Part.DAY, [], [], AT_MS)


def test_nothing_is_paid_out_where_nothing_is_owed(sales: tuple[Sale, ...]) -> None:
    of: Statement = statements(sales, (), COMMISSION_BP)[0]
    journal = payout_journal(of, Part.DAY, "main", AT_MS)
    assert journal is not None
    assert [entry.amount_tiyn for entry in journal.entries] == [of.payable_tiyn, -of.payable_tiyn]
    nobody = msgspec.structs.replace(of, carrier_id=CarrierId(""))
    assert payout_journal(nobody, Part.DAY, "main", AT_MS) is None


def test_a_refund_is_of_its_ride_and_a_debt_given_up_is_above_nothing(sales: tuple[Sale, ...]) -> None:
    with pytest.raises(ValueError, match="refund is of ride"):
        refund_journal(refund_of(sales[0], 1), sales[1].ride, MONDAY, "main", AT_MS)
    with pytest.raises(ValueError, match="amount_tiyn must be above 0: 0"):
        write_off_journal(medium(7), 0, "k", AT_MS)
