"""The server's side of validators over real HTTP and PostgreSQL."""

import asyncio

import aiohttp
import asyncpg
import msgspec
import pytest

from commons.clock import wall_ms
from fare.api.devices import STRANGERS_MAX
from fare.api.way_in import LIVE_BYTES, LIVE_RECORDS
from fare.model import DeviceId
from fare.taking import BACKLOG_MS
from fare.validator.asking import Asking, make_asking
from fare.validator.batches import Receipt, Receiving, make_batch, open_receipt
from fare.validator.documents import Shelf, Shelving, holdings, restored, shelve
from fare.validator.enrolment import FAILURES_MAX, Code, Enrolling, make_request, open_answer
from fare.validator.journal_file import JournalFile
from fare.validator.link import Link, LinkError
from fare.validator.release import Shifted
from fare.validator.signing import Purpose, SigningKey
from tests.fare.validator.city import City, city_of
from tests.fare.validator.power import UnsafeDisk
from tests.fare.validator.test_journal import tap
from tests.patience import PATIENCE_S

V1 = DeviceId("v-1")


class Bus:
    """A device without program: its key, its journal, its link."""

    def __init__(self, city: City, session: aiohttp.ClientSession) -> None:
        self.key = SigningKey.generate()
        self.journal = JournalFile(UnsafeDisk(), now_ms=0)
        self.city = city
        self.link = Link(session, city.url)
        self.sent_ms = wall_ms()

    async def enrol(self) -> None:
        code = await self.city.code()
        said = open_answer(await self.link.enrol(make_request(code, self.key)), code)
        assert said is not None
        assert (said.outcome, said.device_id, said.vehicle_id) == (Enrolling.ENROLLED, V1, "bus-7")

    def tap(self, count: int = 1, ago_ms: int = 0) -> None:
        for number in range(count):
            self.journal.append_tap(msgspec.structs.replace(tap(number), tapped_ms=wall_ms() - ago_ms))

    async def send(self, after: int = 0) -> Receipt:
        stretch = self.journal.after(after, 500, 10**6)
        assert stretch is not None
        self.sent_ms += 1
        batch = make_batch(stretch, city="kzo", device_id=V1, sent_ms=self.sent_ms, waiting=0, key=self.key)
        answered = await self.link.send(batch)
        receipt = open_receipt(answered.signed, self.city.key.public, device_id=V1, sent_ms=self.sent_ms)
        assert receipt is not None
        return receipt


async def test_a_receipt_says_what_is_here_where_the_bus_is_and_what_its_passengers_have(
    postgres: asyncpg.Pool,
) -> None:
    async with city_of(postgres) as city, aiohttp.ClientSession() as session:
        bus = Bus(city, session)
        await bus.enrol()
        bus.tap(3)
        city.balances[tap(1).medium_id] = 70_000
        receipt = await bus.send()
        assert (receipt.outcome, receipt.acknowledged, receipt.hash) == (Receiving.TAKEN, 3, bus.journal.head.hash)
        assert (receipt.vehicle_id, receipt.route_id) == ("bus-7", "12")
        assert receipt.accounts == ((tap(1).medium_id, 70_000),)
        assert abs(receipt.server_ms - wall_ms()) < 60_000
        assert [one.sequence for one in city.taps] == [1, 2, 3]
        text = city.metrics.exposition().decode()
        assert 'ayaldama_validator_batches_total{outcome="taken"} 1.0' in text
        assert 'ayaldama_validator_records_total{standing="on_time"} 3.0' in text
        assert 'ayaldama_validator_enrolments_total{outcome="enrolled"} 1.0' in text


async def test_taps_are_acknowledged_while_the_ledger_is_away_and_handed_over_later_in_order(
    postgres: asyncpg.Pool,
) -> None:
    async with city_of(postgres) as city, aiohttp.ClientSession() as session:
        bus = Bus(city, session)
        await bus.enrol()
        city.ledger_fails = True
        bus.tap(2)
        assert (await bus.send()).acknowledged == 2
        assert city.taps == []
        city.ledger_fails = False
        bus.tap(1)
        receipt = await bus.send(2)
        assert receipt.acknowledged == 3
        await until_handed(city)
        assert [one.sequence for one in city.taps] == [1, 2, 3], "the older ones first"
        assert receipt.accounts == (), "what passengers have is not known before"


