"""A bank card's day from tap to money, through the rules of risk and over ISO 8583 to a host that nobody here wrote."""

import asyncio
from pathlib import Path

from fare.gateways.charging import CardAtReader, charge
from fare.gateways.iso8583 import Iso8583Acquirer
from fare.model import MediumId
from fare.risk.bank_card import answered, asked, denied, due, rode
from fare.risk.values import Answered, BankCard, Denial, Due, FareKind, Trigger, WindowState
from tests.fare.gateways.test_iso8583 import town
from tests.fare.risk.scenes import RULES, moment

AT_READER = CardAtReader(card_token="tok_7Hq2ZmA9", terminal_id="BUS00012", shown_ms=moment("1-0800").now_ms)


def rider(owed_tiyn: int = 9_904) -> BankCard:
    day = moment("1-0800")
    return rode(BankCard(medium_id=MediumId("card-7")), day.service_date, owed_tiyn, day.now_ms, day.closes_ms, RULES)


async def asked_at(card: BankCard, at: str, acquirer: Iso8583Acquirer) -> tuple[Due | None, BankCard]:
    """Ask for what is due at a time, if anything is."""
    now_ms = moment(at).now_ms
    request = due(card, Trigger.SCHEDULE, now_ms, RULES)
    if request is None:
        return None, card
    card = asked(card, request)
    return request, answered(card, await charge(request, AT_READER, acquirer, now_ms), RULES)


async def test_a_good_card_is_verified_released_and_charged_once_the_day_is_over(
    tmp_path: Path, unused_port: int
) -> None:
    async with town(tmp_path, unused_port) as (acquirer, there):
        _, card = await asked_at(rider(), "1-0801", acquirer)
        assert (card.windows[0].state, denied(card)) == (WindowState.OPEN, None)
        _, card = await asked_at(card, "2-0600", acquirer)
        request, _ = await asked_at(card, "2-0601", acquirer)
    assert request is None
    assert (card.windows[0].state, card.windows[0].settled_tiyn) == (WindowState.CLOSED, 9_904)
    assert there.line.types() == ["0100", "0110", "0400", "0410", "0100", "0110", "0220", "0230"]
    captured = [message["4"] for message in there.line.said if message["t"] == "0220"]
    assert captured == ["000000009904"]


async def test_cybersource_a_declined_first_ride_is_captured_by_the_scheme_and_the_card_denied(
    tmp_path: Path, unused_port: int
) -> None:
    async with town(tmp_path, unused_port, [{"match": {"mti": "0100"}, "respond": "51"}]) as (acquirer, there):
        _, card = await asked_at(rider(), "1-0801", acquirer)
        assert card.windows[0].state is WindowState.AUTH_DECLINED
        request, card = await asked_at(card, "1-0802", acquirer)
    assert request is not None
    assert request.kind is FareKind.FIRST_RIDE_RISK
    assert (card.windows[0].state, denied(card)) == (WindowState.CLOSED, Denial.AUTH_DECLINED)
    assert there.line.types() == ["0100", "0110", "0220", "0230"]


async def test_i1_fifty_charges_of_one_window_at_once_and_again_capture_it_once(
    tmp_path: Path, unused_port: int
) -> None:
    async with town(tmp_path, unused_port) as (acquirer, there):
        _, card = await asked_at(rider(), "1-0801", acquirer)
        now_ms = moment("2-0600").now_ms
        request = due(card, Trigger.SCHEDULE, now_ms, RULES)
        assert request is not None
        card = asked(card, request)
        await asyncio.gather(*(charge(request, AT_READER, acquirer, now_ms) for _ in range(50)))
        for _ in range(50):
            card = answered(card, await charge(request, AT_READER, acquirer, now_ms), RULES)
    assert card.windows[0].settled_tiyn == 9_904
    assert [kind for kind in there.line.types() if kind in {"0220", "0221"}] == ["0220"]


async def test_attack_38_a_charge_without_an_answer_is_taken_back_and_asked_for_anew(
    tmp_path: Path, unused_port: int
) -> None:
    rules = [{"match": {"fields": {"4": "000000009904"}, "mti": "0100"}, "action": "drop"}]
    async with town(tmp_path, unused_port, rules, answer_s=1.5) as (acquirer, there):
        _, card = await asked_at(rider(), "1-0801", acquirer)
        first, card = await asked_at(card, "2-0600", acquirer)
        assert first is not None
        assert card.pending == first
        await there.result(first.key, Answered.REVERSED)
        card = answered(card, await charge(first, AT_READER, acquirer, moment("2-0601").now_ms), RULES)
        assert card.pending is None
        second = due(card, Trigger.SCHEDULE, moment("2-0700").now_ms, RULES)
    assert second is not None
    assert second.key != first.key
    assert card.windows[0].settled_tiyn == 0
