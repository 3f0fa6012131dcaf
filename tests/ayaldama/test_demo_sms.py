"""The demo's mobile network: its centre speaks SMPP with our client and keeps what nobody takes; its page."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from ayaldama.demo_sms.centre import MessageCentre, ToPhone
from ayaldama.demo_sms.page import EmulatorPage
from ayaldama.demo_sms.phones import KEPT, PHONES_MAX, READY, PhoneMessage, Phones, operator_of
from ayaldama.simulate.operator import TROUBLES
from commons.clock import SystemClock
from commons.metrics import Metrics
from fare.gateways.smpp import SmppBind, SmppClient
from fare.media.phone import phone_number
from fare.sms.values import OutgoingState
from tests.fare.gateways.message_centre import CODE, RIDER, Desk, door_to

TICKET = "Билет 0451: 120 тг, маршрут 1, до 12:40. Код 1234567890"
PASSWORD = "s3cret"
OWN = {"X-Emulator": "1"}


class Town:
    """A centre with one operator, and what its telephones got."""

    def __init__(self) -> None:
        self.got: list[ToPhone] = []
        self.centre = MessageCentre({"kcell": PASSWORD}, show=self.show)
        self.port = 0

    async def show(self, message: ToPhone) -> None:
        self.got.append(message)

    @asynccontextmanager
    async def bound(self, desk: Desk, *, password: str = PASSWORD, pair: bool = False) -> AsyncIterator[None]:
        bind = SmppBind(
            operator="kcell", host="127.0.0.1", port=self.port, system_id="kcell", password=password, pair=pair
        )
        client = SmppClient(bind, door_to(desk), chance=lambda: 0.0, clock=SystemClock(), metrics=Metrics())
        task = asyncio.create_task(client.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    town = Town()
    async with town.centre.serving("127.0.0.1", 0) as port:
        town.port = port
        yield town


@pytest.mark.parametrize("pair", [False, True], ids=["transceiver", "pair"])
async def test_a_telephone_writes_and_gets_a_ticket_and_a_receipt_comes_back(town: Town, pair: bool) -> None:
    desk = Desk(lambda _: TICKET)
    async with town.bound(desk, pair=pair):
        sent = town.centre.send("kcell", RIDER, CODE, "0451")
        await desk.until(lambda: desk.receipts or (pair and desk.handed))
    assert sent is not None
    (taken,) = desk.taken
    assert (taken.message_id, "+" + taken.sender, taken.text) == (sent.message_id, RIDER, "0451")
    assert [(one.number, one.short_code, one.text, one.parts) for one in town.got] == [(RIDER, CODE, TICKET, 1)]
    if not pair:  # receipts go to who receives; the centre gives them to the bind that asked
        assert desk.receipts == [("kcell", next(iter(desk.handed.values())), OutgoingState.DELIVERED)]


async def test_long_texts_go_in_parts_both_ways(town: Town) -> None:
    desk = Desk(lambda _: TICKET * 3)
    async with town.bound(desk):
        town.centre.send("kcell", RIDER, CODE, "Ұ" * 100)
        await desk.until(lambda: desk.handed)
    assert [one.text for one in desk.taken] == ["Ұ" * 100]
    assert [(one.text, one.parts) for one in town.got] == [(TICKET * 3, 3)]


async def test_what_nobody_takes_waits_and_comes_under_the_same_name(town: Town) -> None:
    desk = Desk()
    sent = town.centre.send("kcell", RIDER, CODE, "0451")
    assert not town.centre.is_bound("kcell")
    desk.fails = 1
    async with town.bound(desk):
        await desk.until(lambda: desk.taken)
        assert town.centre.is_bound("kcell")
    assert sent is not None
    assert [one.message_id for one in desk.taken] == [sent.message_id]


async def test_a_wrong_password_does_not_enter(town: Town) -> None:
    desk = Desk()
    town.centre.send("kcell", RIDER, CODE, "0451")
    async with town.bound(desk, password="guessed"):
        await asyncio.sleep(0.2)
    assert (town.centre.is_bound("kcell"), desk.taken) == (False, [])


def test_the_telephones_that_lie_ready_show_what_their_operator_says() -> None:
    said = {phone.about: TROUBLES.get(phone.number[-2:]) for phone in READY}
    assert {about: trouble.value if trouble else None for about, trouble in said.items()} == {
        "pays": None,
        "no_credit": "no_credit",
        "corporate": "corporate_number",
        "sim_changed": "sim_changed",
    }
    assert {operator_of(phone.number) for phone in READY} == {"kcell", "beeline"}


async def test_screens_keep_the_last_messages_and_the_last_telephones() -> None:
    phones = Phones()
    message = PhoneMessage(number=0, at_ms=0, mine=True, short_code=CODE, text="0451")
    for _ in range(KEPT + 5):
        await phones.add(RIDER, message)
    assert [one.number for one in phones.after(RIDER, 0)][:1] == [6]
    assert [one.number for one in phones.after(RIDER, KEPT + 4)] == [KEPT + 5]
    for other in range(PHONES_MAX):
        await phones.add(f"+7701{other:07}", message)
    assert phones.after(RIDER, 0) == []


@pytest.fixture
async def page(town: Town) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    app = web.Application()
    phones = Phones()
    centre = MessageCentre({"kcell": "x", "beeline": "y"}, show=town.show)
    app.add_routes(EmulatorPage(centre, phones, short_code=CODE, clock=SystemClock()).routes())
    async with TestClient(TestServer(app)) as client:
        yield client


async def test_the_page_sends_and_shows(page: TestClient[web.Request, web.Application]) -> None:
    sent = {"number": "8 701 123 45 67", "short_code": CODE, "text": "0451"}
    assert (await page.post("/sms/emulator/send", json=sent, headers=OWN)).status == 202
    shown = await (await page.get("/sms/emulator/messages", params={"number": RIDER, "after": "0"})).json()
    assert (shown["phone"], shown["operator"], shown["bound"]) == (RIDER, "kcell", False)
    assert [(one["number"], one["mine"], one["text"]) for one in shown["messages"]] == [(1, True, "0451")]


@pytest.mark.parametrize(
    ("changed", "headers", "status"),
    [
        ({}, {}, 403),
        ({"number": "2505"}, OWN, 400),
        ({"short_code": "25 05"}, OWN, 400),
        ({"text": ""}, OWN, 400),
        ({"text": "x" * 301}, OWN, 400),
        ({"text": 7}, OWN, 400),
    ],
)
async def test_the_page_refuses_what_no_telephone_can_send(
    page: TestClient[web.Request, web.Application], changed: dict[str, object], headers: dict[str, str], status: int
) -> None:
    sent = {"number": RIDER, "short_code": CODE, "text": "0451"} | changed
    assert (await page.post("/sms/emulator/send", json=sent, headers=headers)).status == status


@pytest.mark.parametrize("query", [{"number": "x"}, {"number": RIDER, "after": "-1"}, {"number": RIDER, "after": "²"}])
async def test_the_page_refuses_what_names_no_telephone(
    page: TestClient[web.Request, web.Application], query: dict[str, str]
) -> None:
    assert (await page.get("/sms/emulator/messages", params=query)).status == 400


def test_a_number_of_the_page_is_one_of_ours() -> None:
    assert phone_number("8 701 123 45 67") == RIDER
