"""Publish what validators need: each content as the next version of its document, lists as deltas where they can be.

Publishing the same content again does nothing, except that a list is signed anew every ``REFRESH_MS`` also when nobody
was added: its age tells a validator how far to trust it. One publisher at a time per city; a second one is refused by
the versions in the database and may try again.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from fare.model import MediumId
from fare.store.postgres_devices import PostgresDevices
from fare.validator.deny_list import Delta, Snapshot, TokenList, apply, build_list, diff, read_snapshot, snapshot_of
from fare.validator.documents import CityKey, Document, DocumentKind, KeySet, Published, publish
from fare.validator.rules import Configuration, FareTable
from fare.validator.signing import SigningKey

LIFE_MS: Final = 90 * 86_400_000  # a document that nobody renews for so long is not worth trusting
KEY_LIFE_MS: Final = 2 * 365 * 86_400_000
REFRESH_MS: Final = 3_600_000
DELTAS_MAX: Final = 48  # behind one snapshot: two days of refreshing
VALUED_DELTAS_MAX: Final = 180  # of a list with values: sent whole it is eight times as long

_document: Final = msgspec.msgpack.Decoder(Document)


class Publisher:
    """Publishes for one city with its key.

    Methods return what they published, None if there was nothing new. They raise asyncpg.UniqueViolationError if
    another publisher was faster, and what ``PostgresDevices`` raises.
    """

    def __init__(self, store: PostgresDevices, *, city: str, key: SigningKey) -> None:
        self._store = store
        self._city = city
        self._key = key

    async def keys(self, now_ms: int, *, also: tuple[CityKey, ...] = ()) -> Published | None:
        """Publish the key set: this key, and ``also`` the next one and those revoked."""
        newest = await self._newest(DocumentKind.KEYS, "", now_ms)
        own = CityKey(public=self._key.public, from_ms=0, until_ms=now_ms + KEY_LIFE_MS)
        if newest is not None:
            held = msgspec.msgpack.decode(_document.decode(newest.signed.body).content, type=KeySet)
            own = next((key for key in held.keys if key.public == own.public), own)
        return await self._next(KeySet(keys=(own, *also)), DocumentKind.KEYS, newest, now_ms, life_ms=KEY_LIFE_MS)

    async def configuration(
        self, configuration: Configuration, now_ms: int, *, from_ms: int | None = None
    ) -> Published | None:
        """Publish the operator's rules, which count from ``from_ms``."""
        newest = await self._newest(DocumentKind.CONFIGURATION, "", now_ms)
        return await self._next(configuration, DocumentKind.CONFIGURATION, newest, now_ms, from_ms=from_ms)

    async def fares(self, fares: FareTable, now_ms: int) -> Published | None:
        """Publish dated prices; the periods in them say from when they count."""
        newest = await self._newest(DocumentKind.FARES, "", now_ms)
        return await self._next(fares, DocumentKind.FARES, newest, now_ms, from_ms=0)

    async def media(self, name: str, media: Iterable[MediumId], now_ms: int) -> Published | None:
        """Publish who is on the list ``name``."""
        return await self.tokens(name, build_list(media), now_ms)

    async def tokens(self, name: str, after: TokenList, now_ms: int) -> Published | None:
        """Publish the list ``name``: as a delta, or whole when it is the first or many deltas lie behind."""
        chain = await self._chain(name, now_ms)
        before = _list_of(chain)
        if before is not None:
            age_ms = now_ms - _document.decode(chain[-1].signed.body).made_ms
            if before == after and age_ms < REFRESH_MS:
                return None
        version = chain[-1].version + 1 if chain else 1
        if before is None or len(chain) > (VALUED_DELTAS_MAX if after.values else DELTAS_MAX):
            return await self._publish(snapshot_of(after), DocumentKind.LIST, version, now_ms, name=name)
        delta = diff(before, chain[-1].version, after)
        return await self._publish(delta, DocumentKind.LIST_DELTA, version, now_ms, name=name)

    async def _newest(self, kind: DocumentKind, name: str, now_ms: int) -> Published | None:
        published = await self._store.published(now_ms, kinds=(kind,), name=name)
        return published[-1] if published else None

    async def _chain(self, name: str, now_ms: int) -> list[Published]:
        """Return the newest whole list and the deltas after it."""
        kinds = (DocumentKind.LIST, DocumentKind.LIST_DELTA)
        published = sorted(await self._store.published(now_ms, kinds=kinds, name=name), key=lambda one: one.version)
        wholes = [at for at, one in enumerate(published) if one.base_version is None]
        return published[wholes[-1] :] if wholes else published

    async def _next(
        self,
        content: KeySet | Configuration | FareTable,
        kind: DocumentKind,
        newest: Published | None,
        now_ms: int,
        *,
        from_ms: int | None = None,
        life_ms: int = LIFE_MS,
    ) -> Published | None:
        if newest is not None:
            document = _document.decode(newest.signed.body)
            half_spent = newest.until_ms - now_ms < life_ms // 2
            if document.content == msgspec.msgpack.encode(content) and not half_spent:
                return None
        version = 1 if newest is None else newest.version + 1
        return await self._publish(content, kind, version, now_ms, from_ms=from_ms, life_ms=life_ms)

    async def _publish(
        self,
        content: KeySet | Configuration | FareTable | Snapshot | Delta,
        kind: DocumentKind,
        version: int,
        now_ms: int,
        *,
        name: str = "",
        from_ms: int | None = None,
        life_ms: int = LIFE_MS,
    ) -> Published:
        published = publish(
            content,
            kind=kind,
            name=name,
            city=self._city,
            version=version,
            made_ms=now_ms,
            from_ms=from_ms,
            until_ms=now_ms + life_ms,
            key=self._key,
        )
        await self._store.publish(published)
        return published


def _list_of(chain: list[Published]) -> TokenList | None:
    """Return the list that a chain makes, None if it does not begin with a whole one or does not fit."""
    if not chain or chain[0].base_version is not None:
        return None
    contents = [_document.decode(one.signed.body).content for one in chain]
    held = read_snapshot(msgspec.msgpack.decode(contents[0], type=Snapshot))
    for before, content in zip(chain, contents[1:], strict=False):
        if held is None:
            return None
        _, held = apply(held, before.version, msgspec.msgpack.decode(content, type=Delta))
    return held
