"""Taps, the rides of a medium, and what was posted for them, in PostgreSQL.

All functions work within the caller's transaction (``fare.service``). Who stores taps of a medium or prices it holds
its lock, so two processes never do at a time; these locks are taken in one order, and before the ledger's.
"""

import functools
import hashlib
import operator
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
import msgspec

from fare.ledger.billing import Amount, Change, Posted
from fare.model import (
    CarrierId,
    DeviceId,
    LocatedTap,
    MediumId,
    MediumKind,
    Ride,
    Riders,
    Tap,
)
from fare.outcomes import TapReceipt
from fare.store.copy_rows import (
    FEW,
    FEW_AT_ONCE,
    INT4_BYTES,
    INT8_BYTES,
    NULL,
    Rows,
    copy_rows,
    insert_few,
    json_array,
    numbers,
    text,
    texts,
)

LOCK_SPACE: Final = 0x74617073  # "taps": names are locked by (this, hash of the name)
_LOCK: Final = """
SELECT pg_advisory_xact_lock($1, hash) FROM (
    SELECT DISTINCT hashtext(name) AS hash FROM json_array_elements_text($2) AS name ORDER BY hash
) AS names
"""
_TAP_COLUMNS: Final = (
    *("device_id", "sequence", "tapped_ms", "medium_id", "medium_kind", "outcome", "rides", "riders", "vehicle_id"),
    *("carrier_id", "route_id", "trip_id", "stop_id", "shown_tiyn", "tariff_version", "deny_list_version", "counter"),
    "digest",
)
_NAME: Final = operator.itemgetter(0, 1)
_KINDS: Final[Mapping[str, MediumKind]] = {kind.value: kind for kind in MediumKind}
_encode: Final = msgspec.json.Encoder().encode
_CHARGE_COLUMNS: Final = (
    "sequence",
    "version",
    "device_id",
    "categories",
    "charged_tiyn",
    "subsidy_tiyn",
    "journal_key",
)
_CHARGE_FIXED: Final = struct.Struct(">hiqii")  # up to ``version``
_KNOWN: Final = """
SELECT device_id, sequence, digest FROM tap
WHERE (device_id, sequence) IN (SELECT asked.device_id, asked.sequence::bigint
    FROM ROWS FROM (json_array_elements_text($1), json_array_elements_text($2)) AS asked (device_id, sequence))
"""
_WINDOW: Final = """
SELECT * FROM rides_since(ARRAY(SELECT json_array_elements_text($1)),
    ARRAY(SELECT json_array_elements_text($2)::bigint))
"""
_MEDIA_BETWEEN: Final = """
SELECT DISTINCT medium_id FROM tap WHERE rides AND tapped_ms >= $1 AND tapped_ms < $2 ORDER BY medium_id
"""
_IN_DEBT: Final = """
SELECT substr(code, 6) AS medium_id, balance_tiyn FROM account WHERE code LIKE 'debt:%' AND balance_tiyn > 0
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Rides of one medium, and what was last posted for them by ride key."""

    rides: list[Ride]
    posted: dict[str, Posted]


