"""The inspectors' desk on a real PostgreSQL: sessions, facts of a bus, and a chain of cases that nobody can rewrite."""

import asyncio

import asyncpg
import msgspec
import pytest

from commons.migrate import migrate
from fare.inspection.cases import CaseId, CaseOutcome, Entry, EntryId, PersonId, Role, Step
from fare.inspection.session import SessionToken
from fare.inspection.values import InspectionRules, Showing, Standing, VehicleNow, Verdict
from fare.model import MediumKind
from fare.outcomes import TapOutcome
from fare.phone.own_qr import own_code
from fare.service import open_taps
from fare.store.postgres_inspection import SESSION_MS, SHOWN_FOR_MS, PostgresInspection, set_pin
from fare.store.postgres_phone_keys import PostgresPhoneKeys
from fare.validator.rules import Configuration, KindRules
from tests.fare.phone.phones import CITY, private, public
from tests.notation.rides import MIDNIGHT_MS, SmallTariff, medium, tap

CONFIGURATION = Configuration(kinds=(KindRules(kind=MediumKind.TRANSPORT_CARD),))
RULES = InspectionRules()
NINE_MS = MIDNIGHT_MS + 9 * 3_600_000
VERDICT = Verdict(standing=Standing.NOT_PAID, complete_until_ms=NINE_MS)
SEVEN = PersonId("7")


async def where_is(vehicle_id: str) -> VehicleNow | None:
    return VehicleNow(route_id="12", left_stop_ms=NINE_MS - 1, next_stop="Bazar") if vehicle_id == "bus-1" else None


@pytest.fixture
async def pool(postgres: asyncpg.Pool) -> asyncpg.Pool:
    await migrate(postgres, "fare.store")
    return postgres


@pytest.fixture
def desk(pool: asyncpg.Pool) -> PostgresInspection:
    return PostgresInspection(pool, configuration=CONFIGURATION, where_is=where_is)


def entry(number: int, step: Step = Step.WARNING, case: str = "c1", **more: object) -> Entry:
    values: dict[str, object] = {
        "entry_id": EntryId(f"e{number}"),
        "case_id": CaseId(case),
        "step": step,
        "at_ms": NINE_MS + number,
        "person_id": SEVEN,
        "role": Role.INSPECTOR,
        "verdict": VERDICT,
    }
    return Entry(**(values | more))  # type: ignore[arg-type]


async def test_number_and_pin_open_a_session_that_ends(desk: PostgresInspection, pool: asyncpg.Pool) -> None:
    await set_pin(pool, SEVEN, Role.INSPECTOR, "4711")
    assert await desk.sign_in(SEVEN, "4712", NINE_MS) is None
    assert await desk.sign_in(PersonId("8"), "4711", NINE_MS) is None
    session = await desk.sign_in(SEVEN, "4711", NINE_MS)
    assert session is not None
    assert (session.person_id, session.role) == (SEVEN, Role.INSPECTOR)
    assert await desk.session(session.token, NINE_MS + SESSION_MS - 1) == session
    assert await desk.session(session.token, NINE_MS + SESSION_MS) is None
    assert await desk.session(SessionToken("made up"), NINE_MS) is None


async def test_a_new_pin_ends_the_sessions_of_the_old_one(desk: PostgresInspection, pool: asyncpg.Pool) -> None:
    await set_pin(pool, SEVEN, Role.INSPECTOR, "4711")
    session = await desk.sign_in(SEVEN, "4711", NINE_MS)
    assert session is not None
    await set_pin(pool, SEVEN, Role.INSPECTOR, "9000")
    assert await desk.session(session.token, NINE_MS) is None
    assert await desk.sign_in(SEVEN, "4711", NINE_MS) is None


async def test_neither_pin_nor_token_is_in_the_database(desk: PostgresInspection, pool: asyncpg.Pool) -> None:
    await set_pin(pool, SEVEN, Role.INSPECTOR, "4711")
    session = await desk.sign_in(SEVEN, "4711", NINE_MS)
    assert session is not None
    rows = [
        str(tuple(row)) for table in ("inspector", "inspector_session") for row in await pool.fetch(f"TABLE {table}")
    ]
    assert not any("4711" in row or session.token in row for row in rows)
    assert session.token not in repr(session)


