"""SMPP 3.4 client: one bind to one operator's message centre, kept up for as long as it is wanted.

A rider's message is acknowledged once it is durable; until then the centre keeps it and offers it again, to us or to
our successor. Answers go out within the window that was agreed, no faster than the pace; a centre that throttles is
obeyed. A bind that breaks or is refused is tried again, ever more slowly and never in step with others.

SMPP proves no sender: a source address is whatever the centre wrote. What can be trusted is which bind it came through,
so the bind's name is the operator of everything that it brings. Source: SMPP v3.4 issue 1.2; codec by ``smpp34``, whose
own client answers a deliver_sm before anybody has seen it.
"""

import asyncio
import functools
import ssl
from collections.abc import Callable
from typing import Final

import msgspec

from commons.clock import Clock, monotonic_s
from commons.logs import get_logger
from commons.metrics import Metrics
from fare.gateways import smpp_pdu, sms_segments
from fare.gateways.smpp_link import Link, LinkLostError, LinkTimes, no_such_command
from fare.gateways.smpp_pace import STEADY_S, Pace, rebind_pause_s
from fare.gateways.smpp_pdu import Address, Bind, Command, Pdu, PduError, ShortMessage, Status, Tag
from fare.gateways.smpp_receipts import read_receipt
from fare.gateways.sms_desk import Brought, Door, Handed, Handing, send_due
from fare.gateways.sms_segments import Alphabet, Joiner, SegmentError
from fare.sms.values import Outgoing

CONNECT_MAX_S: Final = 10.0
TRIES: Final = 5  # of one message on one bind, before it waits for its next turn
RECEIPT_WANTED: Final = 1  # registered_delivery: of success and of failure
INTERNATIONAL: Final = 1  # type of number
NETWORK_SPECIFIC: Final = 3  # that of a short code
ISDN: Final = 1  # numbering plan

_SLOWER: Final = frozenset({Status.THROTTLED, Status.QUEUE_FULL, Status.SYSTEM_ERROR, Status.TEMPORARY_ERROR})
_ALONE: Final = (Command.BIND_TRANSCEIVER,)
_PAIR: Final = (Command.BIND_TRANSMITTER, Command.BIND_RECEIVER)
_ANSWER_BODY: Final = b"\0"  # deliver_sm_resp: message_id, unused

_log = get_logger(__name__)


