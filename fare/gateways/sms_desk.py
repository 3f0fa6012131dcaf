"""What gateways of short messages have in common: the desk that they serve, the door to it, and the way out.

A gateway (SMPP, Kannel, a signed webhook) belongs to one mobile operator. Through the ``Door`` goes what it brings; the
gateway acknowledges once that returned, because only then is the message durable. ``send_due`` hands over what is to be
sent. A message may go out twice when an answer was lost, so a rider may see a ticket twice; it is never bought twice.
"""

import asyncio
import enum
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from commons.clock import Clock, monotonic_s
from commons.logs import get_logger
from commons.metrics import Metrics
from fare.gateways.smpp_receipts import MessageState
from fare.sms.values import Incoming, Outgoing, OutgoingState, ReceiptTaken

POLL_S: Final = 1.0  # for what became due without us: what another process left, a message to be tried again
PAUSE_S: Final = 1.0
WAITING_MAX: Final = 5_000  # of one operator in memory; the desk has the rest
EARLY_MAX: Final = 1_000

_CAME_TO: Final[Mapping[MessageState, OutgoingState]] = {  # the others say that nothing is decided yet
    MessageState.DELIVERED: OutgoingState.DELIVERED,
    MessageState.EXPIRED: OutgoingState.FAILED,
    MessageState.DELETED: OutgoingState.FAILED,
    MessageState.UNDELIVERABLE: OutgoingState.FAILED,
    MessageState.REJECTED: OutgoingState.FAILED,
}

_log = get_logger(__name__)


class SmsDesk(Protocol):
    """Who answers riders' messages and keeps the answers until they are sent."""

    async def take(self, incoming: Incoming) -> Sequence[Outgoing]:
        """Take a message durably and once, whatever is repeated; return its answers, leased to the caller."""

    async def due(self, operator: str) -> Sequence[Outgoing]:
        """Return what is to be sent through ``operator`` and nobody is sending, leased to the caller."""

    async def handed_over(self, outgoing_id: int, smsc_message_id: str) -> None:
        """Keep that the operator has taken a message, and its name for it."""

    async def refused(self, outgoing_id: int) -> None:
        """Keep that the operator will never take a message."""

    async def receipt(self, operator: str, smsc_message_id: str, state: OutgoingState) -> ReceiptTaken:
        """Keep what became of a message handed over to ``operator``."""


class Handing(enum.StrEnum):
    """What became of a message that was to be sent."""

    HANDED_OVER = enum.auto()
    LATER = enum.auto()  # the operator cannot now; it stays due
    REFUSED = enum.auto()  # and will never


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """What the operator said. ``message_id`` is its name for the message, ``reason`` what it has against it."""

    handing: Handing
    message_id: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """A short message as a gateway read it. ``message_id``: the operator's, "" if its protocol has none."""

    source: str
    destination: str
    text: str
    message_id: str = ""
    sent_ms: int | None = None


class Outbox:
    """What waits in memory to be sent through one operator, each message once."""

    def __init__(self) -> None:
        self._waiting: dict[int, Outgoing] = {}
        self._under_way: dict[int, Outgoing] = {}
        self._added = asyncio.Event()

    def begin(self) -> None:
        """Let wait again whatever was under way when the last sender ended."""
        self._waiting, self._under_way = self._under_way | self._waiting, {}

    def add(self, outgoing: Outgoing) -> None:
        """Let ``outgoing`` wait, unless it does or is under way. With too many the desk says it again, later."""
        if outgoing.id not in self._under_way and len(self._waiting) < WAITING_MAX:
            self._waiting.setdefault(outgoing.id, outgoing)
            self._added.set()

    async def take(self) -> Outgoing:
        """Return the message that waits longest, once there is one; it is under way until ``done``."""
        while not self._waiting:
            self._added.clear()
            await self._added.wait()
        outgoing = self._waiting.pop(next(iter(self._waiting)))
        self._under_way[outgoing.id] = outgoing
        return outgoing

    def done(self, outgoing: Outgoing) -> None:
        """Forget a message that was under way: it is handed over, refused, or due again when the desk says so."""
        self._under_way.pop(outgoing.id, None)


