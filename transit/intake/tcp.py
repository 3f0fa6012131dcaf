"""TCP server for one protocol: bytes to the decoder, fixes to Redis, then the reply.

A connection reads no further while its last packets are not stored, so a slow store slows the trackers instead of
filling our memory. Closing: no new bytes are taken, what is under way is stored, its replies go out, connections end.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final, cast

from commons.clock import monotonic_s
from commons.logs import get_logger
from transit.intake.devices import Device
from transit.intake.reception import Reception
from transit.protocols._base import Decoded, Decoder, FramingError, Refusal, TcpProtocol

CHUNK_MAX: Final = 65_536
SWEEP_S: Final = 5.0
LAST_REPLY_S: Final = 1.0
LATE_ANSWER_S: Final = 3.0  # to an address that fails too often
PAUSE_MAX_S: Final = 1.0  # a device that is too fast is held back in steps, so that closing need not wait
BACKLOG: Final = 1_024

_log = get_logger(__name__)


class _Session:
    """One connection."""

    def __init__(
        self, protocol: TcpProtocol, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str
    ) -> None:
        self.protocol = protocol.name
        self.decoder: Decoder = protocol.new_decoder()
        self.reader = reader
        self.writer = writer
        self.address = address
        self.device: Device | None = None
        self.heard_s = monotonic_s()
        self.task: asyncio.Task[None] | None = None
        self.storing = False
        self.closing = False

    def close(self) -> None:
        """Take no new bytes; what is under way is finished first."""
        self.closing = True
        # bytes that came after the end would break the stream
        cast("asyncio.Transport", self.writer.transport).pause_reading()
        self.reader.feed_eof()


class TcpServer:
    """All connections of one protocol."""

    def __init__(self, protocol: TcpProtocol, reception: Reception, tasks: asyncio.TaskGroup) -> None:
        self._protocol = protocol
        self._reception = reception
        self._tasks = tasks
        self._sessions: set[_Session] = set()
        self._by_device: dict[str, _Session] = {}

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Start the session of a new connection, or end it at once when there are too many."""
        peer = writer.get_extra_info("peername")
        if len(self._sessions) >= self._reception.settings.connections_max:
            self._reception.count_refused(self._protocol.name, (Refusal.TOO_MANY,))
            writer.transport.abort()
            return
        _keep_alive(writer.get_extra_info("socket"))
        session = _Session(self._protocol, reader, writer, str(peer[0]) if peer else "")
        self._sessions.add(session)
        session.task = self._tasks.create_task(self._run(session), name=f"{self._protocol.name} {session.address}")

    def close(self) -> None:
        """Let every session finish what is under way."""
        for session in self._sessions:
            session.close()

    async def sweep(self) -> None:
        """End connections that say nothing, for ever."""
        settings = self._reception.settings
        while True:
            await asyncio.sleep(SWEEP_S)
            now_s = monotonic_s()
            for session in self._sessions:
                allowed_s = settings.idle_s if session.device else settings.sign_in_s
                if not session.storing and now_s - session.heard_s > allowed_s:
                    session.writer.transport.abort()
            self._count_connections()

    async def _run(self, session: _Session) -> None:
        self._count_connections()
        try:
            while chunk := await session.reader.read(CHUNK_MAX):
                if session.closing:
                    break
                session.heard_s = monotonic_s()
                received_ms = self._reception.now_ms()
                if not await self._handle(session, session.decoder.feed(chunk, received_ms), received_ms):
                    break
        except FramingError as error:
            self._reception.count_refused(session.protocol, (Refusal.STRUCTURE,))
            _log.warning("connection ended", error=str(error), device=_name(session), address=session.address)
        except OSError:
            pass  # the tracker went away; it sends again what was not acknowledged
        except Exception as error:  # noqa: BLE001 - top of a session: not stored means not acknowledged, nothing more
            self._reception.metrics.count("role_errors_total", role="intake", where="session")
            _log.error("connection ended", error=repr(error), device=_name(session), address=session.address)
        finally:
            self._sessions.discard(session)
            if session.device and self._by_device.get(session.device.device_id) is session:
                del self._by_device[session.device.device_id]
            self._count_connections()
            session.writer.close()
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(LAST_REPLY_S):
                    await session.writer.wait_closed()  # the last reply is on its way

    async def _handle(self, session: _Session, decoded: Decoded, received_ms: int) -> bool:
        """Store, reply and sign in, in this order, until the decoder wants new bytes; return whether to go on."""
        while True:
            if decoded.refused:
                self._reception.count_refused(session.protocol, decoded.refused)
            if decoded.fixes and not await self._store(session, decoded, received_ms):
                return False
            if decoded.reply:
                session.writer.write(decoded.reply)
                await session.writer.drain()
            if decoded.close:
                return False
            if decoded.sign_in is None:
                return True
            found, too_often = self._reception.sign_in(session.protocol, decoded.sign_in, session.address)
            if isinstance(found, Device):
                self._signed_in(session, found)
                decoded = session.decoder.accept()
            else:
                if too_often:
                    await asyncio.sleep(LATE_ANSWER_S)
                decoded = session.decoder.refuse(found)

    async def _store(self, session: _Session, decoded: Decoded, received_ms: int) -> bool:
        """Store the fixes; return False if the device may no longer report."""
        device = self._reception.current(session.device.device_id) if session.device else None
        if device is None:
            self._reception.count_refused(session.protocol, [Refusal.DISABLED_DEVICE] * len(decoded.fixes))
            return False
        ahead_s = self._reception.ahead_s(device, len(decoded.fixes))
        session.storing = True
        try:
            await self._reception.store(session.protocol, device, decoded.fixes, received_ms)
            while ahead_s > 0 and not session.closing:  # too fast: its answer comes late, and we read no further
                await asyncio.sleep(min(ahead_s, PAUSE_MAX_S))
                ahead_s -= PAUSE_MAX_S
        finally:
            session.storing = False
            session.heard_s = monotonic_s()
        return True

    def _signed_in(self, session: _Session, device: Device) -> None:
        """Let the newest connection of a device win: the older one is a dead line that we have not noticed yet."""
        if session.device and self._by_device.get(session.device.device_id) is session:
            del self._by_device[session.device.device_id]
        older = self._by_device.get(device.device_id)
        if older is not None and older.task is not None:
            older.task.cancel()  # also while it waits for Redis: nobody is left to hear the answer
        session.device = device
        self._by_device[device.device_id] = session

    def _count_connections(self) -> None:
        self._reception.metrics.set("intake_connections", len(self._sessions), protocol=self._protocol.name)


@asynccontextmanager
async def serve_tcp(protocol: TcpProtocol, port: int, reception: Reception) -> AsyncIterator[int]:
    """Serve ``protocol`` while the block runs; gives the port.

    Raises:
        OSError: if the port cannot be had.
    """
    async with asyncio.TaskGroup() as tasks:
        sessions = TcpServer(protocol, reception, tasks)
        listener = await asyncio.start_server(
            sessions.connected,
            reception.settings.host,
            port,
            limit=CHUNK_MAX,
            backlog=BACKLOG,
            reuse_address=True,
        )
        sweeper = tasks.create_task(sessions.sweep(), name=f"{protocol.name} sweep")
        try:
            yield int(listener.sockets[0].getsockname()[1])
        finally:
            sweeper.cancel()
            listener.close()
            sessions.close()


def _keep_alive(connection: socket.socket | None) -> None:
    """Let the kernel find dead lines in about two minutes; where an option is missing, the idle limit remains."""
    if connection is None:
        return
    with suppress(OSError, AttributeError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 20)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)


def _name(session: _Session) -> str:
    return session.device.device_id if session.device else ""
