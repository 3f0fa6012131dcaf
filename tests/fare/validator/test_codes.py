"""A phone's code at a validator without a network: who rides, who does not, and what a picture is worth."""

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare.media._base import Presented, Proof
from fare.model import DeviceId, MediumKind, Tap
from fare.outcomes import TapOutcome
from fare.phone.own_qr import listed
from fare.validator.codes import presented_of
from fare.validator.decide import Decision, Holdings, decide
from fare.validator.deny_list import TokenList, build_list, build_list_of_values
from fare.validator.recent import RecentTaps
from fare.validator.rules import FarePeriod, FareTable, KindRules, Price, Reason
from tests.fare.phone.phones import CITY, MEDIUM, NOON_MS, key, shown
from tests.fare.validator.cards import ADULT, BUS, CONFIGURATION, holdings

FARES = FareTable(
    periods=(
        FarePeriod(
            version="2026-1",
            from_ms=0,
            until_ms=2 * NOON_MS,
            prices=(Price(kind=MediumKind.PHONE, category=ADULT, tiyn=9_000),),
        ),
    )
)


def list_of(*names: str, until_ms: int = NOON_MS + 10**9) -> TokenList:
    return build_list_of_values(dict(listed(key(name, until_ms=until_ms)) for name in names))


def present(text: str, at_s: float = 0, *, phones: TokenList | None = None, city: str = CITY) -> Presented:
    now_ms = NOON_MS + round(at_s * 1_000)
    return presented_of(text, list_of("ann") if phones is None else phones, city=city, now_ms=now_ms, read_ms=now_ms)


class PhoneBus:
    """A validator that holds the list of phones, and nothing else that is alive."""

    def __init__(self, *phones: str, vehicle_id: str = "bus-7") -> None:
        configuration = msgspec.structs.replace(CONFIGURATION, kinds=(KindRules(kind=MediumKind.PHONE),))
        self.held: Holdings = replace(
            holdings(configuration=configuration, denied_ms=NOON_MS, fares=FARES),
            phones=list_of(*phones),
            seen=build_list([MEDIUM]),
        )
        self.place = replace(BUS, vehicle_id=vehicle_id)
        self.recent = RecentTaps()
        self.taps: list[Tap] = []

    def show(self, text: str, at_s: float, *, reader: str = "front") -> Decision:
        now_ms = NOON_MS + round(at_s * 1_000)
        presented = presented_of(text, self.held.phones, city=CITY, now_ms=now_ms, read_ms=now_ms)
        decision = decide(presented, self.held, self.recent, now_ms, place=self.place, reader=reader)
        tap = Tap(
            device_id=DeviceId(f"v-{self.place.vehicle_id}"),
            sequence=len(self.taps) + 1,
            tapped_ms=now_ms,
            medium_id=presented.medium_id,
            medium_kind=presented.kind,
            outcome=decision.outcome,
            riders=decision.riders,
            vehicle_id=self.place.vehicle_id,
            shown_tiyn=decision.shown_tiyn,
            counter=presented.counter,
        )
        self.taps.append(tap)
        self.recent.remember(tap, reader=reader)
        return decision


def test_a_phone_proves_itself_by_a_key_on_the_list() -> None:
    presented = present(shown("ann"), 4)
    assert (presented.proof, presented.medium_id, presented.kind) == (Proof.VERIFIED, MEDIUM, MediumKind.PHONE)
    assert presented.counter == NOON_MS // 1_000, "the second is the counter"


@pytest.mark.parametrize(("text", "at_s", "proof"), [
    (shown("bob"), 0, Proof.FAILED),
    ("https://example.kz", 0, Proof.FAILED),
    (shown("ann", city="astana"), 0, Proof.FAILED),
    (shown("ann"), 31, Proof.STALE),
    (shown("ann"), -11, Proof.STALE),
])  # fmt: skip
def test_what_does_not_prove_itself_now_has_no_name(text: str, at_s: float, proof: Proof) -> None:
    assert (present(text, at_s).proof, present(text, at_s).medium_id) == (proof, "")


def test_attack_3_an_expired_key_and_an_empty_list_prove_nothing() -> None:
    assert present(shown("ann"), phones=list_of("ann", until_ms=NOON_MS)).proof is Proof.FAILED
    assert presented_of(shown("ann"), None, city=CITY, now_ms=NOON_MS, read_ms=0).proof is Proof.FAILED
    assert present(shown("ann"), phones=build_list_of_values({})).proof is Proof.FAILED


def test_a_live_code_rides_once_and_is_green_when_shown_again() -> None:
    bus = PhoneBus("ann")
    first = bus.show(shown("ann", 0), 3)
    assert (first.outcome, first.shown_tiyn) == (TapOutcome.ACCEPTED, 9_000)
    assert bus.show(shown("ann", 0), 6).outcome is TapOutcome.ALREADY_PAID, "the same QR again"
    assert bus.show(shown("ann", 10), 12, reader="rear").outcome is TapOutcome.ALREADY_PAID, "the next one, at the rear"


def test_two_phones_one_after_the_other_are_not_two_cards_in_one_wallet() -> None:
    bus = PhoneBus("ann", "bob")
    bus.held = replace(
        bus.held, phones=build_list_of_values(dict([listed(key("ann")), listed(key("bob", medium_id=BOB))]))
    )
    assert bus.show(shown("ann"), 0).outcome is TapOutcome.ACCEPTED
    assert bus.show(shown("bob"), 1).outcome is TapOutcome.ACCEPTED


def test_attack_6_a_screenshot_shown_after_half_a_minute_is_red_and_says_why() -> None:
    decision = PhoneBus("ann").show(shown("ann"), 31)
    assert (decision.green, decision.reason) == (False, Reason.NOT_LIVE)


def test_attack_6_a_picture_is_dead_as_soon_as_a_newer_code_was_shown() -> None:
    bus = PhoneBus("ann")
    bus.show(shown("ann", 10), 11)
    assert bus.show(shown("ann", 0), 12).reason is Reason.NOT_LIVE


def test_attack_7_a_phone_of_another_city_is_red_and_told_what_to_do() -> None:
    assert PhoneBus("ann").show(shown("ann", city="astana"), 0).reason is Reason.CODE_UNKNOWN
    assert PhoneBus("ann").show(shown("bob"), 0).reason is Reason.CODE_UNKNOWN


def test_attack_16_a_denied_medium_is_refused_however_live_its_code_is() -> None:
    bus = PhoneBus("ann")
    bus.held = replace(bus.held, denied=build_list([MEDIUM]))
    assert bus.show(shown("ann"), 0).reason is Reason.DENIED


def test_offline_a_phone_rides_as_often_as_the_operator_risks() -> None:
    bus = PhoneBus("ann")
    configuration = bus.held.configuration
    rules = KindRules(kind=MediumKind.PHONE, offline_rides_max=2)
    bus.held = replace(bus.held, configuration=msgspec.structs.replace(configuration, retap_ms=0, kinds=(rules,)))
    assert [bus.show(shown("ann", at_s), at_s).reason for at_s in (0, 20, 40)] == [
        Reason.FARE, Reason.FARE, Reason.RIDES_OFFLINE,
    ]  # fmt: skip


@given(st.text(max_size=200))
def test_attack_9_whatever_is_scanned_has_an_answer(text: str) -> None:
    assert PhoneBus("ann").show(text, 0).reason is Reason.CODE_UNKNOWN


BOB = MEDIUM.replace("5", "b")
