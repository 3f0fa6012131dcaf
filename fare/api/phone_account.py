"""What belongs to a phone: its wallet, rights, passes, cards, rides and receipts. Others' are nobody's (attack 46).

A card is linked by two proofs. The code printed on it says which one; that is no secret, so the code that a validator
shows to who has just presented it must come with it (``fare.history``). "Tap within two minutes" was not taken: whoever
knows a printed code could wait beside a stranger who boards.
"""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg
import msgspec
from aiohttp import web

from commons.clock import Clock
from fare.api.answers import answer, refused
from fare.api.phone_door import Done, PhoneDoor
from fare.history import HISTORY_DAYS, OPENED_WITHIN_MS, touch_of
from fare.inspection.check_code import check_code, normal_code
from fare.model import (
    CarrierId,
    Concession,
    JournalKind,
    MediumId,
    MediumKind,
    PassHeld,
    Riders,
)
from fare.phone.session import PhoneSession, csrf_of
from fare.store.postgres_history import open_history, touches_of
from fare.store.postgres_media import PostgresMedia
from fare.store.postgres_phones import PostgresPhones
from fare.store.postgres_wallet import PartPaid, RidePaid, ride_paid, rides_paid, wallet_moves

DAY_MS: Final = 86_400_000
PROOF_TOKENS: Final = 12  # of 60, refilled at 30 a minute: five tries, then one in 24 s
HISTORY_TOKENS: Final = 3
CODE_SHOWN: Final = 4  # last digits of a card's printed code


@dataclass(frozen=True, slots=True, kw_only=True)
class CityNames:
    """What people call lines, stops and carriers, by id."""

    routes: Mapping[str, str]
    stops: Mapping[str, str]
    carriers: Mapping[CarrierId, str]


class CardShown(msgspec.Struct, frozen=True, kw_only=True):
    """A transport card of a phone. ``name`` ends as the code printed on it does."""

    card_id: MediumId
    name: str
    balance_tiyn: int
    concessions: tuple[Concession, ...]
    passes: tuple[PassHeld, ...]


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """Who is signed in and what they have. ``csrf`` is what writing requests repeat as ``X-CSRF-Token``."""

    hint: str
    csrf: str
    now_ms: int
    balance_tiyn: int  # less what is owed
    concessions: tuple[Concession, ...]
    passes: tuple[PassHeld, ...]
    cards: tuple[CardShown, ...]


class RideShown(msgspec.Struct, frozen=True, kw_only=True):
    """A ride and its receipt: who carried whom, when, on what, and who paid what for it."""

    key: str
    tapped_ms: int
    medium_kind: MediumKind
    card: str  # name of the card that was used, "": the phone
    number: str  # what is written on the bus
    route: str
    stop: str
    carrier: str
    riders: tuple[Riders, ...]
    parts: tuple[PartPaid, ...]
    charged_tiyn: int


class MoveShown(msgspec.Struct, frozen=True, kw_only=True):
    """Money that came into the wallet, above zero, or left it otherwise than by a ride."""

    key: str
    kind: JournalKind
    occurred_ms: int
    card: str
    amount_tiyn: int


class HistoryShown(msgspec.Struct, frozen=True, kw_only=True):
    """The last 60 days, the newest first."""

    rides: tuple[RideShown, ...]
    moves: tuple[MoveShown, ...]