@pytest.mark.parametrize(("taps", "waited_ms"), [(LIVE_RECORDS + 1, 0), (2, BACKLOG_MS + 60_000)])
async def test_an_outage_is_acknowledged_before_the_ledger_has_it(
    postgres: asyncpg.Pool, taps: int, waited_ms: int
) -> None:
    async with city_of(postgres) as city, aiohttp.ClientSession() as session:
        bus = Bus(city, session)
        await bus.enrol()
        bus.tap(taps, waited_ms)
        city.balances[tap(1).medium_id] = 70_000
        receipt = await bus.send()
        assert (receipt.acknowledged, receipt.accounts) == (taps, ()), "what passengers have is not known before"
        await until_handed(city)
        assert [one.sequence for one in city.taps] == list(range(1, taps + 1))


async def test_a_long_batch_that_is_none_is_refused_as_a_short_one_is(postgres: asyncpg.Pool) -> None:
    async with city_of(postgres) as city, aiohttp.ClientSession() as session:
        bus = Bus(city, session)
        await bus.enrol()
        for size in (10, LIVE_BYTES + 1):
            signed = bus.key.sign(Purpose.BATCH, b"\xc1" * size)
            for envelope, status, said in (
                (signed, 400, Receiving.MALFORMED),
                (msgspec.structs.replace(signed, body=b"\x00" * size), 403, Receiving.WRONG_KEY),
            ):
                body = msgspec.msgpack.encode(envelope)
                async with session.post(f"{city.url}/validators/records", data=body) as response:
                    assert (response.status, await response.text()) == (status, said.value)
        bus.tap(1)
        assert (await bus.send()).acknowledged == 1, "and nobody waits for it"


async def test_a_quarantined_tap_goes_to_the_ledger_once_a_person_has_set_its_time_right(
    postgres: asyncpg.Pool,
) -> None:
    async with city_of(postgres) as city, aiohttp.ClientSession() as session:
        bus = Bus(city, session)
        await bus.enrol()
        for number in range(2):
            bus.journal.append_tap(msgspec.structs.replace(tap(number), tapped_ms=wall_ms() + 3_600_000))
        receipt = await bus.send()
        assert (receipt.acknowledged, receipt.quarantined) == (2, 2)
        await until_handed(city)
        assert city.taps == []
        said_ms = [one.tap.occurred_ms for one in await city.releases.waiting(V1)]
        city.ledger_fails = True
        hour_ago = Shifted(by_ms=-2 * 3_600_000)
        await city.releases.decide(V1, [2], hour_ago, wall_ms(), who="command", why="an hour ahead")
        bus.tap()
        await bus.send(2)
        await until_counted(city, "role_errors_total")
        city.ledger_fails = False
        await until_released(city)
        released = [one for one in city.taps if one.sequence == 2]
        assert [(one.key, one.occurred_ms) for one in released] == [("v-1:2", said_ms[1] - 2 * 3_600_000)]
        assert [one.tap.sequence for one in await city.releases.waiting(V1)] == [1]
        assert "ayaldama_validator_taps_released_total 1.0" in city.metrics.exposition().decode()


