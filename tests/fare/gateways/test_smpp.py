"""The bind to an operator's centre, against npm's ``smpp`` that fails in every way, with tshark as judge."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from commons.clock import SystemClock
from commons.metrics import Metrics
from fare.gateways import smpp, smpp_link, smpp_pace
from fare.gateways.smpp import SmppBind, SmppClient
from fare.gateways.smpp_link import LinkTimes
from fare.sms.values import Incoming, OutgoingState
from tests.fare.gateways.message_centre import (
    CODE,
    RIDER,
    Centre,
    Desk,
    Overheard,
    dissected,
    door_to,
    needs_npm_smpp,
    needs_tshark,
    running_centre,
)

pytestmark = needs_npm_smpp

OPERATOR = "kcell"
TICKET = "Билет 0451: 120 тг, маршрут 1, до 12:40. Код 1234567890"
INVALID_DESTINATION, THROTTLED, TEMPORARY, BIND_FAILED, INVALID_PASSWORD = 0x0B, 0x58, 0x64, 0x0D, 0x0E


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait less than in a city."""
    monkeypatch.setattr(smpp_pace, "REBIND_FIRST_S", 0.05)
    monkeypatch.setattr(smpp_pace, "THROTTLED_PAUSE_S", 0.02)


@pytest.fixture
async def centre(centres: int) -> AsyncIterator[Centre]:
    async with running_centre(centres) as one:
        yield one


def client_of(desk: Desk, port: int, metrics: Metrics | None = None, **agreed: object) -> SmppClient:
    answers_s, silence_s = agreed.pop("answer_s", 5.0), agreed.pop("silence_s", 30.0)
    settings: dict[str, object] = {"operator": OPERATOR, "system_id": "ayaldama", "password": "s3cret", "per_s": 200.0}
    metrics = metrics or Metrics()
    return SmppClient(
        SmppBind(host="127.0.0.1", port=port, **(settings | agreed)),  # type: ignore[arg-type]
        door_to(desk),
        chance=lambda: 0.5,
        clock=SystemClock(),
        metrics=metrics,
        times=LinkTimes(answer_s=answers_s, silence_s=silence_s),  # type: ignore[arg-type]
    )


