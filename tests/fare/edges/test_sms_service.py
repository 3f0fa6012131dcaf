"""Messages on a real PostgreSQL and a real operator's server: answered once, charged once, whatever happens."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import msgspec
import pytest

import fare.operator_paying
from ayaldama.simulate.operator import Mood
from fare.inspection.check_code import check_code, normal_code
from fare.model import AccountCode
from fare.reconciliation_service import SettlementFile, compare
from fare.settlement.reconcile import FileColumns, Finding
from fare.sms.values import OutgoingState, ReceiptTaken, Taken
from fare.store.postgres_sms import LEASE_MS, KeptMessage, PostgresSms
from tests.fare.edges.sms_town import (
    KEYS,
    NAMES,
    NUMBER,
    RULES,
    SmsTown,
    incoming,
    medium_of,
    service_of,
    sms_town,
)
from tests.notation.market import NOON_MS
from tests.notation.rides import ADULT, PUPIL

MINUTE_MS = 60_000


@pytest.fixture
async def town(postgres: asyncpg.Pool) -> AsyncIterator[SmsTown]:
    async with sms_town(postgres) as opened:
        yield opened


async def test_a_number_in_a_ticket_out_paid_by_the_operator(town: SmsTown) -> None:
    answer = await town.say("0451")
    code = await town.code()
    assert answer == f"Билет 0451 №12 1₸ 08.11 17:00-19:00 код {code} Автопарк №1"
    assert normal_code(code) == code != check_code(medium_of(), KEYS.code_key)
    assert (town.spent_tiyn(), await town.owed_tiyn(), await town.wallet_tiyn()) == (100, 100, 0)
    assert await town.market.rides() == 1


async def test_a_wallet_pays_first_and_the_operator_what_is_missing(town: SmsTown) -> None:
    assert await town.say("КАРТА 500") == "Зачислено 500₸. На счёте 500₸."
    assert await town.say("БАЛАНС") == "На счёте 500₸."
    await town.say("0451")
    assert (town.spent_tiyn(), await town.wallet_tiyn()) == (50_000, 49_900)


async def test_several_ride_on_one_ticket(town: SmsTown) -> None:
    assert "x3" in await town.say("0451 3")
    assert await town.say("123 ABC 11 99") == "За раз едут от 1 до 10: 123ABC11 3. Деньги не сняты."
    riders = await town.market.pool.fetchval("SELECT riders::text FROM tap WHERE rides")
    assert riders == '[{"count": 3, "category": "adult"}]'


async def test_who_rides_along_rides_as_the_tariff_of_the_moment_says_also_when_taken_up_again_under_the_next(
    town: SmsTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes_ms = NOON_MS + 20 * MINUTE_MS
    names = dataclasses.replace(NAMES, default_category_at=lambda at_ms: ADULT if at_ms < changes_ms else PUPIL)
    service = service_of(town.market, town.buying, town.charges, names=names)

    async def killed(*_: object, **__: object) -> None:
        raise ConnectionResetError("the power went")

    monkeypatch.setattr(PostgresSms, "close", killed)
    with pytest.raises(ConnectionResetError):
        await service.take(incoming("0451 3"))
    monkeypatch.undo()
    town.market.clock.city_ms += 40 * MINUTE_MS
    assert await service.resume() == 1
    town.market.clock.city_ms += LEASE_MS
    (answer,) = await service.due("kcell")
    assert answer.text.startswith("Билет x3 0451"), "the same purchase, not another one under its key"
    now_ms = town.market.clock.city_ms
    await service.take(incoming("0451 2", sender="+77019999999", sent_ms=now_ms, received_ms=now_ms))
    rows = await town.market.pool.fetch("SELECT riders::text AS riders FROM tap WHERE rides ORDER BY tapped_ms")
    assert [row["riders"] for row in rows] == [
        '[{"count": 3, "category": "adult"}]',
        '[{"count": 2, "category": "pupil"}]',
    ]


async def test_languages_silence_help_and_boards(town: SmsTown) -> None:
    assert await town.say("ENG") == "We answer in English."
    assert (await town.say("0451")).startswith("Ticket 0451 line 12 1 KZT")
    assert await town.say("77") == "Вокзал: 12 3 min"
    assert await town.say("STOP 77") == "Вокзал: 12 3 min"
    assert (await town.say("where is my bus?")).startswith("Send the number of the bus.")
    assert (await town.say("STOP")).startswith("We keep silent now.")
    assert await town.say("where is my bus?") == ""
    assert await town.say("БАЛАНС") == "Balance 0 KZT."
    assert (await town.say("where is my bus?")).startswith("Send the number of the bus.")


async def test_attack_24_a_message_that_comes_ten_times_is_answered_and_charged_once(town: SmsTown) -> None:
    message = incoming("0451")
    async with town.market.opened() as buying:
        other = service_of(town.market, buying, town.charges)
        answers = await asyncio.gather(*(one.take(message) for one in (town.service, other) for _ in range(5)))
    assert sorted(map(len, answers)) == [0] * 9 + [1]
    assert (town.spent_tiyn(), await town.market.rides()) == (100, 1)
    again = msgspec.structs.replace(message, received_ms=NOON_MS + 9 * MINUTE_MS)
    assert await town.service.take(again) == []


async def test_attack_24_a_top_up_that_comes_ten_times_is_one(town: SmsTown) -> None:
    message = incoming("КАРТА 500")
    await asyncio.gather(*(town.service.take(message) for _ in range(10)))
    assert (town.spent_tiyn(), await town.wallet_tiyn()) == (50_000, 50_000)


async def test_an_operators_file_joins_our_account_by_its_own_names(town: SmsTown) -> None:
    await town.say("0451")
    await town.say("КАРТА 500")
    charges = list(town.operator.charges.values())
    lines = [f"{one.answer.reference};{one.amount_tiyn / 100:.2f}" for one in charges]
    file = SettlementFile(
        name="kcell.csv",
        content="\n".join(["name;sum", *lines]).encode(),
        columns=FileColumns(reference="name", amount="sum"),
    )
    account = AccountCode("operator:kcell")
    _, found = await compare(town.market.pool, account, file, 0, 2**53, who="aigul", now_ms=NOON_MS)
    assert [one.finding for one in found] == [Finding.MATCHED, Finding.MATCHED]


async def test_attack_25_a_message_forty_minutes_late_buys_nothing(town: SmsTown) -> None:
    town.market.clock.city_ms += 40 * MINUTE_MS
    late = {"sent_ms": NOON_MS, "received_ms": town.market.clock.city_ms}
    for text in ("0451", "КАРТА 500"):
        (answer,) = await town.service.take(msgspec.structs.replace(incoming(text), **late))
        assert answer.text == "SMS шла слишком долго. Деньги не сняты."
    assert (town.spent_tiyn(), await town.market.rides(), town.operator.requests.total()) == (0, 0, 0)


async def test_attacks_26_and_27_who_cannot_be_believed_is_not_charged_and_not_answered(town: SmsTown) -> None:
    for said in ({"operator": "beeline"}, {"sender": "+77771234567"}, {"sender": "Kaspi"}, {"sender": "+79161234567"}):
        assert await town.service.take(msgspec.structs.replace(incoming("0451"), **said)) == []
    assert await town.market.pool.fetchval("SELECT count(*) FROM sms_incoming") == 0


async def test_attack_28_who_sweeps_numbers_pays_nothing_learns_nothing_and_is_stopped(town: SmsTown) -> None:
    answers = []
    for number in range(9_000, 9_030):
        town.market.clock.city_ms += 10_000
        now_ms = town.market.clock.city_ms
        message = msgspec.structs.replace(incoming(f"{number}"), sent_ms=now_ms, received_ms=now_ms)
        answers += [answer.text for answer in await town.service.take(message)]
    assert answers[:5] == [f"Нет автобуса {9000 + n}. Проверьте номер. Деньги не сняты." for n in range(5)]
    assert answers[5:] == ["Много неверных номеров. Подождите 10 мин. Деньги не сняты."]
    assert await town.say("0451", received_ms=now_ms, sent_ms=now_ms) == "", "right or wrong, all is silence now"
    assert (town.spent_tiyn(), await town.market.rides()) == (0, 0)
    town.market.clock.city_ms += 11 * MINUTE_MS
    now_ms = town.market.clock.city_ms
    assert (await town.say("0451", received_ms=now_ms, sent_ms=now_ms)).startswith("Билет")


async def test_attack_28_others_are_served_while_one_is_stopped(town: SmsTown) -> None:
    for number in range(9_000, 9_008):
        await town.say(f"{number}")
    assert (await town.say("0451", sender="+77011234568")).startswith("Билет")


async def test_attack_31_a_receipt_counts_only_from_the_operator_that_was_handed_the_message(town: SmsTown) -> None:
    (answer,) = await town.service.take(incoming("0451"))
    receipt = town.service.receipt
    assert await receipt("kcell", "77", OutgoingState.DELIVERED) is ReceiptTaken.UNKNOWN, "not handed over yet"
    await town.service.handed_over(answer.id, "77")
    for operator, centre_id in (("beeline", "77"), ("kcell", "78"), ("kcell", "")):
        assert await receipt(operator, centre_id, OutgoingState.FAILED) is ReceiptTaken.UNKNOWN
    assert await receipt("kcell", "77", OutgoingState.HANDED_OVER) is ReceiptTaken.OLD
    assert await receipt("kcell", "77", OutgoingState.DELIVERED) is ReceiptTaken.APPLIED
    for late in (OutgoingState.FAILED, OutgoingState.HANDED_OVER, OutgoingState.DELIVERED):
        assert await receipt("kcell", "77", late) is ReceiptTaken.OLD
    row = await town.market.pool.fetchrow("SELECT state, number, text FROM sms_outgoing")
    assert tuple(row) == ("delivered", "", "")


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        ("+77011234590", "На счёте телефона мало денег. Ничего не снято."),
        ("+77011234591", "Корпоративным номером платить нельзя. Ничего не снято."),
        ("+77011234592", "SIM сменили меньше суток назад: платить пока нельзя."),
        ("+77011234593", "Оператор не разрешает платить с этого номера. Ничего не снято."),
        ("+77011234594", "Оператор не разрешает платить с этого номера. Ничего не снято."),
    ],
    ids=["no_credit", "corporate", "attack_32_sim_changed", "barred", "ported_away"],
)
async def test_attack_32_what_the_operator_refuses_is_worded_and_not_sold(
    town: SmsTown, number: str, answer: str
) -> None:
    assert await town.say("0451", sender=number) == answer
    assert await town.market.rides() == 0


async def test_attack_34_what_is_smuggled_in_a_number_or_text_goes_nowhere(town: SmsTown) -> None:
    for text in ("0451&text=КАРТА 500", "0451\r\nX-Kannel-To: 1", "451' OR '1'='1", "0451\0; КАРТА 500"):
        assert "Пришлите номер" in await town.say(text)
    for sender in ("+77011234567\r\nX: 1", "+77011234567&to=+77011234568", "+77011234567;+77011234568"):
        assert await town.say("0451", sender=sender) == ""
    assert town.operator.requests.total() == 0


async def test_attack_35_an_answering_machine_is_not_answered_for_ever(town: SmsTown) -> None:
    said, answers = "Я за рулём, перезвоню.", 0
    while said and answers < 50:
        town.market.clock.city_ms += 1_000
        now_ms = town.market.clock.city_ms
        said = await town.say(f"Авто: {said}", received_ms=now_ms, sent_ms=now_ms)
        answers += bool(said)
    assert answers == RULES.wrong_max + 1


async def test_a_number_that_floods_is_not_answered(postgres: asyncpg.Pool) -> None:
    async with sms_town(postgres, msgspec.structs.replace(RULES, messages_max=3)) as town:
        assert [bool(await town.say("БАЛАНС")) for _ in range(5)] == [True, True, True, False, False]


@pytest.mark.parametrize(
    "mood", [Mood.LATE, Mood.ANSWER_LOST, Mood.REQUEST_LOST, Mood.FAILS_AFTER, Mood.BUSY, Mood.UNSIGNED]
)
async def test_an_answer_of_the_operator_that_is_lost_is_asked_for(town: SmsTown, mood: Mood) -> None:
    """Done: the ticket. Not done: no ticket, and it can never be done any more."""
    cut = mood in {Mood.ANSWER_LOST, Mood.REQUEST_LOST}  # then the library itself asks once more: a key charges once
    town.moods(*[mood] * (2 if cut else 1))
    answer = await town.say("0451")
    done = mood not in {Mood.REQUEST_LOST, Mood.BUSY}
    assert answer.startswith("Билет" if done else "Оператор не ответил.")
    assert (town.spent_tiyn(), await town.market.rides()) == ((100, 1) if done else (0, 0))


async def test_attack_38_an_operator_that_answers_nothing_gives_all_back_later(town: SmsTown) -> None:
    town.moods(*[Mood.ANSWER_LOST] * 5)  # charge and status twice each, and the reversal
    assert (await town.say("0451")).startswith("Оператор не ответил.")
    assert await town.owed_tiyn() == 0
    town.moods(Mood.REQUEST_LOST)
    assert await town.charges.sweep() == 1
    assert await town.charges.sweep() == 0
    assert (town.spent_tiyn(), await town.market.rides()) == (0, 0)


async def test_attack_41_an_operator_that_takes_another_amount_is_given_none(town: SmsTown) -> None:
    town.moods(Mood.TAKES_MORE)
    assert (await town.say("0451")).startswith("Оператор не ответил.")
    assert (town.spent_tiyn(), await town.market.rides()) == (0, 0)


@pytest.mark.parametrize("text", ["0451", "КАРТА 500"])
async def test_killed_between_charge_and_reply_the_next_process_sends_the_same_answer_once(
    town: SmsTown, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    message = incoming(text)

    async def killed(*_: object, **__: object) -> None:
        raise ConnectionResetError("the power went")

    monkeypatch.setattr(PostgresSms, "close", killed)
    with pytest.raises(ConnectionResetError):
        await town.service.take(message)
    monkeypatch.undo()
    spent_tiyn = town.spent_tiyn()
    assert spent_tiyn > 0
    assert await town.service.resume() == 0, "the first process may still be at it"
    town.market.clock.city_ms += 40 * MINUTE_MS
    assert await town.service.resume() == 1
    assert await town.service.due("kcell") == [], "leased to whom resumed it"
    town.market.clock.city_ms += LEASE_MS
    (answer,) = await town.service.due("kcell")
    assert answer.text.startswith(
        "Билет 0451 №12 1₸ 08.11 17:00" if text == "0451" else "Зачислено 500₸. На счёте 500₸."
    )
    assert await town.service.take(message) == []
    assert (town.spent_tiyn(), await town.owed_tiyn()) == (spent_tiyn, spent_tiyn)


async def test_killed_right_after_the_operator_has_taken_a_late_resume_gives_it_back(
    town: SmsTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def killed(*_: object) -> None:
        raise ConnectionResetError("the power went")

    monkeypatch.setattr(fare.operator_paying, "charged", killed)
    for text in ("0451", "КАРТА 500"):
        with pytest.raises(ConnectionResetError):
            await town.service.take(incoming(text))
    monkeypatch.undo()
    assert town.spent_tiyn() == 50_100
    town.market.clock.city_ms += 40 * MINUTE_MS
    assert await town.service.resume() == 2
    assert (town.spent_tiyn(), await town.owed_tiyn(), await town.market.rides()) == (0, 0, 0)


async def test_of_two_processes_at_one_message_the_one_that_refuses_cannot_hide_the_ticket_of_the_other(
    town: SmsTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One has no answer of the operator; before it says so, the other finds new money in the wallet and sells."""
    message, real, refusing = incoming("0451"), PostgresSms.close, asyncio.Event()
    go_on = asyncio.Event()

    async def late(store: PostgresSms, kept: KeptMessage, *rest: Taken, **named: Any) -> object:
        if not named["sold"] and kept.text == "0451":
            refusing.set()
            await go_on.wait()
        return await real(store, kept, *rest, **named)

    monkeypatch.setattr(PostgresSms, "close", late)
    town.moods(Mood.BUSY, Mood.BUSY)
    first = asyncio.create_task(town.service.take(message))
    await refusing.wait()
    await town.service.take(incoming("КАРТА 500"))
    second = await town.service.take(message)
    go_on.set()
    assert await first == []
    assert [answer.text[:5] for answer in second] == ["Билет"]
    assert (await town.market.rides(), town.spent_tiyn()) == (1, 50_000)


