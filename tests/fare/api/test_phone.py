"""What a phone may ask, and what of others it may not, over HTTP on a real PostgreSQL."""

import asyncio
import re
import uuid
from collections.abc import AsyncIterator

import aiohttp
import asyncpg
import msgspec
import pytest

from commons.logs import configure_logs
from fare.api.phone_page import CityOfPhones, page_routes
from fare.history import history_code
from fare.inspection.check_code import check_code
from fare.model import Concession, PassHeld, RiderCategory
from fare.service import open_taps
from fare.store.postgres_bus_codes import PostgresBusCodes
from fare.store.postgres_media import PostgresMedia
from fare.top_ups import Heard
from tests.fare.api.phone_town import (
    AIGUL,
    BOLAT,
    CITY,
    CITY_NAME,
    CODE_KEY,
    Phone,
    PhoneTown,
    medium_of,
    phone_town,
    serve_routes,
)
from tests.fare.edges.test_nothing_personal import PHONE, dump
from tests.notation.rides import medium, tap

KEY, OTHER_KEY = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))
HASH = bytes(range(32))


@pytest.fixture
async def town(fare_postgres: asyncpg.Pool) -> AsyncIterator[PhoneTown]:
    async with phone_town(fare_postgres) as opened:
        yield opened


@pytest.fixture
async def aigul(town: PhoneTown) -> Phone:
    await town.top_up(AIGUL, 1_000)
    return await Phone(town).sign_in()


async def bolat(town: PhoneTown) -> Phone:
    return await Phone(town, BOLAT).sign_in()


async def test_bus_line_carrier_and_price_are_shown_before_anything_is_paid(aigul: Phone) -> None:
    status, quote = await aigul.ask("quotes", {"bus": "123-авс-11"})
    assert (status, quote["number"], quote["plate"]) == (200, "0451", "123 ABC 11")
    assert (quote["route"], quote["carrier"], quote["price_tiyn"], quote["missing_tiyn"]) == ("12", "Автопарк", 100, 0)
    assert [charge["reason"] for charge in quote["charges"]] == ["full"]
    assert await aigul.town.market.rides() == 0


async def test_a_phone_that_comes_after_the_tariff_has_changed_hears_its_categories() -> None:
    said = [CITY, msgspec.structs.replace(CITY, default_category=RiderCategory("student"), companions=())]
    async with serve_routes(page_routes(lambda: said[0]), 0) as port, aiohttp.ClientSession() as client:
        heard = []
        for _ in range(2):
            async with client.get(f"http://127.0.0.1:{port}/phone/city.json") as answer:
                heard.append(msgspec.json.decode(await answer.read(), type=CityOfPhones))
            said.reverse()
    assert heard == said


async def test_i6_the_qr_of_a_bus_is_believed_only_if_it_is_signed_and_registered(aigul: Phone) -> None:
    link = await aigul.town.bus_link("bus-1")
    status, quote = await aigul.ask("quotes", {"scanned": link})
    assert (status, quote["signed"], quote["number"]) == (200, True, "0451")
    pasted = ("https://pay.example/?to=77010000000", link[:-4] + "AAAA", "0451", "")
    said = [await aigul.ask("quotes", {"scanned": one}) for one in pasted]
    assert [(status, answer["error"]) for status, answer in said] == [
        (409, "buy_qr_not_ours"),
        (409, "buy_qr_bad_signature"),
        (409, "buy_qr_not_ours"),
        (400, "wrong_form"),
    ]
    codes = PostgresBusCodes(aigul.town.market.pool, city=CITY_NAME, keys={})
    assert await codes.revoke("bus-1", 0) == 1
    assert (await aigul.ask("quotes", {"scanned": link}))[1]["error"] == "buy_qr_revoked"


async def test_a_ride_is_bought_once_whatever_is_asked_again(aigul: Phone) -> None:
    answers = await asyncio.gather(*(aigul.ticket(KEY) for _ in range(4)))
    assert {status for status, _ in answers} == {200}
    assert len({ticket["key"] for _, ticket in answers}) == 1
    assert len({ticket["code"] for _, ticket in answers}) == 1
    assert await aigul.town.market.rides() == 1
    assert (await aigul.ask("me"))[1]["balance_tiyn"] == 900
    _, held = await aigul.ask("tickets")
    assert [(one["number"], one["route"], one["price_tiyn"]) for one in held["tickets"]] == [("0451", "12", 100)]
    aigul.town.clock.city_ms = held["tickets"][0]["until_ms"]
    assert (await aigul.ask("tickets"))[1]["tickets"] == []


