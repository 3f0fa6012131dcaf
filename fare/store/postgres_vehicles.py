"""The register of what is written on buses, in PostgreSQL."""

from collections.abc import Iterable

import asyncpg

from fare.vehicles import Vehicle, vehicle_code


class PostgresVehicles:
    """The vehicles that rides can be bought on by number.

    Every method raises OSError, asyncpg.PostgresError or asyncpg.InterfaceError if the database does not answer.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def register(self, vehicles: Iterable[Vehicle]) -> None:
        """Enter ``vehicles``, each with what is written on it now: what was written before names it no longer.

        Raises:
            ValueError: if nothing is written on one that a rider could type.
            asyncpg.UniqueViolationError: if the same is written on another one; nothing is entered then.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            for vehicle in vehicles:
                if not vehicle.codes:
                    raise ValueError(f"fleet_number of vehicle {vehicle.vehicle_id} must hold a digit, or its plate")
                await connection.execute(
                    "INSERT INTO vehicle (vehicle_id, fleet_number, plate) VALUES ($1, $2, $3) "
                    "ON CONFLICT (vehicle_id) DO UPDATE SET fleet_number = $2, plate = $3",
                    *(vehicle.vehicle_id, vehicle.fleet_number, vehicle.plate),
                )
                await connection.execute("DELETE FROM vehicle_code WHERE vehicle_id = $1", vehicle.vehicle_id)
                await connection.execute(
                    "INSERT INTO vehicle_code (code, vehicle_id) SELECT unnest($1::text[]), $2",
                    *(list(vehicle.codes), vehicle.vehicle_id),
                )

    async def by_code(self, typed: str) -> Vehicle | None:
        """Return the vehicle on which what was ``typed`` is written, None if none."""
        code = vehicle_code(typed)
        row = await self._pool.fetchrow(
            "SELECT v.* FROM vehicle_code c JOIN vehicle v USING (vehicle_id) WHERE c.code = $1", code
        )
        return _vehicle(row)

    async def by_id(self, vehicle_id: str) -> Vehicle | None:
        """Return the vehicle, None if it is not registered."""
        return _vehicle(await self._pool.fetchrow("SELECT * FROM vehicle WHERE vehicle_id = $1", vehicle_id))


def _vehicle(row: asyncpg.Record | None) -> Vehicle | None:
    return None if row is None else Vehicle(**dict(row))