class SmppBind(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was agreed with one operator.

    Raises:
        ValueError: if a number is out of bounds.
    """

    operator: str  # our name for it: of its account, its metrics, its messages
    host: str
    port: int = 2775
    system_id: str
    password: str
    system_type: str = ""
    address_range: str = ""
    window: int = 10  # messages without an answer yet
    per_s: float = 20.0  # messages per second
    default_alphabet: Alphabet = Alphabet.GSM
    pair: bool = False  # two binds, to send and to receive, where the centre has no transceivers
    tls: bool = False
    tls_authority: str = ""  # file of the certificate authority; empty: the machine's

    def __post_init__(self) -> None:
        """Refuse what no centre agrees to."""
        if not 1 <= self.window <= 1_000:
            raise ValueError(f"smpp {self.operator}: window must be from 1 to 1000: {self.window}")
        if not 0 < self.per_s <= 10_000:
            raise ValueError(f"smpp {self.operator}: per_s must be above 0, at most 10000: {self.per_s}")

    def __repr__(self) -> str:
        """Show whose it is, and no secret."""
        return f"SmppBind({self.operator}: {self.system_id} at {self.host}:{self.port})"


class BindRefusedError(Exception):
    """The centre does not let us in; ``status`` says why."""

    def __init__(self, operator: str, status: int) -> None:
        super().__init__(f"smpp {operator}: bind refused with status {status:#x}")
        self.status = status


class SmppClient:
    """One bind. ``run`` keeps it up; ``chance`` gives numbers in [0, 1)."""

    def __init__(
        self,
        bind: SmppBind,
        door: Door,
        *,
        chance: Callable[[], float],
        clock: Clock,
        metrics: Metrics,
        times: LinkTimes = LinkTimes(),  # noqa: B008 - frozen
    ) -> None:
        self._bind, self._door, self._chance = bind, door, chance
        self._clock, self._metrics, self._times = clock, metrics, times
        self._pace = Pace(bind.per_s)
        self._joiner = Joiner()
        self._reference = int(chance() * 256)
        self._is_bound = False

    @property
    def is_bound(self) -> bool:
        """Return whether messages go through now."""
        return self._is_bound

    async def run(self) -> None:
        """Bind, serve, and bind again, until cancelled."""
        failures = 0
        while True:
            began_s = monotonic_s()
            try:
                await self._session()
                reason = "the centre ended the link"
            except (OSError, TimeoutError, PduError, BindRefusedError) as error:
                reason = str(error) or type(error).__name__
            except Exception as error:  # noqa: BLE001 - the top of a bind: counted, logged, survived
                reason = repr(error)
            failures = 1 if monotonic_s() - began_s >= STEADY_S else failures + 1
            pause_s = rebind_pause_s(failures, self._chance())
            self._metrics.count("sms_binds_lost_total", operator=self._bind.operator)
            _log.warning("not bound", operator=self._bind.operator, reason=reason, again_in_s=round(pause_s, 1))
            await asyncio.sleep(pause_s)

    async def _session(self) -> None:
        """Bind and serve until the first of its links ends."""
        links: list[Link] = []
        working: list[asyncio.Task[None]] = []
        try:
            for command in _PAIR if self._bind.pair else _ALONE:
                link = await self._connect()
                links.append(link)
                working.append(asyncio.create_task(link.run(), name=f"smpp-{self._bind.operator}"))
                await self._enter(link, command)
            self._tell(bound=True)
            sending = self._send_due(links[0])
            working.append(asyncio.create_task(sending, name=f"smpp-{self._bind.operator}-send"))
            await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._tell(bound=False)
            for link in links:
                await link.close()
            for task in working:
                task.cancel()
            results = await asyncio.gather(*working, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _connect(self) -> Link:
        bind = self._bind
        tls = ssl.create_default_context(cafile=bind.tls_authority or None) if bind.tls else None
        async with asyncio.timeout(CONNECT_MAX_S):
            reader, writer = await asyncio.open_connection(bind.host, bind.port, ssl=tls)
        return Link(reader, writer, handle=self._handle, window=bind.window, times=self._times)

    async def _enter(self, link: Link, command: Command) -> None:
        bind = self._bind
        body = smpp_pdu.bind_body(
            Bind(
                system_id=bind.system_id,
                password=bind.password,
                system_type=bind.system_type,
                address_range=bind.address_range,
            )
        )
        answer = await link.ask_plainly(command, body)
        if answer.status != Status.OK:
            raise BindRefusedError(bind.operator, answer.status)

    def _tell(self, *, bound: bool) -> None:
        if bound:
            _log.info("bound", operator=self._bind.operator)
        self._is_bound = bound
        self._metrics.set("sms_bound", int(bound), operator=self._bind.operator)

    # What the centre brings

    async def _handle(self, pdu: Pdu) -> Pdu | None:
        if pdu.command == Command.ALERT_NOTIFICATION:
            return None  # section 4.12: it has no answer
        if pdu.command != Command.DELIVER_SM:
            return no_such_command(pdu)
        message = smpp_pdu.read_message(pdu)
        try:
            if message.is_receipt:
                await self._take_receipt(message)
            else:
                await self._take_message(message)
        except Exception as error:  # noqa: BLE001 - not durable, hence not acknowledged: the centre offers it again
            self._metrics.count("sms_arrived_total", operator=self._bind.operator, outcome="not_stored")
            _log.warning("message waits at the centre", operator=self._bind.operator, error=repr(error))
            return smpp_pdu.answer(pdu, Status.TEMPORARY_ERROR)
        return smpp_pdu.answer(pdu, body=_ANSWER_BODY)

    async def _take_receipt(self, message: ShortMessage) -> None:
        receipt = read_receipt(message)
        if receipt is not None:
            await self._door.receipt(self._bind.operator, receipt.message_id, receipt.state)

    async def _take_message(self, message: ShortMessage) -> None:
        """Take a message, or a part of one. Parts are acknowledged as they come: a centre may send one at a time.

        They wait in memory: a crash between two parts loses a text that had too many letters for a command.
        """
        try:
            part = sms_segments.read_part(message)
            content = self._joiner.add(message.source.value, part, self._clock.now_ms())
            if content is None:
                return
            text = sms_segments.read_text(content, part.data_coding, self._bind.default_alphabet)
        except SegmentError as error:
            self._metrics.count("sms_arrived_total", operator=self._bind.operator, outcome=error.reason.value)
            return
        named = message.parameters.get(Tag.RECEIPTED_MESSAGE_ID, b"").rstrip(b"\0")
        self._metrics.count("sms_arrived_total", operator=self._bind.operator, outcome="text")
        await self._door.arrived(
            self._bind.operator,
            Brought(
                source=message.source.value,
                destination=message.destination.value,
                text=text,
                message_id=named.decode("ascii", "replace")[:64],
            ),
        )

    # What goes out

    async def _send_due(self, link: Link) -> None:
        await send_due(
            self._bind.operator,
            self._door,
            lambda outgoing: self._send(link, outgoing),
            at_once=self._bind.window,
            metrics=self._metrics,
        )

    async def _send(self, link: Link, outgoing: Outgoing) -> Handed:
        """Submit a text, part by part; its name is that of its last part, the only one with a receipt."""
        self._reference = (self._reference + 1) % 256
        handed = Handed(handing=Handing.REFUSED, reason="empty")
        parts = sms_segments.split(outgoing.text, self._reference) if outgoing.text else ()
        for part in parts:
            handed = await self._submit(
                link,
                ShortMessage(
                    source=Address(value=outgoing.short_code, ton=NETWORK_SPECIFIC),
                    destination=Address(value=outgoing.to.removeprefix("+"), ton=INTERNATIONAL, npi=ISDN),
                    content=part.with_header,
                    esm_class=part.esm_class,
                    data_coding=part.data_coding,
                    registered_delivery=RECEIPT_WANTED if part.number == part.total else 0,
                ),
            )
            if handed.handing is not Handing.HANDED_OVER:
                break
        return handed

    async def _submit(self, link: Link, message: ShortMessage) -> Handed:
        for _ in range(TRIES):
            await asyncio.sleep(self._pace.wait_s(monotonic_s()))
            answer = await link.ask(functools.partial(smpp_pdu.message_pdu, Command.SUBMIT_SM, message))
            if answer.status == Status.OK:
                self._pace.succeeded()
                message_id, _ = smpp_pdu.read_c_string(answer.body + b"\0")
                return Handed(handing=Handing.HANDED_OVER, message_id=message_id)
            if answer.status == Status.WRONG_BIND_STATE:
                raise LinkLostError("smpp: the centre has forgotten the bind")
            if answer.status not in _SLOWER:
                return Handed(handing=Handing.REFUSED, reason=f"status {answer.status:#x}")
            self._pace.throttled(monotonic_s())
            self._metrics.count("sms_throttled_total", operator=self._bind.operator)
        return Handed(handing=Handing.LATER, reason="throttled")
