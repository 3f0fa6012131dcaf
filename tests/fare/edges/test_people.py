"""Signing in on a real PostgreSQL: sessions, guesses, and who can lock out whom."""

import asyncio
import dataclasses
import hashlib

import asyncpg
import pytest

from commons.migrate import migrate
from fare.audit_trail import Act
from fare.model import CarrierId
from fare.people import Person, PersonName, Refusal, Role, Session, code_of
from fare.sign_in import SignIn, browser_of, hash_of_password
from fare.store.postgres_audit import audit_broken_at, latest_lines
from fare.store.postgres_people import PostgresPeople
from fare.store.sealed_seeds import SealError, SeedKey
from tests.conftest import new_database
from tests.fare.api.town import Clock
from tests.fare.edges.test_ledger_migrated import migrate_until

PASSWORD = "sary-arqa-1830"
KEY = SeedKey(bytes(range(32)))
HASH = hash_of_password(PASSWORD)
AIGUL = PersonName("aigul")


class Door:
    def __init__(self, pool: asyncpg.Pool) -> None:
        self.clock = Clock()
        self.people = PostgresPeople(pool, KEY)
        self.sign_in = SignIn(self.people, clock=self.clock)

    async def opened(self, browser: str = "", code: str = "") -> Session:
        session = await self.sign_in.sign_in(AIGUL, PASSWORD, code, address="10.0.0.1", browser=browser)
        assert isinstance(session, Session)
        return session


@pytest.fixture
async def door(postgres: asyncpg.Pool) -> Door:
    await migrate(postgres, "fare.store")
    door = Door(postgres)
    assert await door.people.add(Person(name=AIGUL, role=Role.ACCOUNTANT), HASH, door.clock.now_ms())
    return door


async def test_name_and_password_open_a_session_and_the_database_has_neither_token_nor_password(
    door: Door, postgres: asyncpg.Pool
) -> None:
    session = await door.opened()
    assert session.person == Person(name=AIGUL, role=Role.ACCOUNTANT)
    assert await door.sign_in.session(session.token) is not None
    kept = str(await postgres.fetch("SELECT * FROM person, person_session, person_browser, audit_line"))
    assert session.token not in kept
    assert PASSWORD not in kept
    assert session.token not in repr(session)
    assert session.csrf not in repr(session)


@pytest.mark.parametrize(
    ("name", "password"), [("aigul", "wrong password"), ("nobody", PASSWORD), ("", PASSWORD), ("aigul\0", PASSWORD)]
)
async def test_what_is_wrong_is_not_said(door: Door, name: str, password: str) -> None:
    assert await door.sign_in.sign_in(name, password) is Refusal.WRONG


async def test_a_session_ends_unused_and_in_any_case_and_when_its_person_is_revoked(door: Door) -> None:
    session = await door.opened()
    for _ in range(23):
        await door.clock.sleep(29 * 60)
        assert await door.sign_in.session(session.token) is not None
    await door.clock.sleep(2 * 3_600)
    assert await door.sign_in.session(session.token) is None
    session = await door.opened()
    await door.clock.sleep(31 * 60)
    assert await door.sign_in.session(session.token) is None
    session = await door.opened()
    await door.people.revoke(AIGUL, door.clock.now_ms())
    assert await door.sign_in.session(session.token) is None
    assert await door.sign_in.sign_in(AIGUL, PASSWORD) is Refusal.WRONG


async def test_who_signs_out_is_out(door: Door) -> None:
    session = await door.opened()
    await door.sign_in.sign_out(session)
    assert await door.sign_in.session(session.token) is None


async def test_attack_50_guesses_of_others_do_not_lock_out_who_was_here_before(door: Door) -> None:
    browser = browser_of((await door.opened()).token)
    outcomes = [
        await door.sign_in.sign_in(AIGUL, f"guess number {number}", address=f"10.6.{number}.1") for number in range(12)
    ]
    assert Refusal.TOO_OFTEN in outcomes, "many addresses are no way round the limit of a name"
    assert await door.sign_in.sign_in(AIGUL, PASSWORD, address="10.9.9.9") is Refusal.TOO_OFTEN
    assert isinstance(await door.sign_in.sign_in(AIGUL, PASSWORD, address="10.9.9.9", browser=browser), Session)


async def test_a_browser_of_somebody_else_counts_as_unknown(door: Door) -> None:
    await door.people.add(Person(name=PersonName("eve"), role=Role.INSPECTOR), HASH, 0)
    eve = await door.sign_in.sign_in("eve", PASSWORD, address="10.0.0.2")
    assert isinstance(eve, Session)
    guesses = [
        await door.sign_in.sign_in(AIGUL, f"guess number {number}", browser=browser_of(eve.token))
        for number in range(8)
    ]
    assert guesses[-1] is Refusal.TOO_OFTEN


async def test_one_address_cannot_try_many_names(door: Door) -> None:
    outcomes = [await door.sign_in.sign_in(f"name{number}", PASSWORD, address="10.6.6.6") for number in range(6)]
    assert outcomes == 5 * [Refusal.WRONG] + [Refusal.TOO_OFTEN]


async def test_attack_49_a_one_time_code_is_asked_for_and_used_once(door: Door) -> None:
    secret = b"s" * 20
    await door.people.ask_codes(AIGUL, secret, door.clock.now_ms())
    code = code_of(secret, door.clock.now_ms())
    assert await door.sign_in.sign_in(AIGUL, PASSWORD, "") is Refusal.WRONG
    both = await asyncio.gather(*(door.sign_in.sign_in(AIGUL, PASSWORD, code) for _ in range(2)))
    assert sorted(isinstance(one, Session) for one in both) == [False, True]
    assert await door.sign_in.sign_in(AIGUL, PASSWORD, code) is Refusal.WRONG


