"""What fares of the demo need before it runs: passengers with money and rights, codes for validators, an inspector.

As with the rest of the demo, doing it again changes nothing.
"""

import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import asyncpg
import msgspec

from ayaldama.fares import city_key_path, code_key_of, open_people, phone_key_of
from ayaldama.settings import Settings
from ayaldama.simulate.passengers import Holder, holders
from fare import people
from fare.inspection.cases import PersonId, Role
from fare.inspection.check_code import check_code
from fare.ledger.billing import WALLET_KINDS
from fare.media.phone import phone_medium
from fare.model import Concession, DeviceId, Journal, MediumId, PhoneNumber, RiderCategory
from fare.people import Person, PersonName
from fare.phone.bus_code import bus_link
from fare.sign_in import hash_of_password
from fare.store.city_key import open_city_key
from fare.store.postgres_bus_codes import PostgresBusCodes
from fare.store.postgres_devices import PostgresDevices
from fare.store.postgres_inspection import set_pin
from fare.store.postgres_ledger import open_ledger
from fare.store.postgres_media import PostgresMedia, top_up_journal
from fare.store.postgres_vehicles import PostgresVehicles
from fare.validator.drawer import CARDS
from fare.validator.enrolment import CODE_LIFE_MS, SECRET_BYTES, Code, IssuedCode
from fare.validator.home import Home
from fare.validator.signing import SigningKey
from fare.vehicles import Vehicle

DESK: Final = "demo counter"
INSPECTOR: Final = PersonId("7001")
ACCOUNTANT: Final = "demo"
FROM: Final = "2026-01-01"
DRAWER_TIYN: Final = 500_000
PHONE: Final = PhoneNumber("+77011112210")
QR_BUSES: Final = 24  # the first ones are out all day
AT_A_TIME: Final = 500


class DemoFares(msgspec.Struct, frozen=True, kw_only=True):
    """What the demo shows of its fares: who may sign in as inspector and accountant, check codes of cards by name.

    ``phone``: a number whose wallet has money. ``bus_paths``: what the QR of some buses says, without its host.
    """

    inspector: str
    pin: str
    accountant: str
    password: str
    check_codes: dict[str, str]
    phone: PhoneNumber = PHONE
    bus_paths: dict[str, str] = msgspec.field(default_factory=dict)


async def prepare_fares(settings: Settings, pool: asyncpg.Pool, vehicle_ids: Sequence[str], *, now_ms: int) -> None:
    """Fill wallets, grant concessions, issue codes, let an inspector in.

    Raises:
        CityKeyError: if the city's key cannot be used.
        OSError, asyncpg.PostgresError: if disk or database refuse.
    """
    folder = fares_folder(settings)
    key = open_city_key(city_key_path(settings))
    everybody = holders(settings.demo.seed)
    media = PostgresMedia(pool)
    marker = folder / f"passengers-{settings.demo.seed}"
    if not marker.exists():
        await _register(media, everybody, now_ms)
        await _pay_in(pool, everybody, now_ms)
        await _drawer(media, now_ms)
        marker.touch()
    codes = await _codes(PostgresDevices(pool, settings.city), key, folder, vehicle_ids, now_ms)
    _write(folder / "codes.json", codes)
    await PostgresVehicles(pool).register(
        Vehicle(vehicle_id=vehicle_id, fleet_number=vehicle_id) for vehicle_id in vehicle_ids
    )
    phone_id = phone_medium(PHONE, phone_key_of(key))
    await media.top_up(phone_id, DRAWER_TIYN, desk=DESK, key="demo-phone", occurred_ms=now_ms)
    shown = read_demo_fares(settings) or await _people(pool, key, now_ms)
    paths = await _bus_paths(pool, settings.city, key, vehicle_ids[:QR_BUSES], now_ms)
    _write(folder / "shown.json", msgspec.structs.replace(shown, bus_paths=paths))


def fares_folder(settings: Settings) -> Path:
    """Return the folder of the demo's validators and passengers, made when missing."""
    folder = settings.data_folder / "demo" / "fares"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def read_demo_fares(settings: Settings) -> DemoFares | None:
    """Return what is shown of the demo's fares, None before it was prepared."""
    kept = fares_folder(settings) / "shown.json"
    return msgspec.json.decode(kept.read_bytes(), type=DemoFares) if kept.exists() else None


