"""Two servers of boards behind one Redis: either shows what the other does, and takes over its boards."""

from redis.asyncio import Redis

from stop_display.model import Hello, Line, Snapshot
from tests.dispatch.sightings import NOON_MS, arrival, position, update
from tests.dispatch.small_city import ALAN
from tests.stop_display.edges.test_server import ended, hear, hear_change, listening, live_of, running, writer
from transit.store.redis_state import StateWriter

__all__ = ["writer"]  # a fixture


def shown(line: Line) -> list[tuple[str, int, str]]:
    return [(row.key, row.arrival_ms, row.state) for row in line.arrivals]


async def test_boards_of_either_server_show_the_same_and_are_taken_over_by_the_other(
    redis: Redis, writer: StateWriter
) -> None:
    async with running(redis) as one, running(redis) as other:
        async with one.opened(ALAN.id) as here, other.opened(ALAN.id) as there:
            await listening(here)
            await listening(there)
            for number, in_s in enumerate((700, 500, 640), start=1):
                await writer.publish(update(position("101", fix_ms=NOON_MS + number), arrival(ALAN.id, in_s=in_s)))
                changes = [await hear_change(socket, NOON_MS + in_s * 1_000) for socket in (here, there)]
                assert shown(changes[0].lines[0]) == shown(changes[1].lines[0])
                assert changes[0].fix_ms == changes[1].fix_ms == NOON_MS + number
            one.stop.set()
            assert await ended(here) == 1012, "come back"
            await writer.publish(update(position("101", fix_ms=NOON_MS + 9), arrival(ALAN.id, in_s=320)))
            await hear_change(there, NOON_MS + 320_000)
        resume = {"session": "of-the-other-server", "sequence": changes[0].sequence}
        async with other.opened(ALAN.id, resume=resume) as again:
            hello = await hear(again)
            assert isinstance(hello, Hello)
            assert not hello.resumed, "numbers are of the server that gave them: snapshots follow"
            snapshot = await hear(again)
            assert isinstance(snapshot, Snapshot)
            assert live_of(snapshot.board) == [NOON_MS + 320_000]
