"""The vehicle's GPS over TCP (gpsd's raw feed, a modem, a tracker): its sentences, for the time in them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from commons.logs import get_logger
from fare.validator.gps_time import gps_time_ms

PAUSE_S: Final = 10.0
SILENCE_MAX_S: Final = 60.0
SENTENCE_MAX_BYTES: Final = 1_024

_log = get_logger(__name__)


async def follow_gps(host: str, port: int, take: Callable[[int], Awaitable[None]]) -> None:
    """Give ``take`` the time of each sentence that has one, for ever; while there is no connection, try again."""
    while True:
        try:
            async with asyncio.timeout(SILENCE_MAX_S):
                reader, writer = await asyncio.open_connection(host, port, limit=SENTENCE_MAX_BYTES)
            try:
                await _read(reader, take)
            finally:
                writer.close()
        except (OSError, TimeoutError, ValueError) as error:
            _log.warning("no GPS", error=repr(error))
        await asyncio.sleep(PAUSE_S)


async def _read(reader: asyncio.StreamReader, take: Callable[[int], Awaitable[None]]) -> None:
    while True:
        async with asyncio.timeout(SILENCE_MAX_S):
            line = await reader.readline()
        if not line:
            return
        gps_ms = gps_time_ms(line.decode("ascii", "replace"))
        if gps_ms is not None:
            await take(gps_ms)
