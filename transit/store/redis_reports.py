"""The stream of position batches: intake appends, tracking reads on from where it was.

One entry holds one batch (``codec.encode_reports``), so that a city's reports cost tens of writes a second, not
thousands. The stream keeps ``KEEP_S`` of them: long enough for tracking to restart from its last checkpoint.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from commons.logs import get_logger
from commons.metrics import Metrics
from transit import codec
from transit.keys import Keys
from transit.model import PositionReport
from transit.store.redis_streams import FIRST_ID, Entry, entries_of, text_of

KEEP_S: Final = 900
WRITE_MAX_S: Final = 5.0  # a write without an answer for so long is tried again on a new connection
PAUSE_FIRST_S: Final = 0.05
PAUSE_MAX_S: Final = 1.0

_FIELD: Final = b"b"
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportsEntry:
    """One entry of the stream and the reports in it."""

    stream_id: str
    reports: Sequence[PositionReport]


class ReportsWriter:
    """Append batches; made for ``GroupCommit``, so one ``append`` runs at a time."""

    def __init__(self, redis: Redis, keys: Keys, metrics: Metrics, *, keep_s: int = KEEP_S) -> None:
        self._redis = redis
        self._key = keys.reports
        self._metrics = metrics
        self._keep_ms = keep_s * 1_000
        self._last_ms = 0
        self._give_up = asyncio.Event()

    async def append(self, reports: Sequence[PositionReport]) -> None:
        """Return when Redis has ``reports``. While Redis is away, try again and again: nothing is acknowledged.

        An attempt whose answer was lost may have been stored; the repeat is harmless, tracking drops it.

        Raises:
            RedisError: after ``give_up``, when the attempt fails.
        """
        data = codec.encode_reports(reports)
        pause_s = PAUSE_FIRST_S
        while True:
            try:
                async with asyncio.timeout(WRITE_MAX_S):
                    await self._append(data)
            except (RedisError, OSError, TimeoutError) as error:
                self._metrics.count("role_errors_total", role="intake", where="append")
                _log.warning("reports wait for Redis", reports=len(reports), error=str(error), again_in_s=pause_s)
                if self._give_up.is_set():
                    raise
                await self._pause(pause_s)
                pause_s = min(pause_s * 2, PAUSE_MAX_S)
            else:
                return

    def give_up(self) -> None:
        """Let a failing ``append`` raise from now on: we are closing, trackers keep what is not acknowledged."""
        self._give_up.set()

    async def _append(self, data: bytes) -> None:
        # Trimmed by Redis' own time, taken from the id it gave last: its clock may differ from ours.
        minimum = f"{self._last_ms - self._keep_ms}-0" if self._last_ms > self._keep_ms else None
        stream_id = await self._redis.xadd(self._key, {_FIELD: data}, minid=minimum, approximate=True)
        self._last_ms = int(text_of(stream_id).partition("-")[0])

    async def _pause(self, pause_s: float) -> None:
        try:
            async with asyncio.timeout(pause_s):
                await self._give_up.wait()
        except TimeoutError:
            return


class ReportsReader:
    """Read on from a stream id."""

    def __init__(self, redis: Redis, keys: Keys, metrics: Metrics) -> None:
        self._redis = redis
        self._key = keys.reports
        self._metrics = metrics

    async def read(self, after: str, *, count: int, block_ms: int | None = None) -> list[ReportsEntry]:
        """Return up to ``count`` entries after ``after``, waiting up to ``block_ms`` for the first; maybe none.

        An entry that cannot be read is counted, logged and returned empty, so that the reader passes it.

        Raises:
            RedisError: if Redis cannot be asked.
        """
        answer = await self._redis.xread({self._key: after}, count=count, block=block_ms)
        return [ReportsEntry(stream_id=entry.stream_id, reports=self._reports(entry)) for entry in entries_of(answer)]

    async def id_before_newest(self, seconds: int) -> str:
        """Return an id ``seconds`` before the newest entry: where to begin when nothing is known."""
        newest = await self._redis.xrevrange(self._key, count=1)
        if not newest:
            return FIRST_ID
        newest_ms = int(Entry.of(newest[0]).stream_id.partition("-")[0])
        return f"{max(newest_ms - seconds * 1_000, 0)}-0"

    def _reports(self, entry: Entry) -> Sequence[PositionReport]:
        try:
            return codec.decode_reports(entry.fields.get(_FIELD, b""))
        except codec.SchemaError as error:
            self._metrics.count("role_errors_total", role="tracking", where="report_entry")
            _log.error("entry of reports passed over", stream_id=entry.stream_id, error=str(error))
            return ()
