"""What charging knows before it decides, locked and read in one question, in PostgreSQL.

A live tap is little work and many questions, each of which waits for the one before: their number is what its passenger
waits for. The questions are functions of migrations 0022 and 0023. All work within the caller's transaction.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg

from fare.model import DeviceId, LocatedTap, MediumId
from fare.store.copy_rows import json_array
from fare.store.postgres_append import Append, parameters_of
from fare.store.postgres_taps import LOCK_SPACE, Window, windows_of

_LOCK_AND_READ: Final = """
SELECT * FROM taps_lock_and_read($1,
    ARRAY(SELECT json_array_elements_text($2)),
    ARRAY(SELECT json_array_elements_text($3)), ARRAY(SELECT json_array_elements_text($4)::bigint),
    ARRAY(SELECT json_array_elements_text($5)), ARRAY(SELECT json_array_elements_text($6)::bigint))
"""
_RECORD_LOCK_AND_READ: Final = _LOCK_AND_READ.replace("taps_lock_and_read($1,", "taps_record_lock_and_read($7, $8, $1,")
_TAKE_AND_READ: Final = "SELECT * FROM media_take_and_read($1, ARRAY(SELECT json_array_elements_text($2)), $3)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Riding:
    """Rides of media since some moment, and which of the media ever had a debt given up."""

    windows: dict[MediumId, Window]
    given_up: frozenset[MediumId]


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """What is known once media are locked: ``versions`` of the rows of devices, of each append, None: not written.

    ``known``: the digests of taps that are known.
    """

    versions: list[str | None]
    known: dict[tuple[DeviceId, int], bytes]
    riding: Riding


async def lock_and_read(
    connection: asyncpg.Connection,
    taps: Sequence[LocatedTap],
    since_ms: Mapping[MediumId, int],
    appends: Sequence[Append] = (),
) -> Locked:
    """Write ``appends``, lock the media of ``taps``; return what of these is known, and rides since ``since_ms``.

    Nobody else stores taps of these media or prices them until the transaction ends, and nobody changes these devices.
    Take all locks of a transaction at once: they are taken in one order, so nobody waits in a circle. What is appended
    is noted as charged: store its taps in this transaction.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
    """
    rows = await connection.fetch(
        _RECORD_LOCK_AND_READ if appends else _LOCK_AND_READ,
        LOCK_SPACE,
        json_array(list({one.tap.medium_id for one in taps})),
        json_array([one.tap.device_id for one in taps]),
        json_array([one.tap.sequence for one in taps]),
        json_array(list(since_ms)),
        json_array(list(since_ms.values())),
        *(parameters_of(appends) if appends else ()),
    )
    versions: list[str | None] = [None] * len(appends)
    known: dict[tuple[DeviceId, int], bytes] = {}
    riding = []
    for digest, *row in rows:
        device_id, sequence, _, medium_id, _, _, version, *_ = row
        if digest is not None:
            known[DeviceId(device_id), sequence] = digest
        elif device_id is None and medium_id is None:
            versions[sequence] = version
        else:
            riding.append(row)
    return Locked(versions=versions, known=known, riding=_riding(since_ms, riding))


async def take_and_read(
    connection: asyncpg.Connection, media: Sequence[MediumId], past_ms: int
) -> tuple[dict[MediumId, int], Riding]:
    """Lock ``media``; return from when on each of them that is noted is to be charged, and its rides since before that.

    With this transaction they are noted no longer. ``past_ms``: how long before.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
    """
    rows = [tuple(row) for row in await connection.fetch(_TAKE_AND_READ, LOCK_SPACE, json_array(media), past_ms)]
    from_ms = {MediumId(row[3]): row[2] for row in rows if row[0] is None and row[2] is not None}
    return from_ms, _riding(from_ms, [row for row in rows if row[0] is not None or row[2] is None])


def _riding(media: Iterable[MediumId], rows: Sequence[tuple[object, ...]]) -> Riding:
    """Return what rows say that have a device, if they are rides, or name a medium of which a debt was given up."""
    return Riding(
        windows=windows_of(media, [row for row in rows if row[0] is not None]),
        given_up=frozenset(MediumId(str(row[3])) for row in rows if row[0] is None),
    )
