"""The durable memory of what was asked of mobile operators, in PostgreSQL.

Each function is one statement and raises OSError, asyncpg.PostgresError or asyncpg.InterfaceError if the database does
not answer. A charge goes from ``ASKED`` to ``CHARGED`` to ``ENTERED``; on its way it may be refused, or be given back
as long as it is not entered. Who enters and who gives back meet at the row, and the first one has it.
"""

import enum
from typing import Final

import asyncpg
import msgspec

from fare.gateways.charging_port import ChargeRefusal, ChargeRequest
from fare.model import MediumId, PhoneNumber

_COLUMNS: Final = "key, operator, number, medium_id, amount_tiyn, asked_ms, state, reference, reason"
_BEGIN: Final = f"""
INSERT INTO operator_charge ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, 'asked', '', '')
ON CONFLICT (key) DO NOTHING
"""  # noqa: S608 - names of our own
_FIND: Final = f"SELECT {_COLUMNS} FROM operator_charge WHERE key = $1"  # noqa: S608
_CHARGED: Final = "UPDATE operator_charge SET state = 'charged', reference = $2 WHERE key = $1 AND state = 'asked'"
_REFUSED: Final = """
UPDATE operator_charge SET state = 'refused', reason = $2, number = '' WHERE key = $1 AND state = 'asked'
"""
_ENTER: Final = """
UPDATE operator_charge SET state = 'entered', number = '' WHERE key = $1 AND state = 'charged' RETURNING 1
"""
_GIVE_BACK: Final = "UPDATE operator_charge SET state = 'reversing' WHERE key = $1 AND state IN ('asked', 'charged')"
_REVERSED: Final = "UPDATE operator_charge SET state = 'reversed', number = '' WHERE key = $1 AND state = 'reversing'"
_ABANDON: Final = """
UPDATE operator_charge SET state = 'reversing' WHERE state IN ('asked', 'charged') AND asked_ms < $1
"""
_OWED: Final = f"""
SELECT {_COLUMNS} FROM operator_charge WHERE state = 'reversing' ORDER BY asked_ms LIMIT $1
"""  # noqa: S608


class ChargeState(enum.StrEnum):
    """How far a charge has come."""

    ASKED = enum.auto()  # whether the operator has heard of it is not known
    CHARGED = enum.auto()  # the operator has the rider's money, and our books not yet
    ENTERED = enum.auto()
    REFUSED = enum.auto()
    REVERSING = enum.auto()  # it goes back as soon as the operator says so
    REVERSED = enum.auto()


class KeptCharge(msgspec.Struct, frozen=True, kw_only=True):
    """A charge as it is kept. ``number`` is "" once nothing is left to be asked."""

    key: str
    operator: str
    number: PhoneNumber
    medium_id: MediumId
    amount_tiyn: int
    asked_ms: int
    state: ChargeState
    reference: str
    reason: str

    @property
    def request(self) -> ChargeRequest:
        """Return what is asked of the operator: the same whenever it is asked."""
        return ChargeRequest(
            key=self.key, number=self.number, amount_tiyn=self.amount_tiyn, asked_ms=self.asked_ms, about="bus"
        )


async def begin_charge(pool: asyncpg.Pool, request: ChargeRequest, operator: str, medium_id: MediumId) -> KeptCharge:
    """Keep a charge before it is asked for; return it, or what is kept under its key already."""
    await pool.execute(
        *(_BEGIN, request.key, operator, request.number, medium_id, request.amount_tiyn, request.asked_ms)
    )
    kept = await find_charge(pool, request.key)
    if kept is None:
        raise RuntimeError(f"charge {request.key} was kept and is gone: charges are never deleted")
    return kept


async def find_charge(pool: asyncpg.Pool, key: str) -> KeptCharge | None:
    """Return the charge kept under ``key``."""
    row = await pool.fetchrow(_FIND, key)
    return None if row is None else _kept(row)


async def charged(pool: asyncpg.Pool, key: str, reference: str) -> None:
    """Keep that the operator has taken the money; nothing changes if it is to be given back already."""
    await pool.execute(_CHARGED, key, reference)


async def refused(pool: asyncpg.Pool, key: str, reason: ChargeRefusal) -> None:
    """Keep that the operator has refused."""
    await pool.execute(_REFUSED, key, reason.value)


async def enter(connection: asyncpg.Connection, key: str) -> bool:
    """Take a charge into the caller's transaction; return whether it was there and is not given back."""
    return await connection.fetchval(_ENTER, key) is not None


async def give_back(pool: asyncpg.Pool, key: str) -> None:
    """Keep that a charge goes back, unless it is entered."""
    await pool.execute(_GIVE_BACK, key)


async def reversed_now(pool: asyncpg.Pool, key: str) -> None:
    """Keep that the operator has given it back."""
    await pool.execute(_REVERSED, key)


async def abandon_before(pool: asyncpg.Pool, asked_ms: int) -> None:
    """Let everything go back that was asked for before a moment and nobody has entered since."""
    await pool.execute(_ABANDON, asked_ms)


async def owed_back(pool: asyncpg.Pool, most: int) -> list[KeptCharge]:
    """Return charges that are to be given back, the oldest first."""
    return [_kept(row) for row in await pool.fetch(_OWED, most)]


def _kept(row: asyncpg.Record) -> KeptCharge:
    return msgspec.convert(dict(row), KeptCharge)
