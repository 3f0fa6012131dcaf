"""Who boarded where, as a Redis stream of bounded length, for whoever counts passengers.

It is a by-product of stored taps: what is lost here is lost to occupancy, never to money.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import msgspec
from redis.asyncio import Redis

from fare.keys import FareKeys
from fare.model import LocatedTap
from fare.outcomes import TapOutcome

KEPT: Final = 10_000  # entries; some hours of a city
BLOCK_MS: Final = 1_000
READ_COUNT: Final = 200
_FIELD: Final = b"b"

_BOARDS: Final = frozenset({TapOutcome.ACCEPTED, TapOutcome.FREE_BY_RULE})


class Boarding(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Riders who boarded a vehicle at a time, as far as a validator saw them. New fields go last, with a default."""

    vehicle_id: str
    at_ms: int
    riders: int
    route_id: str
    trip_id: str
    stop_id: str


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(list[Boarding])


def boardings_of(taps: Sequence[LocatedTap]) -> list[Boarding]:
    """Return who boarded: a tap that began a ride, or one that the operator lets ride for nothing."""
    return [
        Boarding(
            vehicle_id=one.tap.vehicle_id,
            at_ms=one.tap.tapped_ms,
            riders=sum(riders.count for riders in one.tap.riders) or 1,
            route_id=one.ride.route_id if one.ride is not None else one.tap.route_id,
            trip_id=one.ride.trip_id if one.ride is not None else "",
            stop_id=one.ride.stop_id if one.ride is not None else "",
        )
        for one in taps
        if one.tap.outcome in _BOARDS and (one.ride is not None or one.tap.outcome is TapOutcome.FREE_BY_RULE)
    ]


async def publish_boardings(redis: Redis, keys: FareKeys, boardings: Sequence[Boarding]) -> None:
    """Add boardings to the stream.

    Raises:
        RedisError: if Redis cannot take them.
    """
    if boardings:
        fields: Any = {_FIELD: _encoder.encode(boardings)}
        await redis.xadd(keys.boardings, fields, maxlen=KEPT, approximate=True)


async def follow_boardings(redis: Redis, keys: FareKeys, from_id: str = "$") -> AsyncIterator[list[Boarding]]:
    """Yield batches of boardings as they come, after ``from_id`` ("$": from now on), for ever.

    Raises:
        RedisError: if Redis cannot be asked; begin again.
    """
    while True:
        answer: Any = await redis.xread({keys.boardings: from_id}, count=READ_COUNT, block=BLOCK_MS)
        streams = answer.values() if isinstance(answer, dict) else [entries for _, entries in answer or ()]
        for entries in streams:
            for entry in [one for part in entries for one in part] if isinstance(answer, dict) else entries:
                from_id = entry[0].decode() if isinstance(entry[0], bytes) else entry[0]
                yield _decoder.decode(entry[1][_FIELD])