class Door:
    """The way in, for all gateways, and their outboxes."""

    def __init__(self, desk: SmsDesk, *, clock: Clock) -> None:
        self.desk, self._clock = desk, clock
        self._outboxes: dict[str, Outbox] = {}
        self._early: dict[tuple[str, str], OutgoingState] = {}

    def outbox(self, operator: str) -> Outbox:
        """Return what waits for ``operator``."""
        return self._outboxes.setdefault(operator, Outbox())

    async def arrived(self, operator: str, brought: Brought) -> None:
        """Take what a gateway of ``operator`` brought; once this returns it may be acknowledged.

        Whatever the message says of itself, its operator is the gateway's.

        Raises:
            Exception: what the desk raises when it cannot store; the gateway then acknowledges nothing.
        """
        answers = await self.desk.take(
            Incoming(
                operator=operator,
                message_id=brought.message_id,
                sender=brought.source,
                short_code=brought.destination,
                text=brought.text,
                sent_ms=brought.sent_ms,
                received_ms=self._clock.now_ms(),
            )
        )
        for answer in answers:
            self.outbox(answer.operator).add(answer)

    async def receipt(self, operator: str, message_id: str, state: MessageState) -> None:
        """Take what became of a message sent. One that overtakes its message's acceptance is kept for it."""
        came_to = _CAME_TO.get(state)
        if came_to is None:
            return
        if await self.desk.receipt(operator, message_id, came_to) is ReceiptTaken.UNKNOWN:
            self._early[operator, message_id] = came_to
            if len(self._early) > EARLY_MAX:
                del self._early[next(iter(self._early))]

    async def handed_over(self, operator: str, outgoing_id: int, message_id: str) -> None:
        """Keep that ``operator`` took a message, with the receipt that came before, if any."""
        await self.desk.handed_over(outgoing_id, message_id)
        came_to = self._early.pop((operator, message_id), None)
        if came_to is not None:
            await self.desk.receipt(operator, message_id, came_to)


async def send_due(
    operator: str,
    door: Door,
    send: Callable[[Outgoing], Awaitable[Handed]],
    *,
    at_once: int,
    metrics: Metrics,
) -> None:
    """Hand over what is due for ``operator``, ``at_once`` messages side by side, until cancelled.

    Raises:
        Exception: what ``send`` and the desk raise: the gateway begins anew.
    """
    outbox = door.outbox(operator)
    outbox.begin()
    room = asyncio.Semaphore(at_once)

    async def hand_over(outgoing: Outgoing) -> None:
        began_s = monotonic_s()
        try:
            handed = await send(outgoing)
            if handed.handing is Handing.HANDED_OVER:
                await door.handed_over(operator, outgoing.id, handed.message_id)
            elif handed.handing is Handing.REFUSED:
                await door.desk.refused(outgoing.id)
        finally:
            room.release()
        outbox.done(outgoing)
        metrics.count("sms_sent_total", operator=operator, outcome=handed.handing.value)
        metrics.observe("sms_sent_seconds", monotonic_s() - began_s, operator=operator)
        if handed.handing is not Handing.HANDED_OVER:
            _log.warning("message is not taken", operator=operator, id=outgoing.id, reason=handed.reason)

    async def ask_desk() -> None:
        while True:
            for outgoing in await door.desk.due(operator):
                outbox.add(outgoing)
            await asyncio.sleep(POLL_S)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(ask_desk(), name="sms-due")
        while True:
            await room.acquire()
            tasks.create_task(hand_over(await outbox.take()), name="sms-send")


async def keep_sending(
    operator: str,
    door: Door,
    send: Callable[[Outgoing], Awaitable[Handed]],
    *,
    at_once: int,
    metrics: Metrics,
) -> None:
    """``send_due`` for gateways without a connection of their own: begin anew after an error, until cancelled."""
    while True:
        try:
            await send_due(operator, door, send, at_once=at_once, metrics=metrics)
        except Exception as error:  # noqa: BLE001 - the top of the loop: counted, logged, survived
            metrics.count("sms_sent_total", operator=operator, outcome="failed")
            _log.warning("messages wait", operator=operator, error=repr(error), again_in_s=PAUSE_S)
            await asyncio.sleep(PAUSE_S)
