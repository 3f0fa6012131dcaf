"""Snapshot and change feed on a real Valkey: a reader that follows always ends with what was published."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

import pytest
from redis.asyncio import Redis

from tests.patience import PATIENCE_S
from transit.codec import SchemaError, decode_arrival, decode_update
from transit.keys import Keys
from transit.model import Arrival, ArrivalKey, Detour, DetouredLine, Update, VehiclePosition
from transit.outcomes import DetourState
from transit.store.redis_state import FeedGapError, StateLostError, StateReader, StateSnapshot, StateWriter

KEYS = Keys("test")


def vehicle(vehicle_id: str, fix_ms: int = 1) -> VehiclePosition:
    return VehiclePosition(
        vehicle_id=vehicle_id,
        fix_ms=fix_ms,
        lat=44.8,
        lon=65.4,
        heading_deg=None,
        speed_mps=7.0,
        phase="in_service",
        route_id="12",
        direction_id=1,
        trip_id="12-0605",
        run_key="12-0605|2026-09-21",
        offset_m=120.5,
        next_stop_id="market",
        deviation_s=-30,
    )


def arrival(stop_id: str, key: str, arrival_ms: int = 1) -> Arrival:
    return Arrival(
        key=key,
        stop_id=stop_id,
        vehicle_id="bus-1",
        route_id="12",
        direction_id=1,
        trip_id="12-0605",
        run_key="12-0605|2026-09-21",
        stop_sequence=4,
        arrival_ms=arrival_ms,
        arrival_p10_ms=arrival_ms - 20_000,
        arrival_p90_ms=arrival_ms + 40_000,
        state="live",
        fix_ms=1,
        scheduled_ms=None,
        headsign="Сырдария",
    )


def detour(detour_id: str, state: str = "confirmed", since_ms: int = 1) -> Detour:
    line = DetouredLine(route_id="12", direction_id=1, patterns=[0], left_m=[10.0], back_m=[900.0], missed=[[1]])
    return Detour(
        detour_id=detour_id,
        state=state,
        since_ms=since_ms,
        last_ms=2,
        lines=[line],
        vehicles=["bus-1", "bus-2"],
        under_way=[],
        missed=["market"],
        before_stop_id="school",
        path=[(44.8, 65.4)],
    )


def update(
    as_of_ms: int,
    *,
    vehicles: Sequence[VehiclePosition] = (),
    arrivals: Sequence[Arrival] = (),
    withdrawn: Sequence[tuple[str, str]] = (),
    gone: Sequence[str] = (),
    detours: Sequence[Detour] = (),
) -> Update:
    return Update(
        as_of_ms=as_of_ms,
        vehicles=list(vehicles),
        arrivals=list(arrivals),
        withdrawn=[ArrivalKey(stop_id=stop_id, key=key) for stop_id, key in withdrawn],
        gone=list(gone),
        detours=list(detours),
    )


class Board:
    """A reader's own copy: a snapshot with updates applied."""

    def __init__(self, snapshot: StateSnapshot | None = None) -> None:
        self.vehicles = {each.vehicle_id: each for each in snapshot.vehicles} if snapshot else {}
        self.arrivals = {(each.stop_id, each.key): each for each in snapshot.arrivals} if snapshot else {}
        self.detours = {each.detour_id: each for each in snapshot.detours} if snapshot else {}

    def apply(self, one: Update) -> None:
        for key in one.withdrawn:
            self.arrivals.pop((key.stop_id, key.key), None)
        for vehicle_id in one.gone:
            self.vehicles.pop(vehicle_id, None)
        self.arrivals |= {(each.stop_id, each.key): each for each in one.arrivals}
        self.vehicles |= {each.vehicle_id: each for each in one.vehicles}
        for each in one.detours:
            self.detours.pop(each.detour_id, None)
            if each.state != DetourState.OVER:
                self.detours[each.detour_id] = each

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Board) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]


async def next_of(feed: AsyncIterator[tuple[str, Update]]) -> tuple[str, Update]:
    async with asyncio.timeout(PATIENCE_S):
        return await anext(feed)