async def lock_media(connection: asyncpg.Connection, media: Iterable[MediumId]) -> None:
    """Let nobody else store taps of these media or price them until the transaction ends.

    Take all locks of a transaction at once: they are taken in one order, so nobody waits in a circle.
    """
    await connection.fetch(_LOCK, LOCK_SPACE, json_array(list(media)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """What taps are: receipts in their order, and rows of those that are new."""

    receipts: list[TapReceipt]
    rows: list[tuple[object, ...]]


async def recognise_taps(connection: asyncpg.Connection, taps: Sequence[LocatedTap]) -> Recognised:
    """Say what becomes of each of ``taps``, whose media are locked. ``insert_taps`` stores what is new.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
    """
    device_ids, sequences = [one.tap.device_id for one in taps], [one.tap.sequence for one in taps]
    found = await connection.fetch(_KNOWN, json_array(device_ids), json_array(sequences))
    return recognised({(device_id, sequence): digest for device_id, sequence, digest in found}, taps)


def recognised(stored: Mapping[tuple[DeviceId, int], bytes], taps: Sequence[LocatedTap]) -> Recognised:
    """Say what becomes of each of ``taps``; ``stored``: the digests of those that are."""
    known = dict(stored)
    receipts: list[TapReceipt] = []
    rows: list[tuple[object, ...]] = []
    for one in taps:
        name, digest = (one.tap.device_id, one.tap.sequence), _digest(one.tap)
        if name not in known:
            known[name] = digest
            rows.append(_row(one, digest))
            receipts.append(TapReceipt.STORED)
        else:
            receipts.append(TapReceipt.REPEATED if known[name] == digest else TapReceipt.FORKED)
    return Recognised(receipts=receipts, rows=rows)


async def insert_taps(connection: asyncpg.Connection, found: Recognised) -> None:
    """Store what is new.

    Raises:
        asyncpg.UniqueViolationError: if meanwhile another tap was stored under the name of one of these, of another
            medium; the transaction is lost then, and done again it will know.
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
    """
    if found.rows:
        rows = sorted(found.rows, key=_NAME)  # two who insert the same names wait, but not in a circle
        if len(rows) <= FEW:
            await insert_few(connection, "tap", _TAP_COLUMNS, rows)
        else:
            await connection.copy_records_to_table("tap", records=rows, columns=_TAP_COLUMNS)


def few_rows(found: Recognised, done: Sequence[tuple[Change, Posted]]) -> list[Rows] | None:
    """Return what ``insert_taps`` and ``write_posted`` would write, where that is little enough for one statement."""
    if len(found.rows) > FEW_AT_ONCE or len(done) > FEW_AT_ONCE:
        return None
    charges = [_charge_values(change.ride.key, posted) for change, posted in done]
    return [Rows("tap", _TAP_COLUMNS, found.rows), Rows("ride_charge", _CHARGE_COLUMNS, charges)]


async def store_taps(connection: asyncpg.Connection, taps: Sequence[LocatedTap]) -> list[TapReceipt]:
    """Store what is new of ``taps``, whose media are locked, and say what became of each, in their order.

    Raises:
        asyncpg.UniqueViolationError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError: as ``insert_taps``.
    """
    found = await recognise_taps(connection, taps)
    await insert_taps(connection, found)
    return found.receipts


async def read_windows(connection: asyncpg.Connection, from_ms: Mapping[MediumId, int]) -> dict[MediumId, Window]:
    """Return the rides of each medium since its moment of ``from_ms``.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
    """
    rows = await connection.fetch(_WINDOW, json_array(list(from_ms)), json_array(list(from_ms.values())))
    return windows_of(from_ms, rows)


def windows_of(media: Iterable[MediumId], rows: Iterable[Sequence[Any]]) -> dict[MediumId, Window]:
    """Return what ``rows`` as those of ``rides_since`` (migration 0022) say of each of ``media``."""
    windows = {medium_id: Window(rides=[], posted={}) for medium_id in media}
    of_ride: dict[str, MediumId] = {}  # one whose price changed comes with each version that was posted
    for row in rows:
        *told, version, categories, charged_tiyn, subsidy_tiyn, journal_key = row  # by place: names take longer
        key = f"{told[0]}:{told[1]}"
        medium_id = of_ride.get(key)
        if medium_id is None:
            ride = _ride(key, *told[2:])
            medium_id = of_ride[key] = ride.medium_id
            windows[medium_id].rides.append(ride)
        posted = windows[medium_id].posted
        if version is not None and (key not in posted or version > posted[key].version):
            amounts = tuple([Amount(*amount) for amount in zip(categories, charged_tiyn, subsidy_tiyn, strict=True)])
            posted[key] = Posted(version=version, amounts=amounts, journal_key=journal_key)
    return windows


async def write_posted(connection: asyncpg.Connection, done: Sequence[tuple[Change, Posted]]) -> None:
    """Write what was posted for rides.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if it is not written; the transaction is lost then.
    """
    if not done:
        return
    charges = [(change.ride.key, posted) for change, posted in done]
    if len(charges) <= FEW:
        await insert_few(connection, "ride_charge", _CHARGE_COLUMNS, [_charge_values(*one) for one in charges])
    else:
        await copy_rows(connection, "ride_charge", _CHARGE_COLUMNS, [_charge_row(*one) for one in charges])


async def media_between(pool: asyncpg.Pool, from_ms: int, until_ms: int) -> list[MediumId]:
    """Return the media that rode from ``from_ms`` up to, not including, ``until_ms``.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
    """
    return [MediumId(row["medium_id"]) for row in await pool.fetch(_MEDIA_BETWEEN, from_ms, until_ms)]


async def media_in_debt(pool: asyncpg.Pool) -> dict[MediumId, int]:
    """Return the media that owe something, and how much: those that belong on the deny list.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
    """
    return {MediumId(row["medium_id"]): row["balance_tiyn"] for row in await pool.fetch(_IN_DEBT)}


def _digest(tap: Tap) -> bytes:
    content = (
        1,
        tap.device_id,
        tap.sequence,
        tap.tapped_ms,
        tap.medium_id,
        tap.medium_kind,
        tap.outcome,
        [(riders.category, riders.count) for riders in tap.riders],
        tap.vehicle_id,
        tap.route_id,
        tap.shown_tiyn,
        tap.tariff_version,
        tap.deny_list_version,
        tap.counter,
    )
    return hashlib.sha256(_encode(content)).digest()


def _row(one: LocatedTap, digest: bytes) -> tuple[object, ...]:
    """Return the values of ``_TAP_COLUMNS``."""
    tap, ride = one.tap, one.ride
    riders = ride.riders if ride is not None else tap.riders
    return (
        tap.device_id,
        tap.sequence,
        tap.tapped_ms,
        tap.medium_id,
        tap.medium_kind,
        tap.outcome,
        ride is not None,
        msgspec.json.encode(riders).decode() if riders else None,
        tap.vehicle_id,
        ride.carrier_id if ride is not None else "",
        ride.route_id if ride is not None else tap.route_id,
        ride.trip_id if ride is not None else "",
        ride.stop_id if ride is not None else "",
        tap.shown_tiyn,
        tap.tariff_version,
        tap.deny_list_version,
        tap.counter,
        digest,
    )


@functools.lru_cache(maxsize=1024)
def _categories(names: tuple[str, ...]) -> bytes:
    return texts(names)


def _charge_values(ride_key: str, posted: Posted) -> tuple[object, ...]:
    """Return the values of ``_CHARGE_COLUMNS``."""
    device_id, _, sequence = ride_key.rpartition(":")
    return (
        int(sequence),
        posted.version,
        device_id,
        [one.category for one in posted.amounts],
        [one.charged_tiyn for one in posted.amounts],
        [one.subsidy_tiyn for one in posted.amounts],
        posted.journal_key,
    )


def _charge_row(ride_key: str, posted: Posted) -> bytes:
    """Return the same as a row for COPY."""
    device_id, _, sequence = ride_key.rpartition(":")
    return b"".join(
        (
            _CHARGE_FIXED.pack(len(_CHARGE_COLUMNS), INT8_BYTES, int(sequence), INT4_BYTES, posted.version),
            text(device_id),
            _categories(tuple([one.category for one in posted.amounts])),
            numbers([one.charged_tiyn for one in posted.amounts]),
            numbers([one.subsidy_tiyn for one in posted.amounts]),
            text(posted.journal_key) if posted.journal_key is not None else NULL,
        )
    )


def _ride(
    key: str,
    tapped_ms: int,
    medium_id: MediumId,
    medium_kind: str,
    riders: str | None,
    vehicle_id: str,
    carrier_id: CarrierId,
    route_id: str,
    trip_id: str,
    stop_id: str,
) -> Ride:
    return Ride(
        key=key,
        tapped_ms=tapped_ms,
        medium_id=medium_id,
        medium_kind=_KINDS[medium_kind],
        riders=msgspec.json.decode(riders, type=tuple[Riders, ...]) if riders is not None else (),
        vehicle_id=vehicle_id,
        carrier_id=carrier_id,
        route_id=route_id,
        trip_id=trip_id,
        stop_id=stop_id,
    )
