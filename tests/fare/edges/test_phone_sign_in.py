"""Signing in with a phone on a real PostgreSQL: codes go out, one browser uses each, once."""

import asyncio
import hashlib
from dataclasses import dataclass, field

import asyncpg
import pytest

from fare.media.phone import phone_medium
from fare.media.tokens import TokenKey
from fare.model import PhoneNumber
from fare.phone.one_time_code import DAY_MS, HOUR_MS, LIFE_MS, CodePurpose, CodeRefusal, CodeRules
from fare.phone.session import IDLE_MS, PhoneSession, SignInRefusal, browser_of
from fare.phone_sign_in import Challenge, PhoneSignIn
from fare.store.postgres_phone_keys import PostgresPhoneKeys
from fare.store.postgres_phones import PostgresPhones
from tests.fare.api.town import Clock

AIGUL, BOLAT = "8 701 123 45 67", "+7 702 765 43 21"
CITY = "kzo"
KEY = TokenKey(version=1, secret=b"phones of a test")


@dataclass
class Outbox:
    """What was sent, newest last: the number and the text."""

    sent: list[tuple[PhoneNumber, str]] = field(default_factory=list)
    late: bool = False

    async def send(self, _key: str, number: PhoneNumber, text: str) -> None:
        self.sent.append((number, text))

    async def are_late(self) -> bool:
        return self.late

    @property
    def code(self) -> str:
        return "".join(character for character in self.sent[-1][1].partition(".")[0] if character.isdigit())


class Desk:
    def __init__(self, pool: asyncpg.Pool, rules: CodeRules | None = None) -> None:
        self.pool = pool
        self.clock = Clock()
        self.outbox = Outbox()
        self.door = PhoneSignIn(
            PostgresPhones(pool),
            PostgresPhoneKeys(pool, CITY),
            medium_of=lambda number: phone_medium(number, KEY),
            out=self.outbox,
            key=b"digests of a test",
            clock=self.clock,
            rules=rules,
        )

    async def ask(
        self,
        number: str = AIGUL,
        *,
        address: str = "10.0.0.1",
        browser: str = "",
        to: CodePurpose = CodePurpose.SIGN_IN,
    ) -> Challenge | CodeRefusal:
        return await self.door.ask(number, to, "ru", address=address, browser=browser)

    async def challenge(self, number: str = AIGUL, *, to: CodePurpose = CodePurpose.SIGN_IN) -> str:
        asked = await self.ask(number, to=to)
        assert isinstance(asked, Challenge)
        return asked.secret

    async def enter(self, number: str = AIGUL) -> PhoneSession:
        session = await self.door.sign_in(await self.challenge(number), self.outbox.code)
        assert isinstance(session, PhoneSession)
        return session


async def everything(pool: asyncpg.Pool) -> str:
    """Return all rows of phones as text, bytes in hexadecimal digits."""
    tables = [
        row["name"] for row in await pool.fetch("SELECT tablename AS name FROM pg_tables WHERE tablename ~ '^phone'")
    ]
    assert len(tables) >= 4
    rows = [await pool.fetch(f"SELECT t::text AS said FROM {table} t") for table in tables]  # noqa: S608
    return "\n".join(row["said"] for some in rows for row in some)


@pytest.fixture
async def desk(fare_postgres: asyncpg.Pool) -> Desk:
    return Desk(fare_postgres)


async def test_who_reads_the_code_is_signed_in_and_knows_their_medium(desk: Desk) -> None:
    session = await desk.enter()
    assert (session.medium_id, session.hint) == (phone_medium(PhoneNumber("+77011234567"), KEY), "67")
    assert await desk.door.session(session.token) == session
    assert [number for number, _ in desk.outbox.sent] == ["+77011234567"]


async def test_a_code_fits_one_message_in_every_language(desk: Desk) -> None:
    for language in ("kk", "ru", "en"):
        for purpose in CodePurpose:
            await desk.door.ask(BOLAT, purpose, language, address=f"{language}{purpose}")  # type: ignore[arg-type]
            assert len(desk.outbox.sent[-1][1]) <= 70
            desk.clock.city_ms += HOUR_MS


@pytest.mark.parametrize(
    "typed", ["", "2505", "8 800 123 45 67", "8 809 123 45 67", "+998901234567", "+1 900 555 0100"]
)
async def test_attack_49_no_code_goes_to_premium_foreign_or_fixed_numbers(desk: Desk, typed: str) -> None:
    assert await desk.ask(typed) is CodeRefusal.NUMBER
    assert desk.outbox.sent == []


async def test_attack_49_five_guesses_use_a_code_up_also_when_the_sixth_is_right(desk: Desk) -> None:
    challenge = await desk.challenge()
    wrong = "000000" if desk.outbox.code != "000000" else "000001"
    guesses = await asyncio.gather(*(desk.door.sign_in(challenge, wrong) for _ in range(8)))
    assert sorted(guesses) == 3 * [SignInRefusal.CODE_OVER] + 5 * [SignInRefusal.WRONG_CODE]
    assert await desk.door.sign_in(challenge, desk.outbox.code) is SignInRefusal.CODE_OVER


async def test_attack_49_a_code_opens_one_session_however_often_it_is_sent_at_once(desk: Desk) -> None:
    challenge = await desk.challenge()
    answers = await asyncio.gather(*(desk.door.sign_in(challenge, desk.outbox.code) for _ in range(5)))
    assert sum(isinstance(one, PhoneSession) for one in answers) == 1
    assert await desk.door.sign_in(challenge, desk.outbox.code) is SignInRefusal.CODE_OVER


