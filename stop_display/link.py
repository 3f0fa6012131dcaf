"""One board's socket: frames that are made already are written to it directly, as the same bytes for all boards.

Nothing waits for a board. What it does not take stays in its buffer; a board with too much there, or of which nothing
was taken for long, is let go, so that it slows nobody, and comes back fresh.
"""

import asyncio
from typing import Final

from aiohttp import WSCloseCode, web

from stop_display.outcomes import Drop

BEHIND_MAX_BYTES: Final = 400_000  # some hundred messages; twenty snapshots of busy stops
STALLED_MAX_S: Final = 10.0


def code_of(reason: Drop) -> WSCloseCode:
    """Return the code that says why a conversation ends."""
    match reason:
        case Drop.STOPPING:
            return WSCloseCode.SERVICE_RESTART
        case Drop.ADDRESS_FULL:
            return WSCloseCode.TRY_AGAIN_LATER
        case _:
            return WSCloseCode.POLICY_VIOLATION


class Link:
    """The server's end of one WebSocket. ``drop``: why we end it, once we do."""

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport) -> None:
        self._socket = socket
        self._transport = transport
        self._written = 0
        self._taken = 0
        self._taken_s: float | None = None  # since when nothing more was taken, None: nothing waits
        self._closing: asyncio.Task[object] | None = None
        self.drop: Drop | None = None

    def send(self, frame: bytes) -> None:
        """Write ``frame``; after the end of the conversation nothing is written."""
        if self.drop is not None or self._transport.is_closing():
            return
        self._transport.write(frame)
        self._written += len(frame)
        if self._transport.get_write_buffer_size() > BEHIND_MAX_BYTES:
            self.abort(Drop.SLOW)

    def look(self, now_s: float) -> None:
        """Let a board go that has not taken anything of what waits for it for long. Call it now and then."""
        waiting = self._transport.get_write_buffer_size()
        taken = self._written - waiting
        if not waiting or taken != self._taken or self._taken_s is None:
            self._taken, self._taken_s = taken, now_s if waiting else None
        elif now_s - self._taken_s >= STALLED_MAX_S:
            self.abort(Drop.SLOW)

    def abort(self, reason: Drop) -> None:
        """End it at once; what was not taken is lost."""
        self.drop = self.drop or reason
        self._transport.abort()

    def hang_up(self, reason: Drop) -> None:
        """End it in order: what was sent is taken, then the code says why."""
        if self._closing is None:
            self.drop = self.drop or reason
            self._closing = asyncio.create_task(self._close(code_of(reason)), name="board-close")

    async def closed(self) -> None:
        """Wait until it has ended, if it was hung up."""
        if self._closing is not None:
            await asyncio.wait([self._closing])

    async def _close(self, code: WSCloseCode) -> None:
        try:
            async with asyncio.timeout(STALLED_MAX_S):
                await self._socket.close(code=code)
        except (TimeoutError, ConnectionError):
            self._transport.abort()
