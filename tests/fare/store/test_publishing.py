"""Publishing to validators: next versions, deltas, and a list that is signed anew before it is too old to trust."""

import asyncpg
import pytest

from commons.migrate import migrate
from fare.store.postgres_devices import PostgresDevices
from fare.store.publishing import DELTAS_MAX, REFRESH_MS, Publisher
from fare.validator.deny_list import DENY, PHONES, build_list_of_values
from fare.validator.documents import CityKey, DocumentKind, Shelf, Shelving, holdings, shelve, to_send
from fare.validator.signing import SigningKey
from tests.fare.validator.cards import CONFIGURATION, FARES, medium

KEY = SigningKey.from_bytes(b"p" * 32)
NEXT = SigningKey.from_bytes(b"n" * 32)
NOW_MS = 1_789_970_400_000
DAY_MS = 86_400_000


@pytest.fixture
async def store(postgres: asyncpg.Pool) -> PostgresDevices:
    await migrate(postgres, "fare.store")
    return PostgresDevices(postgres, "kzo")


@pytest.fixture
def publisher(store: PostgresDevices) -> Publisher:
    return Publisher(store, city="kzo", key=KEY)


async def asked(store: PostgresDevices, shelf: Shelf, now_ms: int) -> tuple[Shelf, int]:
    """Let a device ask; return its shelf and how many bytes it was sent."""
    documents = to_send(await store.published(now_ms), shelf.versions(), now_ms)
    for signed in documents:
        outcome, shelf = shelve(shelf, signed, now_ms)
        assert outcome is Shelving.TAKEN
    return shelf, sum(len(signed.body) for signed in documents)


async def test_a_device_gets_everything_once_and_then_only_what_changed(
    store: PostgresDevices, publisher: Publisher
) -> None:
    many = [medium(f"card {number}") for number in range(500)]
    assert await publisher.keys(NOW_MS)
    assert await publisher.configuration(CONFIGURATION, NOW_MS)
    assert await publisher.fares(FARES, NOW_MS)
    assert await publisher.media(DENY, many, NOW_MS)
    shelf, sent = await asked(store, Shelf(city="kzo", root=KEY.public), NOW_MS)
    assert sent > 500 * 8
    changed = await publisher.media(DENY, [*many[1:], medium("eve")], NOW_MS + 1_000)
    assert changed is not None
    assert (changed.kind, changed.version, changed.base_version) == (DocumentKind.LIST_DELTA, 2, 1)
    shelf, sent = await asked(store, shelf, NOW_MS + 1_000)
    assert sent < 300
    held = holdings(shelf, NOW_MS + 1_000)
    assert held is not None
    assert medium("eve") in held.denied
    assert many[0] not in held.denied
    assert len(held.denied) == 500


async def test_the_same_content_is_not_published_again(store: PostgresDevices, publisher: Publisher) -> None:
    for first in (True, False):
        published = [
            await publisher.keys(NOW_MS + DAY_MS * (not first)),
            await publisher.configuration(CONFIGURATION, NOW_MS),
            await publisher.fares(FARES, NOW_MS),
            await publisher.media(DENY, [medium("eve")], NOW_MS),
        ]
        assert all(published) if first else not any(published)
    assert len(await store.published(NOW_MS)) == 4


async def test_a_list_is_signed_anew_every_hour_so_that_its_age_says_how_far_to_trust_it(
    store: PostgresDevices, publisher: Publisher
) -> None:
    await publisher.configuration(CONFIGURATION, NOW_MS)
    await publisher.fares(FARES, NOW_MS)
    await publisher.media(DENY, [medium("eve")], NOW_MS)
    assert await publisher.media(DENY, [medium("eve")], NOW_MS + REFRESH_MS - 1) is None
    later_ms = NOW_MS + REFRESH_MS
    assert await publisher.media(DENY, [medium("eve")], later_ms)
    shelf, _ = await asked(store, Shelf(city="kzo", root=KEY.public), later_ms)
    held = holdings(shelf, later_ms)
    assert held is not None
    assert (held.denied_ms, len(held.denied)) == (later_ms, 1)


async def test_after_many_deltas_the_list_is_whole_again_and_old_ones_go(
    store: PostgresDevices, publisher: Publisher
) -> None:
    shelf = Shelf(city="kzo", root=KEY.public)
    for number in range(2 * DELTAS_MAX + 6):
        await publisher.media(DENY, [medium(f"{number}")], NOW_MS + number)
        if number % 7 == 0:
            shelf, _ = await asked(store, shelf, NOW_MS + number)
    kinds = [one.kind for one in await store.published(NOW_MS)]
    assert kinds.count(DocumentKind.LIST) == 2
    assert len(kinds) <= DELTAS_MAX + 10
    fresh, _ = await asked(store, Shelf(city="kzo", root=KEY.public), NOW_MS + 1_000)
    again, _ = await asked(store, shelf, NOW_MS + 1_000)
    assert fresh.versions() == again.versions() == ((DocumentKind.LIST, DENY, 2 * DELTAS_MAX + 6),)


async def test_documents_are_renewed_before_they_run_out(publisher: Publisher) -> None:
    await publisher.configuration(CONFIGURATION, NOW_MS)
    assert await publisher.configuration(CONFIGURATION, NOW_MS + 44 * DAY_MS) is None
    renewed = await publisher.configuration(CONFIGURATION, NOW_MS + 46 * DAY_MS)
    assert renewed is not None
    assert renewed.version == 2


async def test_the_next_key_is_published_before_it_signs_and_then_the_old_one_is_revoked(
    store: PostgresDevices,
) -> None:
    far_ms = NOW_MS + 3_650 * DAY_MS
    following = CityKey(public=NEXT.public, from_ms=0, until_ms=far_ms)
    await Publisher(store, city="kzo", key=KEY).keys(NOW_MS)
    await Publisher(store, city="kzo", key=KEY).keys(NOW_MS, also=(following,))
    shelf, _ = await asked(store, Shelf(city="kzo", root=KEY.public), NOW_MS)
    after = Publisher(store, city="kzo", key=NEXT)
    await after.configuration(CONFIGURATION, NOW_MS)
    revoked = CityKey(public=KEY.public, from_ms=0, until_ms=far_ms, revoked=True)
    await after.keys(NOW_MS, also=(revoked,))
    shelf, _ = await asked(store, shelf, NOW_MS)
    assert shelf.public_of(NEXT.key_id, NOW_MS) == NEXT.public
    assert shelf.public_of(KEY.key_id, NOW_MS) is Shelving.REVOKED_KEY


async def test_of_two_publishers_one_is_refused(store: PostgresDevices, publisher: Publisher) -> None:
    published = await publisher.fares(FARES, NOW_MS)
    assert published is not None
    with pytest.raises(asyncpg.UniqueViolationError):
        await store.publish(published)


async def test_a_long_list_with_values_is_sent_whole_less_often(store: PostgresDevices, publisher: Publisher) -> None:
    for number in range(DELTAS_MAX + 3):
        values = {token: bytes([number, token]) for token in range(number + 1)}
        await publisher.tokens(PHONES, build_list_of_values(values), NOW_MS + number)
    kinds = [one.kind for one in await store.published(NOW_MS)]
    assert (kinds.count(DocumentKind.LIST), kinds.count(DocumentKind.LIST_DELTA)) == (1, DELTAS_MAX + 2)
    shelf, _ = await asked(store, Shelf(city="kzo", root=KEY.public), NOW_MS + 1_000)
    held = shelf.current(DocumentKind.LIST, PHONES, NOW_MS + 1_000)
    assert held is not None
    assert held.content == build_list_of_values(values)
