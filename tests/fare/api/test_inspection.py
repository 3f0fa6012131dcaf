"""The inspector's HTTP: who may ask, how often, what is recorded, and that nothing here can charge."""

import inspect as reflection
from typing import Any

import pytest

from fare.api import inspection
from fare.api.inspection import ENTRY_AGE_MAX_MS, InspectionDesk
from fare.inspection.cases import PersonId, Role
from fare.inspection.values import Standing
from tests.fare.api.town import open_town, phone_at
from tests.fare.inspection.bus import TEN_MS, Bus, code_of
from tests.fare.inspection.verdict_cases import TAPS


def question(who: str = "paid", **changed: object) -> dict[str, object]:
    return {"vehicle_id": "bus-7", "code": code_of(who), "boarded_before": True, **changed}


def warning(number: int = 1, **changed: object) -> dict[str, object]:
    verdict = {"standing": "not_paid", "complete_until_ms": 0}
    entry = {
        "entry_id": f"entry-{number}",
        "case_id": f"case-{number}",
        "step": "warning",
        "at_ms": TEN_MS,
        "verdict": verdict,
    }
    return {**entry, "vehicle_id": "bus-7", **changed}


async def test_an_inspector_signs_in_opens_a_bus_and_checks_a_passenger() -> None:
    async with open_town() as (town, phone):
        assert await phone.sign_in() == 200
        status, held = await phone.ask("GET", "vehicles/bus-7")
        assert (status, held["vehicle_id"], len(held["taps"])) == (200, "bus-7", 19)
        status, verdict = await phone.ask("POST", "checks", question())
    assert (status, verdict["standing"], verdict["riders"]) == (200, "paid", [{"category": "adult", "count": 1}])
    assert town.desk.looks == [("7", "bus-7", Standing.PAID)]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "vehicles/bus-7", None),
        ("POST", "checks", question()),
        ("POST", "shown", []),
        ("POST", "entries", [warning()]),
    ],
)
async def test_who_has_not_signed_in_learns_nothing(method: str, path: str, body: object) -> None:
    async with open_town() as (town, phone):
        for token in ("", "made-up"):
            phone.token = token
            assert await phone.ask(method, path, body) == (401, {"error": "signed_out", "retry_s": 0})
        await phone.sign_in()
        town.clock.city_ms += 3_600_000
        assert (await phone.ask(method, path, body))[0] == 401, "a session ends"
    assert (town.desk.looks, town.desk.records) == ([], [])


async def test_attack_49_a_pin_can_be_tried_five_times_and_then_every_half_minute() -> None:
    async with open_town() as (town, phone):
        assert [await phone.sign_in(pin=f"{pin:04d}") for pin in range(6)] == [401] * 5 + [429]
        assert await phone.sign_in() == 429, "also for the right PIN: the answer says nothing"
        town.clock.city_ms += 30_000
        assert await phone.sign_in() == 200


async def test_attack_49_a_pin_cannot_be_tried_from_ever_new_addresses_nor_numbers_from_one() -> None:
    async with open_town() as (town, phone):
        answers = []
        for host in range(2, 9):
            async with phone_at(town, f"127.0.0.{host}") as elsewhere:
                answers.append(await elsewhere.sign_in(pin="0000"))
        assert answers == [401] * 5 + [429] * 2
        assert [await phone.sign_in(f"{number}") for number in range(20, 26)] == [401] * 5 + [429]


async def test_attack_11_who_sweeps_codes_is_stopped_and_who_finds_riders_is_not() -> None:
    async with open_town() as (_, phone):
        await phone.sign_in()
        found = [(await phone.ask("POST", "checks", question()))[0] for _ in range(50)]
        assert found == [200] * 50
    async with open_town() as (_, phone):
        await phone.sign_in()
        swept = [(await phone.ask("POST", "checks", question(code=f"{code:010d}")))[0] for code in range(25)]
    assert swept.index(429) <= 20
    assert 200 not in swept[swept.index(429) :]


async def test_attack_11_a_made_up_code_and_one_that_did_not_pay_are_answered_alike() -> None:
    async with open_town() as (_, phone):
        await phone.sign_in()
        said = [await phone.ask("POST", "checks", question(code=code)) for code in (code_of("nobody"), "17", "")]
    assert said[0] == said[1] == said[2]
    assert said[0][1]["standing"] == "not_paid"


