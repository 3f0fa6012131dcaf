"""A mobile operator's charging over HTTP and JSON: ``OperatorCharging`` by three requests.

=====================================  =======================================================
``PUT /charges/{key}``                 charge; again with the same body: the first answer again
``GET /charges/{key}``                 what became of it
``POST /charges/{key}/reversal``       give it back; before the charge: it will never be charged
=====================================  =======================================================

Both sides sign (``operator_signing``). An answer that is late, cut, not signed, of another key or of another amount is
none: nobody knows then what became of the charge. Amounts are integer tiyn, times UTC epoch milliseconds.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final
from urllib.parse import quote, urlsplit

import aiohttp
import msgspec
from yarl import URL

from commons.clock import Clock
from fare.gateways.charging_port import (
    Charged,
    ChargeRefusal,
    ChargeRefused,
    ChargeRequest,
    ChargeReversed,
    ChargeUnansweredError,
    ChargeUnknown,
)
from fare.gateways.operator_signing import SECRET_MIN, SIGNATURE, TIMESTAMP, is_signed, sign_answer, sign_question

ANSWER_MAX_S: Final = 3.0  # a rider waits at a door
REFERENCE_MAX: Final = 100  # characters
ANSWER_MAX_BYTES: Final = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorHttpSettings:
    """Where an operator charges. ``secret`` is shared with it and never appears in a representation.

    Raises:
        ValueError: if the address is none, or the secret is too short to protect anything.
    """

    url: str
    secret: bytes = field(repr=False)
    answer_max_s: float = ANSWER_MAX_S

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if urlsplit(self.url).scheme not in {"http", "https"}:
            raise ValueError(f"url of an operator's charging must be http(s): {self.url}")
        if len(self.secret) < SECRET_MIN:
            raise ValueError(f"secret of {self.url}: {len(self.secret)} bytes, at least {SECRET_MIN} are needed")


class ChargeBody(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked."""

    number: str
    amount_tiyn: int
    asked_ms: int
    about: str = ""


class ChargeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What is answered. ``state``: charged, refused, reversed or unknown."""

    key: str
    state: str
    amount_tiyn: int = 0
    reference: str = ""
    reason: str = ""


class HttpOperatorCharging:
    """One operator. Made by ``open_operator_charging``."""

    def __init__(self, session: aiohttp.ClientSession, settings: OperatorHttpSettings, clock: Clock) -> None:
        self._session = session
        self._settings = settings
        self._clock = clock
        self._base = urlsplit(settings.url).path.rstrip("/")

    async def charge(self, request: ChargeRequest) -> Charged | ChargeRefused:
        """Take the money once; return what became of it.

        Raises:
            ChargeUnansweredError: if that is not known.
        """
        body = ChargeBody(
            number=request.number, amount_tiyn=request.amount_tiyn, asked_ms=request.asked_ms, about=request.about
        )
        answer = _read(await self._ask("PUT", request.key, body=msgspec.json.encode(body)))
        if isinstance(answer, Charged) and answer.amount_tiyn != request.amount_tiyn:
            raise ChargeUnansweredError(request.key, f"{answer.amount_tiyn} tiyn were taken")
        if isinstance(answer, ChargeReversed | ChargeUnknown):
            raise ChargeUnansweredError(request.key, "it was given back before")
        return answer

    async def status(self, key: str) -> Charged | ChargeRefused | ChargeReversed | ChargeUnknown:
        """Return what became of a charge.

        Raises:
            ChargeUnansweredError: if that is not known.
        """
        return _read(await self._ask("GET", key))

    async def reverse(self, key: str) -> ChargeReversed:
        """Give the money back.

        Raises:
            ChargeUnansweredError: if it is not known whether it is.
        """
        answer = _read(await self._ask("POST", key, "/reversal"))
        if not isinstance(answer, ChargeReversed | ChargeRefused):
            raise ChargeUnansweredError(key, "it is not given back")
        return ChargeReversed()

    async def _ask(self, method: str, key: str, further: str = "", *, body: bytes = b"") -> ChargeAnswer:
        path = f"{self._base}/charges/{quote(key, safe='')}{further}"
        timestamp = str(self._clock.now_ms() // 1_000)
        signature = sign_question(self._settings.secret, method, path, timestamp, body)
        try:
            async with asyncio.timeout(self._settings.answer_max_s):
                status, given, said = await self._exchange(method, path, timestamp, signature, body)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ChargeUnansweredError(key, type(error).__name__) from error
        if not is_signed(sign_answer(self._settings.secret, signature, status, said), given):
            raise ChargeUnansweredError(key, f"status {status}, not signed as it must be")
        if status != HTTPStatus.OK:
            raise ChargeUnansweredError(key, f"status {status}")
        try:
            answer = msgspec.json.decode(said, type=ChargeAnswer)
        except msgspec.DecodeError as error:
            raise ChargeUnansweredError(key, str(error)) from error
        if answer.key != key:
            raise ChargeUnansweredError(key, "the answer is of another charge")
        return answer

    async def _exchange(
        self, method: str, path: str, timestamp: str, signature: str, body: bytes
    ) -> tuple[int, str, bytes]:
        """Return status, signature and body of the answer."""
        parts = urlsplit(self._settings.url)
        headers = {SIGNATURE: signature, TIMESTAMP: timestamp, "Content-Type": "application/json"}
        url = f"{parts.scheme}://{parts.netloc}{path}"
        async with self._session.request(
            method, URL(url, encoded=True), data=body, headers=headers, allow_redirects=False
        ) as answer:
            said = await answer.content.read(ANSWER_MAX_BYTES)
            return answer.status, answer.headers.get(SIGNATURE, ""), said


@asynccontextmanager
async def open_operator_charging(settings: OperatorHttpSettings, clock: Clock) -> AsyncIterator[HttpOperatorCharging]:
    """Give an operator's charging while the block runs; its connections are kept."""
    async with aiohttp.ClientSession() as session:
        yield HttpOperatorCharging(session, settings, clock)


def _read(answer: ChargeAnswer) -> Charged | ChargeRefused | ChargeReversed | ChargeUnknown:
    match answer.state:
        case "charged":
            named = answer.reference.isprintable() and len(answer.reference) <= REFERENCE_MAX
            return Charged(reference=answer.reference if named else "", amount_tiyn=answer.amount_tiyn)
        case "refused":
            return ChargeRefused(reason=_reason(answer.reason))
        case "reversed":
            return ChargeReversed()
        case "unknown":
            return ChargeUnknown()
        case _:
            raise ChargeUnansweredError(answer.key, f"state {answer.state!r}")


def _reason(said: str) -> ChargeRefusal:
    try:
        return ChargeRefusal(said)
    except ValueError:
        return ChargeRefusal.REFUSED