async def test_a_short_pin_and_a_rider_are_refused(pool: asyncpg.Pool) -> None:
    with pytest.raises(ValueError, match="pin must have 4 characters"):
        await set_pin(pool, SEVEN, Role.INSPECTOR, "471")
    with pytest.raises(ValueError, match="riders do not sign in"):
        await set_pin(pool, SEVEN, Role.RIDER, "4711")


async def test_facts_are_the_taps_of_the_bus_and_those_of_its_media_elsewhere(
    desk: PostgresInspection, pool: asyncpg.Pool
) -> None:
    async def nobody(_: object) -> dict[object, object]:
        return {}

    async with open_taps(pool, pricing=SmallTariff(), profiles=nobody) as taps:  # type: ignore[arg-type]
        await taps.take([tap("v:1", "08:30"), tap("v:2", "06:30")])
    vehicle_id = tap("v:1", "08:30").tap.vehicle_id
    await pool.execute(
        "INSERT INTO validator (device_id, vehicle_id, hash, sequence, handed, heard_ms, waiting) "
        "VALUES ('v', $1, '', 2, 2, $2, 0)",
        *(vehicle_id, NINE_MS - 5),
    )
    facts = await desk.facts(vehicle_id, NINE_MS)
    assert facts is not None
    (known,) = facts.taps
    half_past_ms = MIDNIGHT_MS + 8 * 3_600_000 + 30 * 60_000
    assert (known.medium_id, known.outcome, known.tapped_ms) == (medium(7), TapOutcome.ACCEPTED, half_past_ms)
    assert known.until_ms == half_past_ms + CONFIGURATION.ride_max_ms
    assert (facts.complete_until_ms, facts.rides_free) == (NINE_MS - 5, False)
    await pool.execute("UPDATE validator SET handed = 1")
    facts = await desk.facts(vehicle_id, NINE_MS)
    assert facts is not None
    assert facts.complete_until_ms == half_past_ms, "what waits for the books is not here yet"
    await pool.execute("UPDATE validator SET stopped = true")
    facts = await desk.facts(vehicle_id, NINE_MS)
    assert facts is not None
    assert facts.rides_free, "the operator lets ride free where no validator works"


async def test_a_bus_without_validator_is_known_by_its_place_and_no_other_is(
    desk: PostgresInspection, pool: asyncpg.Pool
) -> None:
    facts = await desk.facts("bus-1", NINE_MS)
    assert facts is not None
    assert (facts.route_id, facts.next_stop) == ("12", "Bazar")
    assert (facts.complete_until_ms, facts.rides_free) == (0, False), "who has not paid here may have paid in cash"
    cashless = PostgresInspection(pool, configuration=CONFIGURATION, where_is=where_is, cash_aboard=False)
    facts = await cashless.facts("bus-1", NINE_MS)
    assert facts is not None
    assert (facts.complete_until_ms, facts.rides_free) == (NINE_MS, False), "all that is paid here is sold by us"
    assert await desk.facts("nowhere", NINE_MS) is None


async def test_a_case_goes_its_way_and_an_entry_sent_twice_is_one(desk: PostgresInspection) -> None:
    protocol = entry(2, Step.PROTOCOL, fine_tiyn=RULES.fine_tiyn)
    assert await desk.append(entry(1), RULES) is CaseOutcome.RECORDED
    assert await desk.append(entry(1), RULES) is CaseOutcome.ALREADY_RECORDED
    assert await desk.append(protocol, RULES) is CaseOutcome.RECORDED
    assert await desk.append(entry(3), RULES) is CaseOutcome.WRONG_STEP
    assert await desk.broken_at() is None