async def test_a_seed_lies_in_the_database_sealed_and_opens_for_nobody_else(door: Door, postgres: asyncpg.Pool) -> None:
    seed, now_ms = b"s" * 20, door.clock.now_ms()
    eve = PersonName("eve")
    await door.people.add(Person(name=eve, role=Role.ACCOUNTANT), HASH, now_ms)
    await door.people.ask_codes(AIGUL, seed, now_ms)
    kept = await postgres.fetchval("SELECT totp_secret FROM person WHERE name = 'aigul'")
    assert (kept[0], len(kept)) == (1, 1 + 12 + 20 + 16)
    await door.people.ask_codes(AIGUL, seed, now_ms)
    again = await postgres.fetchval("SELECT totp_secret FROM person WHERE name = 'aigul'")
    assert again[1:13] != kept[1:13], "a nonce is used once"
    rows = await postgres.fetch(
        "SELECT t::text FROM person t UNION ALL SELECT t::text FROM person_session t UNION ALL "
        "SELECT t::text FROM person_browser t UNION ALL SELECT t::text FROM audit_line t"
    )
    assert len(rows) > 4
    assert all(seed.hex() not in row[0] for row in rows)
    # Whoever may write rows gives themselves the seed of another, whose codes they have.
    await postgres.execute("UPDATE person SET totp_secret = $1 WHERE name = 'eve'", again)
    assert await door.sign_in.sign_in(eve, PASSWORD, code_of(seed, now_ms)) is Refusal.WRONG
    assert isinstance(await door.sign_in.sign_in(AIGUL, PASSWORD, code_of(seed, now_ms)), Session)
    known = await door.people.known(AIGUL)
    assert known is not None
    for stranger in (PostgresPeople(postgres, SeedKey(bytes(32))), door.people):
        changed = dataclasses.replace(known, sealed_seed=again[:-1] + bytes([again[-1] ^ 1]))
        with pytest.raises(SealError, match="the seed of aigul does not open"):
            stranger.seed_of(known if stranger is not door.people else changed)


async def test_seeds_of_before_are_sealed_and_go_on_and_the_database_takes_no_other(
    postgres_dsn: str,
) -> None:
    seed = b"\x01" + b"s" * 19
    async with new_database(postgres_dsn, template="template1") as pool:
        await migrate_until(pool, "0015")
        await pool.execute(
            "INSERT INTO person (name, role, password, totp_secret) VALUES ($1, 'auditor', $2, $3)", AIGUL, HASH, seed
        )
        await migrate(pool, "fare.store")
        door = Door(pool)
        code = code_of(seed, door.clock.now_ms())
        assert await door.sign_in.sign_in(AIGUL, PASSWORD, code) is Refusal.WRONG, "not before it is sealed"
        assert [await door.people.seal_seeds() for _ in range(2)] == [1, 0]
        assert seed not in await pool.fetchval("SELECT totp_secret FROM person")
        assert isinstance(await door.sign_in.sign_in(AIGUL, PASSWORD, code), Session)
        with pytest.raises(asyncpg.CheckViolationError, match="person_seed_is_sealed"):
            await pool.execute("UPDATE person SET totp_secret = $1", seed)


def test_a_seed_key_says_nothing_of_itself_and_has_32_bytes() -> None:
    assert "0102" not in repr(KEY)
    with pytest.raises(ValueError, match="31 bytes, 32 are needed"):
        SeedKey(bytes(31))


async def test_attack_47_the_database_itself_raises_nobody(door: Door, postgres: asyncpg.Pool) -> None:
    assert not await door.people.add(Person(name=AIGUL, role=Role.AUDITOR), HASH, 0), "a name is given once"
    with pytest.raises(asyncpg.RestrictViolationError, match="never change"):
        await postgres.execute("UPDATE person SET role = 'operator'")
    with pytest.raises(asyncpg.CheckViolationError):
        await postgres.execute("INSERT INTO person (name, role, password) VALUES ('x', 'carrier', '$argon2id$')")
    await door.people.add(Person(name=PersonName("k"), role=Role.CARRIER, carrier_id=CarrierId("k1")), HASH, 0)


async def test_attack_55_the_log_refuses_changes_and_shows_those_made_by_force(
    door: Door, postgres: asyncpg.Pool
) -> None:
    await door.opened()
    await door.sign_in.sign_in(AIGUL, "wrong password")
    acts = [(line.act, line.who) for line in await latest_lines(postgres, 10)]
    assert acts == [(Act.SIGN_IN_REFUSED, "aigul"), (Act.SIGN_IN, "aigul"), (Act.PERSON_ADDED, "command line")]
    for change in ("UPDATE audit_line SET who = 'x'", "DELETE FROM audit_line", "TRUNCATE audit_line"):
        with pytest.raises(asyncpg.RestrictViolationError):
            await postgres.execute(change)
    with pytest.raises(asyncpg.RestrictViolationError):
        await postgres.execute(
            "INSERT INTO audit_line VALUES (9, 0, 'x', 'sign_in', '', '', $1)", hashlib.sha256().digest()
        )
    assert await audit_broken_at(postgres) is None
    await postgres.execute("ALTER TABLE audit_line DISABLE TRIGGER USER")
    await postgres.execute("DELETE FROM audit_line WHERE number = 3")
    assert await audit_broken_at(postgres) == 3