async def test_what_is_published_is_read_back_whole(redis: Redis) -> None:
    writer, reader = StateWriter(redis, KEYS), StateReader(redis, KEYS)
    empty = await reader.snapshot()
    assert (empty.stream_id, empty.as_of_ms, list(empty.vehicles), list(empty.arrivals)) == ("0-0", None, [], [])
    first = update(
        5,
        vehicles=[vehicle("bus-1")],
        arrivals=[arrival("market", "a"), arrival("school", "b")],
        detours=[detour("d")],
    )
    await writer.replace(first)
    snapshot = await reader.snapshot()
    assert snapshot.as_of_ms == 5
    assert Board(snapshot) == published(first)
    only_school = await reader.snapshot(["school", "nowhere"])
    assert [each.key for each in only_school.arrivals] == ["b"]


def published(*updates: Update) -> Board:
    board = Board()
    for each in updates:
        board.apply(each)
    return board


@pytest.mark.parametrize("seed", range(5))
async def test_a_reader_that_began_anywhere_ends_with_what_was_published(redis: Redis, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - a scenario, not a secret
    writer, reader = StateWriter(redis, KEYS), StateReader(redis, KEYS)
    truth, began = Board(), []
    await writer.replace(update(0))
    for step in range(1, 40):
        stop_ids = ["market", "school", "depot"]
        one = update(
            step,
            vehicles=[vehicle(f"bus-{dice.randrange(4)}", step)],
            arrivals=[arrival(dice.choice(stop_ids), dice.choice("abc"), step) for _ in range(dice.randrange(4))],
            withdrawn=[(dice.choice(stop_ids), dice.choice("abc")) for _ in range(dice.randrange(3))],
            gone=[f"bus-{dice.randrange(4)}"],
            detours=[detour(dice.choice("de"), dice.choice(list(DetourState)), step) for _ in range(dice.randrange(2))],
        )
        truth.apply(one)
        if dice.random() < 0.2:  # also in the middle of a publish
            snapshot, _ = await asyncio.gather(reader.snapshot(), writer.publish(one))
            began.append(snapshot)
        else:
            await writer.publish(one)
            if dice.random() < 0.2:
                began.append(await reader.snapshot())
    last = await reader.snapshot()
    assert Board(last) == truth
    assert {text.decode() for text in await redis.smembers(KEYS.arrival_stops)} == {stop for stop, _ in truth.arrivals}
    for snapshot in began:
        board, at = Board(snapshot), snapshot.stream_id
        async with aclosing(reader.follow(snapshot.stream_id)) as feed:
            while at != last.stream_id:
                at, one = await next_of(feed)
                board.apply(one)
        assert board == truth


async def test_the_feed_never_tells_what_the_snapshot_does_not_hold_yet(redis: Redis) -> None:
    writer, reader = StateWriter(redis, KEYS), StateReader(redis, KEYS)
    await writer.replace(update(0))

    async def publish() -> None:
        for step in range(1, 60):
            await writer.publish(update(step, arrivals=[arrival("market", "a", step), arrival("school", "b", step)]))

    publishing = asyncio.create_task(publish())
    async with aclosing(reader.follow((await reader.snapshot()).stream_id)) as feed:
        for _ in range(50):
            _, one = await next_of(feed)
            held = await reader.snapshot()
            assert all(each.arrival_ms >= one.as_of_ms for each in held.arrivals)
            assert len(held.arrivals) == 2
    await publishing


async def test_a_large_change_is_seen_whole_or_not_at_all(redis: Redis) -> None:
    writer = StateWriter(redis, KEYS)

    def large(step: int) -> Update:
        return update(step, arrivals=[arrival(f"stop {n}", "a" * 1_000, step) for n in range(500)])

    async def publish() -> None:
        for step in range(2, 12):
            await writer.publish(large(step))

    await writer.replace(large(1))
    publishing = asyncio.create_task(publish())
    while not publishing.done():
        async with redis.pipeline(transaction=True) as pipe:
            for number in (0, 499):
                pipe.hvals(KEYS.arrivals(f"stop {number}"))
            pipe.xrevrange(KEYS.changes, count=1)
            (first,), (last,), ((_, newest),) = await pipe.execute()
        steps = {
            decode_arrival(first).arrival_ms,
            decode_arrival(last).arrival_ms,
            decode_update(newest[b"u"]).as_of_ms,
        }
        assert len(steps) == 1
    await publishing


async def test_a_new_writer_removes_what_nobody_publishes_any_more_and_says_so(redis: Redis) -> None:
    reader = StateReader(redis, KEYS)
    await StateWriter(redis, KEYS).replace(
        update(
            1, vehicles=[vehicle("bus-1"), vehicle("bus-2")], arrivals=[arrival("market", "a"), arrival("school", "b")]
        )
    )
    before = await reader.snapshot()
    whole = update(2, vehicles=[vehicle("bus-2")], arrivals=[arrival("market", "c")])
    await StateWriter(redis, KEYS).replace(whole)
    assert Board(await reader.snapshot()) == published(whole)
    assert await redis.smembers(KEYS.arrival_stops) == {b"market"}
    board = Board(before)
    async with aclosing(reader.follow(before.stream_id)) as feed:
        board.apply((await next_of(feed))[1])
    assert board == published(whole)


async def test_a_new_writer_ends_the_detours_that_it_does_not_know(redis: Redis) -> None:
    reader = StateReader(redis, KEYS)
    await StateWriter(redis, KEYS).replace(update(1, detours=[detour("d"), detour("e")]))
    before = await reader.snapshot()
    await StateWriter(redis, KEYS).replace(update(2, detours=[detour("e", "suspected")]))
    assert [(each.detour_id, each.state) for each in (await reader.snapshot()).detours] == [("e", "suspected")]
    async with aclosing(reader.follow(before.stream_id)) as feed:
        told = (await next_of(feed))[1].detours
    assert {each.detour_id: each.state for each in told} == {"d": "over", "e": "suspected"}


async def test_a_follower_goes_on_after_its_connection_was_cut(redis: Redis, valkey_url: str) -> None:
    writer = StateWriter(redis, KEYS)
    await writer.replace(update(1))
    client = Redis.from_url(valkey_url, client_name="follower")
    try:
        async with aclosing(StateReader(client, KEYS).follow("0-0")) as feed:
            assert (await next_of(feed))[1].as_of_ms == 1
            waiting = asyncio.create_task(next_of(feed))
            await asyncio.sleep(0.05)
            for each in await redis.client_list():
                if each["name"] == "follower":
                    await redis.client_kill_filter(_id=each["id"])
            await writer.publish(update(2))
            assert (await waiting)[1].as_of_ms == 2
    finally:
        await client.aclose()


async def test_a_reader_is_told_when_it_was_away_for_too_long(redis: Redis) -> None:
    writer, reader = StateWriter(redis, KEYS), StateReader(redis, KEYS)
    await writer.replace(update(1))
    snapshot = await reader.snapshot()
    for step in range(2, 6):
        await writer.publish(update(step))
    await redis.xtrim(KEYS.changes, maxlen=2, approximate=False)
    with pytest.raises(FeedGapError, match="no longer kept"):
        await next_of(reader.follow(snapshot.stream_id))
    fresh = await reader.snapshot()
    await writer.publish(update(6))
    async with aclosing(reader.follow(fresh.stream_id)) as feed:
        assert (await next_of(feed))[1].as_of_ms == 6


async def test_a_follower_is_told_when_redis_lost_everything(redis: Redis) -> None:
    writer, reader = StateWriter(redis, KEYS), StateReader(redis, KEYS)
    await writer.replace(update(1))
    await writer.publish(update(2))
    async with aclosing(reader.follow((await reader.snapshot()).stream_id)) as feed:
        waiting = asyncio.create_task(next_of(feed))
        await asyncio.sleep(0.05)
        await redis.flushall()
        await StateWriter(redis, KEYS).replace(update(3))
        with pytest.raises(FeedGapError, match="number 3 expected, found 1"):
            await waiting


async def test_a_writer_notices_that_redis_lost_everything_or_that_another_writes(redis: Redis) -> None:
    writer = StateWriter(redis, KEYS)
    whole = update(1, vehicles=[vehicle("bus-1")])
    await writer.replace(whole)
    await redis.flushall()
    with pytest.raises(StateLostError):
        await writer.publish(update(2))
    await writer.replace(whole)
    await writer.publish(update(3))
    await StateWriter(redis, KEYS).replace(whole)
    with pytest.raises(StateLostError):
        await writer.publish(update(4))


async def test_a_value_of_another_schema_is_an_error_not_a_guess(redis: Redis) -> None:
    await redis.hset(KEYS.vehicles, "bus-1", b"\x63whatever")
    with pytest.raises(SchemaError):
        await StateReader(redis, KEYS).snapshot()