async def test_attack_42_the_key_of_one_purchase_buys_no_other_and_is_nobody_elses(aigul: Phone) -> None:
    assert (await aigul.ticket(KEY))[0] == 200
    status, said = await aigul.ticket(KEY, riders=[{"category": "adult", "count": 2}], shown_tiyn=900)
    assert (status, said["error"]) == (409, "buy_key_reused")
    await aigul.town.top_up(BOLAT, 500)
    other = await bolat(aigul.town)
    status, theirs = await other.ticket(KEY)
    assert status == 200
    assert (await aigul.ask(f"rides/{theirs['key']}"))[0] == 404


async def test_never_more_is_paid_than_was_shown(aigul: Phone) -> None:
    status, said = await aigul.ticket(KEY, shown_tiyn=99)
    assert (status, said["error"]) == (409, "buy_price_changed")
    assert await aigul.town.market.rides() == 0


@pytest.mark.parametrize(
    ("bus", "error"),
    [("bus-2", "buy_not_in_service"), ("bus-9", "buy_unknown_vehicle"), ("0000", "buy_unknown_vehicle")],
)
async def test_what_cannot_be_ridden_costs_nothing(aigul: Phone, bus: str, error: str) -> None:
    assert (await aigul.ask("quotes", {"bus": bus}))[1]["error"] == error
    assert (await aigul.ticket(KEY, bus=bus))[1]["error"] == error
    assert await aigul.town.market.rides() == 0


async def test_an_empty_wallet_is_said_before_paying_and_no_debt_is_made(town: PhoneTown) -> None:
    phone = await bolat(town)
    assert (await phone.ask("quotes", {"bus": "0451"}))[1]["missing_tiyn"] == 100
    assert (await phone.ticket(KEY))[1]["error"] == "buy_no_money"
    assert (await phone.ask("me"))[1]["balance_tiyn"] == 0


async def test_attack_28_who_sweeps_the_numbers_of_buses_is_stopped(aigul: Phone) -> None:
    said = [(await aigul.ask("quotes", {"bus": f"{number:04}"}))[0] for number in range(12)]
    assert said[:6] == 6 * [409]
    assert said[-1] == 429


async def test_a_ride_and_its_receipt_are_in_ones_own_history(aigul: Phone) -> None:
    assert (await aigul.ticket(KEY))[0] == 200
    _, told = await aigul.ask("history")
    (ride,) = told["rides"]
    assert (ride["route"], ride["stop"], ride["carrier"], ride["charged_tiyn"]) == ("12", "Базар", "Автопарк", 100)
    assert (ride["card"], ride["medium_kind"]) == ("", "phone")
    assert [(move["kind"], move["amount_tiyn"]) for move in told["moves"]] == [("top_up", 1_000)]
    status, receipt = await aigul.ask(f"rides/{ride['key']}")
    assert (status, receipt) == (200, ride)


@pytest.mark.parametrize(
    "key", ["v:1", "phone:1", "phone:99999999999999999999", "nobody", ":", "v:-1", "v%00:1", "v:١"]
)
async def test_attack_46_the_receipt_of_anothers_ride_does_not_exist(aigul: Phone, key: str) -> None:
    other = await bolat(aigul.town)
    await aigul.town.top_up(BOLAT, 500)
    assert (await other.ticket(KEY))[0] == 200
    assert await aigul.ask(f"rides/{key}") == (404, {"error": "no_such_ride", "retry_s": 0})


async def test_rights_and_passes_are_those_of_ones_own_medium(aigul: Phone) -> None:
    media = PostgresMedia(aigul.town.market.pool)
    right = Concession(category=RiderCategory("pupil"), from_date="2025-09-01", until_date="2026-06-30", evidence="b-1")
    await media.grant([medium_of(AIGUL)], right, 0)
    await media.give_pass(medium_of(BOLAT), PassHeld(product_id="month", from_ms=0, until_ms=1), 0)
    _, me = await aigul.ask("me")
    assert [one["category"] for one in me["concessions"]] == ["pupil"]
    assert (me["hint"], me["passes"], me["cards"]) == ("67", [], [])