def read_codes(settings: Settings) -> dict[str, str]:
    """Return the one-time codes of validators by vehicle."""
    kept = fares_folder(settings) / "codes.json"
    return msgspec.json.decode(kept.read_bytes(), type=dict[str, str]) if kept.exists() else {}


async def _people(pool: asyncpg.Pool, key: SigningKey, now_ms: int) -> DemoFares:
    """Let an inspector and an accountant in."""
    pin = f"{secrets.randbelow(10**6):06d}"
    await set_pin(pool, INSPECTOR, Role.INSPECTOR, pin)
    password = secrets.token_urlsafe(12)
    person = Person(name=PersonName(ACCOUNTANT), role=people.Role.ACCOUNTANT)
    await (await open_people(pool, key)).add(person, hash_of_password(password), now_ms)
    code_key = code_key_of(key)
    check_codes = {card.name: check_code(card.medium_id, code_key) for card in CARDS if card.readable}
    return DemoFares(inspector=INSPECTOR, pin=pin, accountant=ACCOUNTANT, password=password, check_codes=check_codes)


async def _bus_paths(
    pool: asyncpg.Pool, city: str, key: SigningKey, vehicle_ids: Iterable[str], now_ms: int
) -> dict[str, str]:
    codes = PostgresBusCodes(pool, city=city, keys={})
    issues = {vehicle_id: (await codes.in_force(vehicle_id, now_ms)).issue for vehicle_id in vehicle_ids}
    return {
        vehicle_id: bus_link("", vehicle_id, issue, city=city, key=key.private) for vehicle_id, issue in issues.items()
    }


async def _register(media: PostgresMedia, everybody: Sequence[Holder], now_ms: int) -> None:
    known = [one.medium_id for one in everybody if one.kind in WALLET_KINDS]
    await media.block(known, now_ms, blocked=False)
    await media.block([one.medium_id for one in everybody if one.blocked], now_ms)
    for category in sorted({one.category for one in everybody if one.category}):
        await _grant(media, [one.medium_id for one in everybody if one.category == category], category, now_ms)


async def _pay_in(pool: asyncpg.Pool, everybody: Iterable[Holder], now_ms: int) -> None:
    journals: list[Journal] = [
        top_up_journal(one.medium_id, one.money_tiyn, desk=DESK, key=one.name, occurred_ms=now_ms)
        for one in everybody
        if one.money_tiyn
    ]
    async with open_ledger(pool) as ledger:
        for first in range(0, len(journals), AT_A_TIME):
            await ledger.post(journals[first : first + AT_A_TIME])


async def _drawer(media: PostgresMedia, now_ms: int) -> None:
    """Give the cards that anybody may hold to the shown validator what their names promise."""
    ids = {card.name: card.medium_id for card in CARDS}
    for name in ("adult", "pupil", "pensioner"):
        await media.top_up(ids[name], DRAWER_TIYN, desk=DESK, key=f"drawer-{name}", occurred_ms=now_ms)
    for name in ("pupil", "pensioner"):
        await _grant(media, [ids[name]], name, now_ms)
    await media.block([ids["denied"]], now_ms)


async def _grant(media: PostgresMedia, to: Sequence[MediumId], category: str, now_ms: int) -> None:
    right = Concession(category=RiderCategory(category), from_date=FROM, until_date="", evidence="demo")
    await media.grant(to, right, now_ms)


async def _codes(
    store: PostgresDevices, key: SigningKey, folder: Path, vehicle_ids: Sequence[str], now_ms: int
) -> dict[str, str]:
    """Return a new one-time code for each bus whose validator is not enrolled."""
    codes: dict[str, str] = {}
    for vehicle_id in vehicle_ids:
        if Home(folder / "validators" / vehicle_id).identity() is not None:
            continue
        code = Code.make(secrets.token_bytes(SECRET_BYTES), key.public)
        device_id = DeviceId(f"v-{vehicle_id}")
        await store.issue(
            IssuedCode(digest=code.digest, device_id=device_id, vehicle_id=vehicle_id, expires_ms=now_ms + CODE_LIFE_MS)
        )
        codes[vehicle_id] = str(code)
    return codes


def _write(path: Path, value: object) -> None:
    path.touch(mode=0o600)
    path.write_bytes(msgspec.json.encode(value))
