"""What boards and maps read: a snapshot of vehicles, arrivals and detours in hashes, and a feed of what changed.

``StateWriter`` writes both at once, so nobody sees an entry of the feed before the snapshot contains it.
``StateReader`` takes the feed's last id first and the snapshot then: following the feed from that id repeats some
changes, which is harmless (they are upserts and removals), and misses none. Entries of the feed are numbered; a reader
that finds a number missing, because the feed was trimmed while it was away or Redis lost it, gets ``FeedGapError`` and
takes a new snapshot.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError

from commons.logs import get_logger
from transit import codec
from transit.keys import Keys
from transit.model import Arrival, ArrivalKey, Detour, Update, VehiclePosition
from transit.outcomes import DetourState
from transit.store.redis_streams import FIRST_ID, Entry, entries_of, text_of

KEEP_S: Final = 60  # a reader that was away longer takes a new snapshot
BLOCK_MS: Final = 1_000
READ_COUNT: Final = 50
ANSWER_MAX_S: Final = 5.0
PAUSE_FIRST_S: Final = 0.05
PAUSE_MAX_S: Final = 1.0

ARGUMENTS_MAX: Final = 4_000  # of one command within the script; even, and below Lua's limit of about 8,000

# One script instead of MULTI: a batch changes a thousand hashes, and one answer costs half of what a thousand do.
# KEYS: number, changes, arrival stops, then the hash of each command. ARGV: the number expected or "", the update, the
# oldest id to keep, then of each command its name, stop id, how many arguments, and these.
_WRITE: Final = """
local number = tonumber(redis.call('GET', KEYS[1]) or '0')
if ARGV[1] ~= '' and tonumber(ARGV[1]) ~= number then
  return {number}
end
local at = 4
for i = 4, #KEYS do
  local command, stop, last = ARGV[at], ARGV[at + 1], at + 2 + ARGV[at + 2]
  redis.call(command, KEYS[i], unpack(ARGV, at + 3, last))
  if stop ~= '' and command == 'HSET' then
    redis.call('SADD', KEYS[3], stop)
  elseif stop ~= '' and redis.call('EXISTS', KEYS[i]) == 0 then
    redis.call('SREM', KEYS[3], stop)
  end
  at = last + 1
end
redis.call('SET', KEYS[1], number + 1)
return {number + 1, redis.call('XADD', KEYS[2], 'MINID', '~', ARGV[3], '*', 'u', ARGV[2], 'n', number + 1)}
"""
_UPDATE: Final = b"u"
_NUMBER: Final = b"n"
_log = get_logger(__name__)


class FeedGapError(RuntimeError):
    """Entries of the change feed after ``from_id`` are lost; take a new snapshot."""

    def __init__(self, from_id: str, reason: str) -> None:
        super().__init__(f"change feed: nothing to continue from after {from_id}: {reason}")
        self.from_id = from_id


class StateLostError(RuntimeError):
    """Redis no longer held what was published last: it was emptied, or somebody else writes. ``replace`` it all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateSnapshot:
    """Everything published, at ``stream_id`` of the feed or a little later. ``as_of_ms``: None before the first."""

    stream_id: str
    as_of_ms: int | None
    vehicles: Sequence[VehiclePosition]
    arrivals: Sequence[Arrival]
    detours: Sequence[Detour] = ()


