"""A message centre, as small as an honest one can be: SMPP 3.4 over TCP, stores and forwards, writes receipts.

An operator of messages binds as a transceiver with its name and password. What telephones send is offered to its bind
until that acknowledges it, whatever breaks in between; what it submits is joined from its parts and shown on the
telephone. Other programs than ours may bind as well.
"""

import asyncio
import collections
import contextlib
import functools
import hmac
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from commons.clock import wall_ms
from commons.logs import get_logger
from fare.gateways import smpp_pdu, sms_segments
from fare.gateways.smpp_link import Link, LinkLostError, LinkTimes, no_such_command
from fare.gateways.smpp_pdu import Address, Command, Pdu, PduError, ShortMessage, Status, Tag
from fare.gateways.sms_segments import Alphabet, Joiner, SegmentError

WINDOW: Final = 20
WAITING_MAX: Final = 1_000  # messages of telephones that no bind has taken yet
OFFER_AGAIN_S: Final = 1.0
RECEIPT_AFTER_S: Final = 0.3
CONNECTIONS_MAX: Final = 50
TIMES: Final = LinkTimes(answer_s=20.0, silence_s=20.0)
ENTER_MAX_S: Final = 10.0  # from connection to bind

_RECEIPT: Final = "id:{id} sub:001 dlvrd:001 submit date:0000000000 done date:0000000000 stat:DELIVRD err:000 text:"
_DELIVERED: Final = 2  # message_state
_BINDS: Final = frozenset({Command.BIND_TRANSCEIVER, Command.BIND_RECEIVER, Command.BIND_TRANSMITTER})
_ESM_RECEIPT: Final = 0x04

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class FromPhone:
    """What a telephone sends."""

    message_id: str
    operator: str
    number: str
    short_code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToPhone:
    """What a telephone gets, joined from ``parts`` short messages."""

    number: str
    short_code: str
    text: str
    parts: int


class MessageCentre:
    """The centre of some operators. ``accounts``: their passwords by name; ``show`` is given what telephones get."""

    def __init__(self, accounts: Mapping[str, str], *, show: Callable[[ToPhone], Awaitable[None]]) -> None:
        self._accounts, self._show = accounts, show
        self._waiting: dict[str, collections.deque[FromPhone]] = {name: collections.deque() for name in accounts}
        self._added = {name: asyncio.Event() for name in accounts}
        self._bound: dict[str, int] = dict.fromkeys(accounts, 0)
        self._connections = 0
        self._messages = 0

    def is_bound(self, operator: str) -> bool:
        """Return whether somebody holds a bind of ``operator``."""
        return self._bound[operator] > 0

    def send(self, operator: str, number: str, short_code: str, text: str) -> FromPhone | None:
        """Take a telephone's message for ``operator``; None if too many wait."""
        waiting = self._waiting[operator]
        if len(waiting) >= WAITING_MAX:
            return None
        self._messages += 1
        message = FromPhone(
            message_id=f"demo-{wall_ms()}-{self._messages}",
            operator=operator,
            number=number,
            short_code=short_code,
            text=text,
        )
        waiting.append(message)
        self._added[operator].set()
        return message

    @asynccontextmanager
    async def serving(self, host: str, port: int) -> AsyncIterator[int]:
        """Serve binds while the block runs; gives the port.

        Raises:
            OSError: if the port cannot be had.
        """
        server = await asyncio.start_server(self._connection, host, port)
        try:
            yield int(server.sockets[0].getsockname()[1])
        finally:
            server.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._connections >= CONNECTIONS_MAX:
            writer.close()
            return
        self._connections += 1
        try:
            await _Session(self, reader, writer).run()
        except (LinkLostError, PduError) as error:
            _log.info("bind ended", reason=str(error))
        finally:
            self._connections -= 1

    # What sessions ask

    def may_enter(self, bind: smpp_pdu.Bind) -> bool:
        """Return whether name and password are right."""
        known = self._accounts.get(bind.system_id, "")
        return bool(known) and hmac.compare_digest(known.encode(), bind.password.encode())

    def entered(self, operator: str, change: int) -> None:
        """Count a bind that came (1) or went (-1)."""
        self._bound[operator] += change

    async def next_of(self, operator: str) -> FromPhone:
        """Return the message that waits longest, once there is one; ``put_back`` it if it is not taken."""
        waiting, added = self._waiting[operator], self._added[operator]
        while not waiting:
            added.clear()
            await added.wait()
        return waiting.popleft()

    def put_back(self, message: FromPhone) -> None:
        """Let a message that nobody has acknowledged wait again, first of all."""
        self._waiting[message.operator].appendleft(message)
        self._added[message.operator].set()

    async def shown(self, message: ToPhone) -> str:
        """Show a message on its telephone; return our name for it."""
        self._messages += 1
        message_id = f"c{self._messages}"
        await self._show(message)
        return message_id


