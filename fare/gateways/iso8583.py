"""An acquirer that speaks ISO 8583 over one TCP connection, which is held open, tested and opened again.

Many requests are under way at once on the connection; answers are joined to them by number, time and terminal;
what nobody waits for any more is counted as late and changes nothing. What stays without an answer is owed: an
authorisation or a refund is reversed, a capture or a reversal is said again, until the acquirer answers, also after a
restart (``AttemptLog.owed``).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final, Literal

import msgspec

from commons.clock import Clock
from commons.logs import get_logger
from commons.metrics import Metrics
from fare.gateways import iso8583_messages as messages
from fare.gateways.acquirer import (
    Asked,
    Attempt,
    AttemptLog,
    CardRequest,
    CardResult,
    KeyReusedError,
    Trace,
    check_follows,
    reversal_of,
)
from fare.gateways.iso8583_messages import LENGTH_BYTES, MESSAGE_MAX, Dialect, Message, MessageError
from fare.model import JournalKey
from fare.risk.values import Answered, Decline

log = get_logger(__name__)

UNDER_WAY_MAX: Final = 512
REPEAT_FACTOR: Final = 2.0
REPEAT_MAX_S: Final = 300.0

_ADVICES: Final = frozenset({Asked.CAPTURE, Asked.REVERSE})  # said again until answered; others are taken back
_NOT_SENT: Final = CardResult(answered=Answered.NOT_SENT)

_Known = tuple[str, str, str, str]


class Iso8583Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the acquirer is and how long we wait. Durations are seconds."""

    host: str
    port: int
    merchant_id: str
    reversal: Literal["0400", "0420"] = "0400"
    answer_s: float = 15.0
    connect_s: float = 10.0
    reconnect_s: float = 1.0
    echo_s: float = 60.0  # an idle connection is tested this often
    repeat_s: float = 10.0  # before the first repeat of what is owed; then longer, up to five minutes


