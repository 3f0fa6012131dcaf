"""Reports of people at stops, in PostgreSQL: they wait for days until somebody has looked, and must survive a restart.

Bounded: so many may be open for one stop and for the city; a closed one is deleted ``KEPT_DAYS`` later.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Final

import asyncpg
import msgspec

from stop_display.model import StopBoard
from stop_display.stop_page.report import ProblemReport, Shown

OPEN_PER_STOP_MAX: Final = 20  # the twenty-first says nothing new
OPEN_MAX: Final = 5_000
KEPT_DAYS: Final = 90
WRITE_MAX_S: Final = 5.0
READ_MAX_S: Final = 20.0

_encoder: Final = msgspec.json.Encoder()

# One lock for all who insert, or two at once would both see room for one.
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtext('problem_report'))"
_COLUMNS: Final = """
    number, (extract(epoch FROM reported_at) * 1000)::bigint AS reported_ms, time_zone, stop_id, trouble, language,
    route, text, shown, held, (extract(epoch FROM closed_at) * 1000)::bigint AS closed_ms, note
"""


class TooManyError(Exception):
    """As many reports are open as are held; the message says of what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptReport:
    """A report as it is kept. ``shown`` and ``held`` are JSON; ``closed_ms`` is None while it is open."""

    number: int
    reported_ms: int
    time_zone: str
    stop_id: str
    trouble: str
    language: str
    route: str
    text: str
    shown: str
    held: str
    closed_ms: int | None
    note: str

    @property
    def page(self) -> Shown | None:
        """What the page showed, None where it did not say."""
        return msgspec.json.decode(self.shown, type=Shown) if self.shown else None

    @property
    def board(self) -> StopBoard:
        """The board as the server had it when the report came."""
        return msgspec.json.decode(self.held, type=StopBoard)


class ReportStore:
    """Reports of one city; ``time_zone`` is kept with each, for whoever reads it."""

    def __init__(self, pool: asyncpg.Pool, time_zone: str = "UTC") -> None:
        self._pool = pool
        self._time_zone = time_zone

    async def add(self, stop_id: str, report: ProblemReport, held: StopBoard, now_ms: int) -> tuple[int, bool]:
        """Keep a report; return its number, and whether it is new: one with a key that is known is not.

        Raises:
            TooManyError: if too many are open.
            OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if it is not kept.
        """
        async with self._pool.acquire(timeout=WRITE_MAX_S) as connection, connection.transaction():
            await connection.execute(_LOCK, timeout=WRITE_MAX_S)
            known = await connection.fetchval("SELECT number FROM problem_report WHERE key = $1", report.key)
            if known is not None:
                return int(known), False
            await self._make_room(connection, stop_id, now_ms)
            number = await connection.fetchval(
                "INSERT INTO problem_report "
                "(key, reported_at, time_zone, stop_id, trouble, language, route, text, shown, held) "
                "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING number",
                report.key,
                _moment(now_ms),
                self._time_zone,
                stop_id,
                report.trouble.value,
                report.language,
                report.route,
                report.text,
                _encoder.encode(report.shown).decode() if report.shown is not None else "",
                _encoder.encode(held).decode(),
            )
        return int(number), True

    async def _make_room(self, connection: asyncpg.Connection, stop_id: str, now_ms: int) -> None:
        await connection.execute(
            "DELETE FROM problem_report WHERE closed_at < $1", _moment(now_ms) - dt.timedelta(KEPT_DAYS)
        )
        here, all_open = await connection.fetchrow(
            "SELECT count(*) FILTER (WHERE stop_id = $1), count(*) FROM problem_report WHERE closed_at IS NULL", stop_id
        )
        if here >= OPEN_PER_STOP_MAX:
            raise TooManyError(f"{here} reports of this stop are open: they will be looked at")
        if all_open >= OPEN_MAX:
            raise TooManyError(f"{all_open} reports are open: they will be looked at")

    async def open_count(self) -> int:
        """Return how many reports are open.

        Raises:
            OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
        """
        counted = await self._pool.fetchval(
            "SELECT count(*) FROM problem_report WHERE closed_at IS NULL", timeout=READ_MAX_S
        )
        return int(counted)

    async def listed(self, *, stop_id: str = "", closed_too: bool = False, limit: int = 100) -> list[KeptReport]:
        """Return the newest reports, newest first; those of one stop if it is named.

        Raises:
            OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
        """
        rows = await self._pool.fetch(
            f"SELECT {_COLUMNS} FROM problem_report WHERE ($1 = '' OR stop_id = $1) AND ($2 OR closed_at IS NULL) "  # noqa: S608
            "ORDER BY number DESC LIMIT $3",
            stop_id,
            closed_too,
            limit,
            timeout=READ_MAX_S,
        )
        return [KeptReport(**row) for row in rows]

    async def report(self, number: int) -> KeptReport | None:
        """Return one report, None if there is none of that number.

        Raises:
            OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
        """
        row = await self._pool.fetchrow(
            f"SELECT {_COLUMNS} FROM problem_report WHERE number = $1",  # noqa: S608
            number,
            timeout=READ_MAX_S,
        )
        return KeptReport(**row) if row is not None else None

    async def close(self, numbers: list[int], note: str, now_ms: int) -> list[int]:
        """Close the open ones among ``numbers``; return which they were. A closed one keeps its note.

        Raises:
            OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
        """
        rows = await self._pool.fetch(
            "UPDATE problem_report SET closed_at = $2, note = $3 "
            "WHERE number = ANY($1::bigint[]) AND closed_at IS NULL RETURNING number",
            numbers,
            _moment(now_ms),
            note,
            timeout=READ_MAX_S,
        )
        return sorted(int(row["number"]) for row in rows)


def _moment(ms: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(ms / 1000, tz=dt.UTC)
