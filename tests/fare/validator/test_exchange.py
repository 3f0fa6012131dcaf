"""What a validator and the server exchange in the background, when one of them is not as the other left it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import asyncpg
import pytest

from commons.clock import SystemClock, wall_ms
from fare.model import MediumKind
from fare.phone.own_qr import listed, own_code
from fare.store.publishing import Publisher
from fare.validator.deny_list import DENY, PHONES, build_list, build_list_of_values, diff
from fare.validator.documents import DocumentKind, Shelving, publish
from fare.validator.drawer import CARDS, EmulatedReader
from fare.validator.exchange import PAUSE_FIRST_S, PAUSE_MAX_S, Exchange, Pauses
from fare.validator.home import Home
from fare.validator.journal import START
from fare.validator.link import Link, LinkError
from fare.validator.program import Validator
from fare.validator.rules import Configuration, KindRules, Reason
from fare.validator.run import enrol_device
from fare.validator.screen import Shown
from fare.validator.signing import SigningKey
from tests.fare.phone.phones import key, private
from tests.fare.validator.city import City, city_of
from tests.patience import PATIENCE_S

IDS = {card.name: card.medium_id for card in CARDS}


@dataclass
class Bus:
    city: City
    validator: Validator
    exchange: Exchange
    shown: list[Shown]

    async def hold(self, *names: str) -> Shown:
        reader = EmulatedReader(self.validator.device_ms)
        for name in names:
            reader.hold([name])
            await self.validator.present(await anext(aiter(reader)), "front")
        return self.shown[-1]


@asynccontextmanager
async def bus_of(city: City, folder: Path) -> AsyncIterator[Bus]:
    identity = await enrol_device(folder, city.url, await city.code())
    shown: list[Shown] = []
    validator = Validator(Home(folder), identity, clock=SystemClock(), show=shown.append)
    await validator.open_journal()
    async with aiohttp.ClientSession() as session:
        bus = Bus(city, validator, Exchange(validator, Link(session, city.url)), shown)
        await bus.exchange.ask()
        yield bus


def kept_aside(folder: Path) -> list[Path]:
    return list(folder.glob("journal-before-*/*.taps"))


async def upload_all(bus: Bus) -> None:
    while await bus.exchange.upload():
        pass


async def test_a_server_restored_from_a_backup_is_sent_again_what_it_lost(
    postgres: asyncpg.Pool, tmp_path: Path
) -> None:
    async with city_of(postgres) as city, bus_of(city, tmp_path) as bus:
        await bus.hold("adult", "pupil")
        await upload_all(bus)
        await postgres.execute("ALTER TABLE validator_release DISABLE TRIGGER USER")
        await postgres.execute("TRUNCATE validator_record, validator_release")
        await postgres.execute("UPDATE validator SET sequence = 0, handed = 0, hash = $1", START)
        await bus.hold("pensioner")
        await upload_all(bus)
        assert bus.validator.status().waiting == 0
        assert [tap.medium_id for tap in city.taps[-3:]] == [IDS["adult"], IDS["pupil"], IDS["pensioner"]]
        assert len({tap.key for tap in city.taps}) == 3, "sent again under the same keys"


async def test_a_forked_device_stops_and_says_so(postgres: asyncpg.Pool, tmp_path: Path) -> None:
    async with city_of(postgres) as city, bus_of(city, tmp_path) as bus:
        await bus.hold("adult")
        await upload_all(bus)
        await postgres.execute("UPDATE validator SET hash = $1", b"x" * 32)  # as if a clone had been here
        await bus.hold("pupil")
        assert not await bus.exchange.upload()
        assert bus.validator.status().state == "stopped"
        assert bus.validator.status().waiting == 1, "nothing is deleted that was not acknowledged"


async def test_after_a_fork_a_new_code_begins_where_the_server_is_and_keeps_the_other_history(
    postgres: asyncpg.Pool, tmp_path: Path
) -> None:
    async with city_of(postgres) as city:
        async with bus_of(city, tmp_path) as bus:
            await bus.hold("adult")
            await upload_all(bus)
            await postgres.execute("UPDATE validator SET hash = $1", b"x" * 32)
            await bus.hold("pupil")
            assert not await bus.exchange.upload()
        async with bus_of(city, tmp_path) as again:  # enrols with a new code
            assert not again.validator.stopped
            await again.hold("pensioner")
            await upload_all(again)
            assert again.validator.status().waiting == 0
        assert [tap.medium_id for tap in city.taps] == [IDS["adult"], IDS["pensioner"]]
        assert kept_aside(tmp_path), "the pupil's tap is there for who looks"


async def test_a_new_code_on_the_same_history_goes_on_with_what_was_not_sent(
    postgres: asyncpg.Pool, tmp_path: Path
) -> None:
    async with city_of(postgres) as city:
        async with bus_of(city, tmp_path) as bus:
            await bus.hold("adult")
            await upload_all(bus)
            await bus.hold("pupil")
        await city.store.revoke(bus.validator.identity.device_id)
        async with bus_of(city, tmp_path) as again:
            await upload_all(again)
        assert [tap.medium_id for tap in city.taps] == [IDS["adult"], IDS["pupil"]]


async def test_a_receipt_of_anybody_else_deletes_nothing(postgres: asyncpg.Pool, tmp_path: Path) -> None:
    async with city_of(postgres) as city, bus_of(city, tmp_path) as bus:
        await bus.hold("adult")
        city.key = SigningKey.generate()  # a server of somebody else at the same address
    async with city.served(), aiohttp.ClientSession() as session:
        with pytest.raises(LinkError, match="receipt by a key that may not sign: unknown_key"):
            await Exchange(bus.validator, Link(session, city.url)).upload()
        assert bus.validator.acknowledged == 0


async def test_a_card_put_on_the_deny_list_is_refused_after_the_next_asking(
    postgres: asyncpg.Pool, tmp_path: Path
) -> None:
    async with city_of(postgres) as city, bus_of(city, tmp_path) as bus:
        before, after = build_list([IDS["denied"]]), build_list([IDS["denied"], IDS["adult"]])
        delta = publish(
            diff(before, 1, after), kind=DocumentKind.LIST_DELTA, name=DENY, city="kzo", version=2, made_ms=wall_ms(),
            until_ms=wall_ms() + 10**9, key=city.key,
        )  # fmt: skip
        await city.store.publish(delta)
        async with asyncio.timeout(PATIENCE_S):  # the server looks now and then, and only asking tells
            while not (outcomes := await bus.exchange.ask()):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        assert outcomes == [Shelving.TAKEN]
        assert not (await bus.hold("adult")).green
        assert bus.validator.status().list_version == 2
        assert await bus.exchange.ask() == [], "nothing newer"


def test_pauses_double_up_to_a_minute_and_differ_by_device() -> None:
    one, other = Pauses("v-1"), Pauses("v-2")
    first = [one.next_s() for _ in range(12)]
    assert first[0] >= 0.75 * PAUSE_FIRST_S
    assert first[-1] == first[-2] <= 1.25 * PAUSE_MAX_S
    assert first == sorted(first)
    assert other.next_s() != first[0]
    one.reset()
    assert one.next_s() == first[0]


async def test_a_phone_that_the_list_does_not_know_is_asked_for_and_known_when_it_is_shown_again(
    postgres: asyncpg.Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fare.validator.exchange.ASK_AGAIN_S", 0.05)  # of the 60 s between two askings
    now_ms = wall_ms()
    phones = build_list_of_values(dict([listed(key("ann", until_ms=2 * now_ms))]))
    async with city_of(postgres) as city:
        publisher = Publisher(city.store, city="kzo", key=city.key)
        await publisher.configuration(Configuration(kinds=(KindRules(kind=MediumKind.PHONE),)), now_ms, from_ms=0)
        async with bus_of(city, tmp_path) as bus, asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
            running = tasks.create_task(bus.exchange.run())
            while not bus.validator.online:  # noqa: ASYNC110 - the first asking finds no list
                await asyncio.sleep(0.01)
            await publisher.tokens(PHONES, phones, now_ms)
            reasons: list[Reason] = []
            while not reasons or reasons[-1] is Reason.CODE_UNKNOWN:
                code = own_code(private("ann"), city="kzo", now_ms=wall_ms())
                decision = await bus.validator.present_code(code, "front")
                reasons += [decision.reason] if decision is not None else []
                await asyncio.sleep(0.1)
            running.cancel()
    assert reasons[0] is Reason.CODE_UNKNOWN
    assert reasons[-1] is Reason.NO_FARE, "the phone is known; this city has no price for it"