class Iso8583Acquirer:
    """The acquirer. ``run`` holds the connection and works off what is owed; without it nothing is sent."""

    def __init__(self, settings: Iso8583Settings, attempts: AttemptLog, clock: Clock, metrics: Metrics) -> None:
        self._settings = settings
        self._dialect = Dialect(merchant_id=settings.merchant_id, reversal=settings.reversal)
        self._attempts = attempts
        self._clock = clock
        self._metrics = metrics
        self._writer: asyncio.StreamWriter | None = None
        self._connected = asyncio.Event()
        self._waiting: dict[_Known, asyncio.Future[Message]] = {}
        self._owed: asyncio.Queue[Attempt] = asyncio.Queue()
        self._owing: set[JournalKey] = set()
        self._room = asyncio.Semaphore(UNDER_WAY_MAX)
        self._network_stan = 0

    async def ask(self, request: CardRequest) -> CardResult:
        """Return what became of ``request``; see ``Acquirer.ask``."""
        original = await self._original(request)
        if original is not None and await self._attempts.find(request.key) is None:
            check_follows(request, original)
        if not self._connected.is_set():
            return await self._known(request)
        begun = await self._attempts.begin(request, self._clock.now_ms())
        if not begun.fresh:
            return begun.attempt.result or _unknown(begun.attempt)
        try:
            answer = await self._exchange(messages.of_attempt(begun.attempt, original, self._dialect))
        except asyncio.CancelledError:
            self._owe(begun.attempt)  # whoever asked has gone; what was sent has not
            raise
        if answer is None:
            unknown = _unknown(begun.attempt)
            await self._finish(begun.attempt, unknown)
            self._owe(begun.attempt)
            return unknown
        result = messages.result_of(answer)
        await self._finish(begun.attempt, result)
        return result

    async def run(self) -> None:
        """Hold the connection and work off what is owed, until cancelled."""
        for attempt in await self._attempts.owed():
            self._owe(attempt)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._hold_connection(), name="acquirer-connection")
            while True:
                attempt = await self._owed.get()
                tasks.create_task(self._work_off(attempt), name=f"acquirer-owed-{attempt.request.key}")

    async def connected(self) -> None:
        """Return once requests can be sent."""
        await self._connected.wait()

    async def _known(self, request: CardRequest) -> CardResult:
        """Return the answer to ``request`` while nothing can be sent."""
        kept = await self._attempts.find(request.key)
        if kept is None:
            return _NOT_SENT
        if kept.request != request:
            raise KeyReusedError(request.key)
        return kept.result or _unknown(kept)

    async def _original(self, request: CardRequest) -> Attempt | None:
        if request.original is None:
            return None
        original = await self._attempts.find(request.original)
        if original is None:
            raise LookupError(f"card request {request.key}: original {request.original} is not known")
        return original

    async def _finish(self, attempt: Attempt, result: CardResult) -> None:
        """Keep ``result``; what a reversal has taken back is reversed from then on."""
        request = attempt.request
        await self._attempts.finish(request.key, result)
        if request.asked is Asked.REVERSE and request.original and result.answered is Answered.APPROVED:
            await self._attempts.finish(request.original, msgspec.structs.replace(result, answered=Answered.REVERSED))
        self._metrics.count("acquirer_requests_total", asked=request.asked.value, answered=result.answered.value)

    # What is owed

    def _owe(self, attempt: Attempt) -> None:
        if attempt.request.key not in self._owing:
            self._owing.add(attempt.request.key)
            self._owed.put_nowait(attempt)
            self._metrics.set("acquirer_owed", len(self._owing))

    async def _work_off(self, attempt: Attempt) -> None:
        """Settle ``attempt``, however long it takes: an advice is said again, anything else is reversed."""
        advice, first = attempt, False
        if attempt.request.asked not in _ADVICES:
            begun = await self._attempts.begin(reversal_of(attempt.request), self._clock.now_ms())
            advice, first = begun.attempt, begun.fresh
        message = messages.of_attempt(advice, await self._original(advice.request), self._dialect)
        pause_s = self._settings.repeat_s
        while (result := await self._said(message, first=first)) is None:
            first = False
            log.warning("acquirer does not answer for what is owed", key=advice.request.key, again_in_s=pause_s)
            await self._clock.sleep(pause_s)
            pause_s = min(pause_s * REPEAT_FACTOR, REPEAT_MAX_S)
        await self._finish(advice, result)
        self._owing.discard(attempt.request.key)
        self._metrics.set("acquirer_owed", len(self._owing))

    async def _said(self, advice: Message, *, first: bool) -> CardResult | None:
        """Return what the acquirer says to ``advice``; None: nothing, or that it cannot now."""
        await self._connected.wait()
        answer = await self._exchange(advice if first else messages.said_again(advice))
        if answer is None:
            return None
        result = messages.result_of(answer)
        return None if result.decline is Decline.ISSUER_UNAVAILABLE else result

    # The connection

    async def _exchange(self, message: Message) -> Message | None:
        """Send ``message`` and return its answer, None if none came in time or the connection broke."""
        known = messages.answers(message)
        async with self._room:
            writer = self._writer
            if writer is None:
                return None
            answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
            self._waiting[known] = answer
            try:
                async with asyncio.timeout(self._settings.answer_s):
                    writer.write(messages.encoded(message))
                    await writer.drain()
                    return await answer
            except (TimeoutError, ConnectionError):
                return None
            finally:
                self._waiting.pop(known, None)

    async def _hold_connection(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._settings.connect_s):
                    reader, writer = await asyncio.open_connection(self._settings.host, self._settings.port)
            except (OSError, TimeoutError) as error:
                log.warning("acquirer cannot be reached", reason=str(error) or type(error).__name__)
            else:
                await self._session(reader, writer)
            await self._clock.sleep(self._settings.reconnect_s)

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Sign on, then read answers and test the line until it breaks."""
        self._writer = writer
        reading = asyncio.create_task(self._read(reader), name="acquirer-answers")
        testing = asyncio.create_task(self._test_line(), name="acquirer-line")
        try:
            await asyncio.wait({reading, testing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._connected.clear()
            self._writer = None
            for task in (reading, testing):
                task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(reading, testing, return_exceptions=True)
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(ConnectionResetError("the acquirer hung up"))
            writer.close()

    async def _test_line(self) -> None:
        """Sign on and echo; returning ends the session."""
        code = messages.SIGN_ON
        while True:
            self._network_stan = self._network_stan % messages.STAN_MAX + 1
            trace = Trace(stan=self._network_stan, sent_ms=self._clock.now_ms())
            answer = await self._exchange(messages.network_management(code, trace))
            if answer is None or answer.get("39") != messages.APPROVED:
                log.warning("acquirer refuses the line", code=code, answer=None if answer is None else answer.get("39"))
                return
            self._connected.set()
            code = messages.ECHO
            await self._clock.sleep(self._settings.echo_s)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        """Give answers to those who wait; returning ends the session."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                length = int.from_bytes(await reader.readexactly(LENGTH_BYTES), "big")
                if not 0 < length <= MESSAGE_MAX:
                    log.error("acquirer sends no message", length=length)
                    return
                try:
                    message = messages.decoded(await reader.readexactly(length))
                except MessageError as error:
                    log.error("acquirer sends no message", reason=str(error))  # noqa: TRY400 - bytes may be private
                    return
                if message["t"] == "0800" and self._writer is not None:
                    self._writer.write(messages.encoded(messages.answered(message)))
                    continue
                waiting = self._waiting.get(messages.is_answer(message))
                if waiting is None or waiting.done():
                    self._metrics.count("acquirer_late_answers_total", mti=message["t"])
                else:
                    waiting.set_result(message)


@asynccontextmanager
async def open_acquirer(
    settings: Iso8583Settings, attempts: AttemptLog, clock: Clock, metrics: Metrics
) -> AsyncIterator[Iso8583Acquirer]:
    """Run the acquirer's connection while the block runs."""
    acquirer = Iso8583Acquirer(settings, attempts, clock, metrics)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(acquirer.run(), name="acquirer")
        try:
            yield acquirer
        finally:
            running.cancel()


def _unknown(attempt: Attempt) -> CardResult:
    """Return that nothing is known yet of ``attempt``, but the reference that it goes by in the acquirer's books."""
    return CardResult(answered=Answered.UNKNOWN, reference=messages.reference(attempt.trace))
