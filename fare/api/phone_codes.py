"""The phone's own QR: its key is registered here, once, with a code that it shows now.

The private key never leaves the browser; what is sent proves that it is there and that the phone knows the time.
"""

import base64
import binascii
from typing import Final

import msgspec
from aiohttp import web

from commons.clock import Clock
from fare.api.answers import answer, refused
from fare.api.phone_door import PhoneDoor
from fare.phone.own_qr import OwnRefusal
from fare.store.postgres_phone_keys import PostgresPhoneKeys, Registering

REGISTER_TOKENS: Final = 6

_TIME: Final = frozenset({OwnRefusal.OLD, OwnRefusal.EARLY})


class KeySent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /api/phone/keys``: the public key, Base64, and what the phone shows now (docs/qr.md)."""

    public: str
    code: str


class KeyRegistered(msgspec.Struct, frozen=True, kw_only=True):
    """A phone's key counts, until when."""

    until_ms: int


class PhoneCodes:
    """Routes of the own QR."""

    def __init__(self, door: PhoneDoor, keys: PostgresPhoneKeys, *, clock: Clock) -> None:
        self._door = door
        self._keys = keys
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [web.post("/api/phone/keys", self._register)]

    async def _register(self, request: web.Request) -> web.Response:
        session, sent = await self._door.writing(request, KeySent, tokens=REGISTER_TOKENS)
        try:
            public = base64.b64decode(sent.public, validate=True)
        except (binascii.Error, ValueError) as error:
            raise refused(web.HTTPBadRequest, "wrong_form") from error
        done = await self._keys.register(session.medium_id, public, sent.code, self._clock.now_ms())
        if done.outcome is Registering.TAKEN:
            raise refused(web.HTTPConflict, "key_taken")
        if done.key is None:
            raise refused(web.HTTPConflict, "key_wrong_time" if done.refusal in _TIME else "key_not_proved")
        return answer(KeyRegistered(until_ms=done.key.until_ms))
