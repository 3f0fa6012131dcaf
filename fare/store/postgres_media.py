"""Who holds a medium: concessions, passes, blocks, and money paid in at a counter. In PostgreSQL.

Whatever changes here is told on the channel ``CHANGED`` once it is committed, so that deny list and concession lists
follow at once.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Final

import asyncpg
import msgspec

from fare.ledger.accounts import debt, wallet
from fare.ledger.billing import levelling
from fare.ledger.posting import check_form
from fare.model import (
    AccountCode,
    Concession,
    Entry,
    Journal,
    JournalKey,
    JournalKind,
    MediumId,
    PassHeld,
    Profile,
    RiderCategory,
)
from fare.outcomes import Posting
from fare.store.postgres_ledger import Touched, read_book, write_pages

CHANGED: Final = "fare_media"

_KNOW: Final = "INSERT INTO medium (medium_id, known_ms) SELECT unnest($1::text[]), $2 ON CONFLICT DO NOTHING"
_NOTIFY: Final = f"NOTIFY {CHANGED}"


class PostgresMedia:
    """The media of a city.

    Every method raises OSError, asyncpg.PostgresError or asyncpg.InterfaceError if the database does not answer.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def profiles(self, media: Sequence[MediumId]) -> Mapping[MediumId, Profile]:
        """Return who holds ``media``; one without rights and passes is left out."""
        rights: dict[MediumId, list[Concession]] = {}
        for row in await self._pool.fetch(
            "SELECT medium_id, category, from_date, until_date, evidence FROM medium_concession "
            "WHERE medium_id = ANY ($1::text[]) ORDER BY category, from_date",
            list(media),
        ):
            medium_id, *said = row
            rights.setdefault(medium_id, []).append(
                Concession(**dict(zip(("category", "from_date", "until_date", "evidence"), said, strict=True)))
            )
        passes: dict[MediumId, list[PassHeld]] = {}
        for row in await self._pool.fetch(
            "SELECT medium_id, product_id, from_ms, until_ms FROM medium_pass WHERE medium_id = ANY ($1::text[]) "
            "ORDER BY from_ms, product_id",
            list(media),
        ):
            held = PassHeld(product_id=row["product_id"], from_ms=row["from_ms"], until_ms=row["until_ms"])
            passes.setdefault(row["medium_id"], []).append(held)
        return {
            medium_id: Profile(concessions=tuple(rights.get(medium_id, ())), passes=tuple(passes.get(medium_id, ())))
            for medium_id in rights.keys() | passes.keys()
        }

    async def grant(self, media: Sequence[MediumId], right: Concession, known_ms: int) -> None:
        """Give a right to each of ``media``; one that has it from the same day keeps it as it is."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_KNOW, list(media), known_ms)
            await connection.execute(
                "INSERT INTO medium_concession (medium_id, category, from_date, until_date, evidence) "
                "SELECT unnest($1::text[]), $2, $3, $4, $5 ON CONFLICT DO NOTHING",
                *(list(media), right.category, right.from_date, right.until_date, right.evidence),
            )
            await connection.execute(_NOTIFY)

    async def give_pass(self, medium_id: MediumId, held: PassHeld, known_ms: int) -> None:
        """Give a pass; the same one twice is one."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_KNOW, [medium_id], known_ms)
            await connection.execute(
                "INSERT INTO medium_pass (medium_id, product_id, from_ms, until_ms) VALUES ($1, $2, $3, $4) "
                "ON CONFLICT DO NOTHING",
                *(medium_id, held.product_id, held.from_ms, held.until_ms),
            )

    async def block(self, media: Sequence[MediumId], known_ms: int, *, blocked: bool = True) -> None:
        """Put ``media`` on the deny list, or take them off; one in debt stays on it until that is paid."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_KNOW, list(media), known_ms)
            await connection.execute(
                "UPDATE medium SET blocked = $2 WHERE medium_id = ANY ($1::text[])", list(media), blocked
            )
            await connection.execute(_NOTIFY)

    async def blocked(self) -> set[MediumId]:
        """Return the media that are blocked."""
        return {row["medium_id"] for row in await self._pool.fetch("SELECT medium_id FROM medium WHERE blocked")}

    async def known(self) -> list[MediumId]:
        """Return all media that a counter has seen: their next ride is not that of a stranger."""
        return [row["medium_id"] for row in await self._pool.fetch("SELECT medium_id FROM medium")]

    async def holders(self, date: dt.date) -> dict[RiderCategory, list[MediumId]]:
        """Return the media with each concession on a day of the city."""
        found: dict[RiderCategory, list[MediumId]] = {}
        for row in await self._pool.fetch(
            "SELECT category, medium_id FROM medium_concession "
            "WHERE from_date <= $1 AND (until_date = '' OR until_date >= $1)",
            date.isoformat(),
        ):
            found.setdefault(RiderCategory(row["category"]), []).append(row["medium_id"])
        return found

    async def balances_tiyn(self, media: Sequence[MediumId]) -> dict[MediumId, int]:
        """Return what is in the wallets of ``media``, less what they owe; a medium without either is left out."""
        names = [code for medium_id in media for code in (wallet(medium_id), debt(medium_id))]
        found: dict[MediumId, int] = {}
        for row in await self._pool.fetch(
            "SELECT code, balance_tiyn + held_tiyn AS tiyn FROM account WHERE code = ANY ($1::text[])", names
        ):
            medium_id = MediumId(row["code"].partition(":")[2])
            found[medium_id] = found.get(medium_id, 0) - row["tiyn"]
        return found

    async def top_up(self, medium_id: MediumId, amount_tiyn: int, *, desk: str, key: str, occurred_ms: int) -> Posting:
        """Take cash at ``desk`` for a medium; what it owes is paid first. The same ``key`` takes it once.

        Raises:
            ValueError: if amount, desk or key cannot be.
        """
        if amount_tiyn <= 0:
            raise ValueError(f"amount_tiyn must be above 0: {amount_tiyn}")
        journal = top_up_journal(medium_id, amount_tiyn, desk=desk, key=key, occurred_ms=occurred_ms)
        check_form(journal)
        before_ms = await self._pool.fetchval("SELECT occurred_ms FROM journal WHERE key = $1", journal.key)
        if before_ms is not None:  # the counter asks again, later: it is still the same receipt
            journal = msgspec.structs.replace(journal, occurred_ms=before_ms)
        async with self._pool.acquire() as connection, connection.transaction():
            return await pay_in(connection, medium_id, journal)


async def pay_in(connection: asyncpg.Connection, medium_id: MediumId, journal: Journal) -> Posting:
    """Post, within the caller's transaction, a journal that brings money into a wallet; what it owes is paid first.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
    """
    touched = Touched(
        keys={journal.key, JournalKey(f"level/{journal.key}")},
        accounts={entry.account for entry in journal.entries} | {debt(medium_id)},
        references=set(),
    )
    await connection.execute(_KNOW, [medium_id], journal.occurred_ms)
    opened = await read_book(connection, touched)
    again = journal.key in opened.book.recorded
    posting = opened.book.take(journal)
    if posting is Posting.POSTED and not again:
        level = levelling(opened.book, medium_id, key=journal.key, occurred_ms=journal.occurred_ms)
        if level is not None:
            opened.book.take(level)
    await write_pages(connection, opened)
    await connection.execute(_NOTIFY)
    return posting


async def know_medium(connection: asyncpg.Connection, medium_id: MediumId, known_ms: int) -> None:
    """Note within the caller's transaction that money came for a medium: no stranger now, and its debt has changed."""
    await connection.execute(_KNOW, [medium_id], known_ms)
    await connection.execute(_NOTIFY)


def top_up_journal(medium_id: MediumId, amount_tiyn: int, *, desk: str, key: str, occurred_ms: int) -> Journal:
    """Return the journal of cash that a sales point takes for a medium: ours to keep, the rider's to spend."""
    return Journal(
        key=JournalKey(f"top-up/{key}"),
        kind=JournalKind.TOP_UP,
        occurred_ms=occurred_ms,
        entries=(
            Entry(account=AccountCode(f"cash:{desk}"), amount_tiyn=amount_tiyn),
            Entry(account=wallet(medium_id), amount_tiyn=-amount_tiyn),
        ),
        subject=medium_id,
    )
