"""A board as a program: subscribes, follows, comes back by itself after a cut and goes on where it was."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, WebSocketException

from commons.logs import get_logger
from stop_display.model import Ack, Change, Heartbeat, Hello, Refusal, Resume, Snapshot, Subscribe, ToBoard

PAUSE_FIRST_S: Final = 0.25
PAUSE_MAX_S: Final = 3.0  # a board is back within 5 s of its server
SILENCE_MAX_S: Final = 25.0  # two and a half heartbeats
OPEN_MAX_S: Final = 10.0

_decoder: Final = msgspec.json.Decoder(ToBoard)
_encoder: Final = msgspec.json.Encoder()
_log = get_logger(__name__)


class BoardClient:
    """One board. ``messages`` never ends; ``ack`` may be called while it runs."""

    def __init__(self, url: str, stop_ids: Sequence[str], *, board: str = "", jitter: random.Random) -> None:
        self._url = url
        self._stop_ids = list(stop_ids)
        self._board = board
        self._jitter = jitter
        self._session = ""
        self._sequence = 0
        self._acks: asyncio.Queue[Ack] = asyncio.Queue(1_000)

    def ack(self, sequence: int, painted_ms: int) -> None:
        """Tell the server, with its next message, that all up to ``sequence`` is shown; forgotten if it is cut off."""
        if not self._acks.full():
            self._acks.put_nowait(Ack(sequence=sequence, painted_ms=painted_ms))

    async def messages(self) -> AsyncIterator[ToBoard]:
        """Yield what the server says, for ever; connect again after every cut."""
        pause_s = PAUSE_FIRST_S
        while True:
            try:
                async for message in self._conversation():
                    pause_s = PAUSE_FIRST_S
                    yield message
            except (OSError, TimeoutError, InvalidHandshake, WebSocketException) as error:
                _log.info("board connects again", url=self._url, error=str(error), again_in_s=round(pause_s, 2))
            await asyncio.sleep(pause_s * self._jitter.uniform(0.5, 1.0))
            pause_s = min(pause_s * 2, PAUSE_MAX_S)

    async def _conversation(self) -> AsyncIterator[ToBoard]:
        async with connect(self._url, open_timeout=OPEN_MAX_S, compression=None, max_queue=256) as socket:
            self._acks = asyncio.Queue(self._acks.maxsize)  # those of before are of another connection, or session
            resume = Resume(session=self._session, sequence=self._sequence) if self._session else None
            subscribe = Subscribe(stops=self._stop_ids, resume=resume, board=self._board)
            await socket.send(_encoder.encode(subscribe).decode())
            while True:
                while not self._acks.empty():
                    await socket.send(_encoder.encode(self._acks.get_nowait()).decode())
                async with asyncio.timeout(SILENCE_MAX_S):
                    message = _decoder.decode(await socket.recv())
                self._note(message)
                yield message

    def _note(self, message: ToBoard) -> None:
        match message:
            case Hello():
                self._session = message.session
                self._sequence = self._sequence if message.resumed else 0
            case Snapshot() | Change():
                self._sequence = max(self._sequence, message.sequence)
            case Heartbeat() | Refusal():
                pass
