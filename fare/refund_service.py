"""Money back: single refunds, chargebacks, amnesties for thousands of rides.

Whoever asks for more than ``alone_tiyn`` within a day needs a second person, and so does every amnesty; many small
refunds are no way round. A refund is decided and posted in one transaction that holds its medium, so of two at a time
for one ride the second sees the first (attack 40). An amnesty is granted in short transactions under keys made of
amnesty and ride: broken off and begun again it pays nobody twice (incident I2).
"""

import datetime as dt
import enum
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg
import msgspec

from fare.audit_trail import Act
from fare.ledger.accounts import debt, wallet
from fare.ledger.billing import Pricing, levelling
from fare.model import CarrierId, Charge, JournalKey, MediumId, MediumKind, PriceReason, Ride, RiderCategory
from fare.outcomes import Posting
from fare.settlement.model import Refund, RefundReason, Sale
from fare.settlement.payback import WALLET_KINDS, refund_journal
from fare.settlement.refunds import AmnestyWindow, RefundOutcome, amnesty_refunds, decide_refund
from fare.settlement.standing import REPRICED
from fare.settlement_service import SettlementRules
from fare.store.postgres_audit import note
from fare.store.postgres_ledger import Touched, read_book, touched_by, write_pages
from fare.store.postgres_settlement import last_closed, name_of, refund_of, windows_granted
from fare.store.postgres_standing import owed_again_of, write_realigned
from fare.store.postgres_taps import lock_media

GRANTED_AT_A_TIME: Final = 500  # rides: the ledger is locked for as long
DAY_MS: Final = 86_400_000
OWN_KEYS: Final = ("amnesty/", "dispute/", REPRICED)  # of refunds that others make: taken before, they would fail
AMNESTY_DAYS_MAX: Final = 14
AMNESTY_ID: Final = re.compile(r"[\w.-]{1,64}")  # part of the keys of its refunds; an empty one means no amnesty

_RIDES: Final = """
SELECT t.device_id, t.sequence, t.tapped_ms, t.medium_id, t.medium_kind, t.vehicle_id, t.carrier_id, t.route_id,
    c.categories, c.charged_tiyn, c.subsidy_tiyn
FROM tap t LEFT JOIN LATERAL (
    SELECT * FROM ride_charge r WHERE r.device_id = t.device_id AND r.sequence = t.sequence
    ORDER BY r.version DESC LIMIT 1
) AS c ON true
WHERE t.rides AND
"""
_ONE: Final = f"{_RIDES} t.device_id = $1 AND t.sequence = $2"
_WITHIN: Final = f"""{_RIDES} t.tapped_ms >= $1 AND t.tapped_ms < $2
    AND ($3::text[] = '{{}}' OR t.vehicle_id = ANY ($3)) AND ($4::text[] = '{{}}' OR t.route_id = ANY ($4))
    AND (SELECT sum(charged) FROM unnest(c.charged_tiyn) AS charged) > coalesce((
        SELECT sum(f.amount_tiyn) FROM refund f
        WHERE f.device_id = t.device_id AND f.sequence = t.sequence AND f.state <> 'declined'), 0)
ORDER BY t.device_id, t.sequence
"""  # noqa: S608 - texts of our own
_OF_RIDES: Final = """
SELECT r.* FROM refund r JOIN unnest($1::text[], $2::bigint[]) AS w (device_id, sequence) USING (device_id, sequence)
WHERE r.state <> 'declined'
"""

_GIVEN_ALONE: Final = """
SELECT coalesce(sum(amount_tiyn), 0)::bigint FROM (
    SELECT amount_tiyn FROM refund WHERE asked_by = $1 AND asked_ms > $2 AND NOT four_eyes
    UNION ALL SELECT amount_tiyn FROM top_up_refund WHERE asked_by = $1 AND asked_ms > $2 AND NOT four_eyes
) AS given
"""
_INSERT: Final = """
INSERT INTO refund (key, device_id, sequence, carrier_id, amount_tiyn, reason, service_date, why, asked_by, asked_ms,
    state, decided_by, four_eyes)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
"""