async def test_one_message_that_cannot_be_answered_holds_up_no_other(
    town: SmsTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = PostgresSms.close

    async def killed(*_: object, **__: object) -> None:
        raise ConnectionResetError("the power went")

    monkeypatch.setattr(PostgresSms, "close", killed)
    for text in ("ENG", "БАЛАНС"):
        with pytest.raises(ConnectionResetError):
            await town.service.take(incoming(text))

    async def not_english(store: PostgresSms, message: KeptMessage, *rest: Taken, **named: Any) -> object:
        if message.text == "ENG":
            raise ConnectionResetError("again")
        return await real(store, message, *rest, **named)

    monkeypatch.setattr(PostgresSms, "close", not_english)
    town.market.clock.city_ms += MINUTE_MS
    with pytest.raises(ConnectionResetError, match="again"):
        await town.service.resume()
    left = await town.market.pool.fetch("SELECT text FROM sms_incoming WHERE outcome IS NULL")
    assert [row["text"] for row in left] == ["ENG"]


async def test_killed_right_after_the_operator_has_taken_a_prompt_resume_sells_the_ride(
    town: SmsTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def killed(*_: object) -> None:
        raise ConnectionResetError("the power went")

    monkeypatch.setattr(fare.operator_paying, "charged", killed)
    with pytest.raises(ConnectionResetError):
        await town.service.take(incoming("0451"))
    monkeypatch.undo()
    town.market.clock.city_ms += MINUTE_MS
    assert await town.service.resume() == 1
    assert (town.spent_tiyn(), await town.owed_tiyn(), await town.market.rides()) == (100, 100, 1)


async def test_an_answer_is_due_until_it_is_handed_over_and_to_one_at_a_time(town: SmsTown) -> None:
    (answer,) = await town.service.take(incoming("0451"))
    assert await town.service.due("kcell") == []
    town.market.clock.city_ms += LEASE_MS
    assert await town.service.due("beeline") == []
    assert await town.service.due("kcell") == [answer]
    assert await town.service.due("kcell") == []
    await town.service.handed_over(answer.id, "c1")
    town.market.clock.city_ms += LEASE_MS
    assert await town.service.due("kcell") == []


async def test_attack_52_numbers_and_texts_are_gone_when_they_are_not_needed(town: SmsTown) -> None:
    (answer,) = await town.service.take(incoming("0451"))
    await town.service.handed_over(answer.id, "c1")
    await town.service.receipt("kcell", "c1", OutgoingState.DELIVERED)
    await town.service.take(incoming("КАРТА 500"))
    await PostgresSms(town.market.pool).forget(NOON_MS + 2 * 86_400_000)
    tables = await town.market.pool.fetch(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
    )
    for table in tables:
        rows = await town.market.pool.fetch(f"SELECT t::text AS row FROM {table[0]} t")  # noqa: S608 - names of ours
        assert not [row["row"] for row in rows if NUMBER[1:] in row["row"]], table[0]
