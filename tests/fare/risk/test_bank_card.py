"""Rides first, money later: what a bank card is asked for, and when it is denied.

The scenes named after Cybersource follow the transit test cases in its developer guide: account verification of
nothing, deferred sales of 99.00 (approved) and 99.04 (declined), first-ride capture, and debt recovery by merchant,
tap and rider.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare.model import MediumId
from fare.risk.bank_card import answered, asked, day_over, denied, due, paid_otherwise, rode
from fare.risk.values import (
    DAY_MS,
    Answered,
    BankCard,
    Decline,
    Denial,
    FareKind,
    Reply,
    RiskRules,
    Trigger,
    WindowState,
)
from tests.fare.risk.scenes import RULES, check, moment, reply_of


def test_a_good_card_is_verified_once_and_charged_once_a_day() -> None:
    card = check("""
        at      what        asks                answer    state         debt  denied
        1-0800  rode:9000   -                   -         no_auth_done  0     -
        1-0801  schedule    verification:1000   approved  open          0     -
        1-1800  rode:18000  -                   -         open          0     -
        1-2300  schedule    -                   -         open          0     -
        2-0600  schedule    aggregated:18000    approved  closed        0     -
        2-0601  schedule    -                   -         closed        0     -
        2-0800  rode:9000   -                   -         open          0     -
        3-0600  schedule    aggregated:9000     approved  closed        0     -
    """)
    assert sum(window.settled_tiyn for window in card.windows) == 27_000


def test_a_card_not_asked_about_for_fourteen_days_is_verified_again() -> None:
    check("""
        at       what        asks               answer    state         debt  denied
        1-0800   rode:9000   -                  -         no_auth_done  0     -
        1-0801   schedule    verification:1000  approved  open          0     -
        2-0600   schedule    aggregated:9000    approved  closed        0     -
        15-0800  rode:9000   -                  -         open          0     -
        16-0559  schedule    aggregated:9000    approved  closed        0     -
        30-0600  rode:9000   -                  -         no_auth_done  0     -
        30-0601  schedule    verification:1000  approved  open          0     -
    """)


def test_cybersource_deferred_sale_declined_is_captured_as_first_ride_and_the_card_denied() -> None:
    check("""
        at      what       asks                   answer              state          debt  denied
        1-0800  rode:9904  -                      -                   no_auth_done   0     -
        1-0801  schedule   verification:1000      insufficient_funds  auth_declined  0     auth_declined
        1-0802  schedule   first_ride_risk:9904   approved            closed         0     auth_declined
        1-0900  tap        verification:1000      approved            closed         0     -
    """)


def test_cybersource_second_decline_without_a_success_between_is_a_debt() -> None:
    check("""
        at      what       asks                   answer              state          debt  denied
        1-0800  rode:9904  -                      -                   no_auth_done   0     -
        1-0801  schedule   verification:1000      insufficient_funds  auth_declined  0     auth_declined
        1-0802  schedule   first_ride_risk:9904   approved            closed         0     auth_declined
        2-0800  rode:9904  -                      -                   no_auth_done   0     auth_declined
        2-0801  schedule   verification:1000      insufficient_funds  debt           9904  debt
    """)


@pytest.mark.parametrize(("trigger", "at"), [("schedule", "3-0902"), ("tap", "1-0920"), ("rider", "1-0903")])
def test_cybersource_debt_recovery_takes_the_card_off_the_deny_list_at_once(trigger: str, at: str) -> None:
    check(f"""
        at      what        asks                            answer              state          debt   denied
        1-0800  rode:60000  -                               -                   no_auth_done   0      -
        1-0901  schedule    verification:1000               insufficient_funds  debt           60000  debt
        {at}    {trigger}   debt_recovery_{trigger}:60000   approved            closed         0      -
    """)


def test_a_debt_is_asked_for_by_schedule_ever_more_rarely_and_at_most_six_times() -> None:
    check("""
        at       what        asks                          answer              state          debt   denied
        1-0800   rode:60000  -                             -                   no_auth_done   0      -
        1-0900   schedule    verification:1000             insufficient_funds  debt           60000  debt
        2-0859   schedule    -                             -                   debt           60000  debt
        2-0900   schedule    debt_recovery_schedule:60000  insufficient_funds  debt           60000  debt
        4-0900   schedule    debt_recovery_schedule:60000  over_limit          debt           60000  debt
        8-0900   schedule    debt_recovery_schedule:60000  insufficient_funds  debt           60000  debt
        14-0900  schedule    -                             -                   debt           60000  debt
        15-0900  schedule    debt_recovery_schedule:60000  insufficient_funds  debt           60000  debt
        22-0900  schedule    debt_recovery_schedule:60000  insufficient_funds  debt           60000  debt
        29-0900  schedule    debt_recovery_schedule:60000  insufficient_funds  debt_final     60000  debt_final
        30-0900  schedule    -                             -                   debt_final     60000  debt_final
        30-0901  tap         -                             -                   debt_final     60000  debt_final
        30-0902  rider       debt_recovery_rider:60000     approved            closed         0      -
    """)


def test_i5_a_refused_card_that_is_tapped_again_and_again_is_asked_for_every_ten_minutes() -> None:
    check("""
        at      what        asks                     answer              state          debt   denied
        1-0800  rode:60000  -                        -                   no_auth_done   0      -
        1-0900  schedule    verification:1000        insufficient_funds  debt           60000  debt
        1-0909  tap         -                        -                   debt           60000  debt
        1-0910  tap         debt_recovery_tap:60000  insufficient_funds  debt           60000  debt
        1-0911  tap         -                        -                   debt           60000  debt
        1-0920  tap         debt_recovery_tap:60000  approved            closed         0      -
    """)


def test_a_lost_card_is_never_tried_again() -> None:
    check("""
        at      what        asks               answer          state          debt   denied
        1-0800  rode:9000   -                  -               no_auth_done   0      -
        1-0900  schedule    verification:1000  lost_or_stolen  debt_final     9000   debt_final
        9-0900  schedule    -                  -               debt_final     9000   debt_final
        9-0901  tap         -                  -               debt_final     9000   debt_final
        9-0902  paid:9000   -                  -               closed         0      -
    """)


@pytest.mark.parametrize("answer", ["issuer_unavailable", "refused_request", "not_sent", "reversed"])
def test_a_machine_that_fails_says_nothing_of_the_rider(answer: str) -> None:
    check(f"""
        at      what        asks               answer    state         debt  denied
        1-0800  rode:9000   -                  -         no_auth_done  0     -
        1-0900  schedule    verification:1000  {answer}  no_auth_done  0     -
        1-0914  schedule    -                  -         no_auth_done  0     -
        1-0915  schedule    verification:1000  approved  open          0     -
    """)


def test_attack_38_while_an_answer_is_awaited_nothing_else_is_asked() -> None:
    card = check("""
        at      what        asks               answer    state         debt  denied
        1-0800  rode:9000   -                  -         no_auth_done  0     -
        1-0801  schedule    verification:1000  approved  open          0     -
        2-0600  schedule    aggregated:9000    unknown   open          0     -
        2-0700  schedule    -                  -         open          0     -
        2-0701  rider       -                  -         open          0     -
        2-0800  schedule    -                  reversed  open          0     -
        2-0815  schedule    aggregated:9000    approved  closed        0     -
    """)
    assert card.windows[0].settled_tiyn == 9_000


def test_an_open_window_is_charged_before_its_end_when_it_has_grown_large() -> None:
    rules = RiskRules(aggregate_max_tiyn=20_000)
    card = check(
        """
        at      what        asks               answer    state         debt  denied
        1-0800  rode:9000   -                  -         no_auth_done  0     -
        1-0801  schedule    verification:1000  approved  open          0     -
        1-1200  rode:21000  -                  -         open          0     -
        1-1201  schedule    aggregated:21000   approved  open          0     -
        1-1800  rode:30000  -                  -         open          0     -
        2-0600  schedule    aggregated:9000    approved  closed        0     -
        """,
        rules,
    )
    assert card.windows[0].settled_tiyn == 30_000


def test_rides_uploaded_after_the_charge_are_charged_alone() -> None:
    card = check("""
        at      what        asks               answer    state         debt  denied
        1-0800  rode:9000   -                  -         no_auth_done  0     -
        1-0801  schedule    verification:1000  approved  open          0     -
        2-0600  schedule    aggregated:9000    approved  closed        0     -
    """)
    day = moment("1-1900")
    late = rode(card, day.service_date, 18_000, day.now_ms, day.closes_ms, RULES)
    request = due(late, Trigger.SCHEDULE, moment("2-0700").now_ms, RULES)
    assert request is not None
    assert (request.kind, request.service_date, request.amount_tiyn) == (FareKind.AGGREGATED, "2026-09-01", 9_000)


def test_i2_a_bill_lowered_by_an_amnesty_closes_a_debt_and_shows_what_was_paid_too_much() -> None:
    day = moment("1-0800")
    card = check("""
        at      what        asks               answer              state         debt   denied
        1-0800  rode:60000  -                  -                   no_auth_done  0      -
        1-0900  schedule    verification:1000  insufficient_funds  debt          60000  debt
    """)
    forgiven = rode(card, day.service_date, 0, day.now_ms, day.closes_ms, RULES)
    assert (forgiven.windows[0].state, forgiven.debt_tiyn) == (WindowState.CLOSED, 0)
    assert denied(forgiven) is Denial.AUTH_DECLINED, "nothing is owed, and the issuer still refuses the card"
    paid = paid_otherwise(card, day.service_date, 60_000, moment("1-1000").now_ms)
    assert rode(paid, day.service_date, 0, day.now_ms, day.closes_ms, RULES).unpaid_tiyn == -60_000


def test_rides_beyond_what_the_scheme_bears_make_a_declined_first_ride_a_debt() -> None:
    check("""
        at      what        asks               answer              state          debt   denied
        1-0800  rode:40000  -                  -                   no_auth_done   0      -
        1-0900  schedule    verification:1000  insufficient_funds  auth_declined  0      auth_declined
        1-1000  rode:55000  -                  -                   debt           55000  debt
    """)


def test_a_ride_that_costs_nothing_needs_nobody_to_be_asked_once_its_day_is_over() -> None:
    check("""
        at      what      asks               answer    state         debt  denied
        1-0800  rode:0    -                  -         no_auth_done  0     -
        1-0801  schedule  verification:1000  approved  open          0     -
        2-0600  schedule  -                  -         closed        0     -
    """)


# Incident I1: Kostanay and three other cities, August 2021: sums tens of times a fare were taken, also at night.


@given(st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=50), st.sampled_from([*Answered]))
def test_i1_one_window_is_charged_once_by_two_workers_and_fifty_repeats(turns: list[str], first: Answered) -> None:
    """Each worker starts from what it read last, which may be old, and the same answer may come many times."""
    good = BankCard(medium_id=MediumId("card-7"), approved_ms=moment("1-0700").now_ms)
    day = moment("1-0800")
    kept = rode(good, day.service_date, 9_000, day.now_ms, day.closes_ms, RULES)
    read = {"a": kept, "b": kept}
    captured: dict[str, int] = {}
    now_ms = moment("2-0600").now_ms
    for number, worker in enumerate(turns):
        card = read[worker]
        request = card.pending or due(card, Trigger.SCHEDULE, now_ms, RULES)
        if request is not None:
            waiting = asked(card, request)
            if card == kept:  # compare-and-set
                kept = waiting
            if kept.pending == request:  # only what is kept is sent; the acquirer answers a key it knows as before
                outcome = first if number == 0 else Answered.APPROVED
                if outcome is Answered.APPROVED:
                    captured.setdefault(request.key, request.amount_tiyn)
                kept = answered(kept, Reply(key=request.key, answered=outcome, at_ms=now_ms), RULES)
        read[worker] = kept
        now_ms += RULES.retry_ms
    assert sum(captured.values()) <= 9_000
    assert kept.windows[0].settled_tiyn == sum(captured.values())


@given(st.integers(1, 50))
def test_i1_the_same_answer_counts_once(times: int) -> None:
    day = moment("1-0800")
    card = rode(
        BankCard(medium_id=MediumId("card-7"), approved_ms=day.now_ms), day.service_date, 9_000, day.now_ms, 0, RULES
    )
    request = due(card, Trigger.SCHEDULE, day.now_ms, RULES)
    assert request is not None
    card = asked(card, request)
    reply = reply_of(card, "approved", day.now_ms)
    for _ in range(times):
        card = answered(card, reply, RULES)
        assert due(card, Trigger.SCHEDULE, day.now_ms + DAY_MS, RULES) is None
    assert card.windows[0].settled_tiyn == 9_000


def test_i1_a_late_repeat_of_an_earlier_answer_settles_no_later_charge() -> None:
    day = moment("1-0800")
    card = rode(BankCard(medium_id=MediumId("card-7")), day.service_date, 9_000, day.now_ms, day.closes_ms, RULES)
    verification = due(card, Trigger.SCHEDULE, day.now_ms, RULES)
    assert verification is not None
    card = asked(card, verification)
    earlier = reply_of(card, "approved", day.now_ms)
    card = answered(card, earlier, RULES)
    charge = due(card, Trigger.SCHEDULE, day.closes_ms, RULES)
    assert charge is not None
    waiting = asked(card, charge)
    assert answered(waiting, earlier, RULES) == waiting


@st.composite
def lives(draw: st.DrawFn) -> BankCard:
    """A card after anything that may happen to it, in any order; every step keeps the promises below."""
    card, now_ms = BankCard(medium_id=MediumId("card-7")), moment("1-0500").now_ms
    for _ in range(draw(st.integers(1, 25))):
        now_ms += draw(st.integers(1, 2 * DAY_MS))
        before = card
        if draw(st.booleans()):
            date, owed_tiyn = draw(st.sampled_from(["2026-09-01", "2026-09-02"])), draw(st.integers(0, 90_000))
            card = rode(day_over(card, now_ms), date, owed_tiyn, now_ms, now_ms + DAY_MS, RULES)
            continue
        request = due(card, draw(st.sampled_from([*Trigger])), now_ms, RULES)
        if request is not None:
            if request.kind is not FareKind.VERIFICATION:
                window = next(one for one in card.windows if one.service_date == request.service_date)
                assert 0 < request.amount_tiyn <= window.unpaid_tiyn
            if request.kind is FareKind.FIRST_RIDE_RISK:
                assert request.amount_tiyn <= RULES.first_ride_max_tiyn
            card = asked(card, request)
        if card.pending is not None:
            decline = draw(st.sampled_from([*Decline]))
            outcome = draw(st.sampled_from([*Answered]))
            reply = Reply(
                key=card.pending.key,
                answered=outcome,
                decline=decline if outcome is Answered.DECLINED else None,
                at_ms=now_ms,
            )
            card = answered(card, reply, RULES)
            if request is not None and outcome is Answered.APPROVED and request.kind.name.startswith("DEBT"):
                assert sum(one.state in {WindowState.DEBT, WindowState.DEBT_FINAL} for one in card.windows) < sum(
                    one.state in {WindowState.DEBT, WindowState.DEBT_FINAL} for one in before.windows
                ), "a debt that is paid is one no longer"
    return card


@given(lives())
def test_whatever_happens_a_card_is_denied_when_it_owes_and_only_then_or_when_its_issuer_says_no(
    card: BankCard,
) -> None:
    owes = any(window.state in {WindowState.DEBT, WindowState.DEBT_FINAL} for window in card.windows)
    said = denied(card)
    assert (said in {Denial.DEBT, Denial.DEBT_FINAL}) == owes
    if said is Denial.AUTH_DECLINED:
        assert card.declined_since_approved
    assert all(window.recoveries <= RULES.recoveries_max for window in card.windows)


def test_what_is_not_the_next_request_cannot_be_asked() -> None:
    day = moment("1-0800")
    card = rode(BankCard(medium_id=MediumId("card-7")), day.service_date, 9_000, day.now_ms, day.closes_ms, RULES)
    request = due(card, Trigger.SCHEDULE, day.now_ms, RULES)
    assert request is not None
    waiting = asked(card, request)
    assert asked(waiting, request) == waiting
    done = answered(waiting, reply_of(waiting, "approved", day.now_ms), RULES)
    with pytest.raises(ValueError, match="is not the next request"):
        asked(done, request)


@pytest.mark.parametrize(
    ("rules", "named"),
    [
        ({"recoveries_max": -1}, "risk.recoveries_max"),
        ({"recovery_gaps_ms": ()}, "risk.recovery_gaps_ms"),
        ({"charge_from_minute": 700, "charge_until_minute": 600}, "risk.charge_"),
    ],
)
def test_rules_that_cannot_be_meant_are_refused(rules: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        RiskRules(**rules)  # type: ignore[arg-type]
