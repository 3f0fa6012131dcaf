"""Who waits for whom: buses in service for nobody, outages for each other, nobody for what is not signed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec
import pytest
from aiohttp import web

from commons.clock import SystemClock, wall_ms
from fare.api.way_in import LIVE_BYTES, LIVE_RECORDS, Opened, WayIn
from fare.model import DeviceId
from fare.precedence import Precedence
from fare.taking import BACKLOG_MS
from fare.validator.batches import DeviceKey, Receiving, make_batch
from fare.validator.journal_file import JournalFile
from fare.validator.signing import Purpose, Signed, SigningKey
from tests.fare.validator.power import UnsafeDisk
from tests.fare.validator.test_journal import tap

V1 = DeviceId("v-1")
KEY = SigningKey.from_bytes(b"1" * 32)
STRANGER = SigningKey.from_bytes(b"2" * 32)


@dataclass
class Keys:
    """What the store knows, and what it was asked."""

    of: dict[str, tuple[DeviceId, DeviceKey]] = field(
        default_factory=lambda: {KEY.key_id: (V1, DeviceKey(public=KEY.public))}
    )
    asked: list[str] = field(default_factory=list)
    answers: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.answers.set()

    async def __call__(self, key_id: str) -> tuple[DeviceId, DeviceKey] | None:
        self.asked.append(key_id)
        await self.answers.wait()
        return self.of.get(key_id)


def way_in(keys: Keys | None = None) -> WayIn:
    return WayIn(keys or Keys(), precedence=Precedence(), clock=SystemClock())


def sent(taps: int, ago_ms: int = 0) -> Signed:
    journal = JournalFile(UnsafeDisk(), now_ms=0)
    for number in range(taps):
        journal.append_tap(msgspec.structs.replace(tap(number), tapped_ms=wall_ms() - ago_ms))
    stretch = journal.after(0, 500, 10**6)
    assert stretch is not None
    return make_batch(stretch, city="kzo", device_id=V1, sent_ms=1, waiting=0, key=KEY)


def body(signed: Signed) -> bytearray:
    return bytearray(msgspec.msgpack.encode(signed))


async def turns(way: WayIn, signed: Signed) -> Opened | Receiving | None:
    """Return what ``turn`` gives; None: the batch has to wait."""
    try:
        async with asyncio.timeout(0.1), way.turn(body(signed)) as opened:
            return opened
    except TimeoutError:
        return None


@asynccontextmanager
async def busy() -> AsyncIterator[tuple[WayIn, Keys]]:
    """Give a way in at which an outage has its turn."""
    way = way_in(keys := Keys())
    async with way.turn(body(sent(500, BACKLOG_MS + 60_000))):
        yield way, keys


OUTAGES = ((500, 0), (LIVE_RECORDS + 1, 0), (1, BACKLOG_MS + 60_000))


async def test_outages_wait_for_each_other_however_short_and_hold_up_no_bus_in_service() -> None:
    longest, long, _ = (len(sent(*outage).body) for outage in OUTAGES)
    assert longest > LIVE_BYTES > long
    for outage in OUTAGES:
        way = way_in()
        async with way.turn(body(sent(*outage))) as opened:
            assert isinstance(opened, Opened)
            assert not opened.live
            assert len(opened.reading.records) == len(opened.batch.payloads), "all of it is read"
            assert way.is_busy
            for other in OUTAGES:
                assert await turns(way, sent(*other)) is None
            at_a_door = await turns(way, sent(1))
            assert isinstance(at_a_door, Opened)
            assert at_a_door.live
        assert not way.is_busy


async def test_a_bus_in_service_goes_in_while_the_key_of_an_outage_is_looked_up() -> None:
    way = way_in(keys := Keys())
    assert isinstance(await turns(way, sent(1)), Opened), "its key is known now"
    keys.answers.clear()
    outage = asyncio.create_task(turns(way, STRANGER.sign(Purpose.BATCH, b"x" * (LIVE_BYTES + 1))))
    while len(keys.asked) < 2:  # noqa: ASYNC110 - a few turns of the loop
        await asyncio.sleep(0)
    assert way.is_busy
    assert isinstance(await turns(way, sent(1)), Opened)
    assert await outage is None
    assert not way.is_busy, "who gave up leaves it to the next"


@pytest.mark.parametrize("size", [10, LIVE_BYTES + 1])
async def test_what_no_device_has_signed_is_refused_though_an_outage_has_its_turn(size: int) -> None:
    async with busy() as (way, keys):
        unknown = STRANGER.sign(Purpose.BATCH, b"x" * size)
        forged = msgspec.structs.replace(unknown, key_id=KEY.key_id)
        for other in (unknown, forged, KEY.sign(Purpose.ASKING, b"x" * size)):
            assert await turns(way, other) is Receiving.WRONG_KEY
        keys.of[unknown.key_id] = (V1, DeviceKey(public=STRANGER.public, revoked=True))
        assert await turns(way, unknown) is Receiving.REVOKED
        with pytest.raises(web.HTTPBadRequest):
            async with way.turn(bytearray(b"\xc1" * size)):
                pass


@pytest.mark.parametrize("size", [10, LIVE_BYTES + 1])
async def test_what_a_device_has_signed_and_is_no_batch_is_refused(size: int) -> None:
    assert await turns(way_in(), KEY.sign(Purpose.BATCH, b"\xc1" * size)) is Receiving.MALFORMED


async def test_a_key_is_looked_up_once_until_it_is_forgotten_and_each_time_if_it_is_none() -> None:
    way = way_in(keys := Keys())
    for signed in (sent(1), sent(500), sent(1)):
        assert isinstance(await turns(way, signed), Opened)
    assert keys.asked == [KEY.key_id]
    way.forget(KEY.key_id)
    keys.of[KEY.key_id] = (V1, DeviceKey(public=KEY.public, revoked=True))
    for _ in range(2):
        assert await turns(way, sent(1)) is Receiving.REVOKED
    del keys.of[KEY.key_id]
    assert await turns(way, sent(1)) is Receiving.WRONG_KEY
    assert keys.asked == [KEY.key_id] * 4