@asynccontextmanager
async def running(client: SmppClient) -> AsyncIterator[None]:
    task = asyncio.create_task(client.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def bound(centre: Centre, desk: Desk, metrics: Metrics | None = None, **agreed: object) -> AsyncIterator[None]:
    async with running(client_of(desk, centre.port, metrics, **agreed)):
        await centre.seen("bind")
        yield


def ticket_for(_: Incoming) -> str:
    return TICKET


async def test_a_rider_writes_and_reads_a_ticket_in_cyrillic(centre: Centre) -> None:
    desk = Desk(ticket_for)
    async with bound(centre, desk):
        centre.deliver("0451", name="order")
        (submitted,) = await centre.seen("submit")
        (answered,) = await centre.seen("answer")
    (taken,) = desk.taken
    assert (taken.operator, taken.sender, taken.short_code, taken.text) == (OPERATOR, RIDER, CODE, "0451")
    assert (submitted["from"], submitted["to"], submitted["text"]) == (CODE, RIDER.removeprefix("+"), TICKET)
    assert (submitted["coding"], submitted["receipt"], answered["status"]) == (8, 1, 0)


async def test_a_message_is_acknowledged_only_after_it_is_stored(centre: Centre) -> None:
    desk = Desk()
    desk.stores.clear()
    async with bound(centre, desk):
        centre.deliver("0451", name="order")
        centre.deliver("БАЛАНС", name="balance")
        await asyncio.sleep(0.3)
        assert centre.of("answer") == []
        desk.stores.set()
        assert {one["status"] for one in await centre.seen("answer", 2)} == {0}


async def test_what_cannot_be_stored_stays_at_the_centre(centre: Centre) -> None:
    desk = Desk()
    desk.fails = 1
    async with bound(centre, desk):
        centre.deliver("0451", name="first")
        (refused,) = await centre.seen("answer")
        centre.deliver("0451", name="again")
        refused, taken = await centre.seen("answer", 2)
    assert (refused["status"], taken["status"], len(desk.taken)) == (TEMPORARY, 0, 1)


async def test_attack_24_a_message_brought_again_and_after_a_cut_is_the_same_to_the_desk(centre: Centre) -> None:
    desk = Desk()
    async with bound(centre, desk):
        for number in range(9):
            centre.deliver("0451", name=f"copy {number}", tlvs={"receipted_message_id": "mo-7"})
        await centre.seen("answer", 9)
        centre.do("cut")
        await centre.seen("bind", 2)
        centre.deliver("0451", name="after the cut", tlvs={"receipted_message_id": "mo-7"})
        await centre.seen("answer", 10)
    assert {(one.message_id, one.sender, one.text) for one in desk.taken} == {("mo-7", RIDER, "0451")}


async def test_a_long_message_goes_in_parts_of_67_and_comes_together(centre: Centre) -> None:
    desk = Desk(lambda _: TICKET * 3)
    async with bound(centre, desk):
        first, second = ("Б" * 67).encode("utf-16-be").hex(), ("Ү" * 5).encode("utf-16-be").hex()
        centre.deliver("", name="2 of 2", hex=second, udh="050003070202", esm=0x40)
        centre.deliver("", name="1 of 2", hex=first, udh="050003070201", esm=0x40)
        parts = await centre.seen("submit", 3)
    assert [one.text for one in desk.taken] == ["Б" * 67 + "Ү" * 5]
    assert "".join(part["text"] for part in parts) == TICKET * 3
    assert [len(part["text"]) for part in parts[:2]] == [67, 67]
    assert [part["udh"][0][-4:] for part in parts] == ["0301", "0302", "0303"]
    assert [part["receipt"] for part in parts] == [0, 0, 1]


async def test_attack_26_a_message_belongs_to_the_bind_it_came_through(centre: Centre, centres: int) -> None:
    """Two operators carry the same source address: nothing in a PDU says which is true, only the bind."""
    kcell, beeline = Desk(ticket_for), Desk(ticket_for)
    async with running_centre(centres) as other, bound(centre, kcell), bound(other, beeline, operator="beeline"):
        centre.deliver("0451")
        other.deliver("0451")
        await centre.seen("submit")
        await other.seen("submit")
    assert [(one.sender, one.operator) for one in kcell.taken + beeline.taken] == [
        (RIDER, OPERATOR),
        (RIDER, "beeline"),
    ]
    assert len(centre.of("submit")) == len(other.of("submit")) == 1  # and each answers through its own


@pytest.mark.parametrize("source", ["Kaspi", "2505", "+79161234567", ""])
async def test_attack_27_whoever_a_sender_says_to_be_reaches_the_desk_as_it_came(centre: Centre, source: str) -> None:
    desk = Desk()
    async with bound(centre, desk):
        centre.deliver("0451", source=source)
        await centre.seen("answer")
    assert [one.sender for one in desk.taken] == [source]


@pytest.mark.parametrize(
    ("hex_", "more"),
    [
        ("00" * 140, {"udh": "0500030aff01", "esm": 0x40}),  # part 1 of 255
        ("0451", {"udh": "0500030a0200", "esm": 0x40}),  # part 0
        ("ffee", {"coding": 4}),  # octets
        ("04", {"coding": 8}),  # half a letter
    ],
)
async def test_attack_29_what_is_no_text_is_acknowledged_and_forgotten(
    centre: Centre, hex_: str, more: dict[str, object]
) -> None:
    desk = Desk(ticket_for)
    async with bound(centre, desk):
        centre.deliver("", hex=hex_, **more)
        (answered,) = await centre.seen("answer")
    assert (answered["status"], desk.taken) == (0, [])


async def test_attack_29_nul_and_marks_of_direction_reach_the_desk_as_they_are(centre: Centre) -> None:
    desk = Desk()
    async with bound(centre, desk):
        centre.deliver("\u202e04\x0051")
        await centre.seen("answer")
    assert [one.text for one in desk.taken] == ["\u202e04\x0051"]


async def test_attack_31_a_receipt_for_a_message_of_another_bind_changes_nothing(centre: Centre) -> None:
    desk = Desk(ticket_for)

    def forge(message_id: str, name: str) -> None:
        text = f"id:{message_id} sub:001 dlvrd:001 submit date:2611261100 done date:2611261101 stat:UNDELIV err:001"
        centre.deliver("", name=name, hex=text.encode().hex(), coding=0, esm=4)

    async with bound(centre, desk):
        forge("somebody-else", "forged")
        centre.deliver("0451", name="order")
        (submitted,) = await centre.seen("submit")
        forge(submitted["id"], "true")
        await centre.seen("answer", 3)
    assert desk.receipts == [(OPERATOR, submitted["id"], OutgoingState.FAILED)]
    assert [one.text for one in desk.taken] == ["0451"]  # a receipt is never an order


async def test_a_receipt_that_overtakes_the_acceptance_counts(centre: Centre) -> None:
    desk = Desk(ticket_for)
    async with bound(centre, desk):
        centre.deliver("", name="early", hex=b"id:m1 stat:DELIVRD".hex(), coding=0, esm=4)
        await centre.seen("answer")
        centre.deliver("0451")
        await centre.seen("submit")
        await desk.until(lambda: desk.receipts)
    assert desk.receipts == [(OPERATOR, "m1", OutgoingState.DELIVERED)]


async def test_attack_33_a_throttling_centre_gets_each_message_once_it_can(centre: Centre) -> None:
    desk, metrics = Desk(ticket_for), Metrics()
    centre.manner(throttle=3)
    async with bound(centre, desk, metrics):
        centre.deliver("0451")
        tries = await centre.seen("submit", 4)
        await desk.until(lambda: desk.handed)
    assert list(desk.handed.values()) == [tries[-1]["id"]]
    assert 'ayaldama_sms_throttled_total{operator="kcell"} 3.0' in metrics.exposition().decode()


async def test_a_message_that_the_centre_will_never_take_is_given_up(centre: Centre) -> None:
    desk = Desk(ticket_for)
    centre.manner(submit=INVALID_DESTINATION)
    async with bound(centre, desk):
        centre.deliver("0451")
        await desk.until(lambda: desk.refusals)
        assert len(await centre.seen("submit")) == 1
    assert (len(desk.refusals), desk.handed) == (1, {})


async def test_an_answer_that_was_lost_makes_the_message_go_again_on_a_new_bind(centre: Centre) -> None:
    desk = Desk(ticket_for)
    centre.manner(answers=False)
    async with bound(centre, desk, answer_s=0.3):
        centre.deliver("0451")
        await centre.seen("submit")
        centre.manner(answers=True)
        await centre.seen("bind", 2)
        first, again = (await centre.seen("submit", 2))[:2]
    assert first["text"] == again["text"] == TICKET
    assert len(desk.taken) == 1


async def test_a_line_cut_in_the_middle_is_bound_again_and_nothing_is_lost(centre: Centre) -> None:
    desk = Desk()
    desk.stores.clear()
    async with bound(centre, desk):
        centre.deliver("0451", name="order")
        await asyncio.sleep(0.1)
        centre.do("cut")
        await centre.seen("bind", 2)
        desk.stores.set()
        centre.deliver("0451", name="order")  # it was never acknowledged
        answers = await centre.seen("answer")
    assert [one["status"] for one in answers] == [0]
    assert [one.text for one in desk.taken] == ["0451"]  # what hung when the line was cut is given up


@pytest.mark.parametrize("status", [BIND_FAILED, INVALID_PASSWORD])
async def test_attack_33_a_refused_bind_is_tried_again_ever_more_slowly(centre: Centre, status: int) -> None:
    pauses_s: list[float] = []

    def pause_s(failures: int, chance: float) -> float:
        pauses_s.append(smpp_pace.rebind_pause_s(failures, chance))
        return 0.01

    centre.manner(bind=status)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(smpp, "rebind_pause_s", pause_s)
        async with running(client_of(Desk(), centre.port)):
            await centre.seen("bind", 5)
            centre.manner(bind=0)
            await centre.seen("bind", 6)
    assert pauses_s[:5] == [pauses_s[0] * 2**failures for failures in range(5)]


async def test_a_centre_that_does_not_answer_a_bind_is_left(centre: Centre) -> None:
    centre.manner(bindAnswers=False)
    async with running(client_of(Desk(), centre.port, answer_s=0.2)):
        await centre.seen("bind", 2)


async def test_silence_is_asked_and_a_dead_line_left(centre: Centre) -> None:
    async with bound(centre, Desk(), answer_s=3.0, silence_s=0.1):
        await centre.seen("enquire_link", 3)
        assert len(centre.of("bind")) == 1
        centre.manner(enquire=False)
        await centre.seen("bind", 2)


async def test_a_centre_that_sends_rubbish_is_left_and_bound_again(centre: Centre) -> None:
    async with bound(centre, Desk()):
        centre.do("raw", hex="ffffffff00000005")
        await asyncio.sleep(0.05)
        centre.do("raw", hex="0000000000000001")
        await centre.seen("bind", 2)


async def test_an_unknown_command_is_refused_and_the_line_stays(centre: Centre) -> None:
    desk = Desk()
    async with bound(centre, desk):
        centre.do("raw", hex="00000010" + "00000103" + "00000000" + "00000009")  # data_sm without body
        centre.do("raw", hex="00000010" + "00000005" + "00000000" + "0000000a")  # deliver_sm without body
        centre.deliver("0451")
        await centre.seen("answer")
    assert len(desk.taken) == len(centre.of("bind")) == 1


async def test_more_than_can_be_handled_is_throttled_and_the_line_goes_on(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smpp_link, "HANDLED_MAX", 5)
    desk = Desk()
    desk.stores.clear()
    desk.waiting = [desk.outgoing(TICKET, OPERATOR)]
    async with bound(centre, desk):
        for number in range(8):
            centre.deliver("0451", name=f"{number}")
        refused = await centre.seen("answer", 3)
        assert {one["status"] for one in refused} == {THROTTLED}
        await desk.until(lambda: desk.handed)  # an answer of the centre is read meanwhile
        desk.stores.set()
        await centre.seen("answer", 8)
    assert len(desk.taken) == 5


async def test_the_window_is_never_exceeded(centre: Centre) -> None:
    desk = Desk()
    desk.waiting = [msgspec.structs.replace(desk.outgoing(TICKET, OPERATOR), id=one) for one in range(30)]
    centre.manner(answers=False)
    async with bound(centre, desk, window=4):
        await centre.seen("submit", 4)
        await asyncio.sleep(0.3)
        assert len(centre.of("submit")) == 4


async def test_we_take_leave_when_we_end(centre: Centre) -> None:
    async with bound(centre, Desk()):
        pass
    await centre.seen("unbind")


@needs_tshark
async def test_tshark_finds_nothing_malformed_in_what_was_said(centre: Centre, tmp_path: Path) -> None:
    desk, overheard = Desk(lambda _: TICKET * 3), Overheard()
    centre.manner(throttle=1)
    async with overheard.line(centre.port), running(client_of(desk, overheard.port, silence_s=0.2)):
        await centre.seen("bind")
        centre.deliver("0451")
        await centre.seen("submit", 4)
        centre.deliver("", hex=b"id:m4 stat:DELIVRD".hex(), coding=0, esm=4)
        desk.fails = 1
        centre.deliver("БАЛАНС")
        await centre.seen("enquire_link")
    capture = tmp_path / "said.pcap"
    overheard.write_capture(capture)
    rows = dissected(capture, ["smpp.command_id", "smpp.command_status", "smpp.data_coding", "smpp.message_text"])
    commands = {int(one, 16) for row in rows for one in row[0].split(",")}
    assert {0x9, 0x80000009, 0x5, 0x80000005, 0x4, 0x80000004, 0x15, 0x80000015, 0x6} <= commands
    assert any(str(THROTTLED) in row[1] or f"{THROTTLED:x}" in row[1] for row in rows)
    assert any(row[3].startswith("Билет 0451: 120 тг") for row in rows)
