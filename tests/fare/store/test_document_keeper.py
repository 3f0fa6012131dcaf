"""What validators are told when the tariff that is in force changes, without anybody starting anything anew."""

from pathlib import Path

import asyncpg

from ayaldama.fares import configuration_of
from ayaldama.settings import ValidatorsSection
from commons.metrics import Metrics
from commons.migrate import migrate
from fare.model import Concession, RiderCategory
from fare.store.documents import DocumentKeeper
from fare.store.postgres_devices import PostgresDevices
from fare.store.postgres_media import PostgresMedia
from fare.store.postgres_phone_keys import PostgresPhoneKeys
from fare.store.publishing import Publisher
from fare.validator.documents import Holdings, Shelf, holdings, shelve, to_send
from fare.validator.signing import SigningKey
from tests.fare.validator.cards import FARES, medium
from tests.notation.fares import TOWN, at_ms, tariff

KEY = SigningKey.from_bytes(b"p" * 32)
VETERAN, STUDENT = RiderCategory("veteran"), RiderCategory("student")
DATED = f"""{TOWN[: TOWN.index("fare_concessions")]}
fare_concessions
rider_category_id  fare_version_id  share_percent  paid_by
veteran            -                0              oblast
student            new              100            city
"""


class At:
    """A clock that stands."""

    rate = 1.0

    def __init__(self, now_ms: int) -> None:
        self.ms = now_ms

    def now_ms(self) -> int:
        return self.ms

    async def sleep(self, city_s: float) -> None:
        """Nobody waits here."""


async def test_concessions_of_a_tariff_that_begins_reach_validators_with_their_holders(
    postgres: asyncpg.Pool, tmp_path: Path
) -> None:
    await migrate(postgres, "fare.store")
    of = tariff(tmp_path, DATED)
    before_ms, after_ms = at_ms("2026-03-31 23:59", of), at_ms("2026-04-01 04:00", of)
    clock = At(before_ms)
    store, media = PostgresDevices(postgres, "kzo"), PostgresMedia(postgres)
    keeper = DocumentKeeper(
        publisher=Publisher(store, city="kzo", key=KEY),
        media=media,
        phones=PostgresPhoneKeys(postgres, "kzo"),
        pool=postgres,
        tariff=of,
        configuration_at=lambda now_ms: configuration_of(of, now_ms, ValidatorsSection()),
        fares=FARES,
        clock=clock,
        metrics=Metrics(),
    )
    holder = medium("student")
    right = Concession(category=STUDENT, from_date="2026-01-01", until_date="", evidence="paper 1")
    await media.grant([holder], right, before_ms)
    shelf = Shelf(city="kzo", root=KEY.public)

    async def held() -> Holdings:
        nonlocal shelf
        await keeper.publish()
        for signed in to_send(await store.published(clock.ms), shelf.versions(), clock.ms):
            _, shelf = shelve(shelf, signed, clock.ms)
        found = holdings(shelf, clock.ms)
        assert found is not None
        return found

    old = await held()
    assert STUDENT not in old.configuration.concessions
    assert VETERAN in old.configuration.concessions
    clock.ms = after_ms
    new = await held()
    assert STUDENT in new.configuration.concessions
    assert holder in new.concessions[STUDENT]
