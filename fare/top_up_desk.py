"""Unused top-ups given back by people of the office: asked for by one, above a limit decided by another.

The limit is that of refunds of rides, and both count towards it: what somebody gives back alone within a day is at most
``SettlementRules.alone_tiyn``. Money leaves the wallet in the transaction of the decision and of its line in the log;
the bank is asked by whoever talks to banks (``TopUpRefunds.sweep``), seconds later and until it answers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg
import msgspec

from fare.audit_trail import Act
from fare.gateways import postgres_top_ups as store
from fare.model import AccountCode, MediumId
from fare.refund_service import Decision, RefundState, given_alone_tiyn
from fare.settlement_service import SettlementRules
from fare.store.postgres_audit import note
from fare.store.postgres_bank_money import wallet_tiyn
from fare.store.postgres_taps import lock_media
from fare.top_up_refunds import begin_back, check_key
from fare.top_ups import BackOutcome, BankName, Invoice, TopUp, decide_back

LISTED_MAX: Final = 100
WHY_MAX: Final = 200

_LISTED: Final = """
SELECT t.invoice::text, t.bank, t.medium_id, t.amount_tiyn, t.created_ms, t.state,
    greatest(t.said_back_tiyn, t.asked_back_tiyn) AS back_tiyn, t.credited,
    greatest(coalesce(-a.balance_tiyn - a.held_tiyn, 0), 0) AS wallet_tiyn
FROM top_up t LEFT JOIN account a ON a.code = 'wallet:' || t.medium_id
WHERE ($1::bigint IS NULL OR t.invoice = $1) AND ($2::text IS NULL OR t.medium_id = $2)
ORDER BY t.created_ms DESC, t.invoice DESC LIMIT $3
"""
_ASKED: Final = """
SELECT r.*, b.state AS bank_state FROM top_up_refund r LEFT JOIN top_up_back b ON b.reference = r.reference
ORDER BY r.state <> 'waiting', r.asked_ms DESC, r.key LIMIT $1
"""
_INSERT: Final = """
INSERT INTO top_up_refund (key, invoice, medium_id, amount_tiyn, why, asked_by, asked_ms, state, decided_by, four_eyes,
    reference) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
"""


class TopUpBackAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody asks for. The same key is the same refund; without an amount all that may go back."""

    key: str
    invoice: Invoice
    why: str
    amount_tiyn: int | None = None


class TopUpListed(msgspec.Struct, frozen=True, kw_only=True):
    """A top-up as the office sees it. ``unused_tiyn``: what may still go back, 0 where this bank gives nothing back."""

    invoice: str
    bank: str
    created_ms: int
    state: str
    amount_tiyn: int
    back_tiyn: int
    unused_tiyn: int


class TopUpRefundListed(msgspec.Struct, frozen=True, kw_only=True):
    """A refund of a top-up. ``bank_state``: asked, done or refused once granted, None before."""

    key: str
    invoice: str
    amount_tiyn: int
    why: str
    asked_by: str
    asked_ms: int
    state: str
    decided_by: str | None
    bank_state: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BackAnswer:
    """What became of a request. ``state`` is None where nothing was kept."""

    outcome: BackOutcome
    state: RefundState | None = None
    amount_tiyn: int = 0


