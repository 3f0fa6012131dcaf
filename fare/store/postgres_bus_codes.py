"""The register of codes that hang in buses, in PostgreSQL: what was issued for which bus, and what was revoked."""

from collections.abc import Mapping
from typing import Final

import asyncpg

from fare.phone.bus_code import BusCode, BusRefusal, Registered, read_bus_code

_ALL: Final = "SELECT issue, vehicle_id, issued_ms, revoked_ms FROM bus_code"


class PostgresBusCodes:
    """The codes of a city's buses. ``keys``: public keys of the city by their ids (``cose.key_id_of``).

    Every method raises OSError, asyncpg.PostgresError or asyncpg.InterfaceError if the database does not answer.
    """

    def __init__(self, pool: asyncpg.Pool, *, city: str, keys: Mapping[bytes, bytes]) -> None:
        self._pool = pool
        self._city = city
        self._keys = keys

    async def read(self, text: str) -> BusCode | BusRefusal:
        """Return the bus that a scanned ``text`` names, or why it names none."""
        code = read_bus_code(text)
        if code is None:
            return BusRefusal.NOT_OURS
        row = await self._pool.fetchrow(_ALL + " WHERE issue = $1", code.issue)
        return code.refusal(self._keys, _registered(row) if row is not None else None, city=self._city) or code

    async def in_force(self, vehicle_id: str, now_ms: int) -> Registered:
        """Return the newest code of a bus that counts; issue one if there is none."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"bus code {vehicle_id}")
            row = await connection.fetchrow(
                _ALL + " WHERE vehicle_id = $1 AND revoked_ms IS NULL ORDER BY issue DESC LIMIT 1", vehicle_id
            )
            if row is None:
                row = await connection.fetchrow(
                    "INSERT INTO bus_code (vehicle_id, issued_ms) VALUES ($1, $2) "
                    "RETURNING issue, vehicle_id, issued_ms, revoked_ms",
                    *(vehicle_id, now_ms),
                )
        return _registered(row)

    async def revoke(self, vehicle_id: str, now_ms: int) -> int:
        """Revoke all codes of a bus; return how many counted."""
        rows = await self._pool.fetch(
            "UPDATE bus_code SET revoked_ms = $2 WHERE vehicle_id = $1 AND revoked_ms IS NULL RETURNING issue",
            *(vehicle_id, now_ms),
        )
        return len(rows)

    async def everything(self) -> list[Registered]:
        """Return the whole register, in the order of issue."""
        return [_registered(row) for row in await self._pool.fetch(_ALL + " ORDER BY issue")]


def _registered(row: asyncpg.Record) -> Registered:
    return Registered(
        issue=row["issue"],
        vehicle_id=row["vehicle_id"],
        issued_ms=row["issued_ms"],
        revoked=row["revoked_ms"] is not None,
    )