async def test_where_too_much_comes_from_that_nobody_signed_nothing_is_read_any_more(postgres: asyncpg.Pool) -> None:
    nobody = msgspec.msgpack.encode(SigningKey.generate().sign(Purpose.BATCH, b"x"))

    async def statuses(address: str, body: bytes, count: int) -> list[int]:
        async with aiohttp.ClientSession(headers={"X-Forwarded-For": address}) as session:
            found = []
            for number in range(count):
                path = ("records", "documents")[number % 2]
                async with session.post(f"{city.url}/validators/{path}", data=body) as response:
                    found.append(response.status)
            return found

    async with city_of(postgres) as city:
        city.behind_proxy = True
        assert await statuses("203.0.113.9", nobody, STRANGERS_MAX // 2) == [403] * (STRANGERS_MAX // 2)
        assert await statuses("203.0.113.9", b"\xc1", STRANGERS_MAX // 2) == [400] * (STRANGERS_MAX // 2)
        assert await statuses("203.0.113.9", nobody, 2) == [429] * 2
        for address, refused in (("198.51.100.7", False), ("203.0.113.9", True)):
            async with aiohttp.ClientSession(headers={"X-Forwarded-For": address}) as session:
                bus = Bus(city, session)
                await bus.enrol()
                bus.tap()
                if refused:
                    with pytest.raises(LinkError, match="status 429: too many"):
                        await bus.send()
                else:
                    assert (await bus.send()).outcome is Receiving.TAKEN
        assert 'validator_batches_total{outcome="too_many"} 3.0' in city.metrics.exposition().decode()


async def test_behind_a_proxy_each_device_answers_for_itself(postgres: asyncpg.Pool) -> None:
    async def guess(number: int, of: str) -> Enrolling:
        wrong = Code.make(number.to_bytes(10, "big"), city.key.public)
        headers = {"X-Forwarded-For": of}
        async with aiohttp.ClientSession(headers=headers) as session:
            said = open_answer(await Link(session, city.url).enrol(make_request(wrong, SigningKey.generate())), wrong)
        assert said is not None
        return said.outcome

    async with city_of(postgres) as city:
        city.behind_proxy = True
        attacker, bus_address = "10.0.0.9, 203.0.113.9", "198.51.100.7"
        said = [await guess(number, attacker) for number in range(FAILURES_MAX + 1)]
        assert said[-1] is Enrolling.TOO_MANY
        async with aiohttp.ClientSession(headers={"X-Forwarded-For": bus_address}) as session:
            bus = Bus(city, session)
            await bus.enrol()
            bus.tap()
            await bus.send()
            assert await postgres.fetchval("SELECT address FROM validator") == bus_address


async def until_released(city: City) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while await city.releases.behind():  # noqa: ASYNC110 - the server does it
            await asyncio.sleep(0.02)


async def until_counted(city: City, name: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while f'ayaldama_{name}{{role="fare",where="hand_over"}}' not in city.metrics.exposition().decode():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def until_handed(city: City) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while await city.store.behind():  # noqa: ASYNC110 - the server does it
            await asyncio.sleep(0.02)


async def test_documents_go_to_devices_of_the_city_alone(postgres: asyncpg.Pool) -> None:
    async with city_of(postgres) as city, aiohttp.ClientSession() as session:
        bus = Bus(city, session)
        asking = Asking(device_id=V1, sent_ms=0, held=())
        with pytest.raises(LinkError, match="status 403: wrong_key"):
            await bus.link.ask(make_asking(asking, bus.key))
        await bus.enrol()
        shelf = Shelf(city="kzo", root=city.key.public)
        for signed in await bus.link.ask(make_asking(asking, bus.key)):
            outcome, shelf = shelve(shelf, signed, wall_ms())
            assert outcome is Shelving.TAKEN
        assert holdings(shelf, wall_ms()) is not None
        again = Asking(device_id=V1, sent_ms=0, held=shelf.versions())
        assert await bus.link.ask(make_asking(again, bus.key)) == ()
        assert restored(Shelf(city="kzo", root=bus.key.public), (), {}).versions() == ()


async def test_a_bus_in_which_nobody_taps_is_heard_when_it_asks(postgres: asyncpg.Pool) -> None:
    """Otherwise an inspector could warn nobody in a bus where nobody pays."""

    async def heard() -> tuple[int, int]:
        row = await postgres.fetchrow("SELECT heard_ms, waiting FROM validator")
        assert row is not None
        return row["heard_ms"], row["waiting"]

    async with city_of(postgres) as city, aiohttp.ClientSession() as session:
        bus = Bus(city, session)
        await bus.enrol()
        bus.tap(2)
        await bus.send()
        sent_ms, _ = await heard()

        async def ask(recorded: int, after_ms: int) -> None:
            asking = Asking(device_id=V1, sent_ms=sent_ms + after_ms, recorded=recorded, held=())
            await bus.link.ask(make_asking(asking, bus.key))

        await postgres.execute("UPDATE validator SET heard_ms = heard_ms - 600000")
        sent_ms -= 600_000
        await ask(recorded=2, after_ms=60_000)
        assert await heard() == (sent_ms + 60_000, 0)
        await ask(recorded=2, after_ms=30_000)
        assert await heard() == (sent_ms + 60_000, 0), "an old question, sent again, says nothing new"
        await ask(recorded=1, after_ms=90_000)
        assert await heard() == (sent_ms + 60_000, 0), "a journal that has less than we have is another one"
        await ask(recorded=3, after_ms=90_000)
        assert await heard() == (sent_ms + 90_000, 1), "a tap is under way"
        await ask(recorded=3, after_ms=10 * 86_400_000)
        assert (await heard())[0] < sent_ms + 601_000, "a clock that is ahead does not speak for times to come"


async def test_a_revoked_device_is_served_nothing_from_that_moment(postgres: asyncpg.Pool) -> None:
    async with city_of(postgres) as city, aiohttp.ClientSession() as session:
        bus = Bus(city, session)
        await bus.enrol()
        bus.tap()
        await city.store.revoke(V1)
        with pytest.raises(LinkError, match="status 403: revoked"):
            await bus.send()
        with pytest.raises(LinkError, match="status 403: revoked"):
            await bus.link.ask(make_asking(Asking(device_id=V1, sent_ms=0, held=()), bus.key))
        assert city.taps == []


async def test_a_device_whose_key_was_known_is_revoked_at_once_too(postgres: asyncpg.Pool) -> None:
    async with city_of(postgres) as city, aiohttp.ClientSession() as session:
        bus = Bus(city, session)
        await bus.enrol()
        bus.tap()
        assert (await bus.send()).outcome is Receiving.TAKEN
        await city.store.revoke(V1)
        bus.tap()
        for _ in range(2):
            with pytest.raises(LinkError, match="status 403: revoked"):
                await bus.send(1)
        await bus.enrol()
        assert (await bus.send(1)).acknowledged == 2, "a new code enrols it again, with the same key too"
        assert len(city.taps) == 2


async def test_a_known_key_that_another_device_has_now_is_looked_up_again(postgres: asyncpg.Pool) -> None:
    async with city_of(postgres) as city, aiohttp.ClientSession() as session:
        bus = Bus(city, session)
        await bus.enrol()
        bus.tap()
        assert (await bus.send()).outcome is Receiving.TAKEN
        code = await city.code("v-2", "bus-8")
        said = open_answer(await bus.link.enrol(make_request(code, bus.key)), code)
        assert said is not None
        assert (said.outcome, said.device_id) == (Enrolling.ENROLLED, "v-2")
        journal = JournalFile(UnsafeDisk(), now_ms=0)
        journal.append_tap(msgspec.structs.replace(tap(1), device_id=DeviceId("v-2"), tapped_ms=wall_ms()))
        stretch = journal.after(0, 500, 10**6)
        assert stretch is not None
        batch = make_batch(stretch, city="kzo", device_id=DeviceId("v-2"), sent_ms=1, waiting=0, key=bus.key)
        with pytest.raises(LinkError, match="status 503: later"):
            await bus.link.send(batch)
        answered = await bus.link.send(batch)
        receipt = open_receipt(answered.signed, city.key.public, device_id=DeviceId("v-2"), sent_ms=1)
        assert receipt is not None
        assert (receipt.outcome, receipt.vehicle_id) == (Receiving.TAKEN, "bus-8")


async def test_live_taps_are_handed_over_once_and_how_far_is_written_down_soon(postgres: asyncpg.Pool) -> None:
    async with city_of(postgres) as city, aiohttp.ClientSession() as session:
        bus = Bus(city, session)
        await bus.enrol()
        for sent in range(5):
            bus.tap()
            assert (await bus.send(sent)).accounts == ()
        assert [one.sequence for one in city.taps] == [1, 2, 3, 4, 5]
        await until_handed(city)
        assert [one.sequence for one in city.taps] == [1, 2, 3, 4, 5]


async def test_guessing_codes_ends_after_ten_for_a_minute(postgres: asyncpg.Pool) -> None:
    async with city_of(postgres) as city, aiohttp.ClientSession() as session:
        link, key = Link(session, city.url), SigningKey.generate()
        outcomes = []
        for number in range(FAILURES_MAX + 2):
            wrong = Code.make(number.to_bytes(10, "big"), city.key.public)
            said = open_answer(await link.enrol(make_request(wrong, key)), wrong)
            assert said is not None
            outcomes.append(said.outcome)
        assert outcomes == [Enrolling.UNKNOWN_CODE] * FAILURES_MAX + [Enrolling.TOO_MANY] * 2


@pytest.mark.parametrize("path", ["enrol", "records", "documents"])
@pytest.mark.parametrize(
    ("body", "status"), [(b"", 400), (b"\xc1", 400), (b"\x91" * 10_000, 400), (b"x" * 300_000, 413)]
)
async def test_nonsense_is_refused_before_anything_is_looked_up(
    postgres: asyncpg.Pool, path: str, body: bytes, status: int
) -> None:
    async with (
        city_of(postgres) as city,
        aiohttp.ClientSession() as session,
        session.post(f"{city.url}/validators/{path}", data=body) as response,
    ):
        assert response.status == status


async def test_without_a_database_the_device_is_told_to_come_again(postgres: asyncpg.Pool) -> None:
    async with city_of(postgres) as city, aiohttp.ClientSession() as session:
        bus = Bus(city, session)
        await bus.enrol()
        bus.tap()
        await postgres.execute("ALTER TABLE validator RENAME TO gone")
        with pytest.raises(LinkError, match="status 503: later"):
            await bus.send()
        await postgres.execute("ALTER TABLE gone RENAME TO validator")
        assert (await bus.send()).outcome is Receiving.TAKEN