class StateWriter:
    """The one writer of a city's state. Call ``replace`` first, then ``publish``; after an error ``replace`` again."""

    def __init__(self, redis: Redis, keys: Keys, *, keep_s: int = KEEP_S) -> None:
        self._redis = redis
        self._keys = keys
        self._keep_ms = keep_s * 1_000
        self._last_ms = 0
        self._number: int | None = None  # of the last change, None: whatever Redis has
        self._write_script = redis.register_script(_WRITE)

    async def replace(self, whole: Update) -> None:
        """Make ``whole`` all there is: write it, remove what Redis holds beside it, and tell followers of both.

        Raises:
            RedisError: if Redis cannot take it; what it holds is then as before.
        """
        vehicle_ids = {text_of(vehicle_id) for vehicle_id in await _all(self._redis.hkeys(self._keys.vehicles))}
        detour_ids = {text_of(detour_id) for detour_id in await _all(self._redis.hkeys(self._keys.detours))}
        stop_ids = sorted(text_of(stop_id) for stop_id in await _all(self._redis.smembers(self._keys.arrival_stops)))
        async with self._redis.pipeline(transaction=False) as pipe:
            for stop_id in stop_ids:
                pipe.hkeys(self._keys.arrivals(stop_id))
            held = await pipe.execute()
        current = {(arrival.stop_id, arrival.key) for arrival in whole.arrivals}
        stale = [
            ArrivalKey(stop_id=stop_id, key=key)
            for stop_id, found in zip(stop_ids, held, strict=True)
            for key in map(text_of, found)
            if (stop_id, key) not in current
        ]
        over = [_over(name, whole.as_of_ms) for name in detour_ids - {detour.detour_id for detour in whole.detours}]
        gone = vehicle_ids - {vehicle.vehicle_id for vehicle in whole.vehicles}
        self._number = None
        await self.publish(
            Update(
                as_of_ms=whole.as_of_ms,
                vehicles=whole.vehicles,
                arrivals=whole.arrivals,
                withdrawn=[*whole.withdrawn, *stale],
                gone=[*whole.gone, *sorted(gone)],
                detours=[*over, *whole.detours],
            )
        )

    async def publish(self, update: Update) -> None:
        """Write ``update`` to snapshot and feed, all or nothing.

        Raises:
            RedisError: if Redis cannot take it; call ``replace`` before the next ``publish``.
            StateLostError: if what was published before is gone; nothing is written, call ``replace`` now.
        """
        keys: list[str] = [self._keys.changes_number, self._keys.changes, self._keys.arrival_stops]
        minimum = f"{max(self._last_ms - self._keep_ms, 0)}-0"
        arguments: list[str | bytes | int] = [
            "" if self._number is None else self._number,
            codec.encode_update(update),
            minimum,
        ]
        for change in self._changes_of(update):
            for first in range(0, len(change.arguments), ARGUMENTS_MAX):
                part = change.arguments[first : first + ARGUMENTS_MAX]
                keys.append(change.key)
                arguments += (change.command, change.stop_id, len(part), *part)
        number, *stream_id = await self._write_script(keys=keys, args=arguments)
        if not stream_id:
            raise StateLostError(f"change {self._number} was the last we wrote, Redis has {number}")
        self._number = number
        self._last_ms = int(text_of(stream_id[0]).partition("-")[0])

    def _changes_of(self, update: Update) -> Iterator["_HashChange"]:
        """Return removals first, so that what is withdrawn and published anew stays."""
        withdrawn: defaultdict[str, list[str | bytes]] = defaultdict(list)
        for arrival_key in update.withdrawn:
            withdrawn[arrival_key.stop_id].append(arrival_key.key)
        written: defaultdict[str, list[str | bytes]] = defaultdict(list)
        for arrival in update.arrivals:
            written[arrival.stop_id] += (arrival.key, codec.encode_arrival(arrival))
        vehicles: list[str | bytes] = []
        for vehicle in update.vehicles:
            vehicles += (vehicle.vehicle_id, codec.encode_vehicle(vehicle))
        over = [detour.detour_id for detour in update.detours if detour.state == DetourState.OVER]
        detours: list[str | bytes] = []
        for detour in update.detours:
            if detour.state != DetourState.OVER:
                detours += (detour.detour_id, codec.encode_detour(detour))
        yield _HashChange("HDEL", self._keys.detours, "", over)
        yield _HashChange("HSET", self._keys.detours, "", detours)
        yield _HashChange("HDEL", self._keys.vehicles, "", update.gone)
        yield _HashChange("HSET", self._keys.vehicles, "", vehicles)
        for stop_id, fields in withdrawn.items():
            yield _HashChange("HDEL", self._keys.arrivals(stop_id), stop_id, fields)
        for stop_id, pairs in written.items():
            yield _HashChange("HSET", self._keys.arrivals(stop_id), stop_id, pairs)