class _Session:
    """One connection: who is bound, what is offered to it, what it submits."""

    def __init__(self, centre: MessageCentre, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._centre = centre
        self._link = Link(reader, writer, handle=self._handle, window=WINDOW, times=TIMES)
        self._operator = ""
        self._receives = self._transmits = False
        self._entered = asyncio.Event()
        self._joiner = Joiner()
        self._receipts: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve the connection until it ends."""
        offering = asyncio.create_task(self._offer(), name="sms-centre-offer")
        try:
            await self._link.run()
        finally:
            for task in (offering, *self._receipts):
                task.cancel()
            await asyncio.gather(offering, *self._receipts, return_exceptions=True)
            if self._operator:
                self._centre.entered(self._operator, -1)

    async def _handle(self, pdu: Pdu) -> Pdu:
        if pdu.command in _BINDS:
            return self._enter(pdu)
        if pdu.command != Command.SUBMIT_SM:
            return no_such_command(pdu)
        if not self._transmits:
            return smpp_pdu.answer(pdu, Status.WRONG_BIND_STATE)
        return await self._submit(pdu)

    def _enter(self, pdu: Pdu) -> Pdu:
        bind = smpp_pdu.read_bind(pdu.body)
        if self._operator:
            return smpp_pdu.answer(pdu, Status.ALREADY_BOUND)
        if not self._centre.may_enter(bind):
            return smpp_pdu.answer(pdu, Status.INVALID_PASSWORD)
        self._operator = bind.system_id
        self._receives = pdu.command != Command.BIND_TRANSMITTER
        self._transmits = pdu.command != Command.BIND_RECEIVER
        self._centre.entered(self._operator, 1)
        self._entered.set()
        return smpp_pdu.answer(pdu, body=smpp_pdu.c_string("demo"))

    async def _submit(self, pdu: Pdu) -> Pdu:
        message = smpp_pdu.read_message(pdu)
        number = "+" + message.destination.value.removeprefix("+")
        try:
            part = sms_segments.read_part(message)
            content = self._joiner.add(number, part, wall_ms())
            text = None if content is None else sms_segments.read_text(content, part.data_coding, Alphabet.GSM)
        except SegmentError:
            return smpp_pdu.answer(pdu, Status.SUBMIT_FAILED)
        message_id = f"p{pdu.sequence}"
        if text is not None:
            message_id = await self._centre.shown(
                ToPhone(number=number, short_code=message.source.value, text=text, parts=part.total)
            )
        if message.registered_delivery:
            task = asyncio.create_task(self._send_receipt(message, message_id), name="sms-centre-receipt")
            self._receipts.add(task)
            task.add_done_callback(self._receipts.discard)
        return smpp_pdu.answer(pdu, body=smpp_pdu.c_string(message_id))

    async def _send_receipt(self, message: ShortMessage, message_id: str) -> None:
        await asyncio.sleep(RECEIPT_AFTER_S)
        receipt = ShortMessage(
            source=message.destination,
            destination=message.source,
            content=_RECEIPT.format(id=message_id).encode(),
            esm_class=_ESM_RECEIPT,
            parameters={
                Tag.RECEIPTED_MESSAGE_ID: smpp_pdu.c_string(message_id),
                Tag.MESSAGE_STATE: bytes((_DELIVERED,)),
            },
        )
        with contextlib.suppress(LinkLostError):
            await self._link.ask(functools.partial(smpp_pdu.message_pdu, Command.DELIVER_SM, receipt))

    async def _offer(self) -> None:
        """Offer what telephones send, one after the other, until each is acknowledged."""
        try:
            async with asyncio.timeout(ENTER_MAX_S):
                await self._entered.wait()
        except TimeoutError:
            await self._link.close()
            return
        while self._receives:
            message = await self._centre.next_of(self._operator)
            taken = False
            try:
                taken = await self._deliver(message)
            except LinkLostError:
                return
            finally:
                if not taken:
                    self._centre.put_back(message)
            if not taken:
                await asyncio.sleep(OFFER_AGAIN_S)

    async def _deliver(self, message: FromPhone) -> bool:
        for part in sms_segments.split(message.text, zlib.crc32(message.message_id.encode())):
            short = ShortMessage(
                source=Address(value=message.number.removeprefix("+"), ton=1, npi=1),
                destination=Address(value=message.short_code, ton=3),
                content=part.with_header,
                esm_class=part.esm_class,
                data_coding=part.data_coding,
                parameters={Tag.RECEIPTED_MESSAGE_ID: smpp_pdu.c_string(message.message_id)},
            )
            answer = await self._link.ask(functools.partial(smpp_pdu.message_pdu, Command.DELIVER_SM, short))
            if answer.status != Status.OK:
                return False
        return True