async def touch(town: PhoneTown) -> dict[str, str]:
    """Let card 7 be held to the validator of bus-1 a minute ago; return what its holder sees."""
    pool = town.market.pool
    one = tap("v:1", town.clock.city_ms - 60_000, 7)
    async with open_taps(pool, pricing=town.market.tariff, profiles=town.market.profiles) as intake:
        await intake.take([one])
    await pool.execute("INSERT INTO validator (device_id, vehicle_id, hash) VALUES ('v', 'bus-1', $1)", HASH)
    await pool.execute(
        "INSERT INTO validator_record (device_id, sequence, hash, payload, standing, received_ms) "
        "VALUES ('v', 1, $1, '', 'on_time', 0)",
        HASH,
    )
    printed = check_code(medium(7), CODE_KEY)
    return {"vehicle_id": "bus-1", "touch_code": history_code(HASH), "printed_code": printed}


async def test_a_card_is_linked_by_who_holds_it_and_its_rides_are_shown(aigul: Phone) -> None:
    seen = await touch(aigul.town)
    assert await aigul.ask("cards", seen) == (200, {})
    _, me = await aigul.ask("me")
    assert [card["name"] for card in me["cards"]] == [seen["printed_code"][-4:]]
    _, told = await aigul.ask("history")
    assert [(ride["card"], ride["key"]) for ride in told["rides"]] == [(seen["printed_code"][-4:], "v:1")]
    card_id = me["cards"][0]["card_id"]
    other = await bolat(aigul.town)
    assert (await other.ask("cards/remove", {"card_id": card_id}))[0] == 404
    assert (await aigul.ask("cards/remove", {"card_id": card_id}))[0] == 200
    assert (await aigul.ask("history"))[1]["rides"] == []


async def test_attack_48_a_printed_number_alone_or_a_used_touch_links_nothing(aigul: Phone) -> None:
    seen = await touch(aigul.town)
    said = []
    for wrong in (
        {"touch_code": "00000000"},
        {"printed_code": check_code(medium(8), CODE_KEY)},
        {"printed_code": "1"},
        {"vehicle_id": "bus-2"},
    ):
        said.append(await aigul.ask("cards", seen | wrong))
        aigul.town.clock.city_ms += 30_000
    assert said == 4 * [(403, {"error": "no_such_card", "retry_s": 0})]
    assert (await aigul.ask("cards", seen))[0] == 200
    aigul.town.clock.city_ms += 30_000
    other = await bolat(aigul.town)
    assert (await other.ask("cards", seen))[0] == 403


async def test_attack_48_the_codes_of_a_bus_cannot_be_swept(aigul: Phone) -> None:
    seen = await touch(aigul.town)
    said = [await aigul.ask("cards", seen | {"touch_code": f"{number:08}"}) for number in range(7)]
    assert [status for status, _ in said][-1] == 429


async def test_a_top_up_is_ones_own_and_counts_at_once(aigul: Phone) -> None:
    sent = {"key": KEY, "bank": "epay", "amount_tiyn": 50_000, "language": "kk"}
    status, begun = await aigul.ask("top-ups", sent)
    assert (status, begun["link"]) == (200, f"https://bank.example/{begun['invoice']}")
    assert await aigul.ask("top-ups", sent) == (200, begun)
    assert len(aigul.town.bank.payments) == 1
    other = await bolat(aigul.town)
    assert (await other.ask(f"top-ups/{begun['invoice']}"))[0] == 404
    assert (await aigul.ask(f"top-ups/{begun['invoice']}"))[1]["credited"] is False
    aigul.town.bank.says(begun["invoice"])
    assert await aigul.town.top_ups.ask(begun["invoice"]) is Heard.CREDITED
    _, stands = await aigul.ask(f"top-ups/{begun['invoice']}")
    assert (stands["state"], stands["credited"]) == ("credited", True)
    assert (await aigul.ask("me"))[1]["balance_tiyn"] == 51_000


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"bank": "nobody"}, "top_up_unknown_bank"),
        ({"amount_tiyn": 100}, "top_up_too_little"),
        ({"amount_tiyn": -50_000}, "top_up_too_little"),
        ({"amount_tiyn": 10**9}, "top_up_too_much"),
    ],
)
async def test_attack_44_no_payment_is_opened_for_what_cannot_be(
    aigul: Phone, changed: dict[str, object], error: str
) -> None:
    sent = {"key": KEY, "bank": "epay", "amount_tiyn": 50_000, "language": "kk"} | changed
    assert (await aigul.ask("top-ups", sent)) == (409, {"error": error, "retry_s": 0})
    assert aigul.town.bank.intents == []


