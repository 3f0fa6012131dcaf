"""One SMPP connection, seen from either end: ask and await the answer, answer what is asked, notice when it is dead.

A request is answered when its handler returns, not when it is read: so the handler of a deliver_sm can store it first,
and a peer that hears nothing sends it again. Requests are handled side by side up to a bound; one more is answered
"throttled", so that the line is always read and answers to our own requests never wait behind them. Our own wait for a
place in the window. Any byte is a sign of life; silence is asked (enquire_link), and no
answer ends the link. Times are seconds of the wall: the peer's are too.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from fare.gateways import smpp_pdu
from fare.gateways.smpp_pdu import Command, Frames, Pdu, PduError, Status

READ_MAX: Final = 65_536
HANDLED_MAX: Final = 200  # requests of the peer under way; centres agree to windows of ten to a hundred
CLOSE_MAX_S: Final = 1.0

Handle = Callable[[Pdu], Awaitable[Pdu | None]]  # the answer; None: none is given, and the peer will ask again
Encode = Callable[[int], bytes]  # sequence number → the whole PDU


class LinkLostError(ConnectionError):
    """The connection ended, or its peer does not answer; what was asked may or may not have been done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkTimes:
    """How long to wait, in seconds (SMPP 3.4 section 7.2: response timer and enquire link timer)."""

    answer_s: float = 10.0
    silence_s: float = 30.0


class Link:
    """One connection. ``run`` reads until it ends; ``ask`` works while it runs."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        handle: Handle,
        window: int,
        times: LinkTimes,
    ) -> None:
        self._reader, self._writer, self._handle, self._times = reader, writer, handle, times
        self._window = asyncio.Semaphore(window)
        self._handled = asyncio.Semaphore(HANDLED_MAX)
        self._waiting: dict[int, asyncio.Future[Pdu]] = {}
        self._sequence = 0
        self._heard = asyncio.Event()
        self._ended = False

    async def ask(self, encode: Encode) -> Pdu:
        """Return the answer to the request that ``encode`` makes.

        Raises:
            LinkLostError: if the link ends first or no answer comes in time.
        """
        async with self._window:
            return await self._ask(encode)

    async def ask_plainly(self, command: Command, body: bytes = b"") -> Pdu:
        """Return the answer to a request of header and ``body``, outside the window: enquire_link and unbind."""
        return await self._ask(
            lambda sequence: smpp_pdu.encode(Pdu(command=command, sequence=sequence, body=body)),
        )

    async def run(self) -> None:
        """Read, answer and watch until the link ends, for whatever reason.

        What is being handled then is cancelled: its answer would reach nobody, so the peer will ask again.

        Raises:
            PduError: if the peer sends what is no PDU.
            LinkLostError: if it does not answer an enquire_link.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                working = {tasks.create_task(self._watch(), name="smpp-watch")}
                await self._read(tasks, working)
                for task in tuple(working):
                    task.cancel()
        except BaseExceptionGroup as errors:
            raise _first_of(errors) from None
        finally:
            self._end()

    async def close(self) -> None:
        """Say unbind, if the peer still listens, and end."""
        if not self._ended:
            with contextlib.suppress(LinkLostError, TimeoutError):
                async with asyncio.timeout(CLOSE_MAX_S):
                    await self.ask_plainly(Command.UNBIND)
        self._end()

    async def _ask(self, encode: Encode) -> Pdu:
        if self._ended:
            raise LinkLostError("smpp: the link has ended")
        self._sequence = self._sequence % smpp_pdu.SEQUENCE_MAX + 1
        sequence = self._sequence
        answer: asyncio.Future[Pdu] = asyncio.get_running_loop().create_future()
        self._waiting[sequence] = answer
        try:
            async with asyncio.timeout(self._times.answer_s):
                await self._write(encode(sequence))
                return await answer
        except TimeoutError as error:
            raise LinkLostError(f"smpp: no answer within {self._times.answer_s} s") from error
        finally:
            self._waiting.pop(sequence, None)

    async def _write(self, wire: bytes) -> None:
        try:
            self._writer.write(wire)
            await self._writer.drain()
        except ConnectionError as error:
            raise LinkLostError(f"smpp: {error or type(error).__name__}") from error

    async def _read(self, tasks: asyncio.TaskGroup, working: set[asyncio.Task[None]]) -> None:
        frames = Frames()
        while True:
            try:
                chunk = await self._reader.read(READ_MAX)
            except OSError:
                return
            if not chunk:
                return
            self._heard.set()
            try:
                pdus = frames.feed(chunk)
            except PduError as error:
                await self._nack(error)
                raise
            for pdu in pdus:
                if not await self._take(pdu, tasks, working):
                    return

    async def _take(self, pdu: Pdu, tasks: asyncio.TaskGroup, working: set[asyncio.Task[None]]) -> bool:
        """Take one PDU; False ends the link."""
        if pdu.is_answer:
            waiting = self._waiting.get(pdu.sequence)
            if waiting is not None and not waiting.done():  # else it comes late, or answers nothing
                waiting.set_result(pdu)
            return True
        if pdu.command in (Command.ENQUIRE_LINK, Command.UNBIND):
            await self._write(smpp_pdu.encode(smpp_pdu.answer(pdu)))
            return pdu.command == Command.ENQUIRE_LINK
        if self._handled.locked():
            await self._write(smpp_pdu.encode(smpp_pdu.answer(pdu, Status.THROTTLED)))
            return True
        await self._handled.acquire()
        task = tasks.create_task(self._answer(pdu), name="smpp-request")
        working.add(task)
        task.add_done_callback(working.discard)
        return True

    async def _answer(self, pdu: Pdu) -> None:
        try:
            try:
                answer = await self._handle(pdu)
            except PduError as error:
                answer = smpp_pdu.answer(pdu, error.status)
            if answer is not None and not self._ended:
                with contextlib.suppress(LinkLostError):  # the peer has gone: it will ask again
                    await self._write(smpp_pdu.encode(answer))
        finally:
            self._handled.release()

    async def _nack(self, error: PduError) -> None:
        nack = Pdu(command=Command.GENERIC_NACK, status=error.status, sequence=error.sequence)
        with contextlib.suppress(LinkLostError):
            await self._write(smpp_pdu.encode(nack))

    async def _watch(self) -> None:
        while True:
            self._heard.clear()
            try:
                async with asyncio.timeout(self._times.silence_s):
                    await self._heard.wait()
            except TimeoutError:
                await self.ask_plainly(Command.ENQUIRE_LINK)

    def _end(self) -> None:
        self._ended = True
        self._writer.close()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(LinkLostError("smpp: the link has ended"))


def _first_of(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def no_such_command(pdu: Pdu) -> Pdu:
    """Return the answer to a request that nobody here serves."""
    return Pdu(command=Command.GENERIC_NACK, status=Status.INVALID_COMMAND, sequence=pdu.sequence)
