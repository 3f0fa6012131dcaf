"""Top-ups by banks: begun, heard of, asked about, given back, on the books.

A top-up is kept before its bank is asked. Whatever the bank says, by webhook or when asked, goes the same way: what
follows from it (``fare.top_ups.decide``) is written and posted in one transaction that holds the medium. So of two
words at a time the second sees the first, and a payment is credited once, whoever hears of it how often. What a medium
owes is paid from it in the same transaction, so it leaves the deny list then, and the money is there for the next tap.

``sweep`` asks about what no webhook told. Nothing is given up while a bank is silent; once it says that nothing was
paid, one more look follows an hour later.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

import asyncpg
import msgspec

from commons.clock import Clock
from commons.logs import get_logger
from commons.metrics import Metrics
from fare.gateways import postgres_top_ups as store
from fare.gateways.bank import Bank, BankSilentError, Intent, Opened, OpenRefused
from fare.gateways.postgres_top_ups import Stored
from fare.ledger.bank_money import charged_back, credited
from fare.ledger.posting import Book
from fare.model import AccountCode, Journal, MediumId
from fare.store.postgres_bank_money import post_bank_money
from fare.store.postgres_taps import lock_media
from fare.top_ups import (
    BankName,
    BankState,
    BankWord,
    Beginning,
    Follows,
    Heard,
    Invoice,
    TopUp,
    TopUpRules,
    TopUpState,
    decide,
    over_limit,
)

ASK_FIRST_MS: Final = 20_000
ASK_MAX_MS: Final = 600_000
LATE_LOOK_MS: Final = 3_600_000
GRACE_MS: Final = 60_000  # after a payment's time is over, before a bank that knows of none is believed
MESSAGES_KEPT_MS: Final = 86_400_000  # far longer than any signature is believed
DUE_MAX: Final = 200  # in one sweep
ASKED_AT_A_TIME: Final = 8
KEY_MAX: Final = 100  # characters

_UNPAID: Final = frozenset({TopUpState.CREATED, TopUpState.PENDING})
_log = get_logger(__name__)


class TopUpAsked(msgspec.Struct, frozen=True, kw_only=True):
    """A rider wants to top up. The same ``key`` of a medium is the same wish."""

    key: str
    medium_id: MediumId
    bank: BankName
    amount_tiyn: int
    language: str = "kk"


class PaidIn(msgspec.Struct, frozen=True, kw_only=True):
    """A payment that a bank began by itself and holds until we answer."""

    operation_id: str
    medium_id: MediumId
    amount_tiyn: int


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What names a bank's message, and the SHA-256 of its content."""

    message_id: str
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """What became of a wish to top up; where to pay, if there is something to pay."""

    outcome: Beginning
    top_up: TopUp | None = None
    opened: Opened | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Channels:
    """The banks of a city: those that we ask, and the account of what each owes us, of those that only ask us too."""

    banks: Mapping[BankName, Bank]
    accounts: Mapping[BankName, AccountCode]


