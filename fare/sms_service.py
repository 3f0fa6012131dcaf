"""Messages in, answers out: each message is answered once, and what it costs is paid once, whatever dies when.

A message is on disk before anything is done about it, and its answer in one transaction with the end of its way. In
between, everything goes by the message's key: the ride that it buys, the money that it asks of the operator. So a
message that comes ten times, or whose process died after the charge, ends in the same ticket, sent once.

Answers wait in an outbox for whoever holds the operator's bind: ``take`` returns those that it made, ``due`` those that
nobody has handed over. A centre that takes a message and dies before it says so may get it twice; the ticket in it is
the same.
"""

import asyncio
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from commons.clock import Clock, monotonic_s
from commons.logs import get_logger
from commons.metrics import Metrics
from commons.texts import Catalogue, Language
from fare.buying import Buying
from fare.gateways.charging_port import ChargeRequest
from fare.inspection.check_code import ticket_code
from fare.media.phone import phone_medium
from fare.media.tokens import TokenKey
from fare.model import CarrierId, MediumKind, RiderCategory, Riders
from fare.operator_paying import OperatorCharges, OperatorPayer
from fare.purchases import BuyRefusal, Purchase, Ticket
from fare.sms.acceptance import SmsRules, accept
from fare.sms.grammar import BadRiders, Command, NextAt, Plain, Ride, SetLanguage, TopUp, command_of
from fare.sms.values import Incoming, Outgoing, OutgoingState, ReceiptTaken, StopBoard, Taken
from fare.sms.wording import SmsWords
from fare.store.kept_connection import lost_is_said
from fare.store.postgres_media import PostgresMedia
from fare.store.postgres_sms import KeptMessage, Lately, Opened, PostgresSms, Rider, Windows
from fare.vehicles import Vehicle

RESUMED_AFTER_MS: Final = 30_000  # longer than any operator may take to answer
RESUMED_AT_A_TIME: Final = 20
EVERY_S: Final = 5.0

_log = get_logger(__name__)