PATHS = ("me", "banks", "top-ups/1000000", "history", "rides/v:1", "buses", "tickets")
CHANGES = ("top-ups", "keys", "sign-out", "forget", "cards", "cards/remove", "quotes", "tickets")


@pytest.mark.parametrize("path", PATHS)
async def test_nothing_is_told_to_who_is_not_signed_in(town: PhoneTown, path: str) -> None:
    assert await Phone(town).ask(path) == (401, {"error": "signed_out", "retry_s": 0})


@pytest.mark.parametrize("path", CHANGES)
async def test_another_page_can_change_nothing(aigul: Phone, path: str) -> None:
    aigul.csrf = "0" * 64
    assert await aigul.ask(path, {}) == (403, {"error": "not_from_our_page", "retry_s": 0})


async def test_a_form_of_another_page_cannot_sign_anybody_in(town: PhoneTown) -> None:
    phone = Phone(town, headers={"Content-Type": "text/plain"})
    assert (await phone.ask("sign-in", {"challenge": "x", "code": "1"}))[0] == 415


async def test_attack_49_too_many_codes_are_an_answer_and_a_metric(town: PhoneTown) -> None:
    phone = Phone(town)
    sent = {"number": AIGUL, "language": "kk"}
    said = [(await phone.ask("code", sent))[0] for _ in range(6)]
    assert said == 5 * [200] + [429]
    assert (await phone.ask("code", {"number": "+1 900 555 0100", "language": "kk"}))[1]["error"] == "wrong_number"
    shown = town.metrics.exposition().decode()
    assert re.search(r'phone_codes_total\{outcome="number_from_address"\} 1', shown)
    assert AIGUL not in shown


async def test_attack_52_neither_tables_nor_logs_nor_answers_hold_a_number(
    aigul: Phone, capfd: pytest.CaptureFixture[str]
) -> None:
    configure_logs("test", level="DEBUG")
    said = [
        await aigul.ask("code", {"number": AIGUL, "language": "en"}),
        await aigul.ask("code", {"number": AIGUL, "language": "en", "purpose": "forget"}),
        await aigul.ask("sign-in", {"challenge": AIGUL, "code": AIGUL}),
        await aigul.ask("quotes", {"bus": AIGUL}),
        await aigul.ask("quotes", {"scanned": f"https://pay.example/{AIGUL}"}),
        await aigul.ticket(KEY),
        *[await aigul.ask(path) for path in ("me", "history", f"rides/{AIGUL}", f"top-ups/{AIGUL}")],
    ]
    assert PHONE.findall(str(said)) == []
    assert PHONE.findall(await dump(aigul.town.market.pool)) == []
    written = capfd.readouterr()
    assert PHONE.findall(written.out + written.err) == []


async def test_who_signs_out_everywhere_is_a_stranger_again(aigul: Phone) -> None:
    second = await Phone(aigul.town).sign_in()
    assert (await second.ask("sign-out", {"everywhere": True}))[0] == 200
    assert second.jar == {}
    assert (await aigul.ask("me"))[0] == 401


async def test_who_wants_to_be_forgotten_proves_it_with_a_code_for_that(aigul: Phone) -> None:
    wrong = await aigul.challenge()
    code = aigul.town.sms.code(AIGUL)
    assert (await aigul.ask("forget", {"challenge": wrong, "code": code}))[1]["error"] == "code_over"
    challenge = await aigul.challenge("forget")
    assert (await aigul.ask("forget", {"challenge": challenge, "code": aigul.town.sms.code(AIGUL)}))[0] == 200
    assert aigul.jar == {}
