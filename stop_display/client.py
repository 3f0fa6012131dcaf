"""A board as a program: subscribes, follows, comes back by itself after a cut and goes on where it was."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, WebSocketException

from commons.logs import get_logger
from stop_display.following import Follower, Taken
from stop_display.model import Ack, Refusal, ToBoard

PAUSE_FIRST_S: Final = 0.25
PAUSE_MAX_S: Final = 3.0  # a board is back within 5 s of its server
SILENCE_MAX_S: Final = 25.0  # two and a half heartbeats
OPEN_MAX_S: Final = 10.0
SPREAD_MAX_S: Final = 60.0  # whatever a server says
WENT: Final = frozenset({1006, 1012})  # the server went away, and all its boards will come back

_decoder: Final = msgspec.json.Decoder(ToBoard)
_encoder: Final = msgspec.json.Encoder()
_log = get_logger(__name__)


class BoardClient:
    """One board. ``messages`` never ends; ``ack`` may be called while it runs; ``follower`` knows what to show."""

    def __init__(
        self, url: str, stop_ids: Sequence[str], *, board: str = "", key: str = "", jitter: random.Random
    ) -> None:
        self._url = url
        self._jitter = jitter
        self._acks: asyncio.Queue[Ack] = asyncio.Queue(1_000)
        self.follower = Follower(stop_ids, board=board, key=key)

    def ack(self, sequence: int, painted_ms: int) -> None:
        """Tell the server, with its next message, that all up to ``sequence`` is shown; forgotten if it is cut off."""
        if not self._acks.full():
            self._acks.put_nowait(Ack(sequence=sequence, painted_ms=painted_ms))

    async def messages(self) -> AsyncIterator[ToBoard]:
        """Yield what the server says that is new, for ever; connect again after every cut."""
        pause_s = PAUSE_FIRST_S
        while True:
            heard, code = False, None
            try:
                async for message in self._conversation():
                    if not isinstance(message, Refusal):  # who is refused comes back ever more slowly
                        pause_s, heard = PAUSE_FIRST_S, True
                    yield message
            except ConnectionClosed as error:
                code = error.rcvd.code if error.rcvd is not None else 1006
                _log.info("board connects again", url=self._url, error=str(error), again_in_s=round(pause_s, 2))
            except (OSError, TimeoutError, InvalidHandshake, WebSocketException) as error:
                _log.info("board connects again", url=self._url, error=str(error), again_in_s=round(pause_s, 2))
            if heard and code in WENT:
                await asyncio.sleep(self._jitter.uniform(0, min(self.follower.spread_s, SPREAD_MAX_S)))
            await asyncio.sleep(pause_s * self._jitter.uniform(0.5, 1.0))
            pause_s = min(pause_s * 2, PAUSE_MAX_S)

    async def _conversation(self) -> AsyncIterator[ToBoard]:
        async with connect(self._url, open_timeout=OPEN_MAX_S, compression=None, max_queue=256) as socket:
            self._acks = asyncio.Queue(self._acks.maxsize)  # those of before are of another connection, or session
            await socket.send(_encoder.encode(self.follower.subscribe()).decode())
            while True:
                while not self._acks.empty():
                    await socket.send(_encoder.encode(self._acks.get_nowait()).decode())
                async with asyncio.timeout(SILENCE_MAX_S):
                    message = _decoder.decode(await socket.recv())
                match self.follower.take(message):
                    case Taken.NEW:
                        yield message
                    case Taken.OUT_OF_ORDER:
                        _log.warning("something is missing: board connects again", url=self._url)
                        return
                    case Taken.KNOWN:
                        pass
