"""Days are closed and paid out: statements, settled rides and journals in one transaction.

Closing is done by one process at a time and is the same whoever repeats it: a closed day answers with its statements.
Sales are derived before the ledger is locked, so a day of a city is closed while taps go on coming in; what changes
meanwhile is late for the next day.
"""

import asyncio
import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import asyncpg
import msgspec

from fare.audit_trail import Act
from fare.ledger.billing import Pricing
from fare.model import CarrierId, Journal, MediumKind
from fare.outcomes import Posting
from fare.settlement.closing import (
    Closing,
    Part,
    borne_refunds,
    late_sale,
    payout_journal,
    settlement_journal,
)
from fare.settlement.model import Refund, Sale, Statement
from fare.settlement.refunds import AmnestyWindow, under_amnesty
from fare.settlement.statements import statements
from fare.store.postgres_audit import note
from fare.store.postgres_ledger import read_book, touched_by, write_pages
from fare.store.postgres_sales import DAY_MS, bounds_ms, keep_bills, read_sales, unbilled_media
from fare.store.postgres_settlement import (
    Profiles,
    RideSold,
    StoredStatement,
    last_closed,
    long_late,
    sales_of_days,
    statements_between,
    unsettled_refunds,
    windows_granted,
    write_settled,
    write_statement,
)

LOCK: Final = 0x736574746C65  # "settle"
LATE_DAYS: Final = 45  # what came for days before that is looked for by when it was received


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementRules:
    """What was agreed: commission by payment in basis points, and above which amounts a second person is needed.

    ``alone_tiyn``: what somebody gives back alone within 24 hours. Of debts somebody alone gives up
    ``write_off_alone_tiyn`` at a time, and ``write_off_day_tiyn`` within 24 hours.
    """

    commission_bp: Mapping[MediumKind, int] = field(default_factory=lambda: MappingProxyType({}))
    alone_tiyn: int = 100_000
    write_off_alone_tiyn: int = 50_000
    write_off_day_tiyn: int = 200_000
    acquirer: str = "acquirer"
    bank: str = "main"


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """What became of closing a day. ``differing``: rides that cost otherwise than posted."""

    outcome: Closing
    statements: Sequence[StoredStatement] = ()
    differing: int = 0