async def test_the_same_entry_id_with_another_content_is_refused_and_the_first_one_stays(
    desk: PostgresInspection, pool: asyncpg.Pool
) -> None:
    assert await desk.append(entry(1), RULES) is CaseOutcome.RECORDED
    later = entry(1, at_ms=NINE_MS + 60_000)
    assert await desk.append(later, RULES) is CaseOutcome.ALREADY_RECORDED, (
        "a phone's clock is ahead: set to when it came"
    )
    others = (
        entry(1, vehicle_id="bus-9"),
        entry(1, evidence=("sha256:0",)),
        entry(1, person_id=PersonId("8")),
        entry(1, at_ms=NINE_MS),
        entry(1, case="c2"),
        entry(1, Step.PROTOCOL, fine_tiyn=RULES.fine_tiyn),
    )
    for other in others:
        assert await desk.append(other, RULES) is CaseOutcome.KEY_REUSED, other
    assert await pool.fetchval("SELECT count(*) FROM inspection_record") == 1
    assert await desk.broken_at() is None


async def test_many_phones_at_once_make_one_chain(desk: PostgresInspection) -> None:
    entries = [entry(number, case=f"c{number}") for number in range(20)]
    assert set(await asyncio.gather(*(desk.append(one, RULES) for one in entries))) == {CaseOutcome.RECORDED}
    assert await desk.broken_at() is None


async def test_attack_55_records_and_looks_cannot_be_changed_and_a_forged_one_shows(
    desk: PostgresInspection, pool: asyncpg.Pool
) -> None:
    for number in (1, 2):
        await desk.append(entry(number, case=f"c{number}"), RULES)
    await desk.looked(SEVEN, "bus-1", Standing.PAID, NINE_MS)
    for statement in ("UPDATE inspection_record SET case_id = 'x'", "DELETE FROM inspection_look"):
        with pytest.raises(asyncpg.PostgresError):
            await pool.execute(statement)
    await pool.execute("ALTER TABLE inspection_record DISABLE TRIGGER USER")
    forged = msgspec.json.encode(entry(1, case="c1", reason="never happened")).decode()
    await pool.execute("UPDATE inspection_record SET entry = $1 WHERE sequence = 1", forged)
    assert await desk.broken_at() == 1


async def test_what_inspectors_were_shown_is_told_with_the_tap_once_and_forgotten_after_a_day(
    desk: PostgresInspection, pool: asyncpg.Pool
) -> None:
    async def nobody(_: object) -> dict[object, object]:
        return {}

    async with open_taps(pool, pricing=SmallTariff(), profiles=nobody) as taps:  # type: ignore[arg-type]
        await taps.take([tap("v:1", "08:30")])
    showing = Showing(showing_id="s-1", at_ms=NINE_MS)
    for _ in range(2):
        await desk.shown("v:1", SEVEN, showing)
    facts = await desk.facts("bus-1", NINE_MS)
    assert facts is not None
    assert [(one.key, one.shown) for one in facts.taps] == [("v:1", (showing,))]
    await desk.shown("v:1", SEVEN, Showing(showing_id="s-2", at_ms=NINE_MS + SHOWN_FOR_MS + 1))
    assert await pool.fetchval("SELECT array_agg(showing_id) FROM inspection_shown") == ["s-2"]


async def test_the_keys_of_phones_that_rode_here_are_among_the_facts(
    desk: PostgresInspection, pool: asyncpg.Pool
) -> None:
    async def nobody(_: object) -> dict[object, object]:
        return {}

    async with open_taps(pool, pricing=SmallTariff(), profiles=nobody) as taps:  # type: ignore[arg-type]
        await taps.take([tap("v:1", "08:30")])
    keys = PostgresPhoneKeys(pool, CITY)
    for name, holder in (("ann", medium(7)), ("bob", medium(8))):
        code = own_code(private(name), city=CITY, now_ms=NINE_MS)
        await keys.register(holder, public(name), code, NINE_MS)
    facts = await desk.facts("bus-1", NINE_MS)
    assert facts is not None
    assert [one.public for one in facts.phones] == [public("ann")]