class NextBuses(Protocol):
    """Knows what comes to stops."""

    async def __call__(self, stop_code: str, language: Language) -> StopBoard | None:
        """Return what comes to the stop with a code, as passengers know it; None if there is no such stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmsNames:
    """How to speak of the city: texts, its time, its lines and carriers as riders call them, by their ids.

    ``default_category_at`` says as whom several ride together at a moment (ms): a tariff version may bring another.
    """

    catalogue: Catalogue
    zone: ZoneInfo
    lines: Mapping[str, str]
    carriers: Mapping[CarrierId, str]
    default_category_at: Callable[[int], RiderCategory]


@dataclass(frozen=True, slots=True, kw_only=True)
class SmsKeys:
    """Secrets: under which a number is a medium, and a ticket a code."""

    phone_key: TokenKey
    code_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Reply:
    """What is said to a message: "" is silence. ``wrong``: it named nothing that there is."""

    text: str
    outcome: Taken = Taken.ANSWERED
    wrong: bool = False
    sold: bool = False  # it is the ticket of this message's own ride


_SILENCE: Final = _Reply("", Taken.TOO_MANY, wrong=True)


class SmsService:
    """Where messages are answered. Several may work on one database.

    Methods raise OSError, TimeoutError, asyncpg.PostgresError or asyncpg.InterfaceError if the database does not
    answer: do not acknowledge the message or the receipt then, and it will come again.
    """

    def __init__(
        self,
        store: PostgresSms,
        *,
        buying: Buying,
        charges: OperatorCharges,
        media: PostgresMedia,
        next_buses: NextBuses,
        rules: SmsRules,
        keys: SmsKeys,
        names: SmsNames,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._buying = buying
        self._charges = charges
        self._media = media
        self._next_buses = next_buses
        self._rules = rules
        self._keys = keys
        self._names = names
        self._clock = clock
        self._metrics = metrics
        self._windows = Windows(all_ms=rules.window_ms, wrong_ms=rules.wrong_window_ms)

    async def take(self, incoming: Incoming) -> list[Outgoing]:
        """Return the answers to a message once it is on disk and dealt with: one, or none.

        Hand them over at once; for ``LEASE_MS`` they are not ``due``. A message that came before gets no second answer.
        """
        accepted = accept(incoming, self._rules)
        if isinstance(accepted, Taken):
            self._count(incoming.operator, accepted)
            return []
        message = KeptMessage(
            key=accepted.key,
            operator=incoming.operator,
            medium_id=phone_medium(accepted.number, self._keys.phone_key),
            number=accepted.number,
            short_code=incoming.short_code,
            text=incoming.text.replace("\0", ""),
            asked_ms=accepted.asked_ms,
            received_ms=incoming.received_ms,
        )
        with lost_is_said():
            return await self._take(message, accepted.same)

    async def due(self, operator: str) -> list[Outgoing]:
        """Return answers that nobody has handed to ``operator`` yet, leased to the caller."""
        return await self._store.due(operator, self._clock.now_ms())

    async def handed_over(self, outgoing_id: int, centre_id: str) -> None:
        """Hear that the operator's centre has an answer and names it ``centre_id``."""
        await self._store.handed_over(outgoing_id, centre_id)

    async def refused(self, outgoing_id: int) -> None:
        """Hear that the operator's centre will never take an answer."""
        await self._store.refused(outgoing_id)

    async def receipt(self, operator: str, centre_id: str, state: OutgoingState) -> ReceiptTaken:
        """Hear from ``operator`` what became of an answer. What it says of others' messages changes nothing."""
        taken = await self._store.receipt(operator, centre_id, state)
        self._metrics.count("sms_receipts_total", operator=operator, outcome=taken.value)
        return taken

    async def resume(self) -> int:
        """Answer messages whose process died in between; return how many. Their answers are ``due``."""
        now_ms = self._clock.now_ms()
        waiting = await self._store.waiting(now_ms - RESUMED_AFTER_MS, RESUMED_AT_A_TIME)
        found = await asyncio.gather(*map(self._again, waiting), return_exceptions=True)
        failed = [one for one in found if isinstance(one, BaseException)]
        if failed:
            raise failed[0]  # the others are answered all the same
        return len(waiting)

    async def run(self) -> None:
        """Resume what was left and forget what is old, for ever; ends only by cancellation."""
        while True:
            try:
                await self.resume()
                await self._store.forget(self._clock.now_ms())
            except Exception as error:  # noqa: BLE001 - top of the loop: messages stay on disk
                self._metrics.count("role_errors_total", role="sms", where="resume")
                _log.warning("messages wait", error=repr(error))
            await self._clock.sleep(EVERY_S)

    def _count(self, operator: str, outcome: Taken) -> None:
        self._metrics.count("sms_messages_total", operator=operator, outcome=outcome.value)

    async def _take(self, message: KeptMessage, same: tuple[str, ...]) -> list[Outgoing]:
        opened = await self._store.open(message, same, windows=self._windows, language=self._rules.language)
        if isinstance(opened, Opened):
            return await self._answer(message, opened, is_new=True)
        if opened.outcome is not None:
            self._count(message.operator, Taken.REPEATED)
            return []
        return await self._again(opened)

    async def _again(self, message: KeptMessage) -> list[Outgoing]:
        """Answer a message that somebody has begun to answer, and may have asked money for."""
        opened = await self._store.around(message, windows=self._windows, language=self._rules.language)
        return await self._answer(message, opened, is_new=False)

    async def _answer(self, message: KeptMessage, opened: Opened, *, is_new: bool) -> list[Outgoing]:
        began_s = monotonic_s()
        case = _Case(message, opened.lately, opened.rider, self._words(opened.rider.language), is_new)
        reply = await self._reply(case)
        outgoing = await self._store.close(
            message, reply.outcome, text=reply.text, wrong=reply.wrong, sold=reply.sold, now_ms=self._clock.now_ms()
        )
        self._count(message.operator, reply.outcome)
        self._metrics.observe("sms_answer_seconds", monotonic_s() - began_s)
        return [outgoing] if outgoing is not None else []

    async def _reply(self, case: "_Case") -> _Reply:
        message, rider = case.message, case.rider
        if case.lately.messages >= self._rules.messages_max:
            return _Reply("", Taken.TOO_MANY)
        command = command_of(message.text, riders_max=self._rules.riders_max)
        asks = not isinstance(command, Plain) or command is Plain.BALANCE
        if rider.silent and not asks and command is not Plain.SILENCE:
            return _Reply("", Taken.STOPPED)
        if rider.silent and asks:
            await self._store.remember(message.medium_id, Rider(language=rider.language))
        return await self._by_command(case, command)

    async def _by_command(self, case: "_Case", command: Command) -> _Reply:
        match command:
            case Ride():
                return await self._ride(case, command)
            case BadRiders():
                return self._wrong(case, case.words.bad_riders(self._rules.riders_max, command.code))
            case NextAt():
                return await self._stop(case, command.code)
            case TopUp():
                return await self._top_up(case, command.amount_tiyn)
            case SetLanguage():
                await self._store.remember(case.message.medium_id, Rider(language=command.language))
                return _Reply(self._words(command.language).text("language"))
            case Plain():
                return await self._plain(case, command)

    async def _plain(self, case: "_Case", command: Plain) -> _Reply:
        words = case.words
        match command:
            case Plain.BALANCE:
                return _Reply(words.text("balance", balance=words.amount(await self._balance(case))))
            case Plain.SILENCE:
                await self._store.remember(case.message.medium_id, Rider(language=case.rider.language, silent=True))
                return _Reply(words.text("silence"))
            case Plain.BAD_AMOUNT:
                return self._wrong(case, words.text("bad_amount"))
            case Plain.HELP:
                return self._wrong(case, words.text("help"))

    async def _ride(self, case: "_Case", ride: Ride) -> _Reply:
        if case.lately.wrong >= self._rules.wrong_max:
            return self._wrong(case, "")
        vehicle = await self._buying.vehicle_of(ride.code)
        if vehicle is None:
            return await self._stop(case, ride.code, bus=True)
        message = case.message
        purchase = Purchase(
            key=f"sms:{message.key}",
            medium_id=message.medium_id,
            medium_kind=MediumKind.SMS,
            vehicle_id=vehicle.vehicle_id,
            riders=self._riders(ride.riders, message.asked_ms),
            asked_ms=message.asked_ms,
        )
        payer = OperatorPayer(
            charges=self._charges, operator=message.operator, number=message.number, is_new=case.is_new
        )
        bought = await self._buying.buy(
            purchase, paid_by=payer, wanted=functools.partial(self._store.sell, key=message.key)
        )
        if isinstance(bought, Ticket):
            return _Reply(self._ticket(case.words, bought), sold=bought.key == purchase.key)
        self._metrics.count("sms_refusals_total", reason=bought.value)
        return _Reply(case.words.refusal(bought, bus=_shown(vehicle)))

    async def _stop(self, case: "_Case", code: str, *, bus: bool = False) -> _Reply:
        """Answer with the next buses. ``bus``: it could have been the number of one."""
        if case.lately.wrong >= self._rules.wrong_max:
            return self._wrong(case, "")
        board = await self._next_buses(code, case.rider.language)
        if board is not None:
            return _Reply(case.words.board(board))
        return self._wrong(case, case.words.text("unknown_number" if bus else "no_stop", code=code))

    async def _top_up(self, case: "_Case", amount_tiyn: int) -> _Reply:
        words, rules, message = case.words, self._rules, case.message
        if not rules.top_up_least_tiyn <= amount_tiyn <= rules.top_up_most_tiyn:
            limits = (words.amount(rules.top_up_least_tiyn), words.amount(rules.top_up_most_tiyn))
            return _Reply(words.text("amount_limits", least=limits[0], most=limits[1]))
        request = ChargeRequest(
            key=f"sms:{message.key}", number=message.number, amount_tiyn=amount_tiyn, asked_ms=message.asked_ms
        )
        if self._clock.now_ms() - message.asked_ms > rules.late_max_ms:
            await self._charges.undo(request.key)  # of a process that died between charge and wallet
            refusal = None if await self._charges.is_entered(request.key) else BuyRefusal.TOO_LATE
        else:
            refusal = await self._charges.top_up(request, message.operator, message.medium_id)
        if refusal is not None:
            return _Reply(words.refusal(refusal, bus=""))
        balance = words.amount(await self._balance(case))
        return _Reply(words.text("topped_up", amount=words.amount(amount_tiyn), balance=balance))

    def _wrong(self, case: "_Case", text: str) -> _Reply:
        """Return the answer to what names nothing: so many are answered, one warns, the rest is silence."""
        if case.lately.wrong < self._rules.wrong_max:
            return _Reply(text, wrong=True)
        if case.lately.wrong > self._rules.wrong_max:
            return _SILENCE
        minutes = str(self._rules.wrong_window_ms // 60_000)
        return _Reply(case.words.text("too_many_wrong", minutes=minutes), wrong=True)

    def _riders(self, count: int, at_ms: int) -> tuple[Riders, ...]:
        """Return who rides; alone it is who the number belongs to, with the rights that they have.

        ``at_ms`` is when it was asked for: a message taken up again after the tariff changed is the same purchase.
        """
        return () if count == 1 else (Riders(category=self._names.default_category_at(at_ms), count=count),)

    def _ticket(self, words: SmsWords, ticket: Ticket) -> str:
        return words.ticket(
            ticket,
            line=self._names.lines.get(ticket.route_id, ticket.route_id),
            carrier=self._names.carriers.get(ticket.carrier_id, ticket.carrier_id),
            code=ticket_code(ticket.tap_key, ticket.medium_id, self._keys.code_key),
        )

    async def _balance(self, case: "_Case") -> int:
        medium_id = case.message.medium_id
        return (await self._media.balances_tiyn([medium_id])).get(medium_id, 0)

    def _words(self, language: Language) -> SmsWords:
        return SmsWords(catalogue=self._names.catalogue, language=language, zone=self._names.zone)


@dataclass(frozen=True, slots=True)
class _Case:
    """A message, who sent it, and how to speak to them."""

    message: KeptMessage
    lately: Lately
    rider: Rider
    words: SmsWords
    is_new: bool  # nobody has begun to answer it before


def _shown(vehicle: Vehicle) -> str:
    return vehicle.fleet_number or vehicle.plate