async def test_i3_checking_a_passenger_again_and_again_records_looks_and_nothing_else() -> None:
    async with open_town() as (town, phone):
        await phone.sign_in()
        before = dict(town.desk.vehicles)
        verdicts = [await phone.ask("POST", "checks", question()) for _ in range(30)]
    assert {verdict["standing"] for _, verdict in verdicts} == {"paid"}
    assert (town.desk.vehicles, town.desk.records, len(town.desk.looks)) == (before, [], 30)


def test_i3_nothing_that_an_inspectors_device_reaches_can_charge() -> None:
    """The port has six methods, none of which takes or gives money, a tap or a journal; imports are a contract."""
    methods = {name for name, _ in reflection.getmembers(InspectionDesk, reflection.isfunction) if name[0] != "_"}
    assert methods == {"sign_in", "session", "facts", "looked", "shown", "append"}
    text = reflection.getsource(inspection)
    assert not any(word in text for word in ("Journal", "Posting", "CardRequest", "Due", "import Tap"))


BUS = Bus(taps=TAPS)


def showing(number: int, what: str = "ticket paid", *, ago_ms: int = 0) -> dict[str, object]:
    at_ms = TEN_MS + 600_000 - ago_ms
    return {"showing_id": f"s-{number}", "vehicle_id": "bus-7", "code": BUS.code(what), "at_ms": at_ms}


async def test_a_forwarded_message_is_found_out_by_whichever_inspector_sees_it_second() -> None:
    async with open_town() as (town, phone):
        await phone.sign_in()
        code = BUS.code("ticket paid")
        said = [
            await phone.ask("POST", "checks", question(code=code, showing_id=showing_id))
            for showing_id in ("first", "first", "second")
        ]
        assert [verdict["standing"] for _, verdict in said] == ["paid", "paid", "shown"]
        assert said[2][1]["shown_ms"] == town.clock.now_ms()
        _, held = await phone.ask("GET", "vehicles/bus-7")
    assert [one["showing_id"] for tap in held["taps"] for one in tap["shown"] if one["showing_id"] == "first"] == [
        "first"
    ]


async def test_what_was_shown_without_a_connection_counts_from_when_it_is_sent_and_once() -> None:
    async with open_town() as (town, phone):
        await phone.sign_in()
        sent = [showing(1, ago_ms=60_000), showing(2, "phone paid"), showing(3, "picture paid"), showing(4, "nobody")]
        assert [await phone.ask("POST", "shown", sent) for _ in range(2)] == [(200, None)] * 2
        counted = [
            one.showing_id for tap in town.desk.vehicles["bus-7"].taps for one in tap.shown if one.showing_id[0] == "s"
        ]
    assert counted == ["s-1"], "the second passenger with it was one too many, the others had nothing"


async def test_what_was_shown_on_a_ride_that_is_long_over_does_not_count() -> None:
    async with open_town() as (town, phone):
        await phone.sign_in()
        before = dict(town.desk.vehicles)
        assert await phone.ask("POST", "shown", [showing(1, ago_ms=3 * 3_600_000)]) == (200, None)
        assert town.desk.vehicles == before


async def test_attack_11_telling_what_was_shown_answers_nothing_and_costs_as_much_as_asking() -> None:
    async with open_town() as (_, phone):
        await phone.sign_in()
        sweep = [showing(number, "nobody") for number in range(20)]
        said = [await phone.ask("POST", "shown", sweep) for _ in range(4)]
        assert [status for status, _ in said] == [200, 200, 200, 429]
        assert (await phone.ask("POST", "shown", [*sweep, *sweep]))[0] == 413


async def test_attack_11_phones_are_answered_as_codes_are_and_no_key_can_be_asked_for() -> None:
    async with open_town() as (_, phone):
        await phone.sign_in()
        asked = ("nobody", "stranger paid", "foreign paid", "phone nobody", "ticket nobody")
        said = [await phone.ask("POST", "checks", question(code=BUS.code(what))) for what in asked]
    assert said == [said[0]] * 5


async def test_an_entry_is_recorded_once_however_often_it_is_sent() -> None:
    async with open_town() as (town, phone):
        await phone.sign_in()
        outcomes = [(await phone.ask("POST", "entries", [warning(1), warning(2)]))[1] for _ in range(3)]
    assert [one["outcome"] for one in outcomes[0]] == ["recorded", "recorded"]
    assert [one["outcome"] for one in outcomes[2]] == ["already_recorded", "already_recorded"]
    assert [record.entry.person_id for record in town.desk.records] == ["7", "7"]


