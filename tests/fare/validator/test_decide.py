"""What a validator answers to a tap: rules of the domain, the competitors' incidents, attacks."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare.model import MediumKind, Riders
from fare.outcomes import TapOutcome
from fare.validator.decide import OUTCOMES, out_of_service
from fare.validator.deny_list import build_list
from fare.validator.rules import Configuration, FareTable, KindRules, Reason
from tests.fare.validator.bus import Bus, companion, play
from tests.fare.validator.cards import ADULT, CONFIGURATION, NOON_MS, PUPIL, Proof, holdings, medium


def test_each_medium_pays_its_own_price_and_a_second_tap_is_green_without_one() -> None:
    play(
        """
        at_s reader medium kind counter outcome       reason     tiyn
        0    front  ann    card -       accepted      fare       10000
        3    front  bob    bank 41      accepted      fare       12000
        9    front  ann    card -       already_paid  same_ride  0
        600  rear   ann    card -       already_paid  same_ride  0
        604  rear   bob    bank 42      already_paid  same_ride  0
        1300 front  ann    card -       accepted      fare       10000
        """,
        Bus(holdings(seen=("bob",))),
    )


def test_i3_a_trip_that_rolls_over_charges_nobody_who_stays_on_board() -> None:
    bus = Bus()
    bus.drive(trip_id="158-1", trip_since_ms=NOON_MS - 60_000)
    assert bus.tap("ann", 0).outcome is TapOutcome.ACCEPTED
    bus.drive(trip_id="158-2", trip_since_ms=NOON_MS + 40 * 60_000)
    assert bus.tap("ann", 43 * 60).outcome is TapOutcome.ALREADY_PAID, "the driver asks for a second tap"
    assert bus.tap("ann", 52 * 60).outcome is TapOutcome.ACCEPTED, "that is another ride"


def test_a_ride_lasts_as_long_as_the_trip_that_it_began_on() -> None:
    bus = Bus()
    bus.drive(trip_id="158-1", trip_since_ms=NOON_MS)
    bus.tap("ann", 0)
    assert bus.tap("ann", 120 * 60).outcome is TapOutcome.ALREADY_PAID
    assert bus.tap("ann", 121 * 60).outcome is TapOutcome.ACCEPTED, "no trip of a city bus lasts that long"


def test_another_vehicle_is_another_ride() -> None:
    bus = Bus()
    bus.tap("ann", 0)
    bus.drive(vehicle_id="bus-8")
    assert bus.tap("ann", 30).outcome is TapOutcome.ACCEPTED


def test_i4_restless_passengers_pay_once_whatever_they_touch() -> None:
    bus = Bus()
    outcomes = [
        bus.tap("ann", at_s, reader=reader).outcome for at_s in range(0, 200, 4) for reader in ("front", "rear")
    ]
    assert outcomes.count(TapOutcome.ACCEPTED) == 1
    assert set(outcomes[1:]) == {TapOutcome.ALREADY_PAID}


def test_i4_of_two_cards_in_one_wallet_only_the_first_pays() -> None:
    play(
        """
        at_s reader medium kind counter outcome   reason       tiyn
        0    front  ann    card -       accepted  fare         10000
        1.5  front  bank   bank 7       clash     other_medium 0
        1.9  rear   bob    card -       accepted  fare         10000
        2.5  front  bank   bank 8       accepted  fare         12000
        """,
        Bus(),
    )


def test_i4_a_second_card_is_one_for_two_seconds_after_a_green_light_only() -> None:
    bus = Bus(holdings(denied=build_list([medium("thief")])))
    bus.tap("thief", 0)
    assert bus.tap("ann", 1).outcome is TapOutcome.ACCEPTED, "the card before was refused"
    assert bus.tap("bob", 2.999).outcome is TapOutcome.CLASH
    assert bus.tap("bob", 3).outcome is TapOutcome.ACCEPTED
    bus.tap("ann", 6)
    assert bus.tap("cid", 7).outcome is TapOutcome.CLASH, "also after a card that had already paid"


def test_a_restart_forgets_nobody_who_paid() -> None:
    bus = Bus()
    bus.tap("ann", 0)
    bus.restart()
    assert bus.tap("ann", 30).outcome is TapOutcome.ALREADY_PAID


def test_a_clock_that_is_set_back_charges_nobody_again() -> None:
    bus = Bus()
    bus.tap("ann", 60)
    assert bus.tap("ann", 0).outcome is TapOutcome.ALREADY_PAID


def test_i7_one_tap_pays_for_several_riders_of_different_categories() -> None:
    bus = Bus(holdings(pupils=("kid",)))
    first = bus.tap("ann", 0, companions=companion("pupil", 2))
    assert first.shown_tiyn == 10_000 + 2 * 5_000
    assert first.riders == (Riders(category=ADULT, count=1), Riders(category=PUPIL, count=2))
    assert bus.tap("ann", 5).outcome is TapOutcome.ALREADY_PAID
    later = bus.tap("ann", 10, companions=companion())
    assert (later.outcome, later.shown_tiyn) == (TapOutcome.ACCEPTED, 10_000), "her own ride is paid already"
    assert bus.tap("kid", 15, companions=companion("pupil")).riders == (Riders(category=PUPIL, count=2),)


def test_a_concession_is_shown_and_priced() -> None:
    decision = Bus(holdings(pupils=("kid",))).tap("kid", 0)
    assert (decision.category, decision.shown_tiyn) == (PUPIL, 5_000)


def test_the_line_decides_the_price_and_a_category_without_a_price_pays_the_usual_one() -> None:
    bus = Bus(holdings(pupils=("kid",)))
    bus.drive(route_id="express")
    assert bus.tap("bank", 0, kind="bank").shown_tiyn == 24_000
    assert bus.tap("kid", 5, kind="bank").shown_tiyn == 24_000, "bank cards know no pupils"


@pytest.mark.parametrize(
    ("proof", "reason"),
    [
        (Proof.TORN, Reason.LEFT_EARLY),
        (Proof.CLASH, Reason.TWO_MEDIA),
        (Proof.FAILED, Reason.NOT_OURS),
        (Proof.UNVERIFIED, Reason.NOT_PROVEN),
    ],
)
def test_attacks_20_and_21_what_is_not_read_whole_and_alone_pays_nothing(proof: Proof, reason: Reason) -> None:
    bus = Bus()
    decision = bus.tap("ann", 0, proof=proof)
    assert (decision.reason, decision.green, decision.shown_tiyn) == (reason, False, 0)
    assert bus.tap("ann", 1).outcome is TapOutcome.ACCEPTED, "held again, it rides"


def test_a_kind_that_the_operator_does_not_take_is_refused() -> None:
    assert Bus().tap("ann", 0, kind="phone").reason is Reason.NOT_TAKEN_HERE


def test_attack_15_a_counter_that_goes_backwards_is_a_copy() -> None:
    play(
        """
        at_s reader medium kind counter outcome          reason       tiyn
        0    front  ann    bank 41      accepted         fare         12000
        5    front  ann    bank 41      already_paid     same_ride    0
        9    front  ann    bank 40      refused_unknown  counter_back 0
        1300 front  ann    bank 41      refused_unknown  counter_back 0
        1310 front  ann    bank 42      accepted         fare         12000
        """,
        Bus(holdings(seen=("ann",))),
    )


def test_attack_16_a_denied_medium_is_refused_offline_but_a_ride_that_is_paid_stays_paid() -> None:
    bus = Bus()
    bus.tap("ann", 0)
    bus.held = holdings(denied=build_list([medium("ann"), medium("thief")]))
    assert bus.tap("thief", 5).reason is Reason.DENIED
    assert bus.tap("ann", 10).outcome is TapOutcome.ALREADY_PAID
    assert bus.tap("ann", 1_300).outcome is TapOutcome.REFUSED_DENIED


def test_a_card_whose_life_is_over_is_refused_unless_its_ride_has_begun() -> None:
    bus = Bus()
    assert bus.tap("ann", 0, expires_ms=NOON_MS + 10_000).outcome is TapOutcome.ACCEPTED
    assert bus.tap("ann", 10, expires_ms=NOON_MS + 10_000).outcome is TapOutcome.ALREADY_PAID
    assert bus.tap("bob", 15, expires_ms=NOON_MS + 15_000).outcome is TapOutcome.REFUSED_EXPIRED


def test_offline_a_medium_may_ride_so_often_and_for_so_much_until_the_server_knows() -> None:
    bus = Bus(holdings(seen=("ann", "rich")))
    bus.rules(
        retap_ms=0,
        kinds=(
            KindRules(kind=MediumKind.TRANSPORT_CARD, offline_rides_max=2),
            KindRules(kind=MediumKind.BANK_CARD, offline_tiyn_max=30_000),
        ),
    )
    assert [bus.tap("ann", at_s).reason for at_s in (0, 10, 20)] == [Reason.FARE, Reason.FARE, Reason.RIDES_OFFLINE]
    assert [bus.tap("rich", at_s, kind="bank").reason for at_s in (3, 13, 23)] == [
        Reason.FARE, Reason.FARE, Reason.MONEY_OFFLINE,
    ]  # fmt: skip
    bus.recent.acknowledge(len(bus.taps))
    assert bus.tap("ann", 30).reason is Reason.FARE


def test_first_ride_a_bank_card_nobody_has_seen_rides_once_and_not_too_dear() -> None:
    bus = Bus()
    bus.rules(retap_ms=0)
    assert bus.tap("new", 0, kind="bank", counter=1).reason is Reason.FARE
    assert bus.tap("new", 10, kind="bank", counter=2).reason is Reason.FIRST_RIDE
    bus.recent.acknowledge(len(bus.taps))
    assert bus.tap("new", 20, kind="bank", counter=3).reason is Reason.FARE
    bus.rules(kinds=(KindRules(kind=MediumKind.BANK_CARD, first_ride_max_tiyn=11_999),))
    assert bus.tap("dear", 30, kind="bank").reason is Reason.FIRST_RIDE


def test_a_list_too_old_to_trust_lets_ride_for_nothing_where_the_operator_says_so() -> None:
    bus = Bus(holdings(denied_ms=NOON_MS - 4 * 86_400_000))
    free = bus.tap("ann", 0)
    assert (free.outcome, free.reason, free.green, free.shown_tiyn) == (
        TapOutcome.FREE_BY_RULE, Reason.LIST_OLD, True, 0,
    )  # fmt: skip
    bus.rules(free_for=())
    assert bus.tap("ann", 10).outcome is TapOutcome.REFUSED_LIMIT


def test_without_a_tariff_nobody_is_charged_a_guess() -> None:
    decision = Bus(replace(holdings(), fares=FareTable(periods=()))).tap("ann", 0)
    assert (decision.outcome, decision.reason, decision.shown_tiyn) == (TapOutcome.FREE_BY_RULE, Reason.NO_FARE, 0)


def test_a_broken_validator_is_free_by_the_operators_rule() -> None:
    assert out_of_service(CONFIGURATION).outcome is TapOutcome.FREE_BY_RULE
    assert out_of_service(Configuration(kinds=(), free_for=())).outcome is TapOutcome.REFUSED_LIMIT


def test_the_balance_shown_is_the_servers_less_what_was_ridden_since() -> None:
    bus = Bus()
    assert bus.tap("ann", 0).balance_tiyn is None
    bus.recent.hear([(medium("ann"), 50_000)], NOON_MS)
    assert bus.tap("ann", 10).balance_tiyn == 40_000, "the server did not know of this ride"
    assert bus.tap("ann", 1_300).balance_tiyn == 30_000


def test_every_reason_has_its_outcome() -> None:
    assert set(OUTCOMES) == set(Reason)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 600), st.sampled_from(["ann", "bob"]), st.sampled_from(["front", "rear"]), st.booleans()
        ),
        max_size=30,
    )
)
def test_within_one_ride_a_medium_is_charged_once_whatever_happens(steps: list[tuple[int, str, str, bool]]) -> None:
    bus = Bus()
    for at_s, name, reader, restarts in steps:
        bus.tap(name, at_s, reader=reader)
        if restarts:
            bus.restart()
    for name in ("ann", "bob"):
        charged = [tap for tap in bus.taps if tap.medium_id == medium(name) and tap.outcome is TapOutcome.ACCEPTED]
        assert len(charged) <= 1