class TopUps:
    """The top-ups of a city. Any number of processes may have one.

    Every method raises OSError, TimeoutError, asyncpg.PostgresError or asyncpg.InterfaceError if the database does not
    answer: then say the same again.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        channels: Channels,
        *,
        rules: TopUpRules,
        clock: Clock,
        metrics: Metrics,
        new_echo: Callable[[], str],
        owing: Callable[[Mapping[MediumId, int]], None] = lambda _: None,
    ) -> None:
        self._pool, self._channels, self._rules = pool, channels, rules
        self._clock, self._metrics, self._new_echo, self._owing = clock, metrics, new_echo, owing

    async def begin(self, asked: TopUpAsked) -> Begun:
        """Keep a wish to top up and open its payment at the bank.

        Raises:
            ValueError: if ``key`` has no form of one.
        """
        if not 1 <= len(asked.key) <= KEY_MAX or not asked.key.isprintable():
            raise ValueError(f"key must be 1 to {KEY_MAX} printable characters: {asked.key!r}")
        bank = self._channels.banks.get(asked.bank)
        if bank is None:
            return self._begun(asked.bank, Begun(outcome=Beginning.UNKNOWN_BANK))
        now_ms = self._clock.now_ms()
        async with self._pool.acquire() as connection, connection.transaction():
            kept = await self._kept_wish(connection, asked, now_ms + bank.lifetime_ms, now_ms)
        if isinstance(kept, Beginning):
            return self._begun(asked.bank, Begun(outcome=kept))
        top_up = kept.top_up
        if kept.opened is not None or top_up.credited:
            return Begun(outcome=Beginning.BEGUN, top_up=top_up, opened=kept.opened)
        if top_up.state not in _UNPAID:
            return Begun(outcome=Beginning.BANK_REFUSED, top_up=top_up)
        return self._begun(asked.bank, await self._open(bank, kept, asked.language))

    async def of_medium(self, medium_id: MediumId, invoice: Invoice) -> TopUp | None:
        """Return a top-up, if it is of this medium."""
        found = await store.find_top_up(self._pool, invoice)
        return found.top_up if found is not None and found.top_up.medium_id == medium_id else None

    async def echo_of(self, bank: BankName, invoice: Invoice) -> str:
        """Return the secret that a payment was opened with; empty, if there is no such top-up."""
        found = await store.find_top_up(self._pool, invoice)
        return found.echo if found is not None and found.top_up.bank == bank else ""

    async def heard(self, bank: BankName, word: BankWord, message: Message | None = None) -> Heard:
        """Do what follows from an authentic word of ``bank``. ``message``: by what it can be known again."""
        return await self._count(bank, word.invoice, lambda connection: self._hear(connection, bank, word, message))

    async def paid_in(self, bank: BankName, paid: PaidIn) -> Heard:
        """Credit a payment that the bank began: CREDITED or REPEATED is a yes. A no is kept too: the rider heard it."""
        return await self._count(bank, paid.operation_id, lambda connection: self._pay_in(connection, bank, paid))

    async def confirmed(self, bank: BankName, paid: PaidIn) -> Heard:
        """Compare what a bank says that it has paid in with what was credited: REPEATED if that is so."""
        return await self._count(bank, paid.operation_id, lambda connection: _confirm(connection, bank, paid))

    async def ask(self, invoice: Invoice) -> Heard | None:
        """Ask the bank how a top-up stands and do what follows; None, if the bank said nothing that counts."""
        found = await store.find_top_up(self._pool, invoice)
        bank = self._channels.banks.get(found.top_up.bank) if found is not None else None
        if found is None or bank is None:
            return None
        top_up, now_ms = found.top_up, self._clock.now_ms()
        try:
            word = await bank.status(invoice)
        except BankSilentError as error:
            _log.warning("bank does not say how a top-up stands", invoice=invoice, error=str(error))
            await self._ask_later(invoice)
            return None
        if word is None:
            if now_ms < top_up.expires_ms + GRACE_MS:
                await self._ask_later(invoice)
                return None
            word = BankWord(invoice=invoice, operation_id="", state=BankState.EXPIRED, amount_tiyn=top_up.amount_tiyn)
        heard = await self.heard(top_up.bank, word)
        if heard is Heard.UNCHANGED and top_up.state in _UNPAID:
            await self._ask_later(invoice)
        elif heard is not Heard.NOTED:
            await self._ask_no_more(invoice)
        return heard

    async def sweep(self) -> int:
        """Ask about everything that is due, once; return how many top-ups were asked about."""
        due = await store.due_to_ask(self._pool, self._clock.now_ms(), DUE_MAX)
        for first in range(0, len(due), ASKED_AT_A_TIME):
            await asyncio.gather(*(self.ask(one) for one in due[first : first + ASKED_AT_A_TIME]))
        await store.forget_messages(self._pool, self._clock.now_ms() - MESSAGES_KEPT_MS)
        return len(due)

    async def _kept_wish(
        self, connection: asyncpg.Connection, asked: TopUpAsked, expires_ms: int, now_ms: int
    ) -> Stored | Beginning:
        await lock_media(connection, [asked.medium_id])
        key = f"rider/{asked.key}"
        kept = await store.find_by_key(connection, asked.medium_id, key)
        if kept is not None:
            same = (kept.top_up.bank, kept.top_up.amount_tiyn) == (asked.bank, asked.amount_tiyn)
            return kept if same else Beginning.KEY_REUSED
        today_tiyn, unpaid = await store.topped_up_today(connection, asked.medium_id, now_ms)
        refusal = over_limit(asked.amount_tiyn, today_tiyn, unpaid, self._rules)
        if refusal is not None:
            return refusal
        top_up = _new(asked.bank, asked.medium_id, asked.amount_tiyn, now_ms, expires_ms)
        return await store.insert_top_up(connection, top_up, key, self._new_echo(), now_ms + ASK_FIRST_MS)

    async def _open(self, bank: Bank, kept: Stored, language: str) -> Begun:
        top_up = kept.top_up
        if self._clock.now_ms() >= top_up.expires_ms:
            return Begun(outcome=Beginning.BANK_REFUSED, top_up=top_up)
        intent = Intent(
            invoice=top_up.invoice,
            amount_tiyn=top_up.amount_tiyn,
            echo=kept.echo,
            expires_ms=top_up.expires_ms,
            language=language,
        )
        try:
            opened = await bank.open(intent)
        except BankSilentError as error:
            _log.warning("bank opens no payment", invoice=top_up.invoice, error=str(error))
            return Begun(outcome=Beginning.BANK_SILENT, top_up=top_up)
        refused = isinstance(opened, OpenRefused)
        state = BankState.REFUSED if refused else BankState.PENDING
        await self.heard(
            top_up.bank,
            BankWord(invoice=top_up.invoice, operation_id="", state=state, amount_tiyn=top_up.amount_tiyn),
        )
        if isinstance(opened, OpenRefused):
            _log.warning("bank refuses a payment", invoice=top_up.invoice, reason=opened.reason)
            return Begun(outcome=Beginning.BANK_REFUSED, top_up=top_up)
        async with self._pool.acquire() as connection:
            await store.keep_opened(connection, top_up.invoice, opened)
        return Begun(outcome=Beginning.BEGUN, top_up=top_up, opened=opened)

    async def _hear(
        self, connection: asyncpg.Connection, bank: BankName, word: BankWord, message: Message | None
    ) -> tuple[Heard, Mapping[MediumId, int]]:
        now_ms = self._clock.now_ms()
        if message is not None:
            before = await store.take_message(connection, bank, message.message_id, message.digest, now_ms)
            if before is not None:
                return Heard.REPEATED if before == message.digest else Heard.MESSAGE_REUSED, {}
        found = await store.find_top_up(connection, word.invoice)
        if found is None or found.top_up.bank != bank:
            return Heard.UNKNOWN, {}
        await lock_media(connection, [found.top_up.medium_id])
        kept = await store.find_top_up(connection, word.invoice, lock=True)
        if kept is None:
            return Heard.UNKNOWN, {}
        follows = decide(kept.top_up, word)
        if follows.top_up == kept.top_up:
            return follows.heard, {}
        ask_ms = _next_look(follows.top_up.state, kept.ask_ms, now_ms)
        await store.keep_top_up(connection, follows.top_up, ask_ms=ask_ms, asked=0)
        return follows.heard, await self._move(connection, follows, now_ms)

    async def _pay_in(
        self, connection: asyncpg.Connection, bank: BankName, paid: PaidIn
    ) -> tuple[Heard, Mapping[MediumId, int]]:
        now_ms = self._clock.now_ms()
        await lock_media(connection, [paid.medium_id])
        kept = await store.find_by_operation(connection, bank, paid.operation_id)
        if kept is not None:
            return _same(kept.top_up, paid), {}
        today_tiyn, _ = await store.topped_up_today(connection, paid.medium_id, now_ms)
        wish = _new(bank, paid.medium_id, paid.amount_tiyn, now_ms, now_ms)
        fresh = (await store.insert_top_up(connection, wish, f"{bank}/{paid.operation_id}", "", None)).top_up
        if over_limit(paid.amount_tiyn, today_tiyn, 0, self._rules) is not None:
            refused = msgspec.structs.replace(fresh, state=TopUpState.REFUSED, operation_id=paid.operation_id)
            await store.keep_top_up(connection, refused, ask_ms=None, asked=0)
            return Heard.OVER_LIMIT, {}
        follows = decide(
            fresh,
            BankWord(
                invoice=fresh.invoice,
                operation_id=paid.operation_id,
                state=BankState.PAID,
                amount_tiyn=paid.amount_tiyn,
            ),
        )
        await store.keep_top_up(connection, follows.top_up, ask_ms=None, asked=0)
        return follows.heard, await self._move(connection, follows, now_ms)

    async def _move(self, connection: asyncpg.Connection, follows: Follows, now_ms: int) -> Mapping[MediumId, int]:
        """Post what follows from a word; return what the medium owes then, nothing if no money moved."""
        top_up, channel = follows.top_up, self._channels.accounts[follows.top_up.bank]
        name, operation_id = f"bank/{top_up.bank}/{top_up.operation_id}", top_up.operation_id
        moves: list[Callable[[Book], Journal]] = []
        if follows.credit_tiyn:
            moves.append(
                lambda _: credited(
                    *(name, channel, top_up.medium_id, follows.credit_tiyn), subject=operation_id, at_ms=now_ms
                )
            )
        if follows.take_tiyn:
            back = f"back-{top_up.taken_tiyn}"  # of all that went back: each amount is taken once
            moves.append(
                lambda book: charged_back(
                    *(f"{name}/{back}", channel, top_up.medium_id, follows.take_tiyn),
                    subject=f"{operation_id}-{back}",
                    at_ms=now_ms,
                    book=book,
                )
            )
        return await post_bank_money(connection, top_up.medium_id, channel, moves, now_ms)

    async def _ask_later(self, invoice: Invoice) -> None:
        """Ask about an unsettled top-up again, each time later."""
        async with self._pool.acquire() as connection, connection.transaction():
            kept = await store.find_top_up(connection, invoice, lock=True)
            if kept is not None and kept.ask_ms is not None:
                ask_ms = self._clock.now_ms() + min(ASK_FIRST_MS << min(kept.asked, 10), ASK_MAX_MS)
                await store.keep_top_up(connection, kept.top_up, ask_ms=ask_ms, asked=kept.asked + 1)

    async def _ask_no_more(self, invoice: Invoice) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            kept = await store.find_top_up(connection, invoice, lock=True)
            if kept is not None:
                await store.keep_top_up(connection, kept.top_up, ask_ms=None, asked=0)

    async def _count(
        self,
        bank: BankName,
        what: str,
        doing: Callable[[asyncpg.Connection], Awaitable[tuple[Heard, Mapping[MediumId, int]]]],
    ) -> Heard:
        """Do something in a transaction; count, and say aloud what a person must look at."""
        owed: Mapping[MediumId, int] = {}
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                heard, owed = await doing(connection)
        except asyncpg.UniqueViolationError:  # the payment paid another top-up, or its journal is in the books
            heard = Heard.OPERATION_REUSED
        self._metrics.count("bank_words_total", bank=bank, outcome=heard.value)
        if heard.alarms:
            _log.error("a bank's word needs a person", bank=bank, what=what, outcome=heard.value)
        if owed:
            self._owing(owed)
        return heard

    def _begun(self, bank: BankName, begun: Begun) -> Begun:
        known = bank if bank in self._channels.accounts else "unknown"
        self._metrics.count("top_ups_begun_total", bank=known, outcome=begun.outcome.value)
        return begun


async def _confirm(
    connection: asyncpg.Connection, bank: BankName, paid: PaidIn
) -> tuple[Heard, Mapping[MediumId, int]]:
    kept = await store.find_by_operation(connection, bank, paid.operation_id)
    return (Heard.UNKNOWN if kept is None else _same(kept.top_up, paid)), {}


def _same(kept: TopUp, paid: PaidIn) -> Heard:
    """Return what a payment that was answered before is answered again."""
    if (kept.medium_id, kept.amount_tiyn) != (paid.medium_id, paid.amount_tiyn):
        return Heard.AMOUNT_DIFFERS
    return Heard.REPEATED if kept.credited else Heard.OVER_LIMIT


def _new(bank: BankName, medium_id: MediumId, amount_tiyn: int, now_ms: int, expires_ms: int) -> TopUp:
    return TopUp(
        invoice=Invoice(""),
        bank=bank,
        medium_id=medium_id,
        amount_tiyn=amount_tiyn,
        created_ms=now_ms,
        expires_ms=expires_ms,
    )


def _next_look(state: TopUpState, ask_ms: int | None, now_ms: int) -> int | None:
    """Return when the bank is asked next: soon while nothing is certain, once more after it said no."""
    if state in _UNPAID:
        return ask_ms
    return now_ms + LATE_LOOK_MS if state in {TopUpState.EXPIRED, TopUpState.REFUSED} else None