class RefundState(enum.StrEnum):
    """Where a refund stands."""

    WAITING = enum.auto()  # for a second person
    GRANTED = enum.auto()
    DECLINED = enum.auto()


class Decision(enum.StrEnum):
    """What became of a second person's decision, in order of precedence."""

    UNKNOWN = enum.auto()
    OWN = enum.auto()  # nobody decides what they asked for
    DECIDED_BEFORE = enum.auto()
    NOT_POSSIBLE = enum.auto()  # more would go back than was paid, as other refunds came meanwhile
    TAKEN = enum.auto()


class RefundAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody asks for. The same key is the same refund; without an amount all that is left of the ride."""

    key: str
    ride_key: str
    amount_tiyn: int | None = None
    reason: RefundReason = RefundReason.COMPLAINT
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundAnswer:
    """What became of a request, and how much goes back."""

    outcome: RefundOutcome
    state: RefundState | None = None
    amount_tiyn: int = 0


def check_key(key: str) -> None:
    """Refuse a key that somebody who asks for a refund may not give it.

    Raises:
        ValueError: saying the rule.
    """
    if not 1 <= len(key) <= 100 or not key.isprintable() or key.startswith(OWN_KEYS):
        raise ValueError(f"key must be 1 to 100 printable characters and not begin with {OWN_KEYS}: {key!r}")


class Refunds:
    """Gives money back.

    Every method raises OSError, asyncpg.PostgresError or asyncpg.InterfaceError if the database does not answer.
    """

    def __init__(self, pool: asyncpg.Pool, *, pricing: Pricing, rules: SettlementRules) -> None:
        self._pool = pool
        self._pricing = pricing
        self._rules = rules

    async def ask(self, asked: RefundAsked, *, who: str, now_ms: int) -> RefundAnswer:
        """Give money back for a ride, or let it wait for a second person, or say why not.

        Raises:
            ValueError: if ``ride_key`` has no form of one, or as ``check_key``.
        """
        check_key(asked.key)
        name_of(asked.ride_key)
        async with self._pool.acquire() as connection, connection.transaction():
            return await self.ask_within(connection, asked, who=who, now_ms=now_ms)

    async def ask_within(
        self, connection: asyncpg.Connection, asked: RefundAsked, *, who: str, now_ms: int
    ) -> RefundAnswer:
        """Do as ``ask`` in the caller's transaction, with any key.

        Raises:
            ValueError: if ``ride_key`` has no form of one.
        """
        name = name_of(asked.ride_key)
        row = await connection.fetchrow(_ONE, *name)
        if row is None:
            return RefundAnswer(outcome=RefundOutcome.UNKNOWN_RIDE)
        await lock_media(connection, [MediumId(row["medium_id"])])
        sale = self._sale(await connection.fetchrow(_ONE, *name))
        before = await connection.fetchrow("SELECT * FROM refund WHERE key = $1", asked.key)
        earlier = [refund_of(one) for one in await connection.fetch(_OF_RIDES, [name[0]], [name[1]])]
        if before is not None and before["state"] == RefundState.DECLINED:
            earlier.append(refund_of(before))
        left_tiyn = sale.priced_tiyn - sum(one.amount_tiyn for one in earlier)
        kept = refund_of(before) if before is not None else None
        amount_tiyn = asked.amount_tiyn
        if amount_tiyn is None:
            amount_tiyn = kept.amount_tiyn if kept is not None else left_tiyn
        refund = Refund(
            key=JournalKey(asked.key),
            ride_key=asked.ride_key,
            carrier_id=sale.ride.carrier_id,
            amount_tiyn=amount_tiyn,
            reason=asked.reason,
            service_date=kept.service_date if kept is not None else await self._open_day(connection, now_ms),
        )
        if kept is not None and kept.ride_key != refund.ride_key:
            return RefundAnswer(outcome=RefundOutcome.KEY_REUSED)
        outcome = decide_refund(refund, sale, sale.priced_tiyn, earlier)
        if outcome is RefundOutcome.REPEATED and before is not None:
            return RefundAnswer(outcome=outcome, state=RefundState(before["state"]), amount_tiyn=amount_tiyn)
        if outcome is not RefundOutcome.GRANTED:
            return RefundAnswer(outcome=outcome)
        state = await self._keep(connection, refund, asked.why, who, now_ms)
        if state is RefundState.GRANTED:
            await self._pay(connection, [(refund, sale)], now_ms)
        await note(connection, now_ms, who, Act.REFUND_ASKED, asked.ride_key, f"{asked.key}: {amount_tiyn} {state}")
        return RefundAnswer(outcome=outcome, state=state, amount_tiyn=amount_tiyn)

    async def decide(self, key: str, *, grant: bool, who: str, now_ms: int) -> Decision:
        """Grant or decline a refund that waits for a second person."""
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow("SELECT * FROM refund WHERE key = $1", key)
            if row is None:
                return Decision.UNKNOWN
            refund, name = refund_of(row), (row["device_id"], row["sequence"])
            medium_id = await connection.fetchval(
                "SELECT medium_id FROM tap WHERE device_id = $1 AND sequence = $2", *name
            )
            await lock_media(connection, [MediumId(medium_id)])
            row = await connection.fetchrow("SELECT * FROM refund WHERE key = $1 FOR UPDATE", key)
            if row["asked_by"] == who:
                return Decision.OWN
            if row["state"] != RefundState.WAITING:
                return Decision.DECIDED_BEFORE
            if grant:
                sale = self._sale(await connection.fetchrow(_ONE, *name))
                others = [refund_of(one) for one in await connection.fetch(_OF_RIDES, [name[0]], [name[1]])]
                others = [one for one in others if one.key != refund.key]
                if decide_refund(refund, sale, sale.priced_tiyn, others) is not RefundOutcome.GRANTED:
                    return Decision.NOT_POSSIBLE
            await connection.execute(
                "UPDATE refund SET state = $2, decided_by = $3, service_date = $4 WHERE key = $1",
                *(key, (RefundState.GRANTED if grant else RefundState.DECLINED).value, who),
                await self._open_day(connection, now_ms),
            )
            if grant:
                await self._pay(connection, [(refund, sale)], now_ms)
            await note(connection, now_ms, who, Act.REFUND_DECIDED, key, "granted" if grant else "declined")
        return Decision.TAKEN

    async def ask_amnesty(self, window: AmnestyWindow, *, who: str, now_ms: int) -> bool:
        """Ask that rides within a window cost nothing; return False if there is an amnesty of this id.

        Raises:
            ValueError: if its id has no form of one, it has no reason, names neither vehicle nor line, or is longer
                than ``AMNESTY_DAYS_MAX``.
        """
        if not AMNESTY_ID.fullmatch(window.amnesty_id):
            raise ValueError(f"amnesty_id must be 1 to 64 letters, digits, '.', '_' or '-': {window.amnesty_id!r}")
        if not window.why.strip():
            raise ValueError("why must be said")
        if not (window.vehicle_ids or window.route_ids):
            raise ValueError("vehicle_ids or route_ids must name something: an amnesty is not for a whole city")
        if not 0 < window.until_ms - window.from_ms <= AMNESTY_DAYS_MAX * DAY_MS:
            raise ValueError(f"until_ms must be at most {AMNESTY_DAYS_MAX} days after from_ms: {window.until_ms}")
        async with self._pool.acquire() as connection, connection.transaction():
            status: str = await connection.execute(
                "INSERT INTO amnesty (amnesty_id, from_ms, until_ms, vehicle_ids, route_ids, why, asked_by, asked_ms) "
                "VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
                *(window.amnesty_id, window.from_ms, window.until_ms),
                *(sorted(window.vehicle_ids), sorted(window.route_ids), window.why, who, now_ms),
            )
            if status != "INSERT 0 1":
                return False
            await note(connection, now_ms, who, Act.AMNESTY_ASKED, window.amnesty_id, window.why)
        return True

    async def decide_amnesty(self, amnesty_id: str, *, grant: bool, who: str, now_ms: int) -> Decision:
        """Grant or decline an amnesty; ``pay_amnesties`` then gives back what was paid."""
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow("SELECT * FROM amnesty WHERE amnesty_id = $1 FOR UPDATE", amnesty_id)
            if row is None:
                return Decision.UNKNOWN
            if row["asked_by"] == who:
                return Decision.OWN
            if row["granted"] is not None:
                return Decision.DECIDED_BEFORE
            await connection.execute(
                "UPDATE amnesty SET decided_by = $2, decided_ms = $3, granted = $4 WHERE amnesty_id = $1",
                *(amnesty_id, who, now_ms, grant),
            )
            await note(connection, now_ms, who, Act.AMNESTY_DECIDED, amnesty_id, "granted" if grant else "declined")
        return Decision.TAKEN

    async def pay_amnesties(self, *, now_ms: int) -> int:
        """Give back what rides under granted amnesties have cost; return for how many. Repeated it is for none.

        Do it after an amnesty is granted, and before a day is closed: taps within may have come since.
        """
        paid = 0
        for window in await windows_granted(self._pool):
            rows = await self._pool.fetch(
                _WITHIN,
                *(window.from_ms, window.until_ms, sorted(window.vehicle_ids), sorted(window.route_ids)),
            )
            for first in range(0, len(rows), GRANTED_AT_A_TIME):
                paid += await self._pay_some(window, rows[first : first + GRANTED_AT_A_TIME], now_ms)
        return paid

    async def _pay_some(self, window: AmnestyWindow, rows: Sequence[asyncpg.Record], now_ms: int) -> int:
        async with self._pool.acquire() as connection, connection.transaction():
            await lock_media(connection, {MediumId(row["medium_id"]) for row in rows})
            names = [row["device_id"] for row in rows], [row["sequence"] for row in rows]
            earlier = [refund_of(one) for one in await connection.fetch(_OF_RIDES, *names)]
            sales = {sale.ride.key: sale for sale in map(self._sale, rows)}
            day = await self._open_day(connection, now_ms)
            refunds = amnesty_refunds(sales.values(), window, earlier, day)
            if not refunds:
                return 0
            who = await connection.fetchrow(
                "SELECT asked_by, decided_by FROM amnesty WHERE amnesty_id = $1", window.amnesty_id
            )
            decided = (who["asked_by"], now_ms, RefundState.GRANTED, who["decided_by"])
            await connection.executemany(_INSERT, [_row(refund, "", *decided) for refund in refunds])
            await self._pay(connection, [(refund, sales[refund.ride_key]) for refund in refunds], now_ms)
        return len(refunds)

    async def _open_day(self, connection: asyncpg.Connection, now_ms: int) -> dt.date:
        """Return the service day of now, or the one after the last closed day if that is later."""
        today, last = self._pricing.service_day(now_ms), await last_closed(connection)
        return today if last is None else max(today, last + dt.timedelta(days=1))

    async def _keep(
        self, connection: asyncpg.Connection, refund: Refund, why: str, who: str, now_ms: int
    ) -> RefundState:
        """Keep a refund that may be granted; one person alone grants only so much within a day."""
        alone_tiyn = await given_alone_tiyn(connection, who, now_ms)
        if alone_tiyn + refund.amount_tiyn > self._rules.alone_tiyn:
            await connection.execute(_INSERT, *_row(refund, why, who, now_ms, RefundState.WAITING, None))
            return RefundState.WAITING
        await connection.execute(_INSERT, *_row(refund, why, who, now_ms, RefundState.GRANTED, who))
        return RefundState.GRANTED

    async def _pay(self, connection: asyncpg.Connection, granted: Sequence[tuple[Refund, Sale]], now_ms: int) -> None:
        """Post what goes back, and level the wallets that got something."""
        journals = [
            refund_journal(refund, sale.ride, sale.service_date, self._rules.acquirer, now_ms)
            for refund, sale in granted
        ]
        media = {sale.ride.medium_id for _, sale in granted if sale.ride.medium_kind in WALLET_KINDS}
        follows = await owed_again_of(connection, {one: {} for one in media}, dict.fromkeys(media, now_ms))
        await write_realigned(connection, follows)
        touched = touched_by(journals)
        accounts = touched.accounts | {account(one) for one in media for account in (wallet, debt)}
        accounts = accounts.union(*(one.accounts for one in follows))
        opened = await read_book(
            connection, Touched(keys=touched.keys, accounts=accounts, references=touched.references)
        )
        last = {sale.ride.medium_id: refund.key for refund, sale in granted}
        for journal in journals:
            _posted(opened.book.take(journal), journal.key)
        for follow in follows:
            for journal in follow.journals(opened.book):
                _posted(opened.book.take(journal), journal.key)
        for medium_id in sorted(media):
            level = levelling(opened.book, medium_id, key=f"refund/{last[medium_id]}", occurred_ms=now_ms)
            if level is not None:
                _posted(opened.book.take(level), level.key)
        await write_pages(connection, opened)

    def _sale(self, row: asyncpg.Record) -> Sale:
        key = f"{row['device_id']}:{row['sequence']}"
        amounts: Iterable[tuple[str, int, int]] = ()
        if row["categories"] is not None:
            amounts = zip(row["categories"], row["charged_tiyn"], row["subsidy_tiyn"], strict=True)
        ride = Ride(
            key=key,
            tapped_ms=row["tapped_ms"],
            medium_id=MediumId(row["medium_id"]),
            medium_kind=MediumKind(row["medium_kind"]),
            vehicle_id=row["vehicle_id"],
            carrier_id=CarrierId(row["carrier_id"]),
            route_id=row["route_id"],
        )
        charges = tuple(
            Charge(
                ride_key=key,
                category=RiderCategory(category),
                count=1,
                product_id="",
                full_tiyn=charged_tiyn + subsidy_tiyn,
                subsidy_tiyn=subsidy_tiyn,
                charged_tiyn=charged_tiyn,
                reason=PriceReason.FULL,
            )
            for category, charged_tiyn, subsidy_tiyn in amounts
        )
        return Sale(ride=ride, service_date=self._pricing.service_day(ride.tapped_ms), charges=charges)


async def given_alone_tiyn(connection: asyncpg.Connection, who: str, now_ms: int) -> int:
    """Return what somebody gave back alone within a day, of rides and of top-ups; they give no more meanwhile."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtext($1))", f"refunds of {who}")
    tiyn: int = await connection.fetchval(_GIVEN_ALONE, who, now_ms - DAY_MS)
    return tiyn


def _row(
    refund: Refund, why: str, who: str, now_ms: int, state: RefundState, decided_by: str | None
) -> tuple[object, ...]:
    """Return the values of ``_INSERT``."""
    return (
        *(refund.key, *name_of(refund.ride_key), refund.carrier_id, refund.amount_tiyn, refund.reason.value),
        *(refund.service_date, why, who, now_ms, state.value, decided_by, decided_by != who),
    )


def _posted(outcome: Posting, key: str) -> None:
    if outcome is not Posting.POSTED:
        raise RuntimeError(f"journal {key} was not posted: {outcome}")