def _over(detour_id: str, now_ms: int) -> Detour:
    """Return a detour of which nothing is known but that it is over."""
    return Detour(
        detour_id=detour_id,
        state=DetourState.OVER,
        since_ms=0,
        last_ms=now_ms,
        lines=[],
        vehicles=[],
        under_way=[],
        missed=[],
        before_stop_id="",
    )


class _HashChange(NamedTuple):
    """One command on one hash; ``stop_id`` is "" for vehicles and detours."""

    command: Literal["HDEL", "HSET"]
    key: str
    stop_id: str
    arguments: Sequence[str | bytes]


class StateReader:
    """Read what tracking publishes. Values of another schema are an error, not a guess."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    async def snapshot(self, stop_ids: Iterable[str] | None = None) -> StateSnapshot:
        """Return all vehicles and detours, and the arrivals of ``stop_ids``, of all stops if None.

        Raises:
            RedisError: if Redis cannot be asked.
            SchemaError: if another version of the program wrote what is there.
        """
        last = await _last_entry(self._redis, self._keys.changes)  # before the snapshot, so that nothing is lost
        if stop_ids is None:
            members = await _all(self._redis.smembers(self._keys.arrival_stops))
            stop_ids = sorted(text_of(stop_id) for stop_id in members)
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.hvals(self._keys.vehicles)
            pipe.hvals(self._keys.detours)
            for stop_id in stop_ids:
                pipe.hvals(self._keys.arrivals(stop_id))
            vehicles, detours, *by_stop = await pipe.execute()
        return StateSnapshot(
            stream_id=last.stream_id if last else FIRST_ID,
            as_of_ms=codec.decode_update(last.fields[_UPDATE]).as_of_ms if last else None,
            vehicles=[codec.decode_vehicle(data) for data in vehicles],
            arrivals=[codec.decode_arrival(data) for values in by_stop for data in values],
            detours=[codec.decode_detour(data) for data in detours],
        )

    async def follow(self, from_id: str) -> AsyncIterator[tuple[str, Update]]:
        """Yield every entry of the feed after ``from_id``, for ever; while Redis is away, wait and try again.

        Apply ``withdrawn`` and ``gone`` of an update before its ``arrivals`` and ``vehicles``.

        Raises:
            FeedGapError: if entries after ``from_id`` (or after the last one yielded) are lost.
            SchemaError: if another version of the program wrote an entry.
        """
        number: int | None = None
        pause_s = PAUSE_FIRST_S
        while True:
            _end_if_cancelled()
            try:
                async with asyncio.timeout(ANSWER_MAX_S):
                    if number is None:
                        number = await self._number_at(from_id)
                    entries = await self._read_after(from_id)
            except (RedisError, OSError, TimeoutError) as error:
                _log.warning("change feed waits for Redis", error=str(error), again_in_s=pause_s)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, PAUSE_MAX_S)
                continue
            pause_s = PAUSE_FIRST_S
            for entry in entries:
                if _number_of(entry) != number + 1:
                    raise FeedGapError(from_id, f"number {number + 1} expected, found {_number_of(entry)}")
                from_id = entry.stream_id
                number += 1
                yield from_id, codec.decode_update(entry.fields[_UPDATE])

    async def _read_after(self, from_id: str) -> list[Entry]:
        answer = await self._redis.xread({self._keys.changes: from_id}, count=READ_COUNT, block=BLOCK_MS)
        return entries_of(answer)

    async def _number_at(self, from_id: str) -> int:
        if from_id == FIRST_ID:
            return 0
        found = await self._redis.xrange(self._keys.changes, min=from_id, max=from_id)
        if not found:
            raise FeedGapError(from_id, "it is no longer kept")
        return _number_of(Entry.of(found[0]))


def _end_if_cancelled() -> None:
    """End a task that was cancelled while redis-py connected: ``asyncio.wait_for`` of Python 3.11 may swallow that."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _number_of(entry: Entry) -> int:
    return int(entry.fields[_NUMBER])


async def _last_entry(redis: Redis, key: str) -> Entry | None:
    found = await redis.xrevrange(key, count=1)
    return Entry.of(found[0]) if found else None


async def _all(answer: Any) -> Iterable[bytes]:
    found: Iterable[bytes] = await answer
    return found