class CardProved(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /api/phone/cards``: bus and code of a touch just now, and the code printed on the card."""

    vehicle_id: str
    touch_code: str
    printed_code: str


class CardLet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /api/phone/cards/remove``."""

    card_id: MediumId


class PhoneAccount:
    """Routes of what belongs to a phone. ``code_key`` makes the codes printed on cards."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        door: PhoneDoor,
        phones: PostgresPhones,
        *,
        names: CityNames,
        code_key: bytes,
        clock: Clock,
    ) -> None:
        self._pool = pool
        self._door = door
        self._phones = phones
        self._media = PostgresMedia(pool)
        self._names = names
        self._code_key = code_key
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/api/phone/me", self._me),
            web.get("/api/phone/history", self._history),
            web.get("/api/phone/rides/{key}", self._receipt),
            web.post("/api/phone/cards", self._link),
            web.post("/api/phone/cards/remove", self._let_go),
        ]

    async def _me(self, request: web.Request) -> web.Response:
        session = await self._door.reading(request)
        cards = await self._phones.cards_of(session.medium_id)
        media = [session.medium_id, *cards]
        profiles, balances_tiyn = await self._media.profiles(media), await self._media.balances_tiyn(media)

        def rights(medium_id: MediumId) -> tuple[tuple[Concession, ...], tuple[PassHeld, ...]]:
            profile = profiles.get(medium_id)
            return (profile.concessions, profile.passes) if profile is not None else ((), ())

        concessions, passes = rights(session.medium_id)
        shown = []
        for card_id in cards:
            of_card, on_card = rights(card_id)
            shown.append(
                CardShown(
                    card_id=card_id,
                    name=self._card_name(card_id),
                    balance_tiyn=balances_tiyn.get(card_id, 0),
                    concessions=of_card,
                    passes=on_card,
                )
            )
        return answer(
            Me(
                hint=session.hint,
                csrf=csrf_of(session.token),
                now_ms=self._clock.now_ms(),
                balance_tiyn=balances_tiyn.get(session.medium_id, 0),
                concessions=concessions,
                passes=passes,
                cards=tuple(shown),
            )
        )

    async def _history(self, request: web.Request) -> web.Response:
        session = await self._door.reading(request, tokens=HISTORY_TOKENS)
        media = await self._own(session)
        since_ms = self._clock.now_ms() - HISTORY_DAYS * DAY_MS
        rides = await rides_paid(self._pool, media, since_ms)
        moves = await wallet_moves(self._pool, media, since_ms)
        return answer(
            HistoryShown(
                rides=tuple(self._shown(ride, session) for ride in rides),
                moves=tuple(
                    MoveShown(
                        key=move.key,
                        kind=move.kind,
                        occurred_ms=move.occurred_ms,
                        card=self._card(move.medium_id, session),
                        amount_tiyn=move.amount_tiyn,
                    )
                    for move in moves
                ),
            )
        )

    async def _receipt(self, request: web.Request) -> web.Response:
        session = await self._door.reading(request)
        ride = await ride_paid(self._pool, await self._own(session), request.match_info["key"])
        if ride is None:
            raise refused(web.HTTPNotFound, "no_such_ride")
        return answer(self._shown(ride, session))

    async def _link(self, request: web.Request) -> web.Response:
        session, proved = await self._door.writing(request, CardProved, tokens=PROOF_TOKENS)
        self._door.take(f"bus {proved.vehicle_id[:64]}", PROOF_TOKENS)
        card_id = await self._proved_card(proved)
        if card_id is None:
            raise refused(web.HTTPForbidden, "no_such_card")
        await self._phones.link_card(card_id, session.medium_id, self._clock.now_ms())
        return answer(Done())

    async def _proved_card(self, proved: CardProved) -> MediumId | None:
        """Return the card of which both codes are; whatever is wrong gets one answer."""
        now_ms, printed = self._clock.now_ms(), normal_code(proved.printed_code)
        if printed is None or not proved.vehicle_id.isprintable():
            return None
        touch = touch_of(
            proved.touch_code, await touches_of(self._pool, proved.vehicle_id, now_ms - OPENED_WITHIN_MS), now_ms
        )
        if touch is None or not secrets.compare_digest(check_code(touch.medium_id, self._code_key), printed):
            return None
        nobody = hashlib.sha256(secrets.token_bytes(32)).digest()  # the touch is used up, and opens nothing else
        return touch.medium_id if await open_history(self._pool, touch, nobody, now_ms) else None

    async def _let_go(self, request: web.Request) -> web.Response:
        session, let = await self._door.writing(request, CardLet)
        if not let.card_id.isprintable() or not await self._phones.unlink_card(let.card_id, session.medium_id):
            raise refused(web.HTTPNotFound, "no_such_card")
        return answer(Done())

    async def _own(self, session: PhoneSession) -> Sequence[MediumId]:
        return [session.medium_id, *await self._phones.cards_of(session.medium_id)]

    def _shown(self, ride: RidePaid, session: PhoneSession) -> RideShown:
        return RideShown(
            key=ride.key,
            tapped_ms=ride.tapped_ms,
            medium_kind=ride.medium_kind,
            card=self._card(ride.medium_id, session),
            number=ride.number,
            route=self._names.routes.get(ride.route_id, ride.route_id),
            stop=self._names.stops.get(ride.stop_id, ""),
            carrier=self._names.carriers.get(ride.carrier_id, ride.carrier_id),
            riders=ride.riders,
            parts=ride.parts,
            charged_tiyn=ride.charged_tiyn,
        )

    def _card(self, medium_id: MediumId, session: PhoneSession) -> str:
        return "" if medium_id == session.medium_id else self._card_name(medium_id)

    def _card_name(self, card_id: MediumId) -> str:
        return check_code(card_id, self._code_key)[-CODE_SHOWN:]