class TopUpDesk:
    """Gives unused top-ups back. ``accounts``: those of the banks that give back what they are asked for.

    Every method raises OSError, asyncpg.PostgresError or asyncpg.InterfaceError if the database does not answer.
    """

    def __init__(self, pool: asyncpg.Pool, accounts: Mapping[BankName, AccountCode], *, rules: SettlementRules) -> None:
        self._pool, self._accounts, self._rules = pool, accounts, rules

    async def ask(self, asked: TopUpBackAsked, *, who: str, now_ms: int) -> BackAnswer:
        """Give a top-up back, or let it wait for a second person, or say why not.

        Raises:
            ValueError: if ``key`` or ``why`` has no form of one.
        """
        check_key(asked.key)
        if not asked.why.strip() or len(asked.why) > WHY_MAX or not asked.why.isprintable():
            raise ValueError(f"why must be 1 to {WHY_MAX} printable characters")
        async with self._pool.acquire() as connection, connection.transaction():
            found = await store.find_top_up(connection, asked.invoice)
            if found is None:
                return BackAnswer(outcome=BackOutcome.UNKNOWN)
            medium_id = found.top_up.medium_id
            await lock_media(connection, [medium_id])
            before = await connection.fetchrow("SELECT * FROM top_up_refund WHERE key = $1", asked.key)
            if before is not None:
                return _repeated(before, asked)
            # The ledger is locked last, as everywhere: who waits for it holds what nobody needs who has it.
            alone_tiyn = await given_alone_tiyn(connection, who, now_ms)
            found = await store.find_top_up(connection, asked.invoice, lock=True)
            if found is None:  # which top-ups never are, once they were there
                return BackAnswer(outcome=BackOutcome.UNKNOWN)
            available_tiyn = await wallet_tiyn(connection, medium_id)
            amount_tiyn = asked.amount_tiyn
            if amount_tiyn is None:
                amount_tiyn = min(found.top_up.amount_tiyn - found.top_up.back_tiyn, available_tiyn)
            outcome = self._decided(found.top_up, amount_tiyn, available_tiyn)
            if outcome is not BackOutcome.ASKED:
                return BackAnswer(outcome=outcome)
            alone = alone_tiyn + amount_tiyn <= self._rules.alone_tiyn
            state, reference = RefundState.WAITING, None
            if alone:
                state = RefundState.GRANTED
                reference = await self._begin(connection, asked.key, medium_id, asked.invoice, amount_tiyn, now_ms)
            await connection.execute(
                *(_INSERT, asked.key, asked.invoice, medium_id, amount_tiyn, asked.why.strip(), who, now_ms),
                *(state.value, who if alone else None, not alone, reference),
            )
            detail = f"{asked.key}: {amount_tiyn} {state}"
            await note(connection, now_ms, who, Act.TOP_UP_REFUND_ASKED, asked.invoice, detail)
        return BackAnswer(outcome=outcome, state=state, amount_tiyn=amount_tiyn)

    async def decide(self, key: str, *, grant: bool, who: str, now_ms: int) -> Decision:
        """Grant or decline a refund that waits for a second person."""
        async with self._pool.acquire() as connection, connection.transaction():
            medium_id = await connection.fetchval("SELECT medium_id FROM top_up_refund WHERE key = $1", key)
            if medium_id is None:
                return Decision.UNKNOWN
            await lock_media(connection, [MediumId(medium_id)])
            row = await connection.fetchrow("SELECT * FROM top_up_refund WHERE key = $1 FOR UPDATE", key)
            if row["asked_by"] == who:
                return Decision.OWN
            if row["state"] != RefundState.WAITING:
                return Decision.DECIDED_BEFORE
            reference = None
            if grant:
                invoice, amount_tiyn = Invoice(row["invoice"]), row["amount_tiyn"]
                found = await store.find_top_up(connection, invoice, lock=True)
                available_tiyn = await wallet_tiyn(connection, MediumId(medium_id))
                if found is None or self._decided(found.top_up, amount_tiyn, available_tiyn) is not BackOutcome.ASKED:
                    return Decision.NOT_POSSIBLE
                reference = await self._begin(connection, key, MediumId(medium_id), invoice, amount_tiyn, now_ms)
            state = RefundState.GRANTED if grant else RefundState.DECLINED
            await connection.execute(
                "UPDATE top_up_refund SET state = $2, decided_by = $3, reference = $4 WHERE key = $1",
                *(key, state.value, who, reference),
            )
            await note(connection, now_ms, who, Act.TOP_UP_REFUND_DECIDED, row["invoice"], f"{key}: {state}")
        return Decision.TAKEN

    async def top_ups(self, *, invoice: Invoice | None = None, medium_id: MediumId | None = None) -> list[TopUpListed]:
        """Return the latest top-ups, or the one of an invoice, or those of a medium."""
        number = int(invoice) if invoice is not None else None
        rows = await self._pool.fetch(_LISTED, number, medium_id, LISTED_MAX)
        return [self._listed(row) for row in rows]

    async def asked(self) -> Sequence[TopUpRefundListed]:
        """Return refunds: those that wait first, then the latest."""
        rows = await self._pool.fetch(_ASKED, LISTED_MAX)
        return [msgspec.convert(dict(row), TopUpRefundListed) for row in rows]

    def _decided(self, top_up: TopUp, amount_tiyn: int, available_tiyn: int) -> BackOutcome:
        if top_up.bank not in self._accounts:
            return BackOutcome.NOT_POSSIBLE
        return decide_back(top_up, amount_tiyn, available_tiyn)

    async def _begin(
        self,
        connection: asyncpg.Connection,
        key: str,
        medium_id: MediumId,
        invoice: Invoice,
        amount_tiyn: int,
        now_ms: int,
    ) -> str:
        """Take the money from the wallet, as was just decided; return the reference by which the bank is asked."""
        begun = await begin_back(
            *(connection, self._accounts),
            key=f"office/{key}",
            medium_id=medium_id,
            invoice=invoice,
            amount_tiyn=amount_tiyn,
            now_ms=now_ms,
        )
        if begun.outcome is not BackOutcome.ASKED:
            raise RuntimeError(f"refund {key} was not begun: {begun.outcome}")
        return begun.reference

    def _listed(self, row: asyncpg.Record) -> TopUpListed:
        may = row["credited"] and row["bank"] in self._accounts
        unused_tiyn = min(row["amount_tiyn"] - row["back_tiyn"], row["wallet_tiyn"])
        return TopUpListed(
            invoice=row["invoice"],
            bank=row["bank"],
            created_ms=row["created_ms"],
            state=row["state"],
            amount_tiyn=row["amount_tiyn"],
            back_tiyn=row["back_tiyn"],
            unused_tiyn=unused_tiyn if may else 0,
        )


def _repeated(row: asyncpg.Record, asked: TopUpBackAsked) -> BackAnswer:
    """Answer a key that was used: as before if it asks for the same."""
    same = row["invoice"] == asked.invoice and asked.amount_tiyn in {None, row["amount_tiyn"]}
    if not same:
        return BackAnswer(outcome=BackOutcome.KEY_REUSED)
    return BackAnswer(outcome=BackOutcome.REPEATED, state=RefundState(row["state"]), amount_tiyn=row["amount_tiyn"])
