"""How full vehicles are, in a Redis hash: written by whoever counts riders, read by maps and boards."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from redis.asyncio import Redis

from transit.keys import Keys
from transit.tracking.occupancy import Load

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Load)


async def write_loads(redis: Redis, keys: Keys, loads: Sequence[Load], gone: Sequence[str] = ()) -> None:
    """Write loads, and remove those of vehicles that are gone.

    Raises:
        RedisError: if Redis cannot take them.
    """
    async with redis.pipeline(transaction=False) as pipe:
        if gone:
            pipe.hdel(keys.occupancy, *gone)
        if loads:
            pipe.hset(keys.occupancy, mapping={load.vehicle_id: _encoder.encode(load) for load in loads})
        await pipe.execute()


async def read_loads(redis: Redis, keys: Keys) -> list[Load]:
    """Return the loads of all vehicles that have one; what another version wrote is left out.

    Raises:
        RedisError: if Redis cannot be asked.
    """
    answer: Any = redis.hvals(keys.occupancy)
    loads: list[Load] = []
    for data in await answer:
        try:
            loads.append(_decoder.decode(data))
        except msgspec.MsgspecError:
            continue
    return loads