async def test_attack_49_a_code_for_another_purpose_or_another_browser_opens_nothing(desk: Desk) -> None:
    challenge = await desk.challenge(to=CodePurpose.FORGET)
    assert await desk.door.sign_in(challenge, desk.outbox.code) is SignInRefusal.CODE_OVER
    mine = await desk.challenge()
    code = desk.outbox.code
    theirs = await desk.challenge()
    assert code != desk.outbox.code or mine != theirs
    assert await desk.door.sign_in("invented", code) is SignInRefusal.CODE_OVER


async def test_a_code_counts_for_five_minutes(desk: Desk) -> None:
    challenge = await desk.challenge()
    desk.clock.city_ms += LIFE_MS
    assert await desk.door.sign_in(challenge, desk.outbox.code) is SignInRefusal.CODE_OVER


async def test_attack_49_guesses_spread_over_addresses_are_still_counted_by_number(desk: Desk) -> None:
    asked = [await desk.ask(address=f"10.0.{number}.1") for number in range(8)]
    assert [isinstance(one, Challenge) for one in asked] == 6 * [True] + 2 * [False]
    assert asked[-1] is CodeRefusal.NUMBER_HOUR
    for number in range(12):
        desk.clock.city_ms += HOUR_MS
        await desk.ask(address=f"10.1.{number}.1")
    assert len(desk.outbox.sent) == 15
    assert await desk.ask() is CodeRefusal.NUMBER_DAY
    desk.clock.city_ms += DAY_MS
    assert isinstance(await desk.ask(), Challenge)


async def test_attack_50_who_asks_from_one_address_locks_nobody_out_at_another(desk: Desk) -> None:
    for _ in range(24):
        await desk.ask(address="10.6.6.6")
        desk.clock.city_ms += HOUR_MS
    assert await desk.ask(address="10.6.6.6") is not CodeRefusal.NUMBER_DAY
    assert isinstance(await desk.ask(address="10.0.0.1"), Challenge)


async def test_attack_49_pumping_is_limited_by_address_by_block_and_in_all(fare_postgres: asyncpg.Pool) -> None:
    desk = Desk(fare_postgres, CodeRules(from_address=2, to_block=3, in_all=4))

    async def one(number: int, address: str) -> Challenge | CodeRefusal:
        return await desk.ask(f"+7701{number:07}", address=address)

    assert isinstance(await one(1_000_001, "2001:db8::1"), Challenge)
    assert isinstance(await one(1_000_002, "2001:db8::2"), Challenge)
    assert await one(1_000_003, "2001:db8::3") is CodeRefusal.ADDRESS  # one customer's network
    assert isinstance(await one(1_000_003, "10.0.0.2"), Challenge)
    assert await one(1_000_004, "10.0.0.3") is CodeRefusal.BLOCK
    assert isinstance(await one(2_000_004, "10.0.0.3"), Challenge)
    assert await one(3_000_005, "10.0.0.4") is CodeRefusal.ALL


async def test_attack_50_a_victim_who_was_here_before_is_not_locked_out(desk: Desk) -> None:
    browser = browser_of((await desk.enter()).token)
    for number in range(8):
        await desk.ask(address=f"10.6.6.{number}")
    assert await desk.ask() is CodeRefusal.NUMBER_HOUR
    asked = await desk.ask(browser=browser)
    assert isinstance(asked, Challenge)
    assert isinstance(await desk.door.sign_in(asked.secret, desk.outbox.code), PhoneSession)
    assert await desk.ask(BOLAT, browser=browser) is not CodeRefusal.BROWSER  # it is known by one number, not by others


async def test_attack_50_guesses_in_another_browser_do_not_use_up_ones_own_code(desk: Desk) -> None:
    mine = await desk.challenge()
    code = desk.outbox.code
    theirs = await desk.challenge()
    for _ in range(6):
        await desk.door.sign_in(theirs, "999999")
    assert isinstance(await desk.door.sign_in(mine, code), PhoneSession)


async def test_signing_out_everywhere_ends_all_sessions_of_one_phone(desk: Desk) -> None:
    first, second, other = await desk.enter(), await desk.enter(), await desk.enter(BOLAT)
    await desk.door.sign_out(first)
    assert [await desk.door.session(one.token) is not None for one in (first, second)] == [False, True]
    await desk.door.sign_out(second, everywhere=True)
    assert [await desk.door.session(one.token) is not None for one in (second, other)] == [False, True]


async def test_a_session_lives_while_somebody_comes(desk: Desk) -> None:
    session = await desk.enter()
    for _ in range(2):
        desk.clock.city_ms += IDLE_MS - 1
        assert await desk.door.session(session.token) is not None
    desk.clock.city_ms += IDLE_MS
    assert await desk.door.session(session.token) is None


async def test_who_is_forgotten_leaves_nothing_but_the_books(desk: Desk) -> None:
    session, bolat = await desk.enter(), await desk.enter(BOLAT)
    theirs = await desk.challenge(BOLAT, to=CodePurpose.FORGET)
    assert await desk.door.forget(session, theirs, desk.outbox.code) is SignInRefusal.CODE_OVER
    challenge = await desk.challenge(to=CodePurpose.FORGET)
    assert await desk.door.forget(session, challenge, desk.outbox.code) is None
    assert await desk.door.session(session.token) is None
    assert session.medium_id not in await everything(desk.pool)
    assert await desk.door.session(bolat.token) is not None


async def test_attack_52_the_tables_hold_neither_number_nor_address_nor_code_nor_token(desk: Desk) -> None:
    session = await desk.enter()
    challenge = await desk.challenge()
    held = await everything(desk.pool)
    assert session.medium_id in held
    guessable = ("+77011234567", "+77011234", "10.0.0.1", desk.outbox.code)
    for secret in (*guessable, *(hashlib.sha256(one.encode()).hexdigest() for one in guessable)):
        assert secret not in held
    assert session.token not in held
    assert challenge not in held
