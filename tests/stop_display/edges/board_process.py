"""A server of boards as a process of its own: ``python -m tests.stop_display.edges.board_process REDIS_URL WALL_MS``.

It prints its port and serves until it is terminated; then it asks its boards to come back.
"""

import asyncio
import signal
import sys

from redis.asyncio import Redis

from commons.clock import ClockAnchor, SystemClock
from commons.metrics import Metrics
from stop_display.server import Boards, BoardSettings
from tests.dispatch.pages import served
from tests.dispatch.sightings import NOON_MS
from tests.dispatch.small_city import network_of
from tests.stop_display.edges.test_server import KEYS
from transit.store.redis_state import StateReader


async def serve(redis_url: str, started_ms: int) -> None:
    """Serve; it was noon in the city at ``started_ms`` of the wall's clock."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    boards = Boards(
        network_of(),
        state=StateReader(Redis.from_url(redis_url), KEYS),
        clock=SystemClock(ClockAnchor(wall_ms=started_ms, city_ms=NOON_MS)),
        metrics=Metrics(),
        settings=BoardSettings(),
    )
    async with served(boards.routes()) as port:
        sys.stdout.write(f"{port}\n")
        sys.stdout.flush()
        await boards.run(stop)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
