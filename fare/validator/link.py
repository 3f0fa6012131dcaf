"""A validator's way to the server: three requests over HTTP, each answered or failed within a deadline."""

from dataclasses import dataclass
from typing import Final, TypeVar

import aiohttp
import msgspec

from commons.clock import monotonic_s
from fare.validator.signing import Signed

Kind = TypeVar("Kind")

ANSWER_MAX_S: Final = 20.0
CONNECT_MAX_S: Final = 5.0
ANSWER_MAX_BYTES: Final = 16 * 1_024 * 1_024
ASK_FIRST_BYTES: Final = 16_384  # more than so many are sent when the server says that they may come

_encoder: Final = msgspec.msgpack.Encoder()
_one: Final = msgspec.msgpack.Decoder(Signed)
_many: Final = msgspec.msgpack.Decoder(tuple[Signed, ...])


class LinkError(Exception):
    """No answer, or none that can be read. Nothing follows from it: what was to be sent is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An envelope from the server and how long it took."""

    signed: Signed
    round_trip_ms: int


class Link:
    """Requests to one server. Anybody can answer them: signatures are for the caller to check."""

    def __init__(self, session: aiohttp.ClientSession, server: str) -> None:
        self._session = session
        self._asks_first = True
        self._server = server.rstrip("/")

    async def enrol(self, request: Signed) -> Signed:
        """Ask to be enrolled.

        Raises:
            LinkError: if there is no answer.
        """
        return _read(_one, await self._post("/validators/enrol", request, also=(429,)))

    async def send(self, batch: Signed) -> Answered:
        """Send records: many at once when the server says that they may come (RFC 9110, 10.1.1).

        Something on the way may swallow that: after a failure they are sent unasked, once.

        Raises:
            LinkError: if there is no receipt.
        """
        began_s = monotonic_s()
        asks_first = self._asks_first and len(batch.body) > ASK_FIRST_BYTES
        try:
            body = await self._post("/validators/records", batch, asks_first=asks_first)
        except LinkError:
            self._asks_first = not asks_first
            raise
        self._asks_first = True
        return Answered(signed=_read(_one, body), round_trip_ms=round((monotonic_s() - began_s) * 1_000))

    async def ask(self, asking: Signed) -> tuple[Signed, ...]:
        """Ask for documents.

        Raises:
            LinkError: if there is no answer.
        """
        return _read(_many, await self._post("/validators/documents", asking))

    async def _post(
        self, path: str, envelope: Signed, *, also: tuple[int, ...] = (), asks_first: bool = False
    ) -> bytes:
        timeout = aiohttp.ClientTimeout(total=ANSWER_MAX_S, sock_connect=CONNECT_MAX_S)
        try:
            async with self._session.post(
                self._server + path,
                data=_encoder.encode(envelope),
                headers={"Content-Type": "application/msgpack"},
                timeout=timeout,
                allow_redirects=False,
                expect100=asks_first,
            ) as response:
                body = await response.content.read(ANSWER_MAX_BYTES)
                while not response.content.at_eof() and len(body) < ANSWER_MAX_BYTES:
                    body += await response.content.read(ANSWER_MAX_BYTES - len(body))
                if response.status != 200 and response.status not in also:
                    said = body[:60].decode("utf-8", "replace")
                    raise LinkError(f"{path}: status {response.status}: {said}")
                return body
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise LinkError(f"{path}: {error or type(error).__name__}") from error


def _read(decoder: "msgspec.msgpack.Decoder[Kind]", body: bytes) -> Kind:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, ValueError) as error:
        raise LinkError(f"the answer cannot be read: {error}") from error