class Settlement:
    """Closes days. ``pricing`` and ``profiles`` are those of ``fare.service.open_taps``.

    Every method raises OSError, asyncpg.PostgresError or asyncpg.InterfaceError if the database does not answer.
    """

    def __init__(self, pool: asyncpg.Pool, *, pricing: Pricing, profiles: Profiles, rules: SettlementRules) -> None:
        self._pool = pool
        self._pricing = pricing
        self._profiles = profiles
        self._rules = rules

    async def close(self, day: dt.date, *, who: str, now_ms: int) -> Closed:
        """Close a service day for all carriers, or say why not."""
        refused = await self._refused(self._pool, day, now_ms)
        if refused is not None:
            return refused
        sold, differing = await self._to_settle(day)
        if differing:
            return Closed(outcome=Closing.BOOKS_DIFFER, differing=differing)
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
            refused = await self._refused(connection, day, now_ms)
            if refused is not None:
                return refused
            await self._write(connection, day, sold, who, now_ms)
        return Closed(outcome=Closing.CLOSED, statements=await self.statements(day))

    async def sales(self, day: dt.date, carrier_id: CarrierId | None = None) -> list[Sale]:
        """Return the sales of a service day in order of time, of one carrier or of all, as they were posted.

        Those that were settled or fall under an amnesty say so.
        """
        windows = await windows_granted(self._pool)
        read = await read_sales(self._pool, self._pricing, self._profiles, day, carrier_id)
        return [_with_amnesty(one.sale, one.settled_amnesty, windows) for one in read]

    async def keep_bills(self, now_ms: int, *, media_at_a_time: int, pause_s: float) -> int:
        """Derive the lines of rides of today and yesterday that have none yet; return of how many media.

        After ``media_at_a_time`` it pauses, so that whoever stands at a door is served meanwhile.
        """
        from_ms, _ = bounds_ms(self._pricing, self._pricing.service_day(now_ms) - dt.timedelta(days=1))
        media = await unbilled_media(self._pool, from_ms, now_ms + DAY_MS)
        for first in range(0, len(media), media_at_a_time):
            some = media[first : first + media_at_a_time]
            await keep_bills(self._pool, self._pricing, self._profiles, some, from_ms)
            await asyncio.sleep(pause_s)
        return len(media)

    async def statements(self, day: dt.date, carrier_id: CarrierId | None = None) -> list[StoredStatement]:
        """Return what was settled on a day, of one carrier or of all."""
        return await statements_between(self._pool, day, day, carrier_id)

    async def pay_out(self, day: dt.date, carrier_id: CarrierId, *, who: str, now_ms: int) -> int | None:
        """Book that a carrier's statements of a day are paid; return how much now, None if there are none.

        Done again it is 0: a statement is paid out once.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
            found = await statements_between(self._pool, day, day, carrier_id)
            if not found:
                return None
            due = [one for one in found if not one.paid]
            journals = {one.part: payout_journal(one.statement, one.part, self._rules.bank, now_ms) for one in due}
            await post(connection, [journal for journal in journals.values() if journal is not None])
            for part, journal in journals.items():
                if journal is not None:
                    await connection.execute(
                        "UPDATE settled_statement SET paid_key = $4 "
                        "WHERE carrier_id = $1 AND service_date = $2 AND part = $3",
                        *(carrier_id, day, part.value, journal.key),
                    )
            paid_tiyn = sum(one.statement.payable_tiyn for one in due if journals[one.part] is not None)
            if any(journals.values()):
                await note(connection, now_ms, who, Act.PAID_OUT, f"{carrier_id}/{day}", str(paid_tiyn))
        return paid_tiyn

    async def _refused(self, connection: asyncpg.Connection | asyncpg.Pool, day: dt.date, now_ms: int) -> Closed | None:
        last = await last_closed(connection)
        if last is not None and day <= last:
            closed = await connection.fetchval("SELECT EXISTS (SELECT FROM settled_day WHERE service_date = $1)", day)
            if not closed:
                return Closed(outcome=Closing.OUT_OF_ORDER)
            return Closed(outcome=Closing.REPEATED, statements=await self.statements(day))
        if self._pricing.service_day(now_ms) <= day:
            return Closed(outcome=Closing.NOT_OVER)
        return None

    async def _to_settle(self, day: dt.date) -> tuple[list[RideSold], int]:
        """Return the rides up to a day that are not settled as they are posted, and how many differ from the books."""
        sold: list[RideSold] = []
        differing = 0
        first = day - dt.timedelta(days=LATE_DAYS)
        books = (self._pool, self._pricing, self._profiles)
        media, oldest = await long_late(self._pool, self._pricing, first, LATE_DAYS)
        for reading in (
            sales_of_days(*books, first, day, to_settle=True),
            sales_of_days(*books, oldest, first - dt.timedelta(days=1), of_media=media),
        ):
            async for read in reading:
                sold += [one for one in read.sold if one.version != one.settled_version]
                differing += read.differing
        return sold, differing

    async def _write(
        self, connection: asyncpg.Connection, day: dt.date, sold: Sequence[RideSold], who: str, now_ms: int
    ) -> None:
        await connection.execute(
            "INSERT INTO settled_day (service_date, closed_ms, closed_by) VALUES ($1, $2, $3)", day, now_ms, who
        )
        windows = await windows_granted(connection)
        now = [
            RideSold(
                sale=_marked(one, windows),
                version=one.version,
                settled_version=one.settled_version,
                settled=one.settled,
            )
            for one in sold
        ]
        await write_settled(connection, now, day)
        refunds, forgiven = await unsettled_refunds(connection)
        await connection.execute(
            "UPDATE refund SET settled_on = $1 WHERE key = ANY($2::text[])", day, [refund.key for refund in refunds]
        )
        own = [one.sale for one in now if one.sale.service_date == day and one.settled is None]
        late = [
            late_sale(one.sale, one.settled, day)
            for one in now
            if one.sale.service_date != day or one.settled is not None
        ]
        made = [
            *self._made(Part.DAY, own, borne_refunds(refunds, forgiven, day), now_ms),
            *self._made(Part.LATE, late, (), now_ms),
        ]
        await post(connection, [journal for _, _, journal in made if journal is not None])
        for statement, part, journal in made:
            await write_statement(connection, statement, part, journal.key if journal is not None else None)
        payable_tiyn = sum(statement.payable_tiyn for statement, _, _ in made)
        await note(connection, now_ms, who, Act.DAY_CLOSED, str(day), f"{len(sold)} rides, {payable_tiyn} payable")

    def _made(
        self, part: Part, sales: Sequence[Sale], refunds: Sequence[Refund], now_ms: int
    ) -> list[tuple[Statement, Part, Journal | None]]:
        of_carrier: dict[CarrierId, list[Sale]] = defaultdict(list)
        for sale in sales:
            of_carrier[sale.ride.carrier_id].append(sale)
        return [
            (
                statement,
                part,
                settlement_journal(
                    *(statement, part, of_carrier[statement.carrier_id]),
                    *([one for one in refunds if one.carrier_id == statement.carrier_id], now_ms),
                ),
            )
            for statement in statements(sales, refunds, self._rules.commission_bp)
        ]


def _marked(one: RideSold, windows: Sequence[AmnestyWindow]) -> Sale:
    return _with_amnesty(one.sale, one.settled.amnesty_id if one.settled is not None else None, windows)


def _with_amnesty(sale: Sale, settled: str | None, windows: Sequence[AmnestyWindow]) -> Sale:
    """Return a sale with its amnesty: the one it was settled with, else the one that holds it."""
    if settled is not None:
        return msgspec.structs.replace(sale, amnesty_id=settled)
    return under_amnesty([sale], windows)[0]


async def post(connection: asyncpg.Connection, journals: Iterable[Journal]) -> None:
    """Post journals within the caller's transaction.

    Raises:
        RuntimeError: if the ledger refuses one; the transaction is lost then.
    """
    journals = list(journals)
    if not journals:
        return
    opened = await read_book(connection, touched_by(journals))
    for journal in journals:
        outcome = opened.book.take(journal)
        if outcome is not Posting.POSTED:
            raise RuntimeError(f"journal {journal.key} was not posted: {outcome}")
    await write_pages(connection, opened)