@pytest.mark.parametrize(
    ("ago_ms", "outcome"), [(0, "recorded"), (ENTRY_AGE_MAX_MS, "recorded"), (ENTRY_AGE_MAX_MS + 1, "wrong_time")]
)
async def test_no_protocol_is_dated_back_until_nobody_can_appeal(ago_ms: int, outcome: str) -> None:
    async with open_town() as (town, phone):
        await phone.sign_in()
        _, said = await phone.ask("POST", "entries", [warning(at_ms=town.clock.now_ms() - ago_ms)])
    assert [one["outcome"] for one in said] == [outcome]


async def test_nothing_is_dated_ahead() -> None:
    async with open_town() as (town, phone):
        await phone.sign_in()
        await phone.ask("POST", "entries", [warning(at_ms=town.clock.now_ms() + 10**9)])
        assert [record.entry.at_ms for record in town.desk.records] == [town.clock.now_ms()]


async def test_behind_a_proxy_inspectors_are_told_apart_by_what_the_proxy_saw() -> None:
    async with open_town() as (town, phone):
        town.address = "203.0.113.9"
        for number in range(6):
            said = await phone.ask("POST", "sign-in", {"person_id": f"x{number}", "pin": "0000"})
        assert said[0] == 429
        town.address = "203.0.113.10"
        await phone.sign_in()


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "vehicles/%00", None, 404),
        ("POST", "checks", question(vehicle_id="\0"), 400),
        ("POST", "entries", [warning(reason="\0")], 400),
        ("POST", "sign-in", {"person_id": "\0", "pin": "0000"}, 400),
    ],
)
async def test_a_nul_is_no_name(method: str, path: str, body: object, status: int) -> None:
    async with open_town() as (_, phone):
        await phone.sign_in()
        assert (await phone.ask(method, path, body))[0] == status


@pytest.mark.parametrize("claim", [{"person_id": "8"}, {"role": "officer"}])
async def test_attack_47_who_acts_and_as_what_is_not_for_a_request_to_say(claim: dict[str, object]) -> None:
    async with open_town() as (town, phone):
        await phone.sign_in()
        assert (await phone.ask("POST", "entries", [warning(**claim)]))[0] == 400
    assert town.desk.records == []


async def test_attack_47_an_inspector_cannot_decide_an_appeal() -> None:
    async with open_town() as (town, phone):
        town.desk.roles[PersonId("1")] = Role.OFFICER
        await phone.sign_in()
        fine = {"step": "protocol", "entry_id": "entry-9", "fine_tiyn": 865_000}
        appeal = {"step": "appeal", "entry_id": "entry-10", "verdict": None}
        cancelled = {"step": "cancelled", "entry_id": "entry-11", "verdict": None}
        said: list[Any] = []
        for sent in ([warning(), warning(**fine)], [warning(**appeal)], [warning(**cancelled)]):
            said += (await phone.ask("POST", "entries", sent))[1]
        await phone.sign_in("1")
        said += (await phone.ask("POST", "entries", [warning(**appeal), warning(**cancelled)]))[1]
    expected = ["recorded", "recorded", "wrong_role", "wrong_role", "recorded", "recorded"]
    assert [one["outcome"] for one in said] == expected


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("checks", {"vehicle_id": "bus-7"}, 400),
        ("checks", [1, 2], 400),
        ("checks", question(vehicle_id="bus-99"), 404),
        ("entries", [warning(number) for number in range(51)], 413),
        ("entries", [warning(reason="x" * 70_000)], 413),
        ("sign-in", {"person_id": "7", "pin": "4711", "role": "officer"}, 400),
    ],
)
async def test_what_has_the_wrong_form_is_refused(path: str, body: object, status: int) -> None:
    async with open_town() as (_, phone):
        await phone.sign_in()
        assert (await phone.ask("POST", path, body))[0] == status


async def test_no_answer_is_kept_by_anything_between() -> None:
    async with open_town() as (_, phone):
        await phone.sign_in()
        await phone.ask("POST", "checks", question())
    assert phone.headers["Cache-Control"] == "no-store"


async def test_a_session_shown_in_a_log_hides_its_token() -> None:
    async with open_town() as (town, phone):
        await phone.sign_in()
    assert "secret" not in repr(town.desk.sessions[phone.token])  # type: ignore[index]
