"""How we ask a bank over HTTP: one session, a deadline, an answer of bounded size, and silence for all else.

Redirects are not followed: a bank that sends us elsewhere with our secrets is set up wrongly.
"""

import asyncio
from collections.abc import Mapping
from typing import Final, TypeVar

import aiohttp
import msgspec
from aiohttp import hdrs

from fare.gateways.bank import BankSilentError

ANSWER_MAX_S: Final = 10.0
ANSWER_MAX_BYTES: Final = 65_536

Answer = TypeVar("Answer")


class BankLine:
    """Requests to one bank."""

    def __init__(self, bank: str, session: aiohttp.ClientSession) -> None:
        self._bank, self._session = bank, session

    async def ask(
        self,
        method: str,
        url: str,
        *,
        json: object | None = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """Return status and body of the answer.

        Raises:
            BankSilentError: if there is none, it is too long, or the bank says that it failed (status 5xx, 429).
        """
        sent = dict(headers or {})
        body: bytes | aiohttp.FormData | None = aiohttp.FormData(form) if form is not None else None
        if json is not None:
            sent[hdrs.CONTENT_TYPE] = "application/json"
            body = msgspec.json.encode(json)
        what = f"{method} {url.partition('?')[0]}"
        try:
            async with (
                asyncio.timeout(ANSWER_MAX_S),
                self._session.request(method, url, data=body, headers=sent, allow_redirects=False) as answer,
            ):
                content = await answer.content.read(ANSWER_MAX_BYTES + 1)
                while len(content) <= ANSWER_MAX_BYTES and (more := await answer.content.read(ANSWER_MAX_BYTES)):
                    content += more
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise BankSilentError(self._bank, what, type(error).__name__) from error
        if len(content) > ANSWER_MAX_BYTES:
            raise BankSilentError(self._bank, what, "the answer is too long")
        if answer.status >= 500 or answer.status == 429 or 300 <= answer.status < 400:
            raise BankSilentError(self._bank, what, f"status {answer.status}")
        return answer.status, content

    def read(self, content: bytes, kind: type[Answer], what: str) -> Answer:
        """Return an answer as ``kind``.

        Raises:
            BankSilentError: if it is none.
        """
        try:
            return msgspec.json.decode(content, type=kind)
        except (msgspec.DecodeError, ValueError) as error:
            raise BankSilentError(self._bank, what, f"the answer has another form: {error}") from error
